"""The work board on its pages and in the API: whose it is, what ticks it off, and numbers that agree."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from scrm import schema
from scrm.app import TENANT
from scrm.contract import Handle, Link
from scrm.db import utcnow
from scrm.desk.tasks import service as tasks
from scrm.desk.tasks import store
from scrm.desk.tasks.rules import Task
from scrm.desk.tasks.service import Wanted
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.identity.service import Sighting
from scrm.ledger import store as ledger
from tests.web.office import Office, Page, Reply

#: What is stored and counted is tested on both, with the store.
ENGINES = ["sqlite"]
ANNA = "oAnna000000000000000000000001"
FRAGMENT = {"HX-Request": "true"}


async def served(desk: Office, *, reply: bool = True) -> str:
    """A customer who wrote; `rep` answered them."""
    await desk.hear("oa-a", ANNA, "你们的课多少钱？")
    cid = await desk.cid("oa-a")
    if reply:
        assert (await desk.push("rep", cid, "您好，我来介绍")).status == 201
        await desk.quiet()
    return cid


async def put(desk: Office, cid: str, **more: Any) -> str:
    usual: dict[str, Any] = {
        "kind": "material",
        "title": "发课表",
        "why": "上次问过",
        "source": "sop",
        "due_at": utcnow() + timedelta(minutes=20),
    }
    node_id, ident = await desk.node_of(cid), desk.private("conversation", cid)
    one = Wanted(key=secrets.token_hex(6), node_id=node_id, conversation_id=ident, **usual | more)
    async with desk.service.house.db.begin(TENANT) as conn:
        (made,) = await tasks.put(conn, [one], now=utcnow())
    return desk.public("task", made.task_id)


async def task(desk: Office, public: str) -> Task:
    async with desk.service.house.db.read(TENANT) as conn:
        found = await store.get(conn, desk.private("task", public))
    assert found is not None
    return found


def total(answer: Reply) -> int:
    assert answer.status == 200, answer.text
    (found,) = re.findall(r"data-total>(\d+)<", answer.text)
    return int(found)


def rows(answer: Reply) -> list[str]:
    """What is still to be done, in the order shown."""
    found = [a["id"] for tag, a in Page(answer.text).elements if tag == "li" and "data-task" in a]
    return [name.removeprefix("f-") for name in found]


def badge(answer: Reply) -> int:
    found = re.search(r'id="t-todo".*?</a>', answer.text, re.DOTALL)
    assert found is not None
    number = re.search(r'class="cnt">(\d+)<', found.group())
    return int(number.group(1)) if number else 0


async def numbers(desk: Office, cid: str) -> dict[str, int]:
    """What each screen says `rep` has to do."""
    inbox = await desk.ask("GET", "/inbox?filter=tasks", who="rep")
    lead = await desk.ask("GET", "/lead/today", who="lead")
    tab = re.search(r'filter=tasks"[^>]*>待办(?: <span class="num">(\d+)<)?', inbox.text)
    of_rep = re.search(r"员工rep.*?data-open>(\d+)<", lead.text, re.DOTALL)
    assert tab is not None
    assert of_rep is not None
    return {
        "today": total(await desk.ask("GET", "/s/today", who="rep")),
        "sidebar": badge(await desk.ask("GET", f"/s/c/{cid}", who="rep")),
        "tab": int(tab.group(1) or 0),
        "inbox": len(rows(inbox)),
        "lead": int(of_rep.group(1)),
    }


# -- numbers -----------------------------------------------------------------------------------------------
async def test_every_screen_says_the_same_number_whatever_is_ticked_off(desk: Office) -> None:
    cid = await served(desk)
    made = [await put(desk, cid, kind=kind) for kind in ("material", "call", "coupon", "other")]
    await desk.hear("oa-a", ANNA, "周六可以吗？")

    seen = [await numbers(desk, cid)]
    await desk.ask("POST", f"/s/tasks/{made[3]}/done", who="rep")
    seen.append(await numbers(desk, cid))
    later = {"why": "客户在开会", "until": "2h"}
    await desk.ask("POST", f"/s/tasks/{made[1]}/later", who="rep", data=later)
    seen.append(await numbers(desk, cid))
    assert (await desk.push("rep", cid, "可以的，课表发您")).status == 201
    await desk.quiet()
    seen.append(await numbers(desk, cid))

    assert [set(one.values()) for one in seen] == [{5}, {4}, {3}, {1}]


async def test_a_reply_due_is_the_queue_s_own_and_an_answer_ends_it(desk: Office) -> None:
    cid = await served(desk)
    await desk.hear("oa-a", ANNA, "周六可以吗？")
    waiting = await desk.ask("GET", "/s/today", who="rep")

    assert (await desk.push("rep", cid, "可以的")).status == 201
    await desk.quiet()

    assert rows(waiting) == [f"task-c-{cid}"]
    assert rows(await desk.ask("GET", "/s/today", who="rep")) == []


async def test_what_an_event_did_is_shown_with_how_it_was_done(desk: Office) -> None:
    cid = await served(desk)
    made = await put(desk, cid)

    assert (await desk.push("rep", cid, "课表发您了")).status == 201
    await desk.quiet()

    done = await task(desk, made)
    assert (done.state, done.done_by) == ("done", desk.staff_ids["rep"])
    assert "发出消息后自动完成" in (await desk.ask("GET", "/s/today", who="rep")).text
    assert "发出消息后自动完成" in (await desk.ask("GET", f"/s/c/{cid}?tab=todo", who="rep")).text


# -- acts --------------------------------------------------------------------------------------------------
async def test_without_scripts_each_form_leads_back_to_where_it_was(desk: Office) -> None:
    made = await put(desk, await served(desk))
    back = {"Referer": f"{desk.url}/s/today"}

    plain = await desk.ask("POST", f"/s/tasks/{made}/done", who="rep", headers=back)
    again = await desk.ask("POST", f"/s/tasks/{made}/done", who="rep", headers=FRAGMENT)

    assert (plain.status, plain.where) == (303, "/s/today")
    assert again.status == 409
    assert "已经完成" in again.text


async def test_putting_off_needs_a_reason_and_in_the_end_the_leader(desk: Office) -> None:
    made = await put(desk, await served(desk))
    url = f"/s/tasks/{made}/later"

    bare = await desk.ask("POST", url, who="rep", data={"until": "30m", "why": " "}, headers=FRAGMENT)
    said = {"until": "30m", "why": "客户在开会"}
    three = [(await desk.ask("POST", url, who="rep", data=said, headers=FRAGMENT)).status for _ in range(3)]
    fourth = await desk.ask("POST", url, who="rep", data=said, headers=FRAGMENT)
    seen = await desk.ask("GET", "/lead/today", who="lead")
    by_lead = await desk.ask("POST", url, who="lead", data=said, headers=FRAGMENT)

    assert bare.status == 400
    assert "为什么推迟" in bare.text
    assert three == [204] * 3
    assert fourth.status == 409
    assert "推迟过 3 次：客户在开会" in seen.text
    assert by_lead.status == 204
    assert (await task(desk, made)).postponed == 4


async def test_a_reply_is_put_off_and_closed_where_the_queue_does_it(desk: Office) -> None:
    cid = await served(desk)
    await desk.hear("oa-a", ANNA, "在吗")
    await desk.ask("POST", f"/s/tasks/c-{cid}/later", who="rep", data={"until": "2h", "why": "开会"})
    off = await numbers(desk, cid)
    await desk.hear("oa-a", ANNA, "还在吗")
    back = await numbers(desk, cid)

    await desk.ask("POST", f"/s/tasks/c-{cid}/done", who="rep")

    assert (set(off.values()), set(back.values())) == ({0}, {1})
    (talk,) = (await desk.api("GET", "/conversations", token="rep")).json()["items"]
    assert talk["state"] == "closed"
    assert set((await numbers(desk, cid)).values()) == {0}


async def test_the_leader_acts_for_a_rep_who_is_away_and_it_says_so(desk: Office) -> None:
    cid = await served(desk)
    made = await put(desk, cid, kind="other")
    rep = desk.public("hand-rep", desk.staff_ids["rep"])

    board = await desk.ask("GET", f"/lead/today?rep={rep}", who="lead")
    done = await desk.ask("POST", f"/s/tasks/{made}/done", who="lead", headers=FRAGMENT)

    assert rows(board) == [f"task-{made}"]
    assert "员工rep的待办" in board.text
    assert done.status == 204
    assert (await task(desk, made)).done_why == "主管代为完成"
    assert "主管代为完成" in (await desk.ask("GET", "/s/today", who="rep")).text


async def test_given_to_a_colleague_the_customer_goes_along(desk: Office) -> None:
    cid = await served(desk)
    made, other = await put(desk, cid), await put(desk, cid, kind="call")
    peer = {"to": desk.public("hand-rep", desk.staff_ids["peer"])}

    given = await desk.ask("POST", f"/lead/today/{made}/give", who="lead", data=peer, headers=FRAGMENT)

    assert given.status == 204
    assert set(rows(await desk.ask("GET", "/s/today", who="peer"))) == {f"task-{made}", f"task-{other}"}
    assert rows(await desk.ask("GET", "/s/today", who="rep")) == []
    assert (await desk.ask("GET", f"/s/c/{cid}", who="peer")).status == 200


async def test_given_to_nobody_or_to_another_team_nothing_moves(desk: Office) -> None:
    made = await put(desk, await served(desk))
    url, other = f"/lead/today/{made}/give", desk.public("hand-rep", desk.staff_ids["other"])

    answers = [
        await desk.ask("POST", url, who="lead", data=to, headers=FRAGMENT) for to in ({}, {"to": other})
    ]

    assert [a.status for a in answers] == [400, 400]
    assert (await task(desk, made)).staff_id == desk.staff_ids["rep"]


@pytest.mark.parametrize("who", ["peer", "other"])
async def test_what_is_somebody_else_s_is_not_to_be_found(desk: Office, who: str) -> None:
    cid = await served(desk)
    made = await put(desk, cid)

    for path, data in ((f"{made}/done", {}), (f"{made}/later", {"until": "2h", "why": "x"})):
        assert (await desk.ask("POST", f"/s/tasks/{path}", who=who, data=data)).status == 404
    assert (await desk.ask("POST", f"/s/tasks/c-{cid}/done", who=who)).status == 404
    assert rows(await desk.ask("GET", "/s/today", who=who)) == []
    assert (await task(desk, made)).state == "open"


async def test_who_left_still_has_a_row_so_that_nothing_is_forgotten(desk: Office) -> None:
    made = await put(desk, await served(desk))
    async with desk.service.house.db.begin(TENANT) as conn:
        c = schema.staff.c
        gone = sa.update(schema.staff).where(c.tenant_id == TENANT, c.staff_id == desk.staff_ids["rep"])
        await conn.run(gone.values(state="left"))

    page = await desk.ask("GET", "/lead/today", who="lead")

    assert "员工rep" in page.text
    assert rows(page) == [f"task-{made}"]
    assert total(page) == 1


async def test_a_rep_adds_what_they_must_not_forget_once(desk: Office) -> None:
    cid = await served(desk)
    said = {"kind": "call", "title": "问爸爸的意见", "until": "2h", "key": "k1"}

    for _ in range(2):
        await desk.ask("POST", f"/s/c/{cid}/tasks", who="rep", data=said)
    wrong = [
        (await desk.ask("POST", f"/s/c/{cid}/tasks", who="rep", data=said | bad)).status
        for bad in ({"title": " "}, {"kind": "dance"}, {"until": "someday"})
    ]

    page = await desk.ask("GET", f"/s/c/{cid}?tab=todo", who="rep")
    assert len(rows(page)) == 1
    assert "问爸爸的意见" in page.text
    assert wrong == [400] * 3


async def test_what_is_to_be_sent_stands_ready_to_be_looked_over(desk: Office) -> None:
    cid = await served(desk)
    made = await put(desk, cid, action={"text": "这是暑期班的课表"})
    today = await desk.ask("GET", "/s/today", who="rep")

    page = await desk.ask("GET", f"/s/c/{cid}?task={made}", who="rep")
    strange = await desk.ask("GET", f"/s/c/{cid}?task={made[:-1]}x", who="rep")

    assert f'href="/s/c/{cid}?task={made}"' in today.text
    assert re.search(r"<textarea[^>]*>这是暑期班的课表</textarea>", page.text)
    assert strange.status == 404


async def test_a_call_shows_the_telephone_as_far_as_policy_lets(desk: Office) -> None:
    cid = await served(desk)
    await put(desk, cid, kind="call")
    node_id, now = await desk.node_of(cid), utcnow()
    phone = Handle(kind="phone", scope="e164", value="+8613912345678")
    async with desk.service.house.db.begin(TENANT) as conn:
        anna = (await nodes.handles(conn, [node_id]))[node_id]
        tie = Link(a=anna, b=phone, rule="form.phone", strength=100)
        one = Sighting(event_id=1, at=now, key="form", handles=(anna, phone), links=(tie,))
        await identity.resolve(conn, [one], now)

    page = await desk.ask("GET", "/s/today", who="rep")

    assert "139****5678" in page.text
    assert "13912345678" not in page.text


# -- the API -----------------------------------------------------------------------------------------------
async def test_the_api_lists_page_by_page_what_its_token_may_see(desk: Office) -> None:
    cid = await served(desk)
    made = [await put(desk, cid) for _ in range(3)]

    first = (await desk.api("GET", "/tasks?limit=2", token="rep")).json()
    second = (await desk.api("GET", f"/tasks?limit=2&cursor={first['next_cursor']}", token="rep")).json()
    others = [
        len((await desk.api("GET", "/tasks", token=who)).json()["items"])
        for who in ("lead", "machine-admin", "peer", "other", "machine-rep", "admin")
    ]

    assert [t["id"] for t in first["items"] + second["items"]] == made[::-1]
    assert second["next_cursor"] is None
    assert first["items"][0]["owner"] == "员工rep"
    assert others == [3, 3, 0, 0, 0, 0]


async def test_the_api_adds_ticks_off_and_puts_off_once(desk: Office) -> None:
    cid = await served(desk)
    until = (utcnow() + timedelta(hours=3)).isoformat()
    body = {"conversation_id": cid, "kind": "call", "title": "约试听", "due_at": until, "value": 598000}
    once = {"Idempotency-Key": "task-1"}

    made = [(await desk.api("POST", "/tasks", token="machine-admin", json=body, headers=once)) for _ in "ab"]
    ident = made[0].json()["id"]
    off = await desk.api(
        "POST", "/tasks/postpone", token="rep", json={"id": ident, "until": until, "why": "忙"}
    )
    done = await desk.api("POST", "/tasks/done", token="rep", json={"id": ident})
    again = await desk.api("POST", "/tasks/done", token="rep", json={"id": ident})
    hidden = await desk.api("POST", "/tasks/done", token="peer", json={"id": ident})

    assert [m.status for m in made] == [201, 201]
    assert made[0].json() == made[1].json()
    assert (off.json()["postponed"], off.json()["postponed_why"]) == (1, "忙")
    assert done.json()["state"] == "done"
    assert (again.status, hidden.status) == (409, 404)
    listed = (await desk.api("GET", "/tasks?state=done", token="rep")).json()["items"]
    assert [t["id"] for t in listed] == [ident]


async def test_the_api_says_what_it_does_not_take(desk: Office) -> None:
    cid = await served(desk)
    good = {"conversation_id": cid, "kind": "call", "title": "约", "due_at": utcnow().isoformat()}

    wrong = [
        (await desk.api("POST", "/tasks", token="rep", json=good | bad)).status
        for bad in ({"kind": "dance"}, {"title": ""}, {"value": -1}, {"conversation_id": "x"})
    ]

    assert wrong == [400, 400, 400, 404]
    assert (await desk.api("GET", "/tasks?state=dancing", token="rep")).status == 400


async def test_what_was_done_on_a_board_is_in_the_audit_trail(desk: Office) -> None:
    made = await put(desk, await served(desk))

    await desk.ask("POST", f"/s/tasks/{made}/done", who="rep")

    async with desk.service.house.db.read(TENANT) as conn:
        trail = await ledger.entries(conn, limit=20)
    assert ("task.done", f"task:{desk.private('task', made)}") in {(e.action, e.subject) for e in trail}


@pytest.mark.parametrize("more", [{"due_at": "2099-12-01T10:00:00"}, {"text": "长" * 4001}])
async def test_a_task_nobody_could_show_is_refused_by_the_api(desk: Office, more: dict[str, str]) -> None:
    cid = await served(desk)
    body = {"conversation_id": cid, "kind": "call", "title": "回电", "due_at": "2099-12-01T10:00:00Z"}

    fine = await desk.api("POST", "/tasks", token="rep", json=body)
    wrong = await desk.api("POST", "/tasks", token="rep", json=body | more)

    assert (fine.status, wrong.status) == (201 if fine.status == 201 else 200, 400)


async def test_the_audit_trail_names_what_was_written_and_keeps_no_words(desk: Office) -> None:
    cid = await served(desk)
    public = await put(desk, cid)
    form = {"until": "tomorrow", "why": "林晓雯在江畔路开会"}
    answer = await desk.ask("POST", f"/s/tasks/{public}/later", who="rep", data=form)
    async with desk.service.house.db.read(TENANT) as conn:
        told = await ledger.entries(conn, limit=50)

    assert answer.status == 303
    assert next(e for e in told if e.action == "task.put_off").fields == ["why"]
    assert "林晓雯" not in str(told)
