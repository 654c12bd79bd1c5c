"""The command ``auto-insurance``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import typer

from auto_insurance.entrypoints.cli.acts import as_act
from auto_insurance.entrypoints.cli.admin import config, migrate, version
from auto_insurance.entrypoints.cli.auditmonths import drop as drop_audit
from auto_insurance.entrypoints.cli.auditmonths import months as audit_months
from auto_insurance.entrypoints.cli.audits import anchor as audit_anchor
from auto_insurance.entrypoints.cli.audits import export as export_audit
from auto_insurance.entrypoints.cli.audits import verify as verify_audit
from auto_insurance.entrypoints.cli.claims import verify as verify_claims
from auto_insurance.entrypoints.cli.consumers import describe, forget, list_groups
from auto_insurance.entrypoints.cli.databases import indexes
from auto_insurance.entrypoints.cli.databases import pool as db_pool
from auto_insurance.entrypoints.cli.datasets import dataset
from auto_insurance.entrypoints.cli.doctor import doctor
from auto_insurance.entrypoints.cli.drive import replay
from auto_insurance.entrypoints.cli.ledgers import show_ledger, verify_ledger
from auto_insurance.entrypoints.cli.partitions import (
    archive,
    convert,
    create,
    drop,
    list_months,
    restore,
    show_events,
)
from auto_insurance.entrypoints.cli.plans import (
    activate,
    add_plan,
    diff,
    dislocation,
    list_plans,
    show_plan,
    validate,
)
from auto_insurance.entrypoints.cli.prices import quote_price, replay_premium, show_prices
from auto_insurance.entrypoints.cli.privacy import erase, erasure_requests, verify_proof
from auto_insurance.entrypoints.cli.riskmodels import (
    activate_model,
    add_model,
    card_of_model,
    compare_models,
    drift,
    list_models,
    roll_back_model,
    shadow_model,
)
from auto_insurance.entrypoints.cli.scoring import score
from auto_insurance.entrypoints.cli.services import api, scheduler, worker
from auto_insurance.entrypoints.cli.simulation import simulate
from auto_insurance.entrypoints.cli.tables import benchmark, mileage, predict, train
from auto_insurance.entrypoints.cli.up import up
from auto_insurance.entrypoints.cli.users import create_admin

_START = "Run it"
_DRIVE = "Send it drives"
_CARE = "Look after it"
_PARTS = "Run its parts one by one"

Command = Callable[..., None]
_COMMANDS: tuple[tuple[str, Command, tuple[str, ...]], ...] = (
    (
        _START,
        up,
        (
            "auto-insurance up --demo",
            "auto-insurance up --port 9000 --data-dir /var/lib/auto-insurance",
            "DATABASE_URL=postgresql://me:secret@db/insurance auto-insurance up",
        ),
    ),
    (
        _DRIVE,
        replay,
        (
            "auto-insurance replay drives.parquet",
            "auto-insurance replay monday.gpx tuesday.csv --speed-up 60",
            "auto-insurance replay drives.parquet --url https://insurer.example --password-file staff.txt",
        ),
    ),
    (
        _DRIVE,
        simulate,
        (
            "auto-insurance simulate --drivers 50 --days 3",
            "auto-insurance simulate --live --style aggressive=0.5 --style calm=0.5",
            "auto-insurance simulate --steady 200 --days 0.01 --duplicates 0.05 --late 0.05",
            "auto-insurance simulate --seed 7 -o - | head",
        ),
    ),
    (_CARE, doctor, ("auto-insurance doctor", "auto-insurance doctor --data-dir /srv/ai")),
    (_CARE, migrate, ("auto-insurance migrate", "auto-insurance migrate --check || echo stale")),
    (_CARE, config, ("auto-insurance config", "DB_POOL_SIZE=5 auto-insurance config --changed")),
    (_CARE, version, ()),
    (_PARTS, api, ("auto-insurance api --port 8001",)),
    (_PARTS, worker, ("auto-insurance worker --consumers 4",)),
    (_PARTS, scheduler, ("auto-insurance scheduler",)),
)

_GROUPS: tuple[tuple[str, str, tuple[tuple[str, Command, tuple[str, ...]], ...]], ...] = (
    (
        "partitions",
        "Months of driving events: in the database and in the archive.",
        (
            ("list", list_months, ("", "--exact --json")),
            ("create", create, ("", "2019-05 2019-06", "--ahead 6")),
            ("archive", archive, ("2025-01", "2025-01 2025-02 --force", "--due")),
            ("drop", drop, ("2019-05", "2019-05 --without-archive --yes", "2019-05 --files")),
            ("restore", restore, ("2025-01",)),
            ("show", show_events, ("--driver DRV001 --month 2025-01", "--driver DRV001 --month 2025-01 -o out.csv")),
            ("convert", convert, ("old_events", "old_events --column recorded_at --yes")),
        ),
    ),
    (
        "privacy",
        "Erasure of drivers, and its proof.",
        (
            ("requests", erasure_requests, ("", "--status done --json")),
            (
                "erase",
                erase,
                ("0198c0de-0000-7000-8000-000000000001 --dry-run", "0198c0de-0000-7000-8000-000000000001 --yes"),
            ),
            ("verify", verify_proof, ("0198c0de-0000-7000-8000-000000000002",)),
        ),
    ),
    (
        "audit",
        "Who did what: a log that nobody can change unseen.",
        (
            ("verify", verify_audit, ("", "--anchor anchors.jsonl", "--file audit.jsonl --anchor 1200:9f86d0...")),
            ("export", export_audit, ("-o audit.jsonl", "-o - --after 1200")),
            ("anchor", audit_anchor, ("",)),
            ("months", audit_months, ("", "--before 2016-01")),
            ("drop", drop_audit, ("--dry-run", "--to /mnt/audit", "--before 2016-01 --without-copy")),
        ),
    ),
    ("claims", "Claims and their evidence.", (("verify", verify_claims, ("", "--json")),)),
    ("users", "People who may sign in.", (("create-admin", create_admin, ("ada", "ada --password-file -")),)),
    (
        "db",
        "What the database says of itself.",
        (("indexes", indexes, ("", "--json")), ("pool", db_pool, ("",))),
    ),
    (
        "consumers",
        "Who reads the event log, and how far.",
        (
            ("list", list_groups, ("", "--json")),
            ("describe", describe, ("telematics-consumers-v2",)),
            ("forget", forget, ("old-reports", "old-reports --yes")),
        ),
    ),
    (
        "ledger",
        "Money in double entry: what is booked for a policy, and whether all of it is right.",
        (
            ("show", show_ledger, ("POL-000001", "POL-000001 --entries 1000 --json")),
            ("verify", verify_ledger, ("", "POL-000001", "--json || echo wrong")),
        ),
    ),
    (
        "price",
        "Prices: why they are so, made again from events, and quotes.",
        (
            ("replay", replay_premium, ("0198c0de-0000-7000-8000-000000000001", "PREMIUM_ID --stored-features --json")),
            ("show", show_prices, ("DRV001", "DRV001 --versions 50 --json")),
            ("quote", quote_price, ("--state CA --age 40 --mileage 9000", "--state TX --coverage full --json")),
        ),
    ),
    (
        "plan",
        "Rating plans: what drivers pay, who would move under another one, and which is in force.",
        (
            ("validate", validate, ("mine.toml", "plans/*.toml --json")),
            ("list", list_plans, ("", "--json")),
            ("show", show_plan, ("standard-2", "standard-2 --json")),
            ("diff", diff, ("standard-1 standard-2", "standard-2 mine.toml --json")),
            ("add", add_plan, ("mine.toml",)),
            (
                "dislocation",
                dislocation,
                (
                    "standard-1 standard-2 --html moves.html",
                    "standard-1 mine.toml --inputs book.parquet --json",
                ),
            ),
            ("activate", activate, ('standard-2 --from 2027-01-01 --why "seen by the board"',)),
        ),
    ),
    (
        "risk",
        "Risk models and scores.",
        (
            ("score", score, ("DRV001 DRV002", "--all")),
            ("benchmark", benchmark, ("fremtpl2.parquet -o proof", "claims.csv --spec claims.toml -o proof --quick")),
            (
                "dataset",
                dataset,
                (
                    "--from 2025-01-01 --to 2026-01-01 -o driver-months.parquet",
                    "--from 2024-01-01 --to 2026-01-01 --period term -o terms.parquet",
                ),
            ),
            ("train", train, ("--reference -o champion", "driver-months.parquet -o champion")),
            ("mileage", mileage, ("casdatasets/", "casdatasets/ -o mileage.toml")),
            ("predict", predict, ("proof/best risks.parquet -o scored.parquet",)),
            ("drift", drift, ("", "--nights 30 --json")),
        ),
    ),
    (
        "risk models",
        "The registry: which model scores, which runs in the shadow, and the way back.",
        (
            ("list", list_models, ("", "--json")),
            ("add", add_model, ("champion/model --version own-2026-1",)),
            ("shadow", shadow_model, ("own-2026-1",)),
            ("activate", activate_model, ('own-2026-1 --note "dislocation seen by the board"',)),
            ("roll-back", roll_back_model, ('--note "too hard on night shifts"',)),
            ("card", card_of_model, ("driving-2",)),
            ("compare", compare_models, ("driving-2 scorecard-1", "driving-2 own-2026-1 --json")),
        ),
    ),
)
"""Groups of commands, one within another by a name of two words; of an example only what follows the command's name."""


