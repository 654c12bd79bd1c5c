"""The chain of audit rows: what is hashed, and how any change, gap, re-order or cut is found. Pure; standard library.

**Encoding.** A hash is SHA-256 over parts, each written as ``0x00`` if it is absent, else as ``0x01``, its length in
eight bytes (big-endian) and its bytes; texts are UTF-8, numbers decimal texts. No two lists of parts have one encoding.

* hash of a row: ``auto-insurance audit row 1``, the hash of the row before (32 zero bytes for the first), then number,
  id, at, actor_kind, actor, action, subject_kind, subject_id, subject, request_id, details;
* digest of a closing: ``auto-insurance audit closing 1``, the digest of the closing before (32 zero bytes for the
  first), then month, first_number, before, last_number, hash, at;
* seal of a person: ``auto-insurance audit seal 1``, salt (32 random bytes), then kind, ident, label, address, private.

A row holds seals in place of people (``actor``, ``subject``). What a seal stands for is kept beside the log; when it is
erased, nobody can find it again for want of the salt, and the row's hash still fits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

ROW_DOMAIN = "auto-insurance audit row 1"
SEAL_DOMAIN = "auto-insurance audit seal 1"
CLOSING_DOMAIN = "auto-insurance audit closing 1"
FORMAT = "auto-insurance-audit-1"
"""Names an export in its first line."""
SIZE = 32
"""Bytes of a hash, a seal and a salt."""
GENESIS = bytes(SIZE)
"""Stands before the first row."""
MAX_FAULTS = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the log. ``hash`` is that of the chain, not a part of what is hashed."""

    number: int
    id: str
    at: str
    """UTC, ``2026-01-31T23:59:59.000001Z``: always six decimals."""
    actor_kind: str
    actor: bytes | None
    """Seal of the person, key or command that acted."""
    action: str
    subject_kind: str | None
    subject_id: str | None
    subject: bytes | None
    """Seal of the person that the act concerned."""
    request_id: str | None
    details: str
    """JSON, as it was written."""
    hash: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """What a seal stands for. Whatever tells of a person is in here and nowhere else."""

    kind: str
    ident: str
    label: str | None
    address: str | None
    private: str | None
    """JSON of free texts."""
    salt: bytes


@dataclass(frozen=True, slots=True)
class Anchor:
    """The hash that the chain had at a number; kept elsewhere it shows what was cut off or written anew."""

    number: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"


START = Anchor(0, GENESIS)


@dataclass(frozen=True, slots=True)
class Closing:
    """A month that left: the rows from ``first_number`` to ``last_number``, all that there were."""

    month: str
    first_number: int
    before: bytes
    """Hash of the row before the first."""
    last_number: int
    hash: bytes
    """Hash of the last row; the first row that is kept hangs on it."""
    at: str
    digest: bytes

    @property
    def rows(self) -> int:
        """Rows that left."""
        return self.last_number - self.first_number + 1


def close(previous: Closing | None, month: str, after: Anchor, last: Anchor, at: str) -> Closing:
    """Return the closing of the rows that follow ``after`` up to ``last``."""
    chained = GENESIS if previous is None else previous.digest
    parts = (month, after.number + 1, after.hash, last.number, last.hash, at)
    return Closing(*parts, digest((CLOSING_DOMAIN, chained, *parts)))


