"""Tournaments among the trajectories of a group, and rewards from their rankings (ArenaRL)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from agentgym.credit.segments import FloatArray

Judge = Callable[[int, int], tuple[float, float]]
"""Compares two players: (points of the first, points of the second)."""


class Table:
    """Points of every player over all matches, and who met whom."""

    def __init__(self, judge: Judge, players: int) -> None:
        self.judge = judge
        self.points: list[list[float]] = [[] for _ in range(players)]
        self.met: set[frozenset[int]] = set()

    def play(self, first: int, second: int) -> tuple[float, float]:
        """One match; both players' points are booked."""
        points = self.judge(first, second)
        for player, point in zip((first, second), points, strict=True):
            self.points[player].append(float(point))
        self.met.add(frozenset((first, second)))
        return points

    def mean(self, player: int) -> float:
        """Mean points a match; 0 without a match."""
        booked = self.points[player]
        return sum(booked) / len(booked) if booked else 0.0

    def order(self, players: Sequence[int]) -> list[int]:
        """Players by falling mean points, ties by number."""
        return sorted(players, key=lambda player: (-self.mean(player), player))


def bracket(size: int) -> list[int]:
    """Seeds 0.. in the order of a knock-out bracket: neighbours meet, and the best two can only meet at the end."""
    order = [0]
    while len(order) < size:
        width = 2 * len(order)
        order = [seed for low in order for seed in (low, width - 1 - low)]
    return order


def single_elimination(judge: Judge, players: int, *, byes: str = "top_seeds") -> list[int]:
    """Ranking by a knock-out: champion, then the losers of each round, later rounds first; ``2 (n − 1)`` matches.

    Everyone first meets player 0; the points seed the bracket (player 0: mean of its points). Ties go to the better
    seed. Losers of one round are ordered by mean points over all matches.

    Args:
        judge: Compares two players.
        players: n, at least 1.
        byes: ``top_seeds``: in a bracket of the next power of two the best seeds have the missing opponents, and so a
            free first round. ``released``: missing seeds are dropped and neighbours close ranks, so that byes go to
            whoever is last in the row, who then comes first in the next round; ties go to the first of the pair.

    Returns:
        Players, best first.
    """
    table = Table(judge, players)
    for player in range(1, players):
        table.play(player, 0)
    seeds = table.order(range(players))
    size = 1 << (players - 1).bit_length()
    row = [seeds[seed] if seed < players else None for seed in bracket(size)]
    alive: list[int | None] = [player for player in row if player is not None] if byes == "released" else list(row)
    ranking: list[int] = []
    while len(alive) > 1:
        alive, losers = _round(table, alive)
        ranking = table.order(losers) + ranking
    return [player for player in alive if player is not None] + ranking


def _round(table: Table, alive: list[int | None]) -> tuple[list[int | None], list[int]]:
    """Winners in order (whoever had no opponent at the end of the row first) and losers of one round."""
    winners, losers = [], []
    for first, second in zip(alive[0::2], alive[1::2], strict=False):
        if first is None or second is None:
            winners.append(first if second is None else second)
            continue
        a, b = table.play(first, second)
        winners.append(first if a >= b else second)
        losers.append(second if a >= b else first)
    return ([alive[-1]] if len(alive) % 2 else []) + winners, losers


def round_robin(judge: Judge, players: int) -> list[int]:
    """Ranking by mean points when everyone meets everyone once; ``n (n − 1) / 2`` matches."""
    table = Table(judge, players)
    for first in range(players):
        for second in range(first + 1, players):
            table.play(first, second)
    return table.order(range(players))


def swiss(judge: Judge, players: int, rounds: int = 0) -> list[int]:
    """Ranking by mean points after rounds in which neighbours of the table meet, by preference who haven't met before.

    Pairing is greedy from the top, so that the last pair of a late round may be a rematch.

    Args:
        judge: Compares two players.
        players: n, at least 1.
        rounds: Number of rounds; 0 takes ``ceil(log2 n)``. With n odd one player rests each round.
    """
    table = Table(judge, players)
    for _ in range(rounds or (players - 1).bit_length()):
        waiting = table.order(range(players))
        if players % 2:
            waiting.remove(_who_rests(table, waiting))
        while waiting:
            first = waiting.pop(0)
            fresh = [other for other in waiting if frozenset((first, other)) not in table.met]
            second = (fresh or waiting)[0]
            waiting.remove(second)
            table.play(first, second)
    return table.order(range(players))


def _who_rests(table: Table, waiting: list[int]) -> int:
    """The last of the table among those who have played most."""
    most = max(len(table.points[player]) for player in waiting)
    return [player for player in waiting if len(table.points[player]) == most][-1]


def rank_reward(ranking: Sequence[int]) -> FloatArray:
    """``1 − rank / (n − 1)`` of each player: 1 for the first, 0 for the last; 0.5 for a lone player; shape (n,)."""
    n = len(ranking)
    out = np.full(n, 0.5)
    if n > 1:
        out[np.asarray(ranking, dtype=np.int64)] = 1.0 - np.arange(n) / (n - 1)
    return out
