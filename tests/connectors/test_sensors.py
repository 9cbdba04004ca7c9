"""Sensors Analytics: who may send, how it is packed, and bombs."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from connectors import sensors
from connectors.sensors.events import TYPES
from connectors.sensors.packing import checksum
from scrm.contract import Call, Envelope, Receipt
from scrm.errors import Refused
from tests.connectors.support import NOW, TOKEN, account, context

QUERY = {"project": "default", "token": TOKEN}
TRACK = {"type": "track", "distinct_id": "d1", "event": "PayOrder", "time": 1772414995120, "properties": {}}


def packed(value: Any, *, gz: bool = True) -> str:
    plain = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.b64encode(gzip.compress(plain, mtime=0) if gz else plain).decode()


def call(form: dict[str, str] | bytes, query: dict[str, str] = QUERY, method: str = "POST") -> Call:
    body = form if isinstance(form, bytes) else urlencode(form).encode()
    asked = {**query, **form} if method == "GET" and isinstance(form, dict) else query
    return Call(
        method=method,
        tail="sa",
        query=CIMultiDict(asked),
        headers=CIMultiDict(),
        body=b"" if method == "GET" else body,
        received_at=NOW,
    )


def received(call: Call, **settings: str) -> Receipt:
    return sensors.receive(context(account("sensors", **settings)), call)


def understood(event: dict[str, Any], **settings: str) -> Envelope:
    ctx = context(account("sensors", **settings))
    (raw,) = sensors.receive(ctx, call({"data": packed(event), "gzip": "1"})).raws
    (one,) = sensors.translate(ctx, raw)
    return one


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"project": "default"},
        {**QUERY, "token": "x"},
        {**QUERY, "project": "other"},
        {"project": "", "token": ""},
    ],
)
def test_whoever_does_not_know_token_and_project_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(Refused):
        received(call({"data": packed(TRACK)}, query))


def test_one_event_may_bring_the_token_and_none_may_name_another_project() -> None:
    assert received(call({"data": packed({**TRACK, "token": TOKEN})}, {"project": "default"})).raws
    with pytest.raises(Refused):
        received(call({"data": packed([{**TRACK, "token": TOKEN}, TRACK])}, {"project": "default"}))
    with pytest.raises(Refused):
        received(call({"data": packed({**TRACK, "project": "other"})}))


def test_the_token_is_not_kept_with_the_event() -> None:
    assert TOKEN.encode() not in received(call({"data": packed({**TRACK, "token": TOKEN})})).raws[0].payload


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize("name", ["data", "data_list"])
def test_however_it_is_packed_it_is_the_same_event(name: str, gz: bool) -> None:
    value: Any = TRACK if name == "data" else [TRACK]

    (raw,) = received(call({name: packed(value, gz=gz), "gzip": str(int(gz))})).raws

    assert raw.source_key == received(call({"data": packed(TRACK)})).raws[0].source_key


def test_a_picture_that_is_not_one_is_answered_by_a_picture() -> None:
    receipt = received(
        call(
            {"data": packed(TRACK, gz=False), "ext": "crc=" + str(checksum(packed(TRACK, gz=False)))},
            method="GET",
        )
    )

    assert len(receipt.raws) == 1
    assert receipt.mime == "image/gif"
    assert receipt.body.startswith(b"GIF89a")


def test_a_repeat_is_the_same_although_the_sdk_writes_anew_when_it_sends() -> None:
    one, again = ({**TRACK, "_track_id": 5, "_flush_time": at} for at in (1772414996000, 1772414999000))
    keys = {received(call({"data": packed(e)})).raws[0].source_key for e in (one, again)}
    other = received(call({"data": packed({**one, "_track_id": 6})})).raws[0].source_key

    assert len(keys) == 1
    assert other not in keys


def test_the_checksum_is_java_s() -> None:
    assert checksum("hello") == 99162322
    assert checksum("polygenelubricants") == -2147483648


@pytest.mark.parametrize("name", ["crc", "ext"])
def test_a_body_that_changed_on_the_way_is_not_taken(name: str) -> None:
    data = packed(TRACK)
    told = {"crc": "{}", "ext": "crc={}"}[name]

    assert received(call({"data": data, name: told.format(checksum(data))})).raws
    assert received(call({"data": data, name: told.format(checksum(data) + 1)})).status == 400


def bomb(megabytes: int) -> bytes:
    return gzip.compress(b" " * megabytes * 1024 * 1024, mtime=0)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"data": base64.b64encode(bomb(100)).decode()}, "4 MB"),
        ({"data": base64.b64encode(gzip.compress(b"{}")[:-6]).decode()}, "不完整"),
        ({"data": base64.b64encode(gzip.compress(b"{}") * 2).decode()}, "不完整"),
        ({"data": base64.b64encode(b"\x1f\x8bxxxxxxxxxxxxxxx").decode()}, "损坏"),
        ({"data": "%%%"}, "base64"),
        ({"data": packed(b"{")}, "JSON"),
        ({"data": packed([1])}, "事件"),
        ({"data": packed(TRACK), "gzip": "9"}, "加密"),
        ({"data": packed([TRACK] * 1001)}, "1000"),
        ({"data": packed({**TRACK, "properties": {"x": "y" * 40_000}})}, "32 KB"),
        ({"data": ""}, "缺少"),
        (b"\xff\xfe", "表单"),
        (b"a=1&" * 99, "表单"),
    ],
)
def test_what_cannot_be_taken_is_answered_in_words(form: Any, words: str) -> None:
    receipt = received(call(form))

    assert receipt.status == 400
    assert receipt.raws == ()
    assert words in receipt.body.decode()


def test_what_was_set_once_never_wins_over_what_was_set() -> None:
    told = {"distinct_id": "u", "time": 1772414995120, "properties": {"$is_login_id": True, "city": "杭州"}}
    (once,) = understood({**told, "type": "profile_set_once"}).facts
    (later,) = understood({**told, "type": "profile_set_once", "time": told["time"] + 60_000}).facts
    (plain,) = understood({**told, "type": "profile_set"}).facts

    assert once.key == later.key == plain.key
    assert once.rank is not None
    assert later.rank is not None
    assert 0 < later.rank < once.rank < NOW.timestamp() * 1_000_000 * 0.5
    assert plain.rank is None  # by its time, in microseconds
    assert "u" not in once.key.split(":")


def test_on_servers_every_id_may_be_a_user() -> None:
    assert [h.kind for h in understood(TRACK).handles] == ["app_anon"]
    assert [h.kind for h in understood(TRACK, distinct_id="user").handles] == ["app_user"]


@pytest.mark.parametrize(("method", "tail"), [("PUT", "sa"), ("POST", "debug"), ("POST", "config/x")])
def test_other_doors_are_closed(method: str, tail: str) -> None:
    made = call({"data": packed(TRACK)})

    with pytest.raises(Refused):
        received(
            Call(method=method, tail=tail, query=made.query, headers={}, body=made.body, received_at=NOW)
        )


async def test_the_self_test_says_where_to_send_and_warns_when_anybody_may() -> None:
    (fine,) = await sensors.probe(context(account("sensors")))
    bare = account("sensors")
    open_to_all = await sensors.probe(context(type(bare)(
        tenant_id=1, account_id=1, slug="s", channel="sensors", name="s", options={}, secrets={}
    )))  # fmt: skip

    assert fine.severity == "ok"
    assert open_to_all[0].severity == "warn"


NAMES = st.sampled_from(
    ["type", "event", "distinct_id", "original_id", "login_id", "anonymous_id", "identities", "properties",
     "time", "_flush_time", "$is_login_id", "$identity_login_id", "$identity_mobile", "$name", "phone"]
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([*TYPES, "$pageview", "u1", ""])
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)


@given(value=st.dictionaries(NAMES, VALUES, max_size=9) | VALUES, gz=st.booleans())
def test_whatever_an_app_sends_is_refused_or_stored_and_understood(value: Any, gz: bool) -> None:
    ctx = context(account("sensors"))
    try:
        raws = sensors.receive(ctx, call({"data": packed(value, gz=gz)})).raws
    except Refused:
        return
    for raw in raws:
        (made,) = sensors.translate(ctx, raw)
        assert json.loads(json.dumps(made.body)) == made.body
        assert made.kind.startswith("event.")
