"""The desk in the inbox: whose a conversation is and why; away, later, closed; two who answer at once."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from scrm.accounts import service as accounts
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.desk import service as desk_service
from scrm.ledger.store import entries
from scrm.staff import store as staff_store
from tests.web.office import ACCOUNTS, Office, Page, Reply, given, until

ANNA = "oCustomerAnna0000000000000001"
VERBS = ("take", "hand", "release", "snooze", "close", "reopen")


@pytest.fixture
async def cid(desk: Office) -> str:
    """A customer of team A asked something; nobody has answered."""
    await desk.hear("oa-a", ANNA, "你们的课多少钱？")
    return await desk.cid("oa-a")


async def post(desk: Office, path: str, who: str, **form: str) -> Reply:
    return await desk.ask("POST", path, who=who, data=form)


async def rep_shown(desk: Office, cid: str, who: str) -> str:
    """Whom the page gives back as the conversation's rep."""
    answer = await desk.ask("GET", f"/inbox/{cid}", who=who)
    return next(
        attrs["value"]
        for tag, attrs in Page(answer.text).elements
        if tag == "input" and attrs.get("name") == "rep"
    )


async def owner(desk: Office, cid: str) -> str | None:
    items = (await desk.api("GET", "/conversations", token="machine-admin")).json()["items"]
    found: str | None = next(c["owner"] for c in items if c["id"] == cid)
    return found


async def send(desk: Office, cid: str, who: str, text: str, **more: Any) -> Reply:
    form = {"key": secrets.token_hex(12), "text": text} | more.pop("form", {})
    return await desk.ask("POST", f"/s/c/{cid}/send", who=who, data=form, **more)


async def mark(desk: Office, cid: str, who: str) -> str:
    """What the page of `who` says it has seen."""
    answer = await desk.ask("GET", f"/inbox/{cid}", who=who)
    return next(a["data-seen"] for _, a in Page(answer.text).elements if "data-seen" in a)


# -- whose it is -------------------------------------------------------------------------------------------
async def test_a_rep_takes_hands_over_and_puts_back_and_the_page_says_who_did(desk: Office, cid: str) -> None:
    taken = await post(desk, f"/inbox/{cid}/take", "rep", rep="")
    mine = await desk.ask("GET", f"/inbox/{cid}", who="rep")
    options = [a["value"] for tag, a in Page(mine.text).elements if tag == "option" and "rep:" in a["value"]]
    peer = next(o for o in options if desk.private("hand-rep", o[4:]) == desk.staff_ids["peer"])
    handed = await post(desk, f"/inbox/{cid}/hand", "rep", rep=await rep_shown(desk, cid, "rep"), to=peer)

    assert (taken.status, taken.where) == (303, f"/inbox/{cid}")
    assert "员工rep自己接手了会话。" in Page(mine.text).text
    assert handed.status == 303
    assert await owner(desk, cid) == "peer"
    assert (await desk.ask("GET", f"/inbox/{cid}", who="rep")).status == 404
    theirs = Page((await desk.ask("GET", f"/inbox/{cid}", who="peer")).text)
    assert "员工rep把会话转给了员工peer。" in theirs.text
    await post(desk, f"/inbox/{cid}/release", "peer", rep=await rep_shown(desk, cid, "peer"))
    assert await owner(desk, cid) is None


async def test_of_two_who_take_it_at_once_the_second_is_told(desk: Office, cid: str) -> None:
    answers = await asyncio.gather(
        *(post(desk, f"/inbox/{cid}/take", who, rep="") for who in ("rep", "peer"))
    )

    assert sorted(a.status for a in answers) == [303, 404]


