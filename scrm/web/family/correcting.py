"""What is known of a member, corrected by whoever knows better, and taken back."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web

from scrm.db import utcnow
from scrm.errors import BadInput, Forbidden, NotFound
from scrm.identity import store as identity
from scrm.identity.survivorship import service as survivorship
from scrm.identity.survivorship.words import FIELDS
from scrm.staff.rules import scope
from scrm.timeline.seeing import answers_some
from scrm.web.after import tell
from scrm.web.family.kinfolk import HIDDEN, Folk, Person, folk, home_of, path_of
from scrm.web.family.members import correctors, door_of, field_view
from scrm.web.house import actor, house
from scrm.web.kinship import CorrectView
from scrm.web.pages import form_of, inside, page, see_other, wants_fragment
from scrm.web.reading import Reading
from scrm.web.undone import with_done

NOT_THEIRS = "这位客户由别的同事跟进，请让他来更正。"


async def ask(request: web.Request) -> web.Response:
    """The form for one field: a fragment for the dialog, a page without scripts."""
    found, who, asked = house(request), actor(request), request.query
    async with found.db.read(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
        known = await folk(desk, await home_of(desk, request.match_info["id"]))
        member = _member(known, asked.get("member", ""))
        view = await _view(desk, known, member, asked.get("field", ""), back=asked.get("back", ""))
    return page(request, _template(request), correct=view)


async def correct(request: web.Request) -> web.Response:
    """From now on this is so, whatever channels say; what was wrong with the form is said in it."""
    found, who = house(request), actor(request)
    form = {k: v for k, v in (await form_of(request)).items() if isinstance(v, str)}
    field, value, why = (form.get(k, "") for k in ("field", "value", "why"))
    try:
        async with found.db.begin(who.tenant_id) as conn:
            desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
            known = await folk(desk, await home_of(desk, request.match_info["id"]))
            one = _member(known, form.get("member", ""))
            ident = await survivorship.correct(
                conn, one.person_id, field, value, by=who.label, staff_id=who.staff_id, why=why, now=desk.now
            )
            await tell(found, conn, {one.person_id})
            done = conn.vault.public("correction", ident)
            home = path_of(desk, known.home)
    except BadInput as wrong:
        async with found.db.read(who.tenant_id) as conn:
            desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
            known = await folk(desk, await home_of(desk, request.match_info["id"]))
            one = _member(known, form.get("member", ""))
            view = await _view(desk, known, one, field, back=form.get("back", ""))
            view = replace(view, value=value[:200], why=why[:200], fault=desk.say(wrong.sentence))
        return page(request, "households/correct_page.html", status=400, correct=view)
    return see_other(with_done(inside(form.get("back", ""), home), "corrected", done))


async def take_back(desk: Reading, public: str) -> None:
    """Other words on the field count again. Raises `NotFound` where the reader does not see the customer."""
    ident = desk.conn.vault.private("correction", public)
    node_id = await survivorship.undo(desk.conn, ident, by=desk.actor.label, now=desk.now)
    person = (await identity.persons_of(desk.conn, [node_id])).get(node_id)
    if person is None:
        raise NotFound(HIDDEN)
    await home_of(desk, desk.conn.vault.public("person", person))
    if not await answers_some(desk.conn, scope(desk.actor), await identity.nodes_of(desk.conn, [person])):
        raise Forbidden(NOT_THEIRS)
    await tell(desk.house, desk.conn, {person})


def _member(known: Folk, key: str) -> Person:
    """Raises `BadInput` where nobody is named, `NotFound` for strangers, `Forbidden` for others' own."""
    if not key:
        raise BadInput
    one = next((p for p in known.people if p.key == key), None)
    if one is None:
        raise NotFound(HIDDEN)
    if not one.reachable:
        raise Forbidden(NOT_THEIRS)
    return one


async def _view(desk: Reading, known: Folk, one: Person, field: str, *, back: str) -> CorrectView:
    said = {f.name: f for f in await survivorship.shown(desk.conn, one.person_id)}
    found = said.get(field)
    home = path_of(desk, known.home)
    return CorrectView(
        home=home,
        back=inside(back, home),
        member=one.key,
        name=one.name,
        field=field if field in FIELDS else "",
        fields=tuple((name, desk.say(title)) for name, title in FIELDS.items()),
        known=None
        if found is None
        else field_view(desk, found, door_of(desk, known), await correctors(desk, [found]), may=True),
    )


def _template(request: web.Request) -> str:
    return "households/correct.html" if wants_fragment(request) else "households/correct_page.html"
