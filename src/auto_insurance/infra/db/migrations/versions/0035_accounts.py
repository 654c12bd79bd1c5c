"""API keys, password resets, sign-in by an identity provider; sessions tell how and from where.

Revision ID: 0035_accounts
Revises: 0034_admin
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035_accounts"
down_revision = "0034_admin"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_REASONS = "revoke_reason IN ({})"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.create_index("ix_users_created_at", "users", ["created_at", "user_id"])
    op.add_column("sessions", sa.Column("method", sa.Text(), nullable=False, server_default=sa.text("'password'")))
    op.add_column("sessions", sa.Column("client", sa.Text()))
    op.create_check_constraint(op.f("ck_sessions_method"), "sessions", "method IN ('password', 'oidc')")
    op.drop_constraint(op.f("ck_sessions_revoke_reason"), "sessions")
    op.create_check_constraint(
        op.f("ck_sessions_revoke_reason"),
        "sessions",
        _REASONS.format("'logout', 'reuse', 'staff', 'password', 'owner'"),
    )
    op.add_column("device_keys", sa.Column("prefix", sa.Text()))
    _api_keys()
    op.create_table(
        "password_resets",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_password_resets"),
        _owner("password_resets"),
    )
    op.create_index("ix_password_resets_user_id", "password_resets", ["user_id"])
    op.create_index("ix_password_resets_expires_at", "password_resets", ["expires_at"])
    op.create_table(
        "oidc_logins",
        sa.Column("state_hash", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("code_verifier", sa.Text(), nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name="pk_oidc_logins"),
    )
    op.create_index("ix_oidc_logins_expires_at", "oidc_logins", ["expires_at"])
    op.create_table(
        "oidc_identities",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("issuer", "subject", name="pk_oidc_identities"),
        _owner("oidc_identities"),
    )
    op.create_index("ix_oidc_identities_user_id", "oidc_identities", ["user_id"])


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("revoked_at", _TIME),
        sa.Column("last_used_at", _TIME),
        sa.PrimaryKeyConstraint("key_id", name="pk_api_keys"),
        _owner("api_keys"),
    )
    op.create_index("uq_api_keys_key_hash", "api_keys", ["key_hash"], unique=True)
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id", "created_at"])


def _owner(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=f"fk_{table}_user_id_users", ondelete="CASCADE")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for table in ("oidc_identities", "oidc_logins", "password_resets", "api_keys"):
        op.drop_table(table)
    op.drop_column("device_keys", "prefix")
    op.execute("UPDATE sessions SET revoke_reason = 'staff' WHERE revoke_reason IN ('password', 'owner')")
    op.drop_constraint(op.f("ck_sessions_revoke_reason"), "sessions")
    op.create_check_constraint(
        op.f("ck_sessions_revoke_reason"), "sessions", _REASONS.format("'logout', 'reuse', 'staff'")
    )
    op.drop_constraint(op.f("ck_sessions_method"), "sessions")
    op.drop_column("sessions", "client")
    op.drop_column("sessions", "method")
    op.drop_index("ix_users_created_at", "users")
