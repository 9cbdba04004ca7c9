"""Calls to the mini-program API: customer-service messages and subscription messages."""

from __future__ import annotations

from typing import Any

from connectors.kit import api
from connectors.kit.official import outward
from scrm.contract import Context, Push
from scrm.errors import Rejected

_SUBSCRIPTION = "cgi-bin/message/subscribe/send"


async def send(ctx: Context, push: Push) -> str:
    """The platform's id where it names one, else our push id."""
    outward.own(ctx, push)
    if push.kind == "template":
        card = outward.card_of(push)
        content = {
            **outward.notice(card),
            "page": card.page,
            "miniprogram_state": ctx.account.get("state") or "formal",
            "lang": "zh_CN",
        }
        return await outward.deliver(ctx, push, content, path=_SUBSCRIPTION)
    return await api.renewed(push, lambda one: _say(ctx, one))


async def _say(ctx: Context, push: Push) -> str:
    return await outward.deliver(ctx, push, await _content(ctx, push))


async def _content(ctx: Context, push: Push) -> dict[str, Any]:
    match push.kind:
        case "text":
            return outward.text(push)
        case "image":
            return await outward.image(ctx, push)
        case "link":
            card = outward.card_of(push)
            # The picture must have an address of its own; the platform shows its own one without.
            shown = {"title": card.title, "description": card.description, "url": card.url, "thumb_url": ""}
            return {"msgtype": "link", "link": shown}
        case "miniprogram":
            if outward.card_of(push).app_id not in ("", ctx.account.get("app_id")):
                raise Rejected("小程序客服只能发送自己的页面。", code="other_app")
            return await outward.page(ctx, push)
    raise Rejected("小程序客服不能发送这种内容，请改发文字或链接。", code="unsupported")
