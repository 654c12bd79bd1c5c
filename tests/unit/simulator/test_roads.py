"""The road network and the line along a route."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_insurance.devicekit.simulator.network import Edge, Network, Node, Projection, build_network
from auto_insurance.devicekit.simulator.path import Path, build_path
from auto_insurance.kernel import geo

_LIMITS = {25.0, 30.0, 35.0, 45.0, 55.0, 65.0}


def _some_path(seed: int, a: int, b: int) -> tuple[Network, Path, tuple[int, ...]]:
    network = build_network(seed)
    start, goal = a % len(network.nodes), b % len(network.nodes)
    if start == goal:
        goal = (goal + 1) % len(network.nodes)
    route = network.route(start, goal)
    return network, build_path(network, route, start), route


def test_every_node_can_be_reached_and_all_limits_occur() -> None:
    for seed in (1, 2, 3):
        network = build_network(seed)
        seen, todo = {0}, [0]
        while todo:
            for neighbour, _ in network.adjacent[todo.pop()]:
                if neighbour not in seen:
                    seen.add(neighbour)
                    todo.append(neighbour)
        assert len(seen) == len(network.nodes)
        assert {edge.limit_mph for edge in network.edges} == _LIMITS
        assert len(network.towns) == 6
        assert {node.control for node in network.nodes} == {"none", "stop", "light"}


def test_a_network_is_a_function_of_its_seed() -> None:
    assert build_network.__wrapped__(4) == build_network(4)
    assert build_network(4) != build_network(5)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(0, 500), st.integers(0, 500))
def test_a_path_is_continuous_in_place_and_heading(seed: int, a: int, b: int) -> None:
    network, path, route = _some_path(seed, a, b)
    for piece, following in pairwise(path.pieces):
        x, y, heading = piece.at(piece.s1)
        assert math.hypot(x - following.x, y - following.y) < 1e-6
        assert abs(math.remainder(heading - following.heading, 2 * math.pi)) < 1e-6
        assert piece.s1 == following.s0
        assert piece.s1 >= piece.s0
    roads = sum(network.edges[n].length_m for n in route)
    assert path.length_m <= roads + 1e-6
    assert path.length_m > 0.8 * roads, "rounding a corner off cuts little"
    assert all(0 < stop.s < path.length_m for stop in path.stops)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(0, 500), st.integers(0, 500))
def test_arc_length_equals_the_distance_between_close_points(seed: int, a: int, b: int) -> None:
    _, path, _ = _some_path(seed, a, b)
    for piece in path.pieces:
        count = max(8, int((piece.s1 - piece.s0) / 0.5))
        points = [piece.at(piece.s0 + (piece.s1 - piece.s0) * k / count)[:2] for k in range(count + 1)]
        length = sum(math.dist(p, q) for p, q in pairwise(points))
        assert length == pytest.approx(piece.s1 - piece.s0, rel=0.01, abs=1e-6)


def test_the_quickest_way_takes_the_faster_road_unless_it_is_shunned() -> None:
    nodes = (Node(0, 0, "none"), Node(5000, 0, "none"), Node(2500, 500, "none"))
    edges = (
        Edge(0, 1, "country", 45.0, ((0, 0), (5000, 0)), 5000.0, 100.0),
        Edge(0, 2, "motorway", 65.0, ((0, 0), (2500, 500)), 2549.5, 900.0),
        Edge(2, 1, "motorway", 65.0, ((2500, 500), (5000, 0)), 2549.5, 900.0),
    )
    network = Network(nodes, edges, (((1, 0), (2, 1)), ((0, 0), (2, 2)), ((0, 1), (1, 2))), ())
    assert network.route(0, 1) == (1, 2)
    assert network.route(0, 1, motorway_cost=1.6) == (0,)


def test_a_way_that_does_not_exist_is_refused() -> None:
    network = Network((Node(0, 0, "none"), Node(1, 1, "none")), (), ((), ()), ())
    with pytest.raises(ValueError, match="no way"):
        network.route(0, 1)
    with pytest.raises(ValueError, match="same node"):
        network.route(1, 1)
    with pytest.raises(ValueError, match="empty route"):
        build_path(network, (), 0)


def test_the_plane_keeps_distances_near_the_centre() -> None:
    plane = Projection(39.9612, -82.9988)
    for x, y in ((8000.0, 0.0), (0.0, 9000.0), (-7000.0, 7000.0), (5000.0, -8000.0)):
        assert geo.haversine_m(*plane.degrees(0, 0), *plane.degrees(x, y)) == pytest.approx(math.hypot(x, y), rel=0.003)
