"""Visitors of a website: let in from its pages only, heard once, answered, shown nothing of anybody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from scrm import outbox
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.live import VISITOR_TYPES, WE_TYPE
from tests.web.office import Office, Page
from tests.web.visiting import SITE, Visitor, events_of, lines, open_site, shop

NASTY = '<img src=x onerror=alert(1)><script>alert("x")</script>&quot;\u202e'


@pytest.fixture
async def desk(tmp_path: Path, service_url: str) -> AsyncIterator[Office]:
    async with shop(tmp_path, service_url) as made:
        yield made


# -- the door ----------------------------------------------------------------------------------------------
async def test_pages_of_the_site_may_read_the_answer_and_no_cookie_is_set(desk: Office) -> None:
    answer = await Visitor(desk).ask("POST", "session", json={})

    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Vary"] == "Origin"


async def test_pages_of_other_sites_are_refused_and_cannot_read_why(desk: Office) -> None:
    for origin in (
        "https://evil.example",
        "null",
        "https://shop.example.evil.example",
        "http://shop.example",
        "https://shop.example:8443",
        "",
    ):
        for path, body in (("session", {}), ("messages", {"text": "x"}), ("identify", {"identity": "x"})):
            answer = await Visitor(desk, origin=origin).ask("POST", path, json=body)

            assert answer.status == 403, (origin, path)
            assert "Access-Control-Allow-Origin" not in answer.headers


async def test_the_question_before_the_request_is_answered_for_the_site_alone(desk: Office) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}

    ours = await desk.bare("OPTIONS", "/chat/shop/messages", headers={"Origin": SITE, **asks})
    theirs = await desk.bare(
        "OPTIONS", "/chat/shop/messages", headers={"Origin": "https://evil.example", **asks}
    )

    assert ours.headers["Access-Control-Allow-Origin"] == SITE
    assert "authorization" in ours.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Origin" not in theirs.headers
    assert "Access-Control-Allow-Headers" not in theirs.headers


async def test_accounts_of_other_channels_have_no_visitors(desk: Office) -> None:
    for slug in ("oa-a", "nothing"):
        assert (await Visitor(desk, slug=slug).ask("POST", "session", json={})).status == 404
        assert (await desk.bare("GET", f"/chat/{slug}/widget.js")).status == 404


@pytest.mark.parametrize("path", ["history", "stream", "files/AAAAAAAAAAAAAAAAAAAAAA"])
async def test_reading_needs_a_token_of_this_account(desk: Office, path: str) -> None:
    await open_site(desk, "outlet")
    stranger = await Visitor(desk, slug="outlet").come()
    good = (await Visitor(desk).come()).token
    text, _, tag = good.partition(".")

    for token in ("", "x", ".", f"{text}.", f".{tag}", f"{text[:-4]}AAAA.{tag}", stranger.token, f"{text}.é"):
        answer = await desk.bare("GET", f"/chat/shop/{path}", headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 401, token

    assert (await desk.bare("GET", f"/chat/shop/{path}", headers={"Cookie": f"scrm={good}"})).status == 401


async def test_a_forged_token_becomes_a_new_visitor_and_a_good_one_stays(desk: Office) -> None:
    first = await Visitor(desk).come()
    await first.says("我先来的")
    await desk.quiet()

    forged = Visitor(desk, token=first.token[:-1] + ("A" if first.token[-1] != "A" else "B"))
    await forged.come()
    same = await Visitor(desk, token=first.token).come()

    assert await forged.reads() == []
    assert [i["text"] for i in await same.reads()] == ["我先来的"]


async def test_a_token_ends_after_half_a_year(desk: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = await Visitor(desk).come()
    assert (await visitor.ask("GET", "history")).status == 200

    monkeypatch.setattr("scrm.web.visitor.door.utcnow", lambda: utcnow() + timedelta(days=181))

    assert (await visitor.ask("GET", "history")).status == 401


# -- saying ------------------------------------------------------------------------------------------------
async def test_what_a_visitor_says_reaches_the_team_and_the_answer_comes_back(desk: Office) -> None:
    visitor = await Visitor(desk).come()

    answer = await visitor.says("你们几点上课？", key="key-000001")
    await desk.quiet()
    cid = await desk.cid("shop")
    page = Page((await desk.ask("GET", f"/inbox/{cid}", who="rep")).text)
    assert (await desk.push("rep", cid, "周六上午十点")).status == 201
    (heard,) = await visitor.hears(1)

    assert (answer.status, answer.json()) == (201, {"key": "key-000001"})
    assert "你们几点上课？" in page.text
    assert "网站访客" in page.text
    assert (heard["text"], heard["who"], heard["mine"]) == ("周六上午十点", "员工rep", False)
    (mine,) = [i for i in await visitor.reads() if i["mine"]]
    assert (mine["key"], mine["text"]) == ("key-000001", "你们几点上课？")


async def test_the_same_key_twice_is_one_message_also_at_the_same_moment(desk: Office) -> None:
    visitor = await Visitor(desk).come()

    first = await visitor.says("在吗", key="same-key-1")
    again = await visitor.says("在吗", key="same-key-1")
    rush = await asyncio.gather(*(visitor.says("两次？", key="same-key-2") for _ in range(6)))

    assert (first.status, again.status) == (201, 201)
    assert {r.status for r in rush} == {201}
    assert [e["text"] for e in await events_of(desk)] == ["在吗", "两次？"]


async def test_two_visitors_with_the_same_key_are_two_messages(desk: Office) -> None:
    one, two = await Visitor(desk).come(), await Visitor(desk).come()

    await one.says("甲", key="same-key-1")
    await two.says("乙", key="same-key-1")

    assert [e["text"] for e in await events_of(desk)] == ["甲", "乙"]
    assert [i["text"] for i in await one.reads()] == ["甲"]


async def test_what_is_no_message_is_refused_in_a_sentence(desk: Office) -> None:
    good = {"text": "x"}
    cases: list[tuple[object, str]] = [
        ({"text": ""}, "key-000001"),
        ({"text": "  \n"}, "key-000001"),
        ({"text": 7}, "key-000001"),
        ({}, "key-000001"),
        ({"text": "x" * 4001}, "key-000001"),
        ({"text": "a\x00b"}, "key-000001"),
        (good, ""),
        (good, "short"),
        (good, "no spaces here"),
    ]
    visitor = await Visitor(desk).come()

    for body, key in cases:
        answer = await visitor.ask("POST", "messages", json=body, headers={"Idempotency-Key": key})
        assert (answer.status, bool(answer.json()["detail"])) == (400, True), (body, key)

    assert await events_of(desk) == []


async def test_bodies_that_are_too_large_or_no_json_are_refused(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    key = {"Idempotency-Key": "key-000001"}

    large = await visitor.ask("POST", "messages", data=b"x" * 20_000, headers=key)
    broken = [
        await visitor.ask("POST", "messages", data=raw, headers=key)
        for raw in (b"{", b"[]", b"\xff\xfe", b'"text"', b"[" * 9000)
    ]
    packed = await visitor.ask("POST", "messages", data=b"{}", headers=key | {"Content-Encoding": "gzip"})

    assert large.status == 413
    assert {r.status for r in broken} == {400}
    assert packed.status == 415


async def test_a_visitor_who_floods_is_slowed_and_the_others_are_not(desk: Office) -> None:
    loud, quiet = await Visitor(desk).come(), await Visitor(desk).come()

    answers = [await loud.says(f"第{n}句") for n in range(30)]

    refused = [a for a in answers if a.status == 429]
    assert refused
    assert refused[0].headers["Retry-After"]
    assert (await quiet.says("我只说一句")).status == 201


async def test_refusals_speak_the_readers_language(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    key = {"Idempotency-Key": "key-000001"}

    chinese = await visitor.ask("POST", "messages", json={}, headers=key | {"Accept-Language": "zh-CN"})
    english = await visitor.ask("POST", "messages", json={}, headers=key | {"Accept-Language": "en-GB"})

    assert chinese.json()["detail"] == "请先输入要发送的内容。"
    assert english.json()["detail"].isascii()


async def test_markup_in_a_message_is_only_text_to_the_rep(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    await visitor.says(NASTY)
    await desk.quiet()

    html = (await desk.ask("GET", f"/inbox/{await desk.cid('shop')}", who="rep")).text
    page = Page(html)

    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert NASTY in page.text


# -- reading -----------------------------------------------------------------------------------------------
async def test_history_is_paged_without_gap_or_double(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    for n in range(7):
        assert (await visitor.says(f"第{n}句")).status == 201
    await desk.quiet()

    seen: list[str] = []
    before = ""
    for _ in range(9):
        answer = (await visitor.ask("GET", "history", params={"limit": "3", "before": before})).json()
        seen = [i["text"] for i in answer["items"]] + seen
        before = answer["before"]
        if not before:
            break

    assert seen == [f"第{n}句" for n in range(7)]
    assert (await visitor.ask("GET", "history", params={"before": "nonsense"})).status == 404
    assert len((await visitor.ask("GET", "history", params={"limit": "999"})).json()["items"]) == 7


async def test_what_has_not_arrived_is_not_shown(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    await visitor.says("在吗")
    await desk.quiet()
    assert (await desk.push("rep", await desk.cid("shop"), "这句没到", key="push-key-1")).status == 201
    await visitor.hears(1)

    async with desk.service.house.db.begin(TENANT) as conn:
        sent = (await outbox.page(conn, state="sent", before=None, limit=1))[0]
        await outbox.finish(conn, sent.outbox_id, "dead", now=utcnow())

    assert [i for i in await visitor.reads() if not i["mine"]] == []


async def test_both_ends_see_what_the_other_has_read(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    await visitor.says("几点？")
    await desk.quiet()
    cid = await desk.cid("shop")
    before = (await visitor.ask("GET", "history")).json()["read_at"]

    await desk.ask("GET", f"/inbox/{cid}", who="rep")
    after = (await visitor.ask("GET", "history")).json()
    await desk.push("rep", cid, "十点")
    await visitor.hears(1)
    unread = (await desk.ask("GET", f"/inbox/{cid}/bubbles", who="rep")).text
    assert (await visitor.ask("POST", "read")).status == 204
    read = (await desk.ask("GET", f"/inbox/{cid}/bubbles", who="rep")).text

    assert before is None
    assert after["read_at"] > after["items"][0]["at"]
    assert "对方已读" not in unread
    assert "对方已读" in read


async def test_a_bubble_that_arrives_on_an_open_page_is_read(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    await visitor.says("第一句")
    await desk.quiet()
    cid = await desk.cid("shop")
    await desk.ask("GET", f"/inbox/{cid}", who="rep")
    await visitor.says("第二句")
    await desk.quiet()
    waits = (await visitor.ask("GET", "history")).json()

    await desk.ask("GET", f"/inbox/{cid}/bubbles", who="rep")
    read = (await visitor.ask("GET", "history")).json()

    assert waits["read_at"] < waits["items"][-1]["at"] < read["read_at"]


# -- live --------------------------------------------------------------------------------------------------
async def test_the_stream_says_that_something_changed_and_never_what(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    headers = {"Origin": SITE, "Authorization": f"Bearer {visitor.token}"}
    async with asyncio.timeout(30), desk.http.get(f"{desk.url}/chat/shop/stream", headers=headers) as stream:
        assert stream.headers["Access-Control-Allow-Origin"] == SITE
        await lines(stream, "fresh")
        await visitor.says("在吗")
        # Only now there is something to follow.
        await lines(stream, "fresh")
        await desk.quiet()
        cid = await desk.cid("shop")
        await desk.push("rep", cid, "在的")
        await lines(stream, "change")
        answer = await desk.ask("POST", f"/inbox/{cid}/typing", who="rep")
        await lines(stream, "typing")

    assert answer.status == 204


async def test_a_rep_sees_a_visitor_type_and_another_team_may_not(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    await visitor.says("在吗")
    await desk.quiet()
    cid = await desk.cid("shop")
    topic = f"typing:{await desk.node_of(cid)}"
    live = desk.service.house.live
    with live.subscribe(TENANT, [topic]) as heard:
        assert (await visitor.ask("POST", "typing")).status == 204
        assert (await desk.ask("POST", f"/inbox/{cid}/typing", who="other")).status == 404
        assert (await desk.ask("POST", f"/inbox/{cid}/typing", who="rep")).status == 204
        changes = await heard.take(1)

    assert sorted(c.ident for c in changes) == [VISITOR_TYPES, WE_TYPE]


async def test_one_visitor_holds_only_a_few_streams(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    headers = {"Origin": SITE, "Authorization": f"Bearer {visitor.token}"}
    url = f"{desk.url}/chat/shop/stream"
    open_streams = [await desk.http.get(url, headers=headers) for _ in range(4)]
    try:
        fifth = await visitor.ask("GET", "stream")
    finally:
        for stream in open_streams:
            stream.close()

    assert [s.status for s in open_streams] == [200] * 4
    assert fifth.status == 429
