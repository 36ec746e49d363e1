"""``python -m agentgym.sandboxes.images``: builds the base image of the Docker backend, unless it is there."""

from __future__ import annotations

import sys

from agentgym.core.errors import AgentGymError
from agentgym.sandboxes.docker import IMAGE
from agentgym.sandboxes.images import build, there


def main(arguments: list[str]) -> int:
    """Builds it; with ``--there`` only says whether it is. 1 when it isn't or can't be."""
    try:
        found = there() if arguments == ["--there"] else build()
    except AgentGymError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if found is None:
        sys.stderr.write(f"{IMAGE} is not there; build it with: python -m agentgym.sandboxes.images\n")
        return 1
    sys.stdout.write(f"{IMAGE} {found}\n")
    return 0


sys.exit(main(sys.argv[1:]))
