"""Each bench runs at a tiny size and keeps its promises: its figures, and a finite ratio. Never how fast."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from scrm import bench
from scrm.app import TENANT
from scrm.bench import ground, ingest, live, react, settle, text, timeline
from scrm.bench.ground import Figures
from scrm.contract import Call
from scrm.db import utcnow
from scrm.errors import BadInput, Refused


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


async def test_ingest_compares_durable_answers_with_a_bare_server() -> None:
    figures = await ingest.run(1, 300, say=lambda _: None)

    assert keeps(figures, "bare_s", "full_s", "idle_s", "full_p50_ms", "full_p99_ms", "ratio_worker_on")
    assert figures["full_failed"] == figures["idle_failed"] == figures["bare_failed"] == 0


async def test_every_answered_callback_of_the_load_is_in_the_inbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    told: list[str] = []

    figures = await ingest.run(0.3, 3000, say=told.append)

    assert figures["load"] == "python"
    assert "wrk is not installed" in told[0]
    assert figures["full_stored"] == figures["full_answered"]
    assert figures["idle_stored"] == figures["idle_answered"]


async def test_settle_writes_what_the_bound_writes() -> None:
    figures = await settle.run(200)

    assert keeps(figures, "settle_rows_s", "raw_rows_s", "rows_written")
    # 180 messages as events with one link each, and 20 customers known by two identifiers.
    assert int(figures["rows_written"]) > 2 * 180 + 20 * 6


async def test_react_reports_messages_a_second() -> None:
    assert keeps(await react.run(120), "react_rows_s", "settle_and_react_rows_s")


async def test_live_times_the_way_to_the_screen_in_quiet_and_under_load() -> None:
    figures = await live.run(3, 0.5)

    timed = [f"{when}_{what}" for when in ("idle", "load") for what in ("delta", "fragment")]
    assert keeps(figures, *(f"{name}_p{share}_ms" for name in timed for share in (50, 95)), "capacity_s")


async def test_timeline_loads_as_many_events_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRM_BENCH_EVENTS", "20000")

    figures = await timeline.run()

    assert figures["events"] == 20_000
    assert keeps(figures, "page_us", "raw_page_us", "history_10x_costs")


def test_text_has_a_ratio_too() -> None:
    assert keeps(text.measure(), "scan_us", "scan_naive_us")


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


async def test_raw_page_and_our_page_are_the_same_rows() -> None:
    async with ground.service() as one:
        path = one.house.settings.sqlite_path
        crowd, _, _ = timeline.load(path, 4000, True)
        person = crowd.long[0]
        async with one.house.db.read(TENANT) as conn:
            spans = await timeline.identity.intervals(conn, person)
            ours = await timeline.events.page(conn, spans, before=None, limit=timeline.PAGE)
        with closing(sqlite3.connect(path)) as db:
            raw = timeline.raw_page(db, person)

    assert len(ours) == timeline.PAGE
    assert [e.event_id for e in ours] == [row[0] for row in raw]


async def test_the_load_passes_the_connector_and_not_when_altered() -> None:
    async with ground.service() as one:
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
