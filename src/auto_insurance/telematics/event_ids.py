"""The id of an event that came without one: 64 bits of its content, 11 characters of base64url. Pure.

The same event has the same id at the door, behind the log, in every version and on every machine: stored events are
told apart by it, so this definition may never change. The key also holds device and time, hence 64 bits are plenty:
two different events of one device and microsecond share an id once in 10^19. It is no signature; a device could at
most hide its own events behind each other.

Eleven 64-bit words describe the content (see :func:`words`). Each is mixed with its own constant, so that it counts
where it stands, and the mixed words are added up and mixed once more. The mixer is the finaliser of SplitMix64
(Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014), texts come in as 64 bits of BLAKE2b.
"""

from __future__ import annotations

import hashlib
import struct
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WORDS = 11
ID_CHARACTERS = 11
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_M1, _M2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_KEYS = tuple(_GOLDEN * (number + 1) & _MASK for number in range(WORDS))
_PHONE = {False: 0, True: 1, None: 2}
_NO_DOUBLE, _NO_SINGLE = 0x7FF8_0000_0000_0000, 0x7FC0_0000
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

Words = NDArray[np.uint64]
_M1_WORD, _M2_WORD = np.uint64(_M1), np.uint64(_M2)
_KEY_WORDS = np.array(_KEYS, np.uint64)[:, None]
_S27, _S30, _S31 = (np.uint64(bits) for bits in (27, 30, 31))
_SHIFTS = np.arange(58, -1, -6, dtype=np.uint64)
_CODE_POINTS = np.array([ord(character) for character in _ALPHABET], np.uint32)


class Content(NamedTuple):
    """What an id is made of: numbers as they are stored (singles rounded, no -0.0), None where unknown."""

    device_id: str
    t_us: int
    latitude: float | None
    longitude: float | None
    speed_mph: float | None
    accel_g: float | None
    lateral_g: float | None
    heading_deg: float | None
    altitude_m: float | None
    gps_accuracy_m: float | None
    speed_limit_mph: float | None
    phone_in_use: bool | None
    event_type: str
    trip_id: str | None
    extra: str | None


def derive(content: Content) -> str:
    """Return the id of one event."""
    mixed = sum(_mix(word ^ key) for word, key in zip(words(content), _KEYS, strict=True)) & _MASK
    return urlsafe_b64encode(_mix(mixed).to_bytes(8, "big")).decode()[:ID_CHARACTERS]


def words(content: Content) -> tuple[int, ...]:
    """Return the eleven words: device, time, two doubles, four pairs of singles (low half first), three texts.

    The fourth pair is the speed limit and the phone (0 no, 1 yes, 2 unknown); a missing number is the quiet NaN, a
    missing text 0.
    """
    c = content
    return (
        text_word(c.device_id),
        c.t_us & _MASK,
        _double(c.latitude),
        _double(c.longitude),
        _single(c.speed_mph) | _single(c.accel_g) << 32,
        _single(c.lateral_g) | _single(c.heading_deg) << 32,
        _single(c.altitude_m) | _single(c.gps_accuracy_m) << 32,
        _single(c.speed_limit_mph) | _PHONE[c.phone_in_use] << 32,
        text_word(c.event_type),
        text_word(c.trip_id),
        text_word(c.extra),
    )


@lru_cache(20_000)
def _short_text_word(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def text_word(text: str | None) -> int:
    """Return 64 bits of a text, 0 for none."""
    if text is None:
        return 0
    if len(text) > 64:
        return _short_text_word.__wrapped__(text)
    return _short_text_word(text)


def derive_many(matrix: Words) -> list[str]:
    """Return the ids of events given as their words, ``WORDS`` rows of equal length. Changes ``matrix``."""
    matrix ^= _KEY_WORDS
    _mix_many(matrix)
    mixed = np.add.reduce(matrix, axis=0)
    _mix_many(mixed)
    return _texts(mixed)


def pair(low: NDArray[np.float32], high: NDArray[np.float32]) -> Words:
    """Return the words of two columns of singles."""
    return single_bits(low) | single_bits(high) << np.uint64(32)


def single_bits(values: NDArray[np.float32]) -> Words:
    """Return the bits of singles, all NaN alike, in the low halves."""
    bits = values.view(np.uint32).astype(np.uint64)
    bits[np.isnan(values)] = _NO_SINGLE
    return bits


def double_bits(values: NDArray[np.float64]) -> Words:
    """Return the bits of doubles, all NaN alike."""
    bits = values.view(np.uint64).copy()
    bits[np.isnan(values)] = _NO_DOUBLE
    return bits


def text_words(texts: Sequence[str | None]) -> Words:
    """Return the words of texts."""
    return np.array([text_word(text) for text in texts], np.uint64)


def _mix(word: int) -> int:
    word = (word ^ word >> 30) * _M1 & _MASK
    word = (word ^ word >> 27) * _M2 & _MASK
    return word ^ word >> 31


def _mix_many(values: Words) -> None:
    values ^= values >> _S30
    values *= _M1_WORD
    values ^= values >> _S27
    values *= _M2_WORD
    values ^= values >> _S31


def _texts(values: Words) -> list[str]:
    symbols = np.empty((len(values), ID_CHARACTERS), np.uint64)
    symbols[:, :10] = values[:, None] >> _SHIFTS
    symbols[:, 10] = values << np.uint64(2)
    symbols &= np.uint64(63)
    points = _CODE_POINTS[symbols.astype(np.intp)]
    texts: list[str] = points.view(f"<U{ID_CHARACTERS}")[:, 0].tolist()
    return texts


def _double(value: float | None) -> int:
    return _NO_DOUBLE if value is None else int.from_bytes(struct.pack(">d", value), "big")


def _single(value: float | None) -> int:
    return _NO_SINGLE if value is None else int.from_bytes(struct.pack(">f", value), "big")
