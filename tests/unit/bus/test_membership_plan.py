"""Sharing out partitions: fair, stable, never two owners."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.infra.bus.postgres.membership import plan
from auto_insurance.infra.bus.protocol import TopicPartition


def tps(count: int) -> list[TopicPartition]:
    return [TopicPartition("t", i) for i in range(count)]


def settle(partitions: list[TopicPartition], members: list[str], leases: dict[TopicPartition, str]) -> int:
    """Let members act in turn until nobody has anything to do; returns how many leases moved."""
    moved = 0
    for _ in range(len(partitions) + 2):
        quiet = True
        for me in members:
            todo = plan(partitions, members, leases, me)
            for tp in todo.release:
                assert leases.pop(tp) == me
            for tp in todo.claim:
                assert tp not in leases
                leases[tp] = me
            moved += len(todo.release)
            quiet = quiet and not todo.release and not todo.claim
        if quiet:
            return moved
    raise AssertionError("never settles")


@given(st.integers(1, 20), st.integers(1, 8), st.randoms(use_true_random=False))
def test_shares_differ_by_one_at_most(count: int, size: int, rng: object) -> None:
    members = [f"m{i}" for i in range(size)]
    leases = {tp: rng.choice(members) for tp in tps(count) if rng.random() < 0.7}  # type: ignore[attr-defined]
    settle(tps(count), members, leases)
    held = [sum(1 for owner in leases.values() if owner == member) for member in members]
    assert sum(held) == count
    assert max(held) - min(held) <= 1


def test_a_newcomer_moves_only_its_share() -> None:
    leases = dict.fromkeys(tps(12), "a")
    assert settle(tps(12), ["a", "b"], leases) == 6
    assert settle(tps(12), ["a", "b", "c"], leases) == 4
    assert settle(tps(12), ["a", "b", "c"], leases) == 0


def test_leases_of_others_topics_are_left_alone() -> None:
    foreign = TopicPartition("gone", 0)
    todo = plan(tps(2), ["a"], {foreign: "a"}, "a")
    assert todo.claim == set(tps(2))
    assert not todo.release
