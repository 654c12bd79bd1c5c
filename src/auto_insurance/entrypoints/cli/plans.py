"""The commands ``plan``: rating plans are checked, compared, looked at from the drivers' side, and put in force."""

from __future__ import annotations

import getpass
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from auto_insurance.entrypoints.cli.lookup import AsJson, print_json, print_table, say, with_container
from auto_insurance.entrypoints.cli.output import errors, fail, write_text
from auto_insurance.entrypoints.cli.signin import DataDirectory

if TYPE_CHECKING:
    from auto_insurance.bootstrap import Container
    from auto_insurance.infra.db.uow import UnitOfWork
    from auto_insurance.pricing.plan import RatingPlan
    from auto_insurance.pricing.plan_dislocation import Dislocation
    from auto_insurance.pricing.plan_inputs import InputFile
    from auto_insurance.pricing.plans import PlanRegistry
    from auto_insurance.pricing.repository_plans import DislocationRow

T = TypeVar("T")
Plan = Annotated[str, typer.Argument(help="Version of a plan, or a file that ends in .toml.")]
By = Annotated[str | None, typer.Option(help="Who it was, for the record. Default: who is signed in here.")]


def validate(files: Annotated[list[Path], typer.Argument(help="Plans, TOML.")], as_json: AsJson = False) -> None:
    """Check [b]rating plans[/b]: every place that is wrong is named. Needs no database.

    The schema for editors is docs/reference/rating-plan.schema.json.
    """
    from auto_insurance.pricing.errors import InvalidPlan  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.pricing.plan import fingerprint, parse_plan  # noqa: PLC0415

    found: list[dict[str, Any]] = []
    for file in files:
        try:
            plan = parse_plan(_text(file), file.name)
        except InvalidPlan as error:
            faults = error.detail.removeprefix(f"{file.name}: ").split("; ")
            found.append({"file": str(file), "sound": False, "faults": faults})
        else:
            found.append({"file": str(file), "sound": True, "version": plan.version, "fingerprint": fingerprint(plan)})
    if as_json:
        print_json(found)
    for one in () if as_json else found:
        if one["sound"]:
            say(f"{one['file']}: {one['version']} is sound ({one['fingerprint'][:12]})", "green")
        else:
            say(f"{one['file']}:", "red")
            for fault in one["faults"]:
                say(f"  {fault}")
    if not all(one["sound"] for one in found):
        raise typer.Exit(1)


def list_plans(data_dir: DataDirectory = None, as_json: AsJson = False) -> None:
    """List the [b]rating plans[/b], which of them rates today, and who put which in force."""

    async def ask(uow: UnitOfWork, plans: PlanRegistry) -> tuple[Any, Any]:
        return await plans.list_plans(uow), await plans.activations(uow)

    items, activations = _ask(ask, data_dir)
    if as_json:
        print_json({"plans": [_builtins(item) for item in items], "activations": [_builtins(a) for a in activations]})
        return
    print_table(
        ("plan", "in force", "since", "products", "shipped", "fingerprint"),
        [
            (
                item.version,
                "yes" if item.in_force else "",
                item.in_force_since,
                ", ".join(item.products),
                "yes" if item.shipped else "",
                item.fingerprint[:12],
            )
            for item in items
        ],
    )
    for one in activations:
        say(f"{one.version} from {one.effective_from} on, by {one.activated_by}: {one.reason}")


def show_plan(plan: Plan, data_dir: DataDirectory = None, as_json: AsJson = False) -> None:
    """Print a [b]rating plan[/b] as it is written, or with --json what it says."""
    text, read = _document(plan, data_dir)
    if as_json:
        print_json(_builtins(read))
    else:
        write_text(Path("-"), text)


def diff(old: Plan, new: Plan, data_dir: DataDirectory = None, as_json: AsJson = False) -> None:
    """Show what differs between two [b]rating plans[/b], place by place. 1.0 and 1.00 are the same."""
    from auto_insurance.pricing.plan_diff import differences  # noqa: PLC0415 - slow to load, not for --help

    found = differences(_document(old, data_dir)[1], _document(new, data_dir)[1])
    if as_json:
        print_json([_builtins(one) for one in found])
        return
    if not found:
        say("They say the same.")
        return
    print_table(("place", old, new), [(one.place, one.old, one.new) for one in found])


