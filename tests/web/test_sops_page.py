"""`/admin/sops` as those who run sales use it: read, changed by forms, tried, published, stopped."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from scrm.app import TENANT
from scrm.db import utcnow
from scrm.playbook.library import service as library
from scrm.playbook.library.service import Wanted
from scrm.playbook.library.values import Editor, content_of
from scrm.playbook.sops import versions
from scrm.playbook.sops.store import runs
from scrm.playbook.sops.store import versions as store
from scrm.playbook.sops.values import Plan
from scrm.web.flows import sheet as sheets
from scrm.web.flows.fields import Fields
from tests.web.flowing import BASE, CONTENT, STEPS, Form, opened, published, send
from tests.web.office import Office, Page, event, office, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    """One office for all of them: each test has an SOP and customers of its own."""
    async with office(tmp_path_factory.mktemp("sops")) as made:
        yield made


def sop(code: str, **over: Any) -> dict[str, Any]:
    return CONTENT | {"code": code} | over


async def plan_of(desk: Office, code: str, number: int) -> Plan:
    async with desk.service.house.db.read(TENANT) as conn:
        return (await versions.of(conn, [(code, number)]))[code, number]


async def subscribed(desk: Office, who: str, kind: str = "subscribe") -> None:
    await desk.hear("oa-a", who, "在吗")
    await desk.callback("oa-a", event(who, kind))
    await desk.quiet()


async def running(desk: Office, code: str) -> list[tuple[int, str]]:
    async with desk.service.house.db.read(TENANT) as conn:
        return [(r.version, r.step) for r in await runs.page(conn, code, state="running", limit=9)]


async def test_the_list_has_the_trades_of_the_company_with_state_and_families_on_their_way(
    desk: Office,
) -> None:
    await published(desk, sop("edu.listed"))
    await subscribed(desk, "listed")

    async def begun() -> bool:
        return bool(await running(desk, "edu.listed"))

    await until(begun)
    answer = await desk.ask("GET", BASE, who="marketing")

    assert "教育" in answer.text
    assert "/admin/sops/edu.new-7-days" in answer.text
    assert "/admin/sops/house." not in answer.text
    (mine,) = [part for part in answer.text.split("</li>") if "/admin/sops/edu.listed" in part]
    assert "开着" in mine
    assert "1 家在走" in mine


async def test_what_the_editor_shows_comes_back_as_the_same_plan_for_every_sop_that_ships(
    desk: Office,
) -> None:
    async with desk.service.house.db.read(TENANT) as conn:
        heads = [h for h in await store.heads(conn) if h.trade == "education"]
    for head in heads:
        form = await opened(desk, head.code)
        sheet = sheets.typed(Fields(form.pairs))

        assert sheet.faults == ()
        assert replace(sheet.plan, version=1) == replace(
            await plan_of(desk, head.code, head.live_version), version=1
        )
    assert len(heads) >= 6


async def test_texts_waits_starts_and_stops_are_changed_without_scripts_and_published(desk: Office) -> None:
    await published(desk, sop("edu.texts"))
    form = await opened(desk, "edu.texts")
    more = Form((await send(desk, "/try", form.sent("start", start_new="silent"))).text)
    more = Form((await send(desk, "/try", more.sent("stop", stop_new="tag"))).text)
    changes = {
        "step_0_text": "您好呀", "step_1_days": "3", "step_1_at": "11:30", "step_3_title": "打电话问问",
        "start_1_days": "14", "stop_0_value": "暂不联系", "note": "说软一点",
    }  # fmt: skip
    saved = await send(desk, "/edu.texts", more.sent("publish", **changes))

    assert (saved.status, saved.where) == (303, f"{BASE}/edu.texts?saved=keep")
    made = await plan_of(desk, "edu.texts", 2)
    assert made.steps[0].message is not None
    assert made.steps[0].message.text == "您好呀"
    assert made.steps[1].wait is not None
    assert (made.steps[1].wait.days, made.steps[1].wait.at) == (3, "11:30")
    assert [s.silent_days for s in made.starts] == [0, 14]
    assert [s.tag for s in made.stop] == ["暂不联系"]
    page = (await desk.ask("GET", f"{BASE}/edu.texts", who="lead")).text
    assert "在用第 2 版" in page
    assert "员工marketing · 发布，在走的不动（第 2 版）" in page
    assert "说软一点" in page


async def test_steps_move_come_and_go_and_nothing_is_kept_before_it_is_saved(desk: Office) -> None:
    await published(desk, sop("edu.steps"))
    form = await opened(desk, "edu.steps")

    def ids(html: str) -> list[str]:
        return [v for n, v in Form(html).pairs if re.fullmatch(r"step-\d+-id", n)]

    up = (await send(desk, "/try", form.sent("up:2"))).text
    down = (await send(desk, "/try", form.sent("down:0"))).text
    gone = (await send(desk, "/try", form.sent("drop:1"))).text
    added = (await send(desk, "/try", form.sent("add:wait"))).text
    below = (await send(desk, "/try", form.sent("below:0", step_0_below="tag"))).text
    edges = [ids((await send(desk, "/try", form.sent(what))).text) for what in ("up:0", "down:4", "drop:99")]

    assert ids(up) == ["hi", "ask", "rest", "call", "over"]
    assert ids(down) == ["rest", "hi", "ask", "call", "over"]
    assert ids(gone) == ["hi", "ask", "call", "over"]
    assert ids(added) == ["hi", "rest", "ask", "call", "wait-1", "over"]
    assert ids(below) == ["hi", "tag-1", "rest", "ask", "call", "over"]
    assert edges == [[s["id"] for s in STEPS]] * 3
    async with desk.service.house.db.read(TENANT) as conn:
        assert len(await store.versions(conn, "edu.steps")) == 1


async def test_what_cannot_work_is_said_at_its_step_and_what_was_typed_stays(desk: Office) -> None:
    await published(desk, sop("edu.wrong"))
    form = await opened(desk, "edu.wrong")
    changes = {"step_0_text": "{{ 1 + 1 }}", "step_1_days": "三天", "step_3_title": "", "title": "新名字"}
    refused = await send(desk, "/edu.wrong", form.sent("publish", **changes))

    assert refused.status == 400
    steps = re.split(r'<li class="card stack step"', refused.text)[1:]
    assert "c-bad" in steps[0]
    assert "“三天”不是数字" in steps[1]
    assert "c-bad" not in steps[2]
    assert "待办要写标题" in steps[3]
    assert ("title", "新名字") in Form(refused.text).pairs
    assert "{{ 1 + 1 }}" in Page(refused.text).text
    async with desk.service.house.db.read(TENANT) as conn:
        assert len(await store.versions(conn, "edu.wrong")) == 1


async def test_a_new_sop_is_written_from_nothing_and_a_taken_code_is_refused(desk: Office) -> None:
    form = await opened(desk, "new")
    data = {"code": "edu.new", "title": "我的流程", "step_1_text": "您好"}
    made = await send(desk, "", form.sent("save", **data))
    again = await send(desk, "", form.sent("save", **data))
    strange = await send(desk, "", form.sent("save", **data | {"code": "edu.x", "trade": "fishing"}))
    page = (await desk.ask("GET", f"{BASE}/edu.new", who="admin")).text

    assert made.where == f"{BASE}/edu.new?saved=draft"
    assert (again.status, strange.status) == (400, 400)
    assert "已经有流程在用" in again.text
    assert "还没发布" in page


async def test_a_colleagues_save_meanwhile_is_not_overwritten_unseen(desk: Office) -> None:
    await published(desk, sop("edu.meanwhile"))
    first = await opened(desk, "edu.meanwhile")
    await send(desk, "/edu.meanwhile", first.sent("save", title="一"))
    mine, theirs = await opened(desk, "edu.meanwhile"), await opened(desk, "edu.meanwhile", "admin")
    await send(desk, "/edu.meanwhile", theirs.sent("save", title="他的"), who="admin")
    warned = await send(desk, "/edu.meanwhile", mine.sent("save", title="我的"))
    kept = (await plan_of(desk, "edu.meanwhile", 2)).title
    insisted = await send(desk, "/edu.meanwhile", Form(warned.text).sent("save"))

    assert (warned.status, kept, insisted.status) == (400, "他的", 303)
    assert "同事刚存过这一版" in warned.text
    assert (await plan_of(desk, "edu.meanwhile", 2)).title == "我的"


# -- trying ------------------------------------------------------------------------------------------------
async def test_a_dry_run_names_families_to_their_lead_alone(desk: Office) -> None:
    await published(desk, sop("edu.dry", starts=[{"event": "event.unsubscribe"}]), on=False)
    await subscribed(desk, "dry", "unsubscribe")
    tried = {}
    for who in ("lead", "marketing"):
        form = await opened(desk, "edu.dry", who)
        tried[who] = (await send(desk, "/try", form.sent("dry", days="7"), who=who)).text
    parts = {who: html.split('id="tried"')[1].split("</section>")[0] for who, html in tried.items()}

    for part in parts.values():
        assert "过去 7 天会有 1 家开始，给这些家庭自动发 0 条，交给顾问 1 件" in part
    assert "/households/" in parts["lead"]
    assert "的顾问" in parts["lead"]
    assert "/households/" not in parts["marketing"]
    assert "的顾问" not in parts["marketing"]
    assert "看不到的客户" in parts["marketing"]
    assert await running(desk, "edu.dry") == []


async def test_a_family_that_is_not_there_and_one_of_ones_own_show_dates_and_texts(desk: Office) -> None:
    await published(desk, sop("edu.simmed"), on=False)
    await subscribed(desk, "simmed")
    cid = await desk.cid("oa-a")
    lead, ops = await opened(desk, "edu.simmed", "lead"), await opened(desk, "edu.simmed")
    sample = (await send(desk, "/try", ops.sent("sim", family="sample:whole"))).text
    mine = (await send(desk, "/try", lead.sent("sim", family=f"talk:{cid}"), who="lead")).text
    hidden = await send(desk, "/try", ops.sent("sim", family=f"talk:{cid}"))
    nobody = await send(desk, "/try", ops.sent("sim", family="nobody"))

    parts = [html.split('id="tried"')[1].split("</section>")[0] for html in (sample, mine)]
    for part in parts:
        assert part.count("<time") + part.count('class="num"') >= 4
        assert "方便聊聊吗？" in part
    assert "/households/" in parts[1]
    assert (hidden.status, nobody.status) == (404, 400)


async def test_what_is_tried_is_said_in_the_companys_own_words_not_in_those_that_ship(desk: Office) -> None:
    code, words = "edu.ask-grade", "孩子上几年级呀？这是我们自己的说法"
    async with desk.service.house.db.begin(TENANT) as conn:
        house, now, who = desk.service.house, utcnow(), Editor(role="admin", staff_id=1, team_id=None)
        shipped = (await library.load(conn, house.library, now=now)).get(code)
        assert shipped is not None
        content = content_of(shipped) | {
            "text": words,
            "delivery": "confirm",
            "examples": [{"given": {}, "expect": words}],
        }
        wanted = Wanted(code=code, content=content, trade="education", folder="company")
        made = await library.draft(conn, house.library, wanted, who, now=now)
        await library.submit(conn, code, made.version, who, scan=lambda _: (), review=False, now=now)
    steps = [{"id": "ask", "message": {"script": code}}]
    await published(desk, sop("edu.own", steps=steps))
    await subscribed(desk, "own")
    cid = await desk.cid("oa-a")
    lead = await opened(desk, "edu.own", "lead")
    tried = [
        (await send(desk, "/try", lead.sent("sim", family=family), who="lead")).text
        for family in (f"talk:{cid}", "sample:whole")
    ]
    other = await send(desk, "/try", lead.sent("sim", step_0_script="house.booking"), who="lead")

    for html in tried:
        assert words in html.split('id="tried"')[1].split("</section>")[0]
    assert "house.booking" in desk.service.house.library.ids
    assert other.status == 400
    assert "话术库里没有“house.booking”" in other.text


# -- versions and families on their way --------------------------------------------------------------------
async def test_publishing_keeps_or_takes_over_those_on_their_way_and_the_end_stops_them(desk: Office) -> None:
    waits = [{"id": "rest", "wait": {"days": 30}}, {"id": "bye", "message": {"text": "再见"}}]
    await published(desk, sop("edu.going", steps=waits))
    await subscribed(desk, "going")

    async def begun() -> bool:
        return await running(desk, "edu.going") == [(1, "rest")]

    await until(begun)
    form = await opened(desk, "edu.going")
    assert ("running", "keep") in form.pairs
    await send(desk, "/edu.going", form.sent("publish", step_1_text="回头见"))
    kept = await running(desk, "edu.going")
    form = await opened(desk, "edu.going")
    await send(desk, "/edu.going", form.sent("publish", step_1_text="下次见", running="migrate"))
    moved = await running(desk, "edu.going")
    shown = (await desk.ask("GET", f"{BASE}/edu.going/runs", who="lead")).text
    foreign = (await desk.ask("GET", f"{BASE}/edu.going/runs", who="marketing")).text
    ended = await send(desk, "/edu.going", [("what", "end")])

    assert (kept, moved) == ([(1, "rest")], [(3, "rest")])
    assert "/households/" in shown
    assert "/households/" not in foreign
    assert ended.where.endswith("saved=end")
    assert await running(desk, "edu.going") == []
    page = (await desk.ask("GET", f"{BASE}/edu.going", who="admin")).text
    assert "没打开" in page
    assert "结束，停下所有在走的" in page


async def test_a_lead_stops_a_family_of_their_team_and_no_other(desk: Office) -> None:
    await published(desk, sop("edu.stopped", steps=[{"id": "rest", "wait": {"days": 30}}]))
    await subscribed(desk, "stopped")
    await desk.callback("oa-b", event("bert-stopped", "subscribe"))

    async def both() -> bool:
        return len(await running(desk, "edu.stopped")) == 2

    await until(both)
    async with desk.service.house.db.read(TENANT) as conn:
        rows = await runs.page(conn, "edu.stopped", limit=9)
        ours = await desk.node_of(await desk.cid("oa-a"))
    answers = {}
    for row in rows:
        form = [("run", desk.public("sop_run", row.run_id)), ("why", "客户要求")]
        answer = await send(desk, "/edu.stopped/runs", form, "lead")
        answers[row.node_id == ours] = answer.status

    assert answers == {True: 303, False: 403}
    assert len(await running(desk, "edu.stopped")) == 1


async def test_two_versions_are_told_apart_by_words(desk: Office) -> None:
    await published(desk, sop("edu.words"))
    form = await opened(desk, "edu.words")
    await send(desk, "/edu.words", form.sent("save", step_2_text="方便打个电话吗？", late="36"))
    page = (await desk.ask("GET", f"{BASE}/edu.words/versions", who="lead")).text

    assert "<del>" in page
    assert re.search(r"<ins>[^<]*打个电话", page)
    assert "<ins>36</ins>" in page
    missing = await desk.ask("GET", f"{BASE}/edu.words/versions?a=1&b=77", who="lead")
    assert missing.status == 404


async def test_hostile_words_are_shown_and_do_nothing(desk: Office) -> None:
    bad = "<script>alert(1)</script>\"'"
    await published(desk, sop("edu.hostile"))
    form = await opened(desk, "edu.hostile")
    changes = {"title": bad, "step_2_text": bad, "step_3_title": bad, "about": bad, "group": bad}
    pages = [(await send(desk, "/try", form.sent("sim", family="sample:whole", **changes))).text]
    await send(desk, "/edu.hostile", form.sent("save", **changes))
    paths = ("", "/edu.hostile", "/edu.hostile/versions", "/edu.hostile/runs")
    pages += [(await desk.ask("GET", f"{BASE}{path}", who="admin")).text for path in paths]

    for html in pages:
        assert not [attrs for tag, attrs in Page(html).elements if tag == "script" and not attrs]
    assert bad in Page(pages[0]).text
