"""Routes of telemetry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Form, Path, Query, Request, Response, UploadFile, status
from pydantic import AwareDatetime

from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.identity.deps import DeviceOrDriver, may
from auto_insurance.identity.policy import Action
from auto_insurance.identity.schemas import Principal
from auto_insurance.identity.service import DeviceKeyService
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import HttpProblem, problems, request_id_of
from auto_insurance.infra.http.lanes import Lane, LaneRequest
from auto_insurance.telematics.answers import Taking, answer_batch, answer_event
from auto_insurance.telematics.errors import MalformedJson
from auto_insurance.telematics.health import DeviceHealthService
from auto_insurance.telematics.imports import ImportService
from auto_insurance.telematics.ingest import IngestService
from auto_insurance.telematics.repository_imports import ImportRow
from auto_insurance.telematics.uploads import MAX_EVENTS
from auto_insurance.telematics.views import (
    BatchAnswer,
    DeviceHealth,
    EventAnswer,
    EventCount,
    ImportJob,
)

router = APIRouter(prefix="/telematics", tags=["telematics"])
_Ingest = Annotated[IngestService, service(IngestService)]
_Health = Annotated[DeviceHealthService, service(DeviceHealthService)]
_Imports = Annotated[ImportService, service(ImportService)]
_Reader = Annotated[Principal, may(Action.READ)]
_Importer = Annotated[Principal, may(Action.IMPORT_TELEMETRY)]
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
DeviceId = Annotated[str, Path(pattern=ID_PATTERN, examples=["dev-1"])]


class Mode(StrEnum):
    """How to take events."""

    LIVE = "live"
    IMPORT = "import"
    """Of any age; needs the scope ``import``."""


_Mode = Annotated[Mode, Query(description="`import` takes events of any age and needs a key with that scope.")]
_event_schema: dict[str, Any] = msgspec.json.schema_components([TelemetryEvent])[1]["TelemetryEvent"]
_batch_schema = {
    "type": "object",
    "required": ["events"],
    "properties": {"events": {"type": "array", "maxItems": MAX_EVENTS, "items": _event_schema}},
}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.post(
    "/events",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=EventAnswer,
    responses=problems(400, 401, 403, 413, 422, 429, 503),
    openapi_extra=_body(_event_schema),
    summary="Send one event",
)
async def send_event(request: Request, sender: DeviceOrDriver, ingest: _Ingest, mode: _Mode = Mode.LIVE) -> Response:
    """Take one event; 202 means that it is durable. A refused event is a 422 with its reasons in `errors`."""
    taking = Taking(sender, any_age=mode is Mode.IMPORT, request_id=request_id_of(request))
    with _malformed_is_400():
        return _accepted(await answer_event(ingest, await request.body(), taking))


@router.post(
    "/events/batch",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=BatchAnswer,
    responses=problems(400, 401, 403, 413, 422, 429, 503),
    openapi_extra=_body(_batch_schema),
    summary="Send up to 5,000 events",
)
async def send_events(
    request: Request,
    sender: DeviceOrDriver,
    ingest: _Ingest,
    mode: _Mode = Mode.LIVE,
    verbose: Annotated[bool, Query(description="Also list what was accepted.")] = False,
) -> Response:
    """Take an upload, gzipped or not. Each event is judged by itself; 202 means that the accepted ones are durable.

    On 503 nothing counts as taken: send the same upload again after `Retry-After` seconds.
    """
    taking = Taking(sender, any_age=mode is Mode.IMPORT, request_id=request_id_of(request), verbose=verbose)
    with _malformed_is_400():
        return _accepted(await answer_batch(ingest, await request.body(), taking))


def _accepted(body: bytes) -> Response:
    return Response(body, status.HTTP_202_ACCEPTED, media_type="application/json")


@contextmanager
def _malformed_is_400() -> Iterator[None]:
    try:
        yield
    except MalformedJson as why:
        raise HttpProblem(status.HTTP_400_BAD_REQUEST, why.detail, why.code) from why


def _lane(take: Callable[[IngestService, bytes, Taking], Awaitable[bytes]]) -> Lane:
    """Return the short way of devices with a key. Other senders and queries take the route."""

    async def answer(request: LaneRequest) -> bytes:
        key = request.header(b"x-device-key") or b""
        sender = await request.service(DeviceKeyService).check(key.decode("latin-1"))
        any_age, verbose = _QUERIES[request.query]
        taking = Taking(sender, any_age, request.request_id, verbose)
        with _malformed_is_400():
            return await take(request.service(IngestService), await request.body(), taking)

    return Lane(status.HTTP_202_ACCEPTED, _has_key, answer)


def _has_key(request: LaneRequest) -> bool:
    return request.query in _QUERIES and request.header(b"x-device-key") is not None


_QUERIES = {
    b"": (False, False),
    b"mode=live": (False, False),
    b"mode=import": (True, False),
    b"verbose=true": (False, True),
    b"mode=import&verbose=true": (True, True),
}
"""Usual queries -> (any age, verbose)."""
lanes = {("POST", "/telematics/events"): _lane(answer_event), ("POST", "/telematics/events/batch"): _lane(answer_batch)}


@router.get("/devices/{device_id}/health", responses=problems(401, 403, 404, 422, 503), summary="How is a device doing")
async def device_health(device_id: DeviceId, principal: _Reader, health: _Health, uow: ReadTx) -> DeviceHealth:
    """Return when a device was last heard of, how far its clock is off and how much of it was refused.

    Stale after a day of silence, offline after three. Counts are right to the hour and some seconds late.
    """
    return await health.get(uow, principal, device_id)


@router.get(
    "/devices/{device_id}/event-count",
    responses=problems(401, 403, 404, 422, 503),
    summary="How much of a device is stored",
)
async def count_events(
    device_id: DeviceId,
    principal: _Reader,
    health: _Health,
    uow: ReadTx,
    start: Annotated[AwareDatetime, Query(alias="from")],
    end: Annotated[AwareDatetime, Query(alias="to")],
) -> EventCount:
    """Return how many events of a device are stored in a range of at most 31 days, both ends included."""
    return await health.count_events(uow, principal, device_id, start, end)


@router.post(
    "/import",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(401, 403, 404, 413, 422, 429, 503),
    summary="Import a GPX or CSV file",
)
async def import_file(
    principal: _Importer,
    imports: _Imports,
    uow: Tx,
    file: UploadFile,
    device_id: Annotated[str, Form(pattern=ID_PATTERN, description="The device that it was recorded with.")],
) -> ImportJob:
    """Queue a file of drives of any age. CSV has the names of the event's fields in its first line."""
    return _job(await imports.create(uow, principal, device_id, file.filename or "", await file.read()))


@router.get("/import/{job_id}", responses=problems(401, 403, 404, 422, 503), summary="How far is an import")
async def get_import(job_id: UUID, principal: _Importer, imports: _Imports, uow: ReadTx) -> ImportJob:
    """Return the counts of an import and its first refused rows."""
    return _job(await imports.get(uow, principal, job_id))


def _job(row: ImportRow) -> ImportJob:
    return ImportJob.model_validate(msgspec.structs.asdict(row))
