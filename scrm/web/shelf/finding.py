"""`/s/c/{cid}/find`: a script by words, pinyin or code, filled in for the customer of the open chat."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from scrm import situations
from scrm.db import Conn, utcnow
from scrm.desk.stages import STAGES
from scrm.playbook.library import service
from scrm.playbook.library.samples import labels
from scrm.playbook.library.values import Reader
from scrm.playbook.scripts import Script
from scrm.playbook.service import Library
from scrm.timeline.rules import Talk
from scrm.web import bringing, outlook
from scrm.web.advice import known_to
from scrm.web.cards import ScriptCard
from scrm.web.house import actor, house
from scrm.web.offering import FOUND as KIND
from scrm.web.pages import page, talk_of, wants_fragment
from scrm.web.present import Desk
from scrm.web.sidebar import in_app
from scrm.web.vetting import present as vetting
from scrm.web.views import Via

#: Cards shown at once; whoever wants others types more.
SHOWN = 8
FOUND = "话术 {code} 第 {version} 版"
SENTENCES = (FOUND,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was looked for in one conversation, the best first."""

    cid: str
    q: str
    cards: tuple[ScriptCard, ...]
    via: Via
    via_note: str = ""
    seen: str = ""


async def find(request: web.Request) -> web.Response:
    room, who, now = house(request), actor(request), utcnow()
    q = request.query.get("q", "")[:60].strip()
    async with room.db.read(who.tenant_id) as conn:
        desk = Desk(house=room, conn=conn, actor=who, now=now, in_app=in_app(request))
        talk = await talk_of(conn, request)
        ahead = await outlook.outlook(room, conn, desk.say, talk, in_app=desk.in_app, now=now)
        cards = await _cards(conn, desk, talk, q, ahead.via)
        seen = await desk.seen(talk)
    made = Found(cid=desk.cid(talk), q=q, cards=cards, via=ahead.via, via_note=ahead.closed, seen=seen)
    name = "sidebar/found.html" if wants_fragment(request) else "sidebar/found_page.html"
    return page(request, name, found=made)


async def _cards(conn: Conn, desk: Desk, talk: Talk, q: str, via: Via) -> tuple[ScriptCard, ...]:
    """Rendered for this customer, each with the check's word on it."""
    library = await service.load(conn, desk.house.library, now=desk.now)
    channel = desk.plugged(talk).account.channel
    reader = Reader(staff_id=desk.actor.staff_id, team_id=desk.actor.team_id)
    scripts = library.find(q, channel=channel, reader=reader, limit=SHOWN) if q else ()
    if not scripts:
        return ()
    company = desk.house.settings.company
    one = await situations.of(conn, talk, channel=channel, company=company, now=desk.now)
    known = known_to(desk, one)
    made = tuple(_card(desk, library, n, script, known) for n, script in enumerate(scripts, 1))
    files = {card.id: script.files for card, script in zip(made, scripts, strict=True)}
    cards = await bringing.onto(desk, talk, made, files, via=via)
    return (await vetting.around(desk, talk, sorted(one.nodes), cards, "")).cards


def _card(desk: Desk, library: Library, n: int, script: Script, known: Mapping[str, object]) -> ScriptCard:
    rendered = library.rendered(script.id, known)
    return ScriptCard(
        id=f"{KIND}{script.id}",
        n=n,
        title=f"{desk.say(STAGES[script.stage])} · {script.title}",
        why=desk.say(FOUND, code=script.id, version=script.version),
        parts=rendered.parts,
        text=rendered.text,
        key=secrets.token_hex(12),
        missing=labels(rendered.missing),
    )
