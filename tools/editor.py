"""The ``view`` and editing tools: look at files, replace and insert text, undo. Edits that break Python are refused."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agentgym.core.actions import Tool, tool
from agentgym.core.errors import AgentGymError, Fault
from agentgym.sandboxes import WORKSPACE, Sandbox
from agentgym.tools.python_source import parse, split_lines

WINDOW = 150
"""Lines that ``view`` shows at once."""
_MAX_LINE = 400
_MAX_FILE = 1 << 20
_MAX_ENTRIES = 200


def _tool(name: str, description: str, required: dict[str, str], lines: dict[str, str] | None = None) -> Tool:
    properties: dict[str, Any] = {key: {"type": "string", "description": text} for key, text in required.items()}
    properties |= {key: {"type": "integer", "description": text} for key, text in (lines or {}).items()}
    needed = [*required, *(["line"] if "line" in (lines or {}) else [])]
    return Tool(name, description, {"type": "object", "properties": properties, "required": needed})


VIEW = _tool(
    "view",
    f"Show a file with line numbers ({WINDOW} lines at once), or what is in a folder.",
    {"path": "file or folder"},
    {"start": "first line to show", "end": "last line to show"},
)
CREATE = tool("create", "Make a new file.", path="the file", text="its content")
REPLACE = tool(
    "replace",
    "Replace text that stands exactly once in a file.",
    path="the file",
    old="the text as it is, indentation included",
    new="what it becomes",
)
INSERT = _tool(
    "insert",
    "Insert lines into a file.",
    {"path": "the file", "text": "the lines"},
    {"line": "number of the line after which they go; 0: at the beginning"},
)
UNDO = tool("undo", "Take back the last edit of a file.", path="the file")


@dataclass(frozen=True, slots=True)
class Edit:
    """What came of an edit."""

    path: str
    """Relative to the workspace where it lies there."""
    reply: str
    """What the agent reads."""
    applied: bool = False
    before: bytes | None = None
    """The file's content until now, for undoing; None: it did not exist."""
    after: bytes = b""
    """Its content now."""


