"""An answer that is kept, ready to send, and its form in Redis."""

from __future__ import annotations

import zlib
from hashlib import blake2b

import msgspec

from auto_insurance.kernel.errors import AppError, ErrorKind

MAX_BYTES = 256 * 1024
"""A larger answer is not kept: a few of them would take the room of thousands."""
PACK_FROM = 1024
"""Bytes from which on an answer is also kept gzipped; under it the saving is less than a packet."""
_WORTH = 0.9
PACK_LEVEL = 6
_GZIP = zlib.MAX_WBITS | 16


class NotThere(AppError):
    """Kept for a moment: what was asked for does not exist. ``code`` is that of the error that told so."""

    kind = ErrorKind.NOT_FOUND
    code = "not_found"

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """An answer. ``absent`` holds code and detail where the answer is that there is none; ``body`` is empty then."""

    body: bytes
    packed: bytes | None
    etag: bytes
    absent: tuple[str, str] | None = None

    @property
    def size(self) -> int:
        """Bytes of both forms."""
        return len(self.body) + len(self.packed or b"")

    def given(self) -> Entry:
        """Return the entry. Raises ``NotThere`` if it says that there is nothing."""
        if self.absent is not None:
            raise NotThere(*self.absent)
        return self


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """What is in Redis: an answer, and the generations of all that it was made of, from before it was made."""

    generations: list[bytes]
    entry: Entry


def entry_of(body: bytes, *, pack: bool = True) -> Entry:
    """Return an answer with its packed form, if that is worth it, and its validator (weak: one for both forms)."""
    packed: bytes | None = None
    if pack and len(body) >= PACK_FROM:
        packer = zlib.compressobj(PACK_LEVEL, wbits=_GZIP)
        small = packer.compress(body) + packer.flush()
        packed = small if len(small) < len(body) * _WORTH else None
    return Entry(body, packed, b'W/"%s"' % blake2b(body, digest_size=12).hexdigest().encode())


def absent_of(error: AppError) -> Entry:
    """Return an entry for what is not there."""
    return Entry(b"", None, b"", (error.code, error.detail))


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Stored).decode
