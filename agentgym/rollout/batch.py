"""Trajectories as the columnar batch that credit methods and the trainer read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from agentgym.core.errors import DataError
from agentgym.core.records import Trajectory, Turn
from agentgym.credit import Batch
from agentgym.rollout.garbage import seldom_collected


def trainable(trajectory: Trajectory) -> bool:
    """Whether a batch can hold the episode: it was scored and has at least one turn."""
    return trajectory.scored and bool(trajectory.turns)


@seldom_collected()
def to_batch(trajectories: Sequence[Trajectory], *, text_only: bool = False) -> Batch:
    """One batch of all trajectories, in order. Turn rewards are the attributed ones.

    Tokens of several segments follow one another. Optional columns: ``token_id``, ``logprob``, ``anchor`` (state keys),
    ``observation``, ``executable``, ``valid``, ``segment`` where a trajectory has several, and ``tag`` where turns have
    tags.

    Args:
        trajectories: Scored episodes with at least one turn; leave the others out (``trainable``).
        text_only: Leave tokens out, for turn and trajectory credit of policies without tokens.

    Raises:
        DataError: An episode is unscored or empty, or a token-level batch was asked for and one has no tokens.
    """
    for row, trajectory in enumerate(trajectories):
        _check(row, trajectory, text_only)
    turns = [turn for trajectory in trajectories for turn in trajectory.turns]
    rows = {trajectory.trajectory_id: i for i, trajectory in enumerate(trajectories)}
    groups = {name: i for i, name in enumerate(dict.fromkeys(t.group_id for t in trajectories))}
    token_counts = [0 if text_only else sum(len(s.token_ids) for s in t.segments) for t in trajectories]
    token_offsets = _offsets(token_counts)
    starts, ends = _spans(trajectories, token_offsets, text_only)
    segments = [] if text_only else [segment for trajectory in trajectories for segment in trajectory.segments]
    columns: dict[str, npt.NDArray[np.generic]] = {
        "anchor": np.array([turn.state_key for turn in turns], dtype=object),
        "observation": np.array([turn.observation for turn in turns], dtype=object),
        "executable": _flags(turns, lambda turn: turn.action_executable),
        "valid": _flags(turns, lambda turn: turn.action_valid),
    }
    if any(turn.tags for turn in turns):
        columns["tag"] = np.array([turn.tags[0] if turn.tags else "none" for turn in turns], dtype=object)
    if not text_only:
        columns["token_id"] = np.concatenate([np.asarray(s.token_ids, dtype=np.int64) for s in segments])
        columns["logprob"] = np.concatenate([np.asarray(s.logprobs, dtype=np.float64) for s in segments])
        if any(len(t.segments) > 1 for t in trajectories):
            columns["segment"] = np.concatenate(
                [np.full(len(s.token_ids), i) for t in trajectories for i, s in enumerate(t.segments)]
            )
        mask = np.concatenate([np.asarray(s.policy_mask, dtype=np.bool_) for s in segments])
    else:
        mask = np.zeros(0, dtype=np.bool_)
    parents = [rows.get(t.parent_id, -1) if t.parent_id else -1 for t in trajectories]
    return Batch(
        group=np.array([groups[t.group_id] for t in trajectories], dtype=np.int64),
        outcome=np.array([np.nan if t.outcome is None else t.outcome for t in trajectories], dtype=np.float64),
        terminated=np.array([t.terminated for t in trajectories], dtype=np.bool_),
        truncated=np.array([t.truncated for t in trajectories], dtype=np.bool_),
        parent=np.array(parents, dtype=np.int64),
        fork_turn=np.array(
            [t.fork_turn if parent >= 0 else 0 for t, parent in zip(trajectories, parents, strict=True)], dtype=np.int64
        ),
        turn_offsets=_offsets([len(t.turns) for t in trajectories]),
        turn_reward=np.array([turn.attributed for turn in turns], dtype=np.float64),
        owned=_flags(turns, lambda turn: turn.owned),
        turn_start=starts,
        turn_end=ends,
        token_offsets=token_offsets,
        policy_mask=mask,
        extra=columns,
    )


def _check(row: int, trajectory: Trajectory, text_only: bool) -> None:
    name = f"Trajectory {row} ({trajectory.trajectory_id})"
    if not trainable(trajectory):
        why = "a fault left it unscored" if trajectory.fatal is not None else "it has no turn or did not end"
        raise DataError(f"{name} can't be in a batch: {why}. Leave it out (see agentgym.rollout.batch.trainable).")
    if not text_only and (not trajectory.token_faithful or any(t.policy_span is None for t in trajectory.turns)):
        raise DataError(
            f"{name} has no sampled tokens: its policy ({trajectory.policy}) returned none. Training needs a "
            "token-faithful policy; pass text_only=True for turn-level credit."
        )


def _offsets(counts: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)


def _flags(turns: Sequence[Turn], read: Callable[[Turn], bool]) -> npt.NDArray[np.bool_]:
    return np.array([read(turn) for turn in turns], dtype=np.bool_)


def _spans(
    trajectories: Sequence[Trajectory], token_offsets: npt.NDArray[np.int64], text_only: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Flat start and end of what the policy wrote in every turn."""
    if text_only:
        n = sum(len(trajectory.turns) for trajectory in trajectories)
        return np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    starts, ends = [], []
    for trajectory, base in zip(trajectories, token_offsets, strict=False):
        of_segment = _offsets([len(segment.token_ids) for segment in trajectory.segments])
        for turn in trajectory.turns:
            assert turn.policy_span is not None  # _check has seen it
            offset = base + of_segment[turn.policy_span.segment]
            starts.append(offset + turn.policy_span.start)
            ends.append(offset + turn.policy_span.end)
    return np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)
