"""Which scorer fills in which column, and how to make it from the policy."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from agentgym.core.errors import ConfigError
from agentgym.core.records import Trajectory
from agentgym.credit import COLUMNS, Batch, find
from agentgym.training.config import TrainConfig
from agentgym.training.logprobs import LogprobScorer

if TYPE_CHECKING:
    from agentgym.training.belief_engines import Engine
    from agentgym.training.beliefs import Accepted, Template


class LearnedScorer(Protocol):
    """A scorer that is trained beside the policy."""

    def __call__(self, batch: Batch, model: Any = None) -> Mapping[str, npt.NDArray[np.generic]]:
        """Columns by name."""
        ...

    def fit(self, batch: Batch) -> dict[str, float]:
        """Learns from a batch; returns metrics."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next ``fit`` depends on."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where ``state_dict`` was taken."""
        ...


def _progress(policy: Any, config: TrainConfig) -> LearnedScorer:
    from agentgym.training.progress import ProgressEstimator, ProgressScorer

    estimator = ProgressEstimator(copy.deepcopy(policy.model), config.seed)
    return ProgressScorer(estimator, seed=config.seed, max_tokens=config.rl.max_tokens, **config.credit.scorer)


def _implicit_prm(policy: Any, config: TrainConfig) -> LearnedScorer:
    from agentgym.training.implicit_prm import ImplicitPrmScorer

    return ImplicitPrmScorer(
        copy.deepcopy(policy.model),
        temperature=config.sampling.temperature,
        max_tokens=config.rl.max_tokens,
        **config.credit.scorer,
    )


class ReferenceScorer:
    """``ref_logprob`` under a frozen copy of a model: the policy at the start of RL. Learns nothing.

    Args:
        model: What is copied.
        temperature: Of the sampling.
        max_tokens: Padded tokens of one forward pass.
    """

    def __init__(self, model: Any, temperature: float, max_tokens: int) -> None:
        self._model = copy.deepcopy(model).requires_grad_(False)
        self._score = LogprobScorer("ref_logprob", temperature, max_tokens)

    def __call__(self, batch: Batch, model: Any = None) -> Mapping[str, npt.NDArray[np.generic]]:
        """The column. ``model`` isn't used."""
        return self._score(batch, self._model)

    def fit(self, batch: Batch) -> dict[str, float]:
        """Nothing."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """The frozen weights."""
        return {"model": self._model.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of ``state_dict``."""
        self._model.load_state_dict(state["model"])


def _reference(policy: Any, config: TrainConfig) -> LearnedScorer:
    return ReferenceScorer(policy.model, config.sampling.temperature, config.rl.max_tokens)


class PolicyBeliefs:
    """``belief`` under the policy as it stands. Learns nothing; needs the records that a batch was made of (`read`).

    Args:
        tokenizer: The policy's.
        template: Text around the answer, with ``{answer}`` in it. Empty: what the environment names in the records'
            reference (``belief_template``), else the paper's.
        accepted: With several answers, belief in the ``first`` or in the likeliest (``max``).
        engine: How to compute it: ``auto``, ``packed``, ``cached`` or ``naive``.
    """

    def __init__(
        self, tokenizer: Any, *, template: str = "", accepted: Accepted = "first", engine: Engine = "auto"
    ) -> None:
        self._tokenizer = tokenizer
        self._accepted: Accepted = accepted
        self._engine: Engine = engine
        self._template = belief_template(template) if template else None
        self._records: Sequence[Trajectory] = ()

    def read(self, records: Sequence[Trajectory]) -> None:
        """The records of the next batch, in its order."""
        self._records = records

    def __call__(self, batch: Batch, model: Any = None) -> Mapping[str, npt.NDArray[np.generic]]:
        """The column. Raises DataError where the records aren't the batch's."""
        from agentgym.training.beliefs import PAPER, BeliefScorer

        named = next((r.reference["belief_template"] for r in self._records if "belief_template" in r.reference), None)
        template = self._template or (PAPER if named is None else belief_template(str(named)))
        score = BeliefScorer(self._tokenizer, self._records, template, self._accepted, self._engine)
        return score(batch, model)

    def fit(self, batch: Batch) -> dict[str, float]:
        """Nothing."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the policy's weights are saved with the policy."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of ``state_dict``."""


def belief_template(text: str) -> Template:
    """A belief's template from text with ``{answer}`` in it.

    Raises:
        ConfigError: ``{answer}`` isn't in it exactly once.
    """
    from agentgym.training.beliefs import Template

    before, mark, after = text.partition("{answer}")
    if not mark or "{answer}" in after:
        raise ConfigError(f"The template of a belief must hold {{answer}} exactly once, got {text!r}.")
    return Template(before, after)


def _beliefs(policy: Any, config: TrainConfig) -> LearnedScorer:
    return PolicyBeliefs(policy.tokenizer, **config.credit.scorer)


def _judged(policy: Any, config: TrainConfig) -> LearnedScorer:
    from agentgym.training.judged import JudgeScorer

    return JudgeScorer(**config.credit.scorer)


MAKERS: dict[str, Callable[[Any, TrainConfig], LearnedScorer]] = {
    "progress": _progress,
    "prm_logprob": _implicit_prm,
    "ref_logprob": _reference,
    "belief": _beliefs,
    "process_reward": _judged,
}
"""Column -> what makes its scorer from the policy; those that learn copy its model."""

FROM_ROLLOUTS = ("token_id", "logprob", "anchor", "observation", "executable", "valid", "tag")
"""Columns that every batch of ours has, or that the environment gives."""


def scorers_for(config: TrainConfig, policy: Any) -> dict[str, LearnedScorer]:
    """The scorers that the configured credit method and the KL term need, by column.

    Raises:
        ConfigError: The method needs a column that the trainer has no scorer for.
    """
    info, _ = find(config.credit.method)
    scorers: dict[str, LearnedScorer] = {}
    needs = [name for name in info.needs if name in COLUMNS and name not in FROM_ROLLOUTS]
    if config.rl.kl_coef:
        needs.append("ref_logprob")
    for name in needs:
        if name not in MAKERS:
            raise ConfigError(
                f"The credit method {config.credit.method!r} needs the column {name!r} (produced by "
                f"{COLUMNS[name].producer}), and the trainer has no scorer for it. It has: {', '.join(MAKERS)}."
            )
        try:
            scorers[name] = MAKERS[name](policy, config)
        except TypeError as error:
            raise ConfigError(f"credit.scorer: {error}") from error
    return scorers


def fill(
    scorers: Mapping[str, LearnedScorer], batch: Batch, records: Sequence[Trajectory], model: Any
) -> tuple[Batch, dict[str, float]]:
    """The batch with every scorer's columns, and the metrics of those that learn, which they do first.

    Args:
        scorers: From ``scorers_for``.
        batch: The batch.
        records: What it was made of, in its order.
        model: The policy's.
    """
    metrics: dict[str, float] = {}
    for scorer in scorers.values():
        read = getattr(scorer, "read", None)
        if read is not None:
            read(records)
        metrics |= scorer.fit(batch)
        batch = batch.with_columns(scorer(batch, model))
    return batch, metrics
