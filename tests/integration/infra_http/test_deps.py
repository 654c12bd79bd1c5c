from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy import text

from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.health import HealthRegistry
from auto_insurance.infra.http.app import AppOptions, AppState, attach_state, create_app
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.kernel.errors import InvalidInput

router = APIRouter(prefix="/notes")


class Shout:
    def loud(self, word: str) -> str:
        return word.upper()


@router.post("/{word}")
async def write(word: str, tx: Tx) -> int:
    await tx.conn.execute(text("INSERT INTO notes VALUES (:word)"), {"word": word})
    if word == "bad":
        raise InvalidInput("No.")
    return 1


@router.get("")
async def read(tx: ReadTx) -> list[str]:
    return list((await tx.conn.execute(text("SELECT word FROM notes ORDER BY word"))).scalars())


@router.get("/write-in-read")
async def write_in_read(tx: ReadTx) -> None:
    await tx.conn.execute(text("INSERT INTO notes VALUES ('x')"))


@router.get("/shout")
async def shout(svc: Annotated[Shout, service(Shout)]) -> str:
    return svc.loud("hey")


def client_for(database: Database) -> httpx.AsyncClient:
    app = create_app(AppOptions(), [router])
    attach_state(app, AppState(database, {Shout: Shout()}, HealthRegistry()))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test/api/v1")


@pytest.fixture
async def client(db: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with db.begin() as uow:
        await uow.conn.execute(text("CREATE TABLE notes (word text UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
    async with client_for(db) as made:
        yield made


async def test_a_request_is_a_transaction(client: httpx.AsyncClient) -> None:
    assert (await client.post("/notes/good")).status_code == 200
    assert (await client.post("/notes/bad")).status_code == 422
    assert (await client.get("/notes")).json() == ["good"]


async def test_a_commit_that_fails_is_not_answered_as_success(client: httpx.AsyncClient) -> None:
    assert (await client.post("/notes/same")).status_code == 200
    again = await client.post("/notes/same")
    assert again.status_code == 500, "the constraint is checked at commit"
    assert "same" not in again.text


async def test_reading_can_not_write(client: httpx.AsyncClient) -> None:
    assert (await client.get("/notes/write-in-read")).status_code == 500


async def test_services_are_looked_up(client: httpx.AsyncClient) -> None:
    assert (await client.get("/notes/shout")).json() == "HEY"


async def test_a_database_that_is_away_is_503() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"postgresql://nobody@127.0.0.1:{probe.getsockname()[1]}/nowhere"
    database = Database(create_engine(EngineOptions(url=url)))
    async with client_for(database) as client:
        answer = await client.get("/notes")
    await database.dispose()
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
