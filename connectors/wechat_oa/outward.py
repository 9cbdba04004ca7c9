"""Calls to the Official Account API: what can be said, and who the followers are."""

from __future__ import annotations

from typing import Any

from connectors.kit import api
from connectors.kit.official import outward
from connectors.kit.profiles import profile_raw
from scrm.contract import Context, Handle, Media, Push, Raw
from scrm.errors import Rejected

_TEMPLATE, _SUBSCRIPTION = "cgi-bin/message/template/send", "cgi-bin/message/subscribe/bizsend"


async def send(ctx: Context, push: Push) -> str:
    """The platform's id where it names one (templates do), else our push id."""
    outward.own(ctx, push)
    if push.kind == "template":
        return await _notify(ctx, push)
    return await api.renewed(push, lambda one: _say(ctx, one))


async def _say(ctx: Context, push: Push) -> str:
    return await outward.deliver(ctx, push, await _content(ctx, push))


async def enrich(ctx: Context, handle: Handle) -> tuple[Raw, ...]:
    """What the platform knows about a follower, above all the unionid."""
    if handle.kind != "wechat_openid" or handle.scope != ctx.account.get("app_id"):
        return ()
    answer = await api.call(
        ctx, "cgi-bin/user/info", grant=api.OFFICIAL, params={"openid": handle.value, "lang": "zh_CN"}
    )
    return (profile_raw(handle.value, handle.value, {"openid": handle.value, **answer}, ctx.now),)


async def _notify(ctx: Context, push: Push) -> str:
    """A template message, or a subscription message: two APIs with the same content."""
    card = outward.card_of(push)
    content: dict[str, Any] = {**outward.notice(card)}
    if card.app_id:
        content["miniprogram"] = {"appid": card.app_id, "pagepath": card.page}
    if ctx.account.get("notices") == "subscribe":
        return await outward.deliver(ctx, push, {**content, "page": card.url}, path=_SUBSCRIPTION)
    # The platform drops a repeat of this id for ten minutes.
    content |= {"url": card.url, "client_msg_id": push.push_id}
    return await outward.deliver(ctx, push, content, path=_TEMPLATE)


async def _content(ctx: Context, push: Push) -> dict[str, Any]:
    match push.kind:
        case "text":
            return outward.text(push)
        case "image":
            return await outward.image(ctx, push)
        case "voice":
            return {"msgtype": "voice", "voice": {"media_id": await outward.ident(ctx, push)}}
        case "video":
            return await _video(ctx, push)
        case "link":
            return await _news(ctx, push)
        case "miniprogram":
            shown = await outward.page(ctx, push)
            shown["miniprogrampage"]["appid"] = outward.card_of(push).app_id
            return shown
    raise Rejected("公众号不能发送这种内容，请改发文字或链接。", code="unsupported")


async def _video(ctx: Context, push: Push) -> dict[str, Any]:
    media_id = await outward.ident(ctx, push)
    title = push.card.title if push.card else push.text
    words = {"title": title, "description": push.card.description if push.card else ""}
    return {"msgtype": "video", "video": {"media_id": media_id, "thumb_media_id": media_id, **words}}


async def _news(ctx: Context, push: Push) -> dict[str, Any]:
    card = outward.card_of(push)
    article = {"title": card.title, "description": card.description, "url": card.url}
    if push.media is not None:
        article["picurl"] = await _picture(ctx, push.media)
    return {"msgtype": "news", "news": {"articles": [article]}}


async def _picture(ctx: Context, media: Media) -> str:
    answer = await api.upload(ctx, "cgi-bin/media/uploadimg", grant=api.OFFICIAL, media=media, params={})
    return api.field(answer, "url")