class Damage(StrEnum):
    """What may be wrong with a chain."""

    CHANGED = "changed"
    """The row's hash does not fit: a column was changed, or the row does not follow the one before."""
    GAP = "gap"
    ORDER = "order"
    CUT = "cut"
    """The chain ends before an anchor's number."""
    ANCHOR = "anchor"
    """At the anchor's number the chain has another hash: it was written anew."""
    CLOSING = "closing"
    """The record of a month that left was changed, removed or does not fit the one before."""
    SEAL = "seal"
    """What a seal stands for was changed."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Fault:
    """One place where the chain breaks."""

    number: int
    damage: Damage
    detail: str


def digest(parts: Iterable[bytes | str | int | None]) -> bytes:
    """Return the hash of parts in the encoding of this module."""
    whole = hashlib.sha256()
    for part in parts:
        if part is None:
            whole.update(b"\x00")
            continue
        raw = part if isinstance(part, bytes) else str(part).encode()
        whole.update(b"\x01" + len(raw).to_bytes(8, "big") + raw)
    return whole.digest()


def link(previous: bytes, row: Row) -> bytes:
    """Return the hash of a row that follows a row with the hash ``previous``."""
    columns = (row.number, row.id, row.at, row.actor_kind, row.actor, row.action, row.subject_kind, row.subject_id)
    return digest((ROW_DOMAIN, previous, *columns, row.subject, row.request_id, row.details))


def seal(opened: Opened) -> bytes:
    """Return the seal of what tells of a person."""
    parts = (opened.salt, opened.kind, opened.ident, opened.label, opened.address, opened.private)
    return digest((SEAL_DOMAIN, *parts))


def instant(at: datetime) -> str:
    """Return an instant as it is hashed."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def canonical(value: Mapping[str, Any]) -> str:
    """Return JSON with sorted keys and no spaces; what JSON doesn't know becomes text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


@dataclass(slots=True)
class Verifier:
    """Goes along a chain, row by row. ``anchors`` are hashes by number that are known from elsewhere."""

    after: Anchor = START
    """Where the chain is taken up."""
    anchors: Mapping[int, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    """The first of them, at most ``MAX_FAULTS``."""
    found: int = 0
    """Faults in all."""
    rows: int = 0
    opened: int = 0
    """Seals that were compared with what they stand for."""
    erased: int = 0
    """Seals whose person was erased."""
    _last: Anchor = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.after
        self._compare(self.after)

    @property
    def head(self) -> Anchor:
        """The last row seen."""
        return self._last

    def closed(self, closings: Sequence[Closing], anchors: Mapping[int, bytes]) -> None:
        """Look at the records of what left before ``after``, and compare anchors that lie in them."""
        place, previous = START, None
        for one in closings:
            again = close(previous, one.month, place, Anchor(one.last_number, one.hash), one.at)
            if again != one:
                self._fault(one.first_number, Damage.CLOSING, f"the closing of {one.month} was changed or does not fit")
            known = anchors.get(one.last_number, one.hash)
            if known != one.hash:
                self._fault(one.last_number, Damage.ANCHOR, f"row {one.last_number} left with another hash")
            place, previous = Anchor(one.last_number, one.hash), one
        if closings and place != self.after:
            self._fault(place.number + 1, Damage.CLOSING, f"the chain is not taken up where {closings[-1].month} ended")

    def take(self, row: Row, opened: Mapping[bytes, Opened]) -> None:
        """Look at the next row, and at what is known behind its seals."""
        self.rows += 1
        expected = self._last.number + 1
        self._open(row, opened)
        if row.number < expected:
            self._fault(row.number, Damage.ORDER, f"row {row.number} comes after row {self._last.number}")
            return
        if row.number > expected:
            missing = f"row {expected} is" if row.number == expected + 1 else f"rows {expected} to {row.number - 1} are"
            self._fault(expected, Damage.GAP, f"{missing} missing")
        elif link(self._last.hash, row) != row.hash:
            self._fault(row.number, Damage.CHANGED, f"row {row.number} or its link to row {expected - 1} was changed")
        # Further on from what the row says of itself, so that later faults are found too.
        self._last = Anchor(row.number, row.hash)
        self._compare(self._last)

    def recheck(self, anchors: Mapping[int, bytes]) -> None:
        """Go on with these anchors; the place that was reached is compared with them too."""
        before, self.anchors = self.anchors, anchors
        if self._last.number not in before:
            self._compare(self._last)

    def unreadable(self, detail: str) -> None:
        """Note a row that can't be read."""
        self._fault(self._last.number + 1, Damage.UNREADABLE, detail)

    def end(self) -> None:
        """Say that there are no more rows."""
        beyond = [number for number in self.anchors if number > self._last.number]
        if beyond:
            detail = f"the chain ends at row {self._last.number}, an anchor knows row {max(beyond)}"
            self._fault(self._last.number + 1, Damage.CUT, detail)

    def _open(self, row: Row, opened: Mapping[bytes, Opened]) -> None:
        for name, value in (("actor", row.actor), ("subject", row.subject)):
            if value is None:
                continue
            known = opened.get(value)
            if known is None:
                self.erased += 1
            elif seal(known) == value:
                self.opened += 1
            else:
                self._fault(row.number, Damage.SEAL, f"what the seal of row {row.number}'s {name} hides was changed")

    def _compare(self, place: Anchor) -> None:
        wanted = self.anchors.get(place.number)
        if wanted is not None and wanted != place.hash:
            self._fault(place.number, Damage.ANCHOR, f"row {place.number} has another hash than the anchor")

    def _fault(self, number: int, damage: Damage, detail: str) -> None:
        self.found += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(number, damage, detail))


