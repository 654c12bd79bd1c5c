"""The scheduler process: what must happen in time, once, whatever the number of schedulers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import text

from auto_insurance import bootstrap
from auto_insurance.admin.business_metrics import collect
from auto_insurance.audit.service import AuditRetention, AuditSequencer
from auto_insurance.bootstrap import Container
from auto_insurance.entrypoints import process
from auto_insurance.identity.service import AuthService
from auto_insurance.infra.bus.handled import prune_handled
from auto_insurance.infra.bus.outbox_relay import OutboxRelay
from auto_insurance.infra.config import Settings
from auto_insurance.infra.db import idempotency
from auto_insurance.infra.db.locks import leading
from auto_insurance.infra.db.partitions_admin import PartitionsBusy
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.policies.billing_jobs import BillingJobs
from auto_insurance.policies.calendar import PolicyCalendar
from auto_insurance.pricing.service import PricingService
from auto_insurance.privacy.service import ErasureService, RetentionService
from auto_insurance.risk.book import BookScoring
from auto_insurance.risk.drift import DriftWatch
from auto_insurance.telematics.archive import Archiver
from auto_insurance.telematics.service import ContactBook, MonthJobRunner, TelematicsService
from auto_insurance.webhooks.service import DeliveryWorker, WebhookService

log = structlog.get_logger(__name__)
PARTITIONS_EVERY_S = 3600.0
RETENTION_EVERY_S = 6 * 3600.0
TRIM_EVERY_S = 60.0
PRUNE_EVERY_S = 3600.0
METRICS_EVERY_S = 15.0
POLICIES_EVERY_S = 30.0
NIGHTLY_EVERY_S = 60.0
BILLING_EVERY_S = 600.0
ERASURES_EVERY_S = 30.0
KEEPING_EVERY_S = 24 * 3600.0
MONTH_JOBS_EVERY_S = 2.0
AUDIT_EVERY_S = 1.0
PULSE_S = 2.0
HANDLED_KEPT = timedelta(days=35)
"""Longer than any topic keeps its records, so that no event can come again after its note is gone."""


async def ensure_partitions(container: Container) -> None:
    """Make the partitions of the coming months."""
    async with leading(container.database, "partitions") as uow:
        if uow is not None:
            made = await container.get(TelematicsService).ensure_partitions(uow)
            if made:
                log.info("partitions_made", partitions=made)


async def retain(container: Container) -> None:
    """Archive the months that are older than the retention; of several schedulers one does it."""
    try:
        await container.get(Archiver).retain()
    except PartitionsBusy as error:
        log.info("retention_waits", detail=error.detail)


async def work_on_months(container: Container) -> None:
    """Archive and restore what staff asked for."""
    while await container.get(MonthJobRunner).run_one():
        pass


async def until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run ``work``, which may take long and can be taken up again later; cut it off at ``stop``."""
    task, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not task.done():
        task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def prune(container: Container) -> None:
    """Forget what nobody needs any more: handled events, sessions, stored answers, quotes, contacts, deliveries."""
    async with leading(container.database, "prune") as uow:
        if uow is not None:
            await prune_handled(uow, clock.now() - HANDLED_KEPT)
            await container.get(AuthService).purge_expired(uow)
            await idempotency.forget_answers(uow, clock.now() - idempotency.KEPT)
            await container.get(PricingService).forget_expired_quotes(uow)
            await container.get(WebhookService).forget_old(uow)
    await container.get(ContactBook).forget_old()


async def score_nightly(container: Container) -> None:
    """Score everybody once a day, from the hour of the settings on; then look how far the book has moved."""
    await container.get(BookScoring).nightly(container.settings.ml.nightly_hour)
    await container.get(DriftWatch).nightly()


async def bill(container: Container) -> None:
    """Earn, invoice, remind and state what is due; of several schedulers one does it."""
    async with leading(container.database, "billing") as uow:
        if uow is not None:
            await led(uow, container.get(BillingJobs).run(clock.now().date()))


async def led(uow: UnitOfWork, work: Coroutine[Any, Any, object]) -> None:
    """Do work in transactions of its own while ``uow`` leads, which must not be ended for doing nothing."""
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({task}, timeout=PULSE_S))[0]:
            await uow.conn.execute(text("SELECT 1"))
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    task.result()


async def erase(container: Container) -> None:
    """Carry out the erasures that staff decided on; each is one process's at a time, and goes on after a crash."""
    await container.get(ErasureService).run_begun()


async def keep_no_longer(container: Container) -> None:
    """Let go of what was kept for long enough; of several schedulers one does it."""
    async with leading(container.database, "privacy_retention") as uow:
        if uow is not None:
            await led(uow, container.get(RetentionService).run())


async def move_policies(container: Container) -> None:
    """Begin, end, offer and renew the terms whose time has come."""
    await container.get(PolicyCalendar).run()


async def schedule(container: Container, stop: asyncio.Event) -> None:
    """Run all jobs until ``stop``."""
    await bootstrap.prepare_log(container, stop)
    relay = OutboxRelay(container.database, container.log, wake=container.news.subscribe())
    async with asyncio.TaskGroup() as group:
        group.create_task(relay.run(stop))
        group.create_task(container.get(DeliveryWorker).run(stop))
        for name, interval_s, job in (
            ("partitions", PARTITIONS_EVERY_S, lambda: ensure_partitions(container)),
            ("retention", RETENTION_EVERY_S, lambda: until(stop, retain(container))),
            ("month_jobs", MONTH_JOBS_EVERY_S, lambda: until(stop, work_on_months(container))),
            ("trim", TRIM_EVERY_S, container.log.trim),
            ("prune", PRUNE_EVERY_S, lambda: prune(container)),
            ("billing", BILLING_EVERY_S, lambda: until(stop, bill(container))),
            ("erasures", ERASURES_EVERY_S, lambda: until(stop, erase(container))),
            ("privacy_retention", KEEPING_EVERY_S, lambda: until(stop, keep_no_longer(container))),
            ("nightly_scoring", NIGHTLY_EVERY_S, lambda: score_nightly(container)),
            ("policies", POLICIES_EVERY_S, lambda: move_policies(container)),
            ("audit_chain", AUDIT_EVERY_S, container.get(AuditSequencer).chain),
            ("audit_anchor", container.settings.audit.anchor_minutes * 60.0, container.get(AuditSequencer).anchor),
            ("audit_retention", RETENTION_EVERY_S, container.get(AuditRetention).run),
            ("business_metrics", METRICS_EVERY_S, lambda: collect(container.database)),
            ("webhook_metrics", METRICS_EVERY_S, container.get(DeliveryWorker).measure),
        ):
            group.create_task(process.every(stop, interval_s, name, job))


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    process.prepare(settings, "scheduler")
    process.serve_metrics(settings)
    container = bootstrap.build(settings, "scheduler")

    async def body(stop: asyncio.Event) -> None:
        try:
            await schedule(container, stop)
        finally:
            await container.close()

    process.run(body)
