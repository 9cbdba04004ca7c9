"""The API's who-is-who: households with roles and owners, identifiers, why things are one, what changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import NotFound
from scrm.identity import looking, roles
from scrm.identity import service as families
from scrm.identity import store as identity
from scrm.identity.explain import service as explain
from scrm.identity.explain.rules import Piece
from scrm.identity.explain.words import Teller
from scrm.identity.store import log
from scrm.identity.survivorship import service as survivorship
from scrm.staff import store as staff
from scrm.staff.rules import Policy, masked, scope
from scrm.timeline.seeing import sees_family
from scrm.timeline.store import conversations, events
from scrm.web.api.endpoint import PAGED, Endpoint, Query, audited, before_of, limit_of
from scrm.web.api.resources import Event, Page, Person
from scrm.web.api.show import Shower
from scrm.web.explaining import teller
from scrm.web.house import actor, house
from scrm.web.pages import place_in, place_out

_HIDDEN = "没有这个家庭，或者你不能查看。"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One piece of evidence, and what it says in a sentence."""

    id: str
    #: same_person | same_household | not_same_person | not_same_household | uses
    kind: str
    node_a: str
    node_b: str
    rule: str
    strength: int
    #: auto | rep | admin | model
    origin: str
    #: accepted | implied | held | overruled | generic | capped
    standing: str
    first_at: datetime
    last_at: datetime
    seen: int
    event_id: str | None
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePart:
    """A part somebody plays in a household."""

    role: str
    title: str
    person_id: str
    node_id: str
    since: datetime
    until: datetime | None
    confidence: int
    origin: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A colleague who looks after a conversation of the household."""

    login: str
    name: str
    conversation_id: str
    person_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consented:
    """What holds for everybody of the household together: one no is everybody's."""

    #: granted | withdrawn
    state: str
    purpose: str
    node_id: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Household:
    """The id of any of its members, also an old one, leads here."""

    id: str
    members: list[Person]
    roles: list[RolePart] = field(default_factory=list)
    owners: list[Owner] = field(default_factory=list)
    #: What ties its members, nearest to its first member first.
    evidence: list[Proof] = field(default_factory=list)
    #: About marketing; null = nobody ever said anything.
    consent: Consented | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFound:
    id: str
    kind: str
    scope: str
    value: str
    #: active | generic | blocked
    state: str
    person_id: str | None
    household_id: str | None
    first_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasons:
    """Why two are one person or one household, or neither."""

    #: person | household | apart
    tie: str
    #: The shortest chain of evidence.
    steps: list[Proof]
    #: Why they are not one person, what decides first.
    why_not: list[str]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLogged:
    """One entry of the identity log. `body` names persons before and after, with their nodes."""

    id: str
    at: datetime
    op: str
    origin: str
    evidence_id: str | None
    policy_version: int
    body: Mapping[str, Any]


# -- households --------------------------------------------------------------------------------------------
async def get_household(request: web.Request) -> Household:
    found, who = house(request), actor(request)
    await audited(request, "api.households.read")
    async with found.db.read(who.tenant_id) as conn:
        home = await _home(conn, request)
        shower = Shower(house=found, conn=conn, actor=who)
        why = await explain.why(conn, explain.household(home.members[0]))
        told = teller(found, who, why.known, now=utcnow())
        return Household(
            id=conn.vault.public("household", home.household_id or home.members[0]),
            members=await shower.persons(home.members, fields=True),
            roles=await _roles(conn, home.owners),
            owners=await _owners(conn, home.owners),
            evidence=[proof(conn, told, p) for p in why.steps],
            consent=await _consent(conn, home.members),
        )


async def _roles(conn: Conn, owners: Mapping[int, int]) -> list[RolePart]:
    return [
        RolePart(
            role=p.role,
            title=p.title,
            person_id=conn.vault.public("person", p.person_id),
            node_id=conn.vault.public("node", p.node_id),
            since=p.since,
            until=p.until,
            confidence=p.confidence,
            origin=p.origin,
            reason=p.reason,
        )
        for p in await roles.parts(conn, owners, utcnow())
    ]


async def _owners(conn: Conn, owners: Mapping[int, int]) -> list[Owner]:
    talks = [t for t in await conversations.of_nodes(conn, list(owners)) if t.rep_id]
    reps = await staff.members(conn, [t.rep_id for t in talks if t.rep_id])
    return [
        Owner(
            login=reps[t.rep_id].login,
            name=reps[t.rep_id].name,
            conversation_id=conn.vault.public("conversation", t.conversation_id),
            person_id=conn.vault.public("person", owners[t.node_id]),
        )
        for t in talks
        if t.rep_id in reps
    ]


