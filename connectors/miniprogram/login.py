"""The word of the mini-program's own server on who logged in: openid, unionid, user id, telephone.

Only that server can know: WeChat gives openid and unionid for the one-time code of `wx.login` alone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from connectors.kit.official.reading import openid_handle
from connectors.kit.official.userdata import open_user_data
from connectors.kit.people import app_user, e164, phone
from connectors.kit.profiles import union_links, word
from connectors.kit.shapes import read
from connectors.kit.signed import TIMESTAMP, verify
from connectors.kit.xml import clean
from scrm.contract import Call, Context, Envelope, Handle, Link, Raw, Receipt
from scrm.errors import Refused, Unreadable, Untranslatable

PREFIX = "login:"
#: The server's word counts by what it says. A telephone is the one WeChat let the customer hand over.
_USER, _UNION, _PHONE = 90, 85, 75
_LONGEST = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What `getPhoneNumber` gave the page, with the session key of the login."""

    session_key: str
    iv: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    openid: str
    unionid: str = ""
    app_user: str = ""
    phone: str = ""
    name: str = ""
    encrypted: Sealed | None = None


def take(ctx: Context, call: Call) -> Receipt:
    """Verify and keep what it says; keys are used here and not kept. Raises `Refused`."""
    verify(ctx, call)
    try:
        told = read(Login, call.body)
    except Untranslatable as wrong:
        raise Unreadable(wrong.sentence) from wrong
    claims = {name: value for name in _TEXTS if (value := _plain(getattr(told, name)))}
    if told.encrypted is not None:
        claims["phone"] = _phone(ctx, told.encrypted)
    if "openid" not in claims:
        raise Unreadable("登录通知里缺少 openid。")
    payload = {"at": int(call.headers[TIMESTAMP]), "claims": claims}
    raw = Raw(source_key=f"{PREFIX}{_digest(claims)}", lane=claims["openid"], payload=_json(payload))
    return Receipt(raws=(raw,), body=b'{"ok":true}', mime="application/json")


def understood(ctx: Context, raw: Raw) -> Envelope:
    """The login as evidence. Raises `Untranslatable`."""
    try:
        stored = json.loads(raw.payload)
        at, claims = datetime.fromtimestamp(stored["at"], UTC), dict(stored["claims"])
        here = openid_handle(ctx, claims["openid"], name=word(claims, "name"))
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as broken:
        raise Untranslatable("登录通知无法读取。") from broken
    handles, links = _evidence(ctx, here, claims)
    return Envelope(
        kind="event.login",
        direction="none",
        at=at,
        handles=handles,
        links=links,
        text="登录了小程序",
        body=claims,
    )


def _evidence(
    ctx: Context, here: Handle, claims: dict[str, Any]
) -> tuple[tuple[Handle, ...], tuple[Link, ...]]:
    found: list[tuple[Handle, str, int]] = []
    if user := word(claims, "app_user"):
        found.append((app_user(ctx.account, user, part="about"), "app_login", _USER))
    if held := phone(word(claims, "phone"), part="about"):
        found.append((held, "app_phone", _PHONE))
    unions = union_links(ctx.account, here, word(claims, "unionid"))[0][1:]
    found += [(replace(union, part="about"), "app_unionid", _UNION) for union in unions]
    links = tuple(Link(a=here, b=other, rule=rule, strength=strength) for other, rule, strength in found)
    return (here, *(other for other, _, _ in found)), links


_TEXTS = ("openid", "unionid", "app_user", "phone", "name")


def _plain(text: str) -> str:
    return "".join(c for c in clean(text).strip() if c.isprintable())[:_LONGEST]


def _phone(ctx: Context, sealed: Sealed) -> str:
    fields = open_user_data(sealed.session_key, sealed.iv, sealed.data, ctx.account.get("app_id"))
    number = word(fields, "purePhoneNumber") or word(fields, "phoneNumber")
    country = word(fields, "countryCode")
    found = e164(f"+{country}{number}" if country and not number.startswith("+") else number)
    if not found:
        raise Refused("加密数据里没有手机号。")
    return found


def _digest(claims: dict[str, str]) -> str:
    return hashlib.sha256(_json(claims)).hexdigest()[:48]


def _json(value: Any) -> bytes:
    return json.dumps(clean(value), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
