"""The line that a car follows along a route: straights and circular arcs, with limits and places to stop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from auto_insurance.devicekit.simulator.network import Edge, Network, Point
from auto_insurance.kernel.units import mph_to_ms

_STRAIGHT_RAD = math.radians(0.5)
_LINE_BEFORE_M = 4.0


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of constant curvature. ``heading`` in radians from north, ``curvature`` 1/m, right positive."""

    s0: float
    s1: float
    x: float
    y: float
    heading: float
    curvature: float
    limit_ms: float
    limit_mph: float

    def at(self, s: float) -> tuple[float, float, float]:
        """Return x, y (m) and heading (radians from north) at ``s`` metres along the path; exact."""
        d = s - self.s0
        k = self.curvature
        if not k:
            return self.x + d * math.sin(self.heading), self.y + d * math.cos(self.heading), self.heading
        h = self.heading + k * d
        x = self.x + (math.cos(self.heading) - math.cos(h)) / k
        return x, self.y + (math.sin(h) - math.sin(self.heading)) / k, h


@dataclass(frozen=True, slots=True)
class StopLine:
    """A place where one may have to stop: ``control`` is stop or light."""

    s: float
    control: str


@dataclass(frozen=True, slots=True)
class Path:
    """A continuous line with continuous heading. ``length_m`` is the end of the last piece."""

    pieces: tuple[Piece, ...]
    stops: tuple[StopLine, ...]
    length_m: float


@dataclass(frozen=True, slots=True)
class _Vertex:
    point: Point
    limit_mph: float
    radius_m: float
    control: str


def build_path(network: Network, route: Sequence[int], start: int) -> Path:
    """Round off the corners of a route that begins at node ``start``; raises ``ValueError`` for an empty route."""
    if not route:
        raise ValueError("an empty route")
    return _round_off(_vertices(network, route, start))


def _vertices(network: Network, route: Sequence[int], start: int) -> list[_Vertex]:
    """Vertex k carries the limit of the road that leads on from it."""
    out: list[_Vertex] = []
    node, before = start, None
    for number in route:
        edge = network.edges[number]
        points = edge.points if edge.a == node else edge.points[::-1]
        control = network.must_stop(node, before) if before is not None else "none"
        out.append(_Vertex(points[0], edge.limit_mph, _turn_radius(before, edge), control))
        out.extend(_Vertex(p, edge.limit_mph, edge.radius_m, "none") for p in points[1:-1])
        node = edge.b if edge.a == node else edge.a
        before = edge
    last = network.nodes[node]
    out.append(_Vertex((last.x, last.y), out[-1].limit_mph, 0.0, "none"))
    return out


def _turn_radius(before: Edge | None, after: Edge) -> float:
    """Wanted radius of a turn at a junction, by the greater of the two roads, m."""
    if before is None:
        return 0.0
    low, high = sorted((before.rank, after.rank))
    if low >= 2:
        return 120.0 if high > low else 500.0
    return (11.0, 15.0, 45.0, 45.0)[high]


def _round_off(vertices: list[_Vertex]) -> Path:
    pieces: list[Piece] = []
    stops: list[StopLine] = []
    s, cut = 0.0, 0.0
    for k in range(len(vertices) - 1):
        here, there = vertices[k], vertices[k + 1]
        (ax, ay), (bx, by) = here.point, there.point
        span = math.dist(here.point, there.point)
        heading = math.atan2(bx - ax, by - ay)
        turn, tangent, radius = _corner(vertices, k + 1)
        straight = span - cut - tangent
        x, y = ax + cut * math.sin(heading), ay + cut * math.cos(heading)
        limit = here.limit_mph
        pieces.append(Piece(s, s + straight, x, y, heading, 0.0, mph_to_ms(limit), limit))
        s += straight
        if there.control != "none" and s - _LINE_BEFORE_M > 0:
            stops.append(StopLine(s - _LINE_BEFORE_M, there.control))
        if tangent:
            bend = radius * abs(turn)
            x, y, heading = pieces[-1].at(s)
            limit = there.limit_mph
            pieces.append(Piece(s, s + bend, x, y, heading, math.copysign(1 / radius, turn), mph_to_ms(limit), limit))
            s += bend
        cut = tangent
    return Path(tuple(pieces), tuple(stops), s)


def _corner(vertices: list[_Vertex], k: int) -> tuple[float, float, float]:
    """Return turn (radians, right positive), tangent length and radius of the arc at vertex ``k``; zeros where
    straight on.
    """
    if k + 1 >= len(vertices):
        return 0.0, 0.0, 0.0
    a, b, c = vertices[k - 1].point, vertices[k].point, vertices[k + 1].point
    turn = math.atan2(c[0] - b[0], c[1] - b[1]) - math.atan2(b[0] - a[0], b[1] - a[1])
    turn = math.remainder(turn, 2 * math.pi)
    if abs(turn) < _STRAIGHT_RAD:
        # A bend too slight to round off would break the heading: give it the widest arc that fits.
        wanted = 2000.0
    elif abs(turn) < 0.35:
        wanted = max(vertices[k].radius_m, 200.0)
    else:
        wanted = vertices[k].radius_m
    if not turn:
        return 0.0, 0.0, 0.0
    half = math.tan(abs(turn) / 2)
    room = 0.45 * min(math.dist(a, b), math.dist(b, c))
    radius = min(wanted, room / half)
    return turn, radius * half, radius
