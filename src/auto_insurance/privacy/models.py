"""Tables of erasures: how far each got, and the records that prove them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, PrimaryKeyConstraint, Table, Text, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from auto_insurance.infra.db.metadata import metadata

erasure_steps = Table(
    "erasure_steps",
    metadata,
    Column("request_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("before", JSONB, nullable=False),
    Column("after", JSONB(none_as_null=True)),
    Column("changed", BigInteger, nullable=False, server_default=text("0")),
    Column("began_at", DateTime(timezone=True), nullable=False),
    Column("done_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("request_id", "name"),
)
"""One row per step of an erasure that has begun: what there was before, what was after. Who takes an erasure up again
goes on at the first step without ``done_at``."""

erasure_proofs = Table(
    "erasure_proofs",
    metadata,
    Column("proof_id", Uuid, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("request_id", Uuid, nullable=False),
    Column("driver_id", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("previous", Text),
    Column("made_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("number"),
    UniqueConstraint("request_id"),
)
"""``document`` is canonical JSON and names ``previous``, the digest of the proof before: none can be changed or taken
away unseen. The database refuses changes."""
