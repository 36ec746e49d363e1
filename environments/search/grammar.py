"""The tags of Search-R1 as an action format, with ``<open>`` and ReSeek's ``<judge>``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agentgym.core.actions import Action
from agentgym.core.formats import ActionFormat, Parsed, Tools
from agentgym.rules.tags import blocks

INFORMATION = ("<information>", "</information>")
_ENDING = ("</search>", "</answer>", "</open>")
_ARGUMENTS = {"search": "query", "answer": "text", "open": "doc", "judge": "useful"}
_JUDGE = re.compile(r"<judge>\s*(yes|no)\s*</judge>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Said(Action):
    """An action that knows the message that it came from, for scores that read the whole transcript."""

    message: str = ""
    """What was written up to the end of the action; nothing behind it was read."""
    judged: str = ""
    """``Yes`` or ``No`` where a judgement came before the action."""


class TagsFormat(ActionFormat):
    """``<search>query</search>``, ``<answer>text</answer>``, ``<open>2</open>``; before it, ``<judge>Yes</judge>``.

    Read as Search-R1 reads: the message is cut at the first ``</search>``, else at the first ``</answer>`` (here: else
    ``</open>``), and the first complete block of what is left is the action. What the model wrote itself between
    ``<information>`` tags is text like any other.
    """

    name = "tags"

    def parse(self, message: str, tools: Tools) -> Parsed:
        """See ``ActionFormat.parse``."""
        said = cut(message)
        known = [name for name in ("search", "answer", "open") if name in tools]
        block = next(iter(blocks(said, known)), None)
        before = said if block is None else said[: block.start]
        found = _JUDGE.search(before) if "judge" in tools else None
        judged = found[1].capitalize() if found else ""
        if block is not None:
            arguments = {_ARGUMENTS[block.tag]: block.content.strip()}
            action = Said(block.tag, arguments, "", said[: block.end], judged)
        elif judged:
            action = Said("judge", {"useful": judged}, "", said)
        else:
            return Parsed(error=f"Found no action. Write {_ways(tools)}.", thought=before.strip())
        return Parsed((action,), thought=before.strip())

    def render(self, actions: Sequence[Action], tools: Tools, thought: str = "") -> str:
        """See ``ActionFormat.render``. Every message thinks first, as Search-R1's format score wants it."""
        judged = "".join(_tagged(action) for action in actions if action.name == "judge")
        rest = "".join(_tagged(action) for action in actions if action.name != "judge")
        return f"{judged}<think>{thought}</think>{rest}" if rest else judged

    def instructions(self, tools: Tools) -> str:
        """See ``ActionFormat.instructions``."""
        parts = [
            "Think between <think> and </think> whenever you have read something new. To look something up, write"
            " <search>your query</search>; what is found comes back between <information> and </information>."
        ]
        if "open" in tools:
            parts.append("<open>2</open> shows the second of the documents found last in full.")
        if "judge" in tools:
            parts.append("<judge>Yes</judge> or <judge>No</judge> says whether they were useful.")
        parts.append("Give the final answer, as short as possible, in tags: for example <answer> Beijing </answer>.")
        return " ".join(parts)

    def stop(self, tools: Tools) -> tuple[str, ...]:
        """The closing tags of what ends a turn."""
        return tuple(tag for tag in _ENDING if tag[2:-1] in tools)


def cut(message: str) -> str:
    """A message up to the first closing tag that ends a turn."""
    for tag in _ENDING:
        before, found, _ = message.partition(tag)
        if found:
            return before + found
    return message


def _tagged(action: Action) -> str:
    return f"<{action.name}>{action.arguments.get(_ARGUMENTS[action.name], '')}</{action.name}>"


def _ways(tools: Tools) -> str:
    return ", ".join(f"<{name}>{argument}</{name}>" for name, argument in _ARGUMENTS.items() if name in tools)
