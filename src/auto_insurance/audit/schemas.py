"""Forms in which the audit log is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from auto_insurance.audit.chain import Damage, Opened
from auto_insurance.audit.repository import StoredRow
from auto_insurance.audit.verifying import Checked


class AuditPerson(BaseModel):
    """Who acted or whom it concerned, as far as it was not erased."""

    kind: str
    id: str
    name: str | None = None
    address: str | None = Field(None, description="Where the request came from.")
    private: dict[str, Any] = Field(default_factory=dict, description="Free texts that came with the act.")

    @classmethod
    def of(cls, opened: Opened) -> AuditPerson:
        """Make the form of what a seal stands for."""
        private = json.loads(opened.private) if opened.private else {}
        return cls(kind=opened.kind, id=opened.ident, name=opened.label, address=opened.address, private=private)


class AuditItem(BaseModel):
    """One act: a transaction of a person, key or command."""

    id: UUID
    number: int | None = Field(description="Place in the chain; null for the second or so until it is chained.")
    at: datetime
    actor_kind: str = Field(description="user, api_key, command or anonymous.")
    actor: AuditPerson | None
    action: str = Field(description="Method and route template, or the name of a command.")
    subject_kind: str | None
    subject_id: str | None = Field(description="Null where the subject is a person: see `person`.")
    person: AuditPerson | None
    request_id: str | None
    details: dict[str, Any]
    erased: bool = Field(description="Somebody whom this row names was erased since.")
    hash: str | None

    @classmethod
    def of(cls, stored: StoredRow) -> AuditItem:
        """Make the form of a row."""
        row = stored.row
        gone = (row.actor is not None and stored.actor is None, row.subject is not None and stored.subject is None)
        return cls(
            id=row.id,
            number=stored.number,
            at=row.at,
            actor_kind=row.actor_kind,
            actor=None if stored.actor is None else AuditPerson.of(stored.actor),
            action=row.action,
            subject_kind=row.subject_kind,
            subject_id=row.subject_id,
            person=None if stored.subject is None else AuditPerson.of(stored.subject),
            request_id=row.request_id,
            details=json.loads(row.details),
            erased=any(gone),
            hash=None if stored.hash is None else stored.hash.hex(),
        )


class AuditFault(BaseModel):
    """Where the chain breaks."""

    number: int = Field(description="Number of the row.")
    damage: Damage
    detail: str


class AuditVerification(BaseModel):
    """What was looked at, and whether it holds."""

    intact: bool
    after: int = Field(description="The chain was taken up after this row; what is before was not looked at.")
    rows: int = Field(description="Rows that were looked at.")
    head: int = Field(description="Number of the last of them.")
    head_hash: str
    complete: bool = Field(description="Whether the end of the chain was reached.")
    waiting: int = Field(description="Rows that are not chained yet.")
    erased: int = Field(description="Seals in these rows whose person was erased.")
    faults: list[AuditFault] = Field(description="The first hundred faults.")
    faults_found: int

    @classmethod
    def of(cls, checked: Checked) -> AuditVerification:
        """Make the form of a verification."""
        seen = checked.verifier
        return cls(
            intact=checked.intact,
            after=seen.after.number,
            rows=seen.rows,
            head=seen.head.number,
            head_hash=seen.head.hash.hex(),
            complete=checked.complete,
            waiting=checked.waiting,
            erased=seen.erased,
            faults=[AuditFault(number=one.number, damage=one.damage, detail=one.detail) for one in seen.faults],
            faults_found=seen.found,
        )


CSV_COLUMNS = (
    *("number", "at", "actor_kind", "actor_id", "actor_name", "address", "action", "subject_kind", "subject_id"),
    *("request_id", "details", "private", "erased", "hash"),
)


def csv_cells(item: AuditItem) -> Iterator[str]:
    """Yield the cells of a row in the order of ``CSV_COLUMNS``."""
    actor, person = item.actor, item.person
    private = (person.private if person else {}) | (actor.private if actor else {})
    cells: tuple[object, ...] = (
        item.number,
        item.at.isoformat(),
        item.actor_kind,
        actor.id if actor else None,
        actor.name if actor else None,
        actor.address if actor else None,
        item.action,
        item.subject_kind,
        item.subject_id or (person.id if person else None),
        item.request_id,
        json.dumps(item.details, sort_keys=True) if item.details else None,
        json.dumps(private, sort_keys=True) if private else None,
        "erased" if item.erased else None,
        item.hash,
    )
    for cell in cells:
        yield _harmless("" if cell is None else str(cell))


def _harmless(text: str) -> str:
    """Keep spreadsheets from taking a text for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
