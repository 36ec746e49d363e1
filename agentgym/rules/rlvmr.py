"""RLVMR: rewards for tagged meta-reasoning, by rule (https://arxiv.org/abs/2507.22844).

Checked against the released ``process_trajectory_rlvmr_rewards`` (copy in rhyang2021/CogRouter at b9978ad).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from agentgym.rules.tags import blocks

TAGS = ("<planning>", "<explore>", "<reflection>")
"""Rewarded tags in order of precedence. ``<monitor>`` is never rewarded."""
UNTAGGED = "none"


class TagReward(NamedTuple):
    """Tag of a turn and what it earned."""

    tag: str
    reward: float


def tag_rewards(
    messages: Sequence[str],
    valid: Sequence[bool],
    available: Sequence[bool],
    *,
    success: bool,
    planning: float = 1.0,
    explore: float = 1.0,
    reflection: float = 1.0,
) -> list[TagReward]:
    """Tag and reward of every turn of one trajectory.

    The first of ``TAGS`` that occurs in a valid message is its tag. Planning is paid if the episode succeeded,
    exploring if no earlier valid message issued the same ``<action>``, reflecting if the action before failed (wasn't
    valid or wasn't available) and this one differs. On turn 0 there is no action before, and reflecting is paid.

    Args:
        messages: What the agent wrote, one a turn.
        valid: Whether each message's action could be parsed. A turn with an invalid one has tag ``none`` and reward 0.
        available: Whether each action could be executed where it was tried.
        success: Whether the episode's reward was above 0.
        planning: Reward of a plan.
        explore: Reward of a new action.
        reflection: Reward of a correction.

    Returns:
        One entry a turn.

    Raises:
        ValueError: The three sequences differ in length.
    """
    if not len(messages) == len(valid) == len(available):
        raise ValueError(
            f"messages, valid and available must be equally long, got {len(messages)}, {len(valid)}, {len(available)}."
        )
    actions = [_actions(message) for message in messages]
    tried: set[tuple[str, ...]] = set()
    result: list[TagReward] = []
    for turn, message in enumerate(messages):
        tag = next((tag for tag in TAGS if tag in message), UNTAGGED) if valid[turn] else UNTAGGED
        paid = {
            "<planning>": planning * success,
            "<explore>": explore * (actions[turn] not in tried),
            "<reflection>": reflection * _corrects(turn, actions, valid, available),
        }
        result.append(TagReward(tag, paid.get(tag, 0.0)))
        if valid[turn]:
            tried.add(actions[turn])
    return result


def _actions(message: str) -> tuple[str, ...]:
    return tuple(block.content for block in blocks(message, "action", multiline=False))


def _corrects(turn: int, actions: Sequence[tuple[str, ...]], valid: Sequence[bool], available: Sequence[bool]) -> bool:
    if turn == 0:
        return True
    return not (valid[turn - 1] and available[turn - 1]) and actions[turn] != actions[turn - 1]
