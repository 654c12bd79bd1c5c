"""The commands ``consumers``: the groups that read the event log."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auto_insurance.entrypoints.cli.lookup import AsJson, print_json, print_table, say, with_container
from auto_insurance.entrypoints.cli.output import fail
from auto_insurance.entrypoints.cli.signin import DataDirectory

if TYPE_CHECKING:
    from auto_insurance.bootstrap import Container
    from auto_insurance.infra.bus.groups import Group

GroupName = Annotated[str, typer.Argument(metavar="GROUP", help="Name of the group.")]


def list_groups(data_dir: DataDirectory = None, as_json: AsJson = False) -> None:
    """List the [b]consumer groups[/b]: what each reads, how many members run, how far it is behind."""
    from auto_insurance.infra.bus import groups  # noqa: PLC0415 - slow to load, not for --help

    async def ask(container: Container) -> list[Group]:
        async with container.database.read() as uow:
            return await groups.groups(uow, container.log)

    found = with_container(ask, data_dir)
    if as_json:
        print_json([_plain(group) for group in found])
        return
    print_table(
        ("group", "topics", "members", "lag"),
        [(group.name, ", ".join(group.topics), len(group.members), group.lag) for group in found],
        numbers=("members", "lag"),
    )
    if not found:
        say("No group has read anything yet.")


def describe(group: GroupName, data_dir: DataDirectory = None, as_json: AsJson = False) -> None:
    """Show one group: the [b]next offset[/b] and the lag of each partition, and who reads."""
    from auto_insurance.infra.bus import groups  # noqa: PLC0415 - slow to load, not for --help

    async def ask(container: Container) -> Group:
        async with container.database.read() as uow:
            return await groups.group(uow, container.log, group)

    found = with_container(ask, data_dir)
    if as_json:
        print_json(_plain(found))
        return
    print_table(
        ("topic", "partition", "next offset", "end", "lag", "moved at"),
        [(p.topic, p.partition, p.next_offset, p.end, p.lag, f"{p.moved_at:%Y-%m-%d %H:%M:%S}") for p in found.places],
        numbers=("partition", "next offset", "end", "lag"),
    )
    for member in found.members:
        reads = "joined" if member.partitions is None else f"{member.partitions} partitions"
        say(f"member {member.name}: {reads}, heard of at {member.seen_at:%H:%M:%S} UTC")
    if not found.members:
        say("No member runs.", "yellow")


def forget(
    group: GroupName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data_dir: DataDirectory = None,
) -> None:
    """Forget a group that will [b]not come back[/b], so that the log need not keep records for it.

    Refused while a member runs. If the group comes back, it reads from the first record that the log still has.
    """
    from auto_insurance.infra.bus import groups  # noqa: PLC0415 - slow to load, not for --help

    async def look(container: Container) -> Group:
        async with container.database.read() as uow:
            return await groups.group(uow, container.log, group)

    async def remove(container: Container) -> int:
        async with container.database.begin() as uow:
            return await groups.forget(uow, group)

    found = with_container(look, data_dir)
    if not yes and not typer.confirm(f"Forget {group}, {found.lag} records behind on {len(found.places)} partitions?"):
        fail("Nothing was changed.")
    say(f"{group} is forgotten: {with_container(remove, data_dir)} partitions.")


def _plain(group: Group) -> dict[str, Any]:
    places = [asdict(place) | {"lag": place.lag} for place in group.places]
    members = [asdict(member) for member in group.members]
    return {"group": group.name, "topics": group.topics, "lag": group.lag, "members": members, "partitions": places}
