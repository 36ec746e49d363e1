"""Every published step-credit method behind one signature: ``method(batch) -> Credit``. Needs numpy alone.

    batch = Batch.build([0, 0], [[0.0, 1.0], [0.0]], spans=[[(0, 3), (5, 8)], [(0, 4)]])
    credit = make("turn_rloo")(batch)

See docs/credit.md for a table to choose from.
"""

from agentgym.credit import methods as _methods  # noqa: F401 - importing registers every method
from agentgym.credit.batch import Batch
from agentgym.credit.columns import COLUMNS, Column, register_column
from agentgym.credit.errors import CreditError
from agentgym.credit.kernels.normalise import Norm
from agentgym.credit.recipes import RECIPES, Recipe
from agentgym.credit.registry import METHODS, Method, MethodInfo, find, make, method_names, register
from agentgym.credit.result import Credit, diagnose
from agentgym.credit.scorer import Scorer

__all__ = [
    "COLUMNS",
    "METHODS",
    "RECIPES",
    "Batch",
    "Column",
    "Credit",
    "CreditError",
    "Method",
    "MethodInfo",
    "Norm",
    "Recipe",
    "Scorer",
    "diagnose",
    "find",
    "make",
    "method_names",
    "register",
    "register_column",
]
