"""The ``bash`` tool: runs a command in a sandbox's persistent shell and says what came of it."""

from __future__ import annotations

from agentgym.core.actions import Tool, tool
from agentgym.sandboxes import ExecResult, Shell
from agentgym.sandboxes.shell import STATE_SCRATCH

BASH: Tool = tool(
    "bash",
    "Run a shell command in the repository. Folder and variables carry over; background processes don't.",
    command="the command line",
)
MAX_OUTPUT = 8000
"""Characters of a command's output that are shown."""


def run(shell: Shell, command: str, timeout: float) -> str:
    """Runs a command line and returns what an agent reads about it.

    Raises:
        ConfigError: It holds a NUL byte or is too long for the kernel.
        Fault: The sandbox failed.
    """
    return describe(shell.run(command, timeout=timeout), timeout)


def describe(result: ExecResult, timeout: float) -> str:
    """Output, then how the command ended where that says something."""
    output = result.text
    if result.stderr:
        output += ("" if not output or output.endswith("\n") else "\n") + result.error_text
    parts = [clip_middle(output.rstrip("\n"), MAX_OUTPUT)] if output.strip() else []
    if result.timed_out:
        parts.append(f"[stopped after {timeout:.0f} seconds]")
    elif result.oom:
        parts.append("[stopped: out of memory]")
    elif result.exit_code:
        parts.append(f"[exit code {result.exit_code}]")
    elif not parts:
        parts.append("[no output]")
    return "\n".join(parts)


def clip_middle(text: str, limit: int) -> str:
    """``text``, or its head and tail with a note of how much is missing between them."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


__all__ = ["BASH", "MAX_OUTPUT", "STATE_SCRATCH", "clip_middle", "describe", "run"]
