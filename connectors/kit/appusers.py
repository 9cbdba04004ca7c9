"""Who uses an app: its registered user, the device before anybody signed in, and what traits say of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from connectors.kit.appevents import ident
from connectors.kit.people import app_user, phone
from connectors.kit.profiles import union_links
from scrm.contract import Account, Envelope, Fact, Handle, Link

#: Signing in is the app's own word; a telephone in a profile may be anybody's.
_LOGIN, _UNIONID, _EMAIL, _PHONE = 90, 85, 70, 60
_PHONES = ("phone", "mobile", "telephone", "$phone_number", "$identity_mobile", "手机", "手机号")
_UNIONIDS = ("unionid", "unionId", "union_id", "$mp_unionid", "$identity_mp_unionid")
_EMAILS = ("email", "$email", "$identity_email", "邮箱")
_NAMES = ("name", "$name", "nickname", "nick_name", "姓名", "昵称")
_MAIL = re.compile(r"[^\s@,;<>]{1,64}@[A-Za-z0-9.-]{1,190}\.[A-Za-z]{2,24}")
_TRAITS = 200
#: What the SDKs say of themselves.
_META = frozenset({"$is_login_id", "$lib", "$lib_version", "$lib_method"})
#: Said once, the first word holds: the earlier, the higher, and all below what is simply said.
_ONCE_TOP = 10**13


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Everybody an event names; the first handle is whose event it is."""

    handles: tuple[Handle, ...] = ()
    links: tuple[Link, ...] = ()

    def joined(self, other: Handle | None, rule: str, strength: int = _LOGIN) -> Cast:
        """With one more handle of the same person."""
        if other is None or not self.handles or _same(other, self.handles):
            return self
        about = replace(other, part="about")
        link = Link(a=self.handles[0], b=about, rule=rule, strength=strength)
        return Cast(handles=(*self.handles, about), links=(*self.links, link))


def user(account: Account, value: str, *, name: str = "") -> Handle | None:
    """The app's registered user."""
    return app_user(account, value, name=name) if value else None


def device(account: Account, value: str, *, name: str = "") -> Handle | None:
    """A browser or a phone of which nobody knows yet whose it is."""
    return Handle(kind="app_anon", scope=account.slug, value=value, name=name) if value else None


def cast(*handles: Handle | None) -> Cast:
    """Whose event it is: the first of these that is known."""
    known = next((h for h in handles if h is not None), None)
    return Cast(handles=(known,)) if known else Cast()


def named(traits: Mapping[str, Any]) -> str:
    """What the app calls somebody."""
    whole = f"{_first(traits, ('lastName',))}{_first(traits, ('firstName',))}"
    return (_first(traits, _NAMES) or whole)[:64]


def described(account: Account, who: Cast, traits: Mapping[str, Any]) -> Cast:
    """With the addresses the app knows of this person."""
    if not who.handles:
        return who
    who = who.joined(phone(_first(traits, _PHONES)), "app_phone", _PHONE)
    mail = _first(traits, _EMAILS)
    if _MAIL.fullmatch(mail):
        who = who.joined(Handle(kind="email", scope="rfc5322", value=mail.lower()), "app_email", _EMAIL)
    for union in union_links(account, who.handles[0], _first(traits, _UNIONIDS))[0][1:]:
        who = who.joined(union, "app_unionid", _UNIONID)
    return who


def traits_of(
    who: Cast, traits: Mapping[str, Any], at: datetime, *, once: bool = False, gone: bool = False
) -> tuple[Fact, ...]:
    """One fact for each trait, so that what was said of one does not undo another."""
    if not who.handles:
        return ()
    main = who.handles[0]
    rank = _ONCE_TOP - int(at.timestamp() * 1000) if once else None
    told = [(name, value) for name, value in traits.items() if name not in _META]
    return tuple(
        Fact(
            kind="trait",
            key=f"{key_of(main)}:{name}",
            body={"name": name, "value": value},
            rank=rank,
            gone=gone,
            handle=main,
        )
        for name, value in told[:_TRAITS]
    )


def key_of(who: Handle) -> str:
    """Names somebody among facts, whose names are kept open, without telling who it is."""
    return hashlib.sha256(f"{who.kind}\n{who.scope}\n{who.value}".encode()).hexdigest()[:32]


def _first(values: Mapping[str, Any], names: Iterable[str]) -> str:
    return next((text for text in (ident(values.get(name)) for name in names) if text), "")


def _same(one: Handle, others: Iterable[Handle]) -> bool:
    return any((one.kind, one.scope, one.value) == (o.kind, o.scope, o.value) for o in others)


class Seen(Protocol):
    """An event as its connector reads it: when it happened, and what to keep of it."""

    @property
    def at(self) -> datetime: ...

    @property
    def body(self) -> Mapping[str, Any]: ...


def noted(seen: Seen, kind: str, who: Cast, text: str, facts: tuple[Fact, ...] = ()) -> Envelope:
    """Something to know, but nothing that happened to the customer."""
    return Envelope(
        kind=kind,
        direction="none",
        at=seen.at,
        handles=who.handles,
        links=who.links,
        facts=facts,
        text=text,
        body=seen.body,
        quiet=True,
    )
