"""Changing a password, and setting a new one by a link that came by mail.

A request for a link is answered before anybody looks whether the account exists: neither the answer nor its time tells.
A worker looks, stores the link's hash and sends the mail.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from auto_insurance.identity import repository, repository_credentials
from auto_insurance.identity.auth import AuthService
from auto_insurance.identity.errors import (
    CredentialsUnavailable,
    InvalidResetToken,
    NotAllowed,
    TooManyAttempts,
    UserNotFound,
    WrongPassword,
)
from auto_insurance.identity.password_rules import check_password_rules
from auto_insurance.identity.passwords import Passwords
from auto_insurance.identity.repository import StoredUser
from auto_insurance.identity.schemas import Principal, Role, User
from auto_insurance.identity.sessions import Ended
from auto_insurance.identity.tokens import SECRET_BYTES, digest
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.http.ratelimit import RateLimiter
from auto_insurance.infra.mail import Mail, Mailer, MailFailed
from auto_insurance.kernel import clock

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ResetOptions:
    """How long a link holds, where it leads, and how many may be asked for."""

    holds: timedelta = timedelta(minutes=30)
    public_url: str = "http://127.0.0.1:8000"
    per_address: tuple[int, float] = (10, 300.0)
    """Requests from one address, as (count, seconds)."""
    per_account: int = 3
    """Links of an account that hold at once; more are not sent."""
    queue: int = 1000
    tries: int = 3
    retry_s: float = 2.0


@dataclass(frozen=True, slots=True)
class ResetLink:
    """A link that sets a new password once."""

    url: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"ResetLink(expires_at={self.expires_at})"


class PasswordService:
    """Use cases of passwords. They open their own transactions: no connection is held while a hash is computed."""

    def __init__(
        self,
        db: Database,
        passwords: Passwords,
        auth: AuthService,
        mailer: Mailer,
        options: ResetOptions | None = None,
        limiter: RateLimiter | None = None,
    ) -> None:
        self._db = db
        self._passwords = passwords
        self._auth = auth
        self._mailer = mailer
        self._options = options or ResetOptions()
        self._limiter = limiter or RateLimiter()
        self._wanted: asyncio.Queue[str] = asyncio.Queue(self._options.queue)

    async def change(self, caller: Principal, current: str, new: str, *, address: str) -> int:
        """Change the caller's password; returns how many other sessions that ended.

        Raises ``WrongPassword``, ``WeakPassword``, and ``TooManyAttempts`` as a sign-in does.
        """
        await self._auth.guard.admit(address, caller.username)
        async with self._db.read() as uow:
            stored = await repository.get_stored(uow, caller.user_id)
        if stored is None or not await self._passwords.verify(stored.password_hash, current):
            await self._auth.guard.failed(address, caller.username)
            raise WrongPassword
        user = stored.user
        check_password_rules(new, username=user.username, email=user.email, field="new_password")
        fresh = await self._passwords.hash(new)
        async with self._db.begin() as uow:
            # Nothing is changed if somebody else changed it meanwhile.
            if not await repository_credentials.set_password(uow, user.user_id, fresh, instead_of=stored.password_hash):
                raise WrongPassword
            await repository_credentials.delete_resets(uow, user.user_id)
            ended = await self._auth.sessions.end_all(uow, user.user_id, Ended.PASSWORD, keep=caller.session_id)
        log.info("password_changed", user_id=str(user.user_id))
        return ended

    async def request_reset(self, login: str, *, address: str) -> None:
        """Take a request for a link; whether the account exists shows nowhere.

        Raises ``TooManyAttempts`` for an address that asks too often, ``CredentialsUnavailable`` when too many wait.
        """
        decision = await self._limiter.hit(f"reset|{address}", *self._options.per_address)
        if not decision.allowed:
            raise TooManyAttempts(decision.retry_after_s)
        try:
            self._wanted.put_nowait(login)
        except asyncio.QueueFull:
            raise CredentialsUnavailable from None

    async def run(self, stop: asyncio.Event) -> None:
        """Send the links that were asked for, one after the other, until ``stop``."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                waiting = asyncio.create_task(self._wanted.get())
                await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    waiting.cancel()
                    return
                await self._try_deliver(waiting.result())
        finally:
            stopping.cancel()

    async def deliver(self, login: str) -> bool:
        """Send a link to the account of that name or address; False if there is none that may have one.

        Raises ``MailFailed``.
        """
        async with self._db.begin() as uow:
            stored = await repository.find_for_reset(uow, login)
            if stored is None or not self._may_reset(stored) or stored.user.email is None:
                return False
            if await repository_credentials.count_resets(uow, stored.user.user_id) >= self._options.per_account:
                return False
            link = await self._link(uow, stored.user)
        await self._mail(stored.user, stored.user.email, link)
        return True

    async def link_for(self, uow: UnitOfWork, user_id: UUID) -> ResetLink:
        """Return a link for staff to hand on. Raises ``UserNotFound`` and ``NotAllowed``."""
        stored = await repository.get_stored(uow, user_id)
        if stored is None:
            raise UserNotFound
        if not self._may_reset(stored):
            raise NotAllowed("This account is closed or signs in otherwise.")
        return await self._link(uow, stored.user)

    async def confirm(self, token: str, new: str) -> None:
        """Set a new password by a link's token; all sessions of the account end.

        Raises ``InvalidResetToken`` and ``WeakPassword``; the latter leaves the link as it is.
        """
        token_hash = digest(token)
        async with self._db.read() as uow:
            user = await repository_credentials.user_of_reset(uow, token_hash)
        if user is None:
            raise InvalidResetToken
        check_password_rules(new, username=user.username, email=user.email, field="new_password")
        fresh = await self._passwords.hash(new)
        async with self._db.begin() as uow:
            taken = await repository_credentials.take_reset(uow, token_hash)
            if taken is None or not await repository_credentials.set_password(uow, taken, fresh):
                raise InvalidResetToken
            await repository_credentials.delete_resets(uow, taken)
            await self._auth.sessions.end_all(uow, taken, Ended.PASSWORD)
        await self._auth.guard.unlock(user.username)
        log.info("password_reset", user_id=str(user.user_id))

    def _may_reset(self, stored: StoredUser) -> bool:
        person = Role.SERVICE not in stored.user.roles
        return stored.user.is_active and person and self._passwords.may_be_set(stored.password_hash)

    async def _link(self, uow: UnitOfWork, user: User) -> ResetLink:
        token, expires_at = secrets.token_urlsafe(SECRET_BYTES), clock.now() + self._options.holds
        await repository_credentials.insert_reset(uow, digest(token), user.user_id, expires_at)
        # Behind the #: neither servers nor their logs see it.
        return ResetLink(f"{self._options.public_url.rstrip('/')}/reset-password#token={token}", expires_at)

    async def _mail(self, user: User, address: str, link: ResetLink) -> None:
        minutes = int(self._options.holds.total_seconds() // 60)
        text = (
            f"Somebody, most likely you, asked to set a new password for the account {user.username}.\n\n"
            f"{link.url}\n\n"
            f"The link holds for {minutes} minutes and works once.\n"
            "If you did not ask, do nothing: the password stays.\n"
        )
        await self._mailer.send(Mail(address, "Set a new password", text))

    async def _try_deliver(self, login: str) -> None:
        for attempt in range(1, self._options.tries + 1):
            try:
                await self.deliver(login)
            except MailFailed:
                await asyncio.sleep(self._options.retry_s * attempt)
            except Exception as error:
                log.warning("password_reset_not_sent", error=type(error).__name__)
                return
            else:
                return
        log.warning("password_reset_not_sent", error="MailFailed")
