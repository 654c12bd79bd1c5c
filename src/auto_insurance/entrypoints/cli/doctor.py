"""The command ``doctor``: is everything in order, and if not, what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from auto_insurance.entrypoints.cli.output import EXIT_PROBLEM, console, errors, settings_or_exit, show


def doctor(
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the embedded engines (DATA_DIR).", show_default=".data")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to check (PORT).", show_default="8000")
    ] = None,
) -> None:
    """Check the [b]installation[/b]: say what is wrong and how to mend it. Exit code 1 when something is."""
    settings = settings_or_exit({"DATA_DIR": data_dir, "PORT": port})
    from auto_insurance.entrypoints.cli import connections, riskcheck  # noqa: PLC0415 - slow to load
    from auto_insurance.entrypoints.cli.checks import CHECKS, Patient, Verdict  # noqa: PLC0415
    from auto_insurance.infra.embedded.running import find_running  # noqa: PLC0415

    patient = Patient(settings, find_running(settings.data_dir))
    with errors.status("Checking ..."):
        findings = [check(patient) for check in (*CHECKS, connections.check, riskcheck.check)]
    table = Table(box=None, show_header=False, pad_edge=False)
    styles = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.BAD: "bold red"}
    for finding in findings:
        verdict = Text(finding.verdict.value, style=styles[finding.verdict])
        table.add_row(verdict, Text(finding.name, style="bold"), Text(finding.found))
        if finding.remedy:
            table.add_row("", "", Text(f"-> {finding.remedy}", style="cyan"))
    show(table)
    problems = sum(1 for finding in findings if finding.verdict is Verdict.BAD)
    if problems:
        console.print(Text(f"{problems} {'problem' if problems == 1 else 'problems'} found.", style="bold red"))
        raise typer.Exit(EXIT_PROBLEM)
    console.print(Text("Everything is in order.", style="green"))
