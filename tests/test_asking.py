"""What an event makes us ask the vendor about, and what is known of a thing that is gone."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from scrm import facts
from scrm.contract import Fact, Handle
from scrm.db import Database
from scrm.schema import due
from tests.ground import NOW, Fetching, House, handle, house, installed, said

CHAT = Handle(kind="wecom_chat", scope="corp", value="wr1", part="about")


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Fetching()
    installed(monkeypatch, channel)
    return await house(database, channel)


async def waits(home: House) -> list[timedelta]:
    """How long each profile still waits before it is asked for."""
    async with home.db.read(1) as conn:
        rows = await conn.rows(sa.select(due.c.at).where(due.c.tenant_id == 1, due.c.kind == "enrich"))
        now = await conn.now()
    return [r.at - now for r in rows]


async def test_somebody_new_is_asked_about_at_once_and_a_known_one_not_again(home: House) -> None:
    await home.take({"m1": [said()], "m2": [said()]})
    await home.pipeline.settle(1)

    (wait,) = await waits(home)
    assert wait <= timedelta()


async def test_what_changed_without_saying_how_is_asked_about_a_moment_later(home: House) -> None:
    change = said(kind="event.chat.updated", direction="none", handles=(CHAT,), asks=True)
    await home.take({"e1": [change], "e2": [change]})
    await home.pipeline.settle(1)

    (wait,) = await waits(home)
    assert timedelta() < wait <= timedelta(seconds=2)


async def test_a_place_that_does_not_ask_is_not_asked_about(home: House) -> None:
    await home.take({"e1": [said(kind="event.chat.updated", direction="none", handles=(CHAT,))]})
    await home.pipeline.settle(1)

    assert await waits(home) == []


async def test_whom_we_only_read_about_in_an_answer_is_not_asked_about_again(home: House) -> None:
    profile = said(kind="event.profile", direction="none", quiet=True)
    await home.take({"p1": [profile]})
    await home.pipeline.settle(1)

    assert await waits(home) == []
    assert await home.states() == {"p1": "settled"}


async def test_what_is_gone_keeps_what_was_known_of_it_and_comes_back_by_a_newer_word(home: House) -> None:
    account_id = home.account.account_id

    async def told(key: str, body: dict[str, object], rank: int, *, gone: bool = False) -> facts.Known:
        fact = Fact(kind="chat", key="wr1", body=body, rank=rank, gone=gone, handle=handle("anna"))
        await home.take({key: [said(at=NOW, facts=(fact,))]})
        await home.pipeline.settle(1)
        async with home.db.read(1) as conn:
            found = await facts.get(conn, account_id, "chat", "wr1")
        assert found is not None
        return found

    await told("a", {"name": "群"}, 1)
    gone = await told("b", {}, 3, gone=True)
    late = await told("c", {"name": "旧"}, 2)
    back = await told("d", {"name": "新"}, 4)

    assert (gone.body, gone.gone_at is None) == ({"name": "群"}, False)
    assert (late.body, late.gone_at is None) == ({"name": "群"}, False)
    assert (back.body, back.gone_at) == ({"name": "新"}, None)
    async with home.db.read(1) as conn:
        assert set(await facts.some(conn, account_id, "chat", ["wr1", "wr2"])) == {"wr1"}
