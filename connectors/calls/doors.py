"""Who may push: a signature, a password, a secret in the address, or where it comes from."""

from __future__ import annotations

import hmac
import ipaddress
import re

from connectors.calls.mappings import Mapping
from connectors.kit.basic import basic
from connectors.kit.signed import verify
from scrm.contract import Call, Context
from scrm.errors import Refused

AUTHS = ("hmac", "basic", "path", "sources")


def admitted(ctx: Context, call: Call, mapping: Mapping) -> None:
    """Raises `Refused`."""
    auth = ctx.account.get("auth") or mapping.auth
    {"hmac": verify, "basic": basic, "path": _path, "sources": _source}[auth](ctx, call)


def _path(ctx: Context, call: Call) -> None:
    secret = ctx.account.get("secret").encode()
    if not secret or not hmac.compare_digest(call.tail.encode("utf-8", "replace"), secret):
        raise Refused("推送地址最后的密钥不对：应是 /hooks/账号/密钥。")


def _source(ctx: Context, call: Call) -> None:
    try:
        peer = ipaddress.ip_address(call.peer)
        known = [ipaddress.ip_network(n, strict=False) for n in _networks(ctx.account.get("sources"))]
    except ValueError as broken:
        raise Refused("来源 IP 无法确认：请核对 sources。") from broken
    if not any(peer.version == n.version and peer in n for n in known):
        raise Refused("这个推送不是从 sources 里的地址来的。")


def _networks(text: str) -> list[str]:
    return [one for one in re.split(r"[,，\s]+", text) if one]
