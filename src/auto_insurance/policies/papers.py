"""Which documents a policy has, and what stands in them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies.documents import Page, Row, Section, amount, day, render
from auto_insurance.policies.errors import DocumentNotFound
from auto_insurance.policies.lifecycle import Status
from auto_insurance.policies.records import Policy, Snapshot, Transaction
from auto_insurance.policies.service import PolicyService
from auto_insurance.policies.stretches import Stretch
from auto_insurance.risk.schemas import Reason, RiskScore

DECLARATIONS = "declarations"
CANCELLATION = "cancellation"
OFFER = "renewal-offer"
ADVERSE = "adverse-action"
ONE = Decimal(1)
MOST_REASONS = 4
"""As many as the notice of a credit bureau names (12 CFR 1002.9, official interpretation)."""
_METHODS = {
    "pro_rata": "by the days of cover",
    "short_rate": "by the short-rate table, since the policyholder ended it early",
    "flat": "not at all: as if it had never been",
}
_INITIATORS = {
    "insured": "the policyholder",
    "insurer": "the insurer",
    "nonpayment": "the insurer, since the premium was not paid",
}


class Scores(Protocol):
    """What a notice says of a score comes from here."""

    async def get(self, uow: UnitOfWork, score_id: UUID) -> RiskScore | None: ...


class Papers:
    """Makes documents from what is stored: the same policy gives the same page."""

    def __init__(self, policies: PolicyService, scores: Scores) -> None:
        self._policies = policies
        self._scores = scores

    def names(self, policy: Policy, terms: Sequence[Snapshot]) -> list[str]:
        """Return the names of the documents that the policy has."""
        running, offered = _running(policy, terms), _offered(policy, terms)
        found = [DECLARATIONS] if running.stretches else []
        if running.row.status == Status.CANCELLED:
            found.append(CANCELLATION)
        if offered is not None:
            found.append(OFFER)
        if _raised(running, offered) is not None:
            found.append(ADVERSE)
        return found

    async def html(self, uow: UnitOfWork, policy: Policy, name: str) -> str:
        """Return a document. Raises ``DocumentNotFound`` if the policy has none of that name."""
        terms = await self._policies.terms(uow, policy)
        if name not in self.names(policy, terms):
            raise DocumentNotFound
        running, offered = _running(policy, terms), _offered(policy, terms)
        if name == CANCELLATION:
            last = await self._policies.transaction(uow, policy.policy_id, running.row.revision)
            return render(cancellation_notice(policy, running, last))
        if name == OFFER and offered is not None:
            return render(renewal_offer(policy, running, offered))
        raised = _raised(running, offered)
        if name == ADVERSE and raised is not None:
            return render(adverse_action(policy, raised, await self._reasons(uow, raised)))
        return render(declarations(policy, running))

    async def _reasons(self, uow: UnitOfWork, raised: Stretch) -> list[Reason]:
        if raised.rate.premium_id is None:
            return []
        premium = await self._policies.worksheet(uow, raised.rate.premium_id)
        score = None if premium.score_id is None else await self._scores.get(uow, premium.score_id)
        found = [] if score is None else [one for one in score.contributions if one.direction == "raises"]
        return sorted(found, key=lambda one: -one.effect_pct)[:MOST_REASONS]


def declarations(policy: Policy, term: Snapshot) -> Page:
    """Return the page that says who is insured, for what, when and for how much."""
    row = term.row
    last = term.stretches[-1]
    return Page(
        title="Policy declarations",
        subtitle=_subtitle(policy),
        sections=(
            Section(
                heading="Term",
                paragraphs=(
                    f"Term {row.term}, from {day(row.starts_on)} to {day(row.ends_on)}, 00:00 each at the place of the "
                    f"risk ({policy.time_zone}).",
                ),
            ),
            _cover_section(last),
            _parts_section(policy, term),
            _money_section(policy, term),
        ),
        footer=_footer(policy),
    )


def cancellation_notice(policy: Policy, term: Snapshot, last: Transaction | None) -> Page:
    """Return the notice that cover ends, when, why and what is paid back."""
    row = term.row
    details = {} if last is None else last.details
    by = _INITIATORS.get(str(details.get("initiator")), "the insurer")
    paragraphs = [
        f"Cover ends on {day(row.stopped_on or row.ends_on)} at 00:00 at the place of the risk ({policy.time_zone}).",
        f"The policy was ended by {by}.",
        f"The term is paid for {_METHODS.get(row.method or '', 'by the days of cover')}.",
    ]
    if last is not None:
        paragraphs.append(f"Reason: {last.reason}.")
    rows: tuple[Row, ...] = ()
    if last is not None:
        money = last.money
        rows = (
            Row("Premium", (money.written,)),
            Row("Fees", (money.fees,)),
            Row("Taxes", (money.taxes,)),
            Row("Together", (money.total,)),
        )
    return Page(
        title="Notice of cancellation",
        subtitle=_subtitle(policy),
        sections=(
            Section(heading="What ends", paragraphs=tuple(paragraphs)),
            Section(
                heading="Money",
                paragraphs=("A minus sign is in front of what is taken off or paid back.",),
                caption=f"What the cancellation changes, in {policy.currency}",
                columns=("", "Amount"),
                rows=rows,
            ),
        ),
        footer=_footer(policy),
    )


def renewal_offer(policy: Policy, term: Snapshot, offered: Snapshot) -> Page:
    """Return the offer of the next term, with what changes in it."""
    before, rate = term.stretches[-1].rate, offered.stretches[0].rate
    row, money = offered.row, offered.row.money
    return Page(
        title="Renewal offer",
        subtitle=_subtitle(policy),
        sections=(
            Section(
                heading="The next term",
                paragraphs=(
                    f"From {day(row.starts_on)} to {day(row.ends_on)}, {row.months} months: "
                    f"{amount(money.total, policy.currency)} in all.",
                ),
                caption=f"Price of a year and of the term, in {policy.currency}",
                columns=("", "Amount"),
                rows=(
                    Row("Annual premium now", (before.annual_premium,)),
                    Row("Annual premium of the next term", (rate.annual_premium,)),
                    Row("Difference", (rate.annual_premium - before.annual_premium,)),
                    Row("Premium of the term", (money.written,)),
                    Row("Fees", (money.fees,)),
                    Row("Taxes", (money.taxes,)),
                ),
            ),
            Section(
                heading="How driving changes the price",
                paragraphs=(
                    f"The factor for how you drive is {before.telematics_relativity} now and "
                    f"{rate.telematics_relativity} in the next term; 1 changes nothing, less is cheaper. From term to "
                    "term it moves no further than the rating plan allows.",
                ),
            ),
            _cover_section(offered.stretches[-1]),
        ),
        footer=_footer(policy),
    )


def adverse_action(policy: Policy, raised: Stretch, reasons: Sequence[Reason]) -> Page:
    """Return the notice that driving raised a price, with the reasons, the strongest first."""
    percent = (raised.rate.telematics_relativity - ONE) * 100
    points = tuple(f"{one.title} (raises the expected number of claims by {one.effect_pct:.1f} %)" for one in reasons)
    unknown = ("The score does not name single reasons.",)
    return Page(
        title="Notice of a higher price because of driving data",
        subtitle=_subtitle(policy),
        sections=(
            Section(
                heading="What happened",
                paragraphs=(
                    f"From {day(raised.from_on)} on, how you drive makes your premium {percent.normalize():f} % higher "
                    "than without driving data.",
                ),
            ),
            Section(heading="Main reasons", paragraphs=() if points else unknown, points=points),
            Section(
                heading="What you can do",
                paragraphs=(
                    "You may see every trip and every step of the price in your account, dispute a trip that was not "
                    "yours or is wrong, and ask us to look at the price again. A trip that is corrected corrects the "
                    "score and the price.",
                ),
            ),
        ),
        footer=_footer(policy),
    )


def _running(policy: Policy, terms: Sequence[Snapshot]) -> Snapshot:
    return next(one for one in terms if one.row.term == policy.term)


def _offered(policy: Policy, terms: Sequence[Snapshot]) -> Snapshot | None:
    """Return the next term while it is offered or bound."""
    later = [one for one in terms if one.row.term == policy.term + 1 and one.stretches]
    return next((one for one in later if one.row.status in {Status.QUOTED, Status.BOUND}), None)


def _raised(running: Snapshot, offered: Snapshot | None) -> Stretch | None:
    """Return the newest stretch whose price driving raised, the next term's before the running one's."""
    newest = [*running.stretches, *(() if offered is None else offered.stretches)]
    return next((one for one in reversed(newest) if one.rate.telematics_relativity > ONE), None)


def _cover_section(one: Stretch) -> Section:
    rows = tuple(
        Row(_words(part.coverage), (_worded(part.limit), _worded(part.deductible), part.option or "included"))
        for part in one.rate.coverages
    )
    return Section(
        heading="Cover",
        caption="What is covered",
        columns=("Cover", "Limit of an accident", "Deductible", "As in the rating plan"),
        rows=rows,
    )


def _parts_section(policy: Policy, term: Snapshot) -> Section:
    return Section(
        heading="Parts of the term",
        caption=f"Rates over the term, in {policy.currency}",
        columns=("From", "Until", "Vehicle", "Annual premium"),
        rows=tuple(
            Row(
                day(one.from_on),
                (day(one.to_on), str(one.facts.get("vehicle_id", "any")), one.rate.annual_premium),
            )
            for one in term.stretches
            if one.from_on < one.to_on
        ),
    )


def _money_section(policy: Policy, term: Snapshot) -> Section:
    money = term.row.money
    return Section(
        heading="Price",
        caption=f"Of the whole term, in {policy.currency}",
        columns=("", "Amount"),
        rows=(
            Row("Premium", (money.written,)),
            Row("Fees", (money.fees,)),
            Row("Taxes", (money.taxes,)),
            Row("Together", (money.total,)),
        ),
    )


def _subtitle(policy: Policy) -> str:
    return f"Policy {policy.policy_id}, driver {policy.driver_id}"


def _footer(policy: Policy) -> str:
    changed: datetime = policy.changed_at
    return f"Revision {policy.revision} of the policy, {changed:%Y-%m-%d %H:%M} UTC."


def _words(code: str) -> str:
    return code.replace("_", " ").capitalize()


def _worded(value: Decimal | None) -> str:
    return "not stated" if value is None else f"{value:,.0f}"
