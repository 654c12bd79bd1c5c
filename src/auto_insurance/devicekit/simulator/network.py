"""A synthetic town with arterials, satellite towns, country roads and a motorway, and shortest ways through it.

Everything is in a local plane (metres east and north of a centre) and is a pure function of the seed. No real road is
meant.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from random import Random

from auto_insurance.kernel.geo import EARTH_RADIUS_M
from auto_insurance.kernel.units import mph_to_ms

M_PER_DEGREE = math.radians(1.0) * EARTH_RADIUS_M
_RANK = {"street": 0, "arterial": 1, "country": 1, "ramp": 2, "motorway": 3}

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Node:
    """A junction. ``control``: none (through traffic), stop (minor or all ways stop) or light."""

    x: float
    y: float
    control: str


@dataclass(frozen=True, slots=True)
class Edge:
    """A road between two nodes, driven both ways. ``radius_m`` is the radius of the bends inside it."""

    a: int
    b: int
    kind: str
    limit_mph: float
    points: tuple[Point, ...]
    length_m: float
    radius_m: float

    @property
    def rank(self) -> int:
        """Order of right of way: the higher one goes first."""
        return _RANK[self.kind]


@dataclass(frozen=True, slots=True)
class Network:
    """The graph. ``adjacent[n]`` holds (neighbour, edge number); ``towns`` the street nodes of each town, the core
    first.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    adjacent: tuple[tuple[tuple[int, int], ...], ...]
    towns: tuple[tuple[int, ...], ...]

    def route(self, start: int, goal: int, motorway_cost: float = 1.0) -> tuple[int, ...]:
        """Return the edge numbers of the quickest way (Dijkstra, 1959), free flow; motorways cost ``motorway_cost``
        times more.

        Raises ``ValueError`` when there is none or start equals goal.
        """
        if start == goal:
            raise ValueError("start and goal are the same node")
        best: dict[int, float] = {start: 0.0}
        came: dict[int, tuple[int, int]] = {}
        queue: list[tuple[float, int]] = [(0.0, start)]
        while queue:
            cost, node = heapq.heappop(queue)
            if node == goal:
                return self._unwind(came, start, goal)
            if cost > best[node]:
                continue
            for neighbour, number in self.adjacent[node]:
                total = cost + self._cost(number, node, motorway_cost)
                if total < best.get(neighbour, math.inf):
                    best[neighbour] = total
                    came[neighbour] = (node, number)
                    heapq.heappush(queue, (total, neighbour))
        raise ValueError(f"no way from {start} to {goal}")

    def _cost(self, number: int, node: int, motorway_cost: float) -> float:
        edge = self.edges[number]
        wait = {"none": 1.0, "stop": 6.0, "light": 14.0}[self.nodes[node].control]
        return edge.length_m / mph_to_ms(edge.limit_mph) * (motorway_cost if edge.kind == "motorway" else 1.0) + wait

    @staticmethod
    def _unwind(came: dict[int, tuple[int, int]], start: int, goal: int) -> tuple[int, ...]:
        numbers: list[int] = []
        node = goal
        while node != start:
            node, number = came[node]
            numbers.append(number)
        return tuple(reversed(numbers))

    def must_stop(self, node: int, edge: Edge) -> str:
        """Return what a car that comes to ``node`` on ``edge`` meets: none, stop or light."""
        control = self.nodes[node].control
        if control != "stop":
            return control
        ranks = [self.edges[n].rank for _, n in self.adjacent[node]]
        return "stop" if edge.rank < max(ranks) or min(ranks) == max(ranks) else "none"


