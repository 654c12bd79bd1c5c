"""The lives of terms in ``examples.toml``, which a human can check, replayed by the program."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from math import prod
from pathlib import Path
from typing import Any

import pytest

from auto_insurance.kernel.money import to_cents
from auto_insurance.policies.earning import Term, by_segment, earned, new_term
from auto_insurance.policies.stretches import (
    Method,
    Money,
    Rate,
    Stretch,
    cancelled,
    endorsed,
    first,
    lines,
    money,
    segments,
    steps,
)

EXAMPLES: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "examples.toml").read_text(encoding="utf-8"), parse_float=Decimal
)["example"]


class Life:
    """A term and what has happened to it."""

    def __init__(self, example: Mapping[str, Any]) -> None:
        self._example = example
        self.term: Term = new_term(example["start"], example["months"])
        self.stretches: tuple[Stretch, ...] = ()
        self._before: tuple[Stretch, ...] = ()

    def play(self, event: Mapping[str, Any]) -> tuple[Money, list[tuple[str, str, Decimal]]]:
        """Let an event happen; return what it changes and, for an endorsement, its lines."""
        before, told = self.stretches, []
        if event["do"] == "bind":
            self.stretches = first(self.term, "bind", {}, self._rate({}))
        elif event["do"] == "cancel":
            self._before = before
            self.stretches = cancelled(before, self.term, event["on"], Method(event["method"]))
        elif event["do"] == "reinstate":
            self.stretches = self._before
        else:
            told = self._endorse(event)
        return money(self.stretches, self.term).less(money(before, self.term)), told

    def _endorse(self, event: Mapping[str, Any]) -> list[tuple[str, str, Decimal]]:
        before = self.stretches
        factor = event.get("factor") or self._example["factors"][event["change"]]
        kept, wanted = steps(before, event["on"], event["id"], {event["change"]: Decimal(factor)})
        rated = [(step, self._rate(step.facts)) for step in wanted]
        self.stretches = endorsed(before, kept, rated, self.term)
        found = lines(before, self.stretches, kept, self.term)
        return [(line.kind.value, line.transaction_id, line.money.written) for line in found]

    def _rate(self, facts: Mapping[str, Decimal]) -> Rate:
        return Rate(
            annual_premium=to_cents(Decimal(self._example["base"]) * prod(facts.values(), start=Decimal(1))),
            tax_rate=Decimal(self._example.get("tax_rate", "0")),
            fees=Decimal(self._example.get("fees", "0")),
        )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["name"])
def test_by_hand(example: Mapping[str, Any]) -> None:
    life = Life(example)
    assert life.term.ends_on == example.get("ends", life.term.ends_on)
    for event in example["events"]:
        change, told = life.play(event)
        wanted = Money(*(Decimal(event.get(name, "0")) for name in ("written", "fees", "taxes")))
        assert change == wanted, event
        assert money(life.stretches, life.term).written == Decimal(event["total"])
        assert sum((line[2] for line in told), Decimal(0)) == (change.written if told else 0)
        if "lines" in event:
            assert told == [(kind, of, Decimal(amount)) for kind, of, amount in event["lines"]]
    for day, amount in example["earned"]:
        assert earned(segments(life.stretches), life.term, date.fromisoformat(day)) == Decimal(amount), day
    if "stretches" in example:
        shares = by_segment(segments(life.stretches), life.term)
        assert list(shares) == [Decimal(amount) for amount in example["stretches"]]


def test_there_are_examples_enough_and_each_is_explained() -> None:
    assert len(EXAMPLES) >= 12
    assert all(len(example["how"].strip()) > 20 for example in EXAMPLES)
    assert len({example["name"] for example in EXAMPLES}) == len(EXAMPLES)
