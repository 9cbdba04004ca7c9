"""A whole run on a database: questions and nothing else, the same ones again, none that was answered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import sqlalchemy as sa

from scrm import jobs
from scrm.contract import Handle
from scrm.db import Conn, Database
from scrm.identity import decisions, hints, policies, proposals, service
from scrm.identity.decisions import Actor
from scrm.identity.service import Sighting
from scrm.schema import conversation, data_key, match_model, metadata
from scrm.seal import new_id
from scrm.worker import proposing
from scrm.worker.errands import Premises
from scrm.worker.hinting import Hinting
from scrm.worker.proposing import Progress, run
from tests.ground import NOW, handle, later

POLICY = policies.read(Path("config/identity.yaml"))
REP = Actor(origin="admin", staff_id=7)
NAMES = [f"{s}{g}{h}" for s in "王李张刘" for g in "国秀建桂志" for h in "芳敏静丽强"]
SAME = "司马南山"
APP = handle("a-1", kind="app_user", scope="app", name=SAME)
CHAT = handle("w-1", kind="wecom_external", scope="corp", name=SAME)
STATE = ("node", "evidence", "node_person", "person", "evidence_state", "household_member", "identity_log")


async def meet(conn: Conn, people: Sequence[tuple[int, Handle]]) -> None:
    """Everybody has a talk with a rep."""
    sightings = [
        Sighting(event_id=(ident := new_id()), at=NOW, key=f"k{ident}", handles=(one,)) for _, one in people
    ]
    found = await service.resolve(conn, sightings, NOW)
    talks = [
        {
            "tenant_id": conn.tenant_id, "conversation_id": new_id(), "account_id": 1, "rep_id": rep,
            "node_id": found.nodes[one.kind, one.scope, one.value], "last_at": NOW, "created_at": NOW,
        }
        for rep, one in people
    ]  # fmt: skip
    await conn.insert(conversation, talks)


async def settled(db: Database) -> None:
    crowd = [(i % 25, handle(f"o-{i}", name=name)) for i, name in enumerate(NAMES)]
    async with db.begin(1) as conn:
        await meet(conn, [*crowd, (3, APP), (3, CHAT)])


async def state(db: Database) -> dict[str, list[tuple[object, ...]]]:
    async with db.read(1) as conn:
        return {name: sorted(map(tuple, await conn.rows(sa.select(metadata.tables[name])))) for name in STATE}


async def person(conn: Conn, one: Handle) -> int:
    node = await service.find(conn, one)
    assert node is not None
    (found,) = (await proposals.owners(conn, [node])).values()
    return found


async def waiting(db: Database) -> list[proposals.Proposal]:
    async with db.read(1) as conn:
        return await proposals.queue(conn, now=NOW)


async def test_a_run_asks_says_why_and_changes_nothing(database: Database) -> None:
    await settled(database)
    before = await state(database)
    seen: list[Progress] = []

    done = await run(database, 1, POLICY, seen.append)

    (one,) = await waiting(database)
    assert await state(database) == before
    assert (done.proposed, done.fresh, done.accepted) == ({"same_person": 1}, 1, 0)
    assert one.reasons[0].sentence == f"姓名相同：{SAME}"
    assert one.model_version in done.models
    assert {p.step for p in seen} >= {"read", "same_person", "write"}
    async with database.read(1) as conn:
        assert one.other([await person(conn, APP)]) == await person(conn, CHAT)
        kept = await conn.rows(sa.select(match_model.c.version).order_by(match_model.c.version))
        assert [r.version for r in kept] == sorted(done.models)


async def test_the_next_run_asks_the_same_once_and_withdraws_what_no_longer_holds(
    database: Database,
) -> None:
    await settled(database)
    await run(database, 1, POLICY)
    again = await run(database, 1, POLICY)
    assert (again.fresh, again.withdrawn, len(await waiting(database))) == (0, 0, 1)

    async with database.begin(1) as conn:
        nodes = [n for h in (APP, CHAT) if (n := await service.find(conn, h))]
        await decisions.apart(conn, *nodes, by=REP, why="两个人", now=later(1))
    after = await run(database, 1, POLICY)

    assert (after.proposed, after.withdrawn, await waiting(database)) == ({}, 1, [])


async def test_what_was_rejected_is_never_asked_again(database: Database) -> None:
    await settled(database)
    await run(database, 1, POLICY)
    (one,) = await waiting(database)
    async with database.begin(1) as conn:
        await proposals.reject(conn, one.proposal_id, by=REP, now=later(1))

    again = await run(database, 1, POLICY)

    assert (again.proposed, await waiting(database)) == ({}, [])


async def test_only_who_opted_in_gets_sure_ones_accepted_and_all_of_a_model_can_be_taken_back(
    database: Database,
) -> None:
    await settled(database)
    before = await state(database)
    high = await run(database, 1, POLICY, accept_bits=1000.0)
    assert high.accepted == 0
    assert (await state(database))["node_person"] == before["node_person"]

    low = await run(database, 1, POLICY, accept_bits=1.0)

    async with database.begin(1) as conn:
        assert low.accepted == 1
        assert await person(conn, APP) == await person(conn, CHAT)
        assert await proposals.take_back(conn, low.models[0], by=REP, why="模型有误", now=later(2)) == 1
        assert await person(conn, APP) != await person(conn, CHAT)


async def test_an_erased_customer_stops_nobody_else(database: Database) -> None:
    await settled(database)
    await run(database, 1, POLICY)
    async with database.begin(1) as conn:
        node = await service.find(conn, handle("o-0"))
        await conn.destroy_keys([f"node:{node}"])
        left = await conn.rows(sa.select(data_key.c.owner).where(data_key.c.owner == f"node:{node}"))
        assert left == []

    assert (await run(database, 1, POLICY)).proposed == {"same_person": 1}


async def test_more_persons_than_one_process_takes_are_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settled(database)
    monkeypatch.setattr(proposing, "MOST", 10)

    with pytest.raises(proposing.TooLarge):
        await run(database, 1, POLICY)


# -- at once, without a model ------------------------------------------------------------------------------
MUM = handle("w-2", kind="wecom_external", scope="corp", name="子涵妈妈")
DAD = handle("o-900", name="子涵爸爸")


async def looked(conn: Conn, *who: Handle) -> int:
    return await hints.look(conn, POLICY, [await person(conn, one) for one in who], now=NOW)


@pytest.mark.parametrize(("rep", "asked"), [(3, ["同一家"]), (4, [])])
async def test_the_same_child_and_the_same_rep_make_a_candidate_at_once(
    database: Database, rep: int, asked: list[str]
) -> None:
    async with database.begin(1) as conn:
        await meet(conn, [(3, MUM)])
        assert await looked(conn, MUM) == 0
        await meet(conn, [(rep, DAD)])

        assert await looked(conn, DAD) == len(asked)
        found = await proposals.open_for(conn, [await person(conn, MUM)])

    assert [one.cls for one in found] == ["same_household"] * len(asked)
    assert [r.sentence for one in found for r in one.reasons] == [
        "都提到孩子“子涵”", "由同一位同事跟进",
    ] * len(asked)  # fmt: skip


async def test_a_hint_of_half_the_town_says_nothing(database: Database) -> None:
    many = [(3, handle(f"o-{i}", name="子涵妈妈")) for i in range(hints.store.MANY + 1)]
    async with database.begin(1) as conn:
        await meet(conn, many)
        await looked(conn, *(h for _, h in many))

        assert await looked(conn, many[0][1]) == 0


async def test_the_errand_looks_a_moment_later_and_is_done(database: Database) -> None:
    async with database.begin(1) as conn:
        await meet(conn, [(3, MUM), (3, DAD)])
        both = {await person(conn, MUM), await person(conn, DAD)}
        await hints.due(conn, both, now=NOW)
        assert await jobs.claim(conn, now=NOW, limit=9, kind=hints.KIND) == []
        (job,) = await jobs.claim(conn, now=later(3), limit=9, kind=hints.KIND)

    errand = Hinting(cast(Premises, SimpleNamespace(db=database)))
    assert await errand.run(1, job) is None

    assert [one.cls for one in await waiting(database)] == ["same_household"]
