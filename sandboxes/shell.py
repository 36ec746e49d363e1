"""The shell that agents see: each command is a process of its own, and what it changed is carried to the next.

After each command bash writes its working directory, variables and functions to a file in the sandbox, and the next
command starts from that file. Background processes end with their command. So the state of a shell is a file: it is
in every snapshot and fork, and a shell needs no process between two commands.
"""

from __future__ import annotations

from agentgym.sandboxes.base import Sandbox
from agentgym.sandboxes.protocol import HOME, ExecResult, Limits

STATE = f"{HOME}/.shell-state"
STATE_SCRATCH = f"{STATE}.new"
"""Left over after every command; holds nothing that counts."""
MAX_COMMAND = 100_000
"""Bytes of a command. The kernel allows 131,071 for one argument."""

# Readonly variables and those that bash computes can't be set again. ``exec`` and a killed shell leave the state as
# it was. The state is written beside and moved, so that a command that is killed while writing harms nothing; and only
# moved when it differs, so that a command that changes nothing leaves the file alone. Saving depends on nothing that a
# command may have changed: IFS, PATH, options, functions named like programs, its own trap.
_WRAPPER = r"""
__save() {
  local __code=$? __name IFS=$' \t\n'
  [[ -z $__saved ]] || return "$__code"
  __saved=1
  builtin set +eu
  {
    builtin printf 'builtin cd -- %q 2>/dev/null\n' "$PWD"
    for __name in $__given; do
      [[ -v $__name ]] || builtin printf 'unset %s\n' "$__name"
    done
    for __name in $(builtin compgen -v); do
      case $__name in
        BASH*|COMP_*|DIRSTACK|EPOCH*|EUID|FUNCNAME|GROUPS|HISTCMD|HOSTNAME|HOSTTYPE|IFS|LINENO|MACHTYPE) ;;
        OPT*|OSTYPE|PIPESTATUS|PPID|PWD|RANDOM|SECONDS|SHELLOPTS|SHLVL|SRANDOM|UID|_|__*) ;;
        *) [[ ${!__name@a} == *r* ]] || builtin declare -p "$__name" 2>/dev/null ;;
      esac
    done
    builtin declare -f
  } 2>/dev/null >|"$1.new"
  local __old __new
  IFS= builtin read -r -d '' __old 2>/dev/null <"$1"
  IFS= builtin read -r -d '' __new 2>/dev/null <"$1.new"
  [[ -n $__new && $__new == "$__old" ]] || /bin/mv -f -- "$1.new" "$1" 2>/dev/null
  builtin exit "$__code"
}
__command=$2 __given=$3 __state=$1 __saved=
trap '__save "$__state"' EXIT
[ -r "$1" ] && . "$1"
set --
eval "$__command"
__save "$__state"
"""


class Shell:
    """A shell in a sandbox. Holds nothing itself: any ``Shell`` on the same files goes on where the last one was."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._state = sandbox.absolute(STATE)
        self._given = " ".join(sandbox.spec.environment())

    def run(self, command: str, *, timeout: float | None = None, limits: Limits | None = None) -> ExecResult:
        """Runs a command line. Working directory, variables and functions carry over; shell options do not.

        Raises:
            ConfigError: It holds a NUL byte, or is longer than the kernel takes.
            Fault: The sandbox failed.
        """
        argv = ["/bin/bash", "--norc", "--noprofile", "-c", _WRAPPER, "bash", self._state, command, self._given]
        return self.sandbox.exec(argv, timeout=timeout, limits=limits)

    def reset(self) -> None:
        """Forgets the working directory and all variables. Files stay."""
        self.sandbox.exec(["/bin/rm", "-f", "--", self._state])
