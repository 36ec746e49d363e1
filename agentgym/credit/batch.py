"""The columnar batch that every credit method reads: N trajectories, K turns, T tokens, flat with offsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from agentgym.credit import building
from agentgym.credit.columns import column_info
from agentgym.credit.errors import CreditError
from agentgym.credit.segments import (
    AnyArray,
    BoolArray,
    FloatArray,
    IntArray,
    factorise,
    fill_spans,
    position_in_segment,
    segment_ids,
    segment_sum,
    span_sum,
)
from agentgym.credit.validation import as_column, check_extra, check_numbers, check_offsets, check_spans, check_tree

_NO_TURN_HINT = " A faulted episode is unscored: leave it out, or give it the reward that it earned."


@dataclass(frozen=True, eq=False)
class Batch:
    """Trajectories as flat arrays, checked on construction and read-only after it.

    Rows of turn columns are in order of trajectory and turn; rows of token columns in order of trajectory and token.
    ``Batch.build`` makes one from lists, ``Batch.from_dense`` from (B, L) matrices.

    Args:
        group: int64[N]. Equal numbers are trajectories of one task instance.
        outcome: float64[N]. Final raw value of the outcome component; NaN where the episode has none.
        terminated: bool[N]. The episode reached an end of the task.
        truncated: bool[N]. A limit ended it.
        parent: int64[N]. Row of the trajectory that this one was forked from; -1 for none.
        fork_turn: int64[N]. Number of leading turns that a fork inherited; 0 without a parent.
        turn_offsets: int64[N + 1]. Turns of trajectory i are rows ``turn_offsets[i]:turn_offsets[i + 1]``.
        turn_reward: float64[K]. Attributed reward of the turn under the run's scheme.
        owned: bool[K]. False for turns inherited from the parent: they are trained once, there. (A fork whose parent
            isn't in the batch has parent -1 and keeps its inherited turns; nobody trains them.)
        turn_start: int64[K]. First token that the policy wrote in the turn, in flat coordinates.
        turn_end: int64[K]. One past the last. Equal to the start only if the trajectory has no tokens at all.
        token_offsets: int64[N + 1]. Tokens of trajectory i are rows ``token_offsets[i]:token_offsets[i + 1]``.
        policy_mask: bool[T]. True on the tokens that the policy sampled and that are trained.
        extra: Optional columns by name, see `agentgym.credit.columns.COLUMNS`.

    Raises:
        CreditError: A column is malformed; the message names it and the first bad row.
    """

    group: IntArray
    outcome: FloatArray
    terminated: BoolArray
    truncated: BoolArray
    parent: IntArray
    fork_turn: IntArray
    turn_offsets: IntArray
    turn_reward: FloatArray
    owned: BoolArray
    turn_start: IntArray
    turn_end: IntArray
    token_offsets: IntArray
    policy_mask: BoolArray
    extra: Mapping[str, AnyArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Checks every column; runs on construction. Raises `CreditError` with the column and the row."""
        n = len(np.asarray(self.group))
        for name, kind in _TRAJECTORY.items():
            self._set(name, as_column(name, getattr(self, name), kind, n, level="trajectory"))
        for name, kind in _TURN.items():
            rows = None if name == "turn_reward" else len(self.turn_reward)
            self._set(name, as_column(name, getattr(self, name), kind, rows, level="turn"))
        self._set("policy_mask", as_column("policy_mask", self.policy_mask, "bool", None, level="token"))
        for name, rows, level in (("turn_offsets", self.n_turns, "turn"), ("token_offsets", self.n_tokens, "token")):
            self._set(name, as_column(name, getattr(self, name), "int", None, level="offset"))
            check_offsets(name, getattr(self, name), n, rows, level)
        empty = np.flatnonzero(np.diff(self.turn_offsets) == 0)
        if len(empty):
            raise CreditError(
                f"Column 'turn_offsets', row {empty[0]}: trajectory {empty[0]} has no turns; leave it out."
            )
        check_numbers("outcome", self.outcome, absent=True)
        check_numbers("turn_reward", self.turn_reward, absent=False, hint=_NO_TURN_HINT)
        check_spans(self)
        check_tree(self)
        self._set("extra", {name: check_extra(self, name) for name in self.extra})

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    # -- constructors ------------------------------------------------------------------------------------------------

    @classmethod
    def build(
        cls,
        groups: Sequence[int | str],
        turn_rewards: Sequence[Sequence[float] | AnyArray],
        *,
        spans: Sequence[Sequence[tuple[int, int]]] | None = None,
        masks: Sequence[Sequence[int] | AnyArray] | None = None,
        outcomes: Sequence[float] | AnyArray | None = None,
        terminated: Sequence[bool] | None = None,
        truncated: Sequence[bool] | None = None,
        parents: Sequence[int] | None = None,
        fork_turns: Sequence[int] | None = None,
        columns: Mapping[str, Sequence[Any] | AnyArray] | None = None,
    ) -> Batch:
        """A batch from one entry a trajectory.

        Args:
            groups: Group of each trajectory; any integers or strings.
            turn_rewards: Rewards of its turns.
            spans: (start, end) of what the policy wrote in each turn, counted from the trajectory's first token.
                Without spans the batch holds text only: no tokens, turn and trajectory credit.
            masks: Policy mask of its tokens; by default 1 exactly inside the spans.
            outcomes: Outcome of each trajectory; absent by default.
            terminated: By default the opposite of ``truncated``.
            truncated: By default False.
            parents: Row of the trajectory that each was forked from; -1 for none.
            fork_turns: Number of inherited turns.
            columns: Optional columns: one value a trajectory, or one list a trajectory with its turns' or tokens'
                values, as the column's level says.
        """
        return cls(
            **building.from_lists(
                groups, turn_rewards, spans, masks, outcomes, terminated, truncated, parents, fork_turns, columns or {}
            )
        )

    @classmethod
    def from_dense(
        cls,
        groups: Sequence[int | str] | AnyArray,
        rewards: npt.ArrayLike,
        mask: npt.ArrayLike,
        *,
        turn_ids: npt.ArrayLike | None = None,
        outcomes: Sequence[float] | AnyArray | None = None,
        columns: Mapping[str, npt.ArrayLike] | None = None,
    ) -> Batch:
        """A batch from the padded matrices that other trainers use.

        Args:
            groups: Group of each of the B rows.
            rewards: (B, L) token rewards. A turn's reward is the sum from its first token to the next turn's first.
                The matrix itself becomes the column ``token_reward``.
            mask: (B, L), 1 on policy tokens.
            turn_ids: (B, L) number of the turn that wrote the token, ascending along a row, negative outside. By
                default every unbroken run of policy tokens is a turn, which is right when the environment writes
                at least one token between two turns.
            outcomes: Outcome of each row; absent by default.
            columns: Optional columns: (B, L) for the token level, (B,) for the trajectory level, (K,) for turns.
        """
        return cls(**building.from_matrices(groups, rewards, mask, turn_ids, outcomes, columns or {}))

    def with_columns(self, columns: Mapping[str, npt.ArrayLike]) -> Batch:
        """The same batch with further (or replaced) optional columns, such as a `Scorer` returns."""
        return replace(self, extra={**self.extra, **{name: np.asarray(value) for name, value in columns.items()}})

    def with_turn_rewards(self, turn_reward: npt.ArrayLike) -> Batch:
        """The same batch with other turn rewards, float[K], and without the column ``token_reward``."""
        extra = {name: value for name, value in self.extra.items() if name != "token_reward"}
        return replace(self, turn_reward=np.asarray(turn_reward), extra=extra)

    def select(self, keep: npt.ArrayLike) -> Batch:
        """The trajectories where ``keep`` (bool[N]) is True, in order.

        Raises:
            CreditError: A kept fork's parent is dropped; nobody would train the turns that it inherited.
        """
        return Batch(**building.selected(self, np.asarray(keep, dtype=np.bool_)))

    # -- shape -------------------------------------------------------------------------------------------------------

    @property
    def n_trajectories(self) -> int:
        """N."""
        return len(self.group)

    @property
    def n_turns(self) -> int:
        """K."""
        return len(self.turn_reward)

    @property
    def n_tokens(self) -> int:
        """T."""
        return len(self.policy_mask)

    @cached_property
    def turn_trajectory(self) -> IntArray:
        """int64[K]: trajectory of each turn."""
        return segment_ids(self.turn_offsets)

    @cached_property
    def turn_index(self) -> IntArray:
        """int64[K]: index of each turn in its trajectory."""
        return position_in_segment(self.turn_offsets)

    @cached_property
    def turn_counts(self) -> IntArray:
        """int64[N]: number of turns."""
        return np.diff(self.turn_offsets)

    @cached_property
    def inherited_turns(self) -> IntArray:
        """int64[N]: number of turns that the trajectory doesn't own; they are its first ones."""
        return self.turn_counts - segment_sum(self.owned, self.turn_offsets).astype(np.int64)

    @cached_property
    def is_last_turn(self) -> BoolArray:
        """bool[K]: the last turn of its trajectory."""
        return np.asarray(self.turn_index == self.turn_counts[self.turn_trajectory] - 1)

    @cached_property
    def group_index(self) -> IntArray:
        """int64[N]: groups as 0..G-1."""
        return np.unique(self.group, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def n_groups(self) -> int:
        """G."""
        return int(self.group_index.max(initial=-1)) + 1

    @cached_property
    def turn_group(self) -> IntArray:
        """int64[K]: group index of each turn."""
        return self.group_index[self.turn_trajectory]

    @cached_property
    def token_trajectory(self) -> IntArray:
        """int64[T]: trajectory of each token."""
        return segment_ids(self.token_offsets)

    @cached_property
    def sequence_offsets(self) -> IntArray:
        """int64[S + 1]: bounds of the token sequences that a model reads; a rewritten context begins another one."""
        begins = np.zeros(self.n_tokens + 1, dtype=np.bool_)
        begins[self.token_offsets] = True
        if "segment" in self.extra:
            begins[1:-1] |= np.diff(self.extra["segment"]) != 0
        return np.flatnonzero(begins)

    @cached_property
    def sequence_trajectory(self) -> IntArray:
        """int64[S]: trajectory of each token sequence."""
        return np.asarray(self.token_trajectory[self.sequence_offsets[:-1]])

    @cached_property
    def token_turn(self) -> IntArray:
        """int64[T]: turn whose span holds the token; -1 outside every span."""
        spread = fill_spans(np.arange(1.0, self.n_turns + 1), self.turn_start, self.turn_end, self.n_tokens)
        return spread.astype(np.int64) - 1

    @cached_property
    def trained(self) -> BoolArray:
        """bool[T]: policy tokens of owned turns; the only places where token advantages are non-zero."""
        if self.owned.all():
            return self.policy_mask
        owned = fill_spans(self.owned.astype(np.float64), self.turn_start, self.turn_end, self.n_tokens) > 0
        return self.policy_mask & owned

    @cached_property
    def turn_tokens(self) -> IntArray:
        """int64[K]: policy tokens of each turn."""
        return span_sum(self.policy_mask, self.turn_start, self.turn_end).astype(np.int64)

    @cached_property
    def turn_last_token(self) -> IntArray:
        """int64[K]: last policy token at or before the turn's end in its trajectory; -1 where there is none."""
        latest = np.maximum.accumulate(np.where(self.policy_mask, np.arange(self.n_tokens), -1))
        latest = np.append(latest, -1)
        found = np.where(self.turn_end > 0, latest[self.turn_end - 1], -1)
        return np.where(found >= self.token_offsets[self.turn_trajectory], found, -1)

    # -- values ------------------------------------------------------------------------------------------------------

    @cached_property
    def episode_return(self) -> FloatArray:
        """float64[N]: undiscounted sum of the turn rewards."""
        return segment_sum(self.turn_reward, self.turn_offsets)

    def outcomes(self, method: str) -> FloatArray:
        """``outcome``, or a `CreditError` that names the first trajectory without one."""
        absent = np.flatnonzero(np.isnan(self.outcome))
        if len(absent):
            raise CreditError(
                f"Column 'outcome', row {absent[0]}: NaN, and {method} needs every outcome. The rollout writes it from "
                "the environment's outcome component; leave unscored episodes out, or use reward='return'."
            )
        return self.outcome

    def require_tokens(self) -> None:
        """Raises `CreditError` if a trajectory has no tokens: a method for tokens would silently give it nothing."""
        bare = np.flatnonzero(np.diff(self.token_offsets) == 0)
        if len(bare):
            raise CreditError(
                f"Column 'token_offsets', row {bare[0]}: trajectory {bare[0]} has no tokens, and this method gives "
                "credit to tokens. Use a method for turns, or a policy that returns its tokens."
            )

    def column(self, name: str, *, whole: bool = False) -> Any:
        """The optional column, or a `CreditError` that names its level and producer.

        Args:
            name: A name of `COLUMNS`.
            whole: Refuse NaN even where the column may be absent.
        """
        info = column_info(name)
        if name not in self.extra:
            raise CreditError(
                f"The batch lacks the column {name!r} (one value a {info.level}, {info.unit}): {info.meaning} "
                f"It is produced by: {info.producer}."
            )
        if whole:
            check_numbers(name, self.extra[name], absent=False)
        return self.extra[name]

    def codes(self, name: str) -> IntArray:
        """A label column as dense integer codes in order of first appearance."""
        labels = self.column(name)
        return factorise(labels)

    @cached_property
    def token_rewards(self) -> FloatArray:
        """float64[T]: the column ``token_reward``, or without it each turn reward at the turn's last policy token.

        A turn whose tokens are all masked out pays at the last policy token before it.
        """
        if "token_reward" in self.extra:
            return self.extra["token_reward"]  # type: ignore[return-value]
        return self.at_turn_ends(self.turn_reward)

    def at_turn_ends(self, turn_values: FloatArray) -> FloatArray:
        """float64[T]: the values at each turn's last policy token, 0 elsewhere; added up where turns share one."""
        out = np.zeros(self.n_tokens)
        placed = self.turn_last_token >= 0
        np.add.at(out, self.turn_last_token[placed], turn_values[placed])
        return out

    def over_turns(self, turn_values: FloatArray) -> FloatArray:
        """float64[T]: each turn's value on the trained tokens of the turn, 0 elsewhere."""
        spread = fill_spans(turn_values, self.turn_start, self.turn_end, self.n_tokens)
        np.putmask(spread, ~self.trained, 0.0)
        return spread

    def per_turn(self, token_values: npt.NDArray[np.generic]) -> FloatArray:
        """float64[K]: sum of the values over the policy tokens of each turn."""
        kept = np.where(self.policy_mask, token_values, 0)
        return span_sum(kept, self.turn_start, self.turn_end)

    def dense(self, token_values: npt.NDArray[Any], fill: float = 0.0) -> npt.NDArray[Any]:
        """(N, L): flat token values as a padded matrix."""
        lengths = np.diff(self.token_offsets)
        out = np.full((self.n_trajectories, int(lengths.max(initial=0))), fill, dtype=token_values.dtype)
        out[np.arange(out.shape[1]) < lengths[:, None]] = token_values
        return out


_TRAJECTORY: dict[str, Any] = {
    "group": "int",
    "outcome": "float",
    "terminated": "bool",
    "truncated": "bool",
    "parent": "int",
    "fork_turn": "int",
}
_TURN: dict[str, Any] = {"turn_reward": "float", "owned": "bool", "turn_start": "int", "turn_end": "int"}
FIXED_COLUMNS = tuple(f.name for f in fields(Batch) if f.name != "extra")
"""Names of the columns that every batch has."""
