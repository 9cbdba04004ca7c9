"""Promises and checks in a tenant's life: promised, replaced, taken back, paid, run out, found, let pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from scrm.db import Conn, utcnow
from scrm.playbook.checks import service as checks
from scrm.playbook.checks.rules import Ground
from scrm.playbook.checks.service import Draft, Uttered
from scrm.playbook.checks.store import clearances, findings
from scrm.playbook.promises import service as promises
from scrm.playbook.promises import store as ledger
from scrm.playbook.promises.service import Spoken
from scrm.settings import shipped
from scrm.staff import store as staff_store
from scrm.timeline.store import events, rereading
from tests.ground import House, talk_of

FORBIDDEN = "我们保证提分"
OWN = {
    "id": "own.pony",
    "level": "warn",
    "title": "小马",
    "why": "不送小马。",
    "words": ["小马"],
    "examples": {"hits": ["送小马"], "misses": ["好"]},
}


async def as_promiser(conn: Conn, home: House) -> None:
    """Somebody promised and was checked; rules of their own; a leader answered."""
    now, talk = utcnow(), await talk_of(conn, "anna")
    me = (await staff_store.all_members(conn))[0]
    usual = Spoken(
        event_id=1,
        account_id=talk.account_id,
        conversation_id=talk.conversation_id,
        node_id=talk.node_id,
        staff_id=me.staff_id,
        at=now - timedelta(hours=3),
        text="年课给您 9 折",
    )
    said = [
        usual,
        replace(usual, event_id=2, text="年课给您 8.5 折", at=now - timedelta(hours=2)),
        replace(usual, event_id=3, text="单科班 7 折", at=now - timedelta(hours=1)),
    ]
    nodes = [talk.node_id]
    await promises.heed(conn, said, {"年课": "Y1", "单科班": "S1"}, now=now)
    await promises.heed(conn, [replace(said[1], recalled=True)], {"年课": "Y1"}, now=now)
    rows = await ledger.of_nodes(conn, nodes)
    await promises.withdraw(conn, rows[0].promise_id, by=me.staff_id, why="报错了", now=now)
    await promises.paid(conn, nodes, {"Y1"}, at=now, now=now)
    await promises.expire(conn, now=now)
    await ledger.ending(conn, since=now, until=now, after=0, limit=1)
    await ledger.page(conn, node_ids=nodes, state="live", before=1 << 62, limit=1)
    await promises.version(conn, nodes)

    made = await checks.write_rule(conn, OWN, by=me.staff_id, now=now)
    await checks.enable_rule(conn, made.code, made.version)
    again = await checks.write_rule(conn, OWN, by=me.staff_id, now=now)
    await checks.drop_rule(conn, again.code, again.version)
    ground = Ground(book=await checks.book(conn, shipped("scripts_library")))
    draft = Draft(text=FORBIDDEN, conversation_id=talk.conversation_id, staff_id=me.staff_id)
    verdict = checks.check(conn.vault, draft, ground, now=now)
    asked = await checks.ask(conn, draft, verdict, node_id=talk.node_id, team_id=me.team_id, why="?", now=now)
    await checks.answer(conn, asked, grant=True, by=me.staff_id, text="好", now=now)
    await checks.cleared(conn, talk.conversation_id, now=now)
    uttered = Uttered(
        event_id=1,
        conversation_id=talk.conversation_id,
        node_id=talk.node_id,
        staff_id=me.staff_id,
        team_id=me.team_id,
        text=FORBIDDEN,
        at=now,
    )
    found = await checks.find(conn, uttered, ground, passed={})
    await checks.close_finding(conn, found[0], by=me.staff_id, note="已提醒", now=now)
    await checks.find(conn, replace(uttered, event_id=2), ground, passed={})
    await checks.find(conn, replace(uttered, event_id=3), ground, passed={})
    await findings.close_of_events(conn, [3], note="撤回", now=now)
    for team in ([me.team_id], [None], None):
        await findings.page(conn, team_ids=team, state="open", before=1 << 62, limit=1)
        await clearances.page(conn, team_ids=team, state="asked", before=1 << 62, limit=1)
    await findings.count(conn, team_id=me.team_id)
    told = await events.of_account(conn, [home.account.account_id], before=None, limit=9)
    await rereading.look(conn, [e.event_id for e in told])


async def behind(conn: Conn, node_id: int, talk_id: int, ids: tuple[int, int, int]) -> list[Any]:
    """What this connection finds behind a customer; something to its tenant, empty to a stranger."""
    now = utcnow()
    promise, finding, clearance = ids
    return [
        await ledger.of_nodes(conn, [node_id]),
        await ledger.get(conn, promise),
        await promises.version(conn, [node_id]),
        await findings.of_nodes(conn, [node_id]),
        await findings.get(conn, finding),
        await clearances.get(conn, clearance),
        await clearances.of_talk(conn, talk_id, since=now - timedelta(days=1)),
    ]


async def ids_of(conn: Conn, node_id: int) -> tuple[int, int, int]:
    """A promise, a finding and a clearance of this customer's."""
    (asked,) = await clearances.page(conn, team_ids=None, state="", before=None, limit=1)
    told = (await findings.of_nodes(conn, [node_id]))[0]
    return (await ledger.of_nodes(conn, [node_id]))[0].promise_id, told.finding_id, asked.clearance_id
