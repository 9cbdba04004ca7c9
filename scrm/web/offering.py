"""On opening a chat the next step is offered; a card is filled in, or said not to fit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from aiohttp import web

from scrm import situations
from scrm.db import Conn, utcnow
from scrm.errors import BadInput, Conflict
from scrm.identity import store as identity
from scrm.identity.survivorship import service as survivorship
from scrm.pipeline import advising
from scrm.playbook import store
from scrm.playbook.library import service as shelves
from scrm.playbook.service import unfit, use
from scrm.playbook.templates import VARIABLES
from scrm.sales import rules as prices
from scrm.staff.rules import Policy
from scrm.timeline.rules import Talk, are_words
from scrm.web.advice import Given
from scrm.web.after import tell
from scrm.web.house import House, actor, house
from scrm.web.pages import form_of, page, see_other, talk_of, wants_fragment
from scrm.web.present import Desk
from scrm.web.routes import Route

#: What a customer said so lately react is at work on.
_REACTS = timedelta(seconds=30)
_LONG = 200
#: How the id of a card begins that was looked up, before the script's code.
FOUND = "found-"
NO_NUMBER = "“{label}”要填数字。"
TOO_LONG = "填的内容太长了，请缩短到 200 个字以内。"
GONE = "这条话术已经发过，或者不在这个会话里。"
FILLED = "在话术卡上填写"
SENTENCES = (NO_NUMBER, TOO_LONG, GONE, FILLED)
#: Variables that say something of a person, and which of their fields that is.
FIELDS: Mapping[str, str] = {"member.name": "name", "child.name": "child", "child.grade": "grade"}


async def freshen(request: web.Request) -> None:
    """The conversation of this page; offers are written down once they are going to be shown."""
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        talk = await talk_of(conn, request)
    await offer(found, who.tenant_id, talk)


async def offer(found: House, tenant_id: int, talk: Talk) -> None:
    """What to say next, unless what was offered last still answers where the household stands."""
    now, ident = utcnow(), talk.conversation_id
    async with found.db.read(tenant_id) as conn:
        ground = await advising.look(conn, found.priors, [ident], now=now)
        one = ground.situations.get(ident)
        last = await store.latest(conn, ident)
        library = await shelves.load(conn, found.library, now=now)
    if one is None or advising.is_fresh(last, one, now):
        return
    asks = advising.waits(one)
    if asks and not last and one.last_in_at is not None and now - one.last_in_at < _REACTS:
        return
    said = [talk.last_text] if asks and are_words(talk.last_kind, talk.last_text) else []
    channel = found.directory.by_id(talk.account_id).account.channel
    made = advising.opening(library, ground, one, said, channel, now=now)
    async with found.db.begin(tenant_id) as conn:
        await store.save_all(conn, [made], now=now)


async def used(
    conn: Conn, found: House, talk: Talk, public: str, *, event_id: int, staff_id: int | None, now: datetime
) -> None:
    """Remember which card was sent as this message, be it one of ours or one that was looked up."""
    if not public.startswith(FOUND):
        await use(conn, talk.conversation_id, public, event_id=event_id, staff_id=staff_id, now=now)
        return
    script = (await shelves.load(conn, found.library, now=now)).get(public.removeprefix(FOUND))
    ground = await advising.look(conn, found.priors, [talk.conversation_id], now=now)
    one = ground.situations.get(talk.conversation_id)
    if script is not None and one is not None:
        channel = found.directory.by_id(talk.account_id).account.channel
        await advising.looked_up(
            conn, one, script, channel=channel, event_id=event_id, staff_id=staff_id, now=now
        )


async def fill(request: web.Request) -> web.Response:
    """The card again with what the rep filled in; what it says of the person the next card knows."""
    found, who = house(request), actor(request)
    form = {k: v for k, v in (await form_of(request)).items() if isinstance(v, str)}
    async with found.db.begin(who.tenant_id) as conn:
        talk = await talk_of(conn, request)
        desk = Desk(house=found, conn=conn, actor=who, now=utcnow(), in_app=bool(form.get("in_app")))
        values = _values(form, desk)
        await _learn(desk, talk, values)
        given = Given(suggestion=form.get("suggestion", ""), values=values)
        view = await desk.customer(talk, given=given)
    name = "sidebar/customer.html" if wants_fragment(request) else "sidebar/page.html"
    return page(request, name, customer=view, boot=None)


async def _learn(desk: Desk, talk: Talk, values: Mapping[str, str | int]) -> None:
    """As a correction by whoever filled it in; only what nobody knew, whatever a form brings."""
    said = {name: str(value) for name, value in values.items() if name in FIELDS}
    person = (await identity.persons_of(desk.conn, [talk.node_id])).get(talk.node_id) if said else None
    if person is None:
        return
    one = await situations.of(desk.conn, talk, channel="", now=desk.now)
    known = situations.facts(one, desk.now)
    for name, value in sorted(said.items()):
        root, _, leaf = name.partition(".")
        inside = known.get(root)
        if isinstance(inside, Mapping) and inside.get(leaf):
            continue
        await survivorship.correct(
            desk.conn,
            person,
            FIELDS[name],
            value,
            by=desk.actor.label,
            staff_id=desk.actor.staff_id,
            why=desk.say(FILLED),
            node_id=talk.node_id,
            now=desk.now,
        )
    await tell(desk.house, desk.conn, {person})


def _values(form: Mapping[str, str], desk: Desk) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for name, variable in VARIABLES.items():
        text = form.get(f"v.{name}", "").strip()
        if not text:
            continue
        if len(text) > _LONG:
            raise BadInput(TOO_LONG)
        found[name] = _number(name, text, desk) if isinstance(variable.example, int) else text
    return found


def _number(name: str, text: str, desk: Desk) -> int:
    if name.endswith("_fen"):
        return prices.fen(text)
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadInput(desk.say(NO_NUMBER, label=desk.say(VARIABLES[name].label)))
    return int(text)


async def refuse(request: web.Request) -> web.Response:
    """It does not fit here: gone from this page, and ranked lower from now on."""
    found, who = house(request), actor(request)
    form = await form_of(request)
    async with found.db.begin(who.tenant_id) as conn:
        talk = await talk_of(conn, request)
        public = str(form.get("suggestion", ""))
        if not await unfit(conn, talk.conversation_id, public, staff_id=who.staff_id):
            raise Conflict(GONE)
    if not wants_fragment(request):
        return see_other(f"/s/c/{request.match_info['cid']}")
    async with found.db.read(who.tenant_id) as conn:
        desk = Desk(house=found, conn=conn, actor=who, now=utcnow(), in_app=bool(form.get("in_app")))
        view = await desk.customer(await talk_of(conn, request))
    return page(request, "sidebar/customer.html", customer=view)


ROUTES = (
    Route(method="POST", path="/s/c/{cid}/fill", handler=fill, policy=Policy.TALK),
    Route(method="POST", path="/s/c/{cid}/unfit", handler=refuse, policy=Policy.TALK),
)
