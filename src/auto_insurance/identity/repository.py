"""All SQL of accounts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, Select, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert

from auto_insurance.identity.models import users
from auto_insurance.identity.schemas import NewUser, Role, User, UserFilter, UserSort, known_roles
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids


class StoredUser(msgspec.Struct, frozen=True, kw_only=True):
    """An account and its password hash, for the sign-in only."""

    user: User
    password_hash: str

    def __repr__(self) -> str:
        return f"StoredUser({self.user.user_id})"


USER_COLUMNS = (
    users.c.user_id,
    users.c.username,
    users.c.email,
    users.c.roles,
    users.c.driver_id,
    users.c.is_active,
    users.c.created_at,
)


def user_of(row: Row[*tuple[Any, ...]]) -> User:
    """Return the account of a row that has ``USER_COLUMNS``."""
    return User(
        user_id=row.user_id,
        username=row.username,
        email=row.email,
        roles=known_roles(row.roles),
        driver_id=row.driver_id,
        is_active=row.is_active,
        created_at=row.created_at,
    )


async def _one_user(uow: UnitOfWork, query: Select[*tuple[Any, ...]]) -> User | None:
    row = (await uow.conn.execute(query)).one_or_none()
    return user_of(row) if row is not None else None


async def insert_user(uow: UnitOfWork, new: NewUser, password_hash: str) -> User | None:
    """Create an account; None if its username or e-mail address is taken."""
    query = (
        pg_insert(users)
        .values(
            user_id=ids.new_uuid(),
            username=new.username,
            email=new.email,
            password_hash=password_hash,
            roles=sorted(new.roles),
            driver_id=new.driver_id,
            created_at=clock.now(),
            updated_at=clock.now(),
        )
        .on_conflict_do_nothing()
        .returning(*USER_COLUMNS)
    )
    row = (await uow.conn.execute(query)).one_or_none()
    return user_of(row) if row is not None else None


async def taken_field(uow: UnitOfWork, username: str, email: str | None) -> str | None:
    """Return ``username`` or ``email``, whichever an account has already; None if neither."""
    same_name = func.lower(users.c.username) == func.lower(username)
    same_email = func.lower(users.c.email) == func.lower(email or "")
    found = (await uow.conn.execute(select(same_name.label("by_name")).where(or_(same_name, same_email)))).scalars()
    hits = list(found)
    if not hits:
        return None
    return "username" if any(hits) else "email"


async def get_user(uow: UnitOfWork, user_id: UUID) -> User | None:
    """Return an account."""
    return await _one_user(uow, select(*USER_COLUMNS).where(users.c.user_id == user_id))


async def find_user(uow: UnitOfWork, username: str) -> User | None:
    """Return the account of that name, whatever the case."""
    return await _one_user(uow, select(*USER_COLUMNS).where(func.lower(users.c.username) == func.lower(username)))


async def find_for_login(uow: UnitOfWork, username: str) -> StoredUser | None:
    """Return the account of that name and its hash."""
    query = select(*USER_COLUMNS, users.c.password_hash).where(func.lower(users.c.username) == func.lower(username))
    row = (await uow.conn.execute(query)).one_or_none()
    return StoredUser(user=user_of(row), password_hash=row.password_hash) if row is not None else None


async def replace_hash(uow: UnitOfWork, user_id: UUID, old: str, new: str) -> None:
    """Store a re-computed hash, unless the password was changed meanwhile."""
    query = update(users).where(users.c.user_id == user_id, users.c.password_hash == old)
    await uow.conn.execute(query.values(password_hash=new, updated_at=clock.now()))


async def has_admin(uow: UnitOfWork, demo_domain: str) -> bool:
    """Return whether an administrator other than the demo's exists and is active."""
    real = or_(users.c.email.is_(None), users.c.email.not_like(f"%{demo_domain}"))
    query = select(users.c.user_id).where(users.c.roles.any(Role.ADMIN.value), users.c.is_active, real).limit(1)
    return (await uow.conn.execute(query)).first() is not None


async def adopt_demo_account(uow: UnitOfWork, new: NewUser, password_hash: str, demo_domain: str) -> bool:
    """Turn the demo's account of that name into a real one; False if there is no such account."""
    same = func.lower(users.c.username) == func.lower(new.username)
    query = update(users).where(same, users.c.email.like(f"%{demo_domain}"))
    values = {"email": new.email, "password_hash": password_hash, "roles": sorted(new.roles), "is_active": True}
    changed = await uow.conn.execute(query.values(**values, updated_at=clock.now()))
    return changed.rowcount > 0