async def test_a_lead_moves_it_but_not_by_a_page_that_is_out_of_date(desk: Office, cid: str) -> None:
    await post(desk, f"/inbox/{cid}/take", "rep", rep="")
    late = await post(desk, f"/inbox/{cid}/take", "lead", rep="")
    silent = await post(desk, f"/inbox/{cid}/release", "lead")
    good = await post(desk, f"/inbox/{cid}/release", "lead", rep=await rep_shown(desk, cid, "lead"))

    assert (late.status, silent.status, good.status) == (409, 409, 303)
    assert "刚刚换了人接待" in late.text
    assert await owner(desk, cid) is None


async def test_a_rep_of_another_team_can_do_none_of_it(desk: Office, cid: str) -> None:
    for verb in VERBS:
        answer = await post(desk, f"/inbox/{cid}/{verb}", "other", rep="", until="2h", to="team:x")
        assert answer.status == 404, verb

    await post(desk, f"/inbox/{cid}/take", "rep", rep="")
    for verb in VERBS:
        answer = await post(desk, f"/inbox/{cid}/{verb}", "peer", rep="", until="2h", to="team:x")
        assert answer.status == 404, verb
    assert await owner(desk, cid) == "rep"


async def test_it_is_not_handed_to_people_the_page_does_not_offer(desk: Office, cid: str) -> None:
    for login in ("other", "marketing", "admin"):
        to = "rep:" + desk.public("hand-rep", desk.staff_ids[login])
        assert (await post(desk, f"/inbox/{cid}/hand", "rep", rep="", to=to)).status == 400, login
    for to in ("", "rep:", "rep:zzz", "elsewhere:1", "team:" + desk.public("hand-rep", 1)):
        assert (await post(desk, f"/inbox/{cid}/hand", "rep", rep="", to=to)).status in (400, 404), to


async def test_another_teams_queue_takes_it_out_of_this_ones_sight(desk: Office, cid: str) -> None:
    page = Page((await desk.ask("GET", f"/inbox/{cid}", who="rep")).text)
    team = next(a["value"] for tag, a in page.elements if tag == "option" and a["value"].startswith("team:"))

    assert (await post(desk, f"/inbox/{cid}/hand", "rep", rep="", to=team)).status == 303

    assert (await desk.ask("GET", f"/inbox/{cid}", who="rep")).status == 404
    theirs = await desk.ask("GET", f"/inbox/{cid}", who="other")
    assert "员工rep把会话转给了小组“B”。" in Page(theirs.text).text


# -- by rules ----------------------------------------------------------------------------------------------
async def automatic(desk: Office) -> None:
    """Official Account A hands its conversations out; its secrets stay."""
    house, (channel, team) = desk.service.house, ACCOUNTS["oa-a"]
    own = given("oa-a")[0] | desk.keys["oa-a"] | {"assign": "auto", "channel": channel}
    async with house.db.begin(TENANT) as conn:
        await accounts.add(conn, own, now=utcnow(), team_id=await staff_store.team_id(conn, team))
    async with house.db.read(TENANT) as conn:
        await house.directory.load(conn)


@asynccontextmanager
async def watching(desk: Office, who: str) -> AsyncIterator[None]:
    """`who` has a page open."""
    topic = "rep:" + desk.public("topic-rep", desk.staff_ids[who])
    headers = {"Cookie": f"scrm={desk.sessions[who]}"}
    async with desk.http.get(f"{desk.url}/live?topics={topic}", headers=headers) as stream:
        assert stream.status == 200
        await stream.content.readline()
        yield


async def becomes(desk: Office, cid: str, login: str) -> None:
    async def so() -> bool:
        return await owner(desk, cid) == login

    await until(so)


async def test_an_open_page_is_given_the_conversation_and_the_page_says_why(desk: Office) -> None:
    await automatic(desk)
    await desk.hear("oa-a", ANNA, "多少钱？")
    cid = await desk.cid("oa-a")
    assert await owner(desk, cid) is None

    async with watching(desk, "peer"):
        await becomes(desk, cid, "peer")

    page = Page((await desk.ask("GET", f"/inbox/{cid}", who="peer")).text)
    assert "员工peer在线，手上会话最少：0 个（上限 8），所以自动分配。" in page.text
    english = await desk.ask("POST", "/me/prefs", who="peer", data={"locale": "en", "theme": "auto"})
    assert english.status in (200, 303)
    page = Page((await desk.ask("GET", f"/inbox/{cid}", who="peer")).text)
    assert "员工peer is online and has the fewest chats, 0 (of 8): given automatically." in page.text


