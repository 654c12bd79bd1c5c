"""No write of a person or key gets past the audit log: by how transactions are opened, not by discipline."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from auto_insurance import bootstrap
from auto_insurance.audit.exempt import EXEMPT
from auto_insurance.entrypoints.api import bare_app
from auto_insurance.entrypoints.cli import main
from auto_insurance.infra.http.deps import get_read_uow, get_uow
from auto_insurance.infra.http.middleware import RequestMiddleware

SOURCE = Path(main.__file__).parents[2]
MODULES = sorted(SOURCE.rglob("*.py"))
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

OWN = {
    "POST /api/v1/auth/login": "AuthService opens its transaction after the password was verified",
    "POST /api/v1/auth/logout": "AuthService: as above",
    "POST /api/v1/auth/refresh": "AuthService commits the end of a session whose token was stolen, and refuses",
    "POST /api/v1/auth/register": "UserService opens its transaction after the hash",
    "POST /api/v1/auth/password": "PasswordService: as above",
    "POST /api/v1/auth/password-reset/confirm": "PasswordService: as above",
    "POST /api/v1/admin/partitions": "each partition is made in a transaction of its own",
}
"""Routes whose services open transactions of their own, with ``Database.begin``: recorded like those of the request."""
READING = {
    "POST /api/v1/auth/password-reset": "remembers that a mail is asked for; its token is stored when it is sent",
    "POST /api/v1/auth/quote-request": "prices and stores nothing",
    "POST /api/v1/pricing/{driver_id}/simulate": "prices and stores nothing",
    "POST /api/v1/quotes/{quote_id}/bind/preview": "the read-only transaction is all that it has",
}
"""Routes with a body that change nothing: their one transaction is read-only."""


def transactions(app: FastAPI) -> dict[str, frozenset[object]]:
    """Return which transactions each route that may change something is given."""
    found = {}
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, APIRoute):
            for method in set(context.methods or ()) - SAFE:
                given = frozenset(_calls(context.dependant)) & {get_uow, get_read_uow}
                found[f"{method} {context.path_format}"] = given
    return found


def _calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for child in dependant.dependencies:
        yield from _calls(child)


WRITING = transactions(bare_app())


def fault(route: str, given: frozenset[object]) -> str | None:
    """Return why a route might change something without a row, None if it can't."""
    if route in EXEMPT or get_uow in given or route in OWN:
        return None
    if route in READING:
        return None if given <= {get_read_uow} else "it is said to read only"
    return "it has neither the transaction of the request nor a place in one of the lists"


@pytest.mark.parametrize("route", sorted(WRITING))
def test_a_route_that_changes_something_leaves_a_row(route: str) -> None:
    assert fault(route, WRITING[route]) is None


def test_the_lists_name_routes_that_exist_and_say_why() -> None:
    for listed in (EXEMPT, OWN, READING):
        assert listed.keys() <= WRITING.keys()
        assert all(listed.values())
    assert len(WRITING) > 35
    assert len(EXEMPT) <= 6


def test_a_planted_route_is_seen() -> None:
    app = FastAPI()

    @app.post("/planted")
    def _planted() -> None:
        return None

    [(route, given)] = transactions(app).items()
    assert fault(route, given)
    assert fault("POST /api/v1/quotes/{quote_id}/bind/preview", frozenset({get_uow})) is None
    assert fault("DELETE /x", frozenset({get_read_uow}))


def test_every_request_is_an_act_with_the_recorder() -> None:
    """The middleware that begins acts is there and knows the recorder; it lies outside of every route and lane."""
    [wired] = [one for one in bare_app().user_middleware if one.cls is RequestMiddleware]  # type: ignore[comparison-overlap]
    assert wired.kwargs["recorder"] is bootstrap.record


def test_every_command_but_those_that_run_the_product_is_an_act() -> None:
    app = main.build_app()
    bare = {command.callback.__name__ for command in app.registered_commands if not _wrapped(command.callback)}  # type: ignore[union-attr]
    assert bare == {"up", "api", "worker", "scheduler"}
    groups = [group.typer_instance for group in app.registered_groups]
    while groups:
        group = groups.pop()
        assert group is not None
        groups += [inner.typer_instance for inner in group.registered_groups]
        assert all(_wrapped(command.callback) for command in group.registered_commands)


def _wrapped(callback: object) -> bool:
    return hasattr(callback, "__wrapped__")


OUTSIDE = {
    "infra/db/uow.py": "the unit of work itself",
    "infra/db/engine.py": "makes the engines that units of work run on",
    "infra/db/migrate.py": "migrations",
    "infra/db/migrations/env.py": "migrations: what they do is in their files",
    "infra/db/partitions_admin.py": "DDL that refuses transactions; its begin() beside is the unit of work's",
    "infra/db/partitions_convert.py": "DDL that refuses transactions",
    "infra/db/locks.py": "holds a lock on a connection of its own; writes nothing",
    "infra/db/indexes.py": "DDL that refuses transactions",
    "bootstrap/compose.py": "puts the units of work on their engine",
    "infra/bus/postgres/wakeups.py": "listens for news of the event log",
    "infra/metrics/database.py": "watches engines",
    "infra/bus/postgres/connections.py": "the event log's own appends and offsets",
    "infra/embedded/accounts.py": "makes the embedded server's first account",
    "infra/embedded/postgres.py": "waits for the embedded server",
    "entrypoints/cli/schema.py": "reads the schema's revision",
}
"""Modules that may reach a database past ``Database.begin`` and ``read``, and why."""
_REACHES = re.compile(
    r"create_async_engine|create_engine\(|engine_from_config|asyncpg\.(connect|create_pool)|\.connect\(\)"
)
_UNITS = re.compile(r"Database\(\s*create_engine\(")


def reaches(source: str) -> bool:
    """Return whether a module opens connections other than through units of work."""
    return bool(_REACHES.search(_UNITS.sub("", source)))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_transactions_are_opened_by_units_of_work(path: Path) -> None:
    if str(path.relative_to(SOURCE)) not in OUTSIDE:
        assert not reaches(path.read_text())


UNNAMED = {
    "audit/retention.py": "rows of the log that leave: their closing is the act",
    "infra/acting.py": "defines it",
    "identity/device_keys.py": "a device key's last use: a statistic",
}
"""Modules that write in nobody's name while somebody acts."""


def test_few_places_write_in_nobody_s_name() -> None:
    found = set()
    for path in MODULES:
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        if names & {"as_system"} or path.name == "acting.py":
            found.add(str(path.relative_to(SOURCE)))
    assert found == UNNAMED.keys()


def test_a_planted_connection_is_seen() -> None:
    assert reaches("async with engine.connect() as conn: ...")
    assert reaches("conn = await asyncpg.connect(url)")
    assert reaches("engine = create_engine(options)")
    assert not reaches("database = Database(create_engine(options))")
    assert not reaches("async with database.begin() as uow: ...")