async def set_active(uow: UnitOfWork, email_ending: str, *, active: bool) -> int:
    """Open or close the accounts whose e-mail address ends so; return how many changed."""
    query = update(users).where(users.c.email.like(f"%{email_ending}"), users.c.is_active.is_not(active))
    return (await uow.conn.execute(query.values(is_active=active, updated_at=clock.now()))).rowcount


async def link_driver(uow: UnitOfWork, user_id: UUID, driver_id: str, roles: Collection[str]) -> None:
    """Make an account that of a driver."""
    query = update(users).where(users.c.user_id == user_id)
    await uow.conn.execute(query.values(driver_id=driver_id, roles=sorted(roles), updated_at=clock.now()))


async def get_stored(uow: UnitOfWork, user_id: UUID, *, lock: bool = False) -> StoredUser | None:
    """Return an account and its hash, locked on demand."""
    query = select(*USER_COLUMNS, users.c.password_hash).where(users.c.user_id == user_id)
    row = (await uow.conn.execute(query.with_for_update() if lock else query)).one_or_none()
    return StoredUser(user=user_of(row), password_hash=row.password_hash) if row is not None else None


async def find_for_reset(uow: UnitOfWork, login: str) -> StoredUser | None:
    """Return the account that has this username or e-mail address; the username's first."""
    same_name = func.lower(users.c.username) == func.lower(login)
    same_email = func.lower(users.c.email) == func.lower(login)
    query = select(*USER_COLUMNS, users.c.password_hash).where(or_(same_name, same_email)).order_by(same_name.desc())
    row = (await uow.conn.execute(query.limit(1))).one_or_none()
    return StoredUser(user=user_of(row), password_hash=row.password_hash) if row is not None else None


_ORDER = {
    UserSort.CREATED: (users.c.created_at, users.c.user_id),
    UserSort.CREATED_DESC: (users.c.created_at.desc(), users.c.user_id.desc()),
    UserSort.USERNAME: (func.lower(users.c.username),),
    UserSort.USERNAME_DESC: (func.lower(users.c.username).desc(),),
}


async def list_users(uow: UnitOfWork, wanted: UserFilter, *, limit: int, offset: int) -> tuple[list[User], int]:
    """Return a page of accounts and how many there are."""
    found = []
    if wanted.search:
        found.append(
            or_(
                func.lower(users.c.username).contains(wanted.search.lower(), autoescape=True),
                func.lower(users.c.email).contains(wanted.search.lower(), autoescape=True),
                users.c.driver_id == wanted.search,
            )
        )
    if wanted.role is not None:
        found.append(users.c.roles.any(wanted.role.value))
    if wanted.active is not None:
        found.append(users.c.is_active.is_(wanted.active))
    total = (await uow.conn.execute(select(func.count()).select_from(users).where(*found))).scalar_one()
    query = select(*USER_COLUMNS).where(*found).order_by(*_ORDER[wanted.sort]).limit(limit).offset(offset)
    return [user_of(row) for row in await uow.conn.execute(query)], total


async def update_user(uow: UnitOfWork, user: User) -> User | None:
    """Store an account's facts; None if its e-mail address is another account's."""
    email = user.email
    if email is not None:
        other = select(users.c.user_id).where(func.lower(users.c.email) == func.lower(email))
        if (await uow.conn.execute(other.where(users.c.user_id != user.user_id))).first() is not None:
            return None
    query = (
        update(users)
        .where(users.c.user_id == user.user_id)
        .values(
            email=email,
            roles=sorted(user.roles),
            driver_id=user.driver_id,
            is_active=user.is_active,
            updated_at=clock.now(),
        )
        .returning(*USER_COLUMNS)
    )
    return user_of((await uow.conn.execute(query)).one())


async def other_admin(uow: UnitOfWork, user_id: UUID) -> bool:
    """Return whether an active administrator other than this account exists."""
    query = select(users.c.user_id).where(users.c.roles.any(Role.ADMIN.value), users.c.is_active)
    return (await uow.conn.execute(query.where(users.c.user_id != user_id).limit(1))).first() is not None
