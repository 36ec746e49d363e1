"""Which scorer fills in which column, and how to make it from the policy."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from agentgym.core.errors import ConfigError
from agentgym.credit import COLUMNS, Batch, find
from agentgym.training.config import TrainConfig
from agentgym.training.logprobs import LogprobScorer


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


def _progress(model: Any, config: TrainConfig) -> LearnedScorer:
    from agentgym.training.progress import ProgressEstimator, ProgressScorer

    estimator = ProgressEstimator(copy.deepcopy(model), config.seed)
    return ProgressScorer(estimator, seed=config.seed, max_tokens=config.rl.max_tokens, **config.credit.scorer)


def _implicit_prm(model: Any, config: TrainConfig) -> LearnedScorer:
    from agentgym.training.implicit_prm import ImplicitPrmScorer

    return ImplicitPrmScorer(
        copy.deepcopy(model),
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


def _reference(model: Any, config: TrainConfig) -> LearnedScorer:
    return ReferenceScorer(model, config.sampling.temperature, config.rl.max_tokens)


MAKERS: dict[str, Callable[[Any, TrainConfig], LearnedScorer]] = {
    "progress": _progress,
    "prm_logprob": _implicit_prm,
    "ref_logprob": _reference,
}
"""Column -> what makes its scorer from a copy of the policy's model."""

FROM_ROLLOUTS = ("token_id", "logprob", "anchor", "observation", "executable", "valid", "tag")
"""Columns that every batch of ours has, or that the environment gives."""


def scorers_for(config: TrainConfig, model: Any) -> dict[str, LearnedScorer]:
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
            scorers[name] = MAKERS[name](model, config)
        except TypeError as error:
            raise ConfigError(f"credit.scorer: {error}") from error
    return scorers
