"""Accounts: self-registration, those that staff and start-up create, the first admin."""

from __future__ import annotations

import structlog

from auto_insurance.identity import repository
from auto_insurance.identity.errors import UserExists
from auto_insurance.identity.password_rules import check_password_rules
from auto_insurance.identity.passwords import Passwords
from auto_insurance.identity.schemas import NewUser, Role, User
from auto_insurance.infra import acting
from auto_insurance.infra.db.uow import Database, UnitOfWork

log = structlog.get_logger(__name__)
ADMIN = "admin"
DEMO_DOMAIN = "@demo.invalid"
"""Accounts with an address here are the demo's: their passwords are known to all."""


class UserService:
    """Use cases of accounts."""

    def __init__(self, db: Database, passwords: Passwords) -> None:
        self._db = db
        self._passwords = passwords

    async def register(self, username: str, email: str, password: str) -> User:
        """Create an account without any role. Raises ``UserExists`` and ``WeakPassword``.

        Opens its own transaction, after the hash: no connection is held while that is computed.
        """
        check_password_rules(password, username=username, email=email)
        password_hash = await self._passwords.hash(password)
        async with self._db.begin() as uow:
            user = await self._insert(uow, NewUser(username=username, email=email), password_hash)
            acting.identify(acting.Actor("user", str(user.user_id), user.username))
            return user

    async def create(self, uow: UnitOfWork, new: NewUser, password: str) -> User:
        """Create an account in the caller's transaction. Raises ``UserExists`` and ``WeakPassword``."""
        check_password_rules(password, username=new.username, email=new.email)
        return await self._insert(uow, new, await self._passwords.hash(password))

    async def create_without_password(self, uow: UnitOfWork, new: NewUser, instead: str) -> User:
        """Create an account with ``instead`` for a hash, which no password matches. Raises ``UserExists``."""
        return await self._insert(uow, new, instead)

    async def create_admin(self, uow: UnitOfWork, username: str, password: str, email: str | None = None) -> User:
        """Create an administrator; for the operator's command line, never for HTTP.

        Raises ``UserExists`` and ``WeakPassword``.
        """
        user = await self.create(uow, NewUser(username=username, email=email, roles=frozenset({Role.ADMIN})), password)
        log.info("admin_created", user_id=str(user.user_id))
        return user

    async def ensure_user(self, uow: UnitOfWork, new: NewUser, password: str) -> User:
        """Return the account of that name, created if there was none; an existing one is left as it is.

        For demo data and start-up: the password rules do not apply.
        """
        existing = await repository.find_user(uow, new.username)
        if existing is not None:
            return existing
        created = await repository.insert_user(uow, new, await self._passwords.hash(password))
        if created is not None:
            return created
        # Somebody was faster, or the e-mail address is another account's.
        existing = await repository.find_user(uow, new.username)
        if existing is None:
            raise UserExists("email")
        return existing

    async def ensure_first_admin(self, uow: UnitOfWork, password: str) -> bool:
        """Create the account ``admin`` unless some administrator is there already; return whether it was made.

        A demo account of that name becomes the real one. Raises ``UserExists`` if the name is an ordinary account's,
        and ``WeakPassword``.
        """
        if await repository.has_admin(uow, DEMO_DOMAIN):
            return False
        check_password_rules(password, username=ADMIN, email=None)
        password_hash = await self._passwords.hash(password)
        new = NewUser(username=ADMIN, roles=frozenset({Role.ADMIN}))
        if not await repository.adopt_demo_account(uow, new, password_hash, DEMO_DOMAIN):
            await self._insert(uow, new, password_hash)
        log.info("first_admin_created")
        return True

    async def set_demo_accounts(self, uow: UnitOfWork, *, active: bool) -> int:
        """Open or close the accounts with known passwords; return how many changed."""
        return await repository.set_active(uow, DEMO_DOMAIN, active=active)

    async def link_driver(self, uow: UnitOfWork, username: str, driver_id: str) -> User | None:
        """Make an existing account that of a driver, role included; None if there is no such account."""
        user = await repository.find_user(uow, username)
        if user is None:
            return None
        await repository.link_driver(uow, user.user_id, driver_id, user.roles | {Role.DRIVER})
        return await repository.get_user(uow, user.user_id)

    async def _insert(self, uow: UnitOfWork, new: NewUser, password_hash: str) -> User:
        user = await repository.insert_user(uow, new, password_hash)
        if user is None:
            raise UserExists(await repository.taken_field(uow, new.username, new.email) or "username")
        uow.note("user", user.user_id, created="user", roles=sorted(new.roles))
        return user
