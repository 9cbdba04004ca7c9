"""What visitors do, as raws for the inbox and as envelopes for the timeline."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from connectors.kit.people import app_user, phone
from connectors.kit.profiles import union_links, word
from connectors.kit.xml import clean
from scrm.contract import Act, Context, Envelope, Handle, Link, Pull, Raw
from scrm.errors import Untranslatable

_SAID, _LOGIN = "m:", "i:"
_WORDS = {"image": "[图片]", "file": "[文件]"}


def guest(ctx: Context, visitor: str) -> Handle:
    """Visitors belong to their site: the same browser on two sites is two visitors."""
    return Handle(kind="web_visitor", scope=ctx.account.slug, value=visitor)


def said(ctx: Context, act: Act) -> Raw:  # noqa: ARG001 - the plug's signature
    """A message; urgent, because somebody is looking at the page."""
    stored = {"visitor": act.visitor, "key": act.key, "at": act.at.isoformat(), "kind": act.kind}
    payload = _json({**stored, "text": act.text, "media": dict(act.media)})
    return Raw(source_key=f"{_SAID}{act.visitor}:{act.key}", lane=act.visitor, payload=payload, urgent=True)


def login_raw(visitor: str, claims: Mapping[str, str], now: datetime) -> Raw:
    """The same claims about the same visitor are the same raw, however often the site repeats them."""
    digest = hashlib.sha256(_json(dict(claims))).hexdigest()[:32]
    payload = _json({"visitor": visitor, "at": now.isoformat(), "claims": dict(claims)})
    return Raw(source_key=f"{_LOGIN}{visitor}:{digest}", lane=visitor, payload=payload, urgent=True)


def translate(ctx: Context, raw: Raw) -> Sequence[Envelope | Pull]:
    """One message, or one login. Raises `Untranslatable`."""
    try:
        stored = json.loads(raw.payload)
        visitor, at = str(stored["visitor"]), datetime.fromisoformat(stored["at"]).astimezone(UTC)
        if raw.source_key.startswith(_LOGIN):
            return [_login(ctx, visitor, at, dict(stored["claims"]))]
        return [_message(ctx, visitor, at, stored)]
    except (KeyError, TypeError, ValueError, RecursionError) as broken:
        raise Untranslatable("访客的消息无法读取。") from broken


def _message(ctx: Context, visitor: str, at: datetime, stored: dict[str, Any]) -> Envelope:
    kind, media = word(stored, "kind"), dict(stored["media"])
    name = word(media, "name")
    text = word(stored, "text") if kind == "text" else f"{_WORDS[kind]} {name}".rstrip()
    return Envelope(
        kind=f"message.{kind}",
        direction="in",
        at=at,
        handles=(guest(ctx, visitor),),
        text=text,
        body={"key": word(stored, "key"), **({"media": media} if media else {})},
    )


def _login(ctx: Context, visitor: str, at: datetime, claims: dict[str, Any]) -> Envelope:
    """The site's own login is evidence: its word counts by what it says."""
    account, name = ctx.account, word(claims, "name")
    here = Handle(kind="web_visitor", scope=account.slug, value=visitor, name=name)
    user = app_user(account, str(claims["sub"]), part="about", name=name)
    handles, links = [here, user], [Link(a=here, b=user, rule="site_login", strength=90)]
    if held := phone(word(claims, "phone"), part="about"):
        handles.append(held)
        links.append(Link(a=user, b=held, rule="site_phone", strength=60))
    union = union_links(account, user, word(claims, "unionid"))[0][1:]
    for one in union:
        known = Handle(kind=one.kind, scope=one.scope, value=one.value, part="about")
        handles.append(known)
        links.append(Link(a=user, b=known, rule="site_unionid", strength=85))
    return Envelope(
        kind="event.visitor.identified",
        direction="none",
        at=at,
        handles=tuple(handles),
        text="访客登录了网站账号",
        body=claims,
        links=tuple(links),
    )


def _json(value: Any) -> bytes:
    return json.dumps(clean(value), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
