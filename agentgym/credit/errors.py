"""The one error that this package raises on purpose."""

from __future__ import annotations


class CreditError(ValueError):
    """A batch, a column or a parameter is not what it must be. Names the column, and the row where there is one."""
