"""The registry of credit methods: what `agentgym credit list` prints and what names in a configuration resolve to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeVar

from agentgym.credit.batch import Batch
from agentgym.credit.columns import column_info, suggestion
from agentgym.credit.errors import CreditError
from agentgym.credit.kernels.normalise import Norm
from agentgym.credit.result import Credit


class Method(Protocol):
    """A credit method with its parameters bound: a batch in, advantages out. Pure; the batch is never changed."""

    def __call__(self, batch: Batch) -> Credit:
        """The credit of every token, turn and trajectory of the batch."""
        ...


@dataclass(frozen=True)
class MethodInfo:
    """One registered method.

    Args:
        name: Registered name.
        factory: The frozen dataclass; its fields are the method's parameters.
        summary: One line.
        needs: Columns that it reads beyond turn rewards and masks.
        population: What its statistics are taken over.
        paper: Where it comes from.
        presets: Further names, each with the parameters that it sets.
    """

    name: str
    factory: Callable[..., Method]
    summary: str
    needs: tuple[str, ...]
    population: str
    paper: str
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def doc(self) -> str:
        """Docstring with the equation."""
        return inspect.getdoc(self.factory) or ""

    @property
    def default(self) -> str:
        """The parameters of the paper form, written out."""
        return ", ".join(f"{key}={value!r}" for key, value in self.parameters.items())

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameter names with their defaults."""
        made = self.factory()
        return {f.name: getattr(made, f.name) for f in fields(made)}  # type: ignore[arg-type]


METHODS: dict[str, MethodInfo] = {}
"""Every registered method by name."""

MethodClass = TypeVar("MethodClass", bound=type)


def register(
    name: str,
    *,
    summary: str,
    paper: str,
    needs: tuple[str, ...] = (),
    population: str = "trajectories of a group",
    presets: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[MethodClass], MethodClass]:
    """Class decorator that registers a frozen dataclass as a credit method."""

    def add(factory: MethodClass) -> MethodClass:
        for column in needs:
            if column != "outcome":
                column_info(column.split(" ")[0])
        if name in METHODS:
            raise CreditError(f"A credit method {name!r} is already registered.")
        METHODS[name] = MethodInfo(name, factory, summary, needs, population, paper, presets or {})
        return factory

    return add


def method_names() -> list[str]:
    """Every name that `make` takes: methods, then presets."""
    return [*METHODS, *(preset for info in METHODS.values() for preset in info.presets)]


def find(name: str) -> tuple[MethodInfo, Mapping[str, Any]]:
    """The method behind a method's or preset's name, and the parameters that the preset sets."""
    if name in METHODS:
        return METHODS[name], {}
    for info in METHODS.values():
        if name in info.presets:
            return info, info.presets[name]
    raise CreditError(f"Unknown credit method {name!r}.{suggestion(name, method_names())} `credit.METHODS` lists all.")


def make(name: str, **parameters: Any) -> Method:
    """A credit method by the name of the method or of one of its presets.

    Args:
        name: For example ``"gigpo"`` or ``"gigpo_released"``.
        parameters: Override single parameters; a `Norm` may be given as a mapping.

    Raises:
        CreditError: Unknown name or parameter, with the closest known ones.
    """
    info, preset = find(name)
    known = info.parameters
    for key in parameters:
        if key not in known:
            raise CreditError(
                f"Credit method {name!r} has no parameter {key!r}.{suggestion(key, known)} It has: {info.default}."
            )
    merged = {**preset, **parameters}
    for key, value in merged.items():
        if isinstance(known[key], Norm) and isinstance(value, Mapping):
            merged[key] = Norm(**value)
    return info.factory(**merged)
