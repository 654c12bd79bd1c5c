"""Answers of requests that may be sent twice but must have their effect once.

A row is written in the transaction of the effect itself: there is no moment at which one is there without the other.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    any_,
    delete,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from auto_insurance.infra.db.locks import lock_key
from auto_insurance.infra.db.metadata import metadata
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.errors import AppError, ErrorKind

KEPT = timedelta(hours=24)
"""How long an answer is given again; whoever sends the key later has the effect again."""
WAIT_MS = 3000
"""Milliseconds that a request waits for an earlier one with its key before it is told to come again."""
_LOCK_NOT_AVAILABLE = "55P03"

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("owner", "key"),
    CheckConstraint("status BETWEEN 200 AND 299", name="status"),
    Index(None, "created_at"),
)
"""Whose key, what was asked (a digest) and what was answered. Only successes: a failed request changed nothing."""


class IdempotencyKeyInUse(AppError):
    """A request with the same key is still under way."""

    kind = ErrorKind.CONFLICT
    code = "idempotency_key_in_use"


class Kept(NamedTuple):
    """A stored answer."""

    fingerprint: bytes
    status: int
    body: bytes


async def claim(uow: UnitOfWork, owner: str, key: str) -> None:
    """Hold the key until the transaction ends; waits for another holder. Raises ``IdempotencyKeyInUse``.

    After an error nothing more can be done in this transaction.
    """
    query = text("SELECT current_setting('lock_timeout') AS before, set_config('lock_timeout', :wait, true)")
    before = (await uow.conn.execute(query, {"wait": f"{WAIT_MS}ms"})).scalar_one()
    # The length keeps apart what would be alike when put together.
    name = f"idempotency:{len(owner)}:{owner}:{key}"
    try:
        await uow.conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_key(name)})
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        raise IdempotencyKeyInUse("A request with this Idempotency-Key is still under way.") from error
    await uow.conn.execute(text("SELECT set_config('lock_timeout', :before, true)"), {"before": before})


async def find(uow: UnitOfWork, owner: str, key: str, *, since: datetime) -> Kept | None:
    """Return the answer that was given since an instant, None if there is none."""
    columns = idempotency_keys.c
    query = select(columns.fingerprint, columns.status, columns.body).where(
        columns.owner == owner, columns.key == key, columns.created_at > since
    )
    row = (await uow.conn.execute(query)).one_or_none()
    return None if row is None else Kept(*row)


async def keep(uow: UnitOfWork, owner: str, key: str, answer: Kept, at: datetime) -> None:
    """Store an answer; it replaces one that has expired."""
    new = insert(idempotency_keys).values(owner=owner, key=key, **answer._asdict(), created_at=at)
    changed = {name: new.excluded[name] for name in (*Kept._fields, "created_at")}
    await uow.conn.execute(new.on_conflict_do_update(index_elements=["owner", "key"], set_=changed))


async def forget_answers(uow: UnitOfWork, before: datetime, *, limit: int = 50_000) -> int:
    """Delete answers given before an instant. Returns how many."""
    place: ColumnElement[Any] = literal_column("ctid")
    old = select(place).select_from(idempotency_keys).where(idempotency_keys.c.created_at < before).limit(limit)
    query = delete(idempotency_keys).where(place == any_(func.array(old.scalar_subquery())))
    return (await uow.conn.execute(query)).rowcount