def export_head(after: Anchor, closings: Sequence[Closing] = ()) -> str:
    """Return the first line of an export of the rows that follow ``after``; with the closings that end there."""
    head: dict[str, Any] = {"format": FORMAT, "after": after.number, "hash": after.hash.hex()}
    if closings:
        head["closings"] = [_plain(one) for one in closings]
    return canonical(head)


def export_line(row: Row, opened: Mapping[bytes, Opened]) -> str:
    """Return the line of a row: its columns, hashes in hex, and in ``opened`` what is known behind its seals."""
    behind = {one.hex(): _plain(opened[one]) for one in (row.actor, row.subject) if one and one in opened}
    return canonical({**_plain(row), "opened": behind})


def verify_lines(lines: Iterable[str], anchors: Mapping[int, bytes] | None = None) -> Verifier:
    """Verify an export. What is wrong is in the ``faults`` of what is returned; a line that can't be read is one."""
    reading = iter(lines)
    try:
        after, closings = _head(next(reading, ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        verifier = Verifier()
        verifier.unreadable("the first line is not that of an export of the audit log")
        return verifier
    verifier = Verifier(after, anchors or {})
    verifier.closed(closings, anchors or {})
    for place, line in enumerate(reading, 2):
        try:
            row, opened = _parse(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            verifier.unreadable(f"line {place} can't be read")
        else:
            verifier.take(row, opened)
    verifier.end()
    return verifier


def parse_anchor(text: str) -> Anchor:
    """Return an anchor of the form ``NUMBER:HASH``, or of a line of JSON with both. Raises ``ValueError``."""
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
            number, raw = int(found["number"]), str(found["hash"])
        except (KeyError, TypeError) as error:
            raise ValueError("an anchor has a number and a hash") from error
    else:
        first, _, raw = text.strip().partition(":")
        number = int(first)
    value = bytes.fromhex(raw)
    if number < 0 or len(value) != SIZE:
        raise ValueError(f"the hash of an anchor has {SIZE * 2} hex digits")
    return Anchor(number, value)


def _plain(value: Row | Opened | Closing) -> dict[str, Any]:
    return {name: part.hex() if isinstance(part, bytes) else part for name, part in asdict(value).items()}


def _head(line: str) -> tuple[Anchor, list[Closing]]:
    found = json.loads(line)
    if found["format"] != FORMAT:
        raise ValueError(FORMAT)
    closings = [Closing(**_typed(one, _CLOSING)) for one in found.get("closings", ())]
    return parse_anchor(f"{found['after']}:{found['hash']}"), closings


_BYTES = frozenset({"actor", "subject", "hash", "salt", "before", "digest"})
_NUMBERS = frozenset({"number", "first_number", "last_number"})


def _parse(line: str) -> tuple[Row, dict[bytes, Opened]]:
    found = json.loads(line)
    opened = {bytes.fromhex(key): Opened(**_typed(value, _OPENED)) for key, value in found.pop("opened").items()}
    return Row(**_typed(found, _ROW)), opened


_ROW: Sequence[str] = [one.name for one in fields(Row)]
_CLOSING: Sequence[str] = [one.name for one in fields(Closing)]
_OPENED: Sequence[str] = [one.name for one in fields(Opened)]


def _typed(found: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the columns with their types; what is unknown, missing or of another type is refused."""
    if found.keys() != set(names):
        raise ValueError("columns")
    for name, value in found.items():
        if value is not None and not isinstance(value, int if name in _NUMBERS else str):
            raise ValueError(name)
    return {
        name: bytes.fromhex(value) if name in _BYTES and value is not None else value for name, value in found.items()
    }
