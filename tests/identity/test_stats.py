"""Figures of how identifiers are shared, and the alarms when they drift."""

from __future__ import annotations

from dataclasses import replace

from scrm.contract import Handle, Link
from scrm.db import Conn, Database
from scrm.identity import service as identity
from scrm.identity import stats
from scrm.identity.stats import KindStats, Report
from scrm.schema import evidence
from scrm.seal import new_id
from tests.ground import NOW, entry, handle, later, said, settle

PHONE = handle("+8613912345001", kind="phone", scope="e164")


def user(n: int) -> Handle:
    return handle(f"u{n}", kind="app_user", scope="app")


async def see(conn: Conn, *handles: Handle, rule: str = "app_phone") -> None:
    links = [Link(a=handles[0], b=h, rule=rule) for h in handles[1:]]
    await settle(conn, entry(said(at=NOW, handles=handles, links=links), f"k{new_id()}"), now=NOW)


def kind(name: str, report: Report) -> KindStats:
    return next(k for k in report.kinds if k.kind == name)


async def test_values_and_persons_are_counted_by_kind(database: Database) -> None:
    async with database.begin(1) as conn:
        await see(conn, user(1), PHONE)
        await see(conn, user(1), handle("+8613912345002", kind="phone", scope="e164"))
        await see(conn, user(2))
        report = await stats.measure(conn, NOW)
    async with database.begin(2) as conn:
        other = await stats.measure(conn, NOW)

    phones, users = kind("phone", report), kind("app_user", report)
    assert (phones.values, phones.persons, phones.most_per_person, phones.per_person) == (2, 1, 2, 2.0)
    assert (users.values, users.persons, users.per_person) == (2, 2, 1.0)
    assert (report.persons, report.sizes, report.biggest) == (2, {"1": 1, "3": 1}, 3)
    assert report.households == {"1": 2}
    assert (other.kinds, other.persons) == ((), 0)  # another tenant's figures are theirs


async def test_a_value_that_several_use_is_found_before_anybody_trusts_it(database: Database) -> None:
    """A kind that is not enabled yet makes no persons one: the same count tells what enabling it would do."""
    async with database.begin(1) as conn:
        for n in range(3):
            await see(conn, user(n))
        node_ids = [await identity.find(conn, user(n)) for n in range(3)]
        await see(conn, PHONE)
        hub = await identity.find(conn, PHONE)
        await _uses(conn, hub or 0, [n or 0 for n in node_ids])
        report = await stats.measure(conn, NOW)
        opened = await stats.opened(conn, report)

    (top,) = kind("phone", report).top
    assert (top.node_id, top.persons) == (hub, 3)
    assert kind("phone", report).persons_per_value == {"3": 1}
    assert kind("phone", report).shared == 1
    assert opened[top.node_id].value == PHONE.value


async def _uses(conn: Conn, hub: int, others: list[int]) -> None:
    rows = [
        {
            "tenant_id": conn.tenant_id,
            "evidence_id": new_id(),
            "node_a": min(hub, n),
            "node_b": max(hub, n),
            "class": "uses",
            "rule": "uses",
            "strength": 0,
            "first_event_id": 1,
            "first_at": NOW,
            "last_at": NOW,
        }
        for n in others
    ]
    await conn.insert(evidence, rows)


async def test_the_last_run_is_kept_without_any_value_and_compared(database: Database) -> None:
    async with database.begin(1) as conn:
        assert await stats.last(conn) is None
        await see(conn, user(1), PHONE)
        first = await stats.measure(conn, NOW)
        await stats.keep(conn, first)
        for n in range(2, 30):
            mail = handle(f"a{n}@x.cn", kind="email", scope="rfc5322")
            await see(conn, user(1), mail, rule="app_email")
        second = await stats.measure(conn, later(60))
        await stats.keep(conn, second)

        kept = await stats.last(conn)

    assert first.alarms == ()
    assert any("最大的一个人有" in a for a in second.alarms)
    assert kept == second
    assert PHONE.value not in repr(kept)


def report(**changes: int) -> Report:
    one = KindStats(
        kind="phone",
        values=changes.get("values", 1000),
        persons=changes.get("persons", 900),
        most_per_person=2,
        persons_per_value={"1": 990, "2": changes.get("shared", 10)},
        generic=changes.get("generic", 3),
        blocked=0,
    )
    held = {"held": changes.get("held", 5)}
    return Report(at=NOW, kinds=(one,), persons=900, sizes={"1": 900}, households={}, standings=held)


def test_small_changes_alarm_nobody() -> None:
    assert stats.drift(report(), report(generic=5, shared=13, held=9, values=1100)) == ()


def test_each_drift_has_its_sentence() -> None:
    for changed, words in (
        ({"generic": 40}, "通用值"),
        ({"shared": 40}, "多人共用"),
        ({"values": 2000}, "人均"),
        ({"values": 900}, "减少"),
        ({"held": 50}, "冲突搁置"),
    ):
        (alarm,) = stats.drift(report(), report(**changed))
        assert words in alarm
    assert stats.drift(report(), replace(report(), kinds=())) == (
        "phone：上次有 1000 个值，这次一个也没有。",
    )
