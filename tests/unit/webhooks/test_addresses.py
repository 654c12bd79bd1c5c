"""What is no public address over https is refused, however it is written."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.webhooks.addresses import AddressRules, Refused, is_public, networks

STRICT, DEVELOPMENT = AddressRules(), AddressRules(allow_http=True)

HOSTILE = [
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "//example.com/",
    "example.com",
    "https://",
    "https:///x",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://example.com@127.0.0.1/",
    "https://example.com#@127.0.0.1/",
    "https://example.com/#part",
    "https://example.com\\@127.0.0.1/",
    "https://exam ple.com/",
    "https://example.com/\r\nHost: inner",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://10.0.0.1/",
    "https://100.64.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://168.63.129.16/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::808:808]/",
    "https://[64:ff9b:1::a00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:7f00:1::]/",
    "https://[2001:db8::1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fc00::1]/",
    "https://[fd12:3456::1]/",
    "https://[ff02::1]/",
    "https://[fec0::1]/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://a.localhost/",
    "https://printer.local/",
    "https://metadata.google.internal/",
    "https://database/",
    "https://-bad-.example.com/",
    "https://example..com/",
    "https://ex\u0430mple.com/",
    "https://" + "a" * 64 + ".example.com/",
    "https://example.com/" + "a" * 2000,
]


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_urls_are_refused(url: str) -> None:
    with pytest.raises(Refused):
        STRICT.check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com:8443/hooks?a=b",
        "https://EXAMPLE.com./",
        "https://xn--bcher-kva.example/",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
        "https://hooks_1.example.com/",
    ],
)
def test_public_urls_are_taken(url: str) -> None:
    STRICT.check_url(url)


def test_plain_http_is_for_development_and_stays_public() -> None:
    DEVELOPMENT.check_url("http://example.com/")
    for url in ("http://127.0.0.1/", "http://localhost/", "ftp://example.com/"):
        with pytest.raises(Refused):
            DEVELOPMENT.check_url(url)


def test_a_network_may_be_allowed_by_name() -> None:
    rules = AddressRules(allow_http=True, allowed=networks("127.0.0.0/8, fd00::/8"))
    rules.check_url("http://127.0.0.1:8080/")
    rules.check_url("http://[fd00::1]/")
    rules.check_url("http://receiver/")
    rules.check_address("127.9.9.9")
    for address in ("10.0.0.1", "::1", "::ffff:127.0.0.1", "fe80::1%lo"):
        with pytest.raises(Refused):
            rules.check_address(address)
    with pytest.raises(ValueError, match="host bits"):
        networks("127.0.0.1/8")


@given(st.ip_addresses(v=4))
def test_no_address_that_the_library_calls_not_global_is_public(address: ipaddress.IPv4Address) -> None:
    if is_public(address):
        assert address.is_global
        assert not (address.is_private)
        assert not (address.is_loopback)
        assert not (address.is_multicast)
        assert not (address.is_reserved)


@given(st.ip_addresses(v=4))
def test_no_dressed_up_ipv4_address_is_public(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for prefix in ("::ffff:0:0", "::", "64:ff9b::", "64:ff9b:1::"):
        assert not is_public(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + number))
    assert not is_public(ipaddress.IPv6Address((0x2002 << 112) | (number << 80)))


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_that_the_library_calls_not_global_is_public(address: ipaddress.IPv6Address) -> None:
    if is_public(address):
        assert not (address.is_private)
        assert not (address.is_loopback)
        assert not (address.is_multicast)
        assert not (address.is_link_local)


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "127.0.0.1:80", "1.2.3.4.5"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        STRICT.check_address(text)