def add_plan(
    file: Annotated[Path, typer.Argument(help="A plan, TOML.")], by: By = None, data_dir: DataDirectory = None
) -> None:
    """Keep a [b]rating plan[/b] of yours in the database under its version; it rates nobody until it is activated."""
    text = _text(file)

    async def add(uow: UnitOfWork, plans: PlanRegistry) -> Any:
        return await plans.add(uow, text, _name(by))

    item = _ask(add, data_dir)
    say(f"{item.version} is kept. Next: auto-insurance plan dislocation <the plan in force> {item.version}", "green")


def activate(
    version: Annotated[str, typer.Argument(help="Version of a plan.")],
    start: Annotated[
        datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day: today or later, never dated back.")
    ],
    why: Annotated[str, typer.Option(help="The reason, for the record.")],
    by: By = None,
    data_dir: DataDirectory = None,
) -> None:
    """Put a [b]rating plan[/b] in force from a day on. Stored premiums stay as they are.

    Refused without a fresh dislocation report on the book against the plan that is in force until then.
    """

    async def do(uow: UnitOfWork, plans: PlanRegistry) -> Any:
        return await plans.activate(uow, version, effective_from=start.date(), by=_name(by), reason=why)

    activation = _ask(do, data_dir)
    say(f"{activation.version} rates what takes effect from {activation.effective_from} on.", "green")


