"""Shortest ways over a graph of streets, and what to tell people about them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import atan2, pi

WAYS = ("walk", "bike", "car")
PACE = {"walk": 80, "bike": 250, "car": 400}
"""Metres a minute."""

Segment = tuple[int, int, int, int, int]
"""Street, one end, other end, metres, and whether cars may go from the one to the other only."""
Edges = Mapping[int, Sequence[tuple[int, int, int]]]
"""Junction -> next junction, street, metres."""


def edges(segments: Iterable[Segment], way: str) -> Edges:
    """The graph for a way of travelling: one-way streets bind cars alone."""
    found: dict[int, list[tuple[int, int, int]]] = {}
    for street, a, b, metres, oneway in segments:
        found.setdefault(a, []).append((b, street, metres))
        found.setdefault(b, [])
        if not (oneway and way == "car"):
            found[b].append((a, street, metres))
    return found


def distances(graph: Edges, start: int) -> tuple[dict[int, int], dict[int, tuple[int, int]]]:
    """Metres to every junction that can be reached, and for each the junction before it and the street between.

    Dijkstra's algorithm; of equal ways the one over the lower junctions.
    """
    metres, before = {start: 0}, {start: (0, 0)}
    queue = [(0, start)]
    while queue:
        so_far, node = heapq.heappop(queue)
        if so_far > metres[node]:
            continue
        for following, street, length in graph.get(node, ()):
            total = so_far + length
            if total < metres.get(following, 1 << 60):
                metres[following], before[following] = total, (node, street)
                heapq.heappush(queue, (total, following))
    return metres, before


@dataclass(frozen=True)
class Leg:
    """One street of a way."""

    turn: str
    street: int
    metres: int


def legs(
    before: Mapping[int, tuple[int, int]], metres: Mapping[int, int], points: Mapping[int, tuple[int, int]], end: int
) -> list[Leg]:
    """The streets of the way to ``end``, in order, with the turn that leads into each."""
    nodes, streets = [end], []
    while before[nodes[-1]][0]:
        node, street = before[nodes[-1]]
        nodes.append(node)
        streets.append(street)
    nodes.reverse()
    streets.reverse()
    found: list[Leg] = []
    for i, street in enumerate(streets):
        length = metres[nodes[i + 1]] - metres[nodes[i]]
        if found and found[-1].street == street:
            found[-1] = Leg(found[-1].turn, street, found[-1].metres + length)
            continue
        turn = _turn(*(points[nodes[k]] for k in (i - 1, i, i + 1))) if i else "Start on"
        found.append(Leg(turn, street, length))
    return found


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> str:
    """Which way it goes at ``b``; the first axis points east, the second north."""
    angle = atan2(c[1] - b[1], c[0] - b[0]) - atan2(b[1] - a[1], b[0] - a[0])
    angle = (angle + pi) % (2 * pi) - pi
    if abs(angle) < pi / 6:
        return "Go on into"
    return "Turn left into" if angle > 0 else "Turn right into"


def minutes(metres: int, way: str) -> int:
    """How long it takes, in minutes begun."""
    return -(-metres // PACE[way])
