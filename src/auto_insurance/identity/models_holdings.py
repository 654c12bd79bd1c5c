"""What identity holds of a person."""

from __future__ import annotations

from sqlalchemy import Text, cast, select

from auto_insurance.identity.models import device_keys, refresh_tokens, sessions, users
from auto_insurance.infra.db.holdings import Fate, Holding

HOLDINGS = (
    Holding(
        refresh_tokens,
        Fate.DELETED,
        "tokens of sessions",
        lambda s: refresh_tokens.c.session_id.in_(
            select(sessions.c.session_id).where(cast(sessions.c.user_id, Text).in_(s.user_ids))
        ),
        exported=False,
    ),
    Holding(
        sessions, Fate.DELETED, "when somebody signed in", lambda s: cast(sessions.c.user_id, Text).in_(s.user_ids)
    ),
    Holding(
        device_keys,
        Fate.DELETED,
        "keys of devices",
        lambda s: device_keys.c.device_id.in_(s.device_ids),
        hidden=frozenset({"key_hash"}),
    ),
    Holding(
        users,
        Fate.DELETED,
        "the account",
        lambda s: users.c.driver_id == s.driver_id,
        hidden=frozenset({"password_hash"}),
    ),
)
