"""Members of a household with their parts, conversations and fields, each field with its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scrm.identity import roles
from scrm.identity.kin import titles
from scrm.identity.kin.rules import ROLES
from scrm.identity.roles import Part
from scrm.identity.store import persons
from scrm.identity.survivorship import service as survivorship
from scrm.identity.survivorship.rules import Field, Value
from scrm.identity.survivorship.words import FIELDS, SOURCES
from scrm.staff import store as staff
from scrm.staff.rules import masked
from scrm.web.family.kinfolk import Folk, Person, folk, path_of
from scrm.web.kinship import FieldView, MemberView, PartView, RolesView, TalkLink
from scrm.web.kinship import Value as Shown
from scrm.web.reading import Reading
from scrm.web.render import ZONE

_SEXES: Mapping[str, str] = {"m": "男", "f": "女"}


async def members(desk: Reading, known: Folk, *, fields: bool) -> tuple[MemberView, ...]:
    """In the household's order; `fields` also with what is known of each."""
    ids = [p.person_id for p in known.people]
    met = await persons.rows_of(desk.conn, ids)
    said = await survivorship.of_persons(desk.conn, ids) if fields else {}
    door = door_of(desk, known)
    who = await correctors(desk, [f for found in said.values() for f in found])
    return tuple(
        MemberView(
            id=p.key,
            name=p.name,
            word=p.word,
            first_at=met[p.person_id].first_at if p.person_id in met else None,
            parts=tuple(_part(desk, part) for part in p.parts),
            talks=_talks(desk, p),
            fields=tuple(field_view(desk, f, door, who, may=p.reachable) for f in said.get(p.person_id, ())),
            may=fields and p.reachable,
        )
        for p in known.people
    )


def door_of(desk: Reading, known: Folk) -> str:
    """A conversation of theirs the reader may open, on whose timeline everything stands; "" = none."""
    talks = [t for p in known.people for t in p.talks]
    return f"/s/c/{desk.cid(talks[0])}" if talks else ""


def event_href(desk: Reading, door: str, event_id: int | None) -> str:
    """Where an event stands on the family's timeline."""
    if not door or event_id is None:
        return ""
    return f"{door}?tab=timeline#tl-{desk.conn.vault.public('event', event_id)}"


def _part(desk: Reading, part: Part) -> PartView:
    human = part.role_id is not None and part.origin in ("rep", "admin")
    return PartView(
        role=part.role,
        title=desk.say(part.title),
        since=part.since,
        reason=desk.say(part.reason) if part.reason else "",
        percent=part.confidence,
        undo=desk.conn.vault.public("role", part.role_id) if human and part.role_id else "",
    )


def _talks(desk: Reading, person: Person) -> tuple[TalkLink, ...]:
    return tuple(
        TalkLink(
            href=f"/s/c/{desk.cid(t)}",
            name=desk.channel(t.account_id).name,
            icon=desk.channel(t.account_id).icon,
            last_at=t.last_at,
        )
        for t in person.talks
    )


async def correctors(desk: Reading, fields: Sequence[Field]) -> dict[int, str]:
    """The names of those whose corrections these are."""
    said = [v for f in fields for v in (f.shown, *f.others)]
    ids = sorted({v.staff_id for v in said if v.staff_id is not None})
    return {i: m.name for i, m in (await staff.members(desk.conn, ids)).items()} if ids else {}


def field_view(desk: Reading, one: Field, door: str, who: Mapping[int, str], *, may: bool) -> FieldView:
    return FieldView(
        name=one.name,
        title=desk.say(FIELDS[one.name]),
        shown=_value(desk, one.shown, door, who, may=may),
        others=tuple(_value(desk, v, door, who, may=may) for v in one.others),
        conflicting=one.conflicting,
    )


def _value(desk: Reading, one: Value, door: str, who: Mapping[int, str], *, may: bool) -> Shown:
    text = one.value
    if one.field == "phone":
        text = masked(desk.actor, text.removeprefix("+86"))
    if one.field == "gender":
        text = desk.say(_SEXES[text]) if text in _SEXES else text
    day = f"{one.at.astimezone(ZONE):%Y-%m-%d}"
    ident = one.correction_id
    return Shown(
        text=text,
        source=f"{desk.say(SOURCES[one.said])} · {day}",
        href=event_href(desk, door, one.event_id),
        note=" · ".join(t for t in (who.get(one.staff_id or 0, ""), one.why) if t),
        undo=desk.conn.vault.public("correction", ident) if may and ident is not None else "",
    )


# -- changing a part ---------------------------------------------------------------------------------------
async def roles_view(desk: Reading, known: Folk, back: str) -> RolesView:
    return RolesView(
        home=path_of(desk, known.home),
        back=back,
        members=await members(desk, known, fields=False),
        roles=tuple((role, desk.say(titles.ROLES[role])) for role in ROLES),
    )


async def assign(desk: Reading, known: Folk, key: str, role: str, why: str) -> int | None:
    """From now on they have this part in the family; the row, None when there is no such member."""
    person = next((p for p in known.people if p.key == key), None)
    nodes = _standing(person.spans) if person else []
    if not nodes:
        return None
    staff_id = desk.actor.staff_id
    return await roles.assign(desk.conn, nodes[0], role, by=staff_id, why=why, now=desk.now)


def _standing(spans: Sequence[persons.Interval]) -> list[int]:
    return sorted(s.node_id for s in spans if s.until_at is None)


__all__ = ["assign", "door_of", "event_href", "folk", "members", "roles_view"]
