"""What an event with identifiers says: who acts, which identifiers are theirs, and who is family. Pure.

For streams that name identifiers only (files, other systems); a connector says it by itself with its links.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Literal, NamedTuple

from scrm.identity.rules import names
from scrm.identity.rules.policy import Policy, is_blocked

#: What other systems call the kinds, and our name of them.
KINDS: Mapping[str, str] = {
    "unionid": "wechat_unionid",
    "external_userid": "wecom_external",
    "openid": "wechat_openid",
}
_WECHAT = frozenset({"wechat_unionid", "wecom_external", "wechat_openid"})
_DIGITS = re.compile(r"\D+")
_MOBILE = re.compile(r"1[3-9]\d{9}")
_MASKED = re.compile(r"[\d+ -]*[*xX＊×·•?]{2,}[\d -]*")

#: Strength by the event that showed two kinds together; without an entry that of `_PAIRS`.
_BY_TYPE: Mapping[tuple[str, frozenset[str]], tuple[str, int]] = {
    ("register", frozenset({"phone", "app_user"})): ("register", 65),
    ("mp_open", frozenset({"phone", "wechat_openid"})): ("mp_phone", 75),
    ("mp_open", frozenset({"phone", "wechat_unionid"})): ("mp_phone", 75),
    ("wecom_add", frozenset({"phone", "wecom_external"})): ("remark", 45),
    ("contract", frozenset({"phone", "id_card"})): ("contract", 85),
    ("order", frozenset({"phone", "app_user"})): ("order", 50),
    ("order", frozenset({"phone", "wechat_unionid"})): ("order", 52),
    ("order", frozenset({"phone", "wechat_openid"})): ("order", 52),
}
_PAIRS: Mapping[frozenset[str], int] = {
    frozenset({"phone", "app_user"}): 60,
    frozenset({"phone", "id_card"}): 80,
    frozenset({"phone", "wechat_unionid"}): 62,
    frozenset({"phone", "wechat_openid"}): 61,
    frozenset({"phone", "wecom_external"}): 50,
    frozenset({"phone"}): 48,
}
#: Whose an event is that does not say it.
_SLOTS: Mapping[str, str] = {
    "register": "holder",
    "mp_open": "holder",
    "oa_follow": "holder",
    "wecom_add": "holder",
    "class": "learner",
}
#: How much a relation of an event says of one family.
_TIES: Mapping[str, int] = {
    "register": 82,
    "statement": 75,
    "order": 80,
    "cosign": 84,
    "contract": 84,
    "card_forward": 70,
    "class": 78,
}


class Ident(NamedTuple):
    """An identifier as the source wrote it."""

    kind: str
    scope: str
    value: str


class Relation(NamedTuple):
    """Another identifier that the event ties to the actor: same_household | co_parent | referral | other."""

    cls: str
    ident: Ident


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One event as a source tells it."""

    id: str
    at: datetime
    type: str
    slot: str = "unknown"
    ids: tuple[Ident, ...] = ()
    relations: tuple[Relation, ...] = ()
    name: str = ""
    rep: str = ""


@dataclass(slots=True)
class Reading:
    """What it says: (a, b, rule, strength) for persons and families, (weak, actor) for devices."""

    #: Who acts, surest first; () = nobody we can name.
    actors: list[Ident] = field(default_factory=list)
    persons: list[tuple[Ident, Ident, str, int]] = field(default_factory=list)
    families: list[tuple[Ident, Ident, str, int]] = field(default_factory=list)
    weak: list[Ident] = field(default_factory=list)
    #: The account it happened in, where it does not say whose hands held it.
    account: Ident | None = None
    name: str = ""
    #: What else an identifier was shown with, by the prefixes of `names`.
    marks: tuple[str, ...] = ()
    #: It showed a device that says nothing (a default value): nobody knows whose.
    blind: bool = False


_Use = Literal["strong", "weak", "none"]


class Reader:
    """Reads events by one policy; an identifier is looked at once, however often it comes."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._known: dict[Ident, tuple[Ident, _Use]] = {}
        self._counted = {k.name for k in policy.kinds.values() if k.max_names}

    def read(self, seen: Seen) -> Reading:
        """The actor's identifiers tie to the one that weighs most; a child ties the account as family."""
        policy, out, strong = self._policy, Reading(), []
        if seen.name:
            out.name = names.normal(seen.name)
        for ident in seen.ids:
            clean, use = self._known.get(ident) or self._looked_at(ident)
            if use == "strong":
                strong.append(clean)
            elif use == "weak":
                out.weak.append(clean)
            elif clean.kind == "device":
                out.blind = True
        out.actors, others = _mine(policy, _slot(seen), strong) if strong else ([], [])
        if out.actors:
            _tie(seen, out, others)
            if seen.rep or seen.relations:
                out.marks = self._marks(seen, out.actors)
        elif others:
            out.account = others[0]
        if seen.relations:
            self._relate(seen, out)
        return out

    def _marks(self, seen: Seen, mine: list[Ident]) -> tuple[str, ...]:
        return _marks(seen) if any([i.kind in self._counted for i in mine]) else ()

    def _relate(self, seen: Seen, out: Reading) -> None:
        """Only what is called family is family, and to somebody who can be told from others."""
        anchor = out.actors[0] if out.actors else out.account
        for relation in seen.relations if anchor else ():
            target, use = self._looked_at(relation.ident)
            if relation.cls == "same_household" and use == "strong" and target != anchor:
                strength = _TIES.get(seen.type, 60)
                out.families.append((anchor, target, f"{seen.type}.relation", strength))  # type: ignore[arg-type]

    def _looked_at(self, ident: Ident) -> tuple[Ident, _Use]:
        known = self._known.get(ident)
        if known is None:
            clean = normal(self._policy, ident)
            known = self._known[ident] = (clean, self._use(clean))
        return known

    def _use(self, clean: Ident) -> _Use:
        kind = self._policy.kind(clean.kind)
        if kind.place or not clean.value or is_blocked(kind, clean.value):
            return "none"
        if kind.merge:
            return "strong"
        return "weak" if kind.max_persons and clean.kind != "masked_phone" else "none"


