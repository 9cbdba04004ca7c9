"""Calls that Official Account and mini-program have in common: customer-service messages, media, set-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors.kit import api
from connectors.kit.http import loopback_base
from connectors.kit.profiles import word
from scrm.contract import Card, Context, Finding, Media, Push, Severity
from scrm.errors import NotSent, Rejected

_TALK, _UPLOAD, _FILE = "cgi-bin/message/custom/send", "cgi-bin/media/upload", "cgi-bin/media/get"
#: Temporary media live three days.
_MEDIA_LIFE = timedelta(days=3)
#: Far above what a phone may send.
_LARGEST = 30 * 1024 * 1024


def own(ctx: Context, push: Push) -> None:
    """Raises `Rejected` for somebody else's customer: an openid belongs to one app."""
    if push.handle.kind != "wechat_openid" or push.handle.scope != ctx.account.get("app_id"):
        raise Rejected("这位客户不属于这个账号。", code="wrong_account")


async def deliver(ctx: Context, push: Push, content: Mapping[str, Any], *, path: str = _TALK) -> str:
    """The platform's id of the message, or ours where it names none."""
    body = {"touser": push.handle.value, **content}
    answer = await api.call(ctx, path, grant=api.OFFICIAL, body=body, sent=True)
    return word(answer, "msgid") or push.push_id


async def ident(ctx: Context, push: Push) -> str:
    """The `media_id` of what comes with a push: the one it was given ahead of time, else a new one."""
    if push.uploaded:
        return push.uploaded
    media_id, _ = await upload(ctx, file_of(push))
    return media_id


async def upload(ctx: Context, media: Media) -> tuple[str, datetime]:
    """A temporary `media_id` and until when it works."""
    answer = await api.upload(
        ctx, _UPLOAD, grant=api.OFFICIAL, media=media, params={"type": _media_type(media)}
    )
    return api.field(answer, "media_id"), ctx.now + _MEDIA_LIFE


async def media(ctx: Context, ref: str) -> Media:
    """The file of a message by its media id. Films come as an address to fetch them from."""
    found = await api.download(ctx, _FILE, grant=api.OFFICIAL, params={"media_id": ref}, limit=_LARGEST)
    url = word(api.answered(found), "video_url")
    if not url:
        return found
    if not loopback_base(url):
        url = url.replace("http://", "https://", 1)
    return await ctx.http.download(url, limit=_LARGEST)


def text(push: Push) -> dict[str, Any]:
    return {"msgtype": "text", "text": {"content": push.text}}


async def image(ctx: Context, push: Push) -> dict[str, Any]:
    return {"msgtype": "image", "image": {"media_id": await ident(ctx, push)}}


async def page(ctx: Context, push: Push) -> dict[str, Any]:
    """A mini-program card; the platform shows none without a picture."""
    card = card_of(push)
    media_id, _ = await upload(ctx, file_of(push))
    shown = {"title": card.title, "pagepath": card.page, "thumb_media_id": media_id}
    return {"msgtype": "miniprogrampage", "miniprogrampage": shown}


def notice(card: Card) -> dict[str, Any]:
    """Template and values, as every kind of notice has them."""
    if not card.template_id:
        raise Rejected("没有选择消息模板。", code="no_template")
    return {
        "template_id": card.template_id,
        "data": {name: {"value": value} for name, value in card.values.items()},
    }


def file_of(push: Push) -> Media:
    if push.media is None:
        raise Rejected("这条消息需要一个文件或一张图片。", code="no_media")
    return push.media


def card_of(push: Push) -> Card:
    if push.card is None:
        raise Rejected("这条消息缺少卡片内容。", code="no_card")
    return push.card


async def examine(ctx: Context) -> Sequence[Finding]:
    """Whether AppID and secret work and the mode is safe."""
    findings = []
    mode = ctx.account.get("mode") or "secure"
    if mode == "compatible":
        sentence = "正在使用兼容模式，建议在后台改为安全模式。"
        findings.append(Finding(severity=Severity.WARN, sentence=sentence))
    if mode == "plain" and not loopback_base(ctx.account.get("api_base")):
        sentence = "明文模式不安全，回调会被拒绝：请改为安全模式。"
        findings.append(Finding(severity=Severity.ERROR, sentence=sentence))
    return [*findings, await _token_finding(ctx)]


async def _token_finding(ctx: Context) -> Finding:
    try:
        await api.token(ctx, api.OFFICIAL)
    except (NotSent, Rejected) as failed:
        return Finding(severity=Severity.ERROR, sentence=f"无法取得访问令牌：{failed.sentence}")
    return Finding(severity=Severity.OK, sentence="AppID 与 AppSecret 有效，已取得访问令牌。")


def _media_type(media: Media) -> str:
    main = media.mime.partition("/")[0]
    return {"image": "image", "audio": "voice", "video": "video"}.get(main, "file")
