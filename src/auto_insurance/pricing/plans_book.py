"""Dislocation reports: a book rated by two plans, compared, and kept beside the plans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import structlog

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.pricing import repository_plans
from auto_insurance.pricing.errors import DislocationNotFound
from auto_insurance.pricing.plan import fingerprint
from auto_insurance.pricing.plan_dislocation import Dislocation, book_fingerprint, dislocation
from auto_insurance.pricing.plan_inputs import InputFile
from auto_insurance.pricing.plan_report import html_report
from auto_insurance.pricing.plans import PlanRegistry
from auto_insurance.pricing.rating_columns import BookColumns, of_inputs
from auto_insurance.pricing.rating_inputs import RatingInputs
from auto_insurance.pricing.repository_plans import DislocationRow

PAGE = 5_000
Progress = Callable[[int], None]
log = structlog.get_logger(__name__)


class Dislocations:
    """Makes, keeps and shows reports on who moves by how much."""

    def __init__(self, plans: PlanRegistry) -> None:
        self._plans = plans

    async def on_book(
        self, uow: UnitOfWork, old: str, new: str, *, by: str, progress: Progress | None = None
    ) -> DislocationRow:
        """Rate every driver's newest inputs by both plans and keep what comes out. Raises ``PlanNotFound``.

        Takes seconds of processor time for a large book: not for a process that answers requests.
        """
        keys, book = await self._book(uow, progress)
        return await self._keep(uow, (old, new), keys, (book, book), "book", by)

    async def on_file(self, uow: UnitOfWork, old: str, new: str, file: InputFile, *, by: str) -> DislocationRow:
        """Do the same on the rows of a file. No plan can be activated on it."""
        books = of_inputs(file.old), of_inputs(file.new)
        return await self._keep(uow, (old, new), file.keys, books, "file", by)

    async def get(self, uow: UnitOfWork, version: str, dislocation_id: UUID) -> DislocationRow:
        """Return a report on a new plan. Raises ``DislocationNotFound``."""
        row = await repository_plans.dislocation(uow, dislocation_id)
        if row is None or row.new_version != version:
            raise DislocationNotFound(version)
        return row

    async def _book(self, uow: UnitOfWork, progress: Progress | None) -> tuple[list[str], BookColumns]:
        keys: list[str] = []
        inputs: list[RatingInputs] = []
        below: str | None = None
        while page := await repository_plans.newest_inputs(uow, below, PAGE):
            below = page[-1][0]
            keys += (driver_id for driver_id, _ in page)
            inputs += (one for _, one in page)
            if progress is not None:
                progress(len(keys))
        return keys, of_inputs(inputs)

    async def _keep(
        self,
        uow: UnitOfWork,
        versions: tuple[str, str],
        keys: Sequence[str],
        books: tuple[BookColumns, BookColumns],
        source: str,
        by: str,
    ) -> DislocationRow:
        old, new = [await self._plans.get(uow, version) for version in versions]
        report = dislocation((old, books[0]), (new, books[1]), keys)
        row = DislocationRow(
            dislocation_id=ids.new_uuid(),
            old_version=old.version,
            new_version=new.version,
            old_fingerprint=fingerprint(old),
            new_fingerprint=fingerprint(new),
            source=source,
            book_date=clock.now().date(),
            book_fingerprint=book_fingerprint(books[0], keys),
            policies=report.policies,
            report=as_json(report),
            created_at=clock.now(),
            created_by=by,
        )
        await repository_plans.add_dislocation(uow, row)
        log.info("plan_dislocation_made", old=old.version, new=new.version, policies=report.policies)
        return row


def as_json(report: Dislocation) -> dict[str, Any]:
    """Return a report as it is kept and answered."""
    found: dict[str, Any] = msgspec.to_builtins(report)
    return found


def page(row: DislocationRow) -> str:
    """Return a kept report as HTML."""
    about = [
        ("made", f"{row.created_at:%Y-%m-%d %H:%M} UTC by {row.created_by}"),
        ("of", "the whole book" if row.source == "book" else "a file of inputs"),
        ("on", row.book_date.isoformat()),
        ("fingerprint of the inputs", row.book_fingerprint),
        (f"fingerprint of {row.old_version}", row.old_fingerprint),
        (f"fingerprint of {row.new_version}", row.new_fingerprint),
    ]
    return html_report(msgspec.convert(row.report, Dislocation), about)


def file_page(report: Dislocation, name: str, on: date) -> str:
    """Return a report on a file that is kept nowhere, as HTML."""
    return html_report(report, [("of", f"the file {name}"), ("on", on.isoformat())])
