"""Reports of one thing: one event in whatever order they come, with their history; what it does to talk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
import sqlalchemy as sa

from scrm.contract import Envelope, Handle, Piece
from scrm.db import Database
from scrm.schema import event, event_media, event_node
from scrm.timeline.store import conversations
from tests.ground import NOW, House, Talking, handle, house, installed, node_of

WAV = Piece(ref="https://rec.example/1.wav", kind="voice", seconds=192)
LINE = Handle(kind="hotline", scope="e164", value="+862087654321", part="about")


def phone(value: str = "+8613800138000", **more: Any) -> Handle:
    return handle(value, kind="phone", scope="e164", **more)


def report(kind: str, rank: int, text: str, **more: Any) -> Envelope:
    usual: dict[str, Any] = {"direction": "in", "handles": (phone(), LINE), "at": NOW, "whole": ("call:A",)}
    return Envelope(kind=kind, rank=rank, text=text, **(usual | more))


RINGING = report(
    "event.call.ringing", 10, "呼入 · 振铃中", body={"call": {"state": "ringing", "queue": "售前"}}
)
ENDED = report(
    "message.call", 30, "呼入 · 3 分 12 秒 · 已接通", body={"call": {"state": "ended", "talk_s": 192}}
)
RECORDED = report(
    "event.call.recording",
    0,
    "通话录音",
    handles=(),
    direction="none",
    pieces=(WAV,),
    body={"call": {"recorded": True}},
)
REPORTS = {"ring": RINGING, "end": ENDED, "rec": RECORDED}


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Talking()
    installed(monkeypatch, channel)
    return await house(database, channel)


async def current(home: House) -> Sequence[Any]:
    c = event.c
    async with home.db.read(1) as conn:
        return await conn.rows(sa.select(event).where(c.tenant_id == 1, c.superseded_by.is_(None)))


async def told(home: House, *keys: str, together: bool = False) -> None:
    for batch in [keys] if together else [(key,) for key in keys]:
        await home.take({key: [REPORTS[key]] for key in batch}, lane="A")
        await home.pipeline.settle(1)


@pytest.mark.parametrize("together", [True, False], ids=["in-one-batch", "one-by-one"])
@pytest.mark.parametrize("order", list(permutations(REPORTS)), ids="-".join)
async def test_the_reports_of_a_call_make_the_same_event_in_any_order(
    home: House, order: tuple[str, ...], together: bool
) -> None:
    await told(home, *order, together=together)

    (found,) = await current(home)
    assert (found.kind, found.direction, found.text) == (ENDED.kind, "in", ENDED.text)
    assert found.source_key == "call:A"
    async with home.db.read(1) as conn:
        node_id = await node_of(conn, "+8613800138000", kind="phone", scope="e164")
        (talk,) = await conversations.of_nodes(conn, [node_id])
        links = await conn.rows(sa.select(event_node).where(event_node.c.tenant_id == 1))
        files = await conn.rows(sa.select(event_media).where(event_media.c.tenant_id == 1))
    assert found.node_id == node_id
    assert found.conversation_id == talk.conversation_id
    assert talk.waiting_since is None
    assert (talk.last_text, talk.last_kind) == (ENDED.text, ENDED.kind)
    assert {(r.event_id, r.part) for r in links} == {(found.event_id, "actor"), (found.event_id, "about")}
    assert [(r.event_id, r.n, r.node_id, r.state) for r in files] == [(found.event_id, 0, node_id, "waiting")]


async def test_what_each_report_said_is_kept_and_filled_in(home: House) -> None:
    await told(home, "ring", "end", "rec")

    (found,) = await current(home)
    async with home.db.read(1) as conn:
        plain = await conn.unseal(found.body, "event", found.event_id, "body")
        versions = await conn.scalar(sa.select(sa.func.count()).where(event.c.tenant_id == 1))
    body = json.loads(plain)
    assert body["call"] == {"state": "ended", "queue": "售前", "talk_s": 192, "recorded": True}
    assert set(body["_parts"]) == {"ring", "end", "rec"}
    assert versions == found.version == 3


async def test_two_legs_that_name_each_other_are_one_call(home: House) -> None:
    first = report("message.call", 35, "呼入 · 3 分 15 秒 · 已接通", whole=("call:A", "call:B"))
    second = report("message.call", 38, "呼入 · 3 分 12 秒 · 已接通", whole=("call:B", "call:A"))
    await home.take({"b": [second]}, lane="A")
    await home.pipeline.settle(1)
    await home.take({"a": [first]}, lane="A")
    await home.pipeline.settle(1)

    (found,) = await current(home)
    assert (found.source_key, found.text) == ("call:B", second.text)


async def test_a_file_that_is_here_already_goes_with_the_call(home: House) -> None:
    await told(home, "end", "rec")
    async with home.db.begin(1) as conn:
        c = event_media.c
        await conn.run(sa.update(event_media).where(c.tenant_id == 1).values(state="kept", media_id=77))

    await told(home, "ring")

    (found,) = await current(home)
    async with home.db.read(1) as conn:
        (kept,) = await conn.rows(sa.select(event_media).where(event_media.c.tenant_id == 1))
        ref = await conn.unseal(kept.ref, "event_media", found.event_id, 0, "ref")
    assert (kept.event_id, kept.state, kept.media_id) == (found.event_id, "kept", 77)
    assert ref.decode() == WAV.ref


async def test_a_missed_call_waits_for_an_answer_until_we_have_spoken(home: House) -> None:
    missed = report("message.call.missed", 30, "呼入 · 未接", whole=("call:M",))
    later = NOW + timedelta(minutes=5)
    vain = report("event.call.unanswered", 30, "呼出 · 未接通", whole=("call:V",), direction="out", at=later,
                  handles=(phone(part="other"),))  # fmt: skip
    taken = report("message.call", 30, "呼出 · 1 分 · 已接通", whole=("call:T",), direction="out",
                   at=later + timedelta(minutes=5), handles=(phone(part="other"),))  # fmt: skip
    waits = []
    for key, said in {"m": missed, "v": vain, "t": taken}.items():
        await home.take({key: [said]}, lane=key)
        await home.pipeline.settle(1)
        async with home.db.read(1) as conn:
            node_id = await node_of(conn, "+8613800138000", kind="phone", scope="e164")
            (talk,) = await conversations.of_nodes(conn, [node_id])
            waits.append(talk.waiting_since)

    assert waits == [NOW, NOW, None]


async def test_a_recording_that_comes_after_a_closed_conversation_does_not_open_it(home: House) -> None:
    missed = report("message.call.missed", 30, "呼入 · 未接")
    await home.take({"m": [missed]}, lane="A")
    await home.pipeline.settle(1)
    async with home.db.begin(1) as conn:
        node_id = await node_of(conn, "+8613800138000", kind="phone", scope="e164")
        (talk,) = await conversations.of_nodes(conn, [node_id])
        await conn.run(sa.text("UPDATE conversation SET state = 'closed', waiting_since = NULL"))

    await told(home, "rec")

    async with home.db.read(1) as conn:
        (after,) = await conversations.of_nodes(conn, [node_id])
    assert (after.state, after.waiting_since) == ("closed", None)
    assert talk.waiting_since == NOW
