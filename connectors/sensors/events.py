"""Sensors Analytics events and profiles in our words.

Source: manual.sensorsdata.cn, data format (track, track_signup, profile_*, item_*, track_id_bind).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from connectors.kit.appevents import by_ms, choice, fields, happened, ident, stored
from connectors.kit.appusers import Cast, cast, described, device, named, noted, traits_of, user
from scrm.contract import Account, Context, Envelope, Fact, Raw

_LOGIN, _ANON = "$identity_login_id", ("$identity_anonymous_id", "$identity_cookie_id")
#: Views of a page in the browser, the app, the mini-program.
_VIEWS = frozenset({"$pageview", "$AppViewScreen", "$MPViewScreen"})
_KEPT = (
    "type", "event", "distinct_id", "original_id", "login_id", "anonymous_id", "identities", "properties",
    "lib", "project", "time", "time_free",
)  # fmt: skip
_TITLES = ("$title", "$screen_title", "$screen_name", "$url_path")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One record, ready to be understood."""

    ctx: Context
    event: dict[str, Any]
    at: datetime

    @property
    def account(self) -> Account:
        return self.ctx.account

    @property
    def properties(self) -> dict[str, Any]:
        return fields(self.event.get("properties"))

    @property
    def body(self) -> dict[str, Any]:
        return {name: self.event[name] for name in _KEPT if name in self.event}

    def ident(self, name: str) -> str:
        return ident(self.event.get(name))

    def device(self) -> str:
        identities = fields(self.event.get("identities"))
        known = (ident(identities.get(name)) for name in _ANON)
        return self.ident("anonymous_id") or next((one for one in known if one), "")

    def who(self, name: str = "") -> Cast:
        """The user, or the device while nobody has signed in."""
        anonymous = device(self.account, self.device() or self.ident("distinct_id"), name=name)
        return cast(user(self.account, signed_in_as(self.account, self.event), name=name), anonymous)


def translate(ctx: Context, raw: Raw) -> Sequence[Envelope]:
    """One stored record as an envelope. Raises `Untranslatable`."""
    event, received, sent = stored(raw.payload)
    at = happened(by_ms(event.get("time")), by_ms(sent), received)
    seen = _Seen(ctx=ctx, event=event, at=at)
    return [TYPES.get(seen.ident("type"), _unknown)(seen)]


def signed_in_as(account: Account, event: Mapping[str, Any]) -> str:
    """The user's own id, where this record says that it is one."""
    distinct = ident(event.get("distinct_id"))
    login = ident(event.get("login_id")) or ident(fields(event.get("identities")).get(_LOGIN))
    flagged = fields(event.get("properties")).get("$is_login_id") is True
    if login:
        return login
    if event.get("type") == "track_signup" or flagged or account.get("distinct_id") == "user":
        return distinct
    return ""


def _tracked(seen: _Seen) -> Envelope:
    name = seen.ident("event")
    if not name:
        return _unknown(seen)
    if name in _VIEWS:
        titles = (ident(seen.properties.get(one)) for one in _TITLES)
        name = f"page:{next((one for one in titles if one), '')}"
    wanted, who = choice(seen.account), seen.who()
    shown = wanted.shows(name)
    return Envelope(
        kind="event.app.page" if name.startswith("page:") else "event.app.track",
        direction="none",
        at=seen.at,
        handles=who.handles,
        text=wanted.line(name, seen.properties),
        body=seen.body,
        counts="" if shown or wanted.ignores(name) else wanted.said(name),
        quiet=not shown,
    )


def _signed_up(seen: _Seen) -> Envelope:
    """The device of `original_id` is this user's."""
    wanted, who = choice(seen.account), seen.who()
    # SDKs on servers go on naming the user by `distinct_id` alone, without saying that it is a login.
    who = who.joined(device(seen.account, seen.ident("distinct_id")), "app_login")
    for one in (seen.ident("original_id"), seen.device()):
        who = who.joined(device(seen.account, one), "app_login")
    name = seen.ident("event") or "$SignUp"
    shown = wanted.shows(name)
    return Envelope(
        kind="event.app.signup",
        direction="none",
        at=seen.at,
        handles=who.handles,
        links=who.links,
        text=wanted.line(name, seen.properties),
        body=seen.body,
        counts="" if shown or wanted.ignores(name) else wanted.said(name),
        quiet=not shown,
    )


def _bound(seen: _Seen) -> Envelope:
    """All these identities are one person."""
    identities = fields(seen.event.get("identities"))
    who = described(seen.account, seen.who(), identities)
    for name in _ANON:
        who = who.joined(device(seen.account, ident(identities.get(name))), "app_bind")
    return noted(seen, "event.app.bind", who, "关联了用户标识")


def _unbound(seen: _Seen) -> Envelope:
    return noted(seen, "event.app.unbind", seen.who(), "解除了用户标识的关联")


def _set(seen: _Seen) -> Envelope:
    who = described(seen.account, seen.who(named(seen.properties)), seen.properties)
    return _profile(seen, who, traits_of(who, seen.properties, seen.at))


def _set_once(seen: _Seen) -> Envelope:
    who = described(seen.account, seen.who(), seen.properties)
    return _profile(seen, who, traits_of(who, seen.properties, seen.at, once=True))


def _unset(seen: _Seen) -> Envelope:
    who = seen.who()
    return _profile(seen, who, traits_of(who, seen.properties, seen.at, gone=True))


def _changed(seen: _Seen) -> Envelope:
    """Added to or removed: not a fact by itself, a repeat in another order would make it a wrong one."""
    return _profile(seen, seen.who(), ())


def _profile(seen: _Seen, who: Cast, facts: tuple[Fact, ...]) -> Envelope:
    return noted(seen, f"event.app.{seen.ident('type')}", who, "更新了用户资料", facts)


def _unknown(seen: _Seen) -> Envelope:
    """Also goods (`item_set`), which belong to nobody."""
    kind = seen.ident("type")
    return Envelope(
        kind="event.unknown",
        direction="none",
        at=seen.at,
        handles=() if kind.startswith("item_") else seen.who().handles,
        text=f"收到一个暂不认识的事件（{kind[:40]}）",
        body={"record": seen.event},
        quiet=True,
    )


TYPES: Mapping[str, Callable[[_Seen], Envelope]] = MappingProxyType(
    {
        "track": _tracked,
        "track_signup": _signed_up,
        "track_id_bind": _bound,
        "track_id_unbind": _unbound,
        "profile_set": _set,
        "profile_set_once": _set_once,
        "profile_unset": _unset,
        "profile_increment": _changed,
        "profile_append": _changed,
        "profile_delete": _changed,
    }
)
