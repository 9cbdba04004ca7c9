"""What operators ask: alive, ready, how is it doing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from scrm.web.metrics import Metrics
from tests.web.office import Office, Page, message, office


async def test_health_says_alive_and_ready_says_the_database_answers(desk: Office) -> None:
    alive, ready = await desk.bare("GET", "/healthz"), await desk.bare("GET", "/readyz")

    assert [(a.status, a.text) for a in (alive, ready)] == [(200, "ok\n"), (200, "ready\n")]


async def test_a_service_whose_database_does_not_answer_is_alive_and_not_ready(tmp_path: Path) -> None:
    async with office(tmp_path, people=False) as desk:
        with closing(sqlite3.connect(tmp_path / "scrm.db")) as direct:
            direct.execute("DROP TABLE inbox")

        alive, ready = await desk.bare("GET", "/healthz"), await desk.bare("GET", "/readyz")

    assert (alive.status, ready.status, ready.text) == (200, 503, "")


async def test_metrics_count_callbacks_by_outcome_and_show_the_queues(desk: Office) -> None:
    await desk.hear("oa-a", "oMetrics00000000000000000001", "你好")
    query, body = desk.sealed("oa-a", message("oMetrics00000000000000000001", "text", Content="x"))
    await desk.bare("POST", "/hooks/oa-a", params=query | {"msg_signature": "0" * 40}, data=body)
    await desk.bare("POST", "/hooks/none-of-ours", data=b"x")

    text = (await desk.bare("GET", "/metrics")).text

    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["scrm_hooks_total", "oa-a", "stored"] == 1
    assert found["scrm_hooks_total", "oa-a", "refused"] == 1
    assert found["scrm_hooks_total", "", "failed"] == 1
    assert found["scrm_inbox_rows", "quarantined"] == 0
    assert found["scrm_ack_seconds_count",] == 3
    assert found["scrm_inbox_lag_seconds",] == 0


async def test_labels_do_not_grow_with_what_strangers_ask_for(desk: Office) -> None:
    for number in range(20):
        await desk.bare("POST", f"/hooks/guess-{number}", data=b"x")
        await desk.bare("GET", f"/guess-{number}")

    text = (await desk.bare("GET", "/metrics")).text

    assert "guess" not in text
    assert 'scrm_hooks_total{account="",outcome="failed"} 20.0' in text


async def test_component_pages_are_off_unless_asked_for(desk: Office, tmp_path: Path) -> None:
    assert (await desk.ask("GET", "/dev/ui", who="rep")).status == 404
    async with office(tmp_path / "dev", dev_pages=True) as dev:
        assert Page((await dev.ask("GET", "/dev/ui", who="rep")).text).elements


async def test_a_repeated_callback_is_answered_alike_and_stored_once(desk: Office) -> None:
    plain = message("oRepeated0000000000000000001", "text", Content="只说一次")

    answers = [await desk.callback("oa-a", plain) for _ in range(3)]
    await desk.quiet()

    assert {(a.status, a.text) for a in answers} == {(200, "success")}
    items = (await desk.api("GET", "/events", token="machine-admin")).json()["items"]
    assert [e["text"] for e in items] == ["只说一次"]


async def test_a_forged_altered_or_stale_callback_stores_nothing(desk: Office) -> None:
    plain = message("oForged000000000000000000001", "text", Content="伪造的话")
    query, body = desk.sealed("oa-a", plain)
    stale, old = desk.sealed("oa-a", plain, at=1_700_000_000)
    foreign, theirs = desk.sealed("oa-b", plain)
    tries = [
        ({}, body),
        (query | {"msg_signature": "0" * 40}, body),
        (query | {"timestamp": str(int(query["timestamp"]) + 1)}, body),
        (query, body.replace(b"<Encrypt>", b"<Encrypt>AAAA")),
        (stale, old),
        (foreign, theirs),
        ({}, plain.encode()),
    ]

    for params, sent in tries:
        assert (await desk.bare("POST", "/hooks/oa-a", params=params, data=sent)).status == 403

    answer = await desk.api("GET", "/inbox?state=done", token="machine-admin")
    assert (answer.json()["items"], set(answer.json()["counts"].values())) == ([], {0})


def test_many_refusals_within_a_minute_are_said_once_and_per_account() -> None:
    metrics = Metrics()

    said = [metrics.refused("oa") for _ in range(40)]

    assert [n for n, loud in enumerate(said) if loud] == [19, 39]
    assert not any(metrics.refused("kf") for _ in range(19))
