"""The commands of the three processes: api, worker, scheduler. ``up`` starts the same ones as its children."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from auto_insurance.entrypoints.cli.output import fail, settings_or_exit

if TYPE_CHECKING:
    from auto_insurance.infra.config import Settings

Host = Annotated[str | None, typer.Option(help="Address to listen on (HOST).", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on (PORT).", show_default="8000")]
Consumers = Annotated[
    int | None,
    typer.Option(
        min=1, max=64, help="Consumers, each a process if there are several (KAFKA_NUM_CONSUMERS).", show_default="1"
    ),
]


def api(host: Host = None, port: Port = None) -> None:
    """Run the [b]API[/b]: takes uploads, answers questions. Any number of instances may run."""
    settings = _checked("api", settings_or_exit({"HOST": host, "PORT": port}))
    from auto_insurance.entrypoints import api as process  # noqa: PLC0415 - takes a second that --help need not wait for

    process.run(settings)


def worker(consumers: Consumers = None) -> None:
    """Run a [b]worker[/b]: stores events, finds trips, scores and prices. Any number of instances may run."""
    settings = _checked("worker", settings_or_exit({"KAFKA_NUM_CONSUMERS": consumers}))
    from auto_insurance.entrypoints import worker as process  # noqa: PLC0415 - as above

    process.run(settings)


def scheduler() -> None:
    """Run the [b]scheduler[/b]: partitions, outbox, metrics of the business. Of several instances one leads."""
    settings = _checked("scheduler", settings_or_exit())
    from auto_insurance.entrypoints import scheduler as process  # noqa: PLC0415 - as above

    process.run(settings)


def _checked(name: str, settings: Settings) -> Settings:
    if settings.database.url is None:
        fail(
            f"DATABASE_URL is not set, and '{name}' starts no database of its own. Set it to a migrated PostgreSQL "
            "database, or run 'auto-insurance up', which brings its own.",
            2,
        )
    return settings
