"""Rows of question files, each with its place in the file, so that an error can name it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
Located = tuple[str, Callable[[], Any]]
"""Where a row stands, and what reads it: a line that is no JSON is an error of that line."""

_ENCODING = "utf-8-sig"  # spreadsheets begin their files with a byte order mark


def json_rows(path: Path) -> Iterator[Located]:
    """Objects of a JSON list or of JSON Lines."""
    with path.open(encoding=_ENCODING) as file:
        start = file.read(1024).lstrip()
        file.seek(0)
        if start.startswith("["):
            yield from _entries(json.load(file))
        else:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"line {number}", partial(json.loads, line)


def trivia_rows(path: Path) -> Iterator[Located]:
    """Objects of the list ``Data`` of a JSON object."""
    with path.open(encoding=_ENCODING) as file:
        yield from _entries(json.load(file)["Data"])


def table_rows(delimiter: str) -> Callable[[Path], Iterator[Located]]:
    """Reads a table with a header."""

    def rows(path: Path) -> Iterator[Located]:
        with path.open(encoding=_ENCODING, newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            for row in reader:
                yield f"line {reader.line_num}", partial(_same, row)

    return rows


def _entries(found: list[Any]) -> Iterator[Located]:
    for number, row in enumerate(found, 1):
        yield f"entry {number}", partial(_same, row)


def _same(row: Any) -> Any:
    return row
