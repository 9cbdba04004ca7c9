"""Calls to Tencent IM's REST API: send, look up, probe. Files are fetched from where the message says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.kit.people import users_of
from connectors.kit.profiles import profile_raw, word
from connectors.tim.codes import raise_for
from connectors.tim.people import ident
from connectors.tim.sig import user_sig
from scrm.contract import Context, Finding, Handle, Media, Push, Raw, Severity
from scrm.errors import NotSent, Rejected, Unknown

BASE = "https://console.tim.qq.com"
_SIG_LIFE_S = 86_400
#: What the platform takes: 100 MB files, of which we keep half.
_LARGEST = 50 * 1024 * 1024
#: What we send is on the timeline already.
_NO_ECHO = ["ForbidAfterSendMsgCallback"]
_PORTRAIT = "profile/portrait_get"
_TAGS = ["Tag_Profile_IM_Nick", "Tag_Profile_IM_Image"]


async def send(ctx: Context, push: Push) -> str:
    """The platform's id of the message: MsgKey, or in a group its sequence number."""
    if push.kind != "text":
        raise Rejected("即时通信只能发送文字。", code="unsupported")
    sender = push.thread or ctx.account.get("sender") or ctx.account.get("admin")
    content = [{"MsgType": "TIMTextElem", "MsgContent": {"Text": push.text}}]
    said = {"From_Account": sender, "MsgBody": content, "ForbidCallbackControl": _NO_ECHO}
    first, second = _numbers(push.push_id)
    if push.handle.kind == "tim_group" and push.handle.scope == ctx.account.get("sdk_app_id"):
        body = {**said, "GroupId": push.handle.value, "Random": first}
        answer = await _call(ctx, "group_open_http_svc/send_group_msg", body, random=first, sent=True)
        return word(answer, "MsgSeq") or push.push_id
    if push.handle.kind != "app_user" or push.handle.scope != users_of(ctx.account):
        raise Rejected("这位客户不属于这个应用。", code="wrong_account")
    # Copied to the sender's own screens; the same numbers and words within two minutes are one message.
    once = {"SyncOtherMachine": 1, "MsgRandom": first, "MsgSeq": second}
    body = {**said, **once, "To_Account": push.handle.value}
    answer = await _call(ctx, "openim/sendmsg", body, random=first, sent=True)
    return word(answer, "MsgKey") or push.push_id


async def enrich(ctx: Context, handle: Handle) -> tuple[Raw, ...]:
    """Nickname and picture of a user."""
    if handle.kind != "app_user" or handle.scope != users_of(ctx.account):
        return ()
    answer = await _call(ctx, _PORTRAIT, {"To_Account": [handle.value], "TagList": _TAGS}, random=1)
    found = answer.get("UserProfileItem")
    known = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return tuple(
        profile_raw(handle.value, handle.value, one, ctx.now)
        for one in known
        if ident(one, "To_Account") == handle.value and one.get("ProfileItem")
    )


async def media(ctx: Context, ref: str) -> Media:
    """The file at the address the message names; the client lets nobody send us into our own network."""
    return await ctx.http.download(ref, limit=_LARGEST)


async def probe(ctx: Context) -> Sequence[Finding]:
    """Whether SDKAppID, administrator and key fit, and whether replies have a sender."""
    admin = ctx.account.get("admin")
    try:
        await _call(ctx, _PORTRAIT, {"To_Account": [admin], "TagList": _TAGS[:1]}, random=1)
    except (NotSent, Rejected) as failed:
        sentence = f"无法调用即时通信接口：{failed.sentence}"
        return [Finding(severity=Severity.ERROR, sentence=sentence)]
    good = Finding(severity=Severity.OK, sentence="SDKAppID、管理员账号与密钥有效。")
    if ctx.account.get("agents") or ctx.account.get("sender"):
        return [good]
    sentence = "还没有写明哪些账号是自己人（agents）：客服发出的消息会被当成客户的。"
    return [good, Finding(severity=Severity.WARN, sentence=sentence)]


async def _call(
    ctx: Context, path: str, body: Mapping[str, Any], *, random: int, sent: bool = False
) -> dict[str, Any]:
    account = ctx.account
    identifier = account.get("admin")
    sig = user_sig(
        sdk_app_id=int(account.get("sdk_app_id")),
        key=account.get("secret"),
        identifier=identifier,
        at=int(ctx.now.timestamp()),
        lifetime_s=_SIG_LIFE_S,
    )
    query = {
        "sdkappid": account.get("sdk_app_id"),
        "identifier": identifier,
        "usersig": sig,
        "random": str(random),
        "contenttype": "json",
    }
    url = f"{(account.get('api_base') or BASE).rstrip('/')}/v4/{path}"
    try:
        answer = await ctx.http.json("POST", url, params=query, body=body)
    except Unknown as unclear:
        if sent:
            raise
        # Asking changes nothing, so an unclear end is as good as never asked.
        raise NotSent("平台没有给出明确答复，稍后自动重试。", retry_after_s=5.0, code="unclear") from unclear
    raise_for(answer, sent=sent)
    return answer


def _numbers(push_id: str) -> tuple[int, int]:
    """Two 32-bit numbers that are the same for the same push."""
    made = hashlib.sha256(push_id.encode()).digest()
    return int.from_bytes(made[:4]), int.from_bytes(made[4:8])
