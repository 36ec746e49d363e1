"""``python -m agentgym.testing.sandboxes BACKEND...``: runs the suite on backends by name, or on ``module:Class``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import cast

from agentgym.core.errors import AgentGymError
from agentgym.core.registry import load
from agentgym.sandboxes import BACKENDS, Sandbox, SandboxSpec
from agentgym.testing.conformance import CheckResult, ConformanceError
from agentgym.testing.sandboxes import check_sandbox


def main(names: list[str]) -> int:
    """Prints how each check went; 1 when one failed."""
    if not names:
        sys.stderr.write("usage: python -m agentgym.testing.sandboxes BACKEND... (or module:Class)\n")
        return 2
    failed = False
    for name in names:
        try:
            opener = load(name) if ":" in name else BACKENDS.get(name)
            results = check_sandbox(cast(Callable[[SandboxSpec], Sandbox], opener))
        except ConformanceError as error:
            failed, results = True, error.results
        except (AgentGymError, ImportError) as error:
            sys.stderr.write(f"{name}: {error}\n")
            failed = True
            continue
        sys.stdout.writelines(_line(name, result) for result in results)
    return int(failed)


def _line(name: str, result: CheckResult) -> str:
    detail = result.detail if result.status != "passed" else result.claim
    return f"{name}  {result.status:<14} {result.name:<22} {result.seconds:6.1f} s  {detail}\n"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main(sys.argv[1:]))
