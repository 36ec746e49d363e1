"""The tools of the environment that aren't the shell or the editor, and when a shell command should have been one."""

from __future__ import annotations

import re

from agentgym.core.actions import Action, Tool, tool
from agentgym.sandboxes import Sandbox
from agentgym.tools.editor import CREATE, INSERT, REPLACE, UNDO, VIEW
from agentgym.tools.shell import BASH, clip_middle

SEARCH = Tool(
    "search",
    "Search files for a regular expression.",
    {
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "description": "regular expression, as Perl and Python write them"},
            "path": {"type": "string", "description": "file or folder; default: everywhere"},
        },
        "required": ["pattern"],
    },
)
RUN_TESTS = tool("run_tests", "Run the package's tests on your source as it is now.")
SUBMIT = tool("submit", "Hand in your work. Ends the episode.")
TOOLS = (BASH, VIEW, SEARCH, CREATE, REPLACE, INSERT, UNDO, RUN_TESTS, SUBMIT)

_MAX_HITS = 60
_MAX_OUTPUT = 6000
_SINGLE = re.compile(r"^\s*(cat|head|tail|less|more|nl|sed\s+-i\S*|grep|rg|ls)\b[^|;&<>`$]*$")


def better_tool(action: Action) -> bool:
    """Whether a shell command does, alone, what a tool of its own does."""
    return action.name == "bash" and bool(_SINGLE.match(action.arguments.get("command", "")))


def search(sandbox: Sandbox, pattern: str, path: str) -> tuple[str, bool]:
    """Lines that match, and whether the search could be done."""
    if not pattern or "\0" in pattern or "\n" in pattern or len(pattern) > 2000 or not _is_text(pattern):
        return "A pattern is one line of text.", False
    # FIFOs and devices would hang it.
    result = sandbox.exec(["grep", "-rnIP", "-D", "skip", "--exclude-dir=__pycache__", "-e", pattern, "--", path])
    if result.exit_code == 1 and not result.stderr:
        return f"Nothing matches {pattern!r} in {path}.", True
    lines = sorted(result.text.splitlines(), key=_place)
    if not lines:
        return f"The search failed: {result.error_text.strip()[:300]}", False
    more = [f"[... {len(lines) - _MAX_HITS} more ...]"] if len(lines) > _MAX_HITS else []
    shown = [line.removeprefix("./")[:300] for line in lines[:_MAX_HITS]]
    return clip_middle("\n".join(shown + more), _MAX_OUTPUT), True


def _is_text(pattern: str) -> bool:
    """JSON can hold halves of surrogate pairs, which no program can get."""
    return not any("\ud800" <= letter <= "\udfff" for letter in pattern)


def _place(line: str) -> tuple[str, int]:
    """File and line number: folders are read in whatever order the file system has."""
    path, _, rest = line.partition(":")
    number = rest.partition(":")[0]
    return path, int(number) if number.isdecimal() else 0
