"""A task: a package with one bug planted in it, as a row that SWE-bench's readers understand."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from agentgym.core.errors import DataError
from agentgym.environments.swe.hiding import function_of, without_tests
from agentgym.environments.swe.package import Files, Package
from agentgym.tools.python_source import split_lines


@dataclass(frozen=True, slots=True)
class Bug:
    """One planted bug, verified: some tests fail because of it, every run alike."""

    instance_id: str
    """``<package>__<version>.<mutator>__<hash>``."""
    package: str
    """``Package.key``."""
    path: str
    """The file that holds it."""
    mutator: str
    target: str
    """Qualified name of the function or class that was changed."""
    recipe: dict[str, Any]
    """How to plant it: ``{"old": ..., "new": ...}`` text, or a mutation to repeat (``build.mutate``)."""
    sha256: str
    """Of the file with the bug in it."""
    fail_to_pass: tuple[str, ...]
    hidden: tuple[str, ...]
    """Those of ``fail_to_pass`` that the agent's copy does not hold."""
    statement: str
    split: str
    difficulty: float = 0.0
    weights: tuple[float, ...] = ()
    """Of ``fail_to_pass``, in order, summing to 1: rarely failing tests weigh more."""
    removed: tuple[str, ...] = ()
    """Where the functions of ``hidden`` stand (``hiding.place_of``): they are cut out of the agent's copy."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the manifest."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Bug:
        """Inverse of ``to_dict``."""
        values = {**data}
        for name in ("fail_to_pass", "hidden", "weights", "removed"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)


def apply_text(source: bytes, recipe: dict[str, Any]) -> bytes:
    """Replaces the one place where ``recipe["old"]`` stands."""
    old, new = recipe["old"].encode(), recipe["new"].encode()
    if source.count(old) != 1:
        raise DataError(f"A bug's text must stand once in its file, found it {source.count(old)} times: {old[:80]!r}.")
    return source.replace(old, new)


def check_planted(bug: Bug, content: bytes) -> bytes:
    """``content`` itself. Raises DataError when it is not the file that was verified."""
    found = hashlib.sha256(content).hexdigest()
    if found != bug.sha256:
        raise DataError(
            f"{bug.instance_id}: planting the bug gave another file than the verified one ({found[:12]}, expected "
            f"{bug.sha256[:12]}). The package's source or libcst's version differs."
        )
    return content


def visible_tests(bug: Bug, files: Files) -> dict[str, bytes]:
    """Test files of the agent's copy that differ from the originals: hidden functions are gone."""
    return {path: without_tests(files[path], names) for path, names in hidden_functions(bug).items()}


def hidden_functions(bug: Bug) -> dict[str, set[tuple[str, ...]]]:
    """Test file -> names (classes, then function) of the hidden functions in it."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for place in sorted(bug.removed):
        path, names = function_of(place)
        found.setdefault(path, set()).add(names)
    return found


def unified_diff(before: Files, after: Files) -> str:
    """What ``git diff`` would show, for Python files."""
    parts: list[str] = []
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        parts.append(f"diff --git a/{path} b/{path}\n")
        if old is None or new is None:
            parts.append(f"{'new' if old is None else 'deleted'} file mode 100644\n")
        parts.extend(
            difflib.unified_diff(
                _lines(old), _lines(new), f"a/{path}" if old is not None else "/dev/null",
                f"b/{path}" if new is not None else "/dev/null",
            )
        )  # fmt: skip
    return "".join(parts)


def _lines(data: bytes | None) -> list[str]:
    lines = split_lines((data or b"").decode("utf-8", "replace"))
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n\\ No newline at end of file\n"
    return lines


def to_row(bug: Bug, package: Package, files: Files, planted: bytes, pass_to_pass: Iterable[str]) -> dict[str, str]:
    """The task as a SWE-bench instance: its fields, all strings. Both patches are for the agent's copy: ``patch`` is
    the fix, ``test_patch`` adds the hidden tests."""
    shown = visible_tests(bug, files)
    return {
        "repo": f"{package.name}/{package.name}",
        "instance_id": bug.instance_id,
        "base_commit": package.sha256 or hashlib.sha256(package.key.encode()).hexdigest(),
        "patch": unified_diff({bug.path: planted}, {bug.path: files[bug.path]}),
        "test_patch": unified_diff(shown, {path: files[path] for path in shown}),
        "problem_statement": bug.statement,
        "hints_text": "",
        "created_at": "",
        "version": package.version,
        "FAIL_TO_PASS": json.dumps(list(bug.fail_to_pass)),
        "PASS_TO_PASS": json.dumps(sorted(pass_to_pass)),
        "environment_setup_commit": package.sha256,
    }
