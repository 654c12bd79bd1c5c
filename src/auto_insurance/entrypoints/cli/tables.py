"""The commands about models of tables of claims: prove, train, use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from auto_insurance.entrypoints.cli.output import EXIT_CONFIGURATION, console, errors, fail, show, write_text

if TYPE_CHECKING:
    from polars import DataFrame

    from auto_insurance.risk.training.benchmark import Bench
    from auto_insurance.risk.training.evaluate import Told
    from auto_insurance.risk.training.predict import Scored
    from auto_insurance.risk.training.spec import TableSpec
    from auto_insurance.risk.training.table import TableData

DataFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Claims and exposure, Parquet or CSV.")]
Folder = Annotated[Path, typer.Option("--output", "-o", file_okay=False, help="Folder for models and report.")]
SpecFile = Annotated[
    Path | None,
    typer.Option("--spec", exists=True, dir_okay=False, help="TOML file that says what the columns are."),
]
Threads = Annotated[int, typer.Option(min=1, max=64, help="Threads of the boosting library.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same models.")]


def benchmark(
    file: DataFile,
    output: Folder,
    spec: SpecFile = None,
    quick: Annotated[bool, typer.Option("--quick", help="A fifth of the contracts: a smoke test.")] = False,
    seed: Seed = 1,
    threads: Threads = 2,
) -> None:
    """Prove the training engine on [b]real claims[/b]: cross-validate GLM, boosting and the explainable model.

    Leaves report.html, report.json, the fitted models best, explainable and glm, and the explainable one as
    rating-tables. Rows of one contract are kept together; the report shows the row-wise split beside it.
    """
    from auto_insurance.kernel.errors import AppError  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.risk.training.benchmark import QUICK, Plan, run, write_models  # noqa: PLC0415

    _free(output, "best", "explainable", "glm")
    plan = replace(QUICK if quick else Plan(), seed=seed, threads=threads)
    try:
        with _stages() as told:
            data = _read(file, spec, "fremtpl2")
            bench = run(data, plan, told)
            _report(bench, "explainable", output, told, {"models": write_models(bench, output)})
    except AppError as error:
        fail(error.detail)
    except OSError as error:
        fail(str(error))
    _summary(bench, output, bench.best)


def train(
    output: Folder,
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="Driver-years with claims, Parquet or CSV.")
    ] = None,
    reference: Annotated[
        bool, typer.Option("--reference", help="On the simulated reference portfolio instead of a file.")
    ] = False,
    rows: Annotated[int | None, typer.Option(min=1000, help="Driver-years of the reference portfolio.")] = None,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="The claims of the file are simulated: the model will say so.")
    ] = False,
    spec: SpecFile = None,
    seed: Seed = 1,
    threads: Threads = 2,
) -> None:
    """Train the model that [b]drivers are scored with[/b]: tables over driving features, monotone by proof.

    The candidates are the GLM and boosting collapsed to tables; the better one by cross-validation that keeps every
    promised direction is written to model, beside report.html, report.json and rating-tables.
    """
    if (file is None) != reference:
        fail("Name a file of driver-years, or say --reference.", EXIT_CONFIGURATION)
    from auto_insurance.kernel.errors import AppError  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.risk.artefacts import load as load_scoring  # noqa: PLC0415
    from auto_insurance.risk.training import train as training  # noqa: PLC0415
    from auto_insurance.risk.training.table import read_frame  # noqa: PLC0415

    _free(output, "model")
    plan = replace(training.DRIVING, seed=seed, threads=threads, simulated=reference or simulated)
    try:
        with _stages() as told:
            found = None
            curve = load_scoring().exposure
            if file is None:
                made = training.reference_portfolio(curve, rows)
                data, frame = training.reference_data(made), made.frame
            else:
                frame = read_frame(file)
                data = _own(file, frame, spec)
            bench, champion = training.train(data, plan, told)
            if reference:
                truth = training.reference_portfolio(curve, rows, test=True)
                found = training.recovery(bench.models[champion], truth)
            written = training.write(bench, champion, output, found, frame)
            _report(bench, champion, output, told, written)
    except AppError as error:
        fail(error.detail)
    except OSError as error:
        fail(str(error))
    _summary(bench, output, champion)
    if found is not None:
        console.print(
            f"On other simulated drivers: Gini {found.gini:.4f}, {found.share:.1%} of the true frequency's; "
            f"calibration slope {found.slope:.3f}; balance {found.balance:.4f}."
        )
    if (half := written["half_credibility_miles"]) is not None:
        console.print(f"Own driving and the portfolio count alike at {half:,.0f} miles (Buehlmann-Straub).")


def predict(
    model: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of a fitted model.")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Risks to score, Parquet or CSV.")],
    output: Annotated[Path, typer.Option("--output", "-o", dir_okay=False, help="File to write, Parquet or CSV.")],
) -> None:
    """Score a file of risks with a [b]fitted model[/b]: adds the column expected_claims = frequency x exposure.

    All other columns and the order of the rows stay. A level that the model has never seen counts as average, and
    is reported; missing columns and values are refused. The exposure is capped as in training.
    """
    from auto_insurance.kernel.errors import AppError  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.risk.training.artefact import load  # noqa: PLC0415
    from auto_insurance.risk.training.predict import score_file  # noqa: PLC0415

    try:
        fitted = load(model)
        with _rows(file.name) as tick:
            found = score_file(fitted, file, output, tick)
    except AppError as error:
        fail(error.detail)
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror or error}")
    _notes(found, fitted.model.kind)
    console.print(
        f"{found.rows:,} rows scored with {fitted.about.name}: {found.expected:,.1f} claims expected in "
        f"{found.exposure:,.1f} {fitted.about.exposure_unit}. Written to {output}."
    )


def mileage(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder with norauto and swautoins.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="Write the curve there as TOML; - prints it.")
    ] = None,
) -> None:
    """Measure how claims grow with [b]distance[/b]: fit norauto.parquet and swautoins.parquet of CASdatasets.

    The shape is a power of the distance, with a 95 % interval; 1 would be proportional.
    """
    from auto_insurance.kernel.errors import AppError  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.risk.artefacts import load as load_scoring  # noqa: PLC0415
    from auto_insurance.risk.training import mileage as fits  # noqa: PLC0415

    try:
        shapes = [fits.read_shape(folder, source) for source in fits.SOURCES]
    except AppError as error:
        fail(error.detail)
    pooled = fits.pool(shapes)
    if output is not None:
        write_text(output, fits.to_toml(shapes, pooled, load_scoring().exposure.reference_miles))
        if str(output) == "-":
            return
    table = Table("data", "class", "years", "claims", "relativity", "95 % interval", box=None, pad_edge=False)
    for shape in shapes:
        for row in shape.classes:
            between = f"{row.low:.3f} to {row.high:.3f}"
            cells = (f"{row.years:,.0f}", f"{row.claims:,.0f}", f"{row.relativity:.3f}", between)
            table.add_row(shape.source.name, row.label, *cells)
    show(table)
    for shape in shapes:
        console.print(f"{shape.source.name}: miles ** {shape.exponent:.3f} ({shape.low:.3f} to {shape.high:.3f})")
    console.print(f"together: miles ** {pooled.exponent:.3f} ({pooled.low:.3f} to {pooled.high:.3f})", style="bold")


def _read(file: Path, spec: Path | None, usual: str) -> TableData:
    from auto_insurance.risk.training.table import read_frame, table_of  # noqa: PLC0415 - slow to load

    return table_of(read_frame(file), _spec(spec, usual), file.name)


def _own(file: Path, frame: DataFrame, spec: Path | None) -> TableData:
    """Read driver-periods: as 'risk dataset' writes them, or any file with the columns of the specification."""
    from auto_insurance.risk.training.own import spec_for  # noqa: PLC0415 - slow to load
    from auto_insurance.risk.training.table import table_of  # noqa: PLC0415

    return table_of(frame, spec_for(frame) if spec is None else _spec(spec, "driving"), file.name)


def _spec(file: Path | None, usual: str) -> TableSpec:
    from auto_insurance.risk.training.spec import read_spec, shipped_spec  # noqa: PLC0415 - slow to load

    return shipped_spec(usual) if file is None else read_spec(file)


def _free(folder: Path, *models: str) -> None:
    """Say before the work that there is no room for its fruits."""
    from auto_insurance.risk.training.artefact import check_free  # noqa: PLC0415 - slow to load

    try:
        for model in models:
            check_free(folder / model)
    except OSError as error:
        fail(str(error))


def _report(bench: Bench, name: str, folder: Path, told: Told, more: dict[str, Any]) -> None:
    """Write the report and the rating tables of a candidate."""
    from auto_insurance.risk.training.benchmark import to_json  # noqa: PLC0415 - slow to load
    from auto_insurance.risk.training.rating import export  # noqa: PLC0415
    from auto_insurance.risk.training.report import full_report  # noqa: PLC0415
    from auto_insurance.risk.training.tables import TableModel  # noqa: PLC0415

    model = bench.models[name].model
    if isinstance(model, TableModel):
        export(model, folder / "rating-tables", bench.data.spec.exposure_unit)
    figures, html = full_report(bench, told)
    (folder / "report.json").write_text(to_json({**figures, **more}), encoding="utf-8")
    (folder / "report.html").write_text(html, encoding="utf-8")


def _summary(bench: Bench, folder: Path, chosen: str) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("model", "split", "deviance x 100", "Gini", "expected / observed"):
        table.add_column(column, justify="left" if column in {"model", "split"} else "right", no_wrap=True)
    for grouping, models in bench.figures.items():
        for name, one in models.items():
            cells = (f"{one['deviance_x100']:.4f}", f"{one['gini']:.4f}", f"{one['balance']:.4f}")
            table.add_row(name, grouping, *cells, style="bold green" if name == chosen else "")
    show(table)
    console.print(f"Chosen, with contracts kept together: {chosen}. Report and models are in {folder}.")


def _notes(found: Scored, kind: str) -> None:
    rule = "average" if kind == "tables" else "the most exposed level"
    for what, count in found.notes.unknown_levels.most_common(20):
        errors.print(f"[yellow]Warning:[/yellow] {what}: not known to the model, {count:,} rows, counted as {rule}.")
    for what, count in found.notes.missing.items():
        if count:
            errors.print(f"[yellow]Warning:[/yellow] {what}: missing in {count:,} rows, counted as {rule}.")


@contextmanager
def _stages() -> Iterator[Callable[[str, float], None]]:
    """A bar for each thing that is done, as a function of its name and the share done; lines where no one looks on."""
    if not errors.is_terminal:
        begun = monotonic()
        yield lambda what, done: errors.print(f"{monotonic() - begun:6.0f} s  {what}") if done == 1.0 else None
        return
    share = TextColumn("{task.percentage:>3.0f} %")
    columns = (TextColumn("{task.description}"), BarColumn(), share, TimeElapsedColumn())
    with Progress(*columns, console=errors) as progress:
        tasks: dict[str, TaskID] = {}

        def told(what: str, done: float) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=1.0)
            progress.update(tasks[what], completed=done)

        yield told


@contextmanager
def _rows(name: str) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(f"rows of {name}", total=None)
        yield lambda rows: progress.update(task, completed=rows)
