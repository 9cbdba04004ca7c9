"""What a customer does in the app stands beside what they say in WeChat."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from connectors.kit.profiles import profile_raw
from scrm.accounts import service as accounts
from scrm.app import TENANT
from scrm.db import utcnow
from tests.web.office import Office, Page

OPENID, UNIONID, KEY = "oCountedCustomer000000000001", "oUcountedcustomer0000000001", "wk-0123456789abcdef"


@pytest.fixture
async def app(desk: Office) -> Office:
    """The office with an app, whose user is a customer of the Official Account by the same UnionID."""
    house, now = desk.service.house, utcnow()
    async with house.db.begin(TENANT) as conn:
        written = {"slug": "app", "channel": "segment", "name": "App", "write_key": KEY}
        await accounts.add(conn, written, now=now, team_id=None)
    async with house.db.read(TENANT) as conn:
        await house.directory.load(conn)
    await desk.hear("oa-a", OPENID, "春季班多少钱？")
    profile = profile_raw(OPENID, OPENID, {"openid": OPENID, "unionid": UNIONID, "nickname": "陈女士"}, now)
    await house.inbox.accept(house.directory.by_slug("oa-a").account, (profile,), received_at=now)
    await send(desk, "identify", {"userId": "u1", "traits": {"unionid": UNIONID}})
    return desk


async def send(desk: Office, kind: str, call: dict[str, object], *, days_ago: int = 0) -> None:
    at = (utcnow() - timedelta(days=days_ago)).isoformat()
    body = json.dumps({**call, "timestamp": at, "writeKey": KEY}).encode()
    answer = await desk.bare("POST", f"/hooks/app/v1/{kind}", data=body)
    assert (answer.status, answer.text) == (200, '{"success":true}')
    await desk.quiet()


async def panel(desk: Office) -> str:
    path = f"/s/c/{await desk.cid('oa-a')}"
    answer = await desk.ask("GET", path, who="lead")
    assert answer.status == 200
    return " ".join(Page(answer.text).text.split())


async def test_a_rep_sees_how_often_a_customer_did_what_this_week(app: Office) -> None:
    for n in range(3):
        await send(app, "page", {"userId": "u1", "name": "课程页", "messageId": f"p{n}"})
    await send(app, "track", {"userId": "u1", "event": "Video Played", "messageId": "v"})
    await send(app, "track", {"userId": "u1", "event": "Video Played", "messageId": "v"})  # sent again
    await send(app, "track", {"userId": "u1", "event": "Video Paused", "messageId": "old"}, days_ago=9)
    await send(app, "track", {"userId": "u2", "event": "Somebody Else", "messageId": "e"})

    shown = await panel(app)

    assert "近 7 天：浏览「课程页」 3 次 · Video Played 1 次" in shown
    assert "Video Paused" not in shown
    assert "Somebody Else" not in shown


async def test_a_purchase_is_a_line_of_the_timeline_and_no_count(app: Office) -> None:
    await send(app, "track", {"userId": "u1", "event": "Order Completed", "properties": {"total": 99}})

    assert "近 7 天" not in await panel(app)
    path = f"/s/c/{await app.cid('oa-a')}/timeline"
    line = await app.ask("GET", path, who="lead")
    assert "完成订单（金额：99）" in line.text
