"""Sends one request to an address that was checked, and to no other.

The name is resolved once; all its addresses must be allowed; the connection is made to one of them by number, with the
name in Host and in the TLS handshake. A name server that answers differently a moment later changes nothing. Redirects
are answers like any other, proxies of the environment are not used, and no connection is used twice: one that was made
for a name must not serve another name of the same address.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from auto_insurance.kernel import clock
from auto_insurance.webhooks.addresses import AddressRules, Refused
from auto_insurance.webhooks.resolving import Resolve, Resolver
from auto_insurance.webhooks.retrying import retry_after_s

ADDRESSES_TRIED = 2
"""Of a name with several, when a connection can't be made."""


@dataclass(frozen=True, slots=True)
class SendOptions:
    """Times and sizes of one request."""

    connect_s: float = 3.0
    total_s: float = 10.0
    """From the look-up of the name to the end of the answer."""
    max_answer_bytes: int = 64 * 1024
    """Of the answer's body nothing is kept; beyond this it is not even read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: a status, or the word for why there is none."""

    status: int | None
    error: str | None
    duration_s: float
    retry_after_s: float | None = None

    @property
    def accepted(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Sends to endpoints; close it when done."""

    def __init__(self, rules: AddressRules, options: SendOptions | None = None, resolve: Resolve | None = None) -> None:
        self._rules = rules
        self._options = options or SendOptions()
        self._own = Resolver()
        self._resolve: Resolve = resolve or self._own
        self._client: httpx.AsyncClient | None = None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return what became of a POST. Never raises for what the receiver or the network does."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._options.total_s):
                status, wait_s = await self._send(url, headers, body)
        except (Refused, TimeoutError, OSError, httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            return Answer(None, _word(error), time.monotonic() - started)
        return Answer(status, None, time.monotonic() - started, wait_s)

    async def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.aclose()
        self._own.close()

    async def _send(self, text: str, headers: Mapping[str, str], body: bytes) -> tuple[int, float | None]:
        url = self._rules.check_url(text)
        addresses = await self._addresses(url)
        for number, address in enumerate(addresses, 1):
            request = self._request(url, address, headers, body)
            try:
                return await self._exchange(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if number == len(addresses):
                    raise
        raise Refused("The name leads nowhere.")

    async def _addresses(self, url: httpx.URL) -> Sequence[str]:
        """Return where to connect. Raises ``Refused`` if any address of the name is: it shows what the name is for."""
        host = url.raw_host.decode("ascii")
        found = await self._resolve(host, url.port or (443 if url.scheme == "https" else 80))
        checked = [str(self._rules.check_address(address)) for address in found]
        return checked[:ADDRESSES_TRIED]

    def _request(self, url: httpx.URL, address: str, headers: Mapping[str, str], body: bytes) -> httpx.Request:
        pinned = url.copy_with(host=address)
        host = url.raw_host.decode("ascii")
        return self._http.build_request(
            "POST",
            pinned,
            headers={"Host": url.netloc.decode("ascii"), "Accept-Encoding": "identity", **headers},
            content=body,
            extensions={"sni_hostname": host.rstrip(".")},
        )

    async def _exchange(self, request: httpx.Request) -> tuple[int, float | None]:
        answer = await self._http.send(request, stream=True, follow_redirects=False)
        try:
            # The status line decides. The rest is read out of courtesy, as far as time and bounds go.
            await self._drain(answer)
        except (httpx.HTTPError, TimeoutError):
            pass
        finally:
            await answer.aclose()
        return answer.status_code, retry_after_s(answer.headers.get("retry-after"), clock.now())

    async def _drain(self, answer: httpx.Response) -> None:
        size = 0
        async with asyncio.timeout(self._options.connect_s):
            async for piece in answer.aiter_raw():
                size += len(piece)
                if size > self._options.max_answer_bytes:
                    return

    @property
    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            options = self._options
            self._client = httpx.AsyncClient(
                trust_env=False,
                timeout=httpx.Timeout(options.total_s, connect=options.connect_s),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            )
        return self._client


def _word(error: Exception) -> str:
    """Return why there is no answer, as a word from a closed set."""
    if isinstance(error, Refused):
        return "address_refused"
    if isinstance(error, httpx.ConnectTimeout):
        return "connect_timeout"
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "timeout"
    if isinstance(error, httpx.ConnectError):
        return "tls_failed" if _is_tls(error) else "connect_failed"
    if isinstance(error, OSError | UnicodeError):
        return "name_not_found"
    return "protocol_error"


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
