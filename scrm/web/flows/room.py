"""Who stands before the SOPs of a company, and what they may see and choose from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web

from scrm.campaigns.coupons import store as batches
from scrm.db import Conn, utcnow
from scrm.desk.stages import STAGES
from scrm.desk.stages import name as stage_name
from scrm.desk.tasks.rules import KINDS
from scrm.identity import store as identity
from scrm.pipeline.sops.turns import Means
from scrm.playbook.library import service as shelves
from scrm.playbook.scripts import TRADES
from scrm.playbook.service import Library
from scrm.playbook.sops.values import Plan
from scrm.playbook.templates import VARIABLES
from scrm.staff.rules import Actor, Policy, allows, scope
from scrm.timeline.store import conversations
from scrm.web.admin.cards import say
from scrm.web.flows import views as v
from scrm.web.flows import words
from scrm.web.flows.words import Speaker
from scrm.web.house import House, actor, house
from scrm.web.pages import locale
from scrm.web.reading import Reading

BASE = "/admin/sops"
Key = TypeVar("Key", bound=str)
_NOBODY = "看不到的客户"
SENTENCES = (_NOBODY,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    request: web.Request

    @property
    def house(self) -> House:
        return house(self.request)

    @property
    def who(self) -> Actor:
        return actor(self.request)

    @property
    def tenant_id(self) -> int:
        return self.who.tenant_id

    @property
    def runs(self) -> bool:
        """May write, publish and switch."""
        return allows(Policy.SOPS_RUN, self.who)

    @property
    def comma(self) -> str:
        return ", " if locale(self.who) == "en" else "，"

    @property
    def means(self) -> Means:
        at = self.house
        return Means(
            directory=at.directory, library=at.library, company=at.settings.company, manners=at.manners
        )

    def say(self, text: str, **values: object) -> str:
        return say(self.request, text, **values)

    def options(self, names: Mapping[Key, str]) -> v.Options:
        return tuple((str(key), self.say(name)) for key, name in names.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """What this company has: its trades, scripts of everybody's shelf, coupons."""

    trades: Sequence[str]
    scripts: Mapping[str, str]
    coupons: Mapping[str, str]


async def stock(conn: Conn, room: Room) -> Stock:
    library: Library = await shelves.load(conn, room.house.library, now=utcnow())
    return Stock(
        trades=await shelves.trades(conn),
        scripts={s.id: s.title for s in library.seen_by(None)},
        coupons={b.code: b.name for b in await batches.batches(conn)},
    )


def speaker(room: Room, have: Stock, trade: str, plan: Plan) -> Speaker:
    return Speaker(
        say=room.say,
        comma=room.comma,
        trade=trade,
        scripts=have.scripts,
        coupons=have.coupons,
        numbers=words.numbers_of(plan.steps),
    )


def choices(room: Room, have: Stock, trade: str, targets: v.Options) -> v.Choices:
    return v.Choices(
        trades=tuple((key, room.say(TRADES[key])) for key in have.trades if key in TRADES),
        stages=tuple((key, room.say(stage_name(key, trade))) for key in STAGES),
        roles=room.options(words.ROLES),
        events=room.options(words.EVENTS),
        dates=room.options(words.DATES),
        tasks=room.options(KINDS),
        sends=room.options(words.SENDS),
        tos=room.options(words.TOS),
        scripts=tuple(sorted(have.scripts.items())),
        coupons=tuple(have.coupons.items()),
        steps=room.options(words.STEP_KINDS),
        starts=room.options(words.START_KINDS),
        marks=room.options(words.MARK_KINDS),
        targets=targets,
        variables=tuple((name, room.say(one.label)) for name, one in VARIABLES.items()),
    )


async def seen(conn: Conn, room: Room, node_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Name and page of those families this reader may see; nobody else is named."""
    visible = await conversations.visible_nodes(conn, scope(room.who), node_ids) if node_ids else set()
    if not visible:
        return {}
    desk = Reading(house=room.house, conn=conn, actor=room.who, now=utcnow())
    names = await desk.names(sorted(visible))
    persons = await identity.persons_of(conn, sorted(visible))
    return {
        node: (names[node], f"/households/{conn.vault.public('person', persons[node])}")
        for node in sorted(visible)
        if node in persons
    }


def named(room: Room, known: Mapping[int, tuple[str, str]], node_id: int) -> tuple[str, str]:
    return known.get(node_id) or (room.say(_NOBODY), "")
