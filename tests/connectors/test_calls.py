"""Call reports of any platform: who may push, what a mapping means, where recordings may be fetched from."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import calls
from connectors.calls.mappings import PRESETS, read
from connectors.kit.calls import recording, spell, whole_s
from connectors.kit.signed import signature
from scrm.contract import Account, Call, Context, Media, Severity
from scrm.errors import BadConfig, Refused, Rejected, Untranslatable
from tests.connectors.support import NOW, account, asked, context

OWN: dict[str, Any] = {
    "title": "自己的",
    "auth": "path",
    "fields": {"call_id": "id", "caller": ["a", "b"], "state": {"from": "s", "values": {"1": "ringing"}}},
}


def push(body: Any, *, tail: str = "app-secret", peer: str = "", **headers: str) -> Call:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Call(method="POST", tail=tail, query={}, headers=headers, body=content, received_at=NOW, peer=peer)


def own(**change: Any) -> Account:
    return account("calls", mapping=json.dumps(OWN | change))


# -- doors -------------------------------------------------------------------------------------------------
def test_the_secret_in_the_address_is_checked_whole() -> None:
    ctx = context(account("calls", mapping="aliyun"))

    assert calls.receive(ctx, push([{"call_id": "1"}])).raws
    for tail in ("", "app-secre", "app-secret2", "APP-SECRET", "app-secret/x"):
        with pytest.raises(Refused):
            calls.receive(ctx, push([{"call_id": "1"}], tail=tail))


@pytest.mark.parametrize(
    ("peer", "let_in"),
    [
        ("47.96.1.2", True),
        ("47.97.0.1", False),
        ("203.0.113.9", True),
        ("", False),
        ("::1", False),
        ("x", False),
    ],
)
def test_a_source_is_let_in_by_its_network(peer: str, let_in: bool) -> None:
    ctx = context(account("calls", auth="sources", sources="47.96.0.0/16, 203.0.113.9"))
    call = push({"call_id": "1"}, tail="", peer=peer)

    if let_in:
        assert calls.receive(ctx, call).raws
        return
    with pytest.raises(Refused):
        calls.receive(ctx, call)


def test_no_sources_let_nobody_in() -> None:
    with pytest.raises(Refused):
        calls.receive(context(account("calls", auth="sources")), push({"call_id": "1"}, peer="47.96.1.2"))


def test_a_stale_signature_is_refused() -> None:
    body, old = b'{"call_id":"1"}', str(int(NOW.timestamp()) - 601)
    headers = {"X-Scrm-Timestamp": old, "X-Scrm-Signature": signature("app-secret", old, body)}

    with pytest.raises(Refused):
        calls.receive(context(account("calls")), push(body, **headers))
    assert calls.receive(context(account("calls", max_age_s=0)), push(body, **headers)).raws


# -- mappings ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fields": {"caller": "a"}}, "call_id"),
        ({"fields": {"call_id": "id", "colour": "c"}}, "colour"),
        ({"fields": {"call_id": "a..b"}}, "a..b"),
        ({"fields": {"call_id": "id", "state": {"default": "sleeping"}}}, "sleeping"),
        ({"fields": {"call_id": 5}}, r"\$\.fields"),
        ({"auth": "none"}, r"\$\.auth"),
        ({"zone": "Mars/Olympus"}, "Mars"),
        ({"titel": "x"}, "titel"),
    ],
)
def test_a_wrong_mapping_says_what_is_wrong(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadConfig, match=words):
        read(json.dumps(OWN | change))


@pytest.mark.parametrize("text", ["nobody", "../generic", "{", "{}"])
def test_what_is_no_mapping_is_said_so_and_refuses_every_push(text: str) -> None:
    ctx = context(account("calls", mapping=text))
    (finding,) = asyncio.run(calls.probe(ctx))

    assert finding.severity is Severity.ERROR
    with pytest.raises(Refused):
        calls.receive(ctx, push({"call_id": "1"}))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_read_and_says_what_it_is(name: str) -> None:
    assert read(name).title
    assert json.loads(read(name).answer) is not None


def test_a_mapping_of_one_s_own_is_followed() -> None:
    ctx = context(own(body="form", many=False, answer={"code": 0}))

    receipt = calls.receive(ctx, push(b"id=7&b=13800138000&s=1&started=x"))
    (made,) = calls.translate(ctx, receipt.raws[0])

    assert receipt.body == b'{"code":0}'
    assert (made.kind, made.whole) == ("event.call.ringing", ("call:7",))
    assert made.handles[0].value == "+8613800138000"


def test_a_state_nobody_explained_is_quarantined_with_its_name() -> None:
    ctx = context(own())
    (raw,) = calls.receive(ctx, push({"id": "7", "s": "whistling"})).raws

    with pytest.raises(Untranslatable, match="whistling"):
        calls.translate(ctx, raw)


def test_a_list_in_a_field_is_as_many_reports() -> None:
    ctx = context(own(many="items"))

    raws = calls.receive(ctx, push({"items": [{"id": "1"}, {"id": "2"}]})).raws

    assert [raw.lane for raw in raws] == ["1", "2"]
    assert len({raw.source_key for raw in raws}) == 2


def test_a_retry_is_the_same_row_and_another_stage_is_not() -> None:
    ctx = context(own())
    first, again = (calls.receive(ctx, push({"id": "1", "s": "1"})).raws[0] for _ in range(2))
    other = calls.receive(ctx, push({"id": "1", "s": "ended"})).raws[0]

    assert first == again
    assert first.source_key != other.source_key
    assert first.lane == other.lane


PATHS = st.sampled_from(["id", "a", "b", "s"])
VALUES = st.recursive(
    st.text(max_size=8) | st.integers() | st.none() | st.floats() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PATHS, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("name", PRESETS)
@given(body=VALUES.map(lambda v: json.dumps(v).encode()) | st.binary(max_size=60))
def test_whatever_is_pushed_is_understood_or_quarantined(name: str, body: bytes) -> None:
    ctx = context(account("calls", mapping=name, auth="path"))

    for raw in calls.receive(ctx, push(body)).raws:
        try:
            made = calls.translate(ctx, raw)
        except Untranslatable:
            continue
        for one in made:
            json.dumps(one.body).encode()


@given(
    report=st.dictionaries(
        st.sampled_from(["call_id", "event", "direction", "caller", "callee", "started_at", "ended_at",
                         "answered_at", "talk_s", "recording_url", "agent"]),
        st.text(max_size=12)
        | st.integers()
        | st.sampled_from(["ended", "in", "13800138000", "1772415000", "1e999"]),
    )
)  # fmt: skip
def test_whatever_a_report_says_it_is_understood_or_quarantined(report: dict[str, Any]) -> None:
    ctx = context(account("calls", auth="path"))
    (raw,) = calls.receive(ctx, push(report)).raws

    try:
        (made,) = calls.translate(ctx, raw)
    except Untranslatable:
        return
    assert made.at.tzinfo is not None


# -- recordings --------------------------------------------------------------------------------------------
BASE = {"recordings_base": "http://10.0.3.7/rec", "recordings_root": "/var/rec"}


def fetching(of: Account, path: str) -> Context:
    return context(of, {path: Media(name="x.wav", mime="audio/wav", content=b"RIFF")})


@pytest.mark.parametrize(
    ("ref", "path"),
    [
        ("/var/rec/2026/a b.wav", "/rec/2026/a%20b.wav"),
        ("2026/张.wav", "/rec/2026/%E5%BC%A0.wav"),
        ("http://10.0.3.7/rec/1.wav", "/rec/1.wav"),
        ("https://cos.example.com/1.mp3", "/1.mp3"),
    ],
)
def test_a_recording_is_where_the_base_says(ref: str, path: str) -> None:
    ctx = fetching(account("calls", **BASE), path)

    assert asyncio.run(recording(ctx, ref)).content == b"RIFF"
    assert asked(ctx).paths() == [path]


@pytest.mark.parametrize(
    "ref", ["/var/rec/../../etc/passwd", "file:///etc/passwd", "gopher://x/1", "../x.wav"]
)
def test_an_address_that_is_none_is_not_asked_for(ref: str) -> None:
    ctx = context(account("calls", **BASE), {})

    with pytest.raises(Rejected):
        asyncio.run(recording(ctx, ref))
    assert asked(ctx).calls == []


def test_a_path_without_a_base_says_what_is_missing() -> None:
    with pytest.raises(Rejected, match="recordings_base"):
        asyncio.run(recording(context(account("calls"), {}), "/var/rec/1.wav"))


# -- small things ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 秒"), (62, "1 分 2 秒"), (192, "3 分 12 秒"), (3600, "1 小时"), (3725, "1 小时 2 分 5 秒")],
)
def test_a_time_is_spelled(seconds: int, words: str) -> None:
    assert spell(seconds) == words


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("50", 50), (51, 51), ("3.7", 3), ("00:03:12", 192), ("3:12", 192), ("", None), ("-5", 0)],
)
def test_seconds_come_in_many_forms(written: object, seconds: int | None) -> None:
    assert whole_s(written) == seconds


def test_a_short_secret_is_said_to_be_short() -> None:
    short = replace(account("calls"), secrets={"secret": "abc"})

    assert Severity.WARN in {f.severity for f in asyncio.run(calls.probe(context(short)))}
