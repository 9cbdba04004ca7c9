"""Signatures that let a page of ours use the JS-SDK (developer.work.weixin.qq.com/document/path/90506)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence

from connectors.kit import api
from scrm.contract import Context, Signature
from scrm.errors import BadInput


async def page(ctx: Context, url: str) -> Sequence[Signature]:
    """One signature for `wx.config` (corp) and one for `agentConfig` (agent), for exactly this URL."""
    if not url.startswith(("https://", "http://")):
        raise BadInput("只能为网页地址签名。")
    timestamp, nonce = int(ctx.now.timestamp()), secrets.token_hex(8)
    bare = url.partition("#")[0]
    corp = sign(await corp_ticket(ctx), nonce, timestamp, bare)
    agent = sign(await agent_ticket(ctx), nonce, timestamp, bare)
    ids = (ctx.account.get("corp_id"), ctx.account.get("agent_id"))
    return [
        _signature("corp", ids, timestamp, nonce, corp),
        _signature("agent", ids, timestamp, nonce, agent),
    ]


def sign(ticket: str, nonce: str, timestamp: int, url: str) -> str:
    """sha1 over the four fields in the order the platform fixes; the URL raw, without its fragment."""
    text = f"jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={url}"
    return hashlib.sha1(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


async def corp_ticket(ctx: Context) -> str:
    """One for all apps of the corp."""
    return await _ticket(ctx, "corp", "cgi-bin/get_jsapi_ticket", {})


async def agent_ticket(ctx: Context) -> str:
    """One for this app: sharing it between apps of a corp breaks all but one of them."""
    agent = ctx.account.get("agent_id")
    return await _ticket(ctx, f"agent:{agent}", "cgi-bin/ticket/get", {"type": "agent_config"})


async def _ticket(ctx: Context, whose: str, path: str, params: Mapping[str, str]) -> str:
    async def fetch() -> tuple[str, float]:
        answer = await api.call(ctx, path, grant=api.WECOM, params=params)
        return api.field(answer, "ticket"), api.lifetime(answer)

    account = ctx.account
    where = f"{account.tenant_id}:{api.base(account, api.WECOM)}:{account.get('corp_id')}"
    return await ctx.tokens.get(f"ticket:{where}:{whose}", fetch)


def _signature(scope: str, ids: tuple[str, str], timestamp: int, nonce: str, signature: str) -> Signature:
    app_id, agent_id = ids
    return Signature(
        scope="corp" if scope == "corp" else "agent",
        app_id=app_id,
        agent_id=agent_id,
        timestamp=timestamp,
        nonce=nonce,
        signature=signature,
    )
