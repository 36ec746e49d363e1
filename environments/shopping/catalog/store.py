"""A generated catalogue on disk: built once, memory-mapped by every environment of the machine."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from agentgym.core.cache import built_once, cache_root
from agentgym.core.errors import ConfigError
from agentgym.core.seeding import digest
from agentgym.core.tasks import SPLITS, check_split
from agentgym.environments.shopping.catalog import generate
from agentgym.environments.shopping.catalog.vocabulary import families, family_of, vocabulary_digest
from agentgym.environments.shopping.product import Product, Row
from agentgym.tools.retriever import BM25

FORMAT_VERSION = 4
"""Raised whenever products, files or the text that is indexed change."""

SMALLEST, LARGEST = 100, 1_000_000

Progress = Callable[[int, int], None]
"""``(done, of)``: called now and then while a catalogue is built."""

_DECODED_PRODUCTS = 4096
_FIELD, _ITEM = "\x1e", "\x1f"
"""Separators of records: fields of a product, items of a field."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGIT_SET = frozenset(_DIGITS)
_NAME_SPACE = 36**7
_NAME_FACTOR = 31_415_926_535  # odd and no multiple of 3: invertible modulo 36^7
_NAME_INVERSE = pow(_NAME_FACTOR, -1, _NAME_SPACE)
_NAME_SHIFT = 5_772_156_649
_MARKS = {"train": "T", "validation": "V", "test": "E"}
"""What the third character of a product's name tells."""


@dataclass(frozen=True, slots=True)
class CatalogSpec:
    """Which catalogue. Its products are a function of these three.

    Args:
        size: Number of products, 100 to 1,000,000.
        seed: Draws them.
        split: Catalogues of different splits share no product, brand or product name.
    """

    size: int = 1000
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        if not SMALLEST <= self.size <= LARGEST:
            raise ConfigError(f"A catalogue has {SMALLEST} to {LARGEST:,} products, got {self.size}.")
        check_split(self.split, SPLITS)

    @property
    def folder(self) -> Path:
        """Where it is cached."""
        name = digest(FORMAT_VERSION, vocabulary_digest(), version("bm25s"), self.size, self.seed, self.split)
        return cache_root() / "shopping" / name


class Base(NamedTuple):
    """A product that a goal may ask for."""

    position: int
    attribute: str
    """What its near misses lack: this attribute ..."""
    option: tuple[str, str]
    """... or this option (name, value)."""
    near_misses: int


class StoredCatalogue:
    """A built catalogue, memory-mapped. See ``Catalogue`` for the methods that all catalogues have."""

    def __init__(self, folder: Path, split: str) -> None:
        self._records = _Lines.open(folder, "products")
        self._rows = _Lines.open(folder, "rows")
        self._bases: npt.NDArray[np.int32] = _mapped(folder / "bases.npy")
        self._bases_with: dict[int, npt.NDArray[np.int64]] = {}
        self._index = BM25.load(folder / "bm25")
        self._mark = _MARKS[split]
        self.product = lru_cache(maxsize=_DECODED_PRODUCTS)(self._product)
        """The product at a position."""
        self.row = lru_cache(maxsize=_DECODED_PRODUCTS)(self._row)
        """What a results page shows of the product at a position."""

    def __len__(self) -> int:
        return len(self._records)

    @property
    def n_bases(self) -> int:
        """How many products goals may ask for."""
        return len(self._bases)

    def bases_with(self, near_misses: int) -> npt.NDArray[np.int64]:
        """Numbers of the bases with at least so many near misses."""
        if near_misses not in self._bases_with:
            self._bases_with[near_misses] = np.flatnonzero(self._bases[:, 4] >= near_misses)
        return self._bases_with[near_misses]

    def base(self, number: int) -> Base:
        """The base of that number, from 0 to ``n_bases - 1``."""
        position, attribute, name, value, near_misses = self._bases[number].tolist()
        family = family_of(self.product(position).query)
        option = list(family.options)[name]
        return Base(position, list(family.attributes)[attribute], (option, family.options[option][value]), near_misses)

    def position(self, asin: str) -> int | None:
        """See ``Catalogue.position``."""
        if len(asin) != 10 or not asin.startswith(f"B0{self._mark}") or not _DIGIT_SET.issuperset(asin):
            return None
        position = (int(asin[3:], 36) - _NAME_SHIFT) * _NAME_INVERSE % _NAME_SPACE
        return position if position < len(self) else None

    def search(self, query: str, k: int) -> Sequence[int]:
        """See ``Catalogue.search``: BM25 over titles, descriptions, first bullets and option values."""
        positions: list[int] = self._index.search(query, k).ids.tolist()
        return positions

    def _product(self, position: int) -> Product:
        number, cents, description, bullets, attributes, *options = self._records[position].decode().split(_FIELD)
        family = families()[int(number)]
        row = self.row(position)
        lists = [option.split(_ITEM) for option in options]
        return Product(
            asin=row.asin,
            title=row.title,
            price=int(cents) / 100,
            price_tag=row.price_tag,
            query=family.type,
            category=family.department,
            product_category=family.path,
            description=description,
            bullets=tuple(bullets.split(_ITEM)),
            attributes=tuple(attributes.split(_ITEM)),
            options={name: tuple(values) for name, *values in lists},
        )

    def _row(self, position: int) -> Row:
        return Row(*self._rows[position].decode().split("\t"))


