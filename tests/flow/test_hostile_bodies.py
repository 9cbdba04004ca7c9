"""Ten thousand malformed callbacks over HTTP: nobody gets a 500, nothing acked is lost, memory stays flat."""

from __future__ import annotations

import asyncio
import gc
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil
import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from yarl import URL

from connectors.kit.platform import Platform, xml
from scrm.contract import Call
from scrm.db import utcnow
from tests.chaos.conftest import Tell, tell
from tests.flow.hostile import RAW, Shot, signed, spoiled
from tests.flow.stage import KF, OA, WECOM, Stage

__all__ = ["tell"]

SEED, SHOTS, WARM_UP, AT_ONCE = 20260302, 10_000, 3_000, 32
#: One genuine message to so many hostile ones.
GENUINE_EVERY = 25
GROWTH_MB = 30
SLOW_BODIES = 3
#: Shooting on would only bury the reason.
ENOUGH_FAILURES = 50


@dataclass
class Range:
    """Where the shooting happens, and what came of it."""

    stage: Stage
    statuses: Counter[int] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    #: (slug, source key) of everything hostile that was acked; texts of everything genuine.
    acked: set[tuple[str, str]] = field(default_factory=set)
    genuine: set[str] = field(default_factory=set)

    async def fire(self, shots: Iterator[Shot]) -> None:
        # A connection each: one that was closed over a bad request must not spoil the next.
        async with ClientSession(
            connector=TCPConnector(force_close=True), timeout=ClientTimeout(total=30), trust_env=False
        ) as http:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(self._shooter(http, shots))

    async def _shooter(self, http: ClientSession, waiting: Iterator[Shot]) -> None:
        for shot in waiting:
            if len(self.failed) > ENOUGH_FAILURES:
                return
            url = URL(f"{self.stage.api.url}/hooks/{shot.slug}{shot.path}", encoded=True)
            body = shot.body or None
            try:
                async with http.request(
                    shot.method, url.update_query(shot.query), data=body, headers=shot.headers
                ) as answer:
                    await answer.read()
                    self._note(shot, answer.status)
            except ClientError as error:
                # A connection closed in the face of a body nobody reads is an answer, too.
                self.failed.append(f"{shot.name}: {type(error).__name__}")

    def _note(self, shot: Shot, status: int) -> None:
        self.statuses[status] += 1
        if status >= 500:
            self.failed.append(f"{shot.name}: {status}")
        if status == 200 and shot.name == "genuine":
            self.genuine.add(_text(shot))
        elif status == 200 and shot.plain is not None:
            self.acked |= {(shot.slug, key) for key in self._keys(shot)}

    def _keys(self, shot: Shot) -> list[str]:
        """What the connector calls this: the same pure function, asked once more."""
        house = self.stage.service.house
        plugged, now = house.directory.by_slug(shot.slug), utcnow()
        call = Call(method="POST", tail="", query=shot.query, headers={}, body=shot.body, received_at=now)
        return [raw.source_key for raw in plugged.plug.receive(house.context(plugged, now), call).raws]


def _text(shot: Shot) -> str:
    return (shot.plain or b"").decode().partition("<Content><![CDATA[")[2].partition("]]>")[0]


def genuine(platform: Platform, number: int) -> Shot:
    """What a real customer says in the middle of it all."""
    fields = {
        "ToUserName": "us",
        "FromUserName": f"o-genuine-{number % 20}",
        "CreateTime": int(platform.world.time()),
        "MsgType": "text",
        "Content": f"真话 {number}",
        "MsgId": (1 << 62) + number,
    }
    letter = platform.seal(xml(fields).encode(), "xml", platform.receive_id, {})
    return Shot(name="genuine", slug=OA, query=letter.query, body=letter.body, plain=letter.plain)


def shots(stage: Stage, rng: random.Random, count: int, first: int) -> Iterator[Shot]:
    """Made one by one: a list of them would weigh more than anything we measure."""
    platforms = [stage.platform(slug) for slug in (OA, KF, WECOM)]
    for number in range(first, first + count):
        make = signed if rng.random() < 0.4 else spoiled
        yield make(rng.choice(platforms), rng)
        if number % GENUINE_EVERY == 0:
            yield genuine(stage.oa, number)


