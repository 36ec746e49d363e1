"""Configuration of a training run: a small tree of typed dataclasses, from TOML and ``--set`` flags.

Unknown keys are errors with a suggestion; wrong types say what was expected. Every field is documented in place.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from agentgym.core.errors import ConfigError, did_you_mean
from agentgym.core.policy import Sampling

T = TypeVar("T")


@dataclass(frozen=True)
class EnvSection:
    """What is played."""

    id: str = "agentgym/ShoppingTiny-v0"
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of the environment: scheme, max_turns, and those of its game."""
    split: str = "train"
    curriculum: tuple[float, ...] = ()
    """Difficulty window (low, high) at the start and (low, high) at the end. Empty: all tasks throughout."""


@dataclass(frozen=True)
class ModelSection:
    """What plays and learns."""

    path: str = "tiny"
    """``tiny`` builds a small model from the environment's own text; else a local path or a name on the hub."""
    layers: int = 4
    """Of ``tiny``."""
    hidden: int = 128
    """Of ``tiny``."""
    context: int = 1024
    """Of ``tiny``, in tokens."""
    device: str = ""
    """Empty: a GPU if there is one."""
    lora_rank: int = 0
    """0 trains all weights."""
    lora_alpha: int = 32
    threads: int = 0
    """CPU threads of torch; 0 leaves torch's default."""


@dataclass(frozen=True)
class WarmStartSection:
    """Supervised learning on the expert's episodes, before RL."""

    steps: int = 0
    batch_size: int = 32
    """Episodes a step; every step plays new ones."""
    learning_rate: float = 3e-3
    matrix_learning_rate: float = 0.0
    """Of Muon, for the matrices inside the layers; 0.03 suits ``tiny``, which learns far faster with it. 0: AdamW for
    everything."""
    warmup: float = 0.1
    """Share of the steps over which the learning rate rises; it falls to a tenth along a cosine after it."""
    weight_decay: float = 0.01
    mistake_rate: float = 0.0
    """Probability that the expert's message is a plausible wrong one."""
    observation_weight: float = 0.5
    """Weight of predicting what the environment says, next to the expert's messages. 0: messages alone."""


@dataclass(frozen=True)
class RLSection:
    """Policy-gradient updates."""

    updates: int = 0
    groups: int = 16
    """Tasks an update."""
    group_size: int = 8
    """Episodes a task."""
    spare_groups: int = 0
    """Further groups in play, so that no update waits for the slowest episode: an update takes the oldest groups that
    have ended, the others go on with the next weights. A run that is resumed begins them again."""
    carry: Literal["keep", "drop"] = "keep"
    """Episodes in flight at an update: go on, each token stamped with its weights, or begin again."""
    learning_rate: float = 3e-4
    warmup_updates: int = 0
    """Updates over which the learning rate rises linearly."""
    weight_decay: float = 0.0
    epochs: int = 1
    """Passes over the episodes of an update."""
    minibatches: int = 1
    """Optimizer steps a pass."""
    loss: Literal["ppo", "gspo", "cispo"] = "ppo"
    clip_low: float = 0.2
    clip_high: float = 0.2
    dual_clip: float = 0.0
    """Of ``ppo``; 0 for none."""
    aggregation: Literal["token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"] = (
        "token-mean"
    )
    kl_coef: float = 0.0
    """Weight of the KL to the policy at the start of RL; 0 keeps no reference."""
    kl: Literal["k1", "abs", "k2", "k3"] = "k3"
    entropy_coef: float = 0.0
    max_grad_norm: float = 1.0
    max_tokens: int = 16_384
    """Padded tokens of one forward pass; gradients of several are accumulated."""

    def __post_init__(self) -> None:
        if self.spare_groups < 0:
            raise ConfigError(f"rl.spare_groups must be at least 0, got {self.spare_groups}.")


@dataclass(frozen=True)
class EngineSection:
    """What generates the episodes of RL."""

    name: Literal["torch", "vllm"] = "torch"
    """``torch``: the learner's own model in this process. ``vllm``: an engine that gets new weights after every
    update."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Of the policy ``vllm``, such as ``gpu_memory_utilization`` or ``base_url``."""
    steps_off: Literal[0, 1] = 0
    """0: every batch is sampled with the newest weights. 1: the next batch is sampled while the learner works on this
    one, with weights that are one update old."""
    sleep: bool = False
    """Whether the engine frees its GPU memory while the learner works: for one GPU that both share."""
    correction: Literal["none", "token", "turn", "sequence"] = "token"
    """Of what the importance weights π_old / μ are that correct the loss for an engine with weights of its own."""
    correction_outside: Literal["truncate", "mask"] = "truncate"
    """Weights outside the bounds are cut to them (TIS), or their tokens left out (MIS)."""
    correction_high: float = 2.0
    """Upper bound."""

    def __post_init__(self) -> None:
        if self.name == "torch" and (self.steps_off or self.sleep or self.arguments):
            raise ConfigError(
                "engine.steps_off, engine.sleep and engine.arguments need an engine with weights of its own: set "
                "engine.name to 'vllm'."
            )
        if self.steps_off and self.sleep:
            raise ConfigError("An engine that sleeps while the learner works can't sample then: set steps_off to 0.")
        if self.correction_high <= 0:
            raise ConfigError(f"engine.correction_high must be above 0, got {self.correction_high}.")


