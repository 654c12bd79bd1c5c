"""Tables of accounts, sessions and keys. Secrets are stored as hashes only."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    Uuid,
    func,
    text,
)

from auto_insurance.infra.db.metadata import metadata

users = Table(
    "users",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("username", Text, nullable=False),
    Column("email", Text),
    Column("password_hash", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("driver_id", Text),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ix_users_driver_id", "driver_id"),
    Index("ix_users_created_at", "created_at", "user_id"),
)
"""``driver_id`` has no foreign key: drivers are a domain above this one."""
Index("uq_users_username_lower", func.lower(users.c.username), unique=True)
Index("uq_users_email_lower", func.lower(users.c.email), unique=True)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    Column("revoke_reason", Text),
    Column("method", Text, nullable=False, server_default=text("'password'")),
    Column("client", Text),
    CheckConstraint("revoke_reason IN ('logout', 'reuse', 'staff', 'password', 'owner')", name="revoke_reason"),
    CheckConstraint("method IN ('password', 'oidc')", name="method"),
    Index("ix_sessions_user_id", "user_id"),
    Index("ix_sessions_expires_at", "expires_at"),
)
"""A session is a family of refresh tokens; ``expires_at`` is its absolute end, whatever is refreshed.

``client`` is what the program that signed in calls itself, so that people know their sessions apart.
"""

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("session_id", Uuid, ForeignKey("sessions.session_id", ondelete="CASCADE"), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
    Index("ix_refresh_tokens_session_id", "session_id"),
)

device_keys = Table(
    "device_keys",
    metadata,
    Column("key_id", Uuid, primary_key=True),
    Column("device_id", Text, nullable=False),
    Column("key_hash", LargeBinary, nullable=False),
    Column("prefix", Text),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
    Index("uq_device_keys_key_hash", "key_hash", unique=True),
    Index("ix_device_keys_device_id", "device_id", "created_at"),
)
"""``revoked_at`` may lie ahead: a key that was rotated with a grace period works until then.

``prefix`` is how a key begins, to know it by; keys from before it was kept have none.
"""

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("key_hash", LargeBinary, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_by", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
    Index("uq_api_keys_key_hash", "key_hash", unique=True),
    Index("ix_api_keys_user_id", "user_id", "created_at"),
)
"""Keys of integrations. A key speaks for its account, as far as its scopes go."""

password_resets = Table(
    "password_resets",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Index("ix_password_resets_user_id", "user_id"),
    Index("ix_password_resets_expires_at", "expires_at"),
)
"""Tokens that set a new password, once: using one deletes all of the account."""

oidc_logins = Table(
    "oidc_logins",
    metadata,
    Column("state_hash", LargeBinary, primary_key=True),
    Column("nonce", Text, nullable=False),
    Column("code_verifier", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Index("ix_oidc_logins_expires_at", "expires_at"),
)
"""Sign-ins that are at the identity provider now; the answer takes its row away, so that a state counts once."""

oidc_identities = Table(
    "oidc_identities",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index("ix_oidc_identities_user_id", "user_id"),
)
"""Whose account a person of an identity provider has: by issuer and subject, by nothing else."""
