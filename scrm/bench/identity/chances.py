"""How a generated world is: what its households do, how its systems write it down, and how dirty that is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Dirt:
    """Shares of what goes wrong; `times` makes all of it rarer or more frequent."""

    #: Customers without a UnionID on one of their channels.
    no_unionid: float = 0.25
    default_phone: float = 0.006
    phone_typo: float = 0.006
    default_device: float = 0.03
    store_tablet: float = 0.03
    hotline_caller: float = 0.04
    broker_phone: float = 0.05
    masked_phone: float = 0.05
    #: Households with a telephone number that was somebody else's before.
    recycled: float = 0.03
    #: Relations that name a stranger: a slip of the finger, a friend taken for a spouse.
    wrong_relation: float = 0.03
    #: Households that know another one well: lend a telephone, bring a friend, share a ride.
    friends: float = 0.05
    #: A family member uses the telephone number of another one for something.
    borrowed_phone: float = 0.01

    def times(self, factor: float) -> Dirt:
        scaled = {name: min(0.6, getattr(self, name) * factor) for name in self.__slots__}
        return replace(self, **scaled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the systems of one company write events down: others do it otherwise."""

    name: str
    #: Who opens the account of a family: the mother mostly, or either of them.
    mother_registers: float = 0.75
    #: An account on an event is an identifier of its actor, or a relation to it.
    account: Literal["id", "relation"] = "id"
    #: Everybody's browsing shows the account, whoever of the family it is.
    account_on_browse: float = 0.45
    #: A class is noted under the learner's number; else only under the account.
    learner_number: float = 0.85
    #: Every adult in an account counts as its holder: the system does not know better.
    loose: bool = False
    #: How often the system says who of the account it was.
    slot_known: float = 0.7
    #: Events that come with a name: of those that could.
    names: float = 0.8
    #: A relation of the same household names this kind first.
    names_by: tuple[str, ...] = ("phone", "app_user", "external_userid", "learner")
    #: Channels lose the UnionID of a customer once for all, or of each event anew.
    unionid_lost: Literal["channel", "event"] = "channel"
    #: Openids are shown besides the UnionID.
    openids: bool = True
    devices: float = 0.5
    #: Events by one person: more of them make everything easier.
    busy: float = 1.0


SHAPES: tuple[Shape, ...] = (
    Shape(name="school"),
    Shape(name="app", account="relation", account_on_browse=0.7, slot_known=0.9, devices=0.8),
    Shape(
        name="wechat",
        mother_registers=0.5,
        names=0.4,
        names_by=("external_userid", "unionid", "phone"),
        unionid_lost="event",
        account_on_browse=0.2,
    ),
    Shape(name="silent", names=0.0, slot_known=0.3, learner_number=1.0, openids=False, busy=0.8),
    Shape(
        name="family_account",
        account_on_browse=0.9,
        slot_known=1.0,
        learner_number=0.6,
        names_by=("app_user", "learner", "id_card"),
        devices=0.9,
        busy=1.3,
    ),
    Shape(name="loose", loose=True, mother_registers=0.6, slot_known=1.0, names=0.6, unionid_lost="event"),
)


def shape(seed: int, name: str = "") -> Shape:
    """The named one; without a name the usual ones take turns."""
    if name:
        return next(s for s in SHAPES if s.name == name)
    # One whose slots say what is not so is measured only when it is asked for.
    usual = [s for s in SHAPES if not s.loose]
    return usual[(seed - 1) % len(usual)]
