"""Process rewards by a language model: a `Scorer` over stored episodes, and its agreement with people's choices."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from agentgym.core.errors import ConfigError, DataError
from agentgym.core.judging import Judge, make_judge
from agentgym.core.records import Trajectory, Turn
from agentgym.credit import Batch
from agentgym.policies.step_judge import PRINCIPLES, Candidate, Situation, StepJudge

Mode = Literal["rate", "prefer"]


class JudgeScorer:
    """``process_reward``, one number in [0, 1] a turn, by a `StepJudge`. Learns nothing.

    Args:
        judge: A judge, or a table for `agentgym.core.judging.make_judge`.
        mode: ``rate``: every turn by itself. ``prefer``: among different actions that a group's episodes took in equal
            states, the share of comparisons that the turn's action won (a half where undecided); NaN where all took the
            same.
        principles: For the judge.
        both_orders: See ``StepJudge``.

    Raises:
        ConfigError: There is no judge, or no such mode.
    """

    def __init__(
        self,
        judge: Judge | Mapping[str, Any] | None = None,
        *,
        mode: Mode = "rate",
        principles: Sequence[str] = PRINCIPLES,
        both_orders: bool = False,
    ) -> None:
        found = make_judge(judge)
        if found is None:
            raise ConfigError("Process rewards need a judge: credit.scorer = {judge = {model = ..., base_url = ...}}.")
        if mode not in ("rate", "prefer"):
            raise ConfigError(f"mode is 'rate' or 'prefer', got {mode!r}.")
        self._judge = StepJudge(found, principles, both_orders=both_orders)
        self._mode: Mode = mode
        self._records: Sequence[Trajectory] = ()

    def read(self, records: Sequence[Trajectory]) -> None:
        """The records of the next batch, in its order."""
        self._records = records

    def __call__(self, batch: Batch, model: Any = None) -> Mapping[str, npt.NDArray[np.generic]]:
        """The column ``process_reward``; NaN where the judge's replies are malformed.

        Raises:
            DataError: The records aren't the batch's.
        """
        counts = [len(record.turns) for record in self._records]
        if counts != batch.turn_counts.tolist():
            raise DataError(
                f"process_reward: the batch has {batch.n_trajectories} trajectories with {batch.n_turns} turns, the"
                f" records that were read {len(counts)} with {sum(counts)}."
            )
        values = self._rated() if self._mode == "rate" else self._preferred(batch)
        return {"process_reward": np.array(values, dtype=np.float64)}

    def _rated(self) -> list[float]:
        values: list[float] = []
        known: dict[tuple[str, int], float] = {}
        for record in self._records:
            for number, turn in enumerate(record.turns):
                key = (record.parent_id or record.trajectory_id, number)
                if turn.owned or key not in known:
                    rating = self._judge.rate(_situation(record, number), Candidate(turn.message))
                    known[key] = rating.value if rating is not None else float("nan")
                values.append(known[key])
        return values

    def _preferred(self, batch: Batch) -> list[float]:
        states: dict[tuple[int, str], dict[str, tuple[Trajectory, int, Turn]]] = {}
        places: list[tuple[tuple[int, str], str]] = []
        for group, record in zip(batch.group_index.tolist(), self._records, strict=True):
            for number, turn in enumerate(record.turns):
                state, action = (group, turn.state_key), turn.action or turn.message
                states.setdefault(state, {}).setdefault(action, (record, number, turn))
                places.append((state, action))
        shares = {state: self._shares(actions) for state, actions in states.items()}
        return [shares[state][action] for state, action in places]

    def _shares(self, actions: Mapping[str, tuple[Trajectory, int, Turn]]) -> dict[str, float]:
        """Share of comparisons that each action of a state wins; NaN where there is nothing to compare."""
        names = list(actions)
        if len(names) < 2:
            return {name: float("nan") for name in names}
        won = dict.fromkeys(names, 0.0)
        for place, first in enumerate(names):
            for second in names[place + 1 :]:
                record, number, turn = actions[first]
                rival = actions[second][2]
                preference = self._judge.prefer(
                    _situation(record, number), Candidate(turn.message), Candidate(rival.message)
                )
                won[first] += 0.5 if preference.winner is None else float(preference.winner == 0)
                won[second] += 0.5 if preference.winner is None else float(preference.winner == 1)
        return {name: value / (len(names) - 1) for name, value in won.items()}

    def fit(self, batch: Batch) -> dict[str, float]:
        """Nothing."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of ``state_dict``."""


