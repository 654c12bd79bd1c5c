"""Accounts as staff keep them: made, found, given roles, closed. The last active administrator stays one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import structlog

from auto_insurance.identity import repository, repository_credentials
from auto_insurance.identity.auth import AuthService
from auto_insurance.identity.errors import LastAdmin, UserExists, UserNotFound
from auto_insurance.identity.passwords import NEVER_PASSWORD, NO_PASSWORD
from auto_insurance.identity.schemas import NewUser, Role, User, UserFilter
from auto_insurance.identity.sessions import Ended
from auto_insurance.identity.users import UserService
from auto_insurance.infra.db.locks import lock
from auto_insurance.infra.db.uow import UnitOfWork

log = structlog.get_logger(__name__)
LOCK = "accounts"


class UserAdmin:
    """Use cases of staff on accounts."""

    def __init__(self, users: UserService, auth: AuthService) -> None:
        self._users = users
        self._auth = auth

    async def listed(
        self, uow: UnitOfWork, wanted: UserFilter, *, limit: int, offset: int = 0
    ) -> tuple[Sequence[User], int]:
        """Return a page of accounts and how many there are."""
        return await repository.list_users(uow, wanted, limit=limit, offset=offset)

    async def get(self, uow: UnitOfWork, user_id: UUID) -> User:
        """Return an account. Raises ``UserNotFound``."""
        user = await repository.get_user(uow, user_id)
        if user is None:
            raise UserNotFound
        return user

    async def create(self, uow: UnitOfWork, new: NewUser, password: str | None) -> User:
        """Create an account; without a password its owner sets one by a link, and an integration has none ever.

        Raises ``UserExists`` and ``WeakPassword``.
        """
        if Role.SERVICE in new.roles:
            return await self._users.create_without_password(uow, new, NEVER_PASSWORD)
        if password is None:
            return await self._users.create_without_password(uow, new, NO_PASSWORD)
        return await self._users.create(uow, new, password)

    async def change(self, uow: UnitOfWork, user_id: UUID, change: dict[str, Any]) -> User:
        """Change e-mail address, roles, driver, or whether an account is open, to what is given.

        Roles are as new within a second everywhere; closing an account ends its sessions. Raises ``UserNotFound``,
        ``UserExists`` and ``LastAdmin``.
        """
        await lock(uow, LOCK)
        stored = await repository.get_stored(uow, user_id, lock=True)
        if stored is None:
            raise UserNotFound
        before, after = stored.user, msgspec.structs.replace(stored.user, **change)
        if _administers(before) and not _administers(after) and not await repository.other_admin(uow, user_id):
            raise LastAdmin
        user = await repository.update_user(uow, after)
        if user is None:
            raise UserExists("email")
        if before.is_active and not after.is_active:
            await self._auth.sessions.end_all(uow, user_id, Ended.STAFF)
            await repository_credentials.delete_resets(uow, user_id)
        log.info("user_changed", user_id=str(user_id), fields=sorted(change))
        return user

    async def close(self, uow: UnitOfWork, user_id: UUID) -> User:
        """Close an account: nobody signs in to it, its sessions and API keys are worth nothing, its rows stay.

        Raises ``UserNotFound`` and ``LastAdmin``.
        """
        return await self.change(uow, user_id, {"is_active": False})

    async def end_sessions(self, uow: UnitOfWork, user_id: UUID) -> int:
        """End all sessions of an account; returns how many. Raises ``UserNotFound``."""
        await self.get(uow, user_id)
        return await self._auth.sessions.end_all(uow, user_id, Ended.STAFF)

    async def unlock(self, uow: UnitOfWork, user_id: UUID) -> User:
        """Forget the failed sign-ins of an account. Raises ``UserNotFound``."""
        user = await self.get(uow, user_id)
        uow.note("user", user_id, unlocked=True)
        uow.after_commit(lambda: self._auth.guard.unlock(user.username))
        return user


def _administers(user: User) -> bool:
    return user.is_active and Role.ADMIN in user.roles
