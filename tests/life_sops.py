"""SOPs in a tenant's life: written, published, switched on, begun, gone through, looked back at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from scrm.db import Conn, utcnow
from scrm.pipeline.sops import acting, following, notices, rehearsing
from scrm.pipeline.sops.turns import Means
from scrm.playbook.service import Library
from scrm.playbook.sops import files, service, versions
from scrm.playbook.sops.rules import Over
from scrm.playbook.sops.store import dates, history, runs
from scrm.playbook.sops.store import versions as store
from scrm.playbook.sops.values import Plan
from tests.ground import House, talk_of

CODE = "edu.life"
STARTS: list[dict[str, Any]] = [
    {"event": "event.add"},
    {"tag": "高意向"},
    {"stage": "trial"},
    {"silent_days": 1},
    *({"date": date} for date in ("visit", "promise_until", "coupon_until", "order_paid", "opened")),
]
STEPS: list[dict[str, Any]] = [
    {"id": "call", "task": {"kind": "call", "title": "打电话"}},
    {"id": "wait", "wait": {"days": 1}},
    {"id": "bye", "message": {"text": "再见"}},
]


def plan(**more: Any) -> Plan:
    head = {"code": CODE, "version": 1, "title": "跟进", "starts": STARTS, "steps": STEPS}
    (made,) = files.parse([head | more], where="life")
    return made


async def as_follower(conn: Conn, home: House) -> None:
    """A family on an SOP: a step taken, a version changed under it, one stopped."""
    now, talk = utcnow(), await talk_of(conn, "anna")
    means = Means(directory=home.directory, library=Library([]), company="本公司")
    await versions.sync(conn, {"education": [plan()]}, now=now)
    made = await versions.draft(conn, "education", plan(title="新"), (), by=None, now=now)
    await versions.change_draft(conn, CODE, made.version, plan(title="更新"), ())
    await versions.switch(conn, CODE, on=True, now=now)
    one = notices.Notice(key="n", node_id=talk.node_id, at=now, kind="event.add")
    await notices.tell(conn, [one], now=now)
    await following.follow(conn, means, one, now=now)
    (run,) = await runs.running(conn, [talk.node_id])
    await acting.take(conn, means, run.run_id, now=now)
    await acting.take(conn, means, run.run_id, now=now)
    await versions.publish(conn, CODE, made.version, "migrate", now=now)
    await service.woken_by(conn, [run.run_id], now=now)
    for wanted, start in await following.begins_today(conn):
        await following.sweep(conn, wanted, start, after=0, limit=9, now=now)
    await following.rescue(conn, limit=9, now=now + timedelta(days=9))
    await rehearsing.dry_run(conn, means, plan(), now - timedelta(days=9), now=now)
    await rehearsing.simulate(conn, means, plan(), talk.node_id, now=now)
    await runs.page(conn, CODE, state="running", before=1 << 62, limit=9)
    await runs.any_running(conn)
    await runs.counts(conn)
    (held,) = await runs.running(conn, [talk.node_id])
    await service.ended(conn, held, Over(state="done", why="完"), now=now)


async def behind(conn: Conn, node_id: int, run_id: int) -> list[Any]:
    """What this connection finds; something to its tenant, empty to a stranger."""
    since, until = utcnow() - timedelta(days=9), utcnow() + timedelta(days=9)
    return [
        await store.heads(conn),
        await store.live(conn),
        await store.versions(conn, CODE),
        await store.contents(conn, [(CODE, 1)]),
        await store.digests(conn, [(CODE, 1)]),
        await runs.get(conn, run_id),
        await runs.hold(conn, run_id),
        await runs.of_nodes(conn, [node_id]),
        await runs.page(conn, CODE, limit=9),
        await runs.begun_by(conn, CODE, ["n"]),
        [taken for steps in (await runs.steps(conn, [run_id])).values() for taken in steps],
        await dates.silent(conn, since, until, after=0, limit=9),
        await history.of_nodes(conn, [node_id], since, until, limit=9),
    ]


async def run_of(conn: Conn, node_id: int) -> int:
    return (await runs.of_nodes(conn, [node_id]))[0].run_id
