"""All SQL of setting passwords and of people of an identity provider."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert

from auto_insurance.identity.models import oidc_identities, oidc_logins, password_resets, users
from auto_insurance.identity.repository import USER_COLUMNS, user_of
from auto_insurance.identity.schemas import User
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock


class OidcLogin(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that is at the identity provider."""

    nonce: str
    code_verifier: str


async def set_password(uow: UnitOfWork, user_id: UUID, password_hash: str, *, instead_of: str | None = None) -> bool:
    """Store a new hash; with ``instead_of`` only in place of that one. False if nothing was changed."""
    query = update(users).where(users.c.user_id == user_id, users.c.is_active)
    if instead_of is not None:
        query = query.where(users.c.password_hash == instead_of)
    return (await uow.conn.execute(query.values(password_hash=password_hash, updated_at=clock.now()))).rowcount > 0


async def insert_reset(uow: UnitOfWork, token_hash: bytes, user_id: UUID, expires_at: datetime) -> None:
    """Store a token that may set an account's password once."""
    facts = {"token_hash": token_hash, "user_id": user_id, "expires_at": expires_at}
    await uow.conn.execute(insert(password_resets).values(**facts, created_at=clock.now()))


async def count_resets(uow: UnitOfWork, user_id: UUID) -> int:
    """Return how many tokens of an account are valid."""
    query = select(func.count()).select_from(password_resets).where(password_resets.c.user_id == user_id)
    return (await uow.conn.execute(query.where(password_resets.c.expires_at > clock.now()))).scalar_one()


async def user_of_reset(uow: UnitOfWork, token_hash: bytes) -> User | None:
    """Return the open account that a valid token belongs to."""
    query = (
        select(*USER_COLUMNS)
        .join(password_resets, password_resets.c.user_id == users.c.user_id)
        .where(password_resets.c.token_hash == token_hash, password_resets.c.expires_at > clock.now())
        .where(users.c.is_active)
    )
    row = (await uow.conn.execute(query)).one_or_none()
    return user_of(row) if row is not None else None


async def take_reset(uow: UnitOfWork, token_hash: bytes) -> UUID | None:
    """Use a token up: at most one caller ever gets its account back. None if it is not valid (any more)."""
    query = delete(password_resets).where(password_resets.c.token_hash == token_hash)
    valid = query.where(password_resets.c.expires_at > clock.now()).returning(password_resets.c.user_id)
    return (await uow.conn.execute(valid)).scalar_one_or_none()


async def delete_resets(uow: UnitOfWork, user_id: UUID) -> None:
    """Delete all tokens of an account."""
    await uow.conn.execute(delete(password_resets).where(password_resets.c.user_id == user_id))


async def insert_oidc_login(uow: UnitOfWork, state_hash: bytes, login: OidcLogin, expires_at: datetime) -> None:
    """Note a sign-in that leaves for the identity provider."""
    facts = {"state_hash": state_hash, "nonce": login.nonce, "code_verifier": login.code_verifier}
    await uow.conn.execute(insert(oidc_logins).values(**facts, expires_at=expires_at))


async def take_oidc_login(uow: UnitOfWork, state_hash: bytes) -> OidcLogin | None:
    """Take the sign-in of a state away: at most one caller ever gets it. None if there is none, or it is too old."""
    query = (
        delete(oidc_logins)
        .where(oidc_logins.c.state_hash == state_hash)
        .returning(oidc_logins.c.nonce, oidc_logins.c.code_verifier, oidc_logins.c.expires_at)
    )
    row = (await uow.conn.execute(query)).one_or_none()
    if row is None or row.expires_at <= clock.now():
        return None
    return OidcLogin(nonce=row.nonce, code_verifier=row.code_verifier)


async def user_of_identity(uow: UnitOfWork, issuer: str, subject: str) -> User | None:
    """Return the account of a person of an identity provider."""
    query = (
        select(*USER_COLUMNS)
        .join(oidc_identities, oidc_identities.c.user_id == users.c.user_id)
        .where(oidc_identities.c.issuer == issuer, oidc_identities.c.subject == subject)
    )
    row = (await uow.conn.execute(query)).one_or_none()
    return user_of(row) if row is not None else None


async def link_identity(uow: UnitOfWork, issuer: str, subject: str, user_id: UUID) -> bool:
    """Give a person of an identity provider an account; False if it has one."""
    facts = {"issuer": issuer, "subject": subject, "user_id": user_id, "created_at": clock.now()}
    query = pg_insert(oidc_identities).values(**facts).on_conflict_do_nothing()
    return (await uow.conn.execute(query)).rowcount > 0


async def delete_expired(uow: UnitOfWork, before: datetime, limit: int) -> int:
    """Delete tokens and sign-ins under way that expired before an instant, at most ``limit`` of each."""
    gone = 0
    for table, key in ((password_resets, "token_hash"), (oidc_logins, "state_hash")):
        old = select(table.c[key]).where(table.c.expires_at < before).limit(limit)
        gone += (await uow.conn.execute(delete(table).where(table.c[key].in_(old)))).rowcount
    return gone
