"""What staff do with dead letters: send them to the log once more, or let go of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from auto_insurance.infra.bus import repository_deadletters as repository
from auto_insurance.infra.bus.errors import InvalidRecord, RecordTooLarge
from auto_insurance.infra.bus.outbox_relay import PublishingLog, TransactionalLog
from auto_insurance.infra.bus.protocol import EventLog, NewRecord
from auto_insurance.infra.bus.repository_deadletters import Letter, LetterFilter
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.kernel.errors import AppError, ErrorKind

log = structlog.get_logger(__name__)
Headers = Callable[[Letter], Mapping[str, str]]
MAX_LETTERS = 500
"""Letters per call."""
MAX_BYTES = 8 * 1024 * 1024
"""Bytes per call; a single letter may have more."""
_REFUSED = (InvalidRecord, RecordTooLarge)


class DeadLetterNotFound(AppError):
    """No such dead letter."""

    kind = ErrorKind.NOT_FOUND
    code = "dead_letter_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such dead letter.")


@dataclass(slots=True)
class Decided:
    """What became of letters: done now; as they were, with the reason (``waiting``: not within this call's limits)."""

    done: list[int] = field(default_factory=list)
    left: dict[int, str] = field(default_factory=dict)


class DeadLetterDesk:
    """Use cases of staff. ``headers`` gives those of a letter's new record by what it was."""

    def __init__(self, event_log: EventLog, headers: Headers) -> None:
        self._log = event_log
        self._headers = headers

    async def get(self, uow: UnitOfWork, letter_id: int, max_bytes: int) -> Letter:
        """Return a letter with the beginning of its bytes. Raises ``DeadLetterNotFound``."""
        found = await repository.get(uow, letter_id, max_bytes)
        if found is None:
            raise DeadLetterNotFound
        return found

    async def page(self, uow: UnitOfWork, wanted: LetterFilter, *, limit: int, offset: int) -> tuple[list[Letter], int]:
        """Return letters without their bytes, the newest first, and how many there are."""
        return await repository.page(uow, wanted, limit=limit, offset=offset)

    async def after(self, uow: UnitOfWork, wanted: LetterFilter, *, after: int, limit: int) -> list[Letter]:
        """Return letters without their bytes in the order of ids, from past one on."""
        return await repository.after(uow, wanted, after=after, limit=limit)

    async def replay(self, uow: UnitOfWork, letter_ids: Collection[int], by: str) -> Decided:
        """Append the bytes of waiting letters to their topics again, at most ``MAX_LETTERS`` and ``MAX_BYTES``.

        The letters are locked while the log takes them and are marked in the same transaction, so that two calls replay
        nothing twice. On a log outside of the database a crash in between may leave a letter there twice: who reads it
        knows the event by its id. Raises what the log raises when it is away.
        """
        taken = await repository.take_ids(uow, letter_ids, MAX_BYTES)
        return await self._replayed(uow, taken, letter_ids, by)

    async def replay_by(self, uow: UnitOfWork, wanted: LetterFilter, limit: int, by: str) -> Decided:
        """Do the same with the oldest waiting letters of a filter."""
        taken = await repository.take_by(uow, wanted, MAX_BYTES, min(limit, MAX_LETTERS))
        return await self._replayed(uow, taken, [letter.id for letter in taken], by)

    async def drop(self, uow: UnitOfWork, letter_ids: Collection[int], by: str, note: str) -> Decided:
        """Let go of waiting letters: their bytes are deleted, what they were and why they went stays."""
        return await self._decided(uow, letter_ids, letter_ids, "dropped", by, note)

    async def _replayed(self, uow: UnitOfWork, taken: Sequence[Letter], asked: Collection[int], by: str) -> Decided:
        refused = await self._append(uow, taken)
        good = [letter.id for letter in taken if letter.id not in refused]
        decided = await self._decided(uow, good, asked, "replayed", by, None)
        decided.left |= refused
        return decided

    async def _decided(
        self,
        uow: UnitOfWork,
        letter_ids: Collection[int],
        asked: Collection[int],
        state: str,
        by: str,
        note: str | None,
    ) -> Decided:
        changed = frozenset[int]()
        if letter_ids:
            changed = await repository.decide(uow, letter_ids, state=state, at=clock.now(), by=by, note=note)
            log.info("dead_letters_decided", state=state, count=len(changed))
        rest = set(asked) - changed
        known = await repository.states(uow, rest) if rest else {}
        return Decided(sorted(changed), {one: known.get(one, "not_found") for one in sorted(rest)})

    async def _append(self, uow: UnitOfWork, letters: Sequence[Letter]) -> dict[int, str]:
        """Append all; if the log refuses something, one by one. Returns the codes of what it does not take."""
        if not letters:
            return {}
        records = {letter.id: self._record(letter) for letter in letters}
        try:
            await self._take(uow, list(records.values()))
        except _REFUSED:
            pass
        else:
            return {}
        refused: dict[int, str] = {}
        for letter_id, record in records.items():
            try:
                await self._take(uow, [record])
            except _REFUSED as error:
                refused[letter_id] = error.code
        return refused

    async def _take(self, uow: UnitOfWork, records: Sequence[NewRecord]) -> None:
        if isinstance(self._log, TransactionalLog):
            await self._log.append_within(uow, records)
        elif isinstance(self._log, PublishingLog):
            await self._log.append_published(records)
        else:
            await self._log.append(records)

    def _record(self, letter: Letter) -> NewRecord:
        return NewRecord(letter.topic, letter.key, letter.value or b"", dict(self._headers(letter)))