def _tie(seen: Seen, out: Reading, others: list[Ident]) -> None:
    """What is the actor's own, and what is their family's."""
    anchor, *rest = out.actors
    for other in rest:
        rule, strength = _strength(seen.type, anchor.kind, other.kind)
        out.persons.append((anchor, other, rule, strength))
    for other in others:
        out.families.append((anchor, other, f"{seen.type}.account", 78))


def _marks(seen: Seen) -> tuple[str, ...]:
    """Who of ours saw it, whose report it was, and which account was opened with it."""
    found = [names.REP + seen.rep] if seen.rep else []
    if seen.type == "register":
        found += [names.ACCOUNT + r.ident.value for r in seen.relations if r.ident.kind == "app_user"]
    elif seen.type == "broker_report" and seen.rep:
        found += [f"{names.BROKER}{i.value}|{seen.rep}" for i in seen.ids if i.kind == "broker"]
    return tuple(found)


def normal(policy: Policy, ident: Ident) -> Ident:
    """By our names of kinds; telephones as E.164, masked ones apart from whole ones."""
    kind = KINDS.get(ident.kind, ident.kind)
    value = ident.value.strip()
    if kind == "phone":
        return phone(value)
    if policy.kind(kind).normalise == "email":
        value = value.lower()
    return Ident(kind, ident.scope, value)


def phone(written: str) -> Ident:
    """As E.164, or as a masked number."""
    if _MASKED.fullmatch(written):
        return Ident("masked_phone", "", written)
    digits = _DIGITS.sub("", written)
    if written.startswith("+") and not written.startswith("+86"):
        return Ident("phone", "e164", f"+{digits}")
    for code in ("0086", "86"):
        if digits.startswith(code) and len(digits) > len(code) + 6:
            digits = digits[len(code) :]
            break
    return Ident("phone", "e164", f"+86{digits}" if digits else written)


def _slot(seen: Seen) -> str:
    """Whose hands: what a platform binds to an account is the holder's, and a class is for the learner."""
    if seen.slot != "unknown":
        return seen.slot
    return _SLOTS.get(seen.type, "unknown")


def _mine(policy: Policy, slot: str, strong: list[Ident]) -> tuple[list[Ident], list[Ident]]:
    """(the actor's own, surest first; those of the account and its people)."""
    if len(strong) == 1:
        kind = strong[0].kind
        if kind != "learner" and (slot == "learner" or (slot == "unknown" and kind == "app_user")):
            return [], strong
        return strong, []
    ranked = sorted(strong, key=lambda i: -policy.kind(i.kind).strength)
    learners = [i for i in ranked if i.kind == "learner"]
    adults = [i for i in ranked if i.kind != "learner"]
    if slot == "learner":
        return learners[:1], [*learners[1:], *adults]
    if slot == "unknown" and any(i.kind == "app_user" for i in adults):
        # Nobody says whose hands held the account: it is family of whoever else is named.
        named = [i for i in adults if i.kind != "app_user"]
        accounts = [i for i in adults if i.kind == "app_user"]
        if learners and not named:
            return learners[:1], [*learners[1:], *accounts]
        return _once(policy, named, [*accounts, *learners])
    if not adults:
        return learners[:1], learners[1:]
    return _once(policy, adults, learners)


def _once(policy: Policy, mine: list[Ident], others: list[Ident]) -> tuple[list[Ident], list[Ident]]:
    """Of a kind of which a person has one, the first named is the actor's."""
    kept: list[Ident] = []
    for ident in mine:
        slot = (ident.kind, ident.scope)
        if policy.kind(ident.kind).exclusive and slot in {(k.kind, k.scope) for k in kept}:
            others = [*others, ident]
        else:
            kept.append(ident)
    return kept, others


@lru_cache(maxsize=1024)
def _strength(type_: str, a: str, b: str) -> tuple[str, int]:
    pair = frozenset({a, b})
    if pair <= _WECHAT:
        return "wechat.verified", 100
    return _BY_TYPE.get((type_, pair)) or (f"{type_}.ids", _PAIRS.get(pair, 70))
