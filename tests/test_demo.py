"""The demo: within its first minute every page has something to show, and nothing complains."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio
from structlog.testing import capture_logs

from scrm import demo, settings
from scrm.app import TENANT
from scrm.campaigns.coupons import store as coupons
from scrm.db import Conn
from scrm.demo.stage import Stage, staged
from scrm.desk.tasks import store as board
from scrm.desk.tasks.store import Whose
from scrm.playbook.checks.store import clearances, findings, own
from scrm.playbook.effect.store import trials
from scrm.playbook.library import store as shelf
from scrm.playbook.promises import store as promises
from scrm.playbook.sops.store import runs
from scrm.staff import store as staff

#: How long it may take on a machine that is busy with something else; the demo itself needs half a minute.
PATIENCE_S = 150.0
_LOOKS_S = 0.5
#: So many things a visitor should find.
WHATS = 16


@dataclass(slots=True)
class Seen:
    """What a visitor finds, page by page; "" as long as it is not there."""

    stage: Stage
    missing: tuple[str, ...] = ("everything",)

    async def look(self) -> None:
        async with self.stage.service.house.db.read(TENANT) as conn:
            team = (await staff.members(conn, [next(iter(self.stage.team.values()))])).popitem()[1].team_id
            found = {
                **await _board(conn, team),
                **await _alerts(conn, team),
                **await _money(conn),
                **await _library(conn),
            }
        self.missing = tuple(what for what, there in found.items() if not there)


async def _board(conn: Conn, team: int | None) -> dict[str, bool]:
    tasks = await board.page(conn, Whose(team_id=team), state="", before=None, limit=500)
    kinds = Counter(t.kind for t in tasks if t.state == "open")
    done = [t for t in tasks if t.state == "done"]
    return {
        "/s/today: several kinds": len(kinds) >= 4,
        "/s/today: late ones": any(t.due_at < t.created_at for t in tasks),
        "/s/today: done by what happened": any(t.done_event_id for t in done),
        "/s/today: of a plan": any(t.source == "sop" for t in tasks),
        "/s/today: put off with a reason": any(t.postponed_why for t in tasks),
        "the sidebar of the family: left to the visitor": any(t.value == 578_000 for t in tasks),
    }


async def _alerts(conn: Conn, team: int | None) -> dict[str, bool]:
    open_ = await findings.page(conn, team_ids=[team], state="open", before=None, limit=50)
    asked = await clearances.page(conn, team_ids=[team], state="asked", before=None, limit=50)
    granted = await clearances.page(conn, team_ids=[team], state="granted", before=None, limit=50)
    return {
        "/lead/alerts: two prices for one family": any(f.rule == "promise.worse" for f in open_),
        "/lead/alerts: forbidden words": any(f.kind == "words" for f in open_),
        "/lead/alerts: somebody asks for leave": bool(asked),
        "/lead/alerts: the leader decided one": bool(granted),
    }


async def _money(conn: Conn) -> dict[str, bool]:
    batches = {b.batch_id: b.code for b in await coupons.batches(conn)}
    counts = await coupons.counts(conn, list(batches))
    early = next((counts[ident] for ident, code in batches.items() if code == "EARLY-85"), {})
    live = await promises.page(conn, node_ids=None, state="live", before=None, limit=50)
    return {
        "/mkt/coupons: given": sum(early.values()) > 0,
        "the ledger: 8.5 折 and another": {8_500, 8_800} <= {p.share for p in live},
    }


async def _library(conn: Conn) -> dict[str, bool]:
    rules = await own.every(conn)
    running = await runs.counts(conn)
    trial = await trials.page(conn, limit=5)
    return {
        "/admin/scripts: one waits for review": bool(await shelf.waiting(conn)),
        "/admin/scripts/effect: two versions compared": any(t.state == "running" for t in trial),
        "/admin/rules: one holds, one is a draft": {o.state for o in rules} >= {"live", "draft"},
        "/admin/sops: runs": any(n for counted in running.values() for n in counted.values()),
    }


@pytest_asyncio.fixture
async def company(tmp_path: Path) -> AsyncIterator[Stage]:
    given = settings.load(env={}, host="127.0.0.1", port=0, log_level="error")
    async with staged(demo.company(given, str(tmp_path)), seed=7) as stage:
        yield stage


async def test_a_living_team_fills_every_page_within_the_first_minute(company: Stage) -> None:
    said: list[str] = []
    seen = Seen(company)
    await seen.look()
    empty = seen.missing
    with capture_logs() as logs:
        team = asyncio.create_task(demo.play(company, pace_s=0.6, seed=7, say=said.append))
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while seen.missing and not team.done():
                    await asyncio.sleep(_LOOKS_S)
                    await seen.look()
        team.cancel()
        with suppress(asyncio.CancelledError):
            await team  # whatever ended the play says why

    assert len(empty) == WHATS, "before anybody works there is nothing"
    assert seen.missing == ()
    assert any("决策人" in line and "爸爸" in line for line in said)
    assert [line for line in logs if line["log_level"] in ("error", "critical", "warning")] == []
