"""What the log and its company hold of a person: bytes that nobody reads twice, and that go by themselves."""

from __future__ import annotations

from auto_insurance.infra.bus.models import dead_letters, log_records
from auto_insurance.infra.db.holdings import Fate, Holding
from auto_insurance.infra.db.idempotency import idempotency_keys
from auto_insurance.infra.db.outbox import outbox

HOLDINGS = (
    Holding(
        dead_letters,
        Fate.DELETED,
        "events that could not be stored, as they came",
        lambda s: dead_letters.c.key.in_(s.names),
        hidden=frozenset({"value"}),
    ),
    Holding(
        idempotency_keys,
        Fate.DELETED,
        "answers that are given again for a day",
        lambda s: idempotency_keys.c.owner.in_(s.user_ids),
        exported=False,
    ),
    Holding(
        outbox,
        Fate.EXPIRES,
        "news on their way to the log: seconds",
        lambda s: outbox.c.key.in_(s.names),
        exported=False,
    ),
    Holding(
        log_records,
        Fate.EXPIRES,
        "records of the event log: they go with their segment when the topic's retention is over",
        lambda s: log_records.c.key.in_(s.names),
        exported=False,
    ),
)