@dataclass(frozen=True)
class CreditSection:
    """How episodes become advantages."""

    method: str = "grpo"
    """A method or preset of ``agentgym credit list``."""
    parameters: dict[str, Any] = field(default_factory=dict)
    scorer: dict[str, Any] = field(default_factory=dict)
    """Arguments of the scorer that the method needs (progress estimator, implicit reward model)."""
    scorer_warmup: int = 0
    """Batches of episodes on which the scorer is trained before the first update."""


@dataclass(frozen=True)
class EvaluationSection:
    """Held-out evaluation."""

    every: int = 0
    """Updates between evaluations; 0 evaluates at the end only."""
    tasks: int = 200
    split: str = "test"
    greedy: bool = True
    sampled: bool = True


@dataclass(frozen=True)
class LogSection:
    """Where metrics go besides ``metrics.jsonl``."""

    tensorboard: bool = False
    wandb: str = ""
    """Project on W&B; empty for none."""
    save_every: int = 10
    """Updates between checkpoints; warm-start steps count tenfold."""


@dataclass(frozen=True)
class TrainConfig:
    """A training run."""

    env: EnvSection = field(default_factory=EnvSection)
    model: ModelSection = field(default_factory=ModelSection)
    sampling: Sampling = field(default_factory=lambda: Sampling(max_tokens=24))
    warm_start: WarmStartSection = field(default_factory=WarmStartSection)
    rl: RLSection = field(default_factory=RLSection)
    engine: EngineSection = field(default_factory=EngineSection)
    credit: CreditSection = field(default_factory=CreditSection)
    evaluation: EvaluationSection = field(default_factory=EvaluationSection)
    log: LogSection = field(default_factory=LogSection)
    seed: int = 0
    concurrency: int = 128
    """Episodes in flight."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data; ``from_dict`` gives the same configuration back."""
        return dataclasses.asdict(self)


def from_dict(data: Mapping[str, Any]) -> TrainConfig:
    """A configuration from plain data. Raises ConfigError with the dotted key at fault."""
    return _build(TrainConfig, data, "")


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> TrainConfig:
    """A configuration from a TOML file and dotted overrides (``{"rl.updates": 100}``).

    Raises:
        ConfigError: The file is missing or no TOML, or a key or a value is wrong.
    """
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"There is no configuration file {str(path)!r}.") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{str(path)!r} is not valid TOML: {error}") from error
    for key, value in (overrides or {}).items():
        *parents, last = key.split(".")
        node = data
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{key!r}: {parent!r} is not a section.")
        node[last] = value
    return from_dict(data)


def _build(kind: type[T], data: Mapping[str, Any], where: str) -> T:
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where.rstrip('.')!r} is a section, got {json.dumps(data, default=str)}.")
    hints = get_type_hints(kind)
    known = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    values = {}
    for key, value in data.items():
        if key not in known:
            raise ConfigError(
                f"Unknown key {where + key!r}.{did_you_mean(str(key), known)} Keys here: {', '.join(known)}."
            )
        values[key] = _value(hints[key], value, f"{where}{key}")
    return kind(**values)


def _value(kind: Any, value: Any, key: str) -> Any:
    """``value`` as ``kind``, or a ConfigError."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _build(kind, value, f"{key}.")
    origin = get_origin(kind)
    if origin is Literal:
        if value not in get_args(kind):
            raise ConfigError(f"{key!r} must be one of {', '.join(map(repr, get_args(kind)))}, got {value!r}.")
        return value
    if origin in (Union, types.UnionType):
        return value if value is None else _value(next(a for a in get_args(kind) if a is not type(None)), value, key)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{key!r} must be a list, got {value!r}.")
        return tuple(_value(get_args(kind)[0], item, key) for item in value)
    wanted: Any = origin or kind
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise ConfigError(f"{key!r} must be of type {wanted.__name__}, got {value!r}.")
    return value
