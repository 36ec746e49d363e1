"""Ways to go for reward in MiniWoB without reading the task."""

from __future__ import annotations

import re

import numpy as np

from agentgym.core.game import Cheat

_REF = re.compile(r"\[(a\d+)\] (\w+)")


def idle() -> Cheat:
    """Says that it is done."""
    return lambda observation, rng: "send_msg_to_user('done')"


def first_button() -> Cheat:
    """Clicks the last button, which is usually the one that submits."""

    def message(observation: str, rng: np.random.Generator) -> str:
        buttons = [ref for ref, role in _REF.findall(observation) if role == "button"]
        return f"click({buttons[-1]!r})" if buttons else "send_msg_to_user('done')"

    return message


def random_clicks() -> Cheat:
    """Clicks what comes, until the page ends the episode."""

    def message(observation: str, rng: np.random.Generator) -> str:
        refs = [ref for ref, _ in _REF.findall(observation)]
        return f"click({refs[int(rng.integers(len(refs)))]!r})" if refs else "send_msg_to_user('done')"

    return message
