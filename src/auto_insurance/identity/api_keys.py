"""API keys of integrations: a secret that speaks for an account, as far as its scopes go.

A check is remembered for a second, as that of a session is: a key that was ended, an account that was closed or lost a
role is seen after that at the latest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from cachetools import TTLCache
from pydantic import SecretStr

from auto_insurance.identity import permissions, policy
from auto_insurance.identity import repository_api_keys as repository
from auto_insurance.identity.errors import ApiKeyNotFound, InvalidApiKey, ScopeNotAllowed, TooManyApiKeys
from auto_insurance.identity.repository_api_keys import KeyState
from auto_insurance.identity.schemas import ApiKey, ApiScope, IssuedApiKey, NewApiKey, Principal, User
from auto_insurance.identity.tokens import API_KEY_PREFIX, SHOWN_CHARS, digest, new_api_key
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.single_flight import SingleFlight
from auto_insurance.kernel import clock, ids

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ApiKeyOptions:
    """How stale a revocation may be seen, how many keys an account may have, how coarse the last use is."""

    check_ttl_s: float = 1.0
    cached_keys: int = 50_000
    per_account: int = 20
    resolution: timedelta = timedelta(minutes=5)
    """``last_used_at`` is right to this."""
    flush_s: float = 15.0
    max_waiting: int = 50_000


class ApiKeyService:
    """Use cases of API keys."""

    def __init__(self, db: Database, options: ApiKeyOptions | None = None) -> None:
        self._db = db
        self._options = options or ApiKeyOptions()
        # Value: when its query began (monotonic), and what it said.
        self._states: TTLCache[bytes, tuple[float, KeyState | None]] = TTLCache(
            self._options.cached_keys, ttl=self._options.check_ttl_s
        )
        self._fetches: SingleFlight[bytes, KeyState | None] = SingleFlight()
        self._noted: TTLCache[UUID, None] = TTLCache(
            self._options.cached_keys, ttl=self._options.resolution.total_seconds()
        )
        self._waiting: dict[UUID, datetime] = {}

    async def check(self, key: str) -> Principal:
        """Return whom a key speaks for and what it may do, as of now (1 s stale at most). Raises ``InvalidApiKey``."""
        if not key.startswith(API_KEY_PREFIX):
            raise InvalidApiKey
        state = await self._state(digest(key))
        if state is None or state.revoked or state.expires_at <= clock.now():
            raise InvalidApiKey
        self._note(state.key_id)
        return Principal(
            user_id=state.user_id,
            username=state.username,
            roles=state.roles,
            driver_id=state.driver_id,
            key_id=state.key_id,
            scopes=state.scopes,
        )

    async def issue(self, uow: UnitOfWork, owner: User, new: NewApiKey, by: UUID) -> IssuedApiKey:
        """Give an account a key; it is in the answer and nowhere else.

        Raises ``ScopeNotAllowed`` for a scope that the account's roles leave without effect, and ``TooManyApiKeys``.
        """
        _check_scopes(owner, new.scopes)
        if await repository.count_valid_keys(uow, owner.user_id) >= self._options.per_account:
            raise TooManyApiKeys(self._options.per_account)
        key, now = new_api_key(), clock.now()
        stored = ApiKey(
            key_id=ids.new_uuid(),
            user_id=owner.user_id,
            name=new.name,
            prefix=key[:SHOWN_CHARS],
            scopes=frozenset(scope.value for scope in new.scopes),
            created_by=by,
            created_at=now,
            expires_at=now + timedelta(days=new.expires_in_days),
            revoked_at=None,
            last_used_at=None,
        )
        await repository.insert_api_key(uow, stored, digest(key))
        log.info("api_key_issued", key_id=str(stored.key_id), scopes=sorted(stored.scopes))
        return IssuedApiKey(key=SecretStr(key), facts=stored)

    async def listed(
        self, uow: UnitOfWork, user_id: UUID, *, limit: int, offset: int = 0
    ) -> tuple[Sequence[ApiKey], int]:
        """Return a page of an account's keys, the newest first, and how many there are."""
        return await repository.keys_of_user(uow, user_id, limit, offset)

    async def revoke(self, uow: UnitOfWork, key_id: UUID, owner: UUID | None = None) -> ApiKey:
        """End a key, of that account if one is named. Raises ``ApiKeyNotFound``; ending one twice changes nothing."""
        key = await repository.get_api_key(uow, key_id)
        if key is None or owner not in {None, key.user_id}:
            raise ApiKeyNotFound
        key_hash = await repository.revoke_api_key(uow, key_id)
        if key_hash is None:
            return key

        async def forget() -> None:
            self._states.pop(key_hash, None)

        uow.after_commit(forget)
        log.info("api_key_revoked", key_id=str(key_id))
        return await repository.get_api_key(uow, key_id) or key

    async def flush(self) -> int:
        """Write the last uses that wait; returns how many keys changed. On failure they wait on."""
        batch, self._waiting = self._waiting, {}
        if not batch:
            return 0
        try:
            async with self._db.begin() as uow:
                return await repository.touch_api_keys(uow, batch)
        except BaseException:
            self._waiting = batch | self._waiting
            raise

    async def run(self, stop: asyncio.Event) -> None:
        """Write the last uses every few seconds until ``stop``, and once more then."""
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), self._options.flush_s)
            except TimeoutError:
                await self._try_flush()
        await self._try_flush()

    async def _try_flush(self) -> None:
        try:
            await self.flush()
        except Exception as error:
            # A statistic: the keys are right all the same.
            log.warning("api_key_uses_not_written", error=type(error).__name__, waiting=len(self._waiting))

    def _note(self, key_id: UUID) -> None:
        if key_id not in self._noted and len(self._waiting) < self._options.max_waiting:
            self._noted[key_id] = None
            self._waiting[key_id] = clock.now()

    async def _state(self, key_hash: bytes) -> KeyState | None:
        cached = self._states.get(key_hash)
        if cached is not None and time.monotonic() - cached[0] < self._options.check_ttl_s:
            return cached[1]
        return await self._fetches.run(key_hash, lambda: self._fetch(key_hash))

    async def _fetch(self, key_hash: bytes) -> KeyState | None:
        began = time.monotonic()
        async with self._db.read() as uow:
            state = await repository.api_key_state(uow, key_hash)
        self._states[key_hash] = (began, state)
        return state


def _check_scopes(owner: User, scopes: Sequence[ApiScope]) -> None:
    for number, scope in enumerate(scopes):
        with_it = Principal(
            user_id=owner.user_id,
            username=owner.username,
            roles=owner.roles,
            driver_id=owner.driver_id,
            scopes=frozenset({scope.value}),
        )
        if not permissions.granted(with_it) and not any(policy.reach(with_it, action) for action in policy.Action):
            raise ScopeNotAllowed(number, scope)
