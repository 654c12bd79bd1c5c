"""Counts the SQL statements of a piece of work, as the driver gets them: one per round trip to the database.

    with counted(container.database) as log:
        answer = await client.get("/admin/drivers")
    assert len(log) == 2, log

Statements through SQLAlchemy are seen by its events, those on the connection under it (COPY excepted) by asyncpg's own
log; what begins and ends transactions does not count. To show that a route has no statement per row:

    await assert_constant(container.database, lambda: client.get(path), more_rows)

calls twice, with few rows and with more, and compares the statements.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from sqlalchemy import event

from auto_insurance.infra.db.uow import Database

_CONTROL = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|RESET|SHOW|;)\b", re.IGNORECASE)
_LISTS = re.compile(r"\(\$\d+(::[\w\[\]. ]+)?(, *\$\d+(::[\w\[\]. ]+)?)+\)")
_NUMBERS = re.compile(r"\$\d+")


class Statements(list[str]):
    """The statements in order, each on one line."""

    @property
    def forms(self) -> list[str]:
        """The statements without what depends on the number of values: lists and the numbers of parameters."""
        return [_NUMBERS.sub("$", _LISTS.sub("($...)", sql)) for sql in self]

    def add(self, sql: str) -> None:
        """Note a statement, unless it only controls the transaction."""
        if not _CONTROL.match(sql):
            self.append(re.sub(r"\s+", " ", sql).strip())

    def __str__(self) -> str:
        return "\n".join(f"{number}: {sql[:300]}" for number, sql in enumerate(self, start=1))


@contextmanager
def counted(database: Database) -> Iterator[Statements]:
    """Gather the statements of all connections of a database's pool."""
    found, engine = Statements(), database.engine.sync_engine
    seen: list[str] = []
    """What went through SQLAlchemy: the driver's log has it once more."""

    def executed(_conn: Any, _cursor: Any, sql: str, _parameters: Any, _context: Any, _many: bool) -> None:
        seen.append(sql)
        found.add(sql)

    def logged(record: Any) -> None:
        if record.query in seen:
            seen.remove(record.query)
        else:
            found.add(record.query)

    def taken(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.driver_connection.add_query_logger(logged)

    def returned(connection: Any, _record: Any) -> None:
        if connection is not None and not connection.driver_connection.is_closed():
            connection.driver_connection.remove_query_logger(logged)

    listeners = (
        (engine, "before_cursor_execute", executed),
        (engine.pool, "checkout", taken),
        (engine.pool, "checkin", returned),
    )
    for target, name, function in listeners:
        event.listen(target, name, function)
    try:
        yield found
    finally:
        for target, name, function in listeners:
            event.remove(target, name, function)


async def assert_constant(
    database: Database,
    call: Callable[[], Awaitable[httpx.Response]],
    more_rows: Callable[[], Awaitable[None]],
    *,
    ok: int = 200,
) -> Statements:
    """Call, add rows, call again: both answers are good and took the same statements. Returns those of the second."""
    first = await call()
    assert first.status_code == ok, first.text
    with counted(database) as few:
        await call()
    await more_rows()
    with counted(database) as many:
        again = await call()
    assert again.status_code == ok, again.text
    assert many.forms == few.forms, f"{again.request.url}: with few rows\n{few}\nwith more\n{many}"
    return many
