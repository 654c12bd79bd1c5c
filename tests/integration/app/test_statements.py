"""No route asks once per row: a larger book takes the same statements, in the same order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta

import httpx
import pytest
from tools.routes import RouteInfo, routes_of

from auto_insurance.bootstrap import Container
from auto_insurance.entrypoints.api import bare_app
from auto_insurance.infra.http.app import API_PREFIX
from auto_insurance.kernel import clock
from tests.support.book import Book, staffed
from tests.support.statements import Statements, counted

READS = [r for r in routes_of(bare_app()) if r.method == "GET" and r.path.startswith(API_PREFIX)]
FEW, MORE = 2, 12
NOW_AND_THEN = 2
"""Statements that come by the clock and not by the rows, such as a look at which model is in charge."""
SESSION = "FROM sessions JOIN users"
"""Looked at once a second, whatever is asked."""
OF_ONE = {
    "/admin/partitions/jobs/{job_id}": "one row by its key",
    "/telematics/import/{job_id}": "one row by its key",
    "/pricing/plans/{version}/dislocations/{dislocation_id}": "one report by its key",
    "/pricing/plans/{version}/dislocations/{dislocation_id}/page": "the same report as a page",
    "/privacy/proofs/{proof_id}": "one proof by its key",
    "/privacy/proofs/{proof_id}/verify": "one proof by its key; reads the chain in steps",
    "/policies/{policy_id}/invoices/{number}/document": "one invoice by its number",
    "/admin/dead-letters/{letter_id}": "one letter by its key",
    "/privacy/erasures/{request_id}": "one request by its key",
    "/auth/oidc/start": "leads away from here",
    "/auth/oidc/callback": "comes back from there",
    "/auth/me": "the caller's own row",
    "/drivers/{driver_id}/export": "reads in steps of bounded size, on purpose",
    "/privacy/erasures/{request_id}/plan": "asks once per table, whatever is in it",
    "/claims/{claim_id}/evidence/verify": "one claim; its versions in one statement",
}
"""Routes without rows to multiply, and why."""


@pytest.fixture
async def book(container: Container) -> AsyncIterator[Book]:
    """Two drivers, signed in as the administrator."""
    async with staffed(container) as made:
        await made.grow(FEW, 1)
        yield made


def _path(route: RouteInfo, values: Mapping[str, str]) -> str:
    version = values["risk" if "/risk/" in route.path else "plan"]
    path = route.path.removeprefix(API_PREFIX).format(version=version, **values)
    now = clock.now()
    query = {"q": "Somebody", "from": (now - timedelta(days=1)).isoformat(), "to": now.isoformat()}
    wanted = {p.info.alias or p.name for p in route.parameters if p.place == "query" and p.info.is_required()}
    return str(httpx.URL(path, params={name: query[name] for name in wanted}))


async def test_no_read_asks_once_per_row(book: Book) -> None:
    policy = (await book.http.get(f"/policies/{book.values['policy_id']}")).json()
    score = (await book.http.get(f"/risk/{book.values['driver_id']}/score")).json()
    price = (await book.http.get(f"/pricing/{book.values['driver_id']}/breakdown")).json()
    values = {
        **book.values,
        "name": policy["documents"][0],
        "user_id": (await book.http.get("/auth/me")).json()["user_id"],
        "risk": score["model_version"],
        "plan": price["charged"]["plan_version"],
    }
    few = {route.path: await _asked(book, route, values) for route in READS if not _alone(route)}
    await book.grow(MORE, MORE)
    many = {route.path: await _asked(book, route, values) for route in READS if not _alone(route)}
    wrong = {
        path: f"with few rows\n{few[path]}\nwith more\n{asked}"
        for path, asked in many.items()
        if len(asked) > len(few[path]) + NOW_AND_THEN
    }
    assert not wrong, "\n\n".join(f"{path}: {what}" for path, what in wrong.items())


def _alone(route: RouteInfo) -> bool:
    return route.path.removeprefix(API_PREFIX) in OF_ONE


async def _asked(book: Book, route: RouteInfo, values: Mapping[str, str]) -> Statements:
    path = _path(route, values)
    with counted(book.container.database) as found:
        answer = await book.http.get(path)
    assert answer.status_code == 200, f"{path}: {answer.text[:300]}"
    return Statements(sql for sql in found if SESSION not in sql)


def test_routes_without_rows_are_routes() -> None:
    assert set(OF_ONE) <= {route.path.removeprefix(API_PREFIX) for route in READS}
