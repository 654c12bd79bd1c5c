"""Calls of the audit log's queries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from auto_insurance.audit.chain import START, Anchor, Opened, close
from auto_insurance.audit.repository import AuditFilter, NewRow
from auto_insurance.kernel import ids

_NOW = datetime.now(UTC)
_ROW = NewRow(
    id=ids.new_uuid(), at=_NOW, actor_kind="user", actor=b"a", action="POST /x", subject_kind="policy",
    subject_id="POL-1", subject=None, request_id="r", details="{}",
)  # fmt: skip
_PERSON = Opened("user", "u", None, None, None, bytes(32))
_FILTERS = (
    AuditFilter(),
    AuditFilter(since=_NOW - timedelta(minutes=9), until=_NOW, action="POST /api/v1/drivers"),
    AuditFilter(actor="user42"),
    AuditFilter(subject="DRV00042"),
)

OF_FUNCTION: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "audit.repository.add_if_written": ({"row": _ROW, "opened": [(b"a", _PERSON)]},),
    "audit.repository.add_anchor": ({"anchor": Anchor(9_999_999, bytes(32))},),
    "audit.repository.anchors_after": ({"after": 100},),
    "audit.repository.count": tuple({"wanted": one} for one in _FILTERS),
    "audit.repository.forget": ({"kind": "driver", "ident": "DRV00042"},),
    "audit.repository.page": tuple({"wanted": one} for one in _FILTERS),
    "audit.repository.page_before": (
        *({"wanted": one, "before": None} for one in _FILTERS),
        *({"wanted": one, "before": (_NOW - timedelta(hours=1), ids.new_uuid())} for one in _FILTERS),
    ),
    "audit.repository.place_at": ({"number": 42},),
    "audit.repository.put_numbers": ({"links": [(ids.new_uuid(), Anchor(9_999_999, b""))]},),
    "audit.repository.stretch": ({"after": 100},),
    "audit.repository_closings.add_closing": (
        {"closing": close(None, "2014-01", START, Anchor(9_999_999, bytes(32)), "x")},
    ),
    "audit.repository_closings.first_after": ({"number": 42},),
    "audit.repository_closings.last_before": (
        {"number": 42, "until": _NOW},
        {"number": 42, "until": _NOW - timedelta(days=2)},
    ),
    "audit.repository_closings.leave": ({"last": 100, "size": 50},),
}

ROWS: tuple[tuple[str, int, dict[str, str]], ...] = (
    ("audit_log", 6_000, {
        "id": "md5('audit' || i)::uuid", "at": "now() - i * interval '1 minute'", "actor_kind": "'user'",
        "actor": "sha256(('actor' || i)::bytea)", "action": "'POST /api/v1/drivers'", "details": "'{}'",
        "subject_kind": "'policy'", "subject_id": "'POL-' || i", "subject": "sha256(('subject' || i)::bytea)",
        "number": "nullif(i, 6000)", "hash": "nullif(sha256(('row' || i)::bytea), sha256('row6000'))",
    }),
    ("audit_subjects", 12_000, {
        "seal": "sha256(((array['actor', 'subject'])[i % 2 + 1] || i / 2)::bytea)",
        "log_id": "md5('audit' || i / 2)::uuid", "kind": "(array['user', 'driver'])[i % 2 + 1]",
        "ident": "'DRV' || lpad((i % 5000)::text, 5, '0')", "label": "'user' || i % 5000", "salt": "sha256('x')",
    }),
    ("audit_anchors", 5_000, {"number": "i", "hash": "sha256('x')", "at": "now()"}),
    ("audit_closings", 200, {
        "last_number": "i", "month": "'2014-01'", "first_number": "i", "before": "sha256('x')",
        "hash": "sha256('x')", "at": "'x'", "digest": "sha256('x')",
    }),
)  # fmt: skip
"""Tables, rows, and the SQL of their columns; see ``filling``."""
