"""Text as Gymnasium sees it: the space of strings, chat messages, and messages that a length limit cut."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any, NotRequired, SupportsIndex, TypedDict, overload

import gymnasium
import numpy as np
from gymnasium.vector.utils.shared_memory import (
    create_shared_memory,
    read_from_shared_memory,
    write_to_shared_memory,
)
from gymnasium.vector.utils.space_utils import batch_differing_spaces, create_empty_array

_SAMPLE_ALPHABET = np.array(list("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789 .,:;[]{}()<>\"'/\\|_-\n\täßé漢🙂"))
_HEADER_BYTES = 8
_MAX_UTF8_BYTES = 4


class Message(TypedDict):
    """One chat message, as every chat API spells it."""

    role: str
    """``system``, ``user``, ``assistant`` or ``tool``."""
    content: str
    tool_call_id: NotRequired[str]
    """Which call of the message before this answers; with parallel calls there is one reply a call."""


class TruncatedMessage(str):
    """A message that the length limit of its policy cut. The environment reads it as it is and flags the turn."""

    __slots__ = ()


class TextSpace(gymnasium.Space[str]):
    """All strings of at most ``max_length`` characters.

    Gymnasium's own ``Text`` lists the characters that may occur, so that one emoji falls out of the space, and its
    shared memory returns constants. This space holds any text, lone surrogates and NUL included.
    """

    def __init__(self, max_length: int, seed: int | np.random.Generator | None = None) -> None:
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {max_length}.")
        self.max_length = int(max_length)
        super().__init__(shape=None, dtype=None, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Text has no fixed shape."""
        return False

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> str:
        """A short random string: letters, digits, brackets, a few characters outside ASCII."""
        length = int(self.np_random.integers(1, min(self.max_length, 32) + 1))
        return "".join(self.np_random.choice(_SAMPLE_ALPHABET, size=length).tolist())

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a string that is short enough."""
        return isinstance(x, str) and len(x) <= self.max_length

    def to_jsonable(self, sample_n: Iterable[str]) -> list[str]:
        """Strings are JSON already."""
        return list(sample_n)

    def from_jsonable(self, sample_n: list[Any]) -> list[str]:
        """Inverse of ``to_jsonable``."""
        return [str(item) for item in sample_n]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextSpace) and self.max_length == other.max_length

    def __hash__(self) -> int:
        return hash((TextSpace, self.max_length))

    def __repr__(self) -> str:
        return f"TextSpace({self.max_length})"


class SharedTexts(Sequence[str]):
    """The observations of asynchronous environments, read from shared memory when they are looked at.

    Gymnasium reads shared memory once, when the vector environment is made, and hands out deep copies of that object
    afterwards. So this is a view, and its deep copy is the tuple of the strings at that moment.
    """

    def __init__(self, memory: Any, n: int, slot: int) -> None:
        self._bytes = np.frombuffer(memory.get_obj(), dtype=np.uint8).reshape(n, slot)

    def __len__(self) -> int:
        return len(self._bytes)

    @overload
    def __getitem__(self, index: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self)[index]
        row = self._bytes[index]
        length = int(row[:_HEADER_BYTES].view(np.int64)[0])
        data: bytes = row[_HEADER_BYTES : _HEADER_BYTES + length].tobytes()
        return data.decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __deepcopy__(self, memo: dict[int, Any]) -> tuple[str, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        return repr(tuple(self))


def _slot_bytes(space: TextSpace) -> int:
    """Bytes of one environment's slot: the length, then UTF-8. A multiple of 8, so that every length is aligned."""
    size = _HEADER_BYTES + _MAX_UTF8_BYTES * space.max_length
    return -(-size // _HEADER_BYTES) * _HEADER_BYTES


@create_shared_memory.register(TextSpace)
def _create_shared_text(space: TextSpace, n: int = 1, ctx: ModuleType = multiprocessing) -> Any:
    return ctx.Array("B", n * _slot_bytes(space))


@read_from_shared_memory.register(TextSpace)
def _read_shared_text(space: TextSpace, shared_memory: Any, n: int = 1) -> Any:
    return SharedTexts(shared_memory, n, _slot_bytes(space))


@write_to_shared_memory.register(TextSpace)
def _write_shared_text(space: TextSpace, index: int, value: str, shared_memory: Any) -> None:
    data = value.encode("utf-8", "surrogatepass")
    slot = _slot_bytes(space)
    if _HEADER_BYTES + len(data) > slot:
        raise ValueError(f"An observation of {len(value)} characters is outside {space}.")
    memory = np.frombuffer(shared_memory.get_obj(), dtype=np.uint8)[index * slot : (index + 1) * slot]
    memory[:_HEADER_BYTES].view(np.int64)[0] = len(data)
    memory[_HEADER_BYTES : _HEADER_BYTES + len(data)] = np.frombuffer(data, dtype=np.uint8)


@create_empty_array.register(TextSpace)
def _create_empty_texts(space: TextSpace, n: int = 1, fn: Any = np.zeros) -> tuple[str, ...]:
    return ("",) * n


@batch_differing_spaces.register(TextSpace)
def _batch_differing_texts(spaces: Sequence[TextSpace]) -> gymnasium.spaces.Tuple[Any]:  # type: ignore[misc]
    return gymnasium.spaces.Tuple([TextSpace(space.max_length) for space in spaces])
