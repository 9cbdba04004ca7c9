"""What an admin hands in by page: a list of calls, and days that are holidays or worked."""

from __future__ import annotations

import io
from datetime import timedelta

import aiohttp
import pytest
import sqlalchemy as sa

from scrm import schema
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.desk.calendar import rules, service
from tests.web.office import Office, Page, Reply
from tests.web.test_admin import actions, see
from tests.web.test_ringing import plug

#: The stores below are tested on both.
ENGINES = ["sqlite"]
HEADINGS = "主叫,被叫,开始时间,通话时长\n"
GOOD = "13800138001,02087654321,2026-03-02 09:30:00,65\n13800138002,02087654321,2026-03-02 10:30:00,0\n"
BAD = "匿名,未知,2026-03-02 11:30:00,3\n"


async def hand_in(desk: Office, what: str, content: bytes, slug: str = "hotline") -> Reply:
    form = aiohttp.FormData()
    form.add_field("what", what)
    form.add_field("file", io.BytesIO(content), filename="通话.csv", content_type="text/csv")
    return await desk.ask("POST", f"/admin/connectors/{slug}/import", who="admin", data=form)


async def rows(desk: Office) -> int:
    async with desk.service.house.db.read(TENANT) as conn:
        return int(await conn.scalar(sa.select(sa.func.count()).select_from(schema.event)) or 0)


# -- lists -------------------------------------------------------------------------------------------------
async def test_a_list_is_looked_at_first_and_nothing_of_it_is_kept(desk: Office) -> None:
    await plug(desk)

    answer = await hand_in(desk, "check", (HEADINGS + GOOD + BAD).encode())
    await desk.quiet()

    page = Page(answer.text)
    assert answer.status == 200
    assert "读了 3 行：可以导入 2，有问题 1。" in page.text
    assert "没有可用的电话号码" in page.text
    assert "138001380" not in page.text
    assert await rows(desk) == 0
    assert "list.imported" not in await actions(desk)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
async def test_a_list_goes_in_once_however_often_it_is_handed_in(desk: Office, encoding: str) -> None:
    await plug(desk)
    content = (HEADINGS + GOOD + BAD).encode(encoding)

    first = Page((await hand_in(desk, "import", content)).text)
    again = Page((await hand_in(desk, "import", content)).text)
    await desk.quiet()

    assert "读了 3 行：新增 2，以前导入过 0，有问题 1。" in first.text
    assert "读了 3 行：新增 0，以前导入过 2，有问题 1。" in again.text
    assert await rows(desk) == 2
    assert "list.imported" in await actions(desk)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "第一行应是列名"),
        (b"\x00\x01\x02", "第一行应是列名"),
        (HEADINGS.encode() + b"x" * (2 * 1024 * 1024), "文件超过 2 MB"),
    ],
)
async def test_what_is_no_list_is_refused_in_a_sentence(desk: Office, content: bytes, why: str) -> None:
    await plug(desk)

    answer = await hand_in(desk, "import", content)

    assert answer.status == 400
    assert why in answer.text


async def test_without_a_file_or_on_another_channel_the_page_says_so(desk: Office) -> None:
    await plug(desk)

    nothing = await desk.ask("POST", "/admin/connectors/hotline/import", who="admin", data={"what": "check"})
    other = await hand_in(desk, "import", (HEADINGS + GOOD).encode(), slug="oa-a")

    assert (nothing.status, other.status) == (400, 400)
    assert "请选择一个文件。" in nothing.text
    assert "这个账号的渠道不能导入列表。" in other.text
    links = (await see(desk, "/admin/connectors/hotline")).values("a", "href")
    assert "/admin/connectors/hotline/import" in links
    assert "/admin/connectors/oa-a/import" not in (await see(desk, "/admin/connectors/oa-a")).values(
        "a", "href"
    )


# -- the calendar ------------------------------------------------------------------------------------------
async def days(desk: Office, **form: str) -> Reply:
    return await desk.ask("POST", "/admin/calendar", who="admin", data=form)


async def test_days_are_added_and_taken_away_again(desk: Office) -> None:
    first = rules.day_of(utcnow()).replace(month=12, day=8)
    last = first + timedelta(days=2)
    when = {"first": first.isoformat(), "last": last.isoformat()}

    assert (await days(desk, **when, kind="holiday", name="校庆")).status == 303
    page = await see(desk, "/admin/calendar")

    assert "校庆" in page.text
    assert f"{first.isoformat()} 至 {last:%m-%d}" in page.text
    async with desk.service.house.db.read(TENANT) as conn:
        listed = await service.listed(conn, first, last)
    assert [(d.day.day, d.day.kind, d.ours) for d in listed] == [
        (first + timedelta(days=n), "holiday", True) for n in range(3)
    ]
    assert "calendar.changed" in await actions(desk)

    assert (await days(desk, **when, kind="usual")).status == 303
    assert "校庆" not in (await see(desk, "/admin/calendar")).text


@pytest.mark.parametrize(
    "form",
    [
        {"first": "yesterday", "kind": "holiday"},
        {"first": "2026-12-08", "last": "2026-12-01", "kind": "holiday"},
        {"first": "2026-01-01", "last": "2026-12-31", "kind": "holiday"},
        {"first": "9999-12-31", "kind": "holiday"},
        {"first": "2026-12-08", "kind": "party"},
        {"first": "2026-12-08", "kind": "holiday", "name": "长" * 41},
        {},
    ],
)
async def test_days_that_cannot_be_are_refused_and_change_nothing(desk: Office, form: dict[str, str]) -> None:
    answer = await days(desk, **form)

    assert answer.status == 400
    assert 'role="alert"' in answer.text
    async with desk.service.house.db.read(TENANT) as conn:
        assert not await conn.rows(sa.select(schema.calendar_day.c.day))
