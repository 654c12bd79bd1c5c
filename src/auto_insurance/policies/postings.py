"""What a booking, a payment or a day does to the accounts: pure, double entry, exact to the cent.

Every entry is a set of postings whose debits equal its credits. An amount is never negative: what goes the other way
is posted on the other side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum

import msgspec

from auto_insurance.kernel.money import CENT
from auto_insurance.policies.earning import Segment, Term, earned, written

ZERO = Decimal(0)
SHORT_TERM_DAYS = 200
"""A term with fewer days has 6 months, one with more has 12."""


class Account(StrEnum):
    """The chart of accounts."""

    RECEIVABLE = "premium_receivable"
    """What the policyholder owes; negative: what the insurer owes them."""
    CASH = "cash"
    UNEARNED = "unearned_premium"
    EARNED = "earned_premium"
    FEES = "fees"
    TAXES = "taxes_payable"
    CREDITS = "credits"
    """Premium given away: rewards, goodwill."""
    WRITE_OFFS = "write_offs"


class Side(StrEnum):
    """The side of an account."""

    DEBIT = "debit"
    CREDIT = "credit"


class EntryKind(StrEnum):
    """What an entry is for."""

    BOOKING = "booking"
    EARNING = "earning"
    USAGE = "usage"
    FEE = "fee"
    PAYMENT = "payment"
    REFUND = "refund"
    CREDIT = "credit"
    WRITE_OFF = "write_off"


class Posting(msgspec.Struct, frozen=True):
    """One line of an entry. ``amount`` is positive and in whole cents."""

    account: Account
    side: Side
    amount: Decimal

    @property
    def signed(self) -> Decimal:
        """The amount as a debit: negative on the credit side."""
        return self.amount if self.side is Side.DEBIT else -self.amount


class MileRate(msgspec.Struct, frozen=True):
    """What a mile costs from a day on: amounts in the term's currency, the cap in miles of one day (None: none)."""

    from_on: date
    rate_per_mile: Decimal
    daily_cap_miles: Decimal | None = None


class InstalmentPlan(StrEnum):
    """How often a term is paid for."""

    ANNUAL = "annual"
    HALF_YEARLY = "half_yearly"
    QUARTERLY = "quarterly"
    MONTHLY = "monthly"


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction of a policy as the ledger books it. Amounts are changes in whole cents, of either sign.

    ``segments`` is the whole earning pattern of the term as it is after the transaction; ``per_mile`` what a mile costs
    from which day of the term on, as a whole too, for products that charge miles; ``instalments`` is how the term is
    paid for: None leaves it as it is (for a first booking: the plan of the settings). ``driver_id`` is needed wherever
    miles are charged.
    """

    policy_id: str
    term: int
    transaction_id: str
    kind: str
    booked_on: date
    effective_on: date
    term_start: date
    term_end: date
    written: Decimal
    fees: Decimal
    taxes: Decimal
    segments: tuple[Segment, ...]
    currency: str
    reason: str
    driver_id: str | None = None
    per_mile: tuple[MileRate, ...] = ()
    instalments: InstalmentPlan | None = None

    @property
    def period(self) -> Term:
        """The term that the segments lie in."""
        return term_of(self.term_start, self.term_end)


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How a term stands in the ledger: its pattern, what is written and earned of it, and up to which day."""

    term: Term
    segments: tuple[Segment, ...] = ()
    written: Decimal = ZERO
    earned: Decimal = ZERO
    earned_to: date


class Unbalanced(ValueError):
    """An entry whose debits are not its credits, or with an amount that is no money."""


def term_of(starts_on: date, ends_on: date) -> Term:
    """Return the term between two days, of 6 or 12 months by its length."""
    return Term(starts_on, ends_on, 6 if (ends_on - starts_on).days < SHORT_TERM_DAYS else 12)


def move(debit: Account, credit: Account, amount: Decimal) -> tuple[Posting, ...]:
    """Return the postings that move an amount of either sign; nothing for nothing."""
    if amount == 0:
        return ()
    if amount < 0:
        debit, credit, amount = credit, debit, -amount
    return Posting(debit, Side.DEBIT, amount), Posting(credit, Side.CREDIT, amount)


def check(postings: Sequence[Posting]) -> None:
    """Raise :class:`Unbalanced` unless the postings are an entry."""
    if len(postings) < 2:
        raise Unbalanced("an entry has two postings at least")
    for posting in postings:
        if posting.amount <= 0 or posting.amount != posting.amount.quantize(CENT):
            raise Unbalanced(f"{posting.amount} on {posting.account} is not a positive amount in whole cents")
    if difference := sum((posting.signed for posting in postings), ZERO):
        raise Unbalanced(f"debits and credits differ by {difference}")


def earn(position: Position, on: date) -> tuple[tuple[Posting, ...], Position]:
    """Return the postings that bring the earned premium up to a day, and how the term stands then.

    Nothing for a day that has been earned already.
    """
    if on <= position.earned_to:
        return (), position
    target = earned(position.segments, position.term, on)
    postings = move(Account.UNEARNED, Account.EARNED, target - position.earned)
    return postings, msgspec.structs.replace(position, earned=target, earned_to=on)


def book(position: Position, booking: Booking) -> tuple[tuple[Posting, ...], Position]:
    """Return the postings of a policy's transaction, and how the term stands after it.

    What the new pattern says of the days that are earned already, before an endorsement that takes effect in the past
    for instance, is corrected at once. Raises ``ValueError`` if the change of the written premium is not what the
    segments say, or the segments don't fit the term.
    """
    term, total = booking.period, position.written + booking.written
    if written(booking.segments, term) != total:
        raise ValueError(f"the segments make {written(booking.segments, term)}, the bookings {total}")
    target = earned(booking.segments, term, position.earned_to)
    postings = (
        *move(Account.RECEIVABLE, Account.UNEARNED, booking.written),
        *move(Account.RECEIVABLE, Account.FEES, booking.fees),
        *move(Account.RECEIVABLE, Account.TAXES, booking.taxes),
        *move(Account.UNEARNED, Account.EARNED, target - position.earned),
    )
    after = Position(term=term, segments=booking.segments, written=total, earned=target, earned_to=position.earned_to)
    return postings, after


def usage(amount: Decimal) -> tuple[Posting, ...]:
    """Return the postings of a charge for miles that were driven: it is earned when it is booked."""
    return move(Account.RECEIVABLE, Account.EARNED, amount)


def fee(amount: Decimal) -> tuple[Posting, ...]:
    """Return the postings of a fee."""
    return move(Account.RECEIVABLE, Account.FEES, amount)


def payment(amount: Decimal) -> tuple[Posting, ...]:
    """Return the postings of money that came in (negative: that went back)."""
    return move(Account.CASH, Account.RECEIVABLE, amount)


def credit(amount: Decimal) -> tuple[Posting, ...]:
    """Return the postings of a credit that the policyholder is given."""
    return move(Account.CREDITS, Account.RECEIVABLE, amount)


def write_off(amount: Decimal) -> tuple[Posting, ...]:
    """Return the postings of what will never be paid."""
    return move(Account.WRITE_OFFS, Account.RECEIVABLE, amount)


def balances(postings: Iterable[Posting]) -> Mapping[Account, Decimal]:
    """Return debits less credits of every account."""
    sums = dict.fromkeys(Account, ZERO)
    for posting in postings:
        sums[posting.account] += posting.signed
    return sums
