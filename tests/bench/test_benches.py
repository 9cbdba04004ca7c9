"""Each bench runs at a tiny size and keeps its promises: its figures, and a finite ratio. Never how fast."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from scrm import bench
from scrm.app import TENANT
from scrm.bench import (
    cards,
    drafts,
    flow,
    ground,
    history,
    ingest,
    live,
    react,
    receive,
    settle,
    text,
    timeline,
    welcome,
)
from scrm.bench.crew import crew
from scrm.bench.crowd import gather, load
from scrm.bench.ground import Figures
from scrm.bench.site import Site, service, site, store
from scrm.contract import Call
from scrm.db import utcnow
from scrm.errors import BadInput, Refused
from scrm.identity import store as identity
from scrm.timeline.store import events
from tests.conftest import NewUrl
from tests.services import Cluster


def keeps(figures: Figures, *promised: str) -> bool:
    """Whether every promised figure is a positive, finite number."""
    numbers = [figures[name] for name in (*promised, "ratio")]
    return all(isinstance(n, int | float) and math.isfinite(n) and n > 0 for n in numbers)


def test_a_missing_or_endless_figure_is_noticed() -> None:
    assert keeps({"ratio": 0.5, "page_us": 1}, "page_us")
    assert not keeps({"ratio": math.inf})
    assert not keeps({"ratio": 0.5, "page_us": 0}, "page_us")
    with pytest.raises(KeyError):
        keeps({"ratio": 0.5}, "page_us")


@pytest.fixture
def place(engine_name: str, new_url: NewUrl) -> str:
    """Where a bench measures: nothing for SQLite, an empty PostgreSQL database otherwise."""
    return "" if engine_name == "sqlite" else new_url(None)


@pytest.fixture
def empty_postgresql(cluster: Cluster) -> Iterator[str]:
    url = cluster.new_database(None)
    yield url
    cluster.drop(url)


def tables(cluster: Cluster, url: str) -> int:
    count = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    return int(cluster.execute(count, url=cluster.superuser(url))[0][0])


async def test_ingest_stores_what_its_load_brings(tmp_path: Path) -> None:
    measured = await ingest.measured("full", "", ingest.Calls(tmp_path, seed=1), 1, 300)

    # The load repeats itself beyond what was made: repeats are answered, and stored once.
    assert measured.load.failed == 0
    assert measured.load.requests > 0
    assert 0 < measured.stored <= 300


async def test_ingest_compares_durable_answers_with_a_bare_server(
    empty_postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    told: list[str] = []

    figures = await ingest.run(0.3, 3000, database=empty_postgresql, crews=(2,), say=told.append)

    assert figures["load"] == "python"
    assert "wrk is not installed" in told[0]
    assert keeps(figures, "bare_s", "full_s", "idle_s", "full_p50_ms", "full_p99_ms", "ratio_worker_on")
    assert keeps(figures, "full_2_to_one", "idle_2_to_one")
    for mode in ("full", "idle", "full_2", "idle_2"):
        assert figures[f"{mode}_failed"] == 0
        assert figures[f"{mode}_stored"] == figures[f"{mode}_answered"]


def test_a_callback_that_was_answered_and_is_not_stored_stops_the_bench() -> None:
    load = ingest.Load(requests=100, seconds=1.0, p50_ms=1.0, p99_ms=1.0, failed=10)

    ingest.demand_stored(load, 90, made=1000)
    with pytest.raises(RuntimeError, match="90 callbacks were answered, 89 are stored"):
        ingest.demand_stored(load, 89, made=1000)


async def test_settle_writes_what_the_bound_writes(place: str) -> None:
    figures = await settle.run(200, database=place, crews=())

    assert keeps(figures, "settle_rows_s", "raw_rows_s", "rows_written")
    # 180 messages as events with one link each, and 20 customers known by two identifiers.
    assert int(figures["rows_written"]) > 2 * 180 + 20 * 6


async def test_settle_and_react_share_a_backlog_among_processes(
    empty_postgresql: str, cluster: Cluster
) -> None:
    figures = await react.run(120, database=empty_postgresql, crews=(2,))

    assert keeps(figures, "react_2_processes_s", "settle_and_react_2_processes_s")
    assert tables(cluster, empty_postgresql) == 0


async def test_a_backlog_that_was_not_worked_off_whole_stops_the_bench(empty_postgresql: str) -> None:
    async with site(empty_postgresql) as place:
        async with service(place) as one:
            await store(one, [said.raw for said in ground.talk(30, people=3)])
        with pytest.raises(RuntimeError, match="30 rows were moved, 31 were there"):
            await crew(place, "settle", 1, 31)


async def test_react_reports_messages_a_second() -> None:
    figures = await react.run(120)

    assert keeps(figures, "react_rows_s", "settle_and_react_rows_s", "react_without_playbook_rows_s")


async def test_without_the_playbook_its_steps_are_left_out_and_back_afterwards() -> None:
    steps = [getattr(module, name) for module, name in react._STEPS]  # noqa: SLF001 - what the bench swaps

    with react._without():  # noqa: SLF001
        assert not [step for step in steps if step in (getattr(m, n) for m, n in react._STEPS)]  # noqa: SLF001

    assert [getattr(module, name) for module, name in react._STEPS] == steps  # noqa: SLF001


async def test_flow_offers_its_rate_and_tells_what_waits(place: str) -> None:
    figures = await flow.run(100, 1.0, people=10, database=place)

    # A busy machine misses ticks, and they are not made up for.
    assert 0 < int(figures["sent"]) <= 100
    assert int(figures["backlog_end"]) <= int(figures["sent"])


async def test_live_times_the_way_to_the_screen_in_quiet_and_under_load(place: str) -> None:
    figures = await live.run(3, 0.5, database=place)

    timed = [f"{when}_{what}" for when in ("idle", "load") for what in ("delta", "fragment")]
    assert keeps(figures, *(f"{name}_p{share}_ms" for name in timed for share in (50, 95)), "capacity_s")


async def test_cards_are_timed_from_the_callback_to_the_suggestions_for_it(place: str) -> None:
    figures = await cards.run(3, database=place)

    timed = [f"{what}_p{share}_ms" for what in ("event", "cards") for share in (50, 95)]
    assert keeps(figures, *timed, "ack_p50_ms")
    # Cards come after the event that tells of them, and that after the message was there.
    assert float(figures["cards_p50_ms"]) > float(figures["event_p50_ms"])


async def test_timeline_loads_as_many_events_as_asked_for(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRM_BENCH_EVENTS", "20000")

    figures = await timeline.run(database=place)

    assert figures["events"] == 20_000
    assert keeps(figures, "page_us", "raw_page_us", "history_10x_costs", "files_page_10x_costs")
    searches = ("often", "rarely", "two_words", "one_person")
    assert keeps(figures, *(f"search_{name}_us" for name in searches))


async def test_history_compares_answers_pages_and_merges(place: str) -> None:
    figures = await history.run(4000, 100, 2, 5, database=place)

    assert figures["events"] == 4000
    assert keeps(figures, *(f"{what}_10x_costs" for what in ("ack", "page", "merge")))


async def test_a_database_that_holds_something_is_refused_and_stays_as_it_was(
    empty_postgresql: str, cluster: Cluster
) -> None:
    cluster.execute("CREATE TABLE mine (n int)", url=cluster.superuser(empty_postgresql))

    with pytest.raises(BadInput, match="1 张表"):
        await bench.run(["settle"], None, database=empty_postgresql, say=lambda _: None)

    assert tables(cluster, empty_postgresql) == 1


async def test_a_database_we_measure_on_is_empty_again_even_after_a_failure(
    empty_postgresql: str, cluster: Cluster
) -> None:
    with pytest.raises(LookupError):
        await _broken_off(empty_postgresql, cluster)

    assert tables(cluster, empty_postgresql) == 0


async def _broken_off(url: str, cluster: Cluster) -> None:
    async with site(url) as place, service(place):
        assert tables(cluster, url) > 10
        raise LookupError


async def test_only_postgresql_is_measured_by_url() -> None:
    with pytest.raises(BadInput, match="postgresql"):
        await bench.run(["text"], None, database="sqlite:///mine.db", say=lambda _: None)


def test_text_has_a_ratio_too() -> None:
    assert keeps(text.measure(), "scan_us", "scan_naive_us")


async def test_a_check_is_measured_among_as_many_words_as_a_tenant_may_have() -> None:
    figures = await drafts.run()

    assert figures["draft_words"] == drafts.WORDS
    assert keeps(figures, "draft_scan_ms", "draft_scan_dirty_p99_ms", "draft_check_worse_p99_ms")


async def test_the_command_writes_figures_and_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setenv("SCRM_BENCH_EVENTS", "5000")

    code = await bench.run(["timeline"], tmp_path / "figures.json", say=told.append)

    written = json.loads((tmp_path / "figures.json").read_text())
    assert code == 0
    assert set(written) == {"machine", "timeline"}
    assert {"cores", "python", "sqlite", "aiohttp", "sqlalchemy"} <= set(written["machine"])
    assert any(line.split()[0] == "ratio" for line in told if line.strip())


async def test_an_unknown_bench_is_named_and_nothing_runs() -> None:
    told: list[str] = []

    with pytest.raises(BadInput, match="nonsense"):
        await bench.run(["text", "nonsense"], None, say=told.append)

    assert told == []


# -- the measures themselves -------------------------------------------------------------------------------


async def test_raw_page_and_our_page_are_the_same_rows(place: str) -> None:
    async with site(place) as here, service(here) as one:
        crowd = await gather(one.house.db, 2)
        await load(here, crowd, 4000, exactly=True)
        person = crowd.long[0]
        async with one.house.db.read(TENANT) as conn:
            spans = await identity.intervals(conn, person)
            ours = await events.page(conn, spans, before=None, limit=timeline.PAGE)
        raw = await _raw_page(here, person)

    assert len(ours) == timeline.PAGE
    assert [e.event_id for e in ours] == raw


async def _raw_page(here: Site, person: int) -> list[int]:
    if not here.many:
        with closing(sqlite3.connect(here.settings.sqlite_path)) as db:
            return [row[0] for row in timeline.raw_page(db, person)]
    raw = await asyncpg.connect(here.database, server_settings={"scrm.tenant": str(TENANT)})
    try:
        return [row["event_id"] for row in await timeline.raw_page_of_postgres(raw, person)]
    finally:
        await raw.close()


async def test_the_load_passes_the_connector_and_not_when_altered() -> None:
    async with site() as here, service(here) as one:
        plugged = one.house.directory.by_slug(ground.SLUG)
        said = next(ground.talk(1, people=1))
        query, body = ground.signed(said, salt=bytes(16))
        pairs = dict(pair.split("=", 1) for pair in query.split("&"))

        def call(content: bytes) -> Call:
            return Call(method="POST", tail="", query=pairs, headers={}, body=content, received_at=utcnow())

        context = one.house.context(plugged, utcnow())
        receipt = plugged.plug.receive(context, call(body))
        with pytest.raises(Refused):
            plugged.plug.receive(context, call(body.replace(b"Encrypt><![CDATA[", b"Encrypt><![CDATA[A", 1)))

    assert receipt.raws[0].payload == said.xml


def test_no_two_messages_of_the_load_are_the_same_and_few_people_say_most() -> None:
    said = list(ground.talk(2000, people=200))
    by_person = Counter(s.openid for s in said).most_common()

    assert len({s.raw.source_key for s in said}) == 2000
    assert sum(count for _, count in by_person[:20]) > 2000 * 0.3


def test_wrk_speaks_in_one_line_or_the_bench_stops() -> None:
    load = ingest.read_wrk("...\nRESULT 1200 2000000 1500 9000 1 2\n")

    assert (load.rate, load.p50_ms, load.p99_ms, load.failed) == (600.0, 1.5, 9.0, 3)
    with pytest.raises(RuntimeError, match="wrk did not finish"):
        ingest.read_wrk("unable to connect")


def test_a_quantile_is_a_value_that_was_measured() -> None:
    assert ground.quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert ground.quantile([1.0], 0.95) == 1.0


def test_what_receiving_costs_is_measured_for_every_channel_that_is_called() -> None:
    figures = receive.measure()

    assert keeps(figures, "wechat_oa_us", "wecom_us", "orders_us")
    assert figures["dearest"] in {name.removesuffix("_us") for name in figures}


async def test_a_welcome_is_timed_while_customers_are_taken_over(place: str) -> None:
    figures = await welcome.run(database=place, customers=60, contacts=2, pace_s=0.0)

    assert keeps(figures, "calm_p50_s", "busy_p50_s", "busy_max_s", "sync_per_s")
    assert figures["customers"] == 60
