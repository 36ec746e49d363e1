"""Documents on disk: one file of text and one of offsets, mapped into memory, so that opening a million takes no time.

A document is its ``contents``: a title in the first line (in quotes, as in the wiki-18 corpus, or without), the text
below it.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from agentgym.core.errors import ConfigError, DataError


class Passage(NamedTuple):
    """One document."""

    id: str
    contents: str

    @property
    def title(self) -> str:
        """The first line, without quotes around it."""
        return self.contents.partition("\n")[0].strip().strip('"')

    @property
    def text(self) -> str:
        """Everything below the first line."""
        return self.contents.partition("\n")[2]


class Texts:
    """Strings in a file, by their number. ``Texts.write`` makes one; slicing is by bytes, decoding by string."""

    def __init__(self, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> None:
        self._data, self._offsets = data, offsets

    @classmethod
    def write(cls, folder: Path, name: str, texts: Iterable[str]) -> None:
        """Writes ``<name>.bin`` and ``<name>.npy``."""
        offsets = [0]
        with (folder / f"{name}.bin").open("wb") as file:
            for text in texts:
                offsets.append(offsets[-1] + file.write(text.encode("utf-8", "surrogatepass")))
        np.save(folder / f"{name}.npy", np.asarray(offsets, dtype=np.int64))

    @classmethod
    def open(cls, folder: Path, name: str) -> Texts:
        """Maps what ``write`` wrote."""
        offsets = np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r"))
        path = folder / f"{name}.bin"
        data = np.memmap(path, dtype=np.uint8, mode="r") if path.stat().st_size else np.empty(0, dtype=np.uint8)
        return cls(np.asarray(data), offsets)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """The same in memory."""
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, number: int) -> str:
        if not 0 <= number < len(self):
            raise IndexError(f"Number {number} is outside the {len(self)} texts.")
        data: bytes = self._data[self._offsets[number] : self._offsets[number + 1]].tobytes()
        return data.decode("utf-8", "surrogatepass")


class Corpus:
    """The documents of a collection, by position and by id.

    Args:
        contents: One text a document.
        ids: One id a document; None: the positions are the ids.
    """

    def __init__(self, contents: Texts, ids: Texts | None = None) -> None:
        self._contents, self._ids = contents, ids
        self._positions: dict[str, int] | None = None

    @classmethod
    def write(cls, folder: Path, passages: Iterable[Passage]) -> None:
        """Stores documents in their order.

        Raises:
            ConfigError: Two documents share an id.
        """
        folder.mkdir(parents=True, exist_ok=True)
        ids: list[str] = []

        def contents() -> Iterator[str]:
            for passage in passages:
                ids.append(passage.id)
                yield passage.contents

        Texts.write(folder, "contents", contents())
        if any(name != str(i) for i, name in enumerate(ids)):
            if len(set(ids)) != len(ids):
                raise ConfigError("Two documents of the corpus share an id; ids must be unique.")
            Texts.write(folder, "ids", ids)
        else:  # those of a corpus whose indexing failed here
            (folder / "ids.npy").unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: Path) -> Corpus:
        """Opens what ``write`` wrote.

        Raises:
            DataError: No corpus there.
        """
        try:
            ids = Texts.open(folder, "ids") if (folder / "ids.npy").exists() else None
            return cls(Texts.open(folder, "contents"), ids)
        except (OSError, ValueError) as error:
            raise DataError(f"There is no corpus in {str(folder)!r}: {error}") from error

    def __len__(self) -> int:
        return len(self._contents)

    def __getitem__(self, position: int) -> Passage:
        return Passage(str(position) if self._ids is None else self._ids[position], self._contents[position])

    def __iter__(self) -> Iterator[Passage]:
        return (self[i] for i in range(len(self)))

    def contents(self) -> Iterator[str]:
        """Every document's contents in order."""
        return (self._contents[i] for i in range(len(self)))

    def position(self, name: str) -> int | None:
        """The position of the document of that id; None where there is none."""
        if self._ids is None:
            small = name.isascii() and name.isdecimal() and len(name) < 19
            return int(name) if small and str(int(name)) == name and int(name) < len(self) else None
        if self._positions is None:
            self._positions = {self._ids[i]: i for i in range(len(self))}
        return self._positions.get(name)


def read_jsonl(path: Path) -> Iterator[Passage]:
    """Documents of a JSON Lines file ``{"id", "contents"}`` (wiki-18), or ``{"id", "title", "text"}``.

    Raises:
        DataError: A line of another form, with its number.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8"))
                contents = row["contents"] if "contents" in row else f'"{row["title"]}"\n{row["text"]}'
                passage = Passage(str(row["id"]), str(contents))
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise DataError(
                    f"{path.name}, line {number}: expected a JSON object with 'id' and 'contents' (or 'title' and"
                    f" 'text'), in UTF-8, got {line.strip()[:80].decode('utf-8', 'replace')!r}"
                    f" ({type(error).__name__}: {error})."
                ) from error
            yield passage
