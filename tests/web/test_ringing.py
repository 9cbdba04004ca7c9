"""The telephone in the inbox: who is called sees who calls; nobody else's telephone, no full number."""

from __future__ import annotations

import json
from time import time

from connectors.kit.signed import signature
from scrm.accounts import service as accounts
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.staff import store as staff_store
from tests.web.office import CORP_ID, Office, Page, Reply

SECRET = "a-secret-of-thirty-two-letters-ab"
NUMBER, SHOWN = "13800138000", "138****8000"


async def plug(desk: Office, *, team: str = "A", **more: str) -> None:
    """A telephone account; extension 8001 is on the rep's desk."""
    written = {"slug": "hotline", "channel": "calls", "name": "热线", "secret": SECRET, "corp_id": CORP_ID}
    written |= {"agents": "8001=RepUser", **more}
    house = desk.service.house
    async with house.db.begin(TENANT) as conn:
        team_id = await staff_store.team_id(conn, team) if team else None
        await accounts.add(conn, written, now=utcnow(), team_id=team_id)
    async with house.db.read(TENANT) as conn:
        await house.directory.load(conn)


async def report(desk: Office, event: str, **more: object) -> Reply:
    body = json.dumps(
        {"call_id": "c1", "event": event, "direction": "in", "caller": NUMBER, "callee": "02087654321"}
        | {"started_at": int(time())}
        | more
    ).encode()
    stamp = str(int(time()))
    headers = {"X-Scrm-Timestamp": stamp, "X-Scrm-Signature": signature(SECRET, stamp, body)}
    answer = await desk.bare("POST", "/hooks/hotline", data=body, headers=headers)
    await desk.quiet()
    return answer


async def shown(desk: Office, who: str) -> Page:
    answer = await desk.ask("GET", "/inbox/ringing", who=who)
    assert answer.status == 200
    return Page(answer.text)


async def test_who_is_called_sees_who_calls_and_opens_them(desk: Office) -> None:
    await plug(desk)
    answer = await report(desk, "ringing", agent="8001")

    page, peers = await shown(desk, "rep"), await shown(desk, "peer")

    assert (answer.status, answer.json()) == (200, {"ok": True})
    assert "来电：新客户" in page.text
    assert SHOWN in page.text
    assert NUMBER not in page.text
    (href,) = page.values("div", "data-open")
    assert page.values("a", "href") == [href]
    assert (await desk.ask("GET", href, who="rep")).status == 200
    assert "来电" not in peers.text


async def test_the_inbox_shows_it_without_scripts(desk: Office) -> None:
    await plug(desk)
    await report(desk, "ringing", agent="8001")

    page = Page((await desk.ask("GET", "/inbox", who="rep")).text)

    assert "来电：新客户" in page.text


async def test_the_banner_goes_when_the_call_goes_on_or_ends(desk: Office) -> None:
    await plug(desk)
    for then in ("answered", "ended", "missed"):
        await report(desk, "ringing", agent="8001", call_id=then)
        assert "来电" in (await shown(desk, "rep")).text

        await report(desk, then, agent="8001", call_id=then)

        assert "来电" not in (await shown(desk, "rep")).text


async def test_a_call_to_nobody_in_particular_rings_in_the_team_and_opens_nothing_by_itself(
    desk: Office,
) -> None:
    await plug(desk)
    await report(desk, "ringing")

    page = await shown(desk, "peer")

    assert "来电：新客户" in page.text
    assert page.values("a", "href") != []
    assert page.values("div", "data-open") == []
    assert "来电" not in (await shown(desk, "other")).text


async def test_a_known_caller_is_called_by_name_and_is_nobody_new(desk: Office) -> None:
    await plug(desk)
    await report(desk, "ended", call_id="c0", agent="8001", talk_s=60, started_at=int(time()) - 3600)
    await report(desk, "ringing", agent="8001")

    page = await shown(desk, "rep")

    assert "新客户" not in page.text
    assert "新建并打开" not in page.text
    assert SHOWN in page.text


async def test_somebody_else_s_customer_is_not_opened_but_said_whose_it_is(desk: Office) -> None:
    await plug(desk)
    async with desk.service.house.db.begin(TENANT) as conn:
        await staff_store.bind(conn, CORP_ID, "OtherUser", desk.staff_ids["other"])
    await report(desk, "ended", call_id="c0", agent="OtherUser", talk_s=60, started_at=int(time()) - 3600)

    await report(desk, "ringing", agent="8001")
    page = await shown(desk, "rep")

    assert "这位客户归 员工other 跟进" in page.text
    assert page.values("a", "href") == []


async def test_a_withheld_number_still_rings(desk: Office) -> None:
    await plug(desk)
    await report(desk, "ringing", agent="8001", caller="anonymous")

    assert "来电：号码未显示" in (await shown(desk, "rep")).text


async def test_the_stream_says_that_it_rings_to_who_is_called_and_to_nobody_of_another_team(
    desk: Office,
) -> None:
    await plug(desk)
    heard = {}
    for who in ("rep", "other"):
        topic = "rep:" + desk.public("topic-rep", desk.staff_ids[who])
        headers = {"Cookie": f"scrm={desk.sessions[who]}"}
        heard[who] = await desk.http.get(f"{desk.url}/live?topics={topic}", headers=headers)
        await heard[who].content.readuntil(b"\n\n")

    await report(desk, "ringing", agent="8001")
    said = await heard["rep"].content.readuntil(b"\n\n")
    other = heard["other"].content.read_nowait()

    assert said == b"event: ring\ndata: {}\n\n"
    assert b"ring" not in other
    for stream in heard.values():
        stream.close()


async def test_one_call_is_one_row_of_the_timeline_and_in_the_api(desk: Office) -> None:
    await plug(desk)
    began = int(time()) - 200
    for event, more in {
        "ringing": {},
        "answered": {"answered_at": began + 8},
        "recording_ready": {
            "recording_url": "https://127.0.0.1/x.mp3",
            "caller": "",
            "callee": "",
            "direction": "",
        },
        "ended": {"answered_at": began + 8, "ended_at": began + 200},
    }.items():
        await report(desk, event, agent="8001", started_at=began, **more)

    items = (await desk.api("GET", "/events?account=hotline", token="machine-admin")).json()["items"]

    assert [(i["kind"], i["text"]) for i in items] == [("message.call", "呼入 · 3 分 12 秒 · 已接通")]
    assert items[0]["body"]["call"]["recorded"] is True
    assert "_parts" not in items[0]["body"]
