"""The household in one strip: who is there and in which part, and how many may belong to them."""

from __future__ import annotations

from collections.abc import Sequence

from scrm.identity import proposals
from scrm.identity import store as identity
from scrm.identity.service import Household
from scrm.staff.rules import scope
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations
from scrm.web import views
from scrm.web.family.kinfolk import Folk, Person, folk, path_of, role_of
from scrm.web.kinship import Strip
from scrm.web.reading import Reading
from scrm.web.render import ZONE

CELLS = 4


async def strip(
    desk: Reading, talk: Talk, home: Household | None, spans: Sequence[identity.Interval], name: str
) -> tuple[tuple[views.Member, ...], Strip | None]:
    """At most four cells, the one of the candidates included."""
    if home is None:
        return (), None
    waiting = len(await proposals.open_for(desk.conn, home.members, now=desk.now))
    room = CELLS - bool(waiting)
    shown = Strip(home=path_of(desk, home), waiting=waiting)
    if len(home.members) == 1:
        return await _doors(desk, talk, spans, name, room), shown
    known = await folk(desk, home)
    return _cells(desk, talk, known, room, shown.home), shown


async def _doors(
    desk: Reading, talk: Talk, spans: Sequence[identity.Interval], name: str, room: int
) -> tuple[views.Member, ...]:
    """Of somebody alone: one cell per channel they talk on."""
    seen = await conversations.visible_of_nodes(desk.conn, scope(desk.actor), [s.node_id for s in spans])
    return tuple(
        views.Member(
            name=name,
            role=desk.channel(t.account_id).name,
            href=f"/s/c/{desk.cid(t)}",
            icon=desk.channel(t.account_id).icon,
            hint=f"{t.last_at.astimezone(ZONE):%m-%d %H:%M} · {desk.plugged(t).account.name}",
            current=t.conversation_id == talk.conversation_id,
        )
        for t in seen[:room]
    )


def _cells(desk: Reading, talk: Talk, known: Folk, room: int, home: str) -> tuple[views.Member, ...]:
    """One per person: their part of the timeline."""
    people = known.people
    over = len(people) > room
    shown = people[: room - 1] if over else people
    mine = known.home.owners.get(talk.node_id)
    cells = [_cell(desk, talk, p, current=p.person_id == mine) for p in shown]
    if over:
        rest = desk.say("还有 {n} 人", n=len(people) - len(shown))
        cells.append(views.Member(name=rest, role=desk.say("看全家"), href=home, icon="app"))
    return tuple(cells)


def _cell(desk: Reading, talk: Talk, person: Person, *, current: bool) -> views.Member:
    role = role_of(desk, person)
    said = [person.name, *(desk.say(p.title) for p in person.parts)]
    return views.Member(
        name=person.word or person.name,
        role=role or desk.say("家人"),
        href=f"/s/c/{desk.cid(talk)}?tab=timeline&member={person.key}",
        icon=desk.channel(person.account_id).icon if person.account_id else "app",
        hint=" · ".join(dict.fromkeys(said)),
        current=current,
        filters=True,
    )