async def raw_status(stage: Stage, content: bytes) -> int:
    """What a bare socket gets; 0 = closed without a word."""
    url = URL(stage.api.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(content)
        writer.write_eof()
        async with asyncio.timeout(30):
            line = await reader.readline()
    except ConnectionError:
        return 0
    finally:
        writer.close()
    return int(line.split()[1]) if line.startswith(b"HTTP/") else 0


async def slow_status(stage: Stage) -> int:
    """A body that never ends: the server has its own patience."""
    url = URL(stage.api.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(b"POST /hooks/school-oa HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n<xml>")
        async with asyncio.timeout(60):
            line = await reader.readline()
    finally:
        writer.close()
    return int(line.split()[1])


def resident_mb() -> float:
    """Memory of our own; the database file, mapped for reading, belongs to the kernel's page cache."""
    gc.collect()
    held = psutil.Process().memory_info()
    return float(held.rss - held.shared) / 1024 / 1024


async def test_ten_thousand_malformed_callbacks_break_nothing_and_lose_nothing(
    stage: Stage, tell: Tell
) -> None:
    rng, field_ = random.Random(SEED), Range(stage)
    slow = [asyncio.create_task(slow_status(stage)) for _ in range(SLOW_BODIES)]
    await field_.fire(shots(stage, rng, WARM_UP, 0))
    await stage.quiet()
    before = resident_mb()

    await field_.fire(shots(stage, rng, SHOTS - WARM_UP, WARM_UP))
    raw = [await raw_status(stage, content) for content in RAW * 5]
    await stage.quiet()
    growth = resident_mb() - before
    slow_ends = await asyncio.gather(*slow)

    states = dict(await stage.rows("SELECT state, count(*) FROM inbox GROUP BY state"))
    tell(
        f"seed {SEED}: {SHOTS} hostile, statuses {dict(sorted(field_.statuses.items()))}, "
        f"{len(field_.acked)} acked rubbish, {len(field_.genuine)} genuine, rows {states}, "
        f"RSS without mapped files {before:.0f} MB {growth:+.1f}"
    )
    assert [f for f in field_.failed if not f.startswith(("too long", "gzip"))] == []
    assert max(field_.statuses) < 500
    assert [status for status in raw if status >= 500] == []
    assert slow_ends == [403] * SLOW_BODIES
    assert growth < GROWTH_MB
    await nothing_acked_is_lost(stage, field_)
    await the_unreadable_can_be_replayed(stage)


async def nothing_acked_is_lost(stage: Stage, field_: Range) -> None:
    """Genuine words are on the timeline once; rubbish is seen, and either understood or set aside."""
    told = Counter(e["text"] for e in await stage.api.all("events", account=OA))
    seen = await stage.rows("SELECT slug, source_key FROM seen JOIN account USING (tenant_id, account_id)")
    states = await stage.rows("SELECT DISTINCT state FROM inbox ORDER BY state")

    assert len(field_.genuine) == SHOTS // GENUINE_EVERY
    assert {text: told[text] for text in field_.genuine if told[text] != 1} == {}
    assert len(field_.acked) > SHOTS // 5
    assert field_.acked - set(seen) == set()
    assert states == [("done",), ("quarantined",)]


async def the_unreadable_can_be_replayed(stage: Stage) -> None:
    """Each set-aside row says why, and goes through the parser again when asked to."""
    stuck = await stage.api.all("inbox", state="quarantined")
    status, moved = await stage.api.post("inbox/replay", {"all": True}, "again")
    await stage.quiet()
    again = await stage.api.all("inbox", state="quarantined")

    assert len(stuck) > 100
    assert {(row["stage"], bool(row["error"])) for row in stuck} == {("translate", True)}
    assert (status, moved["rows"]) == (200, len(stuck))
    assert {row["source_key"] for row in again} == {row["source_key"] for row in stuck}


@pytest.mark.parametrize("slug", [OA, KF, WECOM])
async def test_a_body_in_another_encoding_of_the_wire_is_not_even_read(stage: Stage, slug: str) -> None:
    headers = {"Content-Encoding": "gzip"}
    url = f"{stage.api.url}/hooks/{slug}"

    async with stage.api.http.post(url, data=b"\x1f\x8b" + b"\x00" * 100, headers=headers) as answer:
        assert answer.status == 415
    assert await stage.rows("SELECT count(*) FROM seen") == [(0,)]
