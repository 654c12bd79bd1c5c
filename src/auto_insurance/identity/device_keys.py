"""Keys that devices send telemetry with. A check costs microseconds: the answer is cached in the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from cachetools import LRUCache, TTLCache
from pydantic import SecretStr

from auto_insurance.identity import repository_keys as repository
from auto_insurance.identity.errors import CredentialsUnavailable, InvalidDeviceKey
from auto_insurance.identity.repository_keys import StoredKey
from auto_insurance.identity.schemas import DeviceKey, DeviceKeyFacts, DevicePrincipal, IssuedKey, Scope
from auto_insurance.identity.tokens import DEVICE_KEY_PREFIX, SHOWN_CHARS, digest, new_device_key
from auto_insurance.infra import acting
from auto_insurance.infra.db import faults
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.together import Together
from auto_insurance.kernel import clock, ids

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """How long the answer to a check is remembered."""

    fresh_s: float = 30.0
    """A revocation in another process is seen after this at the latest, while the database is up."""
    stale_s: float = 900.0
    """While the database is away, a known key goes on working for this long after its last check."""
    unknown_s: float = 5.0
    """An unknown key is not looked up again within this."""
    cached_keys: int = 100_000
    lookup_timeout_s: float = 3.0
    retry_s: float = 1.0
    """After a failed look-up the database is left alone for this long."""
    last_used_resolution: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Entry:
    checked_at: float
    valid_until: datetime | None
    principal: DevicePrincipal


class DeviceKeyService:
    """Use cases of device keys."""

    def __init__(self, db: Database, options: KeyOptions | None = None) -> None:
        self._db = db
        self._options = options or KeyOptions()
        self._known: LRUCache[bytes, _Entry] = LRUCache(self._options.cached_keys)
        self._unknown: TTLCache[bytes, None] = TTLCache(self._options.cached_keys, ttl=self._options.unknown_s)
        # A fleet that starts or comes back asks for thousands of keys at once.
        self._fetches: Together[bytes, _Entry] = Together(self._fetch)
        self._away_until = 0.0

    async def check(self, key: str) -> DevicePrincipal:
        """Return the device that a key belongs to.

        Raises ``InvalidDeviceKey``, and ``CredentialsUnavailable`` if the database is away and the key was not checked
        recently.
        """
        if not key.startswith(DEVICE_KEY_PREFIX):
            raise InvalidDeviceKey
        key_hash = digest(key)
        entry = self._known.get(key_hash)
        if entry is None or time.monotonic() - entry.checked_at >= self._options.fresh_s:
            if key_hash in self._unknown:
                raise InvalidDeviceKey
            entry = await self._look_up(key_hash, entry)
        if entry is None or (entry.valid_until is not None and entry.valid_until <= clock.now()):
            raise InvalidDeviceKey
        return entry.principal

    async def issue(self, uow: UnitOfWork, device_id: str, scopes: Collection[Scope]) -> IssuedKey:
        """Give a device a further key; it is in the answer and nowhere else."""
        key = new_device_key()
        key_id = ids.new_uuid()
        names = frozenset(scope.value for scope in scopes)
        await repository.insert_key(uow, key_id, device_id, digest(key), names, prefix=key[:SHOWN_CHARS])
        log.info("device_key_issued", key_id=str(key_id))
        return IssuedKey(key_id=key_id, device_id=device_id, scopes=names, key=SecretStr(key))

    async def rotate(
        self, uow: UnitOfWork, device_id: str, scopes: Collection[Scope] | None = None, *, grace_s: int = 0
    ) -> IssuedKey:
        """Replace a device's keys by a new one; the old ones work for ``grace_s`` seconds more.

        Without ``scopes`` the new key has those of the newest old one, or ingest only.
        """
        if scopes is None:
            facts = (await self.facts(uow, [device_id])).get(device_id)
            scopes = [Scope(name) for name in facts.scopes] if facts else [Scope.INGEST]
        await self.revoke(uow, device_id, at=clock.now() + timedelta(seconds=grace_s))
        return await self.issue(uow, device_id, scopes)

    async def revoke(self, uow: UnitOfWork, device_id: str, *, at: datetime | None = None) -> int:
        """End all keys of a device, now or at an instant ahead; returns how many."""
        return await self.revoke_many(uow, [device_id], at=at)

    async def revoke_many(self, uow: UnitOfWork, device_ids: Collection[str], *, at: datetime | None = None) -> int:
        """End all keys of devices, now or at an instant ahead; returns how many."""
        hashes = await repository.revoke_keys(uow, device_ids, at or clock.now())

        async def forget() -> None:
            for key_hash in hashes:
                self._known.pop(key_hash, None)

        uow.after_commit(forget)
        return len(hashes)

    async def facts(self, uow: UnitOfWork, device_ids: Collection[str]) -> dict[str, DeviceKeyFacts]:
        """Return what is known of the newest valid key of each device."""
        return await repository.key_facts(uow, device_ids) if device_ids else {}

    async def listed(
        self, uow: UnitOfWork, device_id: str, *, limit: int, offset: int = 0
    ) -> tuple[Sequence[DeviceKey], int]:
        """Return a page of a device's keys, ended ones too, the newest first, and how many there are."""
        return await repository.keys_of_device(uow, device_id, limit, offset)

    async def _look_up(self, key_hash: bytes, before: _Entry | None) -> _Entry | None:
        """Ask the database; fall back on what was known while it is away."""
        if time.monotonic() >= self._away_until:
            try:
                return await self._fetches.get(key_hash)
            except Exception as error:
                if not faults.is_transient(error):
                    raise
                self._away_until = time.monotonic() + self._options.retry_s
                log.warning("device_key_lookup_failed", error=type(error).__name__)
        if before is None or time.monotonic() - before.checked_at >= self._options.stale_s:
            raise CredentialsUnavailable
        return before

    async def _fetch(self, hashes: Sequence[bytes]) -> dict[bytes, _Entry]:
        began = time.monotonic()
        async with asyncio.timeout(self._options.lookup_timeout_s), self._db.read() as uow:
            found = await repository.find_keys(uow, hashes)
        now = clock.now()
        good = {one: key for one, key in found.items() if key.revoked_at is None or key.revoked_at > now}
        for key_hash in hashes:
            if key_hash not in good:
                self._known.pop(key_hash, None)
                self._unknown[key_hash] = None
        await self._touch(good.values())
        entries = {
            key_hash: _Entry(
                began, key.revoked_at, DevicePrincipal(device_id=key.device_id, driver_id=None, scopes=key.scopes)
            )
            for key_hash, key in good.items()
        }
        self._known.update(entries)
        return entries

    async def _touch(self, keys: Collection[StoredKey]) -> None:
        """Note the uses, at most once in ``last_used_resolution``: no write per request."""
        now, resolution = clock.now(), self._options.last_used_resolution
        due = [key.key_id for key in keys if key.last_used_at is None or now - key.last_used_at >= resolution]
        if not due:
            return
        try:
            # In nobody's name: that a use is noted is no change that anybody made.
            with acting.as_system():
                async with asyncio.timeout(self._options.lookup_timeout_s), self._db.begin() as uow:
                    await repository.touch_keys(uow, due, now, resolution)
        except Exception as error:
            # A statistic: the key is right all the same.
            log.warning("device_key_touch_failed", error=type(error).__name__)
