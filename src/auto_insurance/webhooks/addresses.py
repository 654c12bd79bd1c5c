"""Where webhooks may go: which URLs are taken, and which addresses are connected to.

A URL is read by the same parser that connects later (httpx), so that the two can't disagree about its host. Addresses
are judged by an explicit table rather than by ``is_private``, whose meaning differs between releases of Python.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
MAX_URL = 2000
_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?\.?")
_INNER_NAMES = ("localhost", "local", "internal", "lan", "home.arpa", "onion")
_REFUSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
"""IANA special-purpose registry, multicast and reserved; 168.63.129.16 below is a cloud's host agent."""
_REFUSED_HOSTS = frozenset({IPv4Address("168.63.129.16")})
_UNICAST_V6 = IPv6Network("2000::/3")
"""Only this holds global unicast: loopback, v4-mapped, NAT64, link-local, unique local and multicast lie outside."""
_REFUSED_V6 = tuple(
    IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
"""Within it: Teredo and other protocol assignments, documentation, 6to4 (which carries an IPv4 address)."""


class Refused(Exception):
    """Nothing is sent there; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class AddressRules:
    """What is allowed beyond https to public addresses."""

    allow_http: bool = False
    allowed: tuple[Network, ...] = ()

    def check_url(self, text: str) -> httpx.URL:
        """Return the URL. Raises ``Refused`` for what can't be right wherever its name leads."""
        url = _parsed(text)
        if url.scheme not in ({"https", "http"} if self.allow_http else {"https"}):
            raise Refused("The URL must begin with https://.")
        if url.userinfo:
            raise Refused("The URL must not hold a user name or password.")
        if url.fragment:
            raise Refused("The URL must not have a fragment.")
        self._check_host(url.raw_host.decode("ascii").lower())
        return url

    def check_address(self, text: str) -> Address:
        """Return an address that a name led to. Raises ``Refused`` unless it is public or explicitly allowed."""
        try:
            address = ip_address(text)
        except ValueError:
            raise Refused("The name leads to something that is no address.") from None
        if not (is_public(address) or self._is_allowed(address)):
            raise Refused("The name leads to an address that is not public.")
        return address

    def _check_host(self, host: str) -> None:
        try:
            literal = ip_address(host)
        except ValueError:
            self._check_name(host)
            return
        if not (is_public(literal) or self._is_allowed(literal)):
            raise Refused("The URL's address is not public.")

    def _check_name(self, host: str) -> None:
        if len(host) > 253 or not _NAME.fullmatch(host):
            raise Refused("The URL's host is no valid name.")
        bare = host.rstrip(".")
        if not self.allowed and ("." not in bare or bare.endswith(tuple(f".{name}" for name in _INNER_NAMES))):
            raise Refused("The URL's host is a name of a local network.")

    def _is_allowed(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self.allowed)


def _parsed(text: str) -> httpx.URL:
    if len(text) > MAX_URL or not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise Refused(f"The URL must be up to {MAX_URL} plain characters without blanks.")
    try:
        url = httpx.URL(text)
        has_host = bool(url.host)
    except (httpx.InvalidURL, ValueError):
        raise Refused("This is no URL.") from None
    if not has_host or not 0 < (url.port or 443) < 65_536 or url.port == 0:
        raise Refused("The URL needs a host, and a port from 1 to 65535 if any.")
    return url


def is_public(address: Address) -> bool:
    """Return whether an address is one of the public internet."""
    if isinstance(address, IPv4Address):
        return address not in _REFUSED_HOSTS and not any(address in network for network in _REFUSED_V4)
    if address.scope_id is not None or address not in _UNICAST_V6:
        return False
    return not any(address in network for network in _REFUSED_V6)


def networks(text: str) -> tuple[Network, ...]:
    """Return networks from CIDRs by comma. Raises ``ValueError``."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def one_of_each(addresses: Sequence[str], most: int) -> list[str]:
    """Return the first ``most`` different addresses, in order."""
    return list(dict.fromkeys(addresses))[:most]
