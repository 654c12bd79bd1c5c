"""Signatures and secrets after Standard Webhooks 1.0 (https://www.standardwebhooks.com). Pure.

A signing secret is not stored: it is computed from the installation's key and a random salt in the endpoint's row.
Neither a copy of the database nor the key alone yields one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

PREFIX = "whsec_"
SALT_BYTES = 32
_USE = b"auto-insurance webhook secret v1\0"


@dataclass(frozen=True, slots=True)
class Held:
    """What is stored of a secret: its salt and which key it was made with."""

    salt: bytes
    key_id: str


class KeyUnknown(Exception):
    """The secret was made with a key that is not configured any more."""


class Keyring:
    """The installation's keys: the first makes new secrets, all of them compute old ones."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = {key_id(key): key.encode() for key in keys}

    @property
    def newest(self) -> str | None:
        """The id of the key that makes new secrets; None without any."""
        return next(iter(self._keys), None)

    def knows(self, held: Held) -> bool:
        """Return whether a secret can be computed."""
        return held.key_id in self._keys

    def secret(self, held: Held) -> bytes:
        """Return the 32 bytes of a secret. Raises ``KeyUnknown``."""
        key = self._keys.get(held.key_id)
        if key is None:
            raise KeyUnknown
        return hmac.digest(key, _USE + held.salt, "sha256")


def key_id(key: str) -> str:
    """Return a key's name: tells keys apart and nothing else."""
    return hashlib.sha256(b"auto-insurance webhook key id\0" + key.encode()).hexdigest()[:16]


def shown(secret: bytes) -> str:
    """Return a secret as its receiver keeps it: ``whsec_`` and base64."""
    return PREFIX + base64.b64encode(secret).decode()


def signature(secrets: Iterable[bytes], message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the header ``webhook-signature``: one ``v1,...`` for each secret, by blanks."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in secrets)
