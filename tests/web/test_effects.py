"""The page of effect: rates with intervals, by stage and role, flags, and two versions side by side."""

from __future__ import annotations

import re
from datetime import timedelta

from scrm.app import TENANT
from scrm.db import utcnow
from scrm.playbook import store
from scrm.playbook.effect import service as effect
from scrm.playbook.effect import store as effect_store
from scrm.playbook.effect.rules import Adopted
from scrm.playbook.ranking import Suggestion
from scrm.playbook.store import Made
from scrm.web.effects import BASE
from tests.web import stock
from tests.web.office import Office, Page


def codes(desk: Office) -> list[str]:
    return sorted(i for i in desk.service.house.library.ids if i.startswith("edu."))


async def used(
    desk: Office, code: str, times: int, replies: int, *, stage: str = "needs", arm: str = ""
) -> None:
    """So often suggested and sent three hours ago, and so often answered."""
    ago = utcnow() - timedelta(hours=3)
    found = Suggestion(script_id=code, version=1, score=1.0, reason="因为")
    async with desk.service.house.db.begin(TENANT) as conn:
        start = len(await store.page(conn, conversation_id=None, before=None, limit=5000))
        for n in range(start, start + times):
            made = Made(
                conversation_id=n, event_id=n + 1, ranked=[found], stage=stage, role="buyer", node_id=n,
                arms={code: arm} if arm else {},
            )  # fmt: skip
            await store.save_all(conn, [made], now=ago)
            (one,) = await store.latest(conn, n)
            adopted = Adopted(suggestion_id=one.suggestion_id, distance=0)
            await effect_store.take(conn, adopted, event_id=n, staff_id=None, at=ago)
        told = [
            effect.Reached(goal="reply", nodes=[n], at=ago + timedelta(minutes=5), event_id=None)
            for n in range(start, start + replies)
        ]
        assert await effect.reached(conn, told) == replies


async def shown(desk: Office, query: str = "", who: str = "lead") -> str:
    answer = await desk.ask("GET", BASE + query, who=who)
    assert answer.status == 200, answer.text
    return answer.text


async def test_rates_come_with_their_intervals_and_what_harms_is_marked(desk: Office) -> None:
    good, bad, *_ = codes(desk)
    await used(desk, good, 40, 30)
    await used(desk, bad, 30, 2)

    html = await shown(desk)

    text = Page(html).text
    assert "75%" in text
    assert "60–86% · 30/40" in text  # Wilson
    rows = re.findall(r"<tr>.*?</tr>", html, re.DOTALL)
    assert [("拉低回复" in row) for row in rows if "script=" in row] == [False, True]
    assert "<polyline" in html


async def test_one_script_is_told_by_stage_and_role_and_stages_can_be_picked(desk: Office) -> None:
    good, other, *_ = codes(desk)
    await used(desk, good, 4, 1)
    await used(desk, good, 6, 1, stage="closing")
    await used(desk, other, 3, 1)

    parts = Page(await shown(desk, f"?script={good}")).text
    assert "了解需求 · 购买人" in parts
    assert "报名成交 · 购买人" in parts
    closing = await shown(desk, "?stage=closing")
    assert f"script={good}" in closing
    assert f"script={other}" not in closing


async def test_two_versions_are_compared_until_somebody_ends_it(desk: Office) -> None:
    code = stock.REVIEWED
    form = {"script": code, "a": "1", "b": "2", "goal": "reply"}
    assert (await desk.ask("POST", BASE, who="marketing", data=form)).status == 404
    for number in (1, 2):
        await stock.posted(desk, "/scripts", stock.WRITTEN, token="admin")
        if number == 2:  # written, and nobody has let it out
            assert (await desk.ask("POST", BASE, who="marketing", data=form)).status == 400
        await stock.posted(desk, "/scripts/publish", {"code": code, "version": number})
    begun = await desk.ask("POST", BASE, who="marketing", data=form)
    assert begun.status == 303
    twice = await desk.ask("POST", BASE, who="marketing", data=form)
    assert twice.status == 409
    wrong = await desk.ask("POST", BASE, who="marketing", data={**form, "a": "x"})
    assert wrong.status == 400
    assert "还看不出差别" in Page(await shown(desk, f"?script={code}")).text

    stop = re.search(rf'action="({BASE}/[^"]+/stop)"', await shown(desk))
    assert stop
    assert (await desk.ask("POST", stop[1], who="marketing")).status == 303
    assert "已结束" in Page(await shown(desk)).text
    unknown = f"{BASE}/{desk.public('trial', 1)}/stop"
    assert (await desk.ask("POST", unknown, who="marketing")).status == 404


async def test_nothing_used_yet_says_so_and_reps_do_not_see_it(desk: Office) -> None:
    assert "还没有数据" in Page(await shown(desk)).text
    assert (await desk.ask("GET", BASE, who="rep")).status == 403
