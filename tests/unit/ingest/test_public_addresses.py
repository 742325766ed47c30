"""Which addresses a URL from others may lead to."""

import asyncio
from typing import Any

import pytest

from ingest.public_addresses import AddressNotPublic, is_public, resolve_public

PUBLIC = ("93.184.215.14", "8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808", "2002:808:808::1")
NOT_PUBLIC = {
    "loopback": ("127.0.0.1", "127.255.0.9", "::1"),
    "private": ("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd00:ec2::254"),
    "link-local": ("169.254.169.254", "fe80::1", "fe80::1%2"),
    "shared": ("100.64.0.1", "100.100.100.200"),
    "multicast": ("224.0.0.1", "239.1.1.1", "232.1.2.3", "ff02::1", "ff0e::1"),
    "reserved": (
        "240.0.0.1",
        "255.255.255.255",
        "192.0.0.192",
        "198.18.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "100::1",
    ),
    "unspecified": ("0.0.0.0", "0.1.2.3", "::"),
    "mapped": ("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:8.8.8.8"),
    "compatible": ("::127.0.0.1", "::10.0.0.1"),
    "NAT64": ("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808"),
    "6to4 and Teredo": ("2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:808:808::1"),
    "site-local": ("fec0::1",),
    "the host's own services": ("168.63.129.16", "64:ff9b::a83f:8110"),
}


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("kind", NOT_PUBLIC)
def test_other_address_is_not_public(kind: str) -> None:
    assert [address for address in NOT_PUBLIC[kind] if is_public(address)] == []


def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Lets every name have these addresses."""

    async def getaddrinfo(_host: str, port: int, **_: Any) -> list[Any]:
        return [(None, None, 0, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_name_of_public_addresses_returns_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, "8.8.8.8", "2606:4700:4700::1111", "8.8.8.8")

    found = await resolve_public("images.example", 443, allow_private=False)

    assert found == ["8.8.8.8", "2606:4700:4700::1111"]


async def test_name_with_one_private_address_is_refused_and_both_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, "8.8.8.8", "10.1.2.3")

    with pytest.raises(AddressNotPublic, match=r"^10\.1\.2\.3, the address of images\.example, is not a public"):
        await resolve_public("images.example", 443, allow_private=False)


async def test_private_address_is_returned_if_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, "10.1.2.3")

    assert await resolve_public("images.example", 80, allow_private=True) == ["10.1.2.3"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_address_in_any_spelling_is_checked(host: str) -> None:
    with pytest.raises(AddressNotPublic, match="is not a public address"):
        await resolve_public(host, 80, allow_private=False)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
async def test_impossible_name_raises_oserror(host: str) -> None:
    with pytest.raises(OSError, match="is not a host name"):
        await resolve_public(host, 80, allow_private=False)
