"""Routes of the audit log."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from auto_insurance.audit.schemas import CSV_COLUMNS, AuditItem, AuditVerification, csv_cells
from auto_insurance.audit.service import AuditFilter, AuditService
from auto_insurance.identity.deps import staff
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.http.deps import ReadTx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.pagination import Cursor, decode_cursor, encode_cursor

router = APIRouter(prefix="/admin/audit", tags=["admin"])
Audit = Annotated[AuditService, service(AuditService)]
Auditor = Annotated[Principal, staff(Permission.READ_AUDIT)]
MAX_TEXT = 128
MAX_CSV_ROWS = 100_000
CSV_PIECE = 500
"""Rows that are sent together."""
_PROBLEMS = problems(401, 403, 422, 503)
FEED = "audit"
"""Names this list in its cursors."""


async def _wanted(
    actor: Annotated[
        str | None, Query(min_length=1, max_length=MAX_TEXT, description="Id or name of who acted.")
    ] = None,
    action: Annotated[
        str | None,
        Query(min_length=1, max_length=MAX_TEXT, description="Beginning of the action, such as `POST /api/v1/claims`."),
    ] = None,
    subject: Annotated[
        str | None, Query(min_length=1, max_length=MAX_TEXT, description="Id of what, or whom, it concerned.")
    ] = None,
    since: Annotated[AwareDatetime | None, Query(alias="from", description="Not before this.")] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to", description="Before this.")] = None,
    search: Annotated[
        str | None,
        Query(min_length=1, max_length=MAX_TEXT, description="A part of the action, subject or request id."),
    ] = None,
) -> AuditFilter:
    return AuditFilter(actor=actor, action=action, subject=subject, since=since, until=until, search=search)


Wanted = Annotated[AuditFilter, Depends(_wanted)]


@router.get(
    "",
    summary="Who did what",
    responses={
        **_PROBLEMS,
        200: {
            "headers": {
                "X-Total-Count": {"description": "Acts in the whole list.", "schema": {"type": "integer"}},
                "X-Next-Cursor": {
                    "description": "Send it as `cursor` for the acts before these; not there where the list ends.",
                    "schema": {"type": "string"},
                    "example": encode_cursor(FEED, datetime(2026, 3, 1, 12, tzinfo=UTC), UUID(int=1)),
                },
            }
        },
    },
)
async def list_acts(
    auditor: Auditor,
    uow: ReadTx,
    audit: Audit,
    wanted: Wanted,
    response: Response,
    skip: Annotated[int, Query(ge=0, le=10_000_000, description="Rows before the first.")] = 0,
    limit: Annotated[int, Query(ge=1, le=100, description="Rows at most.")] = 100,
    cursor: Cursor = None,
) -> list[AuditItem]:
    """List acts, the newest first; `X-Total-Count` says how many there are. Who was erased is not named.

    Read on with `X-Next-Cursor` of the answer as `cursor`: what is done meanwhile moves nothing.
    `skip` does not count then.
    """
    before = None if cursor is None else decode_cursor(FEED, cursor, tuple[datetime, UUID])
    found, total = await audit.page(uow, wanted, limit=limit, offset=skip, before=before)
    response.headers["X-Total-Count"] = str(total)
    if len(found) == limit:
        response.headers["X-Next-Cursor"] = encode_cursor(FEED, found[-1].row.at, found[-1].row.id)
    return [AuditItem.of(one) for one in found]


@router.get("/verify", summary="Does the chain hold?", responses=_PROBLEMS)
async def verify(
    auditor: Auditor,
    uow: ReadTx,
    audit: Audit,
    after: Annotated[
        int | None,
        Query(ge=0, le=2**62, description="Verify the rows that follow this one; by default the last anchor's."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=20_000, description="Rows to look at, at most.")] = 10_000,
) -> AuditVerification:
    """Verify a bounded stretch of the chain and say where it breaks. All of it: `auto-insurance audit verify`."""
    return AuditVerification.of(await audit.check(uow, after, limit))


@router.get(
    "/export",
    summary="Who did what, as CSV",
    response_class=StreamingResponse,
    responses={**_PROBLEMS, 200: {"content": {"text/csv": {}}, "description": "One line per act, the newest first."}},
)
async def export(auditor: Auditor, audit: Audit, wanted: Wanted) -> StreamingResponse:
    """Return acts as CSV, the newest first, at most 100,000. For proof use `auto-insurance audit export`."""
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    return StreamingResponse(_csv(audit, wanted), media_type="text/csv; charset=utf-8", headers=headers)


async def _csv(audit: AuditService, wanted: AuditFilter) -> AsyncIterator[str]:
    piece = io.StringIO()
    writer = csv.writer(piece)
    writer.writerow(CSV_COLUMNS)
    held = 0
    async for stored in audit.walk(wanted, limit=MAX_CSV_ROWS):
        writer.writerow(csv_cells(AuditItem.of(stored)))
        held += 1
        if held == CSV_PIECE:
            yield piece.getvalue()
            piece.seek(0)
            piece.truncate()
            held = 0
    yield piece.getvalue()
