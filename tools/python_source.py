"""Reads Python source that somebody else wrote."""

from __future__ import annotations

import ast
import threading
import warnings

_LOCK = threading.Lock()


def parse(source: str | bytes) -> ast.Module:
    """The syntax tree, without Python's warnings about the source (escape sequences, comparisons with literals).

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: As ``ast.parse`` would.
    """
    with _LOCK, warnings.catch_warnings():  # the filters are the process's own, so one thread at a time
        warnings.simplefilter("ignore")
        return ast.parse(source)


def split_lines(text: str) -> list[str]:
    """Lines with their ends, as git, grep and editors count them: form feeds and their like don't end one."""
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
