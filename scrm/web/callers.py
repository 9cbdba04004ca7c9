"""Where a request comes from, as far as that can be believed."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from aiohttp import web

#: Whoever has one IPv6 address has all of its network.
_V6_PREFIX = 64


def is_near(peer: str) -> bool:
    """Loopback and private networks: a proxy, behind which are many."""
    try:
        return not ipaddress.ip_address(peer.partition("%")[0]).is_global
    except ValueError:
        return True  # a unix socket


def caller_of(request: web.Request) -> str:
    return caller(request.remote or "", request.headers.getall("X-Forwarded-For", []))


def caller(peer: str, forwarded: Sequence[str]) -> str:
    """Whom limits count a request for: the connection's other end, or whom our own proxy names there.

    `forwarded` are all `X-Forwarded-For` lines. Only the very last word is a proxy's own: what stands before
    it, in the same line or in an earlier one, came from outside.
    """
    named = ",".join(forwarded).rpartition(",")[2].strip() if is_near(peer) else ""
    return _place(named or peer)


def _place(text: str) -> str:
    """One name for all addresses that one caller can have at will. What is no address is all one place."""
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    host = host.partition(":")[0] if host.count(":") == 1 else host
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _V6_PREFIX), strict=False))
