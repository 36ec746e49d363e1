"""What generates the episodes of a training run: the learner's own model, or an engine that is given its weights."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from agentgym.core.errors import ConfigError
from agentgym.core.policy import Policy
from agentgym.core.registry import load
from agentgym.training.config import TrainConfig

Metrics = dict[str, float]


class Engine(Protocol):
    """Generates with the weights that it was given last."""

    policy: Policy
    own_weights: bool
    """Whether it holds a copy of the weights, so that it can generate while the learner changes its own."""

    def sync(self, version: int) -> Metrics:
        """Takes over the learner's weights, which are now those of ``version``; returns what to log.

        Raises:
            Fault: Engine and learner disagree afterwards.
        """
        ...

    def sleep(self) -> None:
        """Frees what the learner can use, until ``wake``."""
        ...

    def wake(self) -> None:
        """Makes it ready to generate."""
        ...

    def close(self) -> None:
        """Ends it. Safe to call twice."""
        ...


class TorchEngine:
    """The learner's own model in this process: nothing to hand over, nothing to free.

    Args:
        learner: A ``TransformersPolicy``.
    """

    own_weights = False

    def __init__(self, learner: Any) -> None:
        self.policy = learner

    def sync(self, version: int) -> Metrics:
        """Nothing: whoever changes the model tells its policy."""
        return {}

    def sleep(self) -> None:
        """Nothing: the weights are the learner's."""

    def wake(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing: the learner closes its model."""


class VLLMEngine:
    """vLLM with a copy of the learner's model; it starts from the weights as they stand.

    Args:
        learner: A ``TransformersPolicy``: model and tokenizer.
        arguments: Of the policy ``vllm``; ``base_url`` names servers that run the model already.
        sleeps: Whether ``sleep`` will be called.

    Raises:
        ConfigError: vLLM or its server refuses the model or an argument.
    """

    own_weights = True

    def __init__(self, learner: Any, arguments: dict[str, Any], *, sleeps: bool = False) -> None:
        self._learner = learner
        self._folder: Path | None = None
        build: Callable[..., Any] = load("agentgym.policies:POLICIES").get("vllm")
        if "base_url" not in arguments:
            self._folder = Path(tempfile.mkdtemp(prefix="agentgym-engine-"))
            _write(learner, self._folder)
            arguments = {**arguments, "model": str(self._folder)}
            if sleeps:
                arguments["engine_args"] = {**arguments.get("engine_args", {}), "enable_sleep_mode": True}
        elif sleeps:
            raise ConfigError("engine.sleep needs an engine in this process; servers keep their memory.")
        try:
            self.policy: Any = build(**arguments)
        except TypeError as error:
            self._forget()
            raise ConfigError(f"engine.arguments: {error}") from error
        except BaseException:
            self._forget()
            raise

    def sync(self, version: int) -> Metrics:
        """See ``Engine.sync``."""
        return {"sync_gap": self.policy.update_weights(self._learner.model, version)}

    def sleep(self) -> None:
        """See ``Engine.sleep``."""
        self.policy.sleep()

    def wake(self) -> None:
        """See ``Engine.wake``."""
        self.policy.wake()

    def close(self) -> None:
        """See ``Engine.close``."""
        self.policy.close()
        self._forget()

    def _forget(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _write(learner: Any, folder: Path) -> None:
    """The learner where vLLM can load it: adapters merged in, which ``save_pretrained`` would leave out."""
    model = learner.model.get_base_model() if hasattr(learner.model, "peft_config") else learner.model
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]  # a model that was never saved hasn't named its class
    config.save_pretrained(folder)
    learner.tokenizer.save_pretrained(folder)
    load("agentgym.policies.vllm.weights:save")(learner.model, folder)


def make_engine(config: TrainConfig, learner: Any) -> Engine:
    """The engine that the configuration names. ``learner``: a ``TransformersPolicy``."""
    section = config.engine
    return (
        TorchEngine(learner)
        if section.name == "torch"
        else VLLMEngine(learner, section.arguments, sleeps=section.sleep)
    )
