"""Which shelf a request is about and who stands before it: the company's and teams', or a person's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.desk.stages import STAGES
from scrm.desk.stages import name as stage_name
from scrm.playbook.checks import service as checks
from scrm.playbook.checks.rules import Book
from scrm.playbook.library import rules, store
from scrm.playbook.library.service import Scan
from scrm.playbook.library.values import OUT, STATES, Editor, Folder, Placed, State
from scrm.playbook.scripts import TRADES, Script
from scrm.playbook.service import Library
from scrm.web.admin.cards import say
from scrm.web.house import House, actor, house
from scrm.web.shelf import views as v

OFFICE, OWN = "/admin/scripts", "/s/me/scripts"
#: So many scripts are listed at once.
LISTED = 300
ROLES: Mapping[str, str] = {"any": "对谁都可以", "registrant": "登记人", "buyer": "购买人", "user": "使用人"}
DELIVERIES: Mapping[str, str] = {
    "confirm": "顾问点了才发",
    "auto": "可以自动发",
    "hint": "只提醒顾问，不发",
}
SENTENCES = (*ROLES.values(), *DELIVERIES.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    request: web.Request
    base: str
    who: Editor

    @property
    def house(self) -> House:
        return house(self.request)

    @property
    def tenant_id(self) -> int:
        return actor(self.request).tenant_id

    @property
    def shelves(self) -> Library:
        return self.house.library

    @property
    def review(self) -> bool:
        return self.house.settings.review_scripts

    @property
    def folder(self) -> Folder:
        """Where something new goes."""
        if self.base == OWN:
            return "personal"
        return "team" if self.who.role == "lead" else "company"

    @property
    def runs(self) -> bool:
        """May write for the whole company."""
        return self.base == OFFICE and self.who.role in ("admin", "marketing")

    def say(self, text: str, **values: object) -> str:
        return say(self.request, text, **values)

    def shown(self, one: Placed) -> bool:
        """Whether it belongs on this shelf."""
        if self.base == OWN:
            return one.folder == "personal" and rules.may_see(self.who, one)
        return one.folder != "personal" and rules.may_see(self.who, one)

    async def book(self, conn: Conn) -> Book:
        return await checks.book(conn, self.house.settings.library)


def room_of(request: web.Request) -> Room:
    who = actor(request)
    editor = Editor(role=who.role, staff_id=who.staff_id, team_id=who.team_id)
    return Room(request=request, base=OWN if request.path.startswith(OWN) else OFFICE, who=editor)


def scan_of(book: Book) -> Scan:
    return book.scanner.scan


def choices(room: Room, names: Mapping[str, str], on: str) -> tuple[v.Choice, ...]:
    return tuple(v.Choice(key=key, name=room.say(name), on=key == on) for key, name in names.items())


def trade_choices(room: Room, mine: Sequence[str], on: str) -> tuple[v.Choice, ...]:
    return tuple(v.Choice(key=t, name=room.say(TRADES[t]), on=t == on) for t in mine if t in TRADES)


# -- the tree ----------------------------------------------------------------------------------------------
async def tree(
    conn: Conn, room: Room, mine: Sequence[str], *, current: str = "", now: datetime | None = None
) -> v.Tree:
    """Stages with their scripts; of a search only what answers to it."""
    query = room.request.query
    q, trade = query.get("q", "")[:60].strip(), query.get("trade", "")
    now = now or utcnow()
    known = await _known(conn, room, mine, trade, now)
    found = [known[s.id] for s in _sought([s for s, *_ in known.values()], q)] if q else list(known.values())
    heads = await store.heads(conn, [s.id for s, _, place in found[:LISTED] if place is not None])
    branches = []
    for stage in STAGES:
        here = [one for one in found[:LISTED] if one[0].stage == stage]
        leaves = tuple(_leaf(room, one, heads, current, query) for one in here)
        if leaves:
            opened = bool(q) or any(leaf.current for leaf in leaves)
            name = room.say(stage_name(stage, trade or (mine[0] if len(mine) == 1 else "")))
            branches.append(v.Branch(name=name, leaves=leaves, open=opened))
    return v.Tree(
        base=room.base,
        q=q,
        trade=trade,
        trades=trade_choices(room, mine, trade) if len(mine) > 1 else (),
        branches=tuple(branches),
        count=len(found),
        more=len(found) > LISTED,
    )


_One = tuple[Script, str, Placed | None]


async def _known(conn: Conn, room: Room, mine: Sequence[str], trade: str, now: datetime) -> dict[str, _One]:
    """Every script of this shelf by code, as it is worked on: taken out and not yet published ones too."""
    placed = await store.all_placed(conn)
    live = await store.live(conn)
    files = {} if room.base == OWN else room.shelves.files
    found: dict[str, _One] = {c: (s, t, None) for c, (s, t) in files.items() if t in ("", *mine)}
    ours = {code: place for code, place in placed.items() if room.shown(place)}
    found = {c: one for c, one in found.items() if c not in placed or c in ours}
    heads = await store.heads(conn, [c for c in ours if c not in live and c not in found])
    for code, place in ours.items():
        force = rules.in_force(live.get(code, ()), now) or next(iter(live.get(code, ())), heads.get(code))
        if force is not None:
            found[code] = force.script, place.trade, place
        elif code in found:
            found[code] = found[code][0], place.trade, place
    return {c: one for c, one in sorted(found.items()) if not trade or one[1] == trade}


def _sought(scripts: Sequence[Script], q: str) -> Sequence[Script]:
    return Library(scripts).find(q, limit=LISTED, hints=True)


def _leaf(room: Room, one: _One, heads: Mapping[str, Any], current: str, query: Any) -> v.Leaf:
    script, _, place = one
    marks = []
    if place is not None:
        head = heads.get(script.id)
        if place.live_version == OUT:
            marks.append(v.Mark(text=room.say("已下架"), tone="bad"))
        if head is not None and head.state in ("draft", "review", "refused"):
            marks.append(state_mark(room, head.state))
        if place.folder == "team":
            marks.append(v.Mark(text=room.say("小组"), tone="house"))
    if script.delivery == "auto":
        marks.append(v.Mark(text=room.say("自动")))
    kept = f"?trade={query['trade']}" if query.get("trade") in TRADES else ""
    return v.Leaf(
        title=script.title,
        href=f"{room.base}/{script.id}{kept}",
        marks=tuple(marks),
        current=script.id == current,
    )


_TONES: Mapping[str, Any] = {"live": "ok", "review": "warn", "refused": "bad"}


def state_mark(room: Room, state: State) -> v.Mark:
    return v.Mark(text=room.say(STATES[state]), tone=_TONES.get(state, ""))
