"""What identity holds of a person."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, Table, Text, cast, select

from auto_insurance.identity.models import (
    api_keys,
    device_keys,
    oidc_identities,
    password_resets,
    refresh_tokens,
    sessions,
    users,
)
from auto_insurance.infra.db.holdings import Fate, Holding, Subject


def _of_account(table: Table) -> Callable[[Subject], ColumnElement[bool]]:
    return lambda s: cast(table.c.user_id, Text).in_(s.user_ids)


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
    *(
        Holding(table, Fate.DELETED, what, _of_account(table), hidden=frozenset(secret))
        for table, what, secret in (
            (api_keys, "API keys of the account", {"key_hash"}),
            (password_resets, "requests for a new password", {"token_hash"}),
            (oidc_identities, "who the person is at an identity provider", set[str]()),
        )
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