class Editor:
    """Edits files of a sandbox.

    Args:
        sandbox: Where they are.
        known: Gives the content of a file where that is known without asking the sandbox, else None.
    """

    def __init__(self, sandbox: Sandbox, known: Callable[[str], bytes | None] = lambda path: None) -> None:
        self._sandbox = sandbox
        self._known = known

    def view(self, path: str, start: int | None = None, end: int | None = None) -> tuple[str, bool]:
        """What is in a file or folder, and whether that could be shown."""
        try:
            data = self._content(path)
        except IsADirectoryError:
            try:
                return self._folder(path), True
            except (OSError, AgentGymError) as error:
                return _problem(error, path), False
        except (OSError, AgentGymError) as error:
            return _problem(error, path), False
        if end is not None and end < max(start or 1, 1):
            return f"The last line to show, {end}, stands before the first.", False
        lines = data.decode("utf-8", "backslashreplace").split("\n")
        if lines[-1] == "":
            lines.pop()
        first = max(start or 1, 1)
        last = min(end or first + WINDOW - 1, first + WINDOW - 1, len(lines))
        if first > max(len(lines), 1):
            return f"{path} has {len(lines)} lines; line {first} is past its end.", False
        shown = [f"{number:6}  {_short(lines[number - 1])}" for number in range(first, last + 1)]
        where = (
            f"{relative(path)}, lines {first} to {last} of {len(lines)}:" if lines else f"{relative(path)} is empty."
        )
        return "\n".join([where, *shown]), True

    def _folder(self, path: str) -> str:
        entries = [entry for entry in self._sandbox.list(path) if not entry.path.startswith((".", "__pycache__"))]
        names = [entry.path + ("/" if entry.kind == "folder" else "") for entry in entries[:_MAX_ENTRIES]]
        more = [f"[... {len(entries) - _MAX_ENTRIES} more ...]"] if len(entries) > _MAX_ENTRIES else []
        return "\n".join([f"{relative(path)}:", *(names or ["(nothing)"]), *more])

    def create(self, path: str, text: str) -> Edit:
        """Makes a file that does not exist yet."""
        try:
            self._sandbox.read_file(path, 1)
        except FileNotFoundError:
            return self._write(path, None, text)
        except (OSError, AgentGymError):
            pass
        return Edit(relative(path), f"{relative(path)} exists already; use replace or insert to change it.")

    def replace(self, path: str, old: str, new: str) -> Edit:
        """Replaces the one place where ``old`` stands."""
        content = self._read(path)
        if isinstance(content, Edit):
            return content
        count = content.count(old) if old else 0
        if count != 1:
            found = "is empty" if not old else "was not found" if not count else f"stands there {count} times"
            hint = "" if count else " Copy it from view, indentation included and without line numbers."
            more = " Add lines around it until it is unique." if count > 1 else ""
            return Edit(relative(path), f"Not replaced: the old text {found} in {relative(path)}.{hint}{more}")
        return self._write(path, content, content.replace(old, new))

    def insert(self, path: str, line: int, text: str) -> Edit:
        """Inserts lines after a line."""
        content = self._read(path)
        if isinstance(content, Edit):
            return content
        lines = split_lines(content)
        if not 0 <= line <= len(lines):
            return Edit(relative(path), f"Not inserted: line must be from 0 to {len(lines)}, got {line}.")
        if line and not lines[line - 1].endswith("\n"):
            lines[line - 1] += "\n"
        lines.insert(line, text if text.endswith("\n") else text + "\n")
        return self._write(path, content, "".join(lines))

    def put_back(self, path: str, before: bytes | None) -> tuple[str, bool]:
        """Undoes an edit: what the agent reads, and whether it could be undone."""
        if before is None:
            result = self._sandbox.exec(["rm", "-f", "--", self._sandbox.absolute(path)])
            return (f"{relative(path)} is gone again.", True) if result.ok else (result.error_text.strip(), False)
        try:
            self._sandbox.write_file(path, before)
        except (OSError, AgentGymError) as error:
            return _problem(error, path), False
        return f"The last edit of {relative(path)} is undone.", True

    def _content(self, path: str) -> bytes:
        data = self._known(path)
        return self._sandbox.read_file(path, _MAX_FILE) if data is None else data

    def _read(self, path: str) -> str | Edit:
        try:
            return self._content(path).decode()
        except UnicodeDecodeError:
            return Edit(relative(path), f"{relative(path)} is not a text file.")
        except (OSError, AgentGymError) as error:
            return Edit(relative(path), _problem(error, path))

    def _write(self, path: str, before: str | None, after: str) -> Edit:
        if before == after:
            return Edit(relative(path), f"Nothing to do: {relative(path)} would stay as it is.")
        if problem := syntax_problem(path, before, after):
            return Edit(relative(path), f"Not changed: {problem}")
        content = after.encode("utf-8", "surrogatepass")
        try:
            self._sandbox.write_file(path, content)
        except (OSError, AgentGymError) as error:
            return Edit(relative(path), _problem(error, path))
        data = None if before is None else before.encode()
        verb = "Made" if before is None else "Changed"
        return Edit(relative(path), f"{verb} {relative(path)}:\n{around(before or '', after)}", True, data, content)


def syntax_problem(path: str, before: str | None, after: str) -> str:
    """Why an edit would break a Python file, or ``""``. A file that is broken already may be edited."""
    problem = _syntax_error(after) if path.endswith(".py") else ""
    return "" if problem and before is not None and _syntax_error(before) else problem


def _syntax_error(text: str) -> str:
    try:
        parse(text)
    except SyntaxError as error:
        return f"it would not be valid Python any more (line {error.lineno}: {error.msg})."
    except (ValueError, RecursionError, MemoryError) as error:
        return f"it would not be valid Python any more ({type(error).__name__})."
    return ""


def around(before: str, after: str, context: int = 3) -> str:
    """The changed lines of ``after`` with numbers and a few lines around them."""
    old, new = before.splitlines(), after.splitlines()
    first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    tail = 0
    while tail < min(len(old), len(new)) - first and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    low, high = max(first - context, 0), min(len(new) - tail + context, len(new), first + 40)
    return "\n".join(f"{i + 1:6}  {_short(new[i])}" for i in range(low, high)) or "(empty)"


def relative(path: str) -> str:
    """``path`` from the workspace, or absolute where it lies elsewhere."""
    full = posixpath.normpath(posixpath.join(WORKSPACE, path))
    return full.removeprefix(WORKSPACE + "/") if full != WORKSPACE else "."


def _short(line: str) -> str:
    return line if len(line) <= _MAX_LINE else line[:_MAX_LINE] + " [...]"


def _problem(error: Exception, path: str) -> str:
    if isinstance(error, Fault):
        raise error
    if isinstance(error, FileNotFoundError):
        return f"There is no {relative(path)}."
    return f"{relative(path)} can't be read or changed: {error}"
