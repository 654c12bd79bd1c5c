from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import httpx
import numpy as np
import pytest

from auto_insurance.drivers.schemas import DeviceAssign
from auto_insurance.identity.schemas import Scope
from auto_insurance.infra.bus.errors import LogFull
from auto_insurance.infra.bus.protocol import NewRecord, Position, Record
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.http.app import API_PREFIX, AppOptions, AppState, attach_state, create_app
from auto_insurance.infra.http.bodies import BodyLimits
from auto_insurance.kernel import clock
from auto_insurance.telematics import api
from auto_insurance.telematics.imports import ImportOptions, ImportRunner, ImportService
from auto_insurance.telematics.schemas import Sample
from auto_insurance.telematics.service import (
    ContactBook,
    DeviceHealthService,
    IngestService,
    RightsChecker,
    TelematicsService,
)
from tests.support.people import People, make_people


@dataclass
class ListLog:
    """A log in memory that can be full."""

    records: list[NewRecord] = field(default_factory=list)
    full: bool = False
    calls: int = 0

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        self.calls += 1
        if self.full:
            raise LogFull("The log is full.", retry_after_s=7)
        self.records += records
        return [Position(record.topic, 0, number) for number, record in enumerate(records)]


@dataclass
class Door:
    """The routes of telemetry on a database, with a device of DRV001 and one of DRV002."""

    people: People
    log: ListLog
    contacts: ContactBook
    telematics: TelematicsService
    imports: ImportRunner
    keys: dict[str, str]

    def client(self, token: str | None = None, key: str | None = None) -> httpx.AsyncClient:
        client = self.people.client(token)
        if key is not None:
            client.headers["X-Device-Key"] = self.keys[key]
        return client

    async def work(self) -> list[Sample]:
        """Store what is in the log, as the worker does; return what was new."""
        records = [
            Record(record.topic, 0, number, record.key, record.value, record.headers, clock.now())
            for number, record in enumerate(self.log.records)
        ]
        decoded = self.telematics.decode_records(records)
        assert not decoded.dead
        owned = replace(decoded.columns, drivers=["DRV001"], driver=np.zeros(len(decoded.columns), np.int32))
        async with self.people.db.begin() as uow:
            stored = await self.telematics.store(uow, owned)
        return owned.where(stored.fresh).samples()


@pytest.fixture
async def door(db: Database) -> AsyncIterator[Door]:
    people = make_people(db)
    await people.seed()
    keys = {}
    async with db.begin() as uow:
        for device, driver, scopes in (
            ("D1", "DRV001", {Scope.INGEST}),
            ("D2", "DRV002", {Scope.INGEST}),
            ("OLD", "DRV001", {Scope.IMPORT}),
        ):
            since = clock.from_us(0)
            wanted = DeviceAssign(device_id=device, effective_from=since, scopes=frozenset(scopes))
            issued = await people.drivers.assign_device(uow, driver, wanted)
            keys[device] = issued.key.get_secret_value()
    log = ListLog()
    contacts = ContactBook(db)
    telematics = TelematicsService()
    options = ImportOptions(chunk_rows=3, max_open=2, kept_problems=2)
    services: dict[type, object] = dict(people.app.state.services)
    services |= {
        IngestService: IngestService(log, RightsChecker(db, people.drivers), contacts),  # type: ignore[arg-type]
        DeviceHealthService: DeviceHealthService(people.drivers),
        ImportService: ImportService(people.drivers, options),
    }
    limits = BodyLimits(paths={f"{API_PREFIX}/telematics/events/batch": 16 * 1024 * 1024})
    from auto_insurance.drivers.api import router as drivers_router
    from auto_insurance.identity.api import router as auth_router

    app = create_app(AppOptions(limits=limits), [auth_router, drivers_router, api.router], lanes=api.lanes)
    attach_state(app, AppState(database=db, services=services))
    people = People(db, app, people.passwords, people.auth, people.users, people.keys, people.drivers)
    runner = ImportRunner(db, log, options=options)  # type: ignore[arg-type]
    yield Door(people, log, contacts, telematics, runner, keys)
    people.passwords.close()
