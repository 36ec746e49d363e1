"""The conformance suite on every shopping id, and on the knobs that change what is played."""

from __future__ import annotations

from typing import Any

import pytest

from agentgym.testing.conformance import check_agent_env


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [
        ("agentgym/Shopping-v0", {}),
        ("agentgym/Shopping-v0", {"products": 200, "instructions": "mixed", "pages": 2}),
        ("agentgym/ShoppingTiny-v0", {}),
        ("agentgym/WebShop-v0", {}),
        ("agentgym/WebShop-v0", {"observation_mode": "text_rich", "human_goals": False, "show_attrs": True}),
    ],
)
def test_conformance(env_id: str, kwargs: dict[str, Any]) -> None:
    check_agent_env(env_id, tasks=10, cheat_tasks=100, **kwargs)
