"""Reward components, and the schemes that say which of them count.

An environment emits raw, named components. A ``RewardScheme`` turns them into reward: weights, gates (predicates that
decide whether a component counts at all) and transforms (maps of its value). Schemes are data: frozen, serialisable
and named in every results file. The fold that applies them is in ``ledger.py``.

Sources: gated accumulation G-RA (arXiv 2508.10548), hierarchy HRM (2603.06065), floor SearchLLM (2603.10473),
posterior Posterior-GRPO (2508.05170), renorm PPR (2509.25598), schedules Atom-Searcher (2508.12800) and ToolRL
(2504.13958).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from agentgym.core.errors import ConfigError, did_you_mean

Kind = Literal["outcome", "process", "format", "cost"]
Reduce = Literal["max", "sum", "min", "mean", "last"]
End = Literal["terminated", "truncated"]


@dataclass(frozen=True, slots=True)
class Component:
    """One named reward signal of an environment, before any scheme."""

    name: str
    kind: Kind
    """``outcome``: was the task done. ``process``: a step towards it. ``format``: well-formed. ``cost``: at most 0."""
    low: float
    high: float
    meaning: str

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ConfigError(f"Component {self.name!r}: low {self.low} is above high {self.high}.")


FORMAT = Component("format", "format", 0.0, 1.0, "1 when the message was understood, else 0.")
EXECUTABLE = Component(
    "executable", "process", 0.0, 1.0, "1 when the action could be done here (SPA's grounding), else 0."
)
TURN_COST = Component("turn_cost", "cost", -1.0, 0.0, "-1 for every turn.")
"""A game that lists one of these three gets it filled in by ``AgentEnv``."""


class Tracker:
    """Running statistics of one component over the turns of an episode. Turns where it is absent don't count."""

    __slots__ = ("count", "last", "max", "min", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.max = -math.inf
        self.min = math.inf
        self.last = math.nan

    def add(self, value: float) -> None:
        """Takes the value of one turn."""
        self.count += 1
        self.sum += value
        self.max = max(self.max, value)
        self.min = min(self.min, value)
        self.last = value

    def get(self, reduce: Reduce) -> float:
        """The statistic; NaN before the first value."""
        if not self.count:
            return math.nan
        return self.sum / self.count if reduce == "mean" else float(getattr(self, reduce))


Trackers = Mapping[str, Tracker]


@dataclass(frozen=True, slots=True)
class Condition:
    """``reduce(component over the episode so far) >= at_least`` (``>`` when strict).

    A ``max`` condition can be met in mid-episode and stays met. The others can change with every turn, so they are
    judged when the episode terminates. A component that never occurred meets no condition.
    """

    component: str
    at_least: float
    reduce: Reduce = "max"
    strict: bool = False

    def met(self, trackers: Trackers) -> bool:
        """Whether the values so far meet the condition."""
        value = trackers[self.component].get(self.reduce)
        return value > self.at_least if self.strict else value >= self.at_least  # NaN compares False

    @property
    def early(self) -> bool:
        """Whether it may be judged before the episode ends."""
        return self.reduce == "max"


@dataclass(frozen=True, slots=True)
class Effect:
    """What a rule does to a value: ``scale * value + shift``."""

    scale: float = 1.0
    shift: float = 0.0


PASS = Effect()
DROP = Effect(0.0)


@dataclass(frozen=True, slots=True)
class Gate:
    """``counts`` are paid only if all of ``opens`` are met; until that is known they are held.

    On opening, what was held is released and later values are paid at once. When the episode ends with the gate not
    open, what was held is dropped; truncation closes every gate that isn't open.
    """

    kind: ClassVar[str] = "gate"
    name: str
    counts: tuple[str, ...]
    opens: tuple[Condition, ...]

    @property
    def watches(self) -> tuple[str, ...]:
        """Components that the rule looks at."""
        return tuple(condition.component for condition in self.opens)

    def resolve(self, trackers: Trackers, end: End | None, progress: float) -> Effect | None:
        """The effect once it is known, None before."""
        if end is None:
            for condition in self.opens:  # a loop: this is asked every turn
                if not (condition.early and condition.met(trackers)):
                    return None
            return PASS
        if end == "truncated" and not all(condition.early for condition in self.opens):
            return DROP
        return PASS if all(condition.met(trackers) for condition in self.opens) else DROP


@dataclass(frozen=True, slots=True)
class Posterior:
    """Multiplies process reward by the outcome (Posterior-GRPO: R = R_f + R_o + R_o * R_t).

    ``at_least`` None: multiplies by the outcome's last value; else by 1 where that value reaches it and 0 elsewhere.
    An outcome that never occurred is 0.
    """

    kind: ClassVar[str] = "posterior"
    name: str
    counts: tuple[str, ...]
    outcome: str
    at_least: float | None = None

    @property
    def watches(self) -> tuple[str, ...]:
        """Components that the rule looks at."""
        return (self.outcome,)

    def resolve(self, trackers: Trackers, end: End | None, progress: float) -> Effect | None:
        """The effect once it is known, None before."""
        if end is None:
            return None
        value = _outcome(trackers, self.outcome)
        return Effect(value if self.at_least is None else float(value >= self.at_least))


@dataclass(frozen=True, slots=True)
class Renorm:
    """PPR's ReNorm: a process reward r_p becomes r_p + r_o - 1, which is positive only beside a good outcome."""

    kind: ClassVar[str] = "renorm"
    name: str
    counts: tuple[str, ...]
    outcome: str

    @property
    def watches(self) -> tuple[str, ...]:
        """Components that the rule looks at."""
        return (self.outcome,)

    def resolve(self, trackers: Trackers, end: End | None, progress: float) -> Effect | None:
        """The effect once it is known, None before."""
        return None if end is None else Effect(1.0, _outcome(trackers, self.outcome) - 1.0)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Multiplies by a factor that goes linearly from ``start`` to ``stop`` as training progress goes from 0 to 1.

    The progress is stamped at reset, so that it can't change within an episode.
    """

    kind: ClassVar[str] = "schedule"
    name: str
    counts: tuple[str, ...]
    start: float
    stop: float

    @property
    def watches(self) -> tuple[str, ...]:
        """Components that the rule looks at."""
        return ()

    def resolve(self, trackers: Trackers, end: End | None, progress: float) -> Effect | None:
        """The effect, known from the start."""
        return Effect(self.start + (self.stop - self.start) * progress)


@dataclass(frozen=True, slots=True)
class Floor:
    """SearchLLM's bottom line: if any of ``keeps`` is not met at the end, the episode's total is ``floor``.

    Everything is held until the episode ends, since only then is it known whether the line was kept.
    """

    kind: ClassVar[str] = "floor"
    name: str
    keeps: tuple[Condition, ...]
    floor: float

    @property
    def watches(self) -> tuple[str, ...]:
        """Components that the rule looks at."""
        return tuple(condition.component for condition in self.keeps)

    def kept(self, trackers: Trackers) -> bool:
        """Whether every bottom line holds."""
        return all(condition.met(trackers) for condition in self.keeps)

    def resolve(self, trackers: Trackers, end: End | None, progress: float) -> Effect | None:
        """The effect once it is known, None before."""
        return None if end is None else PASS if self.kept(trackers) else DROP


def _outcome(trackers: Trackers, name: str) -> float:
    value = trackers[name].get("last")
    return 0.0 if math.isnan(value) else value


Rule = Gate | Posterior | Renorm | Schedule | Floor
_RULES: dict[str, type[Rule]] = {rule.kind: rule for rule in (Gate, Posterior, Renorm, Schedule, Floor)}


def accumulate(
    counts: Iterable[str], *, on: str, at_least: float, strict: bool = False, name: str = "accumulate"
) -> Gate:
    """G-RA's gate: immediate rewards are held and count only if ``on`` reaches its threshold in some turn."""
    return Gate(name, tuple(counts), (Condition(on, at_least, strict=strict),))


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a hierarchy: what it pays, and when it counts as passed."""

    components: tuple[str, ...]
    passes: tuple[Condition, ...]


def hierarchy(levels: Sequence[Level], *, name: str = "hierarchy") -> tuple[Gate, ...]:
    """HRM's conditional gating: level k counts only if every higher level (earlier in the list) passes."""
    gates = []
    for k in range(1, len(levels)):
        above = tuple(condition for level in levels[:k] for condition in level.passes)
        gates.append(Gate(f"{name}-{k}", levels[k].components, above))
    return tuple(gates)


@dataclass(frozen=True)
class RewardScheme:
    """How components become reward: weights first, then the rules in the order given.

    A component without weight is recorded and pays nothing. Build one in code, or from a dict or JSON with
    ``from_dict``.
    """

    name: str
    weights: Mapping[str, float]
    rules: tuple[Rule, ...] = ()
    _of: Mapping[str, tuple[int, ...]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", dict(self.weights))
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise ConfigError(f"Scheme {self.name!r}: two rules share a name among {names}.")
        for component, weight in self.weights.items():
            if not math.isfinite(weight):
                raise ConfigError(f"Scheme {self.name!r}: the weight of {component!r} is {weight}.")
        of = {
            component: tuple(
                i for i, rule in enumerate(self.rules) if isinstance(rule, Floor) or component in rule.counts
            )
            for component in self.weights
        }
        object.__setattr__(self, "_of", of)

    def rules_of(self, component: str) -> tuple[int, ...]:
        """Indices of the rules that a component's value passes through."""
        return self._of[component]

    @property
    def watched(self) -> tuple[str, ...]:
        """Components that some rule looks at."""
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.watches))

    def check(self, components: Iterable[Component]) -> None:
        """Raises ConfigError when the scheme names a component that the environment doesn't have."""
        known = [component.name for component in components]
        used = list(self.weights) + [name for rule in self.rules for name in rule.watches]
        used += [name for rule in self.rules if not isinstance(rule, Floor) for name in rule.counts]
        for name in used:
            if name not in known:
                raise ConfigError(
                    f"Scheme {self.name!r} names the component {name!r}, which this environment doesn't emit."
                    f"{did_you_mean(name, known)} It emits: {', '.join(known)}."
                )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON and TOML."""
        return {
            "name": self.name,
            "weights": dict(self.weights),
            "rules": [{"kind": rule.kind, **_fields_of(rule)} for rule in self.rules],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RewardScheme:
        """Inverse of ``to_dict``. Raises ConfigError with the offending entry."""
        try:
            rules = tuple(_rule_from_dict(rule) for rule in data.get("rules", ()))
            return cls(str(data["name"]), {str(k): float(v) for k, v in data["weights"].items()}, rules)
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"A scheme needs 'name', 'weights' (component -> number) and optionally 'rules'; got {data!r}."
            ) from error


def _fields_of(rule: Rule) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in rule.__dataclass_fields__:
        value = getattr(rule, name)
        if isinstance(value, tuple):
            value = [_fields_of(item) if isinstance(item, Condition) else item for item in value]  # type: ignore[arg-type]
        values[name] = value
    return values


def _rule_from_dict(data: Mapping[str, Any]) -> Rule:
    values = dict(data)
    kind = values.pop("kind", None)
    rule = _RULES.get(str(kind))
    if rule is None:
        raise ConfigError(f"Unknown rule kind {kind!r}.{did_you_mean(str(kind), _RULES)} Known: {', '.join(_RULES)}.")
    known = rule.__dataclass_fields__
    for key in values:
        if key not in known:
            raise ConfigError(f"A rule of kind {kind!r} has no field {key!r}.{did_you_mean(key, known)}")
    for key in ("opens", "keeps"):
        if key in values:
            values[key] = tuple(Condition(**condition) for condition in values[key])
    if "counts" in values:
        values["counts"] = tuple(values["counts"])
    try:
        return rule(**values)
    except TypeError as error:
        raise ConfigError(f"A rule of kind {kind!r} needs the fields {', '.join(known)}; got {data!r}.") from error


def default_schemes(components: Sequence[Component]) -> dict[str, RewardScheme]:
    """The three schemes of a game that declares none.

    ``outcome``: outcome components alone. ``dense``: everything, ungated. ``gated`` (default): as dense, but process
    and format components count only once some outcome component reaches its top value.
    """
    weights = {component.name: 1.0 for component in components}
    outcomes = [component for component in components if component.kind == "outcome"]
    shaped = tuple(component.name for component in components if component.kind in ("process", "format"))
    gates = tuple(
        Gate(f"{outcome.name} reached", shaped, (Condition(outcome.name, outcome.high),)) for outcome in outcomes[:1]
    )
    return {
        "gated": RewardScheme("gated", weights, gates if shaped else ()),
        "outcome": RewardScheme("outcome", {component.name: 1.0 for component in outcomes}),
        "dense": RewardScheme("dense", weights),
    }