def asin_of(position: int, split: str) -> str:
    """Name of the product at a position: ten characters that don't tell the order of products."""
    number = (position * _NAME_FACTOR + _NAME_SHIFT) % _NAME_SPACE
    digits = ""
    for _ in range(7):
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return f"B0{_MARKS[split]}{digits}"


def open_catalogue(spec: CatalogSpec, progress: Progress | None = None) -> StoredCatalogue:
    """The catalogue of ``spec``, built first where this machine doesn't have it. One object a process and folder.

    Raises:
        ConfigError: The cache can't be written.
    """
    built_once(spec.folder, lambda folder: _build(folder, spec, progress))
    return _opened(spec.folder, spec.split)


@lru_cache(maxsize=16)
def _opened(folder: Path, split: str) -> StoredCatalogue:
    return StoredCatalogue(folder, split)


# ---------------------------------------------------------------------- building


def _build(folder: Path, spec: CatalogSpec, progress: Progress | None) -> None:
    bases: list[tuple[int, int, int, int, int]] = []
    with _Writer(folder, "products") as records, _Writer(folder, "rows") as rows:

        def texts() -> Iterator[str]:
            for position, draft in enumerate(generate.products(spec.seed, spec.split, spec.size)):
                records.add(_record(draft))
                rows.add(f"{asin_of(position, spec.split)}\t{draft.title}\t${draft.cents / 100:.2f}")
                if draft.pivot is not None:
                    bases.append((position, *_pivot_numbers(draft), draft.near_misses))
                if progress is not None and position % 1000 == 0:
                    progress(position, spec.size)
                yield _indexed_text(draft)

        BM25.build(texts()).save(folder / "bm25")
    np.save(folder / "bases.npy", np.array(bases, dtype=np.int32))
    if progress is not None:
        progress(spec.size, spec.size)


def _record(draft: generate.Draft) -> str:
    """What a row doesn't hold. Split apart in a third of the time that JSON takes."""
    options = (_ITEM.join((name, *values)) for name, values in draft.options.items())
    lists = (_ITEM.join(draft.bullets), _ITEM.join(draft.attributes), *options)
    return _FIELD.join((str(draft.family), str(draft.cents), draft.description, *lists))


def _pivot_numbers(draft: generate.Draft) -> tuple[int, int, int]:
    assert draft.pivot is not None
    attribute, name, value = draft.pivot
    family = families()[draft.family]
    return (
        list(family.attributes).index(attribute),
        list(family.options).index(name),
        family.options[name].index(value),
    )


def _indexed_text(draft: generate.Draft) -> str:
    """Title, description, first bullet and options, as the official index has them.

    The other bullets are left out on purpose: most attributes can't be searched for, one has to look.
    """
    values: Iterable[str] = (value for values in draft.options.values() for value in values)
    return " ".join((draft.title, draft.description, draft.bullets[0], *values))


def _mapped(path: Path) -> npt.NDArray[Any]:
    """The array in a file, mapped. A plain view: indexing a memmap object costs microseconds."""
    return np.asarray(np.load(path, mmap_mode="r"))


class _Writer:
    """Writes a ``_Lines`` file."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = (folder / f"{name}.bin").open("wb")
        self._ends = folder / f"{name}.npy"
        self._offsets = [0]

    def add(self, line: str) -> None:
        data = line.encode()
        self._file.write(data)
        self._offsets.append(self._offsets[-1] + len(data))

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()
        np.save(self._ends, np.array(self._offsets, dtype=np.int64))


class _Lines:
    """Byte strings by number, from a memory-mapped file."""

    def __init__(self, data: mmap.mmap, offsets: npt.NDArray[np.int64]) -> None:
        self._data = data
        self._offsets = offsets

    @classmethod
    def open(cls, folder: Path, name: str) -> _Lines:
        with (folder / f"{name}.bin").open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return cls(data, _mapped(folder / f"{name}.npy"))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, number: int) -> bytes:
        return self._data[int(self._offsets[number]) : int(self._offsets[number + 1])]
