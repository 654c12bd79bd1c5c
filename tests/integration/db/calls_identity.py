"""Calls of the SQL of accounts, sessions and keys."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from auto_insurance.identity.repository_credentials import OidcLogin
from auto_insurance.identity.schemas import ApiKey, User, UserFilter, UserSort
from auto_insurance.kernel import ids
from tests.integration.db.calls_claims import NOW, uuid

_HASH = hashlib.sha256(b"key42").digest()
_USER = User(
    user_id=uuid("user"),
    username="user42",
    email="user42@example.test",
    roles=frozenset({"driver"}),
    driver_id="DRV00042",
    is_active=True,
    created_at=NOW,
)
_KEY = ApiKey(
    key_id=ids.new_uuid(),
    user_id=uuid("user"),
    name="integration",
    prefix="aik_abcdef",
    scopes=frozenset({"read:risk"}),
    created_by=uuid("user"),
    created_at=NOW,
    expires_at=NOW + timedelta(days=1),
    revoked_at=None,
    last_used_at=None,
)
_REPOSITORY, _SESSIONS = "identity.repository", "identity.repository_sessions"
_KEYS, _CREDENTIALS = "identity.repository_api_keys", "identity.repository_credentials"
_PERSON = {"issuer": "https://idp.test", "subject": "subject42"}
OF_FUNCTION: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    f"{_REPOSITORY}.replace_hash": ({"new": "hash"},),
    f"{_REPOSITORY}.get_stored": ({}, {"lock": True}),
    f"{_REPOSITORY}.find_for_reset": ({"login": "user42"}, {"login": "user42@example.test"}),
    f"{_REPOSITORY}.list_users": (
        {"wanted": UserFilter()},
        {"wanted": UserFilter(sort=UserSort.USERNAME)},
        {"wanted": UserFilter(active=True)},
    ),
    f"{_REPOSITORY}.update_user": ({"user": _USER},),
    f"{_SESSIONS}.insert_session": ({"session_id": ids.new_uuid(), "method": "password", "client": "test"},),
    f"{_SESSIONS}.insert_refresh_token": ({"token_hash": b"new"},),
    f"{_SESSIONS}.revoke_sessions": ({"keep": None}, {"keep": uuid("session")}),
    "identity.repository_keys.insert_key": ({"key_hash": b"new", "prefix": "aik_abcdef"},),
    "identity.repository_keys.find_keys": ({"hashes": [_HASH, b"none"]},),
    "identity.repository_keys.touch_keys": ({"key_ids": [uuid("key"), uuid("key", 43)]},),
    f"{_KEYS}.insert_api_key": ({"key": _KEY, "key_hash": b"new"},),
    f"{_KEYS}.api_key_state": ({"key_hash": _HASH},),
    f"{_KEYS}.touch_api_keys": ({"used": {uuid("api_key"): NOW, uuid("api_key", 43): NOW}},),
    f"{_CREDENTIALS}.set_password": ({}, {"instead_of": "hash"}),
    f"{_CREDENTIALS}.insert_reset": ({"token_hash": b"new"},),
    f"{_CREDENTIALS}.insert_oidc_login": (
        {"state_hash": b"new", "login": OidcLogin(nonce="n", code_verifier="v"), "expires_at": NOW},
    ),
    f"{_CREDENTIALS}.take_oidc_login": ({"state_hash": b"state42"},),
    f"{_CREDENTIALS}.user_of_identity": (_PERSON,),
    f"{_CREDENTIALS}.link_identity": ({**_PERSON, "subject": "new"},),
    f"{_CREDENTIALS}.delete_expired": ({"before": NOW - timedelta(days=2)},),
}
