"""The command ``auto-insurance``."""

from __future__ import annotations

import typer

from auto_insurance.entrypoints.cli.admin import config, migrate, version
from auto_insurance.entrypoints.cli.doctor import doctor
from auto_insurance.entrypoints.cli.drive import replay, simulate
from auto_insurance.entrypoints.cli.services import api, scheduler, worker
from auto_insurance.entrypoints.cli.up import up

_START = "Run it"
_DRIVE = "Send it drives"
_CARE = "Look after it"
_PARTS = "Run its parts one by one"


def _examples(*lines: str) -> str:
    # One paragraph per line: the help's layout joins the lines of a paragraph.
    return "\n\n".join(["[b]Examples[/b]", *(f"  [cyan]{line}[/cyan]" for line in lines)])


def build_app() -> typer.Typer:
    """Return the program with all its commands."""
    app = typer.Typer(
        name="auto-insurance",
        help="Usage-based motor insurance: driving events become trips, a risk score and a premium.",
        epilog=_examples(
            "auto-insurance up --demo    everything with a simulated fleet",
            "auto-insurance replay drives.parquet    recorded drives, to a running system",
            "auto-insurance doctor    is everything in order?",
        ),
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,  # boxes do not belong into log files, nor values of variables
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    command = app.command
    command(
        rich_help_panel=_START,
        epilog=_examples(
            "auto-insurance up --demo",
            "auto-insurance up --port 9000 --data-dir /var/lib/auto-insurance",
            "DATABASE_URL=postgresql://me:secret@db/insurance auto-insurance up",
        ),
    )(up)
    command(
        rich_help_panel=_DRIVE,
        epilog=_examples(
            "auto-insurance replay drives.parquet",
            "auto-insurance replay monday.gpx tuesday.csv --speed-up 60",
        ),
    )(replay)
    command(
        rich_help_panel=_DRIVE,
        epilog=_examples(
            "auto-insurance simulate --drivers 50 --days 3 -o drives.jsonl",
            "auto-insurance simulate --seed 7 -o - | head",
        ),
    )(simulate)
    command(
        rich_help_panel=_CARE, epilog=_examples("auto-insurance doctor", "auto-insurance doctor --data-dir /srv/ai")
    )(doctor)
    command(
        rich_help_panel=_CARE,
        epilog=_examples("auto-insurance migrate", "auto-insurance migrate --check || echo stale"),
    )(migrate)
    command(
        rich_help_panel=_CARE,
        epilog=_examples("auto-insurance config", "DB_POOL_SIZE=5 auto-insurance config --changed"),
    )(config)
    command(rich_help_panel=_CARE)(version)
    command(rich_help_panel=_PARTS, epilog=_examples("auto-insurance api --port 8001"))(api)
    command(rich_help_panel=_PARTS, epilog=_examples("auto-insurance worker --consumers 4"))(worker)
    command(rich_help_panel=_PARTS, epilog=_examples("auto-insurance scheduler"))(scheduler)
    return app


app = build_app()


def main() -> None:
    """Run the command line."""
    app()
