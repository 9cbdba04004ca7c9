"""Opening and moving opportunities: each move once, with its reason, told on the customer's timeline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from scrm.db import Conn
from scrm.desk import stages
from scrm.desk import store as desk
from scrm.errors import Conflict, NotFound
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.sales.opportunities import rules, store
from scrm.sales.opportunities.rules import Kind, Move, Opportunity, Source
from scrm.seal import new_id
from scrm.timeline import notes
from scrm.timeline.notes import Note

KIND = "event.stage"
OPENED = "新商机：{kind}{product}，{stage}"
MOVED = "商机进入“{stage}”：{why}"
WON = "商机成交：{why}"
LOST = "商机放弃：{why}"
NO_WHY = "手工调整"
GONE = "没有这个商机。"
SENTENCES = (OPENED, MOVED, WON, LOST, NO_WHY, GONE)
_WORDS = {"open": MOVED, "won": WON, "lost": LOST}


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who or what moves it: a colleague, an order, an SOP, an event."""

    source: Source
    staff_id: int | None = None
    event_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An opportunity to be opened, once per `key`."""

    key: str
    node_id: int
    account_id: int
    kind: Kind = "new"
    business_line: str = ""
    product_code: str = ""
    product: str = ""
    amount: int | None = None
    stage: str = "first-contact"
    staff_id: int | None = None


async def open_one(conn: Conn, wanted: Wanted, by: By, *, now: datetime) -> Opportunity:
    """The household's open one of this kind and line if there is one, else a new one. Raises `BadInput`."""
    rules.demand_good(product=wanted.product, amount=wanted.amount, stage=wanted.stage)
    theirs = await family(conn, wanted.node_id)
    # Two messages of one family must not both open one.
    await conn.lock(lock_of(theirs))
    for known in await store.of_nodes(conn, theirs, state="open"):
        if (known.kind, known.business_line) == (wanted.kind, wanted.business_line):
            return known
    one = _new(wanted, now)
    if not await store.start(conn, one):
        return await store.by_key(conn, wanted.key) or one
    words = OPENED.format(
        kind=rules.KINDS[one.kind],
        product=f"·{one.product}" if one.product else "",
        stage=stages.name(one.stage, await desk.trade(conn)),
    )
    await _tell(conn, one, wanted.account_id, f"opportunity:{wanted.key}", words, by, now=now)
    return one


def _new(wanted: Wanted, now: datetime) -> Opportunity:
    return Opportunity(
        opportunity_id=new_id(),
        key=wanted.key,
        node_id=wanted.node_id,
        kind=wanted.kind,
        business_line=wanted.business_line,
        product_code=wanted.product_code,
        product=wanted.product,
        amount=wanted.amount,
        stage=wanted.stage,
        state="open",
        staff_id=wanted.staff_id,
        opened_at=now,
        moved_at=now,
        closed_at=None,
        version=0,
    )


async def move(
    conn: Conn,
    opportunity_id: int,
    to: Move,
    by: By,
    *,
    key: str,
    account_id: int,
    now: datetime,
    seen: int | None = None,
) -> Opportunity:
    """As it stands then. The same `key` again moves nothing. `seen` = the version the mover looked at.

    Raises `NotFound`, `BadInput` or `Conflict`.
    """
    one = await _held(conn, opportunity_id)
    if await store.change_of(conn, key) is not None:
        return one
    _demand_seen(one, seen)
    made = rules.move(one, to, by=by.source)
    if made is None:
        return one
    await store.add_change(conn, _change(one, made, by, key, now))
    moved = replace(
        one,
        stage=made.stage,
        state=made.state,
        staff_id=one.staff_id or by.staff_id,
        moved_at=now,
        closed_at=now if made.state != "open" else None,
        version=one.version + 1,
    )
    await store.save(conn, moved)
    called = stages.name(made.stage, await desk.trade(conn))
    text = _WORDS[made.state].format(stage=called, why=made.why or NO_WHY)
    await _tell(conn, moved, account_id, f"stage:{key}", text, by, now=now, before=one)
    return moved


async def _held(conn: Conn, opportunity_id: int) -> Opportunity:
    one = await store.get(conn, opportunity_id, hold=True)
    if one is None:
        raise NotFound(GONE)
    return one


def _demand_seen(one: Opportunity, seen: int | None) -> None:
    if seen is not None and seen != one.version:
        raise Conflict(rules.CHANGED)


def _change(one: Opportunity, made: Move, by: By, key: str, now: datetime) -> store.Change:
    return store.Change(
        change_id=new_id(),
        key=key,
        opportunity_id=one.opportunity_id,
        node_id=one.node_id,
        stage_from=one.stage,
        stage_to=made.stage,
        state=made.state,
        source=by.source,
        by_id=by.staff_id,
        event_id=by.event_id,
        why=made.why,
        at=now,
    )


async def describe(
    conn: Conn,
    opportunity_id: int,
    *,
    product_code: str,
    product: str,
    amount: int | None,
    seen: int | None = None,
) -> Opportunity:
    """What it is about, said anew. Raises `NotFound`, `BadInput` or `Conflict`."""
    one = await _held(conn, opportunity_id)
    _demand_seen(one, seen)
    if one.state != "open":
        raise Conflict(rules.CLOSED.format(state=rules.STATES[one.state]))
    rules.demand_good(product=product, amount=amount, stage=one.stage)
    said = replace(one, product_code=product_code, product=product.strip(), amount=amount)
    if said == one:
        return one
    await store.save(conn, said)
    return replace(said, version=one.version + 1)


async def of_household(conn: Conn, node_id: int) -> list[Opportunity]:
    """What hangs on any address of this household, the one moved last first."""
    return await store.of_nodes(conn, await family(conn, node_id))


async def family(conn: Conn, node_id: int) -> list[int]:
    """Every address of the household, this one included."""
    person = (await nodes.persons_of(conn, [node_id])).get(node_id)
    if person is None:
        return [node_id]
    return sorted({node_id, *(await identity.household(conn, person)).owners})


def lock_of(theirs: list[int]) -> str:
    """What is held while a family's sales are opened or picked."""
    return f"opportunity:{min(theirs)}"


async def _tell(
    conn: Conn,
    one: Opportunity,
    account_id: int,
    key: str,
    text: str,
    by: By,
    *,
    now: datetime,
    before: Opportunity | None = None,
) -> None:
    body = {
        "opportunity": str(one.opportunity_id),
        "stage": one.stage,
        "state": one.state,
        "from": before.stage if before else "",
        "by": by.source,
    }
    note = Note(
        key=key,
        kind=KIND,
        text=text,
        node_id=one.node_id,
        account_id=account_id,
        body=body,
        staff_id=by.staff_id,
    )
    await notes.tell(conn, note, now=now)
