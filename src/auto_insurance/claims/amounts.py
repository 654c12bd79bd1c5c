"""The money of a claim as a history that only grows. Pure, Decimal, two decimals.

``reserve`` is what is still expected to be paid (the case reserve), ``paid`` and ``recovered`` what went out and came
back. Incurred = paid + reserve - recovered, as loss ratios use it. Every entry is a change and carries the balance of
its kind after it; nothing is ever changed or taken back other than by a further entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from auto_insurance.claims.lifecycle import PAYABLE, RECOVERABLE, RESERVABLE, Status
from auto_insurance.kernel.money import to_cents

ZERO = Decimal("0.00")


class Kind(StrEnum):
    """What an entry changes."""

    RESERVE = "reserve"
    PAYMENT = "payment"
    RECOVERY = "recovery"


class AmountRefusal(StrEnum):
    """Why an amount is not booked."""

    STATUS = "status"
    NEGATIVE_RESERVE = "negative_reserve"
    ZERO = "zero"
    BELOW_ZERO = "below_zero"
    OVER_LIMIT = "over_limit"
    MORE_THAN_PAID = "more_than_paid"


class Refused(Exception):
    """An amount that can't be booked; ``why`` names the rule."""

    def __init__(self, why: AmountRefusal) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(frozen=True, slots=True)
class Balances:
    """What the entries of a claim add up to."""

    reserve: Decimal = ZERO
    paid: Decimal = ZERO
    recovered: Decimal = ZERO

    @property
    def incurred(self) -> Decimal:
        """Paid and still expected, less what came back."""
        return self.paid + self.reserve - self.recovered

    def after(self, entry: Entry) -> Balances:
        """Return the balances after an entry."""
        return replace(self, **{_FIELD[entry.kind]: entry.balance})


@dataclass(frozen=True, slots=True)
class Entry:
    """A change of one balance, and the balance after it."""

    kind: Kind
    change: Decimal
    balance: Decimal


_FIELD = {Kind.RESERVE: "reserve", Kind.PAYMENT: "paid", Kind.RECOVERY: "recovered"}
_STATUSES = {Kind.RESERVE: RESERVABLE, Kind.PAYMENT: PAYABLE, Kind.RECOVERY: RECOVERABLE}


def book(now: Balances, status: Status, kind: Kind, amount: Decimal, limit: Decimal | None = None) -> list[Entry]:
    """Return the entries that an amount makes.

    ``reserve`` is set to ``amount``; ``payment`` and ``recovery`` are changed by it, and a negative one corrects an
    earlier entry. A payment uses up as much of the reserve as there is. ``limit`` is the cover's. Raises ``Refused``.
    """
    amount = to_cents(amount)
    if status not in _STATUSES[kind]:
        raise Refused(AmountRefusal.STATUS)
    if kind is Kind.RESERVE:
        return _set_reserve(now, amount)
    if amount == 0:
        raise Refused(AmountRefusal.ZERO)
    if kind is Kind.RECOVERY:
        return [_recovery(now, amount)]
    balance = now.paid + amount
    if balance < now.recovered:
        raise Refused(AmountRefusal.BELOW_ZERO)
    if limit is not None and amount > 0 and balance > limit:
        raise Refused(AmountRefusal.OVER_LIMIT)
    entries = [Entry(Kind.PAYMENT, amount, balance)]
    used = min(now.reserve, max(amount, ZERO))
    if used > 0:
        entries.append(Entry(Kind.RESERVE, -used, now.reserve - used))
    return entries


def release(now: Balances) -> list[Entry]:
    """Return the entry that takes what is left of the reserve back, none if nothing is left."""
    return [Entry(Kind.RESERVE, -now.reserve, ZERO)] if now.reserve else []


def balances(entries: Sequence[Entry]) -> Balances:
    """Add up entries from nothing."""
    total = Balances()
    for entry in entries:
        total = total.after(entry)
    return total


def _set_reserve(now: Balances, amount: Decimal) -> list[Entry]:
    if amount < 0:
        raise Refused(AmountRefusal.NEGATIVE_RESERVE)
    return [Entry(Kind.RESERVE, amount - now.reserve, amount)] if amount != now.reserve else []


def _recovery(now: Balances, amount: Decimal) -> Entry:
    balance = now.recovered + amount
    if balance < 0:
        raise Refused(AmountRefusal.BELOW_ZERO)
    if balance > now.paid:
        raise Refused(AmountRefusal.MORE_THAN_PAID)
    return Entry(Kind.RECOVERY, amount, balance)
