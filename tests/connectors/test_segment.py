"""Segment's API: who may send, how much at once, and whatever else arrives."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from connectors import segment
from connectors.segment.events import TYPES
from scrm.contract import Call, Envelope, Raw, Receipt
from scrm.errors import Refused
from tests.connectors.support import NOW, account, context

KEY = "wk_7Qm2Xc9vR4tB8nLs"


def basic(user: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:".encode()).decode()}


def call(tail: str, body: Any, headers: Mapping[str, str] | None = None, method: str = "POST") -> Call:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = basic(KEY) if headers is None else headers
    return Call(method=method, tail=tail, query={}, headers=CIMultiDict(given), body=content, received_at=NOW)


def received(call: Call, **settings: str) -> Receipt:
    return segment.receive(context(account("segment", write_key=KEY, **settings)), call)


def understood(raw: Raw, **settings: str) -> Envelope:
    (one,) = segment.translate(context(account("segment", write_key=KEY, **settings)), raw)
    return one


TRACK = {"userId": "u1", "event": "Order Completed", "messageId": "m-1", "properties": {}}


@pytest.mark.parametrize(
    "headers",
    [
        basic("somebody-elses"),
        basic(KEY + "x"),
        basic(""),
        {"Authorization": "Basic %%%"},
        {"Authorization": "Basic"},
        {"Authorization": f"Bearer {KEY}"},
        {},
    ],
)
@pytest.mark.parametrize("body", [TRACK, {**TRACK, "writeKey": "x"}, {**TRACK, "writeKey": ["x"]}])
def test_whoever_does_not_know_the_key_is_refused(headers: dict[str, str], body: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        received(call("v1/track", body, headers))


def test_an_account_without_a_key_takes_nothing() -> None:
    for headers in ({}, basic("")):
        with pytest.raises(Refused):
            segment.receive(context(account("segment")), call("v1/track", TRACK, headers))


def test_a_browser_may_give_the_key_in_the_body() -> None:
    assert received(call("v1/t", {**TRACK, "writeKey": KEY}, {})).raws
    assert b"writeKey" not in received(call("v1/t", {**TRACK, "writeKey": KEY}, {})).raws[0].payload


def test_a_wrong_key_in_the_header_is_not_healed_by_the_body() -> None:
    with pytest.raises(Refused):
        received(call("v1/t", {**TRACK, "writeKey": KEY}, basic("wrong")))


def test_the_same_message_sent_again_has_the_same_name() -> None:
    first = received(call("v1/track", {**TRACK, "sentAt": "2026-03-02T01:29:00Z"})).raws
    later = replace(call("v1/batch", {"batch": [{**TRACK, "type": "track"}]}), received_at=NOW + timedelta(1))

    assert [r.source_key for r in received(later).raws] == [r.source_key for r in first] == ["seg:m-1"]


def test_a_message_without_an_id_is_named_by_what_it_says() -> None:
    one, other = ({"userId": "u", "event": "E", "properties": {"n": n}} for n in (1, 2))
    keys = [received(call("v1/track", body)).raws[0].source_key for body in (one, one, other)]

    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("tail", "body", "words"),
    [
        ("v1/batch", {"batch": [{"type": "track", "x": "y" * 33_000}]}, "32 KB"),
        ("v1/batch", {"batch": [{"type": "track", "x": "y" * 30_000}] * 18}, "500 KB"),
        ("v1/batch", {"batch": ["x"]}, "数组"),
        ("v1/batch", {}, "数组"),
        ("v1/nothing", {}, "没有 /v1/nothing"),
        ("v1/track", b"{", "JSON"),
    ],
)
def test_what_cannot_be_taken_is_answered_in_words(tail: str, body: Any, words: str) -> None:
    headers = {**basic(KEY)}

    receipt = (
        received(call(tail, body, headers)) if not isinstance(body, bytes) else received(call(tail, body))
    )

    assert receipt.status == 400
    assert receipt.raws == ()
    assert words in json.loads(receipt.body)["message"]


def test_a_batch_just_below_the_limit_is_taken_whole() -> None:
    batch = [{"type": "track", "userId": "u", "event": "E", "messageId": str(n)} for n in range(2000)]

    assert len(received(call("v1/batch", {"batch": batch})).raws) == 2000


def test_only_a_site_on_the_list_may_read_the_answer() -> None:
    sites = {"origins": "https://shop.example https://m.shop.example"}
    ours = call("v1/track", TRACK, {**basic(KEY), "Origin": "https://m.shop.example"})
    theirs = call("v1/track", TRACK, {**basic(KEY), "Origin": "https://evil.example"})

    assert received(ours, **sites).headers["Access-Control-Allow-Origin"] == "https://m.shop.example"
    assert received(theirs, **sites).headers == {}
    assert received(ours).headers == {}


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
def test_only_posts_are_taken(method: str) -> None:
    with pytest.raises(Refused):
        received(call("v1/track", TRACK, method=method))


def test_fields_that_mean_something_to_pages_never_come_from_outside() -> None:
    raw = received(call("v1/track", {**TRACK, "_welcome": {"code": "x"}, "media": {"id": "x"}})).raws[0]

    assert {"_welcome", "media"} & understood(raw).body.keys() == set()


def test_a_track_says_nothing_about_whose_device_it_was() -> None:
    """Only signing in does: a family shares a tablet."""
    raw = received(call("v1/track", {**TRACK, "anonymousId": "device"})).raws[0]

    assert [h.kind for h in understood(raw).handles] == ["app_user"]
    assert understood(raw).links == ()


NAMES = st.sampled_from(
    ["type", "event", "name", "userId", "anonymousId", "previousId", "groupId", "messageId", "timestamp",
     "sentAt", "traits", "properties", "context", "phone", "email", "unionid"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([*TYPES, "13800138000", "a@b.cn", ""])
    | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)  # fmt: skip


@given(body=st.dictionaries(NAMES | st.just("batch"), VALUES, max_size=9) | VALUES, tail=st.sampled_from(
    ["v1/batch", "v1/identify", "v1/alias", "v1/group", "v1/page", "v1/track", "", "v1/m", "../x"]
))  # fmt: skip
def test_whatever_an_app_sends_is_refused_or_stored_and_understood(body: Any, tail: str) -> None:
    try:
        raws = received(call(tail, body)).raws
    except Refused:
        return
    for raw in raws:
        made = understood(raw)
        assert json.loads(json.dumps(made.body)) == made.body
        assert made.kind.startswith("event.")
        assert made.at.tzinfo is not None