def dislocation(
    old: Plan,
    new: Plan,
    inputs: Annotated[
        Path | None, typer.Option(help="Rate the rows of a CSV or Parquet file instead of the book.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="With --inputs: keep the report too. It opens no way to an activation.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Write the report with its plots as a page.")] = None,
    by: By = None,
    data_dir: DataDirectory = None,
    as_json: AsJson = False,
) -> None:
    """Show [b]who moves by how much[/b] from one plan to another: by state, age, product, package and score.

    On the book every driver's newest inputs are rated by both plans, and the report is kept: an activation needs it.

    On a file, columns new_relativity and new_credibility bring in another risk model; OLD and NEW may be the same plan.
    """
    if inputs is None:
        report, page = _on_book(old, new, by, data_dir)
    else:
        report, page = _on_file(old, new, inputs, data_dir)
        if keep:
            report, page = _kept(old, new, inputs, by, data_dir)
    if html is not None:
        write_text(html, page)
    if as_json:
        print_json(_builtins(report))
    else:
        _show(report)


def _on_book(old: str, new: str, by: str | None, data_dir: Path | None) -> tuple[Dislocation, str]:
    from rich.progress import Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - slow to load, not for --help

    from auto_insurance.pricing.plans_book import Dislocations  # noqa: PLC0415

    async def make(container: Container) -> DislocationRow:
        columns = (TextColumn("Reading the book: {task.completed:,.0f} drivers"), TimeElapsedColumn())
        with Progress(*columns, console=errors, transient=not errors.is_terminal) as bar:
            task = bar.add_task("drivers", total=None)
            async with container.database.begin() as uow:
                return await container.get(Dislocations).on_book(
                    uow, old, new, by=_name(by), progress=lambda done: bar.update(task, completed=done)
                )

    return _from_database(make, (old, new), data_dir)


def _kept(old: str, new: str, file: Path, by: str | None, data_dir: Path | None) -> tuple[Dislocation, str]:
    from auto_insurance.kernel import clock  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.pricing.plan_inputs import read_inputs  # noqa: PLC0415
    from auto_insurance.pricing.plans_book import Dislocations  # noqa: PLC0415

    async def make(container: Container) -> DislocationRow:
        rows = read_inputs(file, clock.now().date())
        async with container.database.begin() as uow:
            return await container.get(Dislocations).on_file(uow, old, new, rows, by=_name(by))

    return _from_database(make, (old, new), data_dir)


def _from_database(
    make: Callable[[Container], Awaitable[DislocationRow]], plans: tuple[str, str], data_dir: Path | None
) -> tuple[Dislocation, str]:
    import msgspec  # noqa: PLC0415 - slow to load, not for --help

    from auto_insurance.pricing.plan_dislocation import Dislocation  # noqa: PLC0415
    from auto_insurance.pricing.plans_book import page  # noqa: PLC0415

    for name in plans:
        if name.endswith(".toml"):
            fail(f"The report is kept beside the plans: run 'auto-insurance plan add {name}' and name the version.", 2)
    row = with_container(make, data_dir)
    return msgspec.convert(row.report, Dislocation), page(row)


def _on_file(old: str, new: str, file: Path, data_dir: Path | None) -> tuple[Dislocation, str]:
    from auto_insurance.kernel import clock  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.kernel.errors import AppError  # noqa: PLC0415
    from auto_insurance.pricing.plan_dislocation import dislocation as compare  # noqa: PLC0415
    from auto_insurance.pricing.plan_inputs import read_inputs  # noqa: PLC0415
    from auto_insurance.pricing.plans_book import file_page  # noqa: PLC0415
    from auto_insurance.pricing.rating_columns import of_inputs  # noqa: PLC0415

    today: date = clock.now().date()
    try:
        rows: InputFile = read_inputs(file, today)
    except AppError as error:
        fail(error.detail)
    plans = [_document(name, data_dir)[1] for name in (old, new)]
    report = compare((plans[0], of_inputs(rows.old)), (plans[1], of_inputs(rows.new)), rows.keys)
    return report, file_page(report, file.name, today)


def _show(report: Dislocation) -> None:
    head = ("group", "policies", "old total", "new total", "change", "5 %", "median", "95 %", "less", "same", "more")
    numbers = head[1:]
    for name, groups in {"all": [report.overall], **report.segments}.items():
        rows = [
            (
                group.name,
                f"{group.policies:,}",
                group.old_total,
                group.new_total,
                f"{group.change:+.1%}",
                *(f"{group.quantiles[level]:+.1%}" for level in ("0.05", "0.50", "0.95")),
                *(f"{number:,}" for number in (group.cheaper, group.same, group.dearer)),
            )
            for group in groups
        ]
        say(f"By {name}" if name != "all" else f"{report.old_version} to {report.new_version}", "bold")
        print_table(head, rows, numbers=numbers)
    for reason, count in report.refused.items():
        say(f"{count:,} not rated: {reason}", "yellow")


def _document(plan: str, data_dir: Path | None) -> tuple[str, RatingPlan]:
    """Return a plan from a file, the program or the database, as text and as what it says."""
    from auto_insurance.pricing.errors import InvalidPlan  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.pricing.plan import parse_plan, shipped_document, shipped_plans  # noqa: PLC0415

    async def ask(uow: UnitOfWork, plans: PlanRegistry) -> str:
        return await plans.document(uow, plan)

    if plan.endswith(".toml"):
        text = _text(Path(plan))
    elif plan in shipped_plans():
        text = shipped_document(plan)
    else:
        text = _ask(ask, data_dir)
    try:
        return text, parse_plan(text, plan)
    except InvalidPlan as error:
        fail(error.detail)


def _ask(work: Callable[[UnitOfWork, PlanRegistry], Awaitable[T]], data_dir: Path | None) -> T:
    from auto_insurance.pricing.plans import PlanRegistry  # noqa: PLC0415 - slow to load, not for --help

    async def run(container: Container) -> T:
        async with container.database.begin() as uow:
            return await work(uow, container.get(PlanRegistry))

    return with_container(run, data_dir)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} cannot be read: {error}")


def _name(by: str | None) -> str:
    return by or getpass.getuser()


def _builtins(value: Any) -> Any:
    import msgspec  # noqa: PLC0415 - slow to load, not for --help

    return msgspec.to_builtins(value)
