"""Segment's calls in our words: who somebody is, and what they did.

Source: segment.com/docs/connections/spec (identify, track, page, screen, group, alias).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from connectors.kit.appevents import by_iso, choice, fields, happened, ident, stored
from connectors.kit.appusers import Cast, cast, described, device, key_of, named, noted, traits_of, user
from scrm.contract import Context, Envelope, Fact, Raw

_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
#: What is kept with the event; a name that means something to pages never comes from outside.
_KEPT = (
    "type", "event", "name", "category", "properties", "traits", "userId", "anonymousId", "previousId",
    "groupId", "messageId", "timestamp", "context",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One call, ready to be understood."""

    ctx: Context
    event: dict[str, Any]
    at: datetime

    @property
    def body(self) -> dict[str, Any]:
        return {name: self.event[name] for name in _KEPT if name in self.event}

    def ident(self, name: str) -> str:
        return ident(self.event.get(name))

    def who(self, name: str = "") -> Cast:
        """The user, or the device while nobody has signed in."""
        account = self.ctx.account
        signed_in = user(account, self.ident("userId"), name=name)
        return cast(signed_in, device(account, self.ident("anonymousId"), name=name))


def translate(ctx: Context, raw: Raw) -> Sequence[Envelope]:
    """One stored event as an envelope. Raises `Untranslatable`."""
    event, received, sent = stored(raw.payload)
    at = happened(by_iso(event.get("timestamp")), by_iso(sent), received)
    seen = _Seen(ctx=ctx, event=event, at=at)
    understand = TYPES.get(seen.ident("type"), _unknown)
    return [understand(seen)]


def _tracked(seen: _Seen) -> Envelope:
    name = seen.ident("event")
    return _did(seen, name, fields(seen.event.get("properties"))) if name else _unknown(seen)


def _viewed(seen: _Seen) -> Envelope:
    properties = fields(seen.event.get("properties"))
    title = seen.ident("name") or ident(properties.get("title"))
    return _did(seen, f"{seen.ident('type')}:{title}", properties)


def _did(seen: _Seen, name: str, properties: Mapping[str, Any]) -> Envelope:
    wanted, who = choice(seen.ctx.account), seen.who()
    shown = wanted.shows(name)
    return Envelope(
        kind=f"event.app.{seen.ident('type')}",
        direction="none",
        at=seen.at,
        handles=who.handles,
        text=wanted.line(name, properties),
        body=seen.body,
        counts="" if shown or wanted.ignores(name) else wanted.said(name),
        quiet=not shown,
    )


def _identified(seen: _Seen) -> Envelope:
    traits = fields(seen.event.get("traits"))
    who = seen.who(named(traits))
    if seen.ident("userId"):
        who = who.joined(device(seen.ctx.account, seen.ident("anonymousId")), "app_login")
    who = described(seen.ctx.account, who, traits)
    return noted(seen, "event.app.identify", who, "登记了用户资料", traits_of(who, traits, seen.at))


def _aliased(seen: _Seen) -> Envelope:
    """What was known under the former name belongs to the new one."""
    account, before = seen.ctx.account, seen.ident("previousId")
    who = seen.who().joined(device(account, before), "app_alias")
    if not _UUID.fullmatch(before):  # libraries on servers rename users, too
        who = who.joined(user(account, before), "app_alias")
    return noted(seen, "event.app.alias", who, "合并了用户编号")


def _grouped(seen: _Seen) -> Envelope:
    who, group, traits = seen.who(), seen.ident("groupId"), fields(seen.event.get("traits"))
    main = who.handles[0] if who.handles else None
    key = f"{key_of(main)}:{group}" if main and group else ""
    body = {"group": group, "traits": traits}
    facts = (Fact(kind="group", key=key, body=body, handle=main),) if key else ()
    return noted(seen, "event.app.group", who, "加入了群体", facts)


def _unknown(seen: _Seen) -> Envelope:
    return Envelope(
        kind="event.unknown",
        direction="none",
        at=seen.at,
        handles=seen.who().handles,
        text=f"收到一个暂不认识的事件（{seen.ident('type')[:40]}）",
        body={"call": seen.event},
        quiet=True,
    )


TYPES: Mapping[str, Callable[[_Seen], Envelope]] = MappingProxyType(
    {
        "identify": _identified,
        "track": _tracked,
        "page": _viewed,
        "screen": _viewed,
        "group": _grouped,
        "alias": _aliased,
    }
)
