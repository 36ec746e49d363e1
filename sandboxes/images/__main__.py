"""``python -m agentgym.sandboxes.images``: builds the base image of the Docker backend."""

from __future__ import annotations

import sys

from agentgym.core.errors import AgentGymError
from agentgym.sandboxes.docker import IMAGE
from agentgym.sandboxes.images import build


def main() -> int:
    """Builds it; 1 when that can't be done here."""
    try:
        sys.stdout.write(f"{IMAGE} {build()}\n")
    except AgentGymError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


sys.exit(main())
