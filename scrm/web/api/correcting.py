"""The API's corrections: what is so of a person, whatever channels say; each can be taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import BadInput, NotFound
from scrm.identity import store as identity
from scrm.identity.survivorship import service as survivorship
from scrm.staff.rules import Policy, scope
from scrm.timeline.seeing import answers_some
from scrm.web.after import tell
from scrm.web.api.endpoint import Act, Endpoint, body_of
from scrm.web.api.identity import home_of
from scrm.web.api.resources import Field
from scrm.web.api.show import Shower
from scrm.web.house import actor, house

_HIDDEN = "没有这个人，或者你不能查看。"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectIn:
    #: name | gender | phone | city | child | grade | birthday | tags
    field: str
    value: str
    why: str = ""
    #: The identifier it is to hang on, and go with after a split; the person's oldest when not given.
    node_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    person_id: str
    #: What takes it back; null once it was.
    correction_id: str | None
    fields: list[Field]


async def correct(request: web.Request) -> Act:
    async def act(conn: Conn) -> Corrected:
        who = actor(request)
        found = await identity.person_now(conn, conn.vault.private("person", request.match_info["id"]))
        one, wanted = await _demanded(conn, request, found), await body_of(request, CorrectIn)
        if len(wanted.why) > 200:
            raise BadInput("why 最多 200 个字。")
        ident = await survivorship.correct(
            conn,
            one,
            wanted.field,
            wanted.value,
            by=who.label,
            staff_id=who.staff_id,
            why=wanted.why,
            node_id=None if wanted.node_id is None else conn.vault.private("node", wanted.node_id),
            now=utcnow(),
        )
        return await _told(conn, request, one, ident)

    return act


async def undo(request: web.Request) -> Act:
    async def act(conn: Conn) -> Corrected:
        ident = conn.vault.private("correction", request.match_info["correction"])
        node_id = await survivorship.undo(conn, ident, by=actor(request).label, now=utcnow())
        one = await _demanded(conn, request, (await identity.persons_of(conn, [node_id])).get(node_id))
        return await _told(conn, request, one, None)

    return act


async def _demanded(conn: Conn, request: web.Request, person_id: int | None) -> int:
    """Raises `NotFound` for whom the asker does not talk with."""
    if person_id is None:
        raise NotFound(_HIDDEN)
    await home_of(conn, request, conn.vault.public("person", person_id))
    nodes = await identity.nodes_of(conn, [person_id])
    if not await answers_some(conn, scope(actor(request)), nodes):
        raise NotFound(_HIDDEN)
    return person_id


async def _told(conn: Conn, request: web.Request, person_id: int, ident: int | None) -> Corrected:
    await tell(house(request), conn, {person_id})
    shower = Shower(house=house(request), conn=conn, actor=actor(request))
    shown = (await shower.persons([person_id], fields=True))[0]
    return Corrected(
        person_id=shown.id,
        correction_id=None if ident is None else conn.vault.public("correction", ident),
        fields=shown.fields,
    )


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="POST",
        path="/persons/{id}/corrections",
        summary="Say what is so of a person: it shows before whatever channels say",
        policy=Policy.API_TALK,
        answer=Corrected,
        handler=correct,
        body=CorrectIn,
        status=201,
    ),
    Endpoint(
        method="POST",
        path="/corrections/{correction}/undo",
        summary="Take a correction back: other words on the field count again",
        policy=Policy.API_TALK,
        answer=Corrected,
        handler=undo,
    ),
)