async def test_away_is_given_nothing_and_says_so_in_the_head_of_the_queue(desk: Office) -> None:
    await automatic(desk)
    async with watching(desk, "rep"), watching(desk, "peer"):
        assert (await post(desk, "/inbox/presence", "rep", away="1")).status == 303
        shown = Page((await desk.ask("GET", "/inbox", who="rep")).text)
        await desk.hear("oa-a", ANNA, "多少钱？")

        await becomes(desk, await desk.cid("oa-a"), "peer")

    assert ("input", {"type": "hidden", "name": "away", "value": "0"}) in shown.elements
    await post(desk, "/inbox/presence", "rep", away="0")
    shown = Page((await desk.ask("GET", "/inbox", who="rep")).text)
    assert ("input", {"type": "hidden", "name": "away", "value": "1"}) in shown.elements


async def test_by_default_an_account_leaves_it_to_whoever_answers_first(desk: Office) -> None:
    plugged = desk.service.house.directory.by_slug("oa-a")
    async with desk.service.house.db.begin(TENANT) as conn:
        await desk_service.here(conn, desk.staff_ids["rep"], now=utcnow())
    await desk.hear("oa-a", ANNA, "多少钱？")

    await desk.service.worker.hand_out(TENANT)

    assert not plugged.assigns
    assert await owner(desk, await desk.cid("oa-a")) is None
    await automatic(desk)
    await becomes(desk, await desk.cid("oa-a"), "rep")  # the control: the same customer, handed out


# -- later and closed --------------------------------------------------------------------------------------
async def lists(desk: Office, cid: str, who: str) -> set[str]:
    found = set()
    for which in ("waiting", "mine", "unassigned", "snoozed", "closed", "all"):
        answer = await desk.ask("GET", f"/inbox/queue?filter={which}", who=who)
        if f"/inbox/{cid}" in answer.text:
            found.add(which)
    return found


async def test_put_off_and_taken_up_again(desk: Office, cid: str) -> None:
    assert (await post(desk, f"/inbox/{cid}/snooze", "rep", until="2h")).status == 303
    later = await lists(desk, cid, "rep")
    assert (await post(desk, f"/inbox/{cid}/snooze", "rep", until="now")).status == 303

    assert later == {"snoozed", "unassigned", "all"}
    assert await lists(desk, cid, "rep") == {"waiting", "unassigned", "all"}
    assert (
        await post(desk, f"/inbox/{cid}/snooze", "rep", until="custom", at="1999-01-01T09:00")
    ).status == 400


async def test_closed_until_the_customer_writes_again(desk: Office, cid: str) -> None:
    await post(desk, f"/inbox/{cid}/close", "rep")
    closed = await lists(desk, cid, "rep")
    await desk.hear("oa-a", ANNA, "还有一个问题")
    opened = await lists(desk, cid, "rep")
    await post(desk, f"/inbox/{cid}/close", "rep")
    await post(desk, f"/inbox/{cid}/reopen", "rep")

    assert closed == {"closed", "all"}
    assert opened == {"waiting", "unassigned", "all"}
    assert await lists(desk, cid, "rep") == {"unassigned", "all"}


async def test_every_change_is_in_the_audit_trail(desk: Office, cid: str) -> None:
    await post(desk, f"/inbox/{cid}/take", "rep", rep="")
    await post(desk, f"/inbox/{cid}/snooze", "rep", until="30m")
    await post(desk, f"/inbox/{cid}/close", "rep")

    async with desk.service.house.db.read(TENANT) as conn:
        from_audit = await _actions(conn)
    assert from_audit[:3] == ["conversation.closed", "conversation.snoozed", "conversation.taken"]


