"""Forms of dead letters, months, consumers and the system."""

from __future__ import annotations

import base64
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_SHOWN_BYTES = 64 * 1024
Note = Annotated[str, Field(min_length=3, max_length=500)]
MonthText = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", examples=["2026-01"])]


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class DeadLetterLine(BaseModel):
    """A record, or one event of it, that could not be processed."""

    id: int
    group: str = Field(description="The consumer group that could not process it.")
    topic: str
    partition: int
    offset: int
    index_in_record: int | None = Field(description="Its place in an upload, from 0; null for a whole record.")
    key: str
    reason: str
    detail: str
    size: int = Field(description="Bytes.")
    created_at: datetime
    state: Literal["waiting", "replayed", "dropped"]
    decided_at: datetime | None
    decided_by: str | None
    note: str | None

    @classmethod
    def of(cls, letter: Any) -> Self:
        """Build the answer."""
        return cls(**{name: getattr(letter, name) for name in DeadLetterLine.model_fields})


class DeadLetterOut(DeadLetterLine):
    """A dead letter with its original bytes: as text where they are text, else as base64."""

    encoding: Literal["text", "base64"]
    content: str = Field(description="At most 65,536 of the bytes, from the beginning.")
    truncated: bool

    @classmethod
    def shown(cls, letter: Any) -> Self:
        """Build the answer; bytes that are no text, or hold what moves a terminal, come as base64."""
        value: bytes = letter.value or b""
        line = {name: getattr(letter, name) for name in DeadLetterLine.model_fields}
        text = _as_text(value)
        return cls(
            **line,
            encoding="base64" if text is None else "text",
            content=base64.b64encode(value).decode() if text is None else text,
            truncated=letter.size > len(value),
        )


def _as_text(value: bytes) -> str | None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if all(one.isprintable() or one in "\n\r\t" for one in text) else None


class LetterChoice(_Input):
    """Which letters: by their ids, or the oldest that wait with a reason."""

    ids: Annotated[list[Annotated[int, Field(ge=1, le=2**63 - 1)]], Field(min_length=1, max_length=500)] | None = None
    reason: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    topic: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    limit: int = Field(100, ge=1, le=500, description="With a reason or a topic: letters at most.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.ids is None) == (self.reason is None and self.topic is None):
            raise ValueError("give either ids, or a reason or a topic")
        return self


class LettersDropped(_Input):
    """Which letters to let go of, and why."""

    ids: Annotated[list[Annotated[int, Field(ge=1, le=2**63 - 1)]], Field(min_length=1, max_length=500)]
    note: Note


class LettersDecided(BaseModel):
    """What became of the letters."""

    done: int
    ids: list[int] = Field(max_length=500)
    left: dict[int, str] = Field(
        description="Those that stay as they were: `replayed` or `dropped` before, `not_found`, `waiting` (beyond the "
        "bytes of one call, or somebody else decides on it now: ask again), or what the log has against them."
    )


class MonthLine(BaseModel):
    """A month of driving events."""

    month: str
    partition: str | None
    status: str
    rows: int | None
    exact: bool = Field(description="Whether the rows are counted; else they are PostgreSQL's estimate.")
    table_bytes: int
    index_bytes: int
    archive_bytes: int
    last_arrival: datetime | None

    @classmethod
    def of(cls, month: Any) -> Self:
        """Build the answer."""
        return cls(**{name: getattr(month, name) for name in cls.model_fields})


class Months(BaseModel):
    """All months that are online or archived, in order."""

    items: list[MonthLine] = Field(max_length=5000)


class MonthsCreate(_Input):
    """Months whose partitions are wanted."""

    months: Annotated[list[MonthText], Field(min_length=1, max_length=24)]


class MonthsCreated(BaseModel):
    """Which of them had to be made."""

    created: list[str] = Field(max_length=24)
    existing: list[str] = Field(max_length=24)


class MonthOrder(_Input):
    """What to do with a month."""

    force: bool = Field(False, description="Archive also a month that events reached lately.")


class MonthJob(BaseModel):
    """Work on a month, done in the background."""

    job_id: UUID
    action: Literal["archive", "restore"]
    month: str
    status: Literal["queued", "running", "done", "failed"]
    step: str | None
    done: int
    total: int
    result: str | None = Field(description="`archived`, `restored`, `online`, `left` (it stays: see `detail`) ...")
    detail: str | None
    requested_by: UUID
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: Any) -> Self:
        """Build the answer."""
        month: date = row.month
        names = cls.model_fields.keys() - {"month"}
        return cls(**{name: getattr(row, name) for name in names}, month=f"{month:%Y-%m}")


class ConsumerPlace(BaseModel):
    """A group on a partition."""

    topic: str
    partition: int
    next_offset: int
    end: int | None = Field(description="Null where the topic is no longer in the log.")
    lag: int | None
    moved_at: datetime


class ConsumerMember(BaseModel):
    """A running consumer."""

    name: str
    seen_at: datetime
    partitions: int | None


class ConsumerGroup(BaseModel):
    """A consumer group: how far, how far behind, who reads."""

    group: str
    topics: list[str]
    lag: int = Field(description="Records not processed yet, over all partitions.")
    members: list[ConsumerMember]
    partitions: list[ConsumerPlace]


class Consumers(BaseModel):
    """All groups by name."""

    items: list[ConsumerGroup] = Field(max_length=200)


class Setting(BaseModel):
    """A setting as it is in force; secrets are masked."""

    name: str
    value: str
    source: str
    theme: str


class SystemOut(BaseModel):
    """The program, its database and its settings."""

    version: str
    environment: str
    event_log: str
    migration: str | None = Field(description="The revision of the schema.")
    migration_needed: str = Field(description="The revision that the program needs.")
    started_at: datetime = Field(description="When the process that answers was composed.")
    table_bytes: dict[str, int] = Field(description="Bytes per table with its indexes.")
    index_hit_ratio: float
    settings: list[Setting] = Field(max_length=1000)
