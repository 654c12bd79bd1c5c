"""A charged premium turned out otherwise: the policy's stretches that rest on it are priced anew, once."""

from __future__ import annotations

import msgspec

from auto_insurance.contracts.pricing import PremiumCorrected
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies.desk import Desk
from auto_insurance.policies.records import THE_SYSTEM, Kind, Snapshot
from auto_insurance.policies.stretches import LineKind, Rate, Stretch, TransactionLine, money
from auto_insurance.policies.writer import Change


async def correct(desk: Desk, uow: UnitOfWork, told: PremiumCorrected) -> Change | None:
    """Put a corrected price in the place of the one that it corrects; one transaction, one booking, one entry.

    None for a price that no stretch of the policy rests on: it was corrected already, or another took its place.
    """
    if told.policy_id is None:
        return None
    policy = await desk.load(uow, told.policy_id)
    rate = await desk.rates.stored(uow, str(told.premium_id))
    term = await desk.term_on(uow, policy, told.effective_date)
    wrong = str(told.corrected_premium_id)
    new = tuple(_with(one, rate) if one.rate.premium_id == wrong else one for one in term.stretches)
    if new == term.stretches:
        return None
    change = _change(term, new, wrong, told)
    await desk.writer.write(uow, change)
    return change


def _with(stretch: Stretch, rate: Rate) -> Stretch:
    return msgspec.structs.replace(stretch, rate=rate)


def _change(term: Snapshot, new: tuple[Stretch, ...], wrong: str, told: PremiumCorrected) -> Change:
    first = next(one for one in term.stretches if one.rate.premium_id == wrong)
    period = term.row.period
    difference = money(new, period).less(money(term.stretches, period))
    line = TransactionLine(
        kind=LineKind.APPLY, transaction_id=first.transaction_id, effective_on=first.from_on, money=difference
    )
    return Change(
        kind=Kind.ENDORSED,
        policy=term.policy,
        before=term.row,
        after=term.row,
        old=term.stretches,
        new=new,
        effective_on=told.effective_date,
        actor=THE_SYSTEM,
        reason=f"correction: {told.cause}",
        lines=(line,),
        details={"corrects_premium": wrong},
        premium_id=str(told.premium_id),
    )
