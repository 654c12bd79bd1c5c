"""Whether the ledger is right: every entry balances, and its sums are what everything else says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from auto_insurance.infra.db.uow import Database
from auto_insurance.policies import repository_ledger
from auto_insurance.policies import repository_verify as repository
from auto_insurance.policies.earning import earned
from auto_insurance.policies.postings import ZERO, Account, EntryKind
from auto_insurance.policies.repository_ledger import TermRow

BATCH = 500
Sums = Mapping[tuple[str, str], Decimal]


class Fault(msgspec.Struct, frozen=True):
    """Something that does not agree."""

    policy_id: str
    what: str


class Verification(msgspec.Struct, frozen=True):
    """How many policies were looked at, and what is wrong."""

    policies: int
    faults: tuple[Fault, ...]


async def verify(
    database: Database, policy_id: str | None = None, progress: Callable[[int], None] | None = None
) -> Verification:
    """Look at all policies of the ledger or at one. Each batch is read as of one moment."""
    faults: list[Fault] = []
    seen, after = 0, ""
    while True:
        async with database.read() as uow:
            await uow.conn.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            if policy_id is None:
                names = await repository_ledger.policies_after(uow, after, BATCH)
            else:
                names = [policy_id]
            found = [
                Fault(name, f"entry {reference} does not balance")
                for name, reference in await repository.unbalanced(uow, names)
            ]
            sums = await repository.account_sums(uow, names)
            billed = await repository.billing_sums(uow, names)
            stated = await repository.stated_sums(uow, names)
            terms = await repository_ledger.terms_of_many(uow, names)
        for name in names:
            found += [Fault(name, what) for what in faults_of(terms[name], sums[name], billed[name], stated[name])]
        faults += found
        seen += len(names)
        if progress is not None:
            progress(len(names))
        if policy_id is not None or len(names) < BATCH:
            return Verification(seen, tuple(faults))
        after = names[-1]


def faults_of(terms: Sequence[TermRow], sums: Sums, billed: Decimal, stated: Decimal) -> Iterator[str]:
    """Yield what does not agree for a policy. Pure."""
    for row in terms:
        position = row.position
        pattern = earned(position.segments, position.term, position.earned_to)
        if pattern != position.earned:
            yield f"term {row.term}: {position.earned} are noted as earned, the segments make {pattern}"
    accounts = dict.fromkeys(Account, ZERO)
    for (account, _), amount in sums.items():
        accounts[Account(account)] += amount
    miles = -sums.get((Account.EARNED, EntryKind.USAGE), ZERO)
    by_time = sum((row.position.earned for row in terms), ZERO)
    unearned = sum((row.position.written for row in terms), ZERO) - by_time
    for what, booked, other, expected in (
        ("earned by time", -accounts[Account.EARNED] - miles, "terms", by_time),
        ("unearned", -accounts[Account.UNEARNED], "terms", unearned),
        ("miles", miles, "statements", stated),
        ("owed", accounts[Account.RECEIVABLE], "invoices", billed),
        ("all accounts together", sum(accounts.values(), ZERO), "rules", ZERO),
    ):
        if booked != expected:
            yield f"{what}: the ledger has {booked}, the {other} have {expected}"
