"""The chat on a bad day: what visitors say while PostgreSQL is down is kept, and stands there later, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import services
from tests.services import Postgres
from tests.web.office import Office, office, until
from tests.web.visiting import PNG, Visitor, events_of, open_site


@pytest.fixture
async def desk(server: Postgres, tmp_path: Path) -> AsyncIterator[Office]:
    url = server.new_database(services.migrated)
    async with office(tmp_path, database_url=url, spool_max_rows=4) as made:
        await open_site(made)
        try:
            yield made
        finally:
            if not server.running:
                server.start()


async def all_here(desk: Office, number: int) -> None:
    async def here() -> bool:
        try:
            return len(await events_of(desk)) >= number
        except KeyError:
            return False  # the database is still coming up

    await until(here, timeout_s=60)


async def kept(visitor: Visitor, text: str) -> bool:
    return (await visitor.says(text, key=f"key-of-{text}")).status == 201


async def test_a_visitor_is_answered_while_the_database_is_down(server: Postgres, desk: Office) -> None:
    visitor = await Visitor(desk).come()
    assert (await visitor.says("之前")).status == 201
    await all_here(desk, 1)
    server.stop("immediate")

    fresh = await Visitor(desk).come()
    statuses = [
        (await visitor.says("停机时", key="said-twice")).status,
        (await visitor.says("停机时", key="said-twice")).status,
        (await fresh.says("新来的")).status,
        (await fresh.signs_in("u1", name="王女士")).status,
    ]
    reading = await visitor.ask("GET", "history")
    file = await visitor.uploads("a.png", PNG, key="a-file-of-mine")
    # Counted now and then, and rather too high than too low: the widget tries again, with the same key.
    await until(lambda: kept(visitor, "0"), timeout_s=10)
    full = [(await visitor.says(f"{n}")).status for n in (1, 2)]
    assert (statuses, full) == ([201, 201, 201, 200], [503, 503]), "beyond what this host may keep, nothing"
    server.start()
    await all_here(desk, 5)
    later = await visitor.uploads("a.png", PNG, key="a-file-of-mine")
    repeat = await visitor.says("停机时", key="said-twice")
    await all_here(desk, 6)

    # What needs the database says so, and that a retry helps; the widget does it with the same key.
    assert (reading.status, file.status, "Retry-After" in file.headers) == (503, 503, True)
    assert (later.status, repeat.status) == (201, 201)
    said = [e["text"] for e in await events_of(desk) if e["kind"] == "message.text"]
    assert sorted(said) == sorted(["之前", "停机时", "新来的", "0"])
    assert [i["text"] for i in await visitor.reads()][:3] == ["之前", "停机时", "0"]
