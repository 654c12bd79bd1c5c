"""Commands about erasure."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from auto_insurance.entrypoints.cli.lookup import AsJson, print_json, print_table, say, with_container
from auto_insurance.entrypoints.cli.output import EXIT_PROBLEM, errors, fail
from auto_insurance.entrypoints.cli.signin import DataDirectory

if TYPE_CHECKING:
    from auto_insurance.bootstrap import Container
    from auto_insurance.drivers.schemas import ErasureRequest
    from auto_insurance.privacy.schemas import ErasurePlan, Proof, Verdict

PAGE = 1_000
RequestId = Annotated[UUID, typer.Argument(help="Id of an erasure request, see 'privacy requests'.")]


def erasure_requests(
    status: Annotated[
        Literal["requested", "running", "done", "refused", "all"], typer.Option(help="Which ones.")
    ] = "requested",
    as_json: AsJson = False,
    data_dir: DataDirectory = None,
) -> None:
    """List the [b]requests[/b] for erasure, the oldest first."""

    async def work(container: Container) -> tuple[list[ErasureRequest], int]:
        from auto_insurance.drivers.service import ErasureDesk  # noqa: PLC0415 - slow to load, not for --help

        async with container.database.read() as uow:
            wanted = None if status == "all" else status
            found, total = await container.get(ErasureDesk).requests(uow, wanted, limit=PAGE, offset=0)
            return list(found), total

    found, total = with_container(work, data_dir)
    if as_json:
        print_json([request.model_dump(mode="json") for request in found])
        return
    rows = [
        (one.request_id, one.driver_id, one.status, one.source, f"{one.requested_at:%Y-%m-%d %H:%M}", one.decided_by)
        for one in found
    ]
    print_table(("request", "driver", "status", "source", "requested", "decided by"), rows, ())
    if total > len(found):
        say(f"{total - len(found)} more are not shown.")


def erase(
    request_id: RequestId,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go and what stays; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    data_dir: DataDirectory = None,
) -> None:
    """Carry out an [b]erasure[/b], from where an earlier attempt stopped, and print the id of its proof.

    It cannot be undone. What must be kept by law stays without name, contact and place; --dry-run lists it.
    """
    plan = with_container(lambda container: _plan(container, request_id), data_dir)
    if dry_run:
        print_json(plan.model_dump(mode="json")) if as_json else _print_plan(plan)
        return
    if not yes:
        going = sum(table.to_change for table in plan.tables)
        typer.confirm(f"Erase {plan.driver_id}: {going} rows, {len(plan.archived_months)} archived months?", abort=True)
    proof = with_container(lambda container: _run(container, request_id, len(plan.tables)), data_dir)
    if as_json:
        print_json(proof.model_dump(mode="json"))
        return
    say(f"{proof.driver_id} is erased. Proof: {proof.proof_id}, SHA-256 {proof.sha256}")


async def _plan(container: Container, request_id: UUID) -> ErasurePlan:
    from auto_insurance.privacy.service import ErasureService  # noqa: PLC0415 - as above

    return await container.get(ErasureService).plan(request_id)


async def _run(container: Container, request_id: UUID, tables: int) -> Proof:
    from auto_insurance.privacy.service import ErasureService  # noqa: PLC0415 - as above

    erasures = container.get(ErasureService)
    async with container.database.begin() as uow:
        state = await erasures.state(uow, request_id)
        if state.request.status == "requested":
            await erasures.begin(uow, request_id, by=f"{getpass.getuser()} (command line)")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=not errors.is_terminal) as bar:
        task = bar.add_task("Erasing", total=tables + 1)
        return await erasures.run(request_id, lambda name, rows: bar.update(task, advance=1, description=name))


def _print_plan(plan: ErasurePlan) -> None:
    rows = [(one.table, one.fate, one.rows, one.to_change, one.why) for one in plan.tables if one.rows]
    print_table(("table", "fate", "rows", "to change", "why"), rows, ("rows", "to change"))
    for month, count in plan.archived_months.items():
        say(f"Archive of {month}: {count} events; the month is written anew.")
    keys = "Redis does not answer" if plan.cache_keys is None else f"{plan.cache_keys} keys in Redis"
    say(f"{keys}. {plan.log} {plan.models}")
    for blocker in plan.blockers:
        say(f"Must end first: {blocker}")


def verify_proof(
    proof_id: Annotated[UUID, typer.Argument(help="Id of a proof.")],
    as_json: AsJson = False,
    data_dir: DataDirectory = None,
) -> None:
    """Check that a [b]proof[/b] is as it was made, and that nothing of the driver has come back.

    Ends with code 1 and the reasons if not.
    """

    async def work(container: Container) -> Verdict:
        from auto_insurance.privacy.service import ErasureService  # noqa: PLC0415 - as above

        return await container.get(ErasureService).verify(proof_id)

    verdict = with_container(work, data_dir)
    if as_json:
        print_json(verdict.model_dump(mode="json"))
    elif verdict.holds:
        say(f"The proof holds; {verdict.tables_checked} tables and the archive were looked through.")
    if not verdict.holds:
        fail(" ".join(verdict.problems), EXIT_PROBLEM)
