"""Calls to the customer-service API: send when the session is ours, greet, look up, probe."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.kit import api
from connectors.kit.corp import upload
from connectors.kit.profiles import profile_raw, word
from scrm.contract import Context, Finding, Handle, Push, Raw, Severity
from scrm.errors import NotSent, Rejected

_NEW, _OURS, _POOL, _HUMAN, _ENDED = range(5)
#: Said by the id of an uploaded file.
_FILES = frozenset({"image", "voice", "video", "file"})
#: Somebody changed the session between our look and our move (95016), or took it over (95018).
_MOVED = "95016"
_NOT_OURS = frozenset({"95016", "95018"})


async def send(ctx: Context, push: Push) -> str:
    """The message's id at the platform, which is our push id. See `IDEMPOTENT` about repeats."""
    if push.kind == "welcome":
        return await _greet(ctx, push)
    if push.handle.kind != "wecom_external" or push.handle.scope != ctx.account.get("corp_id"):
        raise Rejected("这位客户不属于这个企业。", code="wrong_account")
    if not push.thread:
        raise Rejected("不知道客户在哪个客服账号里，请等客户先发消息。", code="no_thread")
    await _take(ctx, push)
    return await api.renewed(push, lambda one: _say(ctx, one))


async def _say(ctx: Context, push: Push) -> str:
    content = await _content(ctx, push)
    body = {
        "touser": push.handle.value,
        "open_kfid": push.thread,
        "msgid": push.push_id,
        **content,
    }
    try:
        answer = await api.call(ctx, "cgi-bin/kf/send_msg", grant=api.WECOM, body=body, sent=True)
    except Rejected as refused:
        raise (_taken_over() if refused.code in _NOT_OURS else refused) from refused
    return word(answer, "msgid") or push.push_id


async def enrich(ctx: Context, handle: Handle) -> tuple[Raw, ...]:
    """Name, avatar and unionid of a customer who wrote within 48 hours."""
    if handle.kind != "wecom_external" or handle.scope != ctx.account.get("corp_id"):
        return ()
    answer = await api.call(
        ctx,
        "cgi-bin/kf/customer/batchget",
        grant=api.WECOM,
        body={"external_userid_list": [handle.value], "need_enter_session_context": 0},
    )
    found = answer.get("customer_list")
    customers = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return tuple(
        profile_raw(handle.value, handle.value, one, ctx.now)
        for one in customers
        if word(one, "external_userid") == handle.value
    )


async def probe(ctx: Context) -> Sequence[Finding]:
    """Whether the secret works and which customer-service accounts it may serve."""
    try:
        await api.token(ctx, api.WECOM)
    except (NotSent, Rejected) as failed:
        return [Finding(severity=Severity.ERROR, sentence=f"无法取得访问令牌：{failed.sentence}")]
    return [
        Finding(severity=Severity.OK, sentence="企业 ID 与 Secret 有效，已取得访问令牌。"),
        await _accounts(ctx),
    ]


async def _accounts(ctx: Context) -> Finding:
    try:
        body = {"offset": 0, "limit": 100}
        answer = await api.call(ctx, "cgi-bin/kf/account/list", grant=api.WECOM, body=body)
    except (NotSent, Rejected) as failed:
        return Finding(severity=Severity.WARN, sentence=f"无法列出客服账号：{failed.sentence}")
    found = answer.get("account_list")
    count = len(found) if isinstance(found, list) else 0
    if not count:
        sentence = "还没有可用的客服账号：请在微信客服里把客服账号授权给这个应用。"
        return Finding(severity=Severity.WARN, sentence=sentence)
    return Finding(severity=Severity.OK, sentence=f"可接待 {count} 个客服账号。")


async def _greet(ctx: Context, push: Push) -> str:
    body = {
        "code": push.code,
        "msgid": push.push_id,
        "msgtype": "text",
        "text": {"content": push.text},
    }
    answer = await api.call(ctx, "cgi-bin/kf/send_msg_on_event", grant=api.WECOM, body=body, sent=True)
    return word(answer, "msgid") or push.push_id


async def _take(ctx: Context, push: Push) -> None:
    """Bring the session into the state in which the API may answer. Raises `Rejected` when it is not ours."""
    who = {"open_kfid": push.thread, "external_userid": push.handle.value}
    if await _state(ctx, who) == _OURS:
        return
    try:
        await api.call(
            ctx, "cgi-bin/kf/service_state/trans", grant=api.WECOM, body={**who, "service_state": _OURS}
        )
    except Rejected as refused:
        # Another push of ours may have moved it first; anything else is somebody's.
        if refused.code != _MOVED or await _state(ctx, who) != _OURS:
            raise


async def _state(ctx: Context, who: dict[str, str]) -> int:
    """0 or 1. Raises `Rejected` for a session that a human serves or that has ended."""
    answer = await api.call(ctx, "cgi-bin/kf/service_state/get", grant=api.WECOM, body=who)
    state = answer.get("service_state")
    if state in (_POOL, _HUMAN):
        raise _taken_over()
    if state == _ENDED:
        raise Rejected("会话已结束，需客户再次发起咨询。", code="session_ended")
    if state not in (_NEW, _OURS):
        raise NotSent("平台没有说明会话状态，稍后自动重试。", retry_after_s=5.0, code="unclear")
    return int(state)


def _taken_over() -> Rejected:
    return Rejected("已有同事在企业微信里接待，请在企业微信里回复。", code="session_human")


async def _content(ctx: Context, push: Push) -> dict[str, object]:
    if push.kind == "text":
        return {"msgtype": "text", "text": {"content": push.text}}
    if push.kind in _FILES and push.media is not None:
        media_id = push.uploaded or (await upload(ctx, push.media))[0]
        return {"msgtype": push.kind, push.kind: {"media_id": media_id}}
    raise Rejected("微信客服只能发送文字、图片、语音、视频和文件。", code="unsupported")
