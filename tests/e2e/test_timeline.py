"""The timeline in full in a browser: what comes with messages, filters, search; accessible in every look."""

from __future__ import annotations

import struct
import zlib
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, expect

from scrm.app import TENANT
from scrm.contract import Envelope, Handle, Link, Media, Piece
from scrm.db import utcnow
from scrm.identity import store as identity
from scrm.timeline.store import conversations, media, pieces, search
from scrm.timeline.store.pieces import Expected
from tests.e2e.floor import Floor
from tests.e2e.test_looks import NARROW, RULES, SHOTS, WIDE
from tests.ground import entry, settle

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAV = (
    struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 8036, b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8, b"data", 8000
    )
    + bytes([128]) * 8000
)


def png() -> bytes:
    """120 by 80, blue."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compress((b"\x00" + b"\x15\x57\xc8" * 120) * 80)
    head = struct.pack(">IIBBBBB", 120, 80, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


async def lived(house: Floor, cid: str) -> None:
    """A family's history of one of everything, hung on the customer of this conversation."""
    db = house.stage.service.house.db
    async with db.begin(TENANT) as conn:
        talk = await conversations.of_id(conn, db.vault.private("conversation", cid))
        assert talk is not None
        me = (await identity.handles(conn, [talk.node_id]))[talk.node_id]
        dad = Handle(kind="app_user", scope="school", value="dad", name="陈爸爸")
        kin = Link(a=me, b=dad, rule="order_payer", strength=80, kind="same_household")
        now, made = utcnow() - timedelta(minutes=30), []

        def says(kind: str, text: str, who: Handle = me, **more: Any) -> None:
            n = len(made)
            usual: dict[str, Any] = {"direction": "in", "at": now + timedelta(minutes=n), "handles": (who,)}
            made.append(
                entry(Envelope(kind=kind, text=text, **usual | more), f"e2e-{n}", account_id=talk.account_id)
            )

        says("message.image", "[图片]", pieces=(Piece(ref="a", kind="image", name="作业.png"),))
        says("message.voice", "[语音]", pieces=(Piece(ref="b", kind="voice", name="语音.wav", seconds=72),))
        says(
            "message.file",
            "报名表.pdf",
            pieces=(Piece(ref="c", kind="file", name="报名表.pdf", size=123456),),
        )
        link = {"title": "春季班开课安排", "desc": "周六、周日各两个班", "url": "https://example.com/spring"}
        says("message.link", "[链接] 春季班开课安排", body={"link": link})
        says(
            "message.location",
            "[位置]",
            body={
                "location": {
                    "name": "中关村校区",
                    "address": "海淀区海淀大街 1 号",
                    "latitude": 39.98,
                    "longitude": 116.31,
                }
            },
        )
        records = [
            {"type": "text", "text": "周末有空吗", "name": "班主任"},
            {"type": "text", "text": "有空的"},
        ]
        says(
            "message.chatrecord",
            "[聊天记录]",
            body={"chatrecord": {"title": "群聊的聊天记录"}, "records": records},
        )
        call = {"from": "13800138000", "to": "4008001", "talk_s": 192, "agent_name": "周浩"}
        says("message.call", "呼入 · 3 分 12 秒 · 已接通", body={"call": call})
        order = {"id": "A1024", "items": [{"name": "年课", "quantity": 1, "amount": 598000}], "total": 578000}
        says(
            "event.order.paid",
            "已付款：年课 · ¥5,780",
            dad,
            links=(kin,),
            direction="none",
            body={"order": order},
        )
        says("message.text", "周日三点")
        says("event.edited", "周六三点", edits="e2e-8", direction="none")
        says("message.text", "说错了")
        says("event.recalled", "客户撤回了一条消息", recalls="e2e-10", direction="none")
        await settle(conn, *made, now=utcnow())
        for number, content in ((0, png()), (1, WAV), (2, None)):
            e, piece = made[number], made[number].envelope.pieces[0]
            node = talk.node_id
            await pieces.expect(
                conn, [Expected(event_id=e.event_id, n=0, account_id=e.account_id, node_id=node, piece=piece)]
            )
            file = await media.get(conn, e.event_id, 0)
            assert file is not None
            if content is None:
                await media.put_aside(conn, file, "gone", "文件已经过期。")
            else:
                mime = "image/png" if number == 0 else "audio/wav"
                await media.keep(conn, file, Media(name=piece.name, mime=mime, content=content), now=utcnow())
        await search.index(conn, [e.event_id for e in made])


