"""The command ``up``: the whole product on this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.panel import Panel
from rich.text import Text

from auto_insurance.entrypoints.cli.output import console, fail, settings_or_exit

if TYPE_CHECKING:
    from auto_insurance.entrypoints.cli.stack import Signals, Stack
    from auto_insurance.infra.config import Settings

DEMO_LOGINS = (("admin", "admin123", "staff: sees everything"), ("driver0001", "password0001", "the driver DRV001"))


def up(
    demo: Annotated[bool, typer.Option("--demo", help="Add demo users and a simulated fleet that drives.")] = False,
    host: Annotated[str | None, typer.Option(help="Address of the API (HOST).", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the API (PORT).", show_default="8000")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder that keeps the data (DATA_DIR).", show_default=".data")
    ] = None,
    tui: Annotated[bool, typer.Option("--tui/--no-tui", help="Live table in demo mode, or plain lines.")] = True,
    show_logs: Annotated[
        bool, typer.Option("--show-logs", help="Print the processes' logs here in place of files.")
    ] = False,
) -> None:
    """Run [b]everything[/b] on this machine: database, cache, API, worker, scheduler. Ctrl-C stops it all.

    Without DATABASE_URL and REDIS_URL it starts a PostgreSQL and a Valkey of its own in the data directory, where
    the data survive restarts.
    """
    overrides = {"HOST": host, "PORT": port, "DATA_DIR": data_dir, "DEMO_MODE": demo or None}
    run_up(settings_or_exit(overrides), tui=tui, show_logs=show_logs)


def run_up(settings: Settings, *, tui: bool, show_logs: bool) -> None:
    """Run the stack until it is told to stop. Ends the program with code 1 when it cannot run."""
    from auto_insurance.entrypoints.cli.stack import Signals, Stack  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.entrypoints.supervisor import SupervisorError  # noqa: PLC0415
    from auto_insurance.infra.embedded.errors import EmbeddedError  # noqa: PLC0415

    def report(text: str) -> None:
        console.print(Text(f"  {text} ...", style="dim"))

    console.print(Text("Auto-Insurance-System is starting", style="bold"))
    signals = Signals()
    signals.interrupt_start()
    stack = Stack(settings, report, show_logs=show_logs)
    try:
        _log_to_file(stack)
        stack.open()
        asyncio.run(_serve(stack, signals, tui=tui))
    except (EmbeddedError, SupervisorError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        console.print("Interrupted while starting.")
        raise typer.Exit(130) from None
    finally:
        signals.ignore()
        stack.close()
    console.print("Stopped. The data are kept in " + str(stack.data.path))


def _log_to_file(stack: Stack) -> None:
    from auto_insurance.infra.embedded import logfile  # noqa: PLC0415
    from auto_insurance.infra.logging import configure_logging  # noqa: PLC0415

    stack.data.open()
    file = stack.log_of("up")
    logfile.turn_over(file)
    configure_logging(
        json=stack.settings.log.format == "json",
        level=stack.settings.log.level,
        stream=file.open("a", buffering=1),  # open until the program ends
    )


async def _serve(stack: Stack, signals: Signals, *, tui: bool) -> None:
    stop, force = asyncio.Event(), asyncio.Event()
    signals.watch(stop, force, lambda: console.print(Text("Stopping (once more Ctrl-C: at once) ...", style="dim")))
    console.print(Text("  starting the API, the worker and the scheduler ...", style="dim"))

    async def started(stop: asyncio.Event) -> None:
        if not await stack.wait_ready():
            console.print(Text(f"The API is up but not ready yet: see {stack.base_url}/health", style="yellow"))
        console.print(welcome(stack))
        if stack.settings.demo_mode:
            await _demo(stack, stop, tui=tui)

    await stack.run(stop, force, started)


def welcome(stack: Stack) -> Panel:
    """Return what a person needs next: addresses, logins, where logs are, how to stop."""
    lines = [
        ("Open", stack.base_url),
        ("API docs", f"{stack.base_url}/docs"),
        ("Health", f"{stack.base_url}/health"),
        ("Data", str(stack.data.path)),
        ("Logs", "this terminal" if stack.show_logs else str(stack.data.logs)),
    ]
    text = Text()
    for name, value in lines:
        text.append(f"{name:<10}", style="dim").append(f"{value}\n", style="bold" if name == "Open" else "")
    if stack.settings.demo_mode:
        text.append("\nDemo logins (all drivers and drives are simulated)\n", style="magenta")
        for user, password, what in DEMO_LOGINS:
            text.append(f"  {user:<12}").append(f"{password:<16}", style="bold").append(f"{what}\n", style="dim")
    secret = stack.admin_password_file
    if secret is not None:
        text.append("\nFirst administrator (made where there was none)\n", style="magenta")
        text.append(f"  {'admin':<12}").append("password in ", style="dim").append(f"{secret}\n", style="bold")
    text.append("\nCtrl-C stops everything; the data stay.")
    return Panel(text, title="Auto-Insurance-System is running", title_align="left", expand=False, border_style="green")


async def _demo(stack: Stack, stop: asyncio.Event, *, tui: bool) -> None:
    from auto_insurance.entrypoints.cli.demo import run_demo  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.entrypoints.cli.live import Board  # noqa: PLC0415

    with Board(console, tui=tui and console.is_terminal, title=f"{stack.base_url}  -  Ctrl-C stops") as board:
        await run_demo(stack.base_url, stack.data.path, stack.settings, stop, board)
