"""Handed over: everything of the customer opens to the new rep at once, and to the old one no longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientResponse

from scrm.app import TENANT
from scrm.contract import Media, Piece
from scrm.db import utcnow
from scrm.identity import store as identity
from scrm.timeline.store import media, pieces
from scrm.timeline.store.events import page
from scrm.timeline.store.pieces import Expected
from scrm.web import stream
from tests.web.office import Office, Page, Reply

ANNA = "oCustomerAnna0000000000000001"
WORDS, OURS, NEW = "只说给自己顾问听的青菜话", "只回给自己客户的萝卜话", "交接以后才说的新话"
FILE = b"%PDF-1.4 only hers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anna:
    """A customer of `rep`, with a file, and every address something of hers has."""

    desk: Office
    cid: str
    person: str
    file: str
    topic: str

    @property
    def pages(self) -> list[str]:
        return [
            f"/inbox/{self.cid}",
            f"/inbox/{self.cid}/bubbles",
            f"/s/c/{self.cid}",
            f"/s/c/{self.cid}/timeline",
            f"/households/{self.household}",
            f"/media/{self.file}",
        ]

    @property
    def household(self) -> str:
        return self.desk.public("household", self.desk.private("person", self.person))

    @property
    def resources(self) -> list[str]:
        return [
            f"/persons/{self.person}",
            f"/persons/{self.person}/timeline",
            f"/households/{self.household}",
            f"/households/{self.household}/timeline",
            f"/suggestions?conversation_id={self.cid}",
        ]

    @property
    def lists(self) -> list[str]:
        return ["/events", "/persons", "/conversations", "/pushes", "/search?q=青菜话"]


async def sees(anna: Anna, who: str) -> dict[str, bool]:
    """By address, whether it tells them anything of hers."""
    desk, found = anna.desk, {}
    for path in anna.pages:
        answer = await desk.ask("GET", path, who=who)
        assert answer.status in (200, 404), path
        found[path] = answer.status == 200
        assert found[path] or not leaks(answer), path
    for path in anna.resources:
        answer = await desk.api("GET", path, token=who)
        assert answer.status in (200, 404), path
        found["api " + path] = answer.status == 200
    for path in anna.lists:
        answer = await desk.api("GET", path, token=who)
        found["api " + path] = bool(answer.json()["items"])
    for path in ("/inbox/queue?filter=all", "/inbox/queue?filter=mine"):
        found[path] = anna.cid in (await desk.ask("GET", path, who=who)).text
    # What was looked for is marked, so the words before it are looked at.
    found["/search"] = WORDS[:7] in (await desk.ask("GET", "/search?q=青菜话", who=who)).text
    said = await desk.push(who, anna.cid, "在的", key=f"{who}-{len(found)}-{utcnow().timestamp()}")
    assert said.status in (201, 404)
    found["speaks"] = said.status == 201
    found["live"] = await follows(anna, who)
    return found


def leaks(answer: Reply) -> bool:
    return any(word in answer.text for word in (WORDS, OURS, NEW))


@asynccontextmanager
async def listening(anna: Anna, who: str) -> AsyncIterator[ClientResponse]:
    desk = anna.desk
    headers = {"Cookie": f"scrm={desk.sessions[who]}"}
    url = f"{desk.url}/live?topics={anna.topic}"
    async with desk.http.get(url, headers=headers) as answer:
        yield answer


async def follows(anna: Anna, who: str) -> bool:
    async with listening(anna, who) as answer:
        assert answer.status in (200, 403)
        return answer.status == 200


@pytest.fixture
async def anna(desk: Office, monkeypatch: pytest.MonkeyPatch) -> Anna:
    monkeypatch.setattr(stream, "_CHECK_S", 0.2)
    await desk.hear("oa-a", ANNA, WORDS + "，多少钱？")
    cid = await desk.cid("oa-a")
    assert (await desk.push("rep", cid, OURS)).status == 201
    await desk.quiet()
    person = (await desk.api("GET", "/persons", token="rep")).json()["items"][0]["id"]
    node_id = await desk.node_of(cid)
    topic = "node:" + desk.public("topic-node", node_id)
    return Anna(desk=desk, cid=cid, person=person, file=await _file(desk, node_id), topic=topic)


async def _file(desk: Office, node_id: int) -> str:
    async with desk.service.house.db.begin(TENANT) as conn:
        person = (await identity.persons_of(conn, [node_id]))[node_id]
        spans = await identity.intervals(conn, person)
        told = await page(conn, spans, before=None, limit=9)
        event = next(e for e in told if e.direction == "in")
        piece = Piece(ref="r", kind="file", name="合同.pdf")
        expected = Expected(
            event_id=event.event_id, n=0, account_id=event.account_id, node_id=node_id, piece=piece
        )
        await pieces.expect(conn, [expected])
        file = await media.get(conn, event.event_id, 0)
        assert file is not None
        await media.keep(
            conn, file, Media(name="合同.pdf", mime="application/pdf", content=FILE), now=utcnow()
        )
        kept = await media.get(conn, event.event_id, 0)
    assert kept is not None
    return desk.public("media", kept.media_id or 0)


async def drafted(desk: Office, from_: str = "rep", to: str = "peer") -> str:
    giver, taker = (desk.public("staff", desk.staff_ids[who]) for who in (from_, to))
    chooser = Page((await desk.ask("GET", f"/lead/handover?from={giver}", who="lead")).text)
    box = next(a["name"] for t, a in chooser.elements if t == "input" and a.get("type") == "checkbox")
    form = {"from": giver, "to": taker, "sort": "onjob", box: "1"}
    return (await desk.ask("POST", "/lead/handover", who="lead", data=form)).where


async def act(desk: Office, one: str, what: str) -> int:
    return (await desk.ask("POST", one, who="lead", data={"what": what})).status


# -- who sees what -----------------------------------------------------------------------------------------
async def test_the_new_rep_sees_all_of_it_at_once_and_the_old_one_nothing(anna: Anna) -> None:
    desk = anna.desk
    all_of_it, nothing = (
        dict.fromkeys(await sees(anna, "rep"), True),
        dict.fromkeys(await sees(anna, "peer"), False),
    )
    assert (await sees(anna, "rep"), await sees(anna, "peer")) == (all_of_it, nothing)
    one = await drafted(desk)
    assert await sees(anna, "peer") == nothing  # a draft opens nothing

    assert await act(desk, one, "send") == 303

    assert (await sees(anna, "rep"), await sees(anna, "peer")) == (nothing, all_of_it)
    assert await sees(anna, "other") == nothing
    await desk.hear("oa-a", ANNA, NEW)
    assert not leaks(await desk.api("GET", "/events", token="rep"))
    assert leaks(await desk.api("GET", "/events", token="peer"))


async def test_undone_it_is_the_other_way_round_again(anna: Anna) -> None:
    one = await drafted(anna.desk)
    assert await act(anna.desk, one, "send") == 303

    assert await act(anna.desk, one, "undo") == 303

    assert all((await sees(anna, "rep")).values())
    assert not any((await sees(anna, "peer")).values())


async def test_who_handed_them_on_reads_the_brief_no_more(anna: Anna) -> None:
    desk, page = anna.desk, "/pool?tab=handed"
    assert await act(desk, await drafted(desk), "send") == 303
    briefed = await desk.ask("GET", page, who="peer")

    assert await act(desk, await drafted(desk, "peer", "rep"), "send") == 303

    assert leaks(briefed)
    handed_on = await desk.ask("GET", page, who="peer")
    assert (handed_on.status, leaks(handed_on)) == (200, False)
    assert leaks(await desk.ask("GET", page, who="rep"))


async def read(answer: ClientResponse, until_end: list[str]) -> None:
    while line := await answer.content.readline():
        until_end.append(line.decode())


async def test_a_screen_that_was_open_hears_no_more_of_it(anna: Anna) -> None:
    desk, heard = anna.desk, list[str]()
    async with listening(anna, "rep") as answer:
        assert answer.status == 200
        await answer.content.readline()
        assert await act(desk, await drafted(desk), "send") == 303
        async with asyncio.timeout(30):
            await read(answer, heard)  # to its end: the service ends it
    before = len(heard)
    await desk.hear("oa-a", ANNA, NEW)

    assert len(heard) == before
    assert not await follows(anna, "rep")


async def test_a_screen_of_a_customer_who_stays_goes_on(anna: Anna) -> None:
    """The control of the test above: the stream ends because of the hand-over."""
    desk = anna.desk
    async with listening(anna, "rep") as answer:
        await answer.content.readline()
        await desk.hear("oa-a", ANNA, NEW)
        heard: list[str] = []
        task: asyncio.Task[Any] = asyncio.create_task(read(answer, heard))
        async with asyncio.timeout(30):
            while not any("event: change" in line for line in heard):  # noqa: ASYNC110 - lines of a stream
                await asyncio.sleep(0.05)
        await asyncio.sleep(4 * 0.2)
        assert not task.done()
        task.cancel()
