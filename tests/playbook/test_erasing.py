"""Who is erased leaves no readable word in promises, findings, leave, tasks, suggestions and plans."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from scrm.db import Conn, Database, utcnow
from scrm.identity import decisions
from scrm.identity import store as identity
from scrm.identity.decisions import Actor
from scrm.pipeline.erasing import erase
from scrm.schema import (
    Instant,
    clearance,
    finding,
    promise,
    sop_run,
    sop_step,
    stage_change,
    suggestion,
    tag,
    task,
)
from scrm.seal import new_id
from tests.ground import House, Talking, house, installed, node_of, said, talk_of
from tests.playbook.promises.test_react import FATHER, MOTHER, take

WORD = "林晓雯住江畔路"
TABLES = (clearance, finding, promise, sop_run, sop_step, stage_change, suggestion, tag, task)
#: What machines read: codes, states, kinds, keys. No customer's words get there.
MACHINES_ = frozenset(
    "arm channel code done_by_kind goal key kind level product product_code role rule script_id source stage "
    "stage_from stage_to state step".split()
)


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Talking()
    installed(monkeypatch, channel)
    made = await house(database, channel)
    await take(made, m=said("你好", at=utcnow()), f=said("你好", by=FATHER, at=utcnow()))
    return made


def _value(column: sa.Column[Any], ident: int, ids: dict[str, int]) -> object:
    if column.name in ids:
        return ids[column.name]
    if column.name in MACHINES_:
        return f"x{ident}"
    if isinstance(column.type, sa.JSON):
        return {"why": WORD}
    if isinstance(column.type, sa.Text):
        return WORD
    if isinstance(column.type, sa.LargeBinary):
        return b"x"
    return utcnow() if isinstance(column.type, Instant) else ident % 1000


async def written(conn: Conn, who: str) -> None:
    """A row of each table about somebody, with their name wherever words can stand."""
    talk = await talk_of(conn, who)
    own = {"node_id": talk.node_id, "conversation_id": talk.conversation_id, "tenant_id": 1}
    own["run_id"] = own["promise_id"] = new_id()
    for table in TABLES:
        ids = dict(own)
        if table is task:
            del ids["run_id"]
        row = {c.name: _value(c, new_id(), ids) for c in table.c}
        if table in (task, sop_run):
            row["state"] = "open" if table is task else "running"
        await conn.insert(table, [row])


async def left(conn: Conn) -> dict[str, int]:
    """In how many places of each table the words stand."""
    found: dict[str, int] = {}
    for table in TABLES:
        rows = await conn.rows(sa.select(table).where(table.c.tenant_id == 1))
        found[table.name] = sum(WORD in str(value) for row in rows for value in row)
    return found


async def erased(conn: Conn, who: str) -> None:
    node = await node_of(conn, who)
    person = (await identity.persons_of(conn, [node]))[node]
    await erase(conn, person, by="test", now=utcnow())


async def test_no_word_about_whoever_was_erased_is_left(home: House) -> None:
    async with home.db.begin(1) as conn:
        await written(conn, MOTHER)
        before = await left(conn)
        await erased(conn, MOTHER)
        after = await left(conn)

    assert all(before.values())
    assert not any(after.values())


async def test_what_was_to_be_done_for_them_is_over(home: House) -> None:
    async with home.db.begin(1) as conn:
        await written(conn, MOTHER)
        await erased(conn, MOTHER)
        states = [await conn.scalar(sa.select(t.c.state)) for t in (task, sop_run)]

    assert states == ["cancelled", "stopped"]


async def test_everybody_else_keeps_their_words_but_not_the_erased_one_s_name(home: House) -> None:
    async with home.db.begin(1) as conn:
        a, b = await node_of(conn, MOTHER), await node_of(conn, FATHER)
        by = Actor(origin="rep")
        await decisions.link(conn, a, b, by=by, why="一家", now=utcnow(), cls="same_household")
        await written(conn, FATHER)
        before = await left(conn)
        await erased(conn, MOTHER)
        after = await left(conn)

    assert after == before | {"clearance": before["clearance"] - 1}
