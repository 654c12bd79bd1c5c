"""The commands ``db``: what the database says of its indexes and connections."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from auto_insurance.entrypoints.cli.lookup import AsJson, print_json, print_table, say, size, with_container
from auto_insurance.entrypoints.cli.output import settings_or_exit
from auto_insurance.entrypoints.cli.signin import DataDirectory

if TYPE_CHECKING:
    from datetime import datetime

    from auto_insurance.bootstrap import Container
    from auto_insurance.infra.db.inspection import Connections, IndexUse


def indexes(data_dir: DataDirectory = None, as_json: AsJson = False) -> None:
    """Show every [b]index[/b] with its size and use, the largest first, and name those that no query has used.

    Parts on partitions are summed up. An index that makes values unique is never called unused.
    """
    from auto_insurance.infra.db import inspection  # noqa: PLC0415 - slow to load, not for --help

    async def ask(container: Container) -> tuple[list[IndexUse], datetime]:
        async with container.database.read() as uow:
            return await inspection.index_use(uow), await inspection.statistics_since(uow)

    found, since = with_container(ask, data_dir)
    unused = [index.name for index in found if index.unused]
    broken = [index.name for index in found if not index.is_valid]
    if as_json:
        rows = [asdict(index) | {"unused": index.unused} for index in found]
        print_json({"since": since, "indexes": rows, "unused": unused, "invalid": broken})
        return
    print_table(
        ("index", "table", "size", "scans", "parts", "kind"),
        [(i.name, i.table, size(i.bytes), i.scans, i.parts, "unique" if i.is_unique else "") for i in found],
        numbers=("size", "scans", "parts"),
    )
    say(f"Unused since {since:%Y-%m-%d %H:%M} UTC: {', '.join(unused) or 'none'}", "yellow" if unused else "green")
    if broken:
        say(f"Invalid, left by an attempt that failed: {', '.join(broken)}. Run: auto-insurance migrate", "bold red")


def pool(data_dir: DataDirectory = None, as_json: AsJson = False) -> None:
    """Show the [b]connections[/b] of the server by program, and how many our processes may open at most."""
    from auto_insurance.entrypoints.cli.connections import planned  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.infra.db import inspection  # noqa: PLC0415

    async def ask(container: Container) -> Connections:
        async with container.database.read() as uow:
            return await inspection.connections(uow)

    found = with_container(ask, data_dir)
    most = planned(settings_or_exit({"DATA_DIR": data_dir}))
    if as_json:
        clients = [asdict(client) for client in found.clients]
        print_json({"limit": found.limit, "used": found.used, "planned": most, "clients": clients})
        return
    print_table(
        ("program", "connections", "active", "in transaction"),
        [(c.name, c.connections, c.active, c.in_transaction) for c in found.clients],
        numbers=("connections", "active", "in transaction"),
    )
    parts = ", ".join(f"{role} {number}" for role, number in most.items())
    say(f"{found.used} of {found.limit} in use; one of each process opens up to {sum(most.values())} ({parts}).")
