"""The optional columns of a `Batch`: which level each lives on, its unit, who produces it and what it means."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agentgym.credit.errors import CreditError

Level = Literal["token", "turn", "trajectory"]
Kind = Literal["float", "int", "bool", "label"]


@dataclass(frozen=True)
class Column:
    """One optional column.

    Args:
        name: Key in ``Batch.extra``.
        level: One row a token, a turn or a trajectory.
        kind: ``float``, ``int``, ``bool``, or ``label`` (integers or strings that are only compared for equality).
        unit: What a value counts.
        producer: Who fills the column in.
        meaning: One sentence.
        absent: Whether NaN may stand for "not known"; absent is not zero.
        axes: What a second axis counts; empty for one number a row.
        lower: Smallest value that makes sense; None for no bound.
        upper: Largest value that makes sense; None for no bound.
    """

    name: str
    level: Level
    kind: Kind
    unit: str
    producer: str
    meaning: str
    absent: bool = False
    axes: str = ""
    lower: float | None = None
    upper: float | None = None


_ALL = (
    Column("token_id", "token", "int", "id", "rollout", "Token ids as sampled or as the environment wrote them."),
    Column(
        "logprob",
        "token",
        "float",
        "nats",
        "rollout",
        "Log-probability under the behaviour policy, recorded at sampling.",
    ),
    Column(
        "segment",
        "token",
        "int",
        "index",
        "rollout",
        "Which of its trajectory's token sequences the token is in; without the column each trajectory is one.",
        lower=0.0,
    ),
    Column(
        "learner_logprob",
        "token",
        "float",
        "nats",
        "training.logprobs",
        "Log-probability under the learner before the update.",
    ),
    Column(
        "rollout_weight",
        "token",
        "float",
        "ratio",
        "training.correction",
        "Importance weight of the learner over the engine that sampled, by which the token's loss is multiplied.",
        lower=0.0,
    ),
    Column(
        "ref_logprob",
        "token",
        "float",
        "nats",
        "training.logprobs",
        "Log-probability under the frozen reference policy.",
    ),
    Column(
        "prm_logprob",
        "token",
        "float",
        "nats",
        "training.implicit_prm",
        "Log-probability under the implicit reward model.",
    ),
    Column(
        "value",
        "token",
        "float",
        "reward",
        "a critic",
        "Expected return from the state in which this token is written.",
    ),
    Column(
        "token_reward", "token", "float", "reward", "a scorer", "Reward a token, in place of the rewards at turn ends."
    ),
    Column("token_process_reward", "token", "float", "reward", "a scorer", "Process reward a token (PRIME)."),
    Column(
        "attention",
        "token",
        "float",
        "weight",
        "a reward model",
        "Attention that the reward model's last row pays to the token.",
        lower=0.0,
    ),
    Column(
        "prefix_score",
        "token",
        "float",
        "reward",
        "a reward model",
        "Reward model's score of the text up to and with the token.",
    ),
    Column(
        "turn_value", "turn", "float", "reward", "a critic", "Expected return from the state in which the turn begins."
    ),
    Column("anchor", "turn", "label", "key", "rollout (state_key)", "Key of the state in which the turn begins."),
    Column("observation", "turn", "label", "text", "rollout", "Text that the turn answers, for anchors by similarity."),
    Column(
        "progress",
        "turn",
        "float",
        "reward",
        "training.progress",
        "Estimated contribution of the turn to the outcome (SPA).",
    ),
    Column(
        "belief",
        "turn",
        "float",
        "nats",
        "training.beliefs",
        "Mean log-probability of the accepted answer before the turn: K turns have K beliefs and K-1 gains.",
        absent=True,
        upper=1e-6,
    ),
    Column(
        "process_reward",
        "turn",
        "float",
        "reward",
        "a scorer",
        "Score of the turn by a process reward model or a rule.",
        True,
    ),
    Column(
        "prm_logits", "turn", "float", "logit", "a process reward model", "Logits (bad, good) of the turn.", axes="2"
    ),
    Column(
        "executable", "turn", "bool", "flag", "rollout", "The action could be carried out (SPA's grounding signal)."
    ),
    Column("valid", "turn", "bool", "flag", "rollout", "The message could be parsed."),
    Column("tool_result", "turn", "bool", "flag", "rollout", "The environment answered the turn with a tool's result."),
    Column(
        "tag", "turn", "label", "name", "rollout (tags)", "What the turn does: plan, explore, reflect, ... (RLVMR)."
    ),
    Column("format_reward", "turn", "float", "reward", "rollout (components)", "Reward for the turn's form (PORTool)."),
    Column(
        "test_passed",
        "turn",
        "float",
        "flag",
        "rollout",
        "1 or 0 a unit test after the turn; NaN: not run then, or no such test.",
        True,
        "tests",
        lower=0.0,
        upper=1.0,
    ),
    Column(
        "greedy_return",
        "trajectory",
        "float",
        "reward",
        "rollout",
        "Return of the greedy episode on the same task (ReMax).",
    ),
    Column(
        "bootstrap_value",
        "trajectory",
        "float",
        "reward",
        "a critic",
        "Expected return after the last turn of a truncated episode.",
    ),
    Column(
        "prompt_score",
        "trajectory",
        "float",
        "reward",
        "a reward model",
        "Reward model's score of the empty response (RED).",
    ),
    Column(
        "component_reward",
        "trajectory",
        "float",
        "reward",
        "rollout (components)",
        "Final values of several rewards; NaN: the reward doesn't apply (GDPO).",
        True,
        "components",
    ),
    Column(
        "arena_reward", "trajectory", "float", "reward", "credit.arena", "Standardised rank from pairwise judgements."
    ),
    Column("selected", "trajectory", "bool", "flag", "credit.prof, credit.dcpo", "Whether to train on the trajectory."),
    Column(
        "test_reward", "turn", "float", "reward", "credit.verpo", "Difficulty-weighted share of tests newly passed."
    ),
)

COLUMNS: dict[str, Column] = {column.name: column for column in _ALL}
"""Every optional column by name."""


def register_column(column: Column) -> Column:
    """Makes a further optional column known, so that third-party methods can ask for it by name."""
    known = COLUMNS.get(column.name)
    if known is not None and known != column:
        raise CreditError(f"Column {column.name!r} is already registered with another meaning: {known.meaning}")
    COLUMNS[column.name] = column
    return column


def column_info(name: str) -> Column:
    """The registered column of that name; a `CreditError` with the closest names otherwise."""
    if name not in COLUMNS:
        raise CreditError(f"Unknown column {name!r}.{suggestion(name, COLUMNS)} Known columns: {', '.join(COLUMNS)}.")
    return COLUMNS[name]


def suggestion(name: str, known: Iterable[str]) -> str:
    """``" Did you mean 'a'?"`` for the closest known names, else an empty string."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
