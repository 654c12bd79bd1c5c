"""The commands about the registry of risk models: what scores, what runs beside it, and the way back."""

from __future__ import annotations

import getpass
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer

from auto_insurance.entrypoints.cli.lookup import AsJson, print_json, print_table, say, with_container
from auto_insurance.entrypoints.cli.output import console, fail
from auto_insurance.entrypoints.cli.signin import DataDirectory

if TYPE_CHECKING:
    from auto_insurance.bootstrap import Container
    from auto_insurance.infra.db.uow import UnitOfWork
    from auto_insurance.risk.registry import ModelRegistry
    from auto_insurance.risk.repository_drift import DriftNight
    from auto_insurance.risk.repository_models import ModelChange, ModelRow
    from auto_insurance.risk.schemas import ModelStatus
    from auto_insurance.risk.shadow import Comparison

T = TypeVar("T")
Version = Annotated[str, typer.Argument(metavar="VERSION", help="Version of a model, such as scorecard-1.")]
Note = Annotated[str | None, typer.Option("--note", help="Why, for the record.")]
MAX_NOTE = 500
RESTS_ON = {True: "simulated", False: "observed"}


@dataclass(frozen=True, slots=True)
class _Listing:
    models: Sequence[ModelRow]
    changes: Sequence[ModelChange]
    in_use: str
    may_price: bool


def list_models(data_dir: DataDirectory = None, as_json: AsJson = False) -> None:
    """List the [b]risk models[/b]: which one scores, which runs in the shadow, and who changed what."""

    async def ask(uow: UnitOfWork, registry: ModelRegistry) -> _Listing:
        await registry.refresh(uow)
        models = await registry.list_models(uow)
        in_use = registry.champion.model.info.version
        return _Listing(models, await registry.changes(uow), in_use, registry.may_price(simulated=True))

    found = _read(ask, data_dir)
    if as_json:
        rows = [{**_row(one), "in_use": one.version == found.in_use} for one in found.models]
        changes = [msgspec.to_builtins(change) for change in found.changes]
        print_json({"models": rows, "changes": changes, "simulated_may_price": found.may_price})
        return
    print_table(
        ("Version", "Status", "In use", "Claims", "Form", "Since", "Trained on"),
        [
            (
                one.version,
                one.status,
                "yes" if one.version == found.in_use else "",
                RESTS_ON[one.simulated],
                one.kind,
                None if one.shipped and one.changed_at.year < 2000 else f"{one.changed_at:%Y-%m-%d %H:%M}",
                one.trained_on,
            )
            for one in found.models
        ],
    )
    for change in found.changes[:5]:
        note = f": {change.note}" if change.note else ""
        step = f"{change.from_status or 'new'} -> {change.to_status}"
        say(f"{change.changed_at:%Y-%m-%d %H:%M} {change.version} {step}, {change.changed_by}{note}")
    if not found.may_price:
        say("Models of simulated claims score here, but no premium follows (ALLOW_SIMULATED_MODELS).", "yellow")


def add_model(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of a trained model.")],
    version: Annotated[
        str | None, typer.Option("--version", help="A name of its own, never used again.", show_default="folder's name")
    ] = None,
    data_dir: DataDirectory = None,
    as_json: AsJson = False,
) -> None:
    """Register a [b]trained model[/b] as a candidate: checked file by file, refused with the reason. Scores nobody."""
    import re  # noqa: PLC0415 - used here alone

    from auto_insurance.risk.packages import pack  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.risk.schemas_models import VERSION_PATTERN  # noqa: PLC0415

    name = version or folder.resolve().name
    if not re.match(VERSION_PATTERN, name):
        fail(f"{name!r} can't be a version: small letters, digits, dot, dash and underscore. Say --version.", 2)

    async def work(uow: UnitOfWork, registry: ModelRegistry) -> ModelRow:
        return await registry.add(uow, name, pack(folder), _who())

    _tell(_write(work, data_dir), as_json, "registered")


def shadow_model(version: Version, note: Note = None, data_dir: DataDirectory = None, as_json: AsJson = False) -> None:
    """Let a model score [b]in the shadow[/b]: beside the champion, on live drivers, without effect."""
    from auto_insurance.risk.schemas import ModelStatus  # noqa: PLC0415 - slow to load, not for --help

    _tell(_write(_to(version, ModelStatus.SHADOW, note), data_dir), as_json, "in the shadow")


def activate_model(
    version: Version, note: Note = None, data_dir: DataDirectory = None, as_json: AsJson = False
) -> None:
    """Make a model the [b]champion[/b]. All processes follow within seconds; the one before retires.

    In production a model of simulated claims is refused unless ALLOW_SIMULATED_MODELS is set.
    """
    from auto_insurance.risk.schemas import ModelStatus  # noqa: PLC0415 - slow to load, not for --help

    _tell(_write(_to(version, ModelStatus.CHAMPION, note), data_dir), as_json, "the champion")


def roll_back_model(note: Note = None, data_dir: DataDirectory = None, as_json: AsJson = False) -> None:
    """Make the [b]champion before[/b] this one the champion again."""

    async def work(uow: UnitOfWork, registry: ModelRegistry) -> ModelRow:
        return await registry.roll_back(uow, _who(), _short(note))

    _tell(_write(work, data_dir), as_json, "the champion again")


