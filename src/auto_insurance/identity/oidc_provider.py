"""What an OpenID Connect provider says of itself and of people: discovery, keys, exchange of codes, ID tokens.

Only signatures by the provider's published keys count, by algorithms of a closed list; ``none`` and shared-secret ones
are not on it. Everything that comes from outside is bounded in time and size.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
import structlog

from auto_insurance.identity.errors import OidcRefused, OidcUnavailable
from auto_insurance.kernel import clock

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
log = structlog.get_logger(__name__)
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
MAX_BYTES = 512 * 1024
KEPT_S = 3600.0
"""Discovery document and keys are read again after this, at the next sign-in."""
KEYS_AGAIN_S = 30.0
"""A key that is not known has the keys read again, but not within this."""
LEEWAY_S = 60.0
"""How far the provider's clock may be off."""
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class ProviderOptions:
    """Which provider, and as whom we speak to it."""

    issuer: str
    client_id: str
    redirect_url: str
    client_secret: str | None = field(default=None, repr=False)
    scope: str = "openid email profile"
    timeout_s: float = 5.0


class Discovery(msgspec.Struct, frozen=True):
    """What we need of a discovery document (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str


class _Keys(msgspec.Struct, frozen=True):
    keys: tuple[dict[str, Any], ...]


class OidcProvider:
    """Speaks to one provider."""

    def __init__(self, options: ProviderOptions) -> None:
        self.options = options
        # Here and not for all: most processes speak to no provider.
        self._http, self._jwt = import_module("httpx"), import_module("jwt")
        self._client: httpx.AsyncClient = self._http.AsyncClient(
            timeout=options.timeout_s, follow_redirects=False, trust_env=False
        )
        self._lock = asyncio.Lock()
        self._discovery: tuple[float, Discovery] | None = None
        self._keys: tuple[float, dict[str, dict[str, Any]]] | None = None

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def authorization_url(self, *, state: str, nonce: str, challenge: str) -> str:
        """Return where somebody signs in (RFC 6749, 4.1.1 with PKCE, RFC 7636). Raises ``OidcUnavailable``."""
        endpoint = (await self._discover()).authorization_endpoint
        query = {
            "response_type": "code",
            "client_id": self.options.client_id,
            "redirect_uri": self.options.redirect_url,
            "scope": self.options.scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def claims(self, code: str, verifier: str, nonce: str) -> dict[str, Any]:
        """Exchange a code and return the verified claims of its ID token.

        Raises ``OidcRefused`` for a code or token that is not right, and ``OidcUnavailable``.
        """
        found = await self._discover()
        body = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.options.redirect_url,
            "client_id": self.options.client_id,
            "code_verifier": verifier,
        }
        auth = None
        if self.options.client_secret is not None:
            if "client_secret_basic" in found.token_endpoint_auth_methods_supported:
                auth = self._http.BasicAuth(self.options.client_id, self.options.client_secret)
            else:
                body["client_secret"] = self.options.client_secret
        raw = await self._fetch("POST", found.token_endpoint, data=body, auth=auth)
        return await self._verified(_decoded(raw, _Tokens).id_token, nonce)

    async def _verified(self, token: str, nonce: str) -> dict[str, Any]:
        """Check an ID token (OpenID Connect Core 1.0, 3.1.3.7)."""
        try:
            header = self._jwt.get_unverified_header(token)
            algorithm, kid = header.get("alg"), header.get("kid")
            if algorithm not in ALGORITHMS:
                raise _refused("algorithm")
            key = await self._key(None if kid is None else str(kid))
            claims: dict[str, Any] = self._jwt.decode(
                token,
                self._jwt.PyJWK(key, algorithm=algorithm),
                algorithms=[algorithm],
                audience=self.options.client_id,
                issuer=self.options.issuer,
                # Time is compared below, with our clock.
                options={
                    "require": ["iss", "sub", "aud", "exp", "iat"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            expires_at, issued_at = float(claims["exp"]), float(claims["iat"])
        except (self._jwt.PyJWTError, ValueError, TypeError) as error:
            raise _refused(type(error).__name__) from None
        now = clock.now().timestamp()
        if expires_at + LEEWAY_S <= now or issued_at - LEEWAY_S > now:
            raise _refused("time")
        if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise _refused("nonce")
        audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if claims.get("azp", self.options.client_id) != self.options.client_id or (
            len(audiences) > 1 and "azp" not in claims
        ):
            raise _refused("azp")
        return claims

    async def _key(self, kid: str | None) -> dict[str, Any]:
        """Return the key of that id, or the only one there is."""
        keys = await self._read_keys(KEPT_S)
        if kid is not None and kid not in keys:
            keys = await self._read_keys(KEYS_AGAIN_S)
        if kid is None and len(keys) == 1:
            return next(iter(keys.values()))
        if kid is None or kid not in keys:
            raise _refused("unknown key")
        return keys[kid]

    async def _read_keys(self, kept_s: float) -> dict[str, dict[str, Any]]:
        async with self._lock:
            if self._keys is not None and time.monotonic() - self._keys[0] < kept_s:
                return self._keys[1]
        uri = (await self._discover()).jwks_uri
        found = _decoded(await self._fetch("GET", uri), _Keys)
        keys = {str(key.get("kid", number)): key for number, key in enumerate(found.keys)}
        self._keys = (time.monotonic(), keys)
        return keys

    async def _discover(self) -> Discovery:
        async with self._lock:
            if self._discovery is not None and time.monotonic() - self._discovery[0] < KEPT_S:
                return self._discovery[1]
            url = f"{self.options.issuer.rstrip('/')}/.well-known/openid-configuration"
            found = _decoded(await self._fetch("GET", url), Discovery)
            if found.issuer != self.options.issuer:
                raise _refused("issuer of the discovery document")
            for endpoint in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
                parts = urlsplit(endpoint)
                if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
                    raise _refused("endpoint without TLS")
            self._discovery = (time.monotonic(), found)
            return found

    async def _fetch(
        self, method: str, url: str, *, data: dict[str, str] | None = None, auth: httpx.Auth | None = None
    ) -> bytes:
        """Return a body of at most ``MAX_BYTES``, within twice the time-out in all."""
        headers = {"Accept": "application/json"}
        kept = bytearray()
        try:
            async with (
                asyncio.timeout(2 * self.options.timeout_s),
                self._client.stream(method, url, data=data, auth=auth, headers=headers) as answer,
            ):
                if answer.status_code >= 500:
                    raise OidcUnavailable
                if answer.status_code != 200:
                    raise _refused(f"status {answer.status_code}")
                async for part in answer.aiter_bytes():
                    kept += part
                    if len(kept) > MAX_BYTES:
                        raise _refused("size")
        except (self._http.HTTPError, self._http.InvalidURL, TimeoutError) as error:
            log.warning("oidc_unavailable", error=type(error).__name__)
            raise OidcUnavailable from None
        return bytes(kept)


def _decoded(raw: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=type_)
    except msgspec.MsgspecError:
        raise _refused("malformed answer") from None


def _refused(why: str) -> OidcRefused:
    log.warning("oidc_refused", reason=why)
    return OidcRefused()
