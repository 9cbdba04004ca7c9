"""What humans say of who is who: it beats every rule, is previewed, told on, and undone without a trace."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from scrm.contract import Handle, Link
from scrm.db import Conn, Database
from scrm.errors import BadInput, NotFound
from scrm.identity import decisions, rebuild, service, store, versions
from scrm.identity.decisions import Actor, Which
from scrm.identity.gathering import Sighting
from scrm.identity.rules.policy import Policy
from scrm.identity.rules.sayings import WORDS
from scrm.identity.store import log, reverting
from scrm.schema import audit_entry
from scrm.seal import new_id
from tests.ground import CASTLE, NOW, handle, later
from tests.identity import oracle

REP = Actor(origin="rep", staff_id=7)
ANNA, PHONE = handle("anna"), handle("+8613912345678", kind="phone", scope="e164")
BEN, UNION = handle("ben"), handle("u", kind="wechat_unionid")


async def see(
    conn: Conn, *handles: Handle, at_s: float = 0, links: tuple[Link, ...] = ()
) -> service.Resolved:
    one = Sighting(event_id=new_id(), at=later(at_s), key=f"k{new_id()}", handles=handles, links=links)
    return await service.resolve(conn, [one], later(10**6))


def same(a: Handle, b: Handle, strength: int = 80) -> Link:
    return Link(a=a, b=b, rule="test.same", strength=strength)


async def node(conn: Conn, one: Handle) -> int:
    found = await service.find(conn, one)
    assert found is not None
    return found


async def person(conn: Conn, one: Handle) -> int:
    return (await store.persons_of(conn, [await node(conn, one)]))[await node(conn, one)]


async def link(conn: Conn, a: Handle, b: Handle, *, at_s: float = 100, **more: str) -> decisions.Outcome:
    ends = await node(conn, a), await node(conn, b)
    return await decisions.link(conn, *ends, by=REP, why="同一个人", now=later(at_s), **more)  # type: ignore[arg-type]


async def apart(conn: Conn, a: Handle, b: Handle, *, at_s: float = 100) -> decisions.Outcome:
    return await decisions.apart(
        conn, await node(conn, a), await node(conn, b), by=REP, why="不是", now=later(at_s)
    )


async def test_a_human_joins_what_a_rule_may_not(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, links=(same(ANNA, BEN),))
        assert await person(conn, ANNA) != await person(conn, BEN)  # one openid per app and person
        done = await link(conn, ANNA, BEN)

        assert await person(conn, ANNA) == await person(conn, BEN)
        assert done.persons == {await person(conn, ANNA)}


async def live_on(conn: Conn) -> None:
    """A thousand events on both sides, with new identifiers among them."""
    for start in range(0, 1000, 250):
        batch = []
        for n in range(start, start + 250):
            mine, other = (ANNA, UNION) if n % 2 else (BEN, handle("b", kind="wecom_external", scope="corp"))
            links = (same(mine, other, 100),) if n % 100 < 2 else ()
            key = f"life{n:04}"
            batch.append(Sighting(event_id=n + 1, at=later(200 + n), key=key, handles=(mine,), links=links))
        await service.resolve(conn, batch, later(10**6))


async def test_a_thousand_events_later_it_is_undone_as_if_it_had_never_been_said(database: Database) -> None:
    async with database.begin(2) as conn:
        await see(conn, ANNA, links=(same(ANNA, PHONE),))
        await see(conn, BEN, at_s=1)
        await live_on(conn)
        never = await oracle.fingerprint(conn)
    async with database.begin(1) as conn:
        await see(conn, ANNA, links=(same(ANNA, PHONE),))
        await see(conn, BEN, at_s=1)
        before = await oracle.fingerprint(conn)
        done = await link(conn, PHONE, BEN)
        assert await oracle.fingerprint(conn) != before
        await live_on(conn)
        joined, before = await oracle.fingerprint(conn), never
        back = await decisions.withdraw(conn, done.evidence_ids, by=REP, why="看错了", now=later(300))

        assert joined != before == await oracle.fingerprint(conn)
        assert back.persons == {await person(conn, PHONE), await person(conn, BEN)}
        again = await decisions.reinstate(conn, back.evidence_ids, by=REP, why="没错", now=later(301))
        assert (done.undo, back.undo, again.undo) == ("withdraw", "reinstate", "withdraw")
        assert await oracle.fingerprint(conn) == joined


async def test_what_a_human_parted_no_rule_joins(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, links=(same(ANNA, PHONE),))
        await apart(conn, ANNA, PHONE)
        await see(conn, ANNA, at_s=500, links=(same(ANNA, PHONE, 100), same(ANNA, UNION), same(UNION, PHONE)))

        assert await person(conn, ANNA) != await person(conn, PHONE)


async def test_of_two_words_on_a_pair_the_later_stands(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        await link(conn, ANNA, BEN, at_s=100)
        await apart(conn, ANNA, BEN, at_s=101)
        assert await person(conn, ANNA) != await person(conn, BEN)
        await link(conn, ANNA, BEN, at_s=102)

        assert await person(conn, ANNA) == await person(conn, BEN)


async def test_a_family_is_made_and_parted_by_a_word_and_joins_nobody(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        made = await link(conn, ANNA, BEN, cls="same_household")
        home = await service.family(conn, await person(conn, ANNA))
        assert len(home) == 2
        assert made.households
        ends = await node(conn, ANNA), await node(conn, BEN)
        await decisions.apart(conn, *ends, by=REP, why="邻居", now=later(101), cls="not_same_household")

        assert await service.family(conn, await person(conn, ANNA)) == [await person(conn, ANNA)]
        assert await person(conn, ANNA) != await person(conn, BEN)


async def test_a_preview_says_what_then_happens_and_changes_nothing(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, links=(same(ANNA, PHONE),))
        await see(conn, BEN, at_s=1)
        a, b = await person(conn, ANNA), await person(conn, BEN)
        before = await oracle.fingerprint(conn)
        told = await decisions.preview(conn, a, b, "same_person")
        assert await oracle.fingerprint(conn) == before
        await link(conn, ANNA, BEN)

        assert {p: sorted(n) for p, n in told.after.items()} == {
            a: sorted([await node(conn, h) for h in (ANNA, PHONE, BEN)])
        }
        assert set(told.before) == {a, b}
        assert told.moves == (await node(conn, BEN),)
        assert await person(conn, BEN) == a


async def test_the_log_tells_all_in_order_and_the_audit_trail_who(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        a, b = await person(conn, ANNA), await person(conn, BEN)
        done = await link(conn, ANNA, BEN)
        await decisions.withdraw(conn, done.evidence_ids, by=REP, why="看错了", now=later(101))
        rows = await log.page(conn, limit=50)
        audited = await conn.rows(sa.select(audit_entry.c.action, audit_entry.c.actor))

        assert [r.op for r in rows] == ["link", "merge", "retract", "split"]
        assert [r.log_id for r in rows] == sorted({r.log_id for r in rows})
        merge = rows[1].body
        mine = {str(a): [await node(conn, ANNA)], str(b): [await node(conn, BEN)]}
        assert merge["before"] == mine
        assert merge["after"] == {str(a): sorted(n for (n,) in mine.values())}
        assert rows[3].body["after"] == merge["before"]
        assert (rows[1].origin, rows[1].actor_id) == ("rep", 7)
        told = [("identity.link", "staff:7"), ("identity.retract", "staff:7")]
        assert sorted(tuple(r) for r in audited) == told
        assert await log.page(conn, after=rows[1].log_id, limit=50) == rows[2:]


async def test_all_that_an_import_brought_is_taken_back_at_once(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN, UNION)
        before = await oracle.fingerprint(conn)
        await link(conn, ANNA, BEN, batch="b1")
        await link(conn, ANNA, UNION, batch="b1")
        kept = await oracle.fingerprint(conn)
        done = await decisions.revert(conn, Which(batch="b1"), by=REP, why="导错了", now=later(200))

        assert len(done.evidence_ids) == 2
        assert not done.more
        assert kept != before == await oracle.fingerprint(conn)
        with pytest.raises(BadInput):
            await decisions.revert(conn, Which(), by=REP, why="", now=later(200))


async def test_places_strangers_and_the_same_are_refused(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, CASTLE)
        with pytest.raises(BadInput):
            await link(conn, ANNA, CASTLE)
        with pytest.raises(BadInput):
            await link(conn, ANNA, ANNA)
        with pytest.raises(NotFound):
            await decisions.link(conn, await node(conn, ANNA), 1, by=REP, why="", now=NOW)


async def test_a_rebuild_finds_nothing_to_do_and_mends_what_was_broken(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, links=(same(ANNA, PHONE),))
        await see(conn, BEN, links=(Link(a=BEN, b=PHONE, rule="order", kind="same_household", strength=80),))
        whole = await oracle.fingerprint(conn)
        assert (await rebuild.some(conn, now=NOW)).deeds == ()
        for name in ("node_person", "person", "household_member", "evidence_state"):
            await conn.run(sa.text(f"DELETE FROM {name} WHERE tenant_id = 1"))
        piece = await rebuild.some(conn, now=NOW, limit=2)
        while not piece.over:
            piece = await rebuild.some(conn, after=piece.last, now=NOW, limit=2)

        assert await oracle.fingerprint(conn) == whole


async def test_another_policy_says_first_what_it_would_do(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, links=(same(ANNA, PHONE),))
        policy = await versions.current(conn)
        strict = {"version": 1, "kinds": {**_plain(policy), "phone": {"strength": 70, "blocked": [".*"]}}}
        whole = await oracle.fingerprint(conn)
        assert (await rebuild.some(conn, now=NOW, write=False)).deeds == ()
        now = await versions.adopt(conn, strict, by=7, note="不信电话", now=NOW)
        told = await rebuild.some(conn, now=NOW, write=False)
        assert await oracle.fingerprint(conn) == whole
        assert now.version == policy.version + 1
        done = await rebuild.some(conn, now=NOW)

        assert [d.op for d in told.deeds] == [d.op for d in done.deeds] == ["split"]
        assert await person(conn, ANNA) != await person(conn, PHONE)


def _plain(policy: Policy) -> dict[str, dict[str, object]]:
    names = ("strength", "merge", "place", "exclusive")
    return {k.name: {name: getattr(k, name) for name in names} for k in policy.kinds.values()}


async def test_undo_after_undo_goes_back_one_word_at_a_time(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        states = [await oracle.fingerprint(conn)]
        done = []
        for n, say in enumerate((link, apart, link, apart, link, link)):
            done.append(await say(conn, ANNA, BEN, at_s=100 + n))
            states.append(await oracle.fingerprint(conn))
        joined = [await person(conn, ANNA) == await person(conn, BEN)]
        for n, act in reversed(list(enumerate(done))):
            await decisions.withdraw(conn, act.evidence_ids, by=REP, why="撤销", now=later(200))
            assert await oracle.fingerprint(conn) == states[n]
            joined.append(await person(conn, ANNA) == await person(conn, BEN))

        assert joined == [True, True, False, True, False, True, False]


async def test_an_undo_that_is_undone_has_every_word_stand_as_it_did(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        done = [await say(conn, ANNA, BEN, at_s=100 + n) for n, say in enumerate((link, apart, link))]
        before = await oracle.fingerprint(conn)
        for act in (done[2], done[1]):
            await decisions.withdraw(conn, act.evidence_ids, by=REP, why="撤销", now=later(200))
        for act in (done[1], done[2]):
            await decisions.reinstate(conn, act.evidence_ids, by=REP, why="没错", now=later(201))

        assert await oracle.fingerprint(conn) == before
        assert await person(conn, ANNA) == await person(conn, BEN)
        assert (await rebuild.some(conn, now=NOW)).deeds == ()


async def test_a_family_s_words_are_undone_one_at_a_time(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        ends = await node(conn, ANNA), await node(conn, BEN)
        await link(conn, ANNA, BEN, at_s=100, cls="same_household")
        parted = await decisions.apart(
            conn, *ends, by=REP, why="邻居", now=later(101), cls="not_same_household"
        )
        again = await link(conn, ANNA, BEN, at_s=102, cls="same_household")
        sizes = [len(await service.family(conn, await person(conn, ANNA)))]
        for act in (again, parted):
            await decisions.withdraw(conn, act.evidence_ids, by=REP, why="撤销", now=later(200))
            sizes.append(len(await service.family(conn, await person(conn, ANNA))))

        assert sizes == [2, 1, 2]


async def test_the_last_words_are_kept_apart_however_often_it_was_said(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, ANNA, BEN)
        for n in range(20):
            done = [await (apart if n % 2 else link)(conn, ANNA, BEN, at_s=100 + n)]
        rows = await store.evidence.found(conn, Which(actor_id=7), limit=50)
        assert len(rows) == 2 * WORDS
        assert await person(conn, ANNA) != await person(conn, BEN)
        await decisions.withdraw(conn, done[-1].evidence_ids, by=REP, why="撤销", now=later(200))
        assert await person(conn, ANNA) == await person(conn, BEN)
        back = await decisions.revert(conn, Which(rule="human.link"), by=REP, why="都错", now=later(201))

        assert len(back.evidence_ids) == WORDS
        assert await reverting.rules(conn) == ["human.apart", "human.link"]
        assert await reverting.counted(conn, Which(actor_id=7), limit=50) == {"human.apart": WORDS - 1}