async def _consent(conn: Conn, members: Sequence[int]) -> Consented | None:
    held = await survivorship.consent_of(conn, members)
    if held is None:
        return None
    node_id = conn.vault.public("node", held.node_id)
    return Consented(state=held.state, purpose=held.purpose, node_id=node_id, at=held.at)


async def household_timeline(request: web.Request) -> Page[Event]:
    found, who, limit = house(request), actor(request), limit_of(request)
    await audited(request, "api.timeline.read")
    async with found.db.read(who.tenant_id) as conn:
        home = await _home(conn, request)
        spans = [s for m in home.members for s in await identity.intervals(conn, m)]
        before = place_in(conn.vault, request.query.get("cursor", ""))
        page = await events.page(conn, spans, before=before, limit=limit + 1)
        shown = await Shower(house=found, conn=conn, actor=who).events(page[:limit])
        cursor = place_out(conn.vault, page[limit - 1].place) if len(page) > limit else None
    return Page(items=shown, next_cursor=cursor)


async def _home(conn: Conn, request: web.Request) -> families.Household:
    """By the id of the household, or of one of its persons."""
    return await home_of(conn, request, request.match_info["id"])


async def home_of(conn: Conn, request: web.Request, public: str) -> families.Household:
    """Raises `NotFound` also for those the reader may not see."""
    now = await identity.person_now(conn, _ident(conn, public, "household", "person"))
    if now is None or not await sees_family(conn, scope(actor(request)), now):
        raise NotFound(_HIDDEN)
    return await families.household(conn, now)


def _ident(conn: Conn, public: str, *kinds: str) -> int:
    return kind_of(conn, public, *kinds)[1]


def kind_of(conn: Conn, public: str, *kinds: str) -> tuple[str, int]:
    """What a public id is of. Raises `NotFound` for anything we did not make for one of these kinds."""
    for kind in kinds:
        try:
            return kind, conn.vault.private(kind, public)
        except NotFound:
            continue
    raise NotFound(_HIDDEN)


# -- identifiers -------------------------------------------------------------------------------------------
async def list_nodes(request: web.Request) -> Page[NodeFound]:
    """The value is hashed and looked up: nobody can list what they do not know."""
    found, who, asked = house(request), actor(request), request.query
    await audited(request, "api.nodes.read")
    async with found.db.read(who.tenant_id) as conn:
        ids = await looking.find(conn, asked["kind"], asked["value"], scope=asked.get("scope"))
        if not scope(who).everything:
            ids = sorted(await conversations.visible_nodes(conn, scope(who), ids))
        return Page(items=await _nodes(request, conn, ids))


async def _nodes(request: web.Request, conn: Conn, ids: Collection[int]) -> list[NodeFound]:
    known = await looking.described(conn, ids)
    persons = await identity.persons_of(conn, ids)
    homes = await identity.households_of(conn, persons.values())
    made = []
    for node_id, one in sorted(known.items()):
        person = persons.get(node_id)
        home = None if person is None else homes.get(person, person)
        made.append(
            NodeFound(
                id=conn.vault.public("node", node_id),
                kind=one.dot.kind,
                scope=one.dot.scope,
                value=masked(actor(request), one.value or ""),
                state=one.dot.state,
                person_id=None if person is None else conn.vault.public("person", person),
                household_id=None if home is None else conn.vault.public("household", home),
                first_at=one.dot.first_at,
            )
        )
    return made


# -- why ---------------------------------------------------------------------------------------------------
async def get_why(request: web.Request) -> Reasons:
    found, who = house(request), actor(request)
    await audited(request, "api.identity.why")
    async with found.db.read(who.tenant_id) as conn:
        a = await subject(conn, request, request.query["a"])
        b = await subject(conn, request, request.query["b"]) if request.query.get("b") else None
        why = await explain.why(conn, a, b)
        told = teller(found, who, why.known, now=utcnow())
        return Reasons(
            tie=why.tie,
            steps=[proof(conn, told, p) for p in why.steps],
            why_not=[told.block(b) for b in why.blocks],
            sentence=told.sum_up(why.tie, why.steps, why.blocks, origin=why.origin, pair=b is not None),
        )


async def subject(conn: Conn, request: web.Request, public: str) -> explain.Subject:
    """Of a person, a node or a household the reader may see; `NotFound` for every other."""
    kind, ident = kind_of(conn, public, "person", "node", "household")
    if kind == "node":
        seen = {ident} & await conversations.visible_nodes(conn, scope(actor(request)), [ident])
        owner = (await identity.persons_of(conn, [ident])).get(ident)
        if not seen and (owner is None or not await sees_family(conn, scope(actor(request)), owner)):
            raise NotFound("没有这个标识，或者你不能查看。")
        return explain.node(ident)
    now = await identity.person_now(conn, ident)
    if now is None or not await sees_family(conn, scope(actor(request)), now):
        raise NotFound(_HIDDEN)
    return explain.household(now) if kind == "household" else explain.person(now)