def _situation(record: Trajectory, number: int) -> Situation:
    turns = record.turns
    return Situation(turns[0].observation, [turn.message for turn in turns[:number]], turns[number].observation)


# ------------------------------------------------------------------ agreement with people's choices


@dataclass(frozen=True)
class Choice:
    """One state with the action that people chose and those that they didn't."""

    situation: Situation
    chosen: str
    rejected: tuple[str, ...]


def read_choices(path: str | Path) -> list[Choice]:
    """Choices from JSON lines or a JSON list, such as an export of WebPRMBench or of WPRM's preference data.

    A row has ``intent``, ``text_observation`` (or ``observation``), ``chosen`` and ``rejected``: texts, lists of texts,
    or chat messages, the last of which counts; ``trajectory`` (what was done, as text or a list) may be there. Rows
    with the same state and chosen action are one choice: WebPRMBench has four pairs a state.

    Raises:
        DataError: A row can't be read.
    """
    text = Path(path).read_text(encoding="utf-8")
    try:
        rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(x) for x in text.splitlines() if x]
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}") from None
    found: dict[tuple[str, str, str, str], Choice] = {}
    for number, row in enumerate(rows):
        try:
            choice = _choice(row)
        except (KeyError, TypeError, IndexError) as error:
            raise DataError(f"{path}, row {number}: {type(error).__name__}: {error}") from None
        key = (choice.situation.task, choice.situation.observation, str(choice.situation.history), choice.chosen)
        before = found.get(key)
        found[key] = Choice(choice.situation, choice.chosen, (before.rejected if before else ()) + choice.rejected)
    return list(found.values())


def _choice(row: Mapping[str, Any]) -> Choice:
    history = row.get("trajectory") or []
    observation = row.get("text_observation", row.get("observation"))
    if not isinstance(row["intent"], str) or not isinstance(observation, str):
        raise TypeError("intent and text_observation must be texts")
    done = [history] if isinstance(history, str) else [str(item) for item in history]
    rejected = row["rejected"]
    several = isinstance(rejected, list) and not _is_chat(rejected)
    return Choice(
        Situation(row["intent"], done, observation),
        _message(row["chosen"]),
        tuple(_message(item) for item in rejected) if several else (_message(rejected),),
    )


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _message(value: Any) -> str:
    if _is_chat(value):
        value = value[-1]["content"]
    if not isinstance(value, str):
        raise TypeError(f"an action must be a text or chat messages, got {type(value).__name__}")
    return value


def agreement(judge: StepJudge, choices: Iterable[Choice]) -> dict[str, float]:
    """How often a judge prefers what people chose.

    Returns:
        ``pairwise``: share of pairs; ``best_of_n``: share of states in which the chosen action wins all its pairs, as
        WebPRMBench counts; ``undecided``: share of pairs without a verdict, which count as wrong; ``pairs`` and
        ``states``. The chosen action stands first in every other pair.
    """
    right, undecided, pairs, states, best = 0, 0, 0, 0, 0
    for choice in choices:
        wins = 0
        for rejected in choice.rejected:
            place = pairs % 2
            both = [Candidate(choice.chosen), Candidate(rejected)]
            winner = judge.prefer(choice.situation, both[place], both[1 - place]).winner
            wins += winner == place
            undecided += winner is None
            pairs += 1
        right += wins
        states += 1
        best += wins == len(choice.rejected)
    return {
        "pairwise": right / max(pairs, 1),
        "best_of_n": best / max(states, 1),
        "undecided": undecided / max(pairs, 1),
        "pairs": float(pairs),
        "states": float(states),
    }
