"""Tags: a family has each once, whoever it was put on; every change is told on the timeline."""

from __future__ import annotations

import pytest

from scrm.db import Conn, Database
from scrm.errors import BadInput
from scrm.identity import store as nodes
from scrm.sales.tags import rules, service, store
from scrm.sales.tags.service import Changed, Whom
from scrm.timeline.store import events
from tests.ground import NOW, entry, later, node_of, said, settle


async def anna(conn: Conn, *others: int) -> Whom:
    await settle(conn, entry(said(), "m1"))
    node = await node_of(conn, "anna")
    return Whom(node_id=node, nodes=(node, *others), account_id=11)


async def words(conn: Conn, node_id: int) -> list[str]:
    person = (await nodes.persons_of(conn, [node_id]))[node_id]
    told = await events.page(conn, await nodes.intervals(conn, person), before=None, limit=20)
    return [e.text for e in told if e.kind == service.KIND]


async def test_what_changed_is_told_once(database: Database) -> None:
    async with database.begin(1) as conn:
        whom = await anna(conn)

        first = await service.change(conn, whom, add=["高意向", "双职工"], key="a", now=NOW)
        again = await service.change(conn, whom, add=["高意向"], key="b", now=later(1))
        swap = await service.change(conn, whom, add=["已报名"], remove=["高意向"], key="c", now=later(2))

        assert (first, again) == (Changed(added=("双职工", "高意向")), Changed())
        assert swap == Changed(added=("已报名",), removed=("高意向",))
        assert set(await store.of_nodes(conn, whom.nodes)) == {"双职工", "已报名"}
        assert await words(conn, whom.node_id) == ["加标签：已报名；去标签：高意向", "加标签：双职工、高意向"]


async def test_a_tag_is_the_family_s(database: Database) -> None:
    async with database.begin(1) as conn:
        whom = await anna(conn, 999)
        await store.add(conn, 999, ["高意向"], source="rep", by=1, now=NOW)

        added = await service.change(conn, whom, add=["高意向"], key="a", now=NOW)
        removed = await service.change(conn, whom, remove=["高意向"], key="b", now=NOW)

        assert (added, removed) == (Changed(), Changed(removed=("高意向",)))
        assert await store.of_nodes(conn, whom.nodes) == {}


@pytest.mark.parametrize("wanted", [[""], ["长" * 21], ["a\u202eb"], [str(n) for n in range(11)]])
def test_what_is_no_tag_is_refused(wanted: list[str]) -> None:
    with pytest.raises(BadInput):
        rules.names(wanted)


def test_spaces_do_not_make_another_tag() -> None:
    assert rules.names([" 高 意向", "高意向"]) == ["高意向"]