async def _actions(conn: Any) -> list[str]:
    return [e.action for e in await entries(conn, limit=9) if e.action.startswith("conversation.")]


# -- two who answer ----------------------------------------------------------------------------------------
async def test_a_colleagues_answer_since_the_page_stops_the_send_and_shows_it(desk: Office, cid: str) -> None:
    await post(desk, f"/inbox/{cid}/take", "rep", rep="")
    seen = await mark(desk, cid, "lead")
    assert (
        await send(desk, cid, "rep", "一共 5780 元", form={"seen": await mark(desk, cid, "rep")})
    ).status == 303

    key = secrets.token_hex(12)
    form = {"seen": seen, "key": key}
    stopped = await send(desk, cid, "lead", "我来回", form=form)
    fragment = await send(desk, cid, "lead", "我来回", form=form, headers={"HX-Request": "true"})

    assert (stopped.status, fragment.status) == (409, 409)
    for answer in (stopped, fragment):
        text = Page(answer.text).text
        assert "同事 员工rep 刚刚回复了" in text
        assert "一共 5780 元" in text
    fields = {a.get("name", ""): a.get("value", "") for t, a in Page(stopped.text).elements if t == "input"}
    assert fields["key"] == key
    anyway = await send(desk, cid, "lead", "我来回", form={"seen": fields["seen"], "key": key})
    assert anyway.status == 303
    assert await _said(desk, cid) == ["一共 5780 元", "我来回"]


async def test_a_repeat_of_what_went_out_is_no_collision(desk: Office, cid: str) -> None:
    seen, key = await mark(desk, cid, "lead"), secrets.token_hex(12)
    first = await send(desk, cid, "lead", "您好", form={"seen": seen, "key": key})
    await post(desk, f"/inbox/{cid}/hand", "lead", rep=await rep_shown(desk, cid, "lead"), to=_rep(desk))
    await send(desk, cid, "rep", "我来跟进")

    again = await send(desk, cid, "lead", "您好", form={"seen": seen, "key": key})

    assert (first.status, again.status) == (303, 303)
    assert await _said(desk, cid) == ["您好", "我来跟进"]


async def test_two_in_the_same_moment_the_second_is_stopped(desk: Office, cid: str) -> None:
    await post(desk, f"/inbox/{cid}/take", "rep", rep="")
    seen = {who: await mark(desk, cid, who) for who in ("rep", "lead")}

    answers = await asyncio.gather(
        *(send(desk, cid, who, f"{who} 说", form={"seen": seen[who]}) for who in seen)
    )

    assert sorted(a.status for a in answers) == [303, 409]
    assert len(await _said(desk, cid)) == 1


async def test_the_api_answers_409_as_a_problem(desk: Office, cid: str) -> None:
    items = (await desk.api("GET", "/conversations", token="lead")).json()["items"]
    seen = next(c["seen"] for c in items if c["id"] == cid)
    assert (await desk.push("rep", cid, "先回了")).status == 201

    async def push(**more: str) -> Reply:
        body = {"conversation_id": cid, "text": "后到", **more}
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        return await desk.api("POST", "/pushes", token="lead", json=body, headers=headers)

    stopped, asked_nothing = await push(seen=seen), await push()

    assert stopped.status == 409
    assert stopped.headers["Content-Type"].startswith("application/problem+json")
    assert "同事刚刚回复了" in stopped.json()["detail"]
    assert asked_nothing.status == 201
    assert (await push(seen="nonsense")).status == 400


def _rep(desk: Office) -> str:
    return "rep:" + desk.public("hand-rep", desk.staff_ids["rep"])


async def _said(desk: Office, cid: str) -> list[str]:
    answer = await desk.ask("GET", f"/inbox/{cid}/bubbles", who="lead")
    return re.findall(r'class="bub out".*?class="txt">([^<]*)<', answer.text, re.S)
