"""Calls to the Official Account API: send, upload, look up, probe."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from connectors.kit import api
from connectors.kit.http import loopback_base
from connectors.kit.profiles import profile_raw, word
from scrm.contract import Context, Finding, Handle, Media, Push, Raw, Severity
from scrm.errors import NotSent, Rejected

#: Temporary media live three days.
_MEDIA_LIFE = timedelta(days=3)


async def send(ctx: Context, push: Push) -> str:
    """Our push id once the platform has taken the message (it names none of its own)."""
    if push.handle.kind != "wechat_openid" or push.handle.scope != ctx.account.get("app_id"):
        raise Rejected("这位客户不属于这个公众号。", code="wrong_account")
    body = {"touser": push.handle.value, **await _content(ctx, push)}
    answer = await api.call(ctx, "cgi-bin/message/custom/send", grant=api.OFFICIAL, body=body, sent=True)
    return word(answer, "msgid") or push.push_id


async def upload(ctx: Context, media: Media) -> tuple[str, datetime]:
    """A temporary `media_id` and until when it works."""
    answer = await api.upload(
        ctx, "cgi-bin/media/upload", grant=api.OFFICIAL, media=media, params={"type": _media_type(media)}
    )
    return api.field(answer, "media_id"), ctx.now + _MEDIA_LIFE


async def enrich(ctx: Context, handle: Handle) -> tuple[Raw, ...]:
    """What the platform knows about a follower, above all the unionid."""
    if handle.kind != "wechat_openid" or handle.scope != ctx.account.get("app_id"):
        return ()
    answer = await api.call(
        ctx, "cgi-bin/user/info", grant=api.OFFICIAL, params={"openid": handle.value, "lang": "zh_CN"}
    )
    return (profile_raw(handle.value, handle.value, {"openid": handle.value, **answer}, ctx.now),)


async def probe(ctx: Context) -> Sequence[Finding]:
    """Whether AppID and secret work and the mode is safe."""
    findings = []
    mode = ctx.account.get("mode") or "secure"
    if mode == "compatible":
        sentence = "正在使用兼容模式，建议在公众号后台改为安全模式。"
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


async def _content(ctx: Context, push: Push) -> dict[str, object]:
    if push.kind == "text":
        return {"msgtype": "text", "text": {"content": push.text}}
    if push.kind == "image" and push.media is not None:
        media_id, _ = await upload(ctx, push.media)
        return {"msgtype": "image", "image": {"media_id": media_id}}
    raise Rejected("公众号只能发送文字和图片。", code="unsupported")


def _media_type(media: Media) -> str:
    main = media.mime.partition("/")[0]
    return {"image": "image", "audio": "voice", "video": "video"}.get(main, "file")
