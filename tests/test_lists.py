"""Call lists as files: any usual encoding and mark, bad lines told by number, twice is once."""

from __future__ import annotations

import asyncio
import csv
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from connectors import calls
from scrm import lists
from scrm.app import TENANT, running
from scrm.cli import tree
from scrm.errors import BadInput
from scrm.settings import Settings, load
from tests.connectors.support import account, context

HEAD = "通话编号,方向,主叫,被叫,开始时间,通话时长,状态,分机"
GOOD = "k1,呼入,13800138000,02087654321,2026-03-02 09:30:00,00:03:12,已接通,8001"
MISSED = "k2,呼入,13900139000,02087654321,2026/03/02 10:00:00,0,未接,"
OUT = ",呼出,8001,13900139000,2026-03-02 11:00:00,62,已接通,8001"


def written(folder: Path, *lines: str, encoding: str = "utf-8", head: str = HEAD) -> Path:
    path = folder / "calls.csv"
    path.write_bytes("\r\n".join([head, *lines]).encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_list_is_read_in_the_encodings_and_marks_people_export(
    tmp_path: Path, encoding: str, mark: str
) -> None:
    path = written(tmp_path, GOOD.replace(",", mark), encoding=encoding, head=HEAD.replace(",", mark))

    (line,) = lists.lines_of(path)

    assert line.number == 2
    assert line.row["主叫"] == "13800138000"
    assert line.row["状态"] == "已接通"


def test_a_file_without_headings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="列名"):
        list(lists.lines_of(written(tmp_path, head="只有一列")))


def test_empty_lines_are_passed_over_and_numbers_stay_right(tmp_path: Path) -> None:
    found = list(lists.lines_of(written(tmp_path, GOOD, ",,,,,,,", "", MISSED, GOOD + ",多出来的")))

    assert [one.number for one in found] == [2, 5, 6]
    assert found[-1].problem == "有 9 列，列名只有 8 个。"


@pytest.mark.parametrize(
    ("line", "kind", "text"),
    [
        (GOOD, "message.call", "呼入 · 3 分 12 秒 · 已接通"),
        (MISSED, "message.call.missed", "呼入 · 未接"),
        (OUT, "message.call", "呼出 · 1 分 2 秒 · 已接通"),
    ],
)
def test_a_line_becomes_a_call(tmp_path: Path, line: str, kind: str, text: str) -> None:
    ctx = context(account("calls"))
    (read,) = lists.lines_of(written(tmp_path, line))

    raw = calls.line(ctx, read.row)
    (made,) = calls.translate(ctx, raw)

    assert (made.kind, made.text) == (kind, text)
    assert calls.line(ctx, dict(read.row)).source_key == raw.source_key


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("k,呼入,8001,8002,2026-03-02 09:30:00,1,已接通,", "电话号码"),
        ("k,呼入,13800138000,02087654321,昨天,1,已接通,", "开始时间"),
        ("k,呼入,,,2026-03-02 09:30:00,1,已接通,", "电话号码"),
    ],
)
def test_a_line_without_a_number_or_a_time_says_so(tmp_path: Path, line: str, problem: str) -> None:
    (read,) = lists.lines_of(written(tmp_path, line))

    with pytest.raises(BadInput, match=problem):
        calls.line(context(account("calls")), read.row)


def configured(folder: Path, url: str) -> Settings:
    accounts = ({"slug": "hotline", "channel": "calls", "name": "热线", "secret": "s" * 32},)
    return load(env={}, data_dir=str(folder), database_url=url, accounts=accounts)


async def run(settings: Settings, *args: str) -> int:
    parsed = tree().parse_args(["import", "calls", *args, "--account", "hotline"])
    code: int = await parsed.command(parsed, settings)
    return code


async def calls_on(settings: Settings) -> list[tuple[str, str]]:
    """What stands on the timeline once the service has worked on it."""
    async with running(settings) as service:
        async with asyncio.timeout(30):
            while not (found := await _settled(service.house.db)):  # noqa: ASYNC110 - rows have no event
                await asyncio.sleep(0.02)
    return found


async def _settled(db: Any) -> list[tuple[str, str]]:
    async with db.read(TENANT) as conn:
        if await conn.scalar(text("SELECT count(*) FROM inbox WHERE state IN ('new', 'settled')")):
            return []
        stmt = "SELECT kind, text FROM event WHERE superseded_by IS NULL ORDER BY at"
        return [tuple(row) for row in await conn.rows(text(stmt))]


async def test_the_command_takes_a_list_in_once_and_writes_down_what_it_could_not_read(
    tmp_path: Path, service_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = configured(tmp_path, service_url)
    path = written(tmp_path, GOOD, "k9,呼入,8001,,,,,", MISSED, encoding="gb18030")

    looked = await run(settings, str(path), "--check")
    first, second = await run(settings, str(path)), await run(settings, str(path))

    said = capsys.readouterr()
    assert (looked, first, second) == (1, 1, 1)
    assert "检查了 3 行，1 行有问题" in said.out
    assert "读了 3 行：新增 2，已有 0，有问题 1。" in said.out
    assert "读了 3 行：新增 0，已有 2，有问题 1。" in said.out
    assert "第 3 行：没有可用的电话号码" in said.err
    rejects = path.with_suffix(".rejects.csv").read_text("utf-8-sig")
    assert [row[0] for row in csv.reader(rejects.splitlines())] == ["行号", "3"]
    assert await calls_on(settings) == [
        ("message.call", "呼入 · 3 分 12 秒 · 已接通"),
        ("message.call.missed", "呼入 · 未接"),
    ]
