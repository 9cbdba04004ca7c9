"""The API's decisions about who is who: the same, not the same; words that no rule overrides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import BadInput, Forbidden, NotFound
from scrm.identity import decisions, looking
from scrm.identity import service as families
from scrm.identity import store as identity
from scrm.identity.decisions import Actor, Outcome
from scrm.staff.rules import Policy, scope
from scrm.timeline.store import conversations
from scrm.web.after import follow
from scrm.web.api.endpoint import Act, Endpoint, body_of
from scrm.web.api.identity import subject
from scrm.web.house import actor, house


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideIn:
    #: Ids of persons or of nodes.
    a: str
    b: str
    #: person: one and the same; household: one family.
    kind: Literal["person", "household"] = "person"
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    #: Persons and households that are others now.
    person_ids: list[str]
    household_ids: list[str]
    #: What was written down; withdrawing it has everything as before.
    evidence_ids: list[str]


async def link(request: web.Request) -> Act:
    wanted = await _wanted(request)

    async def act(conn: Conn) -> Decided:
        a, b = await _pair(conn, request, wanted)
        cls: Literal["same_person", "same_household"] = (
            "same_person" if wanted.kind == "person" else "same_household"
        )
        done = await decisions.link(conn, a, b, by=by(request), why=wanted.why, now=utcnow(), cls=cls)
        return await told(conn, request, done)

    return act


async def unlink(request: web.Request) -> Act:
    wanted = await _wanted(request)

    async def act(conn: Conn) -> Decided:
        a, b = await _pair(conn, request, wanted)
        cls: Literal["not_same_person", "not_same_household"] = (
            "not_same_person" if wanted.kind == "person" else "not_same_household"
        )
        done = await decisions.apart(conn, a, b, by=by(request), why=wanted.why, now=utcnow(), cls=cls)
        return await told(conn, request, done)

    return act


async def _wanted(request: web.Request) -> DecideIn:
    wanted = await body_of(request, DecideIn)
    if len(wanted.why) > 200:
        raise BadInput("why 最多 200 个字。")
    return wanted


def by(request: web.Request) -> Actor:
    """Who decides: a colleague, or a machine on behalf of an admin."""
    who = actor(request)
    return Actor(origin="rep" if who.role in ("rep", "lead") else "admin", staff_id=who.staff_id)


async def _pair(conn: Conn, request: web.Request, wanted: DecideIn) -> tuple[int, int]:
    """An identifier of each that the reader may see; of a person the one that stands for them."""
    found = []
    for public in (wanted.a, wanted.b):
        one = await subject(conn, request, public)
        if one.kind == "household":
            raise BadInput("请给出人或标识，不要给家庭。")
        node_id = one.ident if one.kind == "node" else await looking.anchor(conn, one.ident)
        if node_id is None:
            raise NotFound("这个人没有可以用来判断身份的标识。")
        found.append(node_id)
    await _demand_all(conn, request, found)
    return found[0], found[1]


async def _demand_all(conn: Conn, request: web.Request, node_ids: Sequence[int]) -> None:
    """As on the screens: whoever sees a family need not answer for all of it."""
    nodes = set(node_ids)
    for person_id in sorted(set((await identity.persons_of(conn, node_ids)).values())):
        nodes |= set((await families.household(conn, person_id)).owners)
    theirs = await conversations.of_nodes(conn, sorted(nodes))
    seen = await conversations.visible_of_nodes(conn, scope(actor(request)), sorted(nodes))
    if len(seen) < len(theirs):
        raise Forbidden("这家里还有别的同事跟进的客户，请让主管来处理。")


async def told(conn: Conn, request: web.Request, done: Outcome) -> Decided:
    """What changed; deals are looked at again, open screens are told."""
    await follow(house(request), conn, done, now=utcnow())
    conn.after_commit(house(request).wake_due)  # deals are judged again, other screens told
    vault = conn.vault
    return Decided(
        person_ids=[vault.public("person", p) for p in sorted(done.persons)],
        household_ids=[vault.public("household", h) for h in sorted(done.households)],
        evidence_ids=[vault.public("evidence", e) for e in done.evidence_ids],
    )


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="POST",
        path="/identity/link",
        summary="These two are one person, or one household",
        policy=Policy.API_TALK,
        answer=Decided,
        handler=link,
        body=DecideIn,
        status=201,
    ),
    Endpoint(
        method="POST",
        path="/identity/unlink",
        summary="These two are not one person, or not one household: no rule says otherwise any more",
        policy=Policy.API_TALK,
        answer=Decided,
        handler=unlink,
        body=DecideIn,
        status=201,
    ),
)