class _Builder:
    def __init__(self, seed: int) -> None:
        self.rng = Random(f"network:{seed}")  # noqa: S311 - a simulation, not a secret
        self.xy: list[Point] = []
        self.edges: list[Edge] = []
        self.controls: list[str] = []
        self.towns: list[tuple[int, ...]] = []

    def node(self, x: float, y: float, control: str = "none") -> int:
        self.xy.append((x, y))
        self.controls.append(control)
        return len(self.xy) - 1

    def edge(
        self, a: int, b: int, kind: str, limit: float, *, step: float = 0.0, wander: float = 0.0, radius: float = 60.0
    ) -> None:
        (ax, ay), (bx, by) = self.xy[a], self.xy[b]
        span = math.hypot(bx - ax, by - ay)
        count = int(span / step) if step else 0
        points = [(ax, ay)]
        for k in range(1, count):
            f = k / count
            off = self.rng.uniform(-wander, wander)
            points.append((ax + (bx - ax) * f - (by - ay) / span * off, ay + (by - ay) * f + (bx - ax) / span * off))
        points.append((bx, by))
        length = sum(math.dist(p, q) for p, q in pairwise(points))
        self.edges.append(Edge(a, b, kind, limit, tuple(points), length, radius))

    def town(self, cx: float, cy: float, lines: int, spacing: float, main: int, main_limit: float) -> tuple[int, ...]:
        """A grid of ``lines`` x ``lines`` streets turned at random; every ``main``-th line is an arterial."""
        rng = self.rng
        turn = rng.uniform(-0.5, 0.5)
        cos, sin = math.cos(turn), math.sin(turn)
        half = (lines - 1) / 2
        offsets = [[(k - half) * spacing + rng.uniform(-0.12, 0.12) * spacing for k in range(lines)] for _ in "xy"]
        ids: list[int] = []
        for i in range(lines):
            for j in range(lines):
                u = offsets[0][i] + rng.uniform(-6, 6)
                w = offsets[1][j] + rng.uniform(-6, 6)
                arterials = (i % main == 0) + (j % main == 0)
                control = ("stop" if arterials or rng.random() < 0.5 else "none") if arterials < 2 else "light"
                ids.append(self.node(cx + u * cos - w * sin, cy + u * sin + w * cos, control))
        side = [rng.choice((25.0, 25.0, 30.0)) for _ in range(2 * lines)]
        for i in range(lines):
            for j in range(lines):
                here = ids[i * lines + j]
                if i + 1 < lines:
                    self._street(here, ids[(i + 1) * lines + j], j % main == 0, main_limit, side[j])
                if j + 1 < lines:
                    self._street(here, ids[i * lines + j + 1], i % main == 0, main_limit, side[lines + i])
        town = tuple(ids)
        self.towns.append(town)
        return town

    def _street(self, a: int, b: int, arterial: bool, main_limit: float, limit: float) -> None:
        if arterial:
            self.edge(a, b, "arterial", main_limit)
        else:
            self.edge(a, b, "street", limit)

    def nearest(self, nodes: tuple[int, ...], to: Point) -> int:
        return min(nodes, key=lambda n: math.dist(self.xy[n], to))

    def finish(self) -> Network:
        adjacent: list[list[tuple[int, int]]] = [[] for _ in self.xy]
        for number, edge in enumerate(self.edges):
            adjacent[edge.a].append((edge.b, number))
            adjacent[edge.b].append((edge.a, number))
        nodes = tuple(Node(x, y, c) for (x, y), c in zip(self.xy, self.controls, strict=True))
        return Network(nodes, tuple(self.edges), tuple(map(tuple, adjacent)), tuple(self.towns))


@lru_cache(maxsize=8)
def build_network(seed: int) -> Network:
    """Return the road network of a seed: a core town, five satellite towns at 6.5-9.5 km, country roads, a motorway
    with spokes.
    """
    b = _Builder(seed)
    core = b.town(0.0, 0.0, 13, 230.0, 4, 35.0)
    count = 5
    angle0 = b.rng.uniform(0, 2 * math.pi)
    exits: list[int] = []
    for k in range(count):
        angle = angle0 + 2 * math.pi * k / count + b.rng.uniform(-0.15, 0.15)
        ux, uy = math.sin(angle), math.cos(angle)
        far = b.rng.uniform(6500.0, 9500.0)
        town = b.town(ux * far, uy * far, 7, 190.0, 3, 35.0)
        # Country road: town gate, a village at half way (45), the core's edge.
        gate, core_gate = b.nearest(town, (0.0, 0.0)), b.nearest(core, (ux * far, uy * far))
        middle = b.node(ux * far * 0.5 - uy * 400, uy * far * 0.5 + ux * 400, "stop")
        near = b.node(ux * 2600 - uy * 150, uy * 2600 + ux * 150, "light")
        b.edge(core_gate, near, "arterial", 45.0, step=350, wander=20, radius=140)
        b.edge(near, middle, "country", 55.0, step=420, wander=70, radius=190)
        b.edge(middle, gate, "country", 55.0, step=420, wander=70, radius=190)
        # Motorway spoke with a ramp at both ends, beside the country road.
        inner = b.node(ux * 3200 + uy * 900, uy * 3200 - ux * 900)
        outer = b.node(ux * (far - 300) + uy * 1500, uy * (far - 300) - ux * 1500)
        b.edge(near, inner, "ramp", 45.0, step=300, wander=40, radius=110)
        b.edge(inner, outer, "motorway", 65.0, step=1100, wander=90, radius=900)
        b.edge(outer, b.nearest(town, b.xy[outer]), "ramp", 45.0, step=300, wander=30, radius=110)
        exits.append(outer)
    for k in range(count):
        b.edge(exits[k], exits[(k + 1) % count], "motorway", 65.0, step=1300, wander=140, radius=900)
    return b.finish()


@dataclass(frozen=True, slots=True)
class Projection:
    """The local plane around a centre in degrees: equirectangular, true to 0.3 % within 15 km (Snyder, 1987, p. 90)."""

    latitude: float
    longitude: float

    def degrees(self, x: float, y: float) -> tuple[float, float]:
        """Return (latitude, longitude) of a point ``x`` metres east and ``y`` metres north of the centre."""
        scale = M_PER_DEGREE * math.cos(math.radians(self.latitude))
        return self.latitude + y / M_PER_DEGREE, self.longitude + x / scale