def proof(conn: Conn, told: Teller, piece: Piece) -> Proof:
    event = told.known.events.get(piece.first_event_id)
    return Proof(
        id=conn.vault.public("evidence", piece.evidence_id),
        kind=piece.cls,
        node_a=conn.vault.public("node", piece.a),
        node_b=conn.vault.public("node", piece.b),
        rule=piece.rule,
        strength=piece.strength,
        origin=piece.origin,
        standing=piece.standing,
        first_at=piece.first_at,
        last_at=piece.last_at,
        seen=piece.n,
        event_id=conn.vault.public("event", event.event_id) if event else None,
        sentence=told.piece(piece),
    )


# -- what changed ------------------------------------------------------------------------------------------
async def list_changes(request: web.Request) -> Page[ChangeLogged]:
    """Oldest first, so that a consumer goes on where it was."""
    found, who, limit = house(request), actor(request), limit_of(request)
    await audited(request, "api.identity.changes")
    async with found.db.read(who.tenant_id) as conn:
        after = before_of(conn, request, "log") or 0
        page = await log.page(conn, after=after, limit=limit + 1)
        items = [_change(conn, one) for one in page[:limit] if one.op != "stats"]
        cursor = conn.vault.public("log", page[limit - 1].log_id) if len(page) > limit else None
    return Page(items=items, next_cursor=cursor)


def _change(conn: Conn, one: log.Logged) -> ChangeLogged:
    evidence = None if one.evidence_id is None else conn.vault.public("evidence", one.evidence_id)
    return ChangeLogged(
        id=conn.vault.public("log", one.log_id),
        at=one.at,
        op=one.op,
        origin=one.origin,
        evidence_id=evidence,
        policy_version=one.policy_version,
        body=_public(conn, one.body, op=one.op),
    )


#: What numbers stand for, by the field they stand in.
_IDS: Mapping[str, str] = {
    "nodes": "node",
    "node": "node",
    "by": "node",
    "persons": "person",
    "person": "person",
    "staff": "staff",
    "deal": "deal",
}


def _public(conn: Conn, value: Any, kind: str = "", *, op: str = "") -> Any:
    """With ids as the API names them: `{person: [nodes]}`, of a household `{household: [persons]}`."""
    holder, held = ("household", "person") if op == "household" else ("person", "node")
    if isinstance(value, dict):
        return {
            conn.vault.public(holder, int(k)) if k.isdigit() else k: _public(
                conn, v, held if k.isdigit() else _IDS.get(k, kind), op=op
            )
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_public(conn, v, kind, op=op) for v in value]
    return conn.vault.public(kind, value) if kind and isinstance(value, int) else value


_THING = "Id of a person, a node or a household"
ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/households/{id}",
        summary="A household: members with their fields, roles, owners, and what ties them",
        policy=Policy.API_DATA,
        answer=Household,
        handler=get_household,
    ),
    Endpoint(
        method="GET",
        path="/households/{id}/timeline",
        summary="What happened with everybody of a household, newest first",
        policy=Policy.API_DATA,
        answer=Page[Event],
        handler=household_timeline,
        queries=PAGED,
    ),
    Endpoint(
        method="GET",
        path="/nodes",
        summary="An identifier by its value, and whose it is",
        policy=Policy.API_DATA,
        answer=Page[NodeFound],
        handler=list_nodes,
        queries=(
            Query(name="kind", about="`phone`, `wechat_unionid`, `app_user` ...", required=True),
            Query(name="value", about="The whole value", required=True),
            Query(name="scope", about="App, open-platform subject or corp; every one when not given"),
        ),
    ),
    Endpoint(
        method="GET",
        path="/identity/why",
        summary="Why something is one person or household, or why two are not",
        policy=Policy.API_DATA,
        answer=Reasons,
        handler=get_why,
        queries=(
            Query(name="a", about=_THING, required=True),
            Query(name="b", about=f"{_THING}; what ties `a` itself when not given"),
        ),
    ),
    Endpoint(
        method="GET",
        path="/identity/changes",
        summary="What changed in who is who, oldest first: merges, splits, households, decisions",
        policy=Policy.API_ADMIN,
        answer=Page[ChangeLogged],
        handler=list_changes,
        queries=PAGED,
    ),
)
