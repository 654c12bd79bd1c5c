"""What webhooks hold of a driver."""

from __future__ import annotations

from sqlalchemy import func

from auto_insurance.infra.db.holdings import Fate, Holding
from auto_insurance.webhooks.models import webhook_deliveries

HOLDINGS = (
    Holding(
        webhook_deliveries,
        Fate.EXPIRES,
        "events as they were sent, with ids and figures: they go when deliveries are pruned",
        lambda s: func.strpos(func.convert_from(webhook_deliveries.c.body, "UTF8"), f'"{s.driver_id}"') > 0,
        hidden=frozenset({"body"}),
        exported=False,
    ),
)
