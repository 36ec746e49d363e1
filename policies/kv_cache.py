"""Attention keys and values of many episodes, kept from turn to turn.

Each episode owns a row, and the token at position ``p`` of its context sits in column ``p``: no padding is ever stored,
so a row can be continued, cut back to a common prefix, or moved. The rows of the requests at hand are kept in front, so
that the model reads them as one slice without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.cache_utils import Cache

_COLUMNS = 64
_ROWS = 16
"""Memory grows in multiples of these."""


class RowCache(Cache):
    """A cache for Hugging Face models whose layers all attend to keys and values.

    Args:
        max_rows: Episodes to keep. Beyond, the one that was used longest ago is forgotten.
    """

    def __init__(self, max_rows: int) -> None:
        super().__init__(layers=[])
        self.max_rows = max_rows
        self.tokens: list[list[int]] = []
        """The tokens whose keys and values a row holds."""
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._owners: list[str | None] = []
        self._used: list[int] = []
        self._clock = 0
        self._columns = 0
        self._where: tuple[Tensor, Tensor] = (torch.empty(0), torch.empty(0))
        self._length = 0

    def claim(self, episodes: Sequence[str]) -> list[int]:
        """Brings the rows of these episodes to the front, empty ones where an episode has none yet.

        Args:
            episodes: Distinct names, at most ``max_rows``.

        Returns:
            For each front row the index of its episode.
        """
        self._clock += 1
        row_of = {owner: row for row, owner in enumerate(self._owners) if owner is not None}
        rows = []
        wanted = set(episodes)
        spare = [row for row in self._oldest_first() if self._owners[row] not in wanted]
        for episode in episodes:
            row = row_of.get(episode)
            if row is None:
                row = self._new_row(spare)
                self._owners[row] = episode
                self.tokens[row] = []
            self._used[row] = self._clock
            rows.append(row)
        self.to_front(sorted(rows))
        index = {episode: position for position, episode in enumerate(episodes)}
        return [index[owner] for owner in self._owners[: len(episodes)] if owner is not None]

    def _oldest_first(self) -> list[int]:
        return sorted(range(len(self._owners)), key=lambda row: (self._owners[row] is not None, self._used[row]))

    def _new_row(self, spare: list[int]) -> int:
        if spare and (len(self._owners) >= self.max_rows or self._owners[spare[0]] is None):
            return spare.pop(0)
        self._owners.append(None)
        self._used.append(0)
        self.tokens.append([])
        return len(self._owners) - 1

    def to_front(self, rows: Sequence[int]) -> list[tuple[int, int]]:
        """Swaps rows so that ``rows`` (sorted) come first; those already in front stay. Returns the swaps."""
        count = len(rows)
        holes = sorted(set(range(count)) - set(rows))
        swaps = list(zip(holes, [row for row in rows if row >= count], strict=True))
        for a, b in swaps:
            self._owners[a], self._owners[b] = self._owners[b], self._owners[a]
            self._used[a], self._used[b] = self._used[b], self._used[a]
            self.tokens[a], self.tokens[b] = self.tokens[b], self.tokens[a]
        self._swap_memory(swaps)
        return swaps

    def _swap_memory(self, swaps: Sequence[tuple[int, int]]) -> None:
        held = len(self._keys[0]) if self._keys else 0
        if not swaps or not held:
            return
        if max(b for _, b in swaps) >= held:
            self._resize(self._columns)
        longest = max(max(len(self.tokens[a]), len(self.tokens[b])) for a, b in swaps)
        to = torch.tensor([row for pair in swaps for row in pair], device=self._keys[0].device)
        source = torch.tensor([row for a, b in swaps for row in (b, a)], device=self._keys[0].device)
        for memory in (*self._keys, *self._values):
            memory[to, :longest] = memory[source, :longest]

    def reserve(self, columns: int) -> None:
        """Makes room for contexts of ``columns`` tokens."""
        if columns + 1 > self._columns:  # one column more takes what padding writes
            wide = -(-(columns + 1) // _COLUMNS) * _COLUMNS
            self._resize(max(wide, min(2 * self._columns, wide + 8 * _COLUMNS)))
        elif self._keys and len(self._keys[0]) < len(self._owners):
            self._resize(self._columns)

    def _resize(self, columns: int) -> None:
        for memories in (self._keys, self._values):
            for layer, old in enumerate(memories):
                new = old.new_zeros((self._rows_to_hold(), columns, *old.shape[2:]))
                new[: old.shape[0], : old.shape[1]] = old
                memories[layer] = new
        self._columns = columns

    def begin(self, positions_B_S: Tensor, length: int) -> None:
        """Says where the next forward pass writes.

        Args:
            positions_B_S: Column of each new token of the front rows; negative where it is padding.
            length: How many columns attention reads.
        """
        rows = torch.arange(len(positions_B_S), device=positions_B_S.device)[:, None]
        self._where = (rows, torch.where(positions_B_S < 0, self._columns - 1, positions_B_S))
        self._length = length

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Stores new keys and values [B, heads, S, size]; returns those of the front rows, [B, heads, length, size]."""
        if layer_idx >= len(self._keys):
            self._keys.append(self._allocate(key_states))
            self._values.append(self._allocate(value_states))
        stored = []
        for memory, states in ((self._keys[layer_idx], key_states), (self._values[layer_idx], value_states)):
            memory[self._where] = states.transpose(1, 2)
            stored.append(memory[: len(states), : self._length].transpose(1, 2))
        return stored[0], stored[1]

    def _allocate(self, states: Tensor) -> Tensor:
        _, heads, _, size = states.shape
        return states.new_zeros((self._rows_to_hold(), self._columns, heads, size))

    def _rows_to_hold(self) -> int:
        return min(-(-len(self._owners) // _ROWS) * _ROWS, self.max_rows)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Columns that attention reads in this pass. Masks and positions are always given explicitly."""
        return self._length

    def forget(self) -> None:
        """Drops every row, as after a change of weights. Keeps the memory."""
        self._owners, self._used, self.tokens, self._clock = [], [], [], 0
