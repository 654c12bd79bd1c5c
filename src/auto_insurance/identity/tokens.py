"""Access tokens (JWT, RFC 7519) and the opaque secrets of refresh tokens and device keys."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from types import ModuleType
from typing import Any
from uuid import UUID

from cachetools import TTLCache

from auto_insurance.identity.errors import ExpiredToken, InvalidToken
from auto_insurance.identity.schemas import Principal, User, known_roles
from auto_insurance.kernel import clock, ids

SECRET_BYTES = 32
"""256 bits: no guess, so that a plain SHA-256 is enough at rest."""
API_KEY_PREFIX = "aik_"
DEVICE_KEY_PREFIX = "aik_"
SHOWN_CHARS = 10
"""How much of a key is kept to know it by: the prefix and 36 bits, which leaves 220 to guess."""
REMEMBERED, REMEMBERED_S = 20_000, 60.0
"""Tokens whose signature was found good, and for how long that is remembered."""
_CLAIMS = ["iss", "aud", "sub", "sid", "jti", "iat", "exp", "name", "roles"]


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """How tokens are signed and how long they live."""

    secret_key: str = field(repr=False)
    algorithm: str = "HS256"
    issuer: str = "auto-insurance"
    audience: str = "auto-insurance-api"
    access_ttl: timedelta = timedelta(minutes=30)


class AccessTokens:
    """Issues and reads access tokens."""

    def __init__(self, options: TokenOptions) -> None:
        self._options = options
        # Checking a signature costs more than the rest of a read. What a token says never changes; its time is
        # compared each time, and whether the session still lives is not asked here.
        self._read: TTLCache[str, tuple[Principal, float]] = TTLCache(REMEMBERED, ttl=REMEMBERED_S)

    @property
    def ttl_s(self) -> int:
        """Return the seconds that an access token lives."""
        return int(self._options.access_ttl.total_seconds())

    def issue(self, user: User, session_id: UUID) -> str:
        """Return a signed token for a user's session."""
        now = clock.now()
        claims: dict[str, Any] = {
            "iss": self._options.issuer,
            "aud": self._options.audience,
            "sub": str(user.user_id),
            "sid": str(session_id),
            "jti": str(ids.new_uuid()),
            "iat": int(now.timestamp()),
            "exp": int((now + self._options.access_ttl).timestamp()),
            "name": user.username,
            "roles": sorted(user.roles),
            "driver_id": user.driver_id,
        }
        return str(_jwt().encode(claims, self._options.secret_key, algorithm=self._options.algorithm))

    def read(self, token: str) -> Principal:
        """Return whom a token speaks for. Raises ``InvalidToken`` or ``ExpiredToken``.

        Only signature, issuer, audience and time are checked here, not whether the session has ended.
        """
        known = self._read.get(token)
        if known is None:
            known = self._read[token] = self._checked(token)
        principal, expires_at = known
        if clock.now().timestamp() >= expires_at:
            raise ExpiredToken
        return principal

    def _checked(self, token: str) -> tuple[Principal, float]:
        jwt = _jwt()
        try:
            claims = jwt.decode(
                token,
                self._options.secret_key,
                algorithms=[self._options.algorithm],
                issuer=self._options.issuer,
                audience=self._options.audience,
                # Time is compared below, with our clock.
                options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
            expires_at = float(claims["exp"])
            principal = Principal(
                user_id=UUID(claims["sub"]),
                session_id=UUID(claims["sid"]),
                username=str(claims["name"]),
                roles=known_roles(str(role) for role in claims["roles"]),
                driver_id=claims.get("driver_id"),
            )
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError):
            # Without the cause: it may quote the token.
            raise InvalidToken from None
        return principal, expires_at


def _jwt() -> ModuleType:
    """Return PyJWT: with the cryptography below it 7 MB, which a worker never needs."""
    return import_module("jwt")


def new_refresh_token() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(SECRET_BYTES)


def new_device_key() -> str:
    """Return ``aik_`` and 256 random bits as base64url."""
    return DEVICE_KEY_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def new_api_key() -> str:
    """Return ``aik_`` and 256 random bits as base64url."""
    return API_KEY_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest(secret: str) -> bytes:
    """Return the SHA-256 under which a random secret is stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
