"""Resolves host names, and refuses addresses that are not on the public internet.

A URL from others could otherwise make this server call what only its own network reaches (server-side request forgery).
Connect to an address that was returned, not to the name: the name may resolve differently the next time.
"""

import asyncio
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from socket import SOCK_STREAM

_GLOBAL_UNICAST = IPv6Network("2000::/3")  # the only part of IPv6 that is assigned to the internet
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address that is reached
_SPECIAL = IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"), IPv6Network("3fff::/20")
"""IANA's special-purpose networks that Python 3.11 does not know, or not completely."""
_HOST_SERVICES = frozenset({IPv4Address("168.63.129.16")})
"""Public by their number, but services of the machine's own host: Azure's, which has credentials for the machine."""


class AddressNotPublic(Exception):
    """A host has an address that is not public. The message names the host and the address."""


async def resolve_public(host: str, port: int, *, allow_private: bool) -> list[str]:
    """Returns the host's addresses as text, in the resolver's order, without repetitions.

    `host`: a name or an address, IPv6 without brackets. `allow_private`: return every address, public or not.

    Raises AddressNotPublic if any address is not public, and OSError if the name has no address or cannot be resolved.
    The resolver has its own time limit, some seconds or more: set a deadline around the call.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or too long
        raise OSError(f"{host!r} is not a host name.") from error
    addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
    if not allow_private:
        for address in addresses:
            if not is_public(address):
                where = "" if address == host else f", the address of {host},"
                raise AddressNotPublic(f"{address}{where} is not a public address.")
    return addresses


def is_public(address: str) -> bool:
    """Whether an address is reached through the public internet.

    False for loopback, private, link-local, shared (RFC 6598), multicast, reserved and unspecified addresses, and for
    IPv6 addresses that contain such an IPv4 address. False for IPv4-mapped ones too, as no name server has a reason to
    return them. Raises ValueError for text that is no address.
    """
    parsed = ip_address(address)
    if isinstance(parsed, IPv4Address):
        return _is_public(parsed)
    if parsed in _NAT64:
        return _is_public(IPv4Address(int(parsed) & 0xFFFF_FFFF))
    if parsed.sixtofour is not None:
        return _is_public(parsed.sixtofour)
    return parsed in _GLOBAL_UNICAST and _is_public(parsed)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if address in _HOST_SERVICES or any(address in network for network in _SPECIAL):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)  # most of multicast is "global"
