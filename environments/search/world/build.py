"""Building a world once and opening it many times.

A built world is a folder: the corpus, its index and the questions, all mapped into memory when opened. Its name tells
what it was made from, the code included, so that a world of an older version is never taken for a new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.core.cache import cache_root
from agentgym.core.errors import ConfigError, DataError
from agentgym.core.tasks import SPLITS
from agentgym.environments.search.library import Library, Questions
from agentgym.environments.search.world.cells import PER_CELL, Cell, make_cell
from agentgym.tools import retriever
from agentgym.tools.retriever.corpus import Corpus, Passage, Texts
from agentgym.tools.retriever.impact import ImpactIndex

LEAST_CELLS = 10
"""Cells of the smallest world: so many that every split has one."""
QUESTION_CELLS = 400
"""Cells that have questions; further ones hold documents alone."""
MANY_CELLS = 300
"""From here on cells are made in several processes."""
_SIZES = "sizes.json"
_ABANDONED = 24 * 3600.0
"""Age in seconds of a workshop that nobody works in any more."""
_SHOWN = 3
"""A search of the reasoning chain should show its document among so many."""


def open_world(seed: int = 0, documents: int = 10_000) -> Library:
    """The world of a seed with about so many documents (at least 1,600). The first call builds it and keeps it in the
    cache folder: ``$AGENTGYM_CACHE``, else ``agentgym`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.

    Raises:
        ConfigError: ``documents`` is below 1, one of both is no integer, or the cache folder can't be written.
    """
    if not isinstance(seed, int) or not isinstance(documents, int) or documents < 1:
        raise ConfigError(
            f"A world has an integer as its seed and documents from 1, got seed {seed!r}, documents {documents!r}."
        )
    cells = max(LEAST_CELLS, -(-documents // PER_CELL))
    return _open(cache_root(), seed, cells)


@lru_cache(maxsize=4)
def _open(cache: Path, seed: int, cells: int) -> Library:
    folder = cache / f"search-{seed}-{cells}-{_version()}"
    if not is_whole(folder):
        _build_into(folder, seed, cells)
    try:
        return Library(Corpus.load(folder / "corpus"), ImpactIndex.load(folder / "index"), Questions.load(folder))
    except (OSError, ValueError, DataError) as error:
        raise DataError(
            f"The world in {str(folder)!r} is damaged ({error}). Remove the folder, and it is built again."
        ) from error


@lru_cache(maxsize=1)
def _version() -> str:
    """Digest of the code that makes worlds."""
    found = hashlib.blake2b(digest_size=6)
    for folder in (Path(__file__).parent, Path(str(retriever.__file__)).parent):
        for path in sorted(folder.glob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()


def is_whole(folder: Path) -> bool:
    """Whether every file of a built world is there in full: a copy or a disk may have lost some."""
    try:
        sizes = json.loads((folder / _SIZES).read_text(encoding="utf-8"))
        return bool(sizes) and all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _build_into(folder: Path, seed: int, cells: int) -> None:
    """Builds beside ``folder`` and moves into place, so that a half-made world is never seen."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        workshop = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise ConfigError(
            f"The cache folder {str(folder.parent)!r} can't be written ({error}). Name another one in the environment"
            " variable AGENTGYM_CACHE."
        ) from error
    try:
        build_world(workshop, seed, cells)
        files = sorted(path for path in workshop.rglob("*") if path.is_file())
        sizes = {path.relative_to(workshop).as_posix(): path.stat().st_size for path in files}
        (workshop / _SIZES).write_text(json.dumps(sizes), encoding="utf-8")
        workshop.chmod(0o755)
        if folder.exists() and not is_whole(folder):
            _discard(folder)
        workshop.rename(folder)
    except OSError:
        if not is_whole(folder):  # else another process was quicker, and its world is the same
            raise
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _discard(folder: Path) -> None:
    """Removes a damaged world, out of the way first: nobody may see it shrink."""
    aside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    with contextlib.suppress(FileNotFoundError):  # another process was quicker
        folder.rename(aside / "damaged")
    shutil.rmtree(aside, ignore_errors=True)


def _sweep(cache: Path) -> None:
    """Removes what builds that were killed left behind, once no build can still be at it."""
    for path in cache.glob("search-*.*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED:
                shutil.rmtree(path, ignore_errors=True)


def build_world(folder: Path, seed: int, cells: int, *, workers: int | None = None) -> None:
    """Writes a world of so many cells into ``folder``. ``workers``: processes; None: as many as there are processors
    for large worlds, and this one for small ones."""
    records: list[dict[str, Any]] = []
    splits: list[int] = []
    count = 0

    def passages() -> Iterator[Passage]:
        nonlocal count
        for number, cell in enumerate(_cells(seed, cells, workers)):
            for record in cell.questions:
                for step in record["chain"]:
                    step["documents"] = [count + i for i in step["documents"]]
                records.append(record)
                splits.append(split_of(number))
            for contents in cell.documents:
                yield Passage(str(count), contents)
                count += 1

    Corpus.write(folder / "corpus", passages())
    corpus = Corpus.load(folder / "corpus")
    index = ImpactIndex.build(corpus.contents())
    index.save(folder / "index")
    for record in records:
        for step in record["chain"]:
            step["query"] = _findable(step, corpus, index)
    Texts.write(folder, "questions", (json.dumps(record, ensure_ascii=False) for record in records))
    np.save(folder / "splits.npy", np.asarray(splits, dtype=np.uint8))


def split_of(cell: int) -> int:
    """The split that all questions of a cell belong to: eight cells in ten train, one validates, one tests."""
    return max(0, cell % LEAST_CELLS - (LEAST_CELLS - len(SPLITS)))


def _cells(seed: int, cells: int, workers: int | None) -> Iterator[Cell]:
    make = partial(_make, seed, cells)
    if workers is None:
        workers = os.cpu_count() or 1 if cells >= MANY_CELLS else 1
    if workers == 1:
        yield from map(make, range(cells))
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(make, range(cells), chunksize=16)


def _make(seed: int, cells: int, number: int) -> Cell:
    return make_cell(seed, number, cells, questions=number < QUESTION_CELLS)


def _findable(step: dict[str, Any], corpus: Corpus, index: ImpactIndex) -> str:
    """The query of a step; where it finds none of the documents, a title among them or the whole sentence."""
    wanted = set(step["documents"])
    for query in (step["query"], *(corpus[i].title for i in step["documents"]), step["text"]):
        if wanted.intersection(index.search(query, _SHOWN).ids.tolist()):
            return str(query)
    return str(step["query"])
