"""Runs golden files: ``python -m agentgym.testing.golden DIR``.

A golden file is JSON with ``source``, ``notes`` and ``cases``; a case has ``inputs`` and the ``outputs`` of a reference
implementation. Each case is handed to the public function that computes the same thing, and the largest absolute error
is printed. Exit status: 0 if every case that could be run agrees, 1 on a miss, 2 if there is nothing to run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agentgym.testing.goldens.compare import TOLERANCE, Masked, disagreement

Adapter = Callable[[Mapping[str, Any]], Mapping[str, Any]]

TABLES = (
    "agentgym.testing.goldens.tokens",
    "agentgym.testing.goldens.turns",
    "agentgym.testing.goldens.losses",
    "agentgym.testing.goldens.schemes",
    "agentgym.testing.goldens.learned",
    "agentgym.rules.goldens",
    "agentgym.training.goldens",
)
"""Modules with a table ``ADAPTERS``. One that can't be imported is reported by the cases that need it."""

NEEDS_TRAIN = {"policy_losses", "trl_losses", "kl_estimators", "spa_progress", "istar_dpo_loss", "implicit_prm_losses"}
"""Files whose functions are written in torch."""

NEEDS_TRAIN_CASES = {"paper_formulas:istar_paper_dpo_sum_of_steps"}
"""Single cases of the same kind."""

NOT_REPRODUCED = {
    "istar_dpo_loss:gradient_reaches_parameters_in_update_rm_eto": "a release whose reward model gets no gradient",
}
"""Cases that only show an upstream bug for which there is deliberately no preset."""


class Result(NamedTuple):
    """What became of one case: ``ok``, ``MISS``, or why it was not run; with the error and a remark."""

    name: str
    status: str
    error: float | None = None
    remark: str = ""


@dataclass
class Tables:
    """Adapters of all tables that can be imported, and why the others can't."""

    adapters: dict[str, Adapter]
    missing: dict[str, str]

    @classmethod
    def load(cls, modules: Sequence[str] = TABLES) -> Tables:
        """Imports every table; one that is absent, or whose extra is, is remembered and not raised."""
        adapters: dict[str, Adapter] = {}
        missing: dict[str, str] = {}
        for module in modules:
            try:
                adapters.update(importlib.import_module(module).ADAPTERS)
            except ImportError as error:
                missing[module] = str(error)
        return cls(adapters, missing)

    def why_missing(self) -> str:
        """One remark for cases whose table isn't there."""
        return (
            "torch isn't installed"
            if "torch" in " ".join(self.missing.values())
            else "its functions aren't in this build"
        )

    def find(self, file: str, case: str | None) -> Adapter | None:
        """The adapter for the case, by its name or the longest matching ``file:prefix*``; else for the whole file."""
        exact = self.adapters.get(f"{file}:{case}")
        if exact or not case:
            return exact or self.adapters.get(file)
        prefixes = [key for key in self.adapters if key.endswith("*") and f"{file}:{case}".startswith(key[:-1])]
        return self.adapters[max(prefixes, key=len)] if prefixes else self.adapters.get(file)


def run_case(tables: Tables, file: str, number: int, case: Mapping[str, Any]) -> Result:
    """Runs one case of a golden file."""
    label = case.get("name")
    name = f"{file}:{label or number}"
    if name in NOT_REPRODUCED:
        return Result(name, "preset pending", remark=NOT_REPRODUCED[name])
    adapter = tables.find(file, label)
    if adapter is None:
        if file in NEEDS_TRAIN or name in NEEDS_TRAIN_CASES:
            return Result(name, "needs [train]", remark=tables.why_missing())
        return Result(name, "not covered")
    expected = case["outputs"]
    try:
        return _judge(name, expected, adapter({**case["inputs"], "_case": label or ""}))
    except NotImplementedError as pending:
        return Result(name, "preset pending", remark=str(pending))
    except Exception as error:  # a golden case that crashes is a miss, and the others still run
        if "error" in expected and isinstance(error, ValueError):
            return Result(name, "ok", 0.0, f"refused, as the reference fails ({expected['error']}): {error}")
        return Result(name, "MISS", None, f"{type(error).__name__}: {error}")


def _judge(name: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> Result:
    """Compares every output that the case has; an output that the adapter doesn't return is a miss."""
    if "error" in expected:
        remark = f"defined here; the reference fails ({expected['error']})"
        return Result(name, "ok", 0.0, remark) if _finite(found) else Result(name, "MISS", None, "not finite")
    worst, remark = 0.0, str(found.get("_remark", ""))
    for key, want in expected.items():
        if key not in found:
            return Result(name, "MISS", None, f"output {key!r} isn't computed")
        error, problem = disagreement(want, found[key], TOLERANCE)
        if problem:
            return Result(name, "MISS", error, f"{key}: {problem}")
        worst = max(worst, error)
    return Result(name, "ok", worst, remark)


def _finite(found: Mapping[str, Any]) -> bool:
    for value in found.values():
        array = np.asarray(value.values if isinstance(value, Masked) else value)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return False
    return True


def run_folder(folder: Path, tables: Tables | None = None) -> Iterator[Result]:
    """Runs every ``*.json`` of the folder in order of name."""
    tables = tables or Tables.load()
    for path in sorted(folder.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        cases = data.get("cases") if isinstance(data, dict) else None
        known = any(key.split(":")[0] == path.stem for key in tables.adapters) or path.stem in NEEDS_TRAIN
        if not isinstance(cases, list) or not known:
            yield Result(path.stem, "not covered", remark="no adapter for this file")
            continue
        for number, case in enumerate(cases):
            yield run_case(tables, path.stem, number, case)


def _line(result: Result) -> str:
    error = "" if result.error is None else f"{result.error:.1e}"
    return f"{result.status:<15}{result.name:<58} {error:>8}  {result.remark}".rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m agentgym.testing.golden", description="Run golden files.")
    parser.add_argument("folder", type=Path, help="folder with golden *.json files")
    folder: Path = parser.parse_args(arguments).folder
    if not folder.is_dir() or not any(folder.glob("*.json")):
        print(f"No golden files: {folder} holds no *.json. Give the folder that they are in.", file=sys.stderr)
        return 2
    counts: dict[str, int] = {}
    for result in run_folder(folder):
        print(_line(result), flush=True)
        counts[result.status] = counts.get(result.status, 0) + 1
    print("; ".join(f"{status}: {count}" for status, count in sorted(counts.items())))
    return 1 if counts.get("MISS") else 0


if __name__ == "__main__":
    sys.exit(main())