def card_of_model(version: Version, data_dir: DataDirectory = None) -> None:
    """Print a model's [b]card[/b], Markdown: what it rests on, how good it is, what it is not for."""

    async def ask(uow: UnitOfWork, registry: ModelRegistry) -> str:
        return await registry.card(uow, version)

    console.print(_read(ask, data_dir), markup=False, highlight=False, soft_wrap=True)


def compare_models(
    champion: Annotated[str, typer.Argument(metavar="A", help="A model, such as the champion.")],
    challenger: Annotated[str, typer.Argument(metavar="B", help="The model to hold beside it.")],
    data_dir: DataDirectory = None,
    as_json: AsJson = False,
) -> None:
    """Compare [b]two models[/b] on the newest driving of all live drivers: who would move, and how far."""

    async def ask(container: Container) -> Comparison:
        from auto_insurance.drivers.service import DriverService  # noqa: PLC0415 - slow to load, not for --help
        from auto_insurance.risk.registry import ModelRegistry  # noqa: PLC0415

        registry, drivers = container.get(ModelRegistry), container.get(DriverService)
        async with container.database.read() as uow:
            return await registry.compare_on_book(uow, drivers, champion, challenger)

    found = with_container(ask, data_dir)
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    if not found.drivers:
        say("Nobody was scored on recent driving yet: there is nothing to compare on.")
        return
    names = list(found.categories)
    rows = [(ours, *(found.categories[ours][theirs] for theirs in names)) for ours in names]
    say(f"Drivers by category of {champion} (rows) and of {challenger} (columns):")
    print_table(("", *names), rows, numbers=names)
    moved = ", ".join(f"{share:.1%} by more than {points}" for points, share in found.moved_more_than.items())
    say(
        f"{found.drivers:,} drivers. Mean score {found.champion_mean_score} -> {found.challenger_mean_score}; mean "
        f"frequency x {found.mean_frequency_ratio}; rank correlation {found.rank_correlation}; stability index "
        f"{found.stability_index}. Points of the score moved: {moved}."
    )


def drift(
    nights: Annotated[int, typer.Option("--nights", min=1, max=400, help="How many nights back.")] = 7,
    data_dir: DataDirectory = None,
    as_json: AsJson = False,
) -> None:
    """Show how far the book is from what the [b]model learned from[/b]: the last nightly measurements.

    An index below 0.10 is stable, above 0.25 has moved. Claims are compared with the expectation where there is cover.
    """

    async def ask(container: Container) -> list[DriftNight]:
        from auto_insurance.risk.drift import DriftWatch  # noqa: PLC0415 - slow to load, not for --help

        async with container.database.read() as uow:
            return await container.get(DriftWatch).nights(uow, nights)

    found = with_container(ask, data_dir)
    if as_json:
        print_json([msgspec.to_builtins(night) for night in found])
        return
    if not found:
        say("No night was measured yet; the scheduler does so after the nightly scoring.")
        return
    print_table(
        ("Measured", "Model", "Drivers", "Score", "Claims", "Expected", "Most moved features"),
        [_night(night) for night in found],
        numbers=("Drivers", "Score", "Claims", "Expected"),
    )


def _night(night: DriftNight) -> tuple[object, ...]:
    known = sorted(((v, name) for name, v in night.feature_drift.items() if v is not None), reverse=True)
    return (
        f"{night.measured_at:%Y-%m-%d %H:%M}",
        night.model_version,
        night.drivers,
        None if night.score_drift is None else f"{night.score_drift:.3f}",
        night.actual_claims if night.insured_years else None,
        f"{night.expected_claims:.1f}" if night.insured_years else None,
        ", ".join(f"{name} {value:.2f}" for value, name in known[:3]) or "not known for this model",
    )


def _to(
    version: str, status: ModelStatus, note: str | None
) -> Callable[[UnitOfWork, ModelRegistry], Awaitable[ModelRow]]:
    async def work(uow: UnitOfWork, registry: ModelRegistry) -> ModelRow:
        return await registry.activate(uow, version, status, _who(), _short(note))

    return work


def _read(ask: Callable[[UnitOfWork, ModelRegistry], Awaitable[T]], data_dir: Path | None) -> T:
    async def run(container: Container) -> T:
        from auto_insurance.risk.registry import ModelRegistry  # noqa: PLC0415 - slow to load, not for --help

        async with container.database.read() as uow:
            return await ask(uow, container.get(ModelRegistry))

    return with_container(run, data_dir)


def _write(work: Callable[[UnitOfWork, ModelRegistry], Awaitable[T]], data_dir: Path | None) -> T:
    async def run(container: Container) -> T:
        from auto_insurance.risk.registry import ModelRegistry  # noqa: PLC0415 - slow to load, not for --help

        async with container.database.begin() as uow:
            return await work(uow, container.get(ModelRegistry))

    return with_container(run, data_dir)


def _tell(row: ModelRow, as_json: bool, what: str) -> None:
    if as_json:
        print_json(_row(row))
        return
    say(f"{row.version} is {what}. {row.trained_on}")
    if row.simulated:
        say("It rests on simulated or assumed claims; every score of it says so.", "yellow")


def _row(row: ModelRow) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(row)
    del built["card"]
    return built


def _who() -> str:
    """Return who is at the command line, for the record of changes."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return "command line"


def _short(note: str | None) -> str | None:
    if note is not None and len(note) > MAX_NOTE:
        fail(f"--note: at most {MAX_NOTE} characters.", 2)
    return note
