"""The callback door of Official Account and mini-program: three modes of encryption, XML or JSON."""

from __future__ import annotations

import re

from connectors.kit import xml
from connectors.kit.callback import ciphertext, digest, lane, peek, peek_id, unseal
from connectors.kit.codec import fresh, verify_plain
from connectors.kit.http import loopback_base
from connectors.kit.official.fields import customer
from scrm.contract import Call, Context, Need, Raw, Receipt
from scrm.errors import Refused, Unreadable

MODE = Need(
    name="mode",
    help="消息加解密方式：secure 安全模式（推荐），compatible 兼容模式；plain 明文只供模拟器使用",
    required=False,
    pattern=r"^(secure|compatible|plain)$",
    default="secure",
)
_ECHOSTR = re.compile(r"[0-9A-Za-z_.+/=-]{1,256}")


def take(ctx: Context, call: Call, live: frozenset[str]) -> Receipt:
    """Verify and decrypt one callback; events named in `live` wait behind nothing. Raises `Refused`."""
    if call.method == "GET":
        return _verification(ctx, call)
    if call.method != "POST":
        raise Refused("只接受 GET 与 POST。")
    return Receipt(raws=(_raw(_payload(ctx, call), live),), body=b"success")


def _verification(ctx: Context, call: Call) -> Receipt:
    _verify_url(ctx, call)
    echostr = call.query.get("echostr", "")
    # It is answered as it came: nothing that a browser would take for a page.
    if not _ECHOSTR.fullmatch(echostr):
        raise Refused("echostr 缺失或不合法。")
    return Receipt(body=echostr.encode())


def _verify_url(ctx: Context, call: Call) -> None:
    verify_plain(ctx.account.get("token"), call.query)
    fresh(call.query.get("timestamp", ""), call.received_at, ctx.account.max_age_s)


def _payload(ctx: Context, call: Call) -> bytes:
    envelope = xml.parse(call.body)
    if _mode(ctx) == "plain" and "Encrypt" not in envelope:
        _verify_url(ctx, call)
        return call.body
    if "Encrypt" not in envelope:
        # In compatible mode the platform sends plain fields *and* Encrypt. Plain fields alone are covered by
        # no signature, so somebody who saw one URL could invent messages.
        raise Refused("收到未加密的消息：请在后台把消息加解密方式改为安全模式。")
    return unseal(ctx, call, ciphertext(envelope), frozenset({ctx.account.get("app_id")}))[0]


def _mode(ctx: Context) -> str:
    mode = ctx.account.get("mode") or "secure"
    if mode == "plain" and not loopback_base(ctx.account.get("api_base")):
        raise Refused("明文模式不安全，只能用于本机模拟器。")
    return mode


def _raw(payload: bytes, live: frozenset[str]) -> Raw:
    fields = peek(payload)
    kind = peek_id(fields, "MsgType")
    # A mini-program's may be no number; it is an id all the same.
    msg_id = peek_id(fields, "MsgId")
    is_event = kind == "event" or not kind
    return Raw(
        source_key=f"msg:{msg_id}" if msg_id and not is_event else digest(payload),
        lane=lane(_who(fields)),
        payload=payload,
        urgent=not is_event or peek_id(fields, "Event").lower() in live,
    )


def _who(fields: dict[str, object]) -> str:
    try:
        return customer(fields)
    except Unreadable:
        return ""
