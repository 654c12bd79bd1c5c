"""Commands about money: what is booked for a policy, and whether the ledger is right."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auto_insurance.entrypoints.cli.lookup import AsJson, print_json, print_table, say, with_container
from auto_insurance.entrypoints.cli.output import EXIT_PROBLEM, fail
from auto_insurance.entrypoints.cli.signin import DataDirectory

if TYPE_CHECKING:
    from auto_insurance.bootstrap import Container
    from auto_insurance.policies.ledger import Balance
    from auto_insurance.policies.ledger_verify import Verification
    from auto_insurance.policies.repository_ledger import Entry

PolicyIds = Annotated[str, typer.Argument(help="Id of a policy, such as POL-000001.")]


def show_ledger(
    policy_id: PolicyIds,
    entries: Annotated[int, typer.Option(min=1, max=10_000, help="How many entries to list, the latest.")] = 50,
    as_json: AsJson = False,
    data_dir: DataDirectory = None,
) -> None:
    """Show what is [b]booked[/b] for a policy: the accounts today, and the entries with both of their sides."""

    async def work(container: Container) -> tuple[Balance, list[Entry], int]:
        from auto_insurance.policies.ledger import Ledger  # noqa: PLC0415 - slow to load, not for --help

        ledger = container.get(Ledger)
        async with container.database.read() as uow:
            found, total = await ledger.entries(uow, policy_id, limit=entries)
            return await ledger.balance(uow, policy_id), found, total

    balance, found, total = with_container(work, data_dir)
    if balance.currency is None:
        fail(f"Nothing is booked for {policy_id}.")
    if as_json:
        accounts = {name.value: str(amount) for name, amount in balance.accounts.items()}
        booked = [_entry(entry) for entry in found]
        print_json({"policy_id": policy_id, "currency": balance.currency, "accounts": accounts, "entries": booked})
        return
    say(f"{policy_id}: {balance.owed} {balance.currency} owed, {balance.earned} earned, {balance.unearned} unearned.")
    rows = [(name.value, _amount(amount), _amount(-amount)) for name, amount in balance.accounts.items() if amount]
    print_table(("account", "debit", "credit"), rows, ("debit", "credit"))
    lines = [
        (entry.booked_on, entry.effective_on, entry.kind.value, entry.reason, line.account.value, debit, credit)
        for entry in found
        for line in entry.postings
        for debit, credit in [(_amount(line.signed), _amount(-line.signed))]
    ]
    headings = ("booked", "effective", "kind", "reason", "account", "debit", "credit")
    print_table(headings, lines, ("debit", "credit"))
    if total > len(found):
        say(f"Older entries, not shown: {total - len(found)}; see --entries.")


def verify_ledger(
    policy_id: Annotated[str | None, typer.Argument(help="One policy; by default all of them.")] = None,
    as_json: AsJson = False,
    data_dir: DataDirectory = None,
) -> None:
    """Check that the ledger is [b]right[/b]: every entry balances, and the sums are the earned premium.

    Earned and unearned premium are calculated again from the terms' segments, miles from the statements, what is owed
    from the invoices. Ends with 0 if all agrees, with 1 and the names of what does not.
    """

    async def work(container: Container) -> Verification:
        from auto_insurance.policies.ledger_verify import verify  # noqa: PLC0415 - as above

        return await verify(container.database, policy_id)

    found = with_container(work, data_dir)
    if as_json:
        faults = [{"policy_id": fault.policy_id, "what": fault.what} for fault in found.faults]
        print_json({"policies": found.policies, "faults": faults})
    elif found.faults:
        print_table(("policy", "what does not agree"), [(fault.policy_id, fault.what) for fault in found.faults], ())
        say(f"Faults: {len(found.faults)}. Policies checked: {found.policies}.")
    else:
        say(f"Every entry balances, and the sums are the earned premium. Policies checked: {found.policies}.")
    if found.faults:
        raise typer.Exit(EXIT_PROBLEM)


def _amount(amount: Decimal) -> str:
    return str(amount) if amount > 0 else ""


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "booked_on": entry.booked_on.isoformat(),
        "effective_on": entry.effective_on.isoformat(),
        "kind": entry.kind.value,
        "reason": entry.reason,
        "reference": entry.reference,
        "postings": [
            {"account": line.account.value, "side": line.side.value, "amount": str(line.amount)}
            for line in entry.postings
        ],
    }
