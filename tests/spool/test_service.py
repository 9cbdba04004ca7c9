"""A whole service on PostgreSQL on a bad day: over HTTP, as vendors and operators see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scrm.check import findings
from scrm.contract import Severity
from scrm.shapes import to_json
from tests import services
from tests.services import Postgres
from tests.web.office import Office, configured, message, office, until

ANNA = "oAnna00000000000000000000001"


@pytest.fixture
async def desk(server: Postgres, tmp_path: Path) -> AsyncIterator[Office]:
    url = server.new_database(services.migrated)
    async with office(tmp_path, database_url=url, spool_max_rows=50) as made:
        try:
            yield made
        finally:
            server.thaw()
            if not server.running:
                server.start()


async def say(desk: Office, text: str) -> int:
    return (await desk.callback("oa-a", message(ANNA, "text", Content=text))).status


async def texts(desk: Office) -> list[str]:
    items = (await desk.api("GET", "/events?account=oa-a", token="machine-admin")).json()["items"]
    return [e["text"] for e in reversed(items)]


async def gauges(desk: Office) -> dict[str, float]:
    """Samples of `/metrics` by name, and by name and label."""
    text = (await desk.bare("GET", "/metrics")).text
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def all_here(desk: Office, number: int) -> None:
    async def here() -> bool:
        try:
            return len(await texts(desk)) >= number
        except KeyError:
            return False  # the database is still coming up

    await until(here, timeout_s=60)


async def test_callbacks_are_answered_while_the_database_is_down_and_stand_on_the_timeline_later(
    server: Postgres, desk: Office
) -> None:
    assert await say(desk, "1") == 200
    await all_here(desk, 1)
    server.stop("immediate")

    answers = [await say(desk, str(n)) for n in range(2, 8)]
    ready, alive, bad = (
        await desk.bare("GET", "/readyz"),
        await desk.bare("GET", "/healthz"),
        await gauges(desk),
    )
    server.start()
    await all_here(desk, 7)

    assert answers == [200] * 6
    assert (alive.status, ready.status, ready.text.splitlines()[0]) == (200, 200, "ready")
    assert "database: down or slow, callbacks go to the spool" in ready.text
    assert "spool: 6 waiting, 0 stuck" in ready.text
    assert (bad["scrm_database_up"], bad["scrm_spool_open"], bad["scrm_spool_rows waiting"]) == (0, 1, 6)
    assert sorted(await texts(desk)) == [str(n) for n in range(1, 8)]  # the vendor numbered them at random


async def test_all_is_said_to_be_well_once_the_spool_has_drained(server: Postgres, desk: Office) -> None:
    server.stop("immediate")
    assert await say(desk, "1") == 200
    server.start()
    await all_here(desk, 1)

    async def well() -> bool:
        return (await desk.bare("GET", "/readyz")).text == "ready\n"

    await until(well)
    good = await gauges(desk)

    assert (good["scrm_database_up"], good["scrm_spool_open"], good["scrm_spool_rows waiting"]) == (1, 0, 0)
    assert good["scrm_spool_forwarded_total"] == 1
    assert good["scrm_spool_age_seconds"] == 0


async def test_a_frozen_database_leaves_callbacks_answered_too(server: Postgres, desk: Office) -> None:
    server.freeze()
    answers = await asyncio.gather(*(say(desk, str(n)) for n in range(20)))
    ready = await desk.bare("GET", "/readyz")
    server.thaw()
    await all_here(desk, 20)

    assert answers == [200] * 20
    assert (ready.status, "callbacks go to the spool" in ready.text) == (200, True)
    assert sorted(await texts(desk), key=int) == [str(n) for n in range(20)]


async def test_a_full_spool_and_a_database_that_is_down_answer_503_and_say_so(
    server: Postgres, desk: Office
) -> None:
    server.stop("immediate")

    answers = [await say(desk, str(n)) for n in range(55)]
    ready = await desk.bare("GET", "/readyz")
    server.start()
    await all_here(desk, 50)

    assert answers == [200] * 50 + [503] * 5
    assert (ready.status, ready.text.splitlines()[0]) == (503, "not ready")
    assert "spool: 50 waiting, 0 stuck, full" in ready.text


async def test_check_says_what_lies_in_the_spool_though_the_database_is_down(
    server: Postgres, desk: Office
) -> None:
    settings = desk.service.house.settings
    server.stop("immediate")
    assert await say(desk, "1") == 200

    said = [found async for found in findings(settings)]
    server.start()
    await all_here(desk, 1)

    assert any("有 1 条消息等待转存" in f.sentence and f.severity is Severity.WARN for f in said)
    assert said[-1].severity is Severity.ERROR


async def test_the_embedded_profile_has_no_spool(tmp_path: Path) -> None:
    async with office(tmp_path, people=False) as desk:
        ready = await desk.bare("GET", "/readyz")

        assert desk.service.house.spool is None
        assert ready.text == "ready\n"
        assert not (tmp_path / "spool.db").exists()
    said = [found.sentence async for found in findings(configured(tmp_path))]
    assert not [s for s in said if "暂存" in s], to_json(said)
