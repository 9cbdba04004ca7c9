"""Sign-in through WeCom: the authorize URL and what its code is worth (paths 91022, 91023)."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from connectors.kit import api
from connectors.kit.profiles import word
from scrm.contract import Context, Handle, Visitor
from scrm.errors import BadInput, Refused, Rejected

_OAUTH = "https://open.weixin.qq.com"
_LONGEST_CODE = 512
_EXTERNAL = re.compile(r"[0-9A-Za-z_-]{1,64}")
#: Bad, expired or used: the visitor starts again.
_BAD_CODE = frozenset({"40029", "42003", "40163", "41008"})


def door(ctx: Context, back: str, state: str) -> str:
    """Where to send a visitor; WeCom returns them to `back` with `code` and `state`."""
    base = (ctx.account.get("oauth_base") or _OAUTH).rstrip("/")
    # In this order: some clients of the platform compare the whole query.
    query = urlencode(
        {
            "appid": ctx.account.get("corp_id"),
            "redirect_uri": back,
            "response_type": "code",
            "scope": "snsapi_base",
            "state": state,
            "agentid": ctx.account.get("agent_id"),
        }
    )
    return f"{base}/connect/oauth2/authorize?{query}#wechat_redirect"


def shown(ctx: Context, ident: str) -> Handle:
    """The outside contact the sidebar says it is open for. Raises `BadInput` for what cannot be an id."""
    if not _EXTERNAL.fullmatch(ident):
        raise BadInput("客户标识不正确，请从企业微信的聊天侧边栏重新打开。")
    return Handle(kind="wecom_external", scope=ctx.account.get("corp_id"), value=ident)


async def who(ctx: Context, code: str) -> Visitor:
    """The member or outside contact behind a code, which works once. Raises `Refused` for a bad one."""
    if not code or len(code) > _LONGEST_CODE:
        raise Refused("登录凭证缺失，请重新登录。")
    try:
        answer = await api.call(ctx, "cgi-bin/auth/getuserinfo", grant=api.WECOM, params={"code": code})
    except Rejected as refused:
        if refused.code in _BAD_CODE:
            raise Refused(refused.sentence) from refused
        raise
    return _visitor(ctx, answer)


def _visitor(ctx: Context, answer: dict[str, object]) -> Visitor:
    # Case differs between the page for members and the one for guests.
    found = {name.lower(): word(answer, name) for name in answer}
    scope = ctx.account.get("corp_id")
    if found.get("userid"):
        return Visitor(staff=found["userid"])
    if found.get("external_userid"):
        return Visitor(handle=Handle(kind="wecom_external", scope=scope, value=found["external_userid"]))
    if found.get("openid"):
        return Visitor(handle=Handle(kind="wecom_openid", scope=scope, value=found["openid"]))
    raise Refused("平台没有说明是谁在登录，请重新登录。")
