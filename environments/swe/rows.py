"""Rows of public datasets: SWE-bench, SWE-Gym, SWE-smith and R2E-Gym, which run in their own Docker images."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agentgym.core.errors import ConfigError, DataError
from agentgym.environments.swe import patches

Kind = Literal["swe-bench", "swe-gym", "swe-smith", "r2e"]
KINDS: tuple[Kind, ...] = ("swe-bench", "swe-gym", "swe-smith", "r2e")
FOLDER = "/testbed"
"""Where all four keep the repository."""
_OWN_RUNNERS = ("django/django", "sympy/sympy")
"""Repositories whose test ids are not pytest's."""


_SMITH = re.compile(r"[^.]+(?:\.[^.]+)*?\.[0-9a-f]{8}(?=\.)")
"""Owner, repository and commit in an id such as ``owner__repo.12345678.family__hash``."""


@dataclass(frozen=True, slots=True)
class Row:
    """One task of a public dataset, in one form for all of them."""

    instance_id: str
    image: str
    statement: str
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    fix: str
    """The gold patch, from the agent's copy to the solution."""
    bug: str = ""
    """Diff that plants the bug; empty where the image holds it."""
    tests: str = ""
    """Diff that adds the hidden tests; empty where they are in the image."""
    expected: Mapping[str, str] | None = None
    """R2E: test name -> PASSED or FAILED, to be met exactly."""


def image_of(kind: Kind, row: Mapping[str, Any]) -> str:
    """The image that holds the repository of a row. A name in the row itself comes first."""
    for key in ("image_name", "docker_image", "image"):
        if row.get(key):
            return str(row[key])
    instance = str(row["instance_id"])
    if kind == "swe-bench":
        return f"swebench/sweb.eval.x86_64.{instance.lower().replace('__', '_1776_')}:latest"
    if kind == "swe-gym":
        return f"xingyaoww/sweb.eval.x86_64.{instance.lower().replace('__', '_s_')}:latest"
    if kind == "swe-smith" and (match := _SMITH.match(instance)):
        return f"swesmith.x86_64.{match[0]}"
    raise DataError(f"{instance}: rows of {kind} name their image, this one doesn't.")


def read_row(kind: Kind, row: Mapping[str, Any]) -> Row:
    """One row.

    Raises:
        DataError: A field is missing or malformed, or the repository has a test runner that is not supported.
    """
    if row.get("repo") in _OWN_RUNNERS:
        raise DataError(f"{row.get('instance_id')}: tests of {row['repo']} run with their own runner, not with pytest.")
    try:
        if kind == "r2e":
            return _read_r2e(row)
        fail, keep = _names(row["FAIL_TO_PASS"]), _names(row["PASS_TO_PASS"])
        smith = kind == "swe-smith"
        patch = str(row["patch"])
        return Row(
            instance_id=str(row["instance_id"]),
            image=image_of(kind, row),
            statement=str(row["problem_statement"]),
            fail_to_pass=fail,
            pass_to_pass=keep,
            fix="" if smith else patch,
            bug=patch if smith else "",
            tests="" if smith else str(row.get("test_patch", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        name = row.get("instance_id", "a row")
        raise DataError(f"{name} is not a row of {kind} ({type(error).__name__}: {error}).") from error


def _read_r2e(row: Mapping[str, Any]) -> Row:
    raw = row["expected_output_json"]
    expected = {str(name): str(outcome) for name, outcome in (json.loads(raw) if isinstance(raw, str) else raw).items()}
    instance = str(row.get("instance_id") or f"{row['repo_name']}__{str(row['commit_hash'])[:12]}")
    passing = tuple(sorted(name for name, outcome in expected.items() if outcome == "PASSED"))
    statement = str(row["problem_statement"])
    return Row(instance, image_of("r2e", row), statement, passing, (), str(row.get("patch", "")), expected=expected)


def _names(value: Any) -> tuple[str, ...]:
    names = json.loads(value) if isinstance(value, str) else value
    return tuple(str(name) for name in names)


def load(path: str, kind: str) -> dict[str, Row]:
    """Rows of a JSON, JSONL or Parquet file, by id. Rows that can't be run here are left out.

    Raises:
        ConfigError: Unknown kind or no such file.
        DataError: No row could be read.
    """
    chosen: Kind | None = next((known for known in KINDS if known == kind), None)
    if chosen is None:
        raise ConfigError(f"Unknown kind of rows {kind!r}; expected one of {', '.join(KINDS)}.")
    if not Path(path).is_file():
        raise ConfigError(f"There is no file {path!r}.")
    found: dict[str, Row] = {}
    problem = "it is empty"
    for raw in _raw(Path(path)):
        try:
            row = read_row(chosen, raw)
        except DataError as error:
            problem = str(error)
            continue
        found[row.instance_id] = row
    if not found:
        raise DataError(f"No row of {path!r} can be used: {problem}")
    return found


def _raw(path: Path) -> Iterable[Mapping[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet

        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
        return rows
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    data = json.loads(text)
    return data if isinstance(data, list) else [data]


def touched(diff: str) -> tuple[str, ...]:
    """Paths that a diff changes, in order."""
    names = [name for item in patches.parse(diff) for name in (item.old, item.new) if name]
    return tuple(dict.fromkeys(names))
