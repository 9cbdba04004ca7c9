"""What a system writes down of one thing somebody did: identifiers, slips of the finger, things lent."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from scrm.bench.identity.chances import Dirt, Shape
from scrm.bench.identity.names import Words
from scrm.bench.identity.people import Household, Person
from scrm.bench.identity.values import Event, Ident, Relation, Stream, Truth

_BEGAN = datetime(2025, 1, 6, 1, tzinfo=UTC)
_DEFAULT_PHONES = ("13800138000", "13888888888", "13000000000", "11111111111", "13912345678", "00000000000")
_HOTLINES = ("4008001234", "02188886666", "13061880001")


@dataclass(slots=True, kw_only=True)
class Draft:
    """One event before it is numbered."""

    at: float
    type: str
    who: Person
    home: Household
    ids: list[Ident]
    relations: list[Relation]
    slot: str
    role: str | None
    name: str
    dirt: str = ""


@dataclass(slots=True)
class Pen:
    """Writes events down, with this much dirt and in this shape."""

    rng: random.Random
    dirt: Dirt
    shape: Shape
    everyone: Sequence[Household]
    words: Words
    drafts: list[Draft] = field(default_factory=list)
    _smudge: str = ""

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def note(
        self,
        at: float,
        kind: str,
        who: Person,
        home: Household,
        ids: Iterable[Ident | None],
        *,
        relations: Iterable[Relation | None] = (),
        slot: str = "holder",
        role: str | None = "member",
        name: str = "",
    ) -> Draft:
        one = Draft(
            at=at,
            type=kind,
            who=who,
            home=home,
            ids=[i for i in ids if i is not None],
            relations=[r for r in relations if r is not None],
            slot=slot,
            role=role,
            name=name,
            dirt=self._smudge,
        )
        self._smudge = ""
        self.drafts.append(one)
        return one

    # -- identifiers ------------------------------------------------------------------------------------
    def phone(self, who: Person, home: Household) -> Ident | None:
        if not who.phones:
            return None
        value = who.phones[0] if len(who.phones) == 1 or self.chance(0.6) else who.phones[1]
        others = [p for p in home.adults if p is not who]
        if self.chance(self.dirt.default_phone):
            self._smudge, value = "default_phone", self.rng.choice(_DEFAULT_PHONES)
        elif self.chance(self.dirt.phone_typo):
            self._smudge, value = "typo", self.words.typo(value)
        elif others and self.chance(self.dirt.borrowed_phone):
            self._smudge, value = "borrowed_phone", self.rng.choice(others).phones[0]
        return Ident("phone", "", value)

    def caller(self, who: Person, home: Household) -> Ident | None:
        if self.chance(self.dirt.hotline_caller):
            self._smudge = "hotline"
            return Ident("phone", "", self.rng.choice(_HOTLINES))
        return self.phone(who, home)

    def reported(self, who: Person, home: Household) -> Ident | None:
        """The number in a broker's report: the customer's, half of it, or the broker's own."""
        if self.chance(self.dirt.broker_phone):
            self._smudge = "broker_phone"
            return Ident("phone", "", f"1590000{int(home.broker[1:]):04d}")
        one = self.phone(who, home)
        if one is not None and self.chance(self.dirt.masked_phone):
            self._smudge = "masked_phone"
            return Ident("phone", "", f"{one.value[:3]}****{one.value[-4:]}")
        return one

    def unionid(self, who: Person, channel: str) -> Ident | None:
        if self.shape.unionid_lost == "event":
            lost = self.chance(self.dirt.no_unionid)
        else:
            lost = channel in who.nameless_on
        return None if lost or not who.unionid else Ident("unionid", "open", who.unionid)

    def openid(self, who: Person, channel: str) -> Ident | None:
        shown = channel in who.openids and (self.shape.openids or channel in who.nameless_on)
        return Ident("openid", f"wx_{channel}", who.openids[channel]) if shown else None

    def external(self, who: Person) -> Ident | None:
        return Ident("external_userid", "corp", who.external) if who.external else None

    def device(self, who: Person, home: Household, *, at_home: float) -> Ident:
        if self.chance(self.dirt.store_tablet):
            self._smudge = "store_tablet"
            return Ident("device", "", f"store-{int(home.rep[3:]) // 2}")
        value = home.home_device if self.chance(at_home) else who.device
        if not value.startswith(("pad-", "dev-")):
            self._smudge = "default_device"
        return Ident("device", "", value)

    # -- relations --------------------------------------------------------------------------------------
    def family(self, other: Person, home: Household) -> Relation | None:
        """Names a member of the family, as far as the speaker knows them; sometimes a stranger."""
        if self.chance(self.dirt.wrong_relation):
            self._smudge = "wrong_relation"
            home = home.friend or self.rng.choice(self.everyone)
            other = self.rng.choice(home.members)
        known = {
            "phone": other.phones[0] if other.phones else "",
            "app_user": home.account if other is home.registrar else "",
            "external_userid": other.external,
            "unionid": other.unionid,
            "learner": other.learner,
            "id_card": other.card,
        }
        scopes = {"app_user": "app", "external_userid": "corp", "unionid": "open", "learner": "school"}
        kinds = [k for k in self.shape.names_by if known[k]] or [k for k, v in known.items() if v]
        kind = kinds[0] if self.chance(0.6) else self.rng.choice(kinds)
        return Relation("same_household", Ident(kind, scopes.get(kind, ""), known[kind]))

    def typed_account(self, home: Household) -> str:
        """The family's account on an order; sometimes that of strangers."""
        if self.chance(self.dirt.wrong_relation / 3):
            self._smudge, home = "wrong_relation", self.rng.choice(self.everyone)
        return home.account

    def friend(self, home: Household, cls: str) -> Relation | None:
        if home.friend is None or home.friend is home:
            return None
        other = self.rng.choice(home.friend.adults)
        return Relation(cls, Ident("phone", "", other.phones[0]))

    def slot(self, said: str) -> str:
        return said if self.chance(self.shape.slot_known) else "unknown"

    def name(self, who: Person, *, nick: float = 0.0) -> str:
        """What they are called there: their name, or one they gave themselves."""
        if not self.chance(self.shape.names):
            return ""
        if self.chance(nick):
            return self.rng.choice(
                (f"{who.name[-1]}{who.name[-1]}", "A" + who.name[1:], "阳光", f"{who.name[0]}姐")
            )
        if self.chance(0.1):
            return who.name[0] + ("先生" if who.part == "father" else "女士")
        return who.name


def bound(drafts: Iterable[Draft], rng: random.Random) -> Stream:
    """The drafts in order of time, numbered: the numbers say nothing about whose they are."""
    ordered = sorted(drafts, key=lambda d: d.at)
    events, truth, dirt = [], {}, {}
    for number, one in enumerate(ordered, 1):
        at = (_BEGAN + timedelta(days=one.at)).replace(microsecond=0)
        rng.shuffle(one.ids)
        key = f"e{number}"
        event = Event(
            id=key,
            at=at,
            type=one.type,
            slot=one.slot,
            ids=tuple(one.ids),
            relations=tuple(one.relations),
            name=one.name,
            rep=one.home.rep,
        )
        events.append(event)
        truth[key] = Truth(id=key, person=one.who.id, household=one.home.id, role=one.role)
        if one.dirt:
            dirt[key] = one.dirt
    return Stream(events=tuple(events), truth=truth, dirt=dirt)