async def seen(page: Page, name: str) -> None:
    """Nothing axe objects to, nothing wider than the screen; a picture of it where one is wanted."""
    broken = await Axe().run(page, options=RULES)
    assert broken.violations_count == 0, broken.generate_report()
    wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide, f"{name} scrolls sideways"
    if SHOTS:
        await page.screenshot(path=Path(SHOTS, f"{name}.png"), full_page=True)


async def test_everything_a_message_brings_is_shown_in_every_look_and_can_be_found(house: Floor) -> None:
    person = house.customer()
    first = await (await house.desk()).new_page()
    cid = await house.opened(first, person, "可以先试听一节吗？")
    await lived(house, cid)
    for scheme, (width, height) in product(("light", "dark"), (NARROW, WIDE)):
        look: dict[str, Any] = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
        page = await (await house.desk(**look)).new_page()
        await page.goto(f"/s/c/{cid}?tab=timeline")
        await expect(page.locator("#tl audio")).to_have_count(1)
        await page.locator("#tl details:has-text('群聊的聊天记录') > summary").click()
        await expect(page.get_by_text("班主任")).to_be_visible()
        await seen(page, f"timeline-{scheme}-{width}")
        await page.goto("/search?q=春季班")
        await expect(page.locator("mark.hit").first).to_be_visible()
        await seen(page, f"search-{scheme}-{width}")
        await page.goto(f"/inbox/{cid}")
        await expect(page.locator("#bubs audio")).to_have_count(1)
        await seen(page, f"conversation-{scheme}-{width}")


async def test_a_recording_plays_and_can_be_wound_forward(house: Floor) -> None:
    person = house.customer()
    page = await (await house.desk()).new_page()
    cid = await house.opened(page, person, "你好，请听一下")
    await lived(house, cid)
    await page.goto(f"/s/c/{cid}?tab=timeline")

    wound = await page.locator("#tl audio").evaluate(
        "async a => { a.load(); await new Promise(r => a.onloadedmetadata = r); a.currentTime = 0.5;"
        " await new Promise(r => a.onseeked = r); return [a.duration, a.currentTime] }"
    )

    assert wound == [1, 0.5]


async def test_filters_and_search_work_in_place_and_keep_the_tab(house: Floor) -> None:
    person = house.customer()
    page = await (await house.desk()).new_page()
    cid = await house.opened(page, person, "你好，想问一下")
    await lived(house, cid)
    await page.goto(f"/s/c/{cid}?tab=timeline")

    await page.locator("#flt-k-order").click()
    await expect(page.locator("#tl > li.ev")).to_have_count(1)
    await expect(page.locator("#tl")).to_contain_text("A1024")
    await page.locator("#flt-k-").click()
    await expect(page.locator("#tl audio")).to_have_count(1)
    await page.locator("#tl-q").fill("春季班")
    await page.locator("#tl-q").press("Enter")
    await expect(page.locator("#hits mark.hit")).to_have_count(1)
    await page.get_by_role("link", name="回到时间线").click()

    await expect(page.locator("#tl audio")).to_have_count(1)


async def test_without_scripts_the_same_can_be_found(house: Floor) -> None:
    person = house.customer()
    first = await (await house.desk()).new_page()
    cid = await house.opened(first, person, "没有脚本也要能找")
    page = await (await house.desk(java_script_enabled=False)).new_page()
    await page.goto("/inbox")

    await page.locator("#all-q").fill("没有脚本")
    await page.locator("#all-q").press("Enter")

    await expect(page.locator("#hits a").first).to_have_attribute("href", f"/inbox/{cid}")
