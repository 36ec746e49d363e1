"""Parameters that check themselves: a wrong choice or a number out of range is refused when a method is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from agentgym.credit.errors import CreditError


@dataclass(frozen=True)
class Range:
    """Bounds of a number, both included. For use in ``Annotated``."""

    low: float
    high: float


Fraction = Annotated[float, Range(0.0, 1.0)]
NotNegative = Annotated[float, Range(0.0, float("inf"))]
Temperature = Annotated[float, Range(1e-6, float("inf"))]
Count = Annotated[int, Range(1, float("inf"))]


class Parameters:
    """Base of the frozen dataclasses that bind parameters; checks ``Literal`` and `Range` annotations.

    Raises:
        CreditError: On construction, with the parameter, its value and what was expected.
    """

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            _check(f"{type(self).__name__}.{name}", getattr(self, name), hint)


def _check(name: str, value: object, hint: Any) -> None:
    if get_origin(hint) is Literal and value not in get_args(hint):
        raise CreditError(f"{name} is {value!r}; expected one of {', '.join(map(repr, get_args(hint)))}.")
    for bound in getattr(hint, "__metadata__", ()):
        fits = isinstance(value, int | float) and bound.low <= value <= bound.high
        if isinstance(bound, Range) and not fits:
            raise CreditError(f"{name} is {value!r}; expected a number in [{bound.low:g}, {bound.high:g}].")
