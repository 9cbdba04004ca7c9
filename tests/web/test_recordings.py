"""From the report of a recording to the words said in it: fetched, played in pieces, written down, found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestServer

from connectors.calls.simulator import tone
from scrm.app import TENANT
from tests.web.office import Office, office, until
from tests.web.test_ringing import plug, report

UNHEARD = "没有配置语音转写"
WORDS = "我想把周六的数学课改到周日"


@dataclass
class Machines:
    """The host of recordings and the speech recognition, both on this machine."""

    base: str = ""
    key: str = ""
    asked: list[str] = field(default_factory=list)
    #: What was sent to be recognised: authorization, file name, type, bytes.
    heard: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    #: One answer a time, then the good one for ever.
    answers: list[web.Response] = field(default_factory=list)

    async def recording(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.path} {request.headers.get('Authorization', '')}".strip())
        return web.Response(body=tone(1), content_type="audio/wav")

    async def asr(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        auth = request.headers.get("Authorization", "")
        self.heard.append((auth, file.filename, file.content_type, file.file.read()))
        if self.answers:
            return self.answers.pop(0)
        segments = [{"start": 0.4, "end": 3.0, "speaker": "客户", "text": WORDS}]
        return web.json_response({"text": WORDS, "segments": segments})


@pytest.fixture
async def machines() -> AsyncIterator[Machines]:
    found, app = Machines(), web.Application()
    app.router.add_get("/rec/{name:.+}", found.recording)
    app.router.add_post("/asr", found.asr)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    found.base = str(server.make_url("")).rstrip("/")
    yield found
    await server.close()


@asynccontextmanager
async def at_work(folder: Path, url: str, machines: Machines, **over: Any) -> AsyncIterator[Office]:
    async with office(folder, database_url=url, **over) as desk:
        await plug(
            desk,
            recordings_base=f"{machines.base}/rec",
            recordings_root="/var/rec",
            recordings_key="Basic eA==",
        )
        yield desk


async def called(desk: Office, recording: str = "/var/rec/2026/课.wav") -> None:
    """A call that was taken and recorded."""
    began = int(time()) - 60
    times = {"started_at": began, "answered_at": began + 5, "ended_at": began + 30}
    await report(desk, "ended", agent="8001", recording_url=recording, **times)


async def files(desk: Office) -> list[Any]:
    async with desk.service.house.db.read(TENANT) as conn:
        return list(await conn.rows(sa.text("SELECT state, transcribed, error, transcript FROM event_media")))


async def state(desk: Office, wanted: str, transcribed: str) -> None:
    async def so() -> bool:
        return [(r.state, r.transcribed) for r in await files(desk)] == [(wanted, transcribed)]

    await until(so)


async def test_a_recording_is_fetched_written_down_and_found_by_its_words(
    tmp_path: Path, service_url: str, machines: Machines
) -> None:
    machines.answers = [web.Response(status=503)]  # the first try may fail
    over = {"asr_url": f"{machines.base}/asr", "asr_key": "asr-key"}
    async with at_work(tmp_path, service_url, machines, **over) as desk:
        await called(desk)
        await state(desk, "kept", "done")
        cid = await desk.cid("hotline")
        page = await desk.ask("GET", f"/inbox/{cid}", who="rep")
        found = await desk.ask("GET", "/search", who="rep", params={"q": "数学课改到周日"})
        (kept,) = await files(desk)

    assert machines.asked == ["/rec/2026/课.wav Basic eA=="]
    assert machines.heard == 2 * [("Bearer asr-key", "media.wav", "audio/wav", tone(1))]
    assert f"00:00 客户：{WORDS}" in page.text
    assert UNHEARD not in page.text
    assert "<audio" in page.text
    assert cid in found.text
    assert WORDS.encode() not in kept.transcript


async def test_an_answer_without_words_is_not_asked_for_again(
    tmp_path: Path, service_url: str, machines: Machines
) -> None:
    machines.answers = [web.json_response({"result": "?"})]
    async with at_work(tmp_path, service_url, machines, asr_url=f"{machines.base}/asr") as desk:
        await called(desk)
        await state(desk, "kept", "failed")

    assert len(machines.heard) == 1


async def test_without_speech_recognition_nothing_waits_for_it(
    tmp_path: Path, service_url: str, machines: Machines
) -> None:
    async with at_work(tmp_path, service_url, machines) as desk:
        await called(desk)
        await state(desk, "kept", "")
        cid = await desk.cid("hotline")
        page = await desk.ask("GET", f"/inbox/{cid}", who="rep")
        timeline = await desk.ask("GET", f"/s/c/{cid}/timeline", who="rep")

    assert machines.heard == []
    assert page.text.count("<audio") == page.text.count(UNHEARD) == 1
    assert timeline.text.count(UNHEARD) == 1


async def test_that_nothing_is_written_down_is_said_once_a_page(
    tmp_path: Path, service_url: str, machines: Machines
) -> None:
    async with at_work(tmp_path, service_url, machines) as desk:
        await called(desk)
        began = int(time()) - 60
        more = {"started_at": began, "answered_at": began + 5, "ended_at": began + 30, "call_id": "c2"}
        await report(desk, "ended", agent="8001", recording_url="/var/rec/2026/二.wav", **more)

        async def both() -> bool:
            return [r.state for r in await files(desk)] == ["kept", "kept"]

        await until(both)
        page = await desk.ask("GET", f"/inbox/{await desk.cid('hotline')}", who="rep")

    assert page.text.count("<audio") == 2
    assert page.text.count(UNHEARD) == 1


@pytest.mark.parametrize("path", ["/elsewhere/x.wav", "/record/x.wav", "/rec/../elsewhere/x.wav"])
async def test_nothing_beside_the_base_is_fetched_from_the_inside(
    tmp_path: Path, service_url: str, machines: Machines, path: str
) -> None:
    async with at_work(tmp_path, service_url, machines) as desk:
        await called(desk, f"{machines.base}{path}")

        async def tried() -> bool:
            async with desk.service.house.db.read(TENANT) as conn:
                due = await conn.rows(sa.text("SELECT error FROM due WHERE kind = 'media' AND attempts > 0"))
            return any("https" in r.error for r in due) or any(r.state == "gone" for r in await files(desk))

        await until(tried)

    assert machines.asked == []