def _examples(*lines: str) -> str | None:
    # One paragraph per line: the help's layout joins the lines of a paragraph.
    return "\n\n".join(["[b]Examples[/b]", *(f"  [cyan]{line}[/cyan]" for line in lines)]) if lines else None


def _about(function: Command) -> str:
    # Paragraphs of one line each: the help's layout keeps the line breaks of all but the first one.
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)


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
    for panel, function, examples in _COMMANDS:
        # What runs the product acts for those who use it, not for who started it.
        runs = panel in {_START, _PARTS}
        command = function if runs else as_act(function.__name__.replace("_", "-"), function)
        app.command(help=_about(function), rich_help_panel=panel, epilog=_examples(*examples))(command)
    groups: dict[str, typer.Typer] = {}
    for name, about, commands in _GROUPS:
        groups[name] = _group(name, about, commands)
        outer = name.rpartition(" ")[0]
        if outer:
            groups[outer].add_typer(groups[name])
        else:
            app.add_typer(groups[name], rich_help_panel=_CARE)
    return app


def _group(name: str, about: str, commands: Sequence[tuple[str, Command, tuple[str, ...]]]) -> typer.Typer:
    group = typer.Typer(
        name=name.rpartition(" ")[2],
        help=about,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    group.callback()(lambda: None)  # one command alone would take the group's place
    for command, function, examples in commands:
        lines = (f"auto-insurance {name} {command} {example}".rstrip() for example in examples)
        act = as_act(f"{name} {command}", function)
        group.command(command, help=_about(function), epilog=_examples(*lines))(act)
    return group


app = build_app()


def main() -> None:
    """Run the command line."""
    app()
