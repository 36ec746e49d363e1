"""The text of an issue, from how tests fail. It names what misbehaves as a user sees it, never a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from agentgym.core.seeding import derive_rng
from agentgym.environments.swe.bugs import Bug
from agentgym.environments.swe.hiding import function_of

Writer = Callable[[str], str]
"""A prompt -> an issue's text, for example from a language model."""

_OPENINGS = (
    "Something in {package} is wrong since the last change.",
    "I upgraded {package} and part of it no longer does what it should.",
    "{package} gives wrong results in some cases.",
    "There is a regression in {package}.",
)
_CLOSINGS = (
    "Please find the cause in the package's source and fix it; the tests themselves are right.",
    "The tests are correct, so the bug must be in the source. Please fix it there.",
    "Expected: everything that worked before works again. Changing the tests is no solution.",
)
_MAX_SHOWN = 3
_MAX_MESSAGE = 240
_LOCATION = re.compile(r"(/[\w./-]+\.py)(:\d+)?|\bline \d+\b|0x[0-9a-f]+")


def write(
    instance_id: str, package: str, failing: Sequence[str], messages: Mapping[str, str], visible: set[str]
) -> str:
    """The issue of one bug.

    Args:
        instance_id: Chooses the wording.
        package: Its name.
        failing: Tests that fail because of the bug.
        messages: Test -> the first line of its failure.
        visible: Those of ``failing`` that the agent's copy holds: only these are named.
    """
    rng = derive_rng("swe issue", instance_id)
    parts = [_OPENINGS[int(rng.integers(len(_OPENINGS)))].format(package=package), ""]
    seen: set[str] = set()
    for test in sorted(failing, key=lambda test: (test not in visible, test)):
        topic, symptom = topic_of(test), symptom_of(messages.get(test, ""))
        if topic in seen or len(seen) >= _MAX_SHOWN:
            continue
        seen.add(topic)
        parts.append(f"- {topic}: {symptom}")
    if len(failing) > len(seen):
        parts.append(f"- and {len(failing) - len(seen)} more cases like these")
    named = sorted({test.split("[", 1)[0] for test in failing if test in visible})
    if named:
        parts += ["", "Tests that show it: " + ", ".join(named[:_MAX_SHOWN]) + "."]
    parts += ["", _CLOSINGS[int(rng.integers(len(_CLOSINGS)))]]
    return "\n".join(parts)


def topic_of(test: str) -> str:
    """A test's name in words: ``tests/test_x.py::PathTest::test_two_ways`` is "path: two ways"."""
    path, names = function_of(test)
    words = re.sub(r"_+", " ", names[-1]).removeprefix("test ").strip() if names else ""
    group = names[-2] if len(names) > 1 else path.rpartition("/")[2].removesuffix(".py")
    group = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", group)
    group = re.sub(r"_+", " ", group).strip()
    group = re.sub(r"(?i)^tests?\b|\btests?$|(?<=\w)Tests?$", "", group).strip().lower()
    return f"{group}: {words}" if group and words else group or words or "behaviour"


def symptom_of(message: str) -> str:
    """A failure's first line without places in files and addresses."""
    text = _LOCATION.sub("...", message).strip()
    if not text:
        return "fails"
    text = text.removeprefix("AssertionError: ").removeprefix("assert ")
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "..."


def rewritten(bug: Bug, writer: Writer) -> Bug:
    """The bug with an issue in a writer's words; as it was where those are empty or give the place away."""
    text = writer(
        "Rewrite this bug report as a user of the package would write it. Keep every symptom and every test that it "
        "names; add no guess about the cause. Answer with the report alone.\n\n" + bug.statement
    ).strip()
    return replace(bug, statement=text) if text and not gives_away(bug, text) else bug


def gives_away(bug: Bug, text: str) -> bool:
    """Whether a text names the file or a line of a bug, or a test that the agent's copy lacks."""
    names = {function_of(test)[1][-1] for test in bug.hidden} - {
        function_of(test)[1][-1] for test in bug.fail_to_pass if test not in bug.hidden
    }
    words = set(re.findall(r"\w+", text))
    # A test file's name may end like it.
    file = rf"(?<!\w){re.escape(bug.path.rpartition('/')[2])}(?!\w)"
    return bool(names & words) or re.search(rf"{file}|\blines? \d", text, re.IGNORECASE) is not None
