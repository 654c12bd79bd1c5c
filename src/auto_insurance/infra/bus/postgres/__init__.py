"""The event log in PostgreSQL: see :class:`auto_insurance.infra.bus.postgres.log.PostgresLog`."""

from __future__ import annotations

from auto_insurance.infra.bus.postgres.log import PostgresLog
from auto_insurance.infra.bus.postgres.options import PostgresLogOptions

__all__ = ["PostgresLog", "PostgresLogOptions"]
