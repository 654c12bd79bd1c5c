"""Routes of operators about months of events, consumers and the system."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Path, Response, status

from auto_insurance.admin.api.common import Operator, Part, Watcher, counted
from auto_insurance.admin.schemas_operations import (
    Consumers,
    MonthJob,
    MonthLine,
    MonthOrder,
    Months,
    MonthsCreate,
    MonthsCreated,
    SystemOut,
)
from auto_insurance.admin.service import Operations
from auto_insurance.infra.db.partitions import Month, parse_month
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.telematics.service import MonthJobs

router = APIRouter(prefix="/admin", tags=["admin"])
Jobs = Annotated[MonthJobs, service(MonthJobs)]
System = Annotated[Operations, service(Operations)]
MonthName = Annotated[
    str, Path(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="A month in UTC.", examples=["2026-01"])
]
Order = Annotated[MonthOrder | None, Body()]
_QUEUE = problems(401, 403, 409, 422, 503)


@router.get("/partitions", summary="Months of driving events", responses=problems(401, 403, 503))
async def list_months(staff: Watcher, uow: ReadTx, jobs: Jobs) -> Months:
    """List months with rows, sizes, and whether they are online or archived."""
    return Months(items=[MonthLine.of(month) for month in await jobs.months(uow)])


@router.post("/partitions", summary="Make months' partitions", responses=_QUEUE)
async def create_months(staff: Operator, body: MonthsCreate, jobs: Jobs) -> MonthsCreated:
    """Make partitions beforehand; the scheduler and the writers do so by themselves."""
    wanted = [_month(name) for name in dict.fromkeys(body.months)]
    made = await jobs.create(wanted)
    return MonthsCreated(
        created=[str(month) for month in made], existing=[str(month) for month in wanted if month not in made]
    )


@router.get("/partitions/jobs", summary="Work on months", responses=problems(401, 403, 422, 503))
async def list_jobs(staff: Watcher, uow: ReadTx, jobs: Jobs, response: Response, part: Part) -> list[MonthJob]:
    """List archiving and restoring that was asked for, the newest first."""
    found, total = await jobs.page(uow, limit=part.limit, offset=part.skip)
    counted(response, total)
    return [MonthJob.of(job) for job in found]


@router.get("/partitions/jobs/{job_id}", summary="How far work on a month is", responses=problems(401, 403, 404, 422))
async def get_job(staff: Watcher, job_id: UUID, uow: ReadTx, jobs: Jobs) -> MonthJob:
    """Return a job: its step, how much of it is done, and what came of it."""
    return MonthJob.of(await jobs.get(uow, job_id))


@router.post(
    "/partitions/{month}/archive",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Archive a month",
    responses=_QUEUE,
)
async def archive_month(staff: Operator, month: MonthName, uow: Tx, jobs: Jobs, body: Order = None) -> MonthJob:
    """Queue the move of a month to Parquet files. The scheduler works on one month at a time."""
    force = body is not None and body.force
    return MonthJob.of(await jobs.queue(uow, "archive", _month(month), force=force, requested_by=staff.user_id))


@router.post(
    "/partitions/{month}/restore",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Bring a month back",
    responses=_QUEUE,
)
async def restore_month(staff: Operator, month: MonthName, uow: Tx, jobs: Jobs) -> MonthJob:
    """Queue the return of an archived month to the database."""
    return MonthJob.of(await jobs.queue(uow, "restore", _month(month), force=False, requested_by=staff.user_id))


@router.get("/consumers", summary="Consumer groups", responses=problems(401, 403, 503))
async def consumers(staff: Watcher, uow: ReadTx, system: System) -> Consumers:
    """List who reads the event log: how far on each partition, how far behind, which members run."""
    return await system.consumers(uow)


@router.get("/system", summary="Version, schema, settings", responses=problems(401, 403, 503))
async def get_system(staff: Watcher, uow: ReadTx, system: System) -> SystemOut:
    """Return what runs here, with the settings in force; secrets are masked."""
    return await system.system(uow)


def _month(name: str) -> Month:
    return parse_month(name)
