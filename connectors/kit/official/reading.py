"""One stored callback as envelopes: the same way for both kinds of account, each with its own events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connectors.kit import errcodes, xml
from connectors.kit.official.fields import Fields, Words, customer, notices, said, scene
from connectors.kit.official.words import MESSAGES, pieces, refused
from connectors.kit.profiles import PREFIX as PROFILE
from connectors.kit.profiles import read_profile, union_links, word
from scrm.contract import Context, Envelope, Handle, Raw
from scrm.errors import Refused, Untranslatable

_LARGEST_SEQ = 2**63 - 1
#: How the platform says that the customer takes no messages of this kind.
_BLOCKED = "failed:user block"
_TEMPLATE, _NOTICE = "event.template.finished", "event.notice."


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What one kind of account adds."""

    #: Event, in lower case (the platform writes some in capitals) -> our kind and words.
    events: Mapping[str, tuple[str, Words]]
    #: What a customer does on purpose moves the conversation and may open a reply window.
    acts: tuple[str, ...]
    #: Their sender is the platform or the account itself, not a customer.
    nobody: frozenset[str] = frozenset()


def read(ctx: Context, raw: Raw, dialect: Dialect) -> Sequence[Envelope]:
    """Raises `Untranslatable`."""
    if raw.source_key.startswith(PROFILE):
        return [_profile(ctx, raw)]
    try:
        fields = xml.parse(raw.payload)
        kind = xml.ident(fields, "MsgType", "")
        if kind == "event":
            return _event(ctx, fields, dialect)
        return [_message(ctx, fields, kind) if kind in MESSAGES else _unknown(ctx, fields, kind)]
    except Refused as broken:
        raise Untranslatable(broken.sentence) from broken


def openid_handle(ctx: Context, openid: str, *, name: str = "", avatar: str = "") -> Handle:
    scope = ctx.account.get("app_id")
    return Handle(kind="wechat_openid", scope=scope, value=openid, name=name, avatar=avatar)


def _message(ctx: Context, fields: Fields, kind: str) -> Envelope:
    return Envelope(
        kind=f"message.{kind}",
        direction="in",
        at=xml.moment(fields, "CreateTime"),
        handles=(openid_handle(ctx, xml.ident(fields, "FromUserName")),),
        seq=_seq(fields),
        text=MESSAGES[kind](fields),
        body=fields,
        pieces=pieces(kind, fields),
    )


def _event(ctx: Context, fields: Fields, dialect: Dialect) -> list[Envelope]:
    name = xml.ident(fields, "Event")
    if name.lower() not in dialect.events:
        return [_unknown(ctx, fields, name)]
    kind, words = dialect.events[name.lower()]
    who = "" if kind in dialect.nobody else customer(fields)
    told = Envelope(
        kind=kind,
        direction="in" if kind.startswith(dialect.acts) else "none",
        at=xml.moment(fields, "CreateTime"),
        handles=(openid_handle(ctx, who),) if who else (),
        text=words(fields),
        body={**fields, **_extras(kind, fields)},
        staff=said(fields, "ToKfAccount") or said(fields, "KfAccount"),
    )
    # One event may tell of several pushes that did not arrive, an envelope of one; it is shown once.
    failed = _failures(kind, fields) or [("", "")]
    return [
        replace(told, failed_push=push, failed_effect=effect, suffix=str(n) if n else "", quiet=n > 0)
        for n, (push, effect) in enumerate(failed)
    ]


def _unknown(ctx: Context, fields: Fields, name: str) -> Envelope:
    # Bodies for service providers have an InfoType in place of type and sender.
    name = name or xml.ident(fields, "InfoType", "") or "?"
    sender = xml.ident(fields, "FromUserName", "")
    return Envelope(
        kind="event.unknown",
        direction="none",
        at=xml.moment(fields, "CreateTime"),
        handles=(openid_handle(ctx, sender),) if sender else (),
        text=f"收到一条暂不认识的消息（{name}）",
        body=fields,
    )


def _extras(kind: str, fields: Fields) -> dict[str, Any]:
    if kind in {"event.subscribe", "event.scan"}:
        return {"scene": scene(fields)}
    if kind.startswith(_NOTICE):
        return {"items": notices(fields)}
    return {}


def _failures(kind: str, fields: Fields) -> list[tuple[str, str]]:
    """The platform's ids of our own pushes that this event says did not arrive, and what that means."""
    if kind == _TEMPLATE:
        status = said(fields, "Status")
        effect = "opted_out" if status == _BLOCKED else ""
        return [] if status == "success" else [(said(fields, "MsgID"), effect)]
    if kind == f"{_NOTICE}sent":
        return [(word(one, "MsgID"), _effect(one)) for one in notices(fields) if refused(one)]
    return []


def _effect(one: dict[str, Any]) -> str:
    code = errcodes.code_of({"errcode": word(one, "ErrorCode")})
    return errcodes.meaning(code).consequence if code is not None else ""


def _seq(fields: Fields) -> int | None:
    msg_id = said(fields, "MsgId")
    if not (msg_id.isascii() and msg_id.isdigit() and len(msg_id) <= 19):
        return None
    return int(msg_id) if int(msg_id) <= _LARGEST_SEQ else None


def _profile(ctx: Context, raw: Raw) -> Envelope:
    at, answer = read_profile(raw)
    openid = word(answer, "openid")
    if not openid:
        raise Untranslatable("平台返回的用户资料里没有 openid。")
    name, avatar = word(answer, "nickname"), word(answer, "headimgurl")
    handle = openid_handle(ctx, openid, name=name, avatar=avatar)
    handles, links = union_links(ctx.account, handle, word(answer, "unionid"))
    return Envelope(
        kind="event.profile", direction="none", at=at, handles=handles, links=links, body=answer, quiet=True
    )
