"""The mini-program beyond its fixtures: its two doors, windows, and what a login is worth."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import miniprogram
from connectors.kit.signed import SIGNATURE, TIMESTAMP, signature
from scrm.contract import Call, Envelope, Raw
from scrm.errors import Refused, Untranslatable
from tests.connectors.support import MINI_ID, NOW, account, context, sealed_call

OPENID, SECRET = "oM1n7pRt5Wy8Zb2Dg4Fj6Hk9LqXv", "app-secret"
SAMPLE = {"openid": OPENID, "unionid": "oU1", "app_user": "u1", "phone": "13800138000", "name": "小明妈妈"}


def login(body: Any, *, secret: str = SECRET, away: timedelta = timedelta()) -> Call:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    stamp = str(int((NOW + away).timestamp()))
    headers = {TIMESTAMP: stamp, SIGNATURE: signature(secret, stamp, content)}
    return Call(method="POST", tail="login", query={}, headers=headers, body=content, received_at=NOW)


def taken(call: Call, **own: str) -> Raw:
    (raw,) = miniprogram.receive(context(account("miniprogram", **own)), call).raws
    return raw


def read(raw: Raw, **own: str) -> Envelope:
    (envelope,) = miniprogram.translate(context(account("miniprogram", **own)), raw)
    return envelope


def test_a_login_is_evidence_by_what_it_says() -> None:
    envelope = read(taken(login(SAMPLE)), open_subject="school")

    assert {(h.kind, h.scope, h.value) for h in envelope.handles} == {
        ("wechat_openid", MINI_ID, OPENID),
        ("app_user", "school", "u1"),
        ("phone", "e164", "+8613800138000"),
        ("wechat_unionid", "school", "oU1"),
    }
    assert {(link.rule, link.strength) for link in envelope.links} == {
        ("app_login", 90),
        ("app_unionid", 85),
        ("app_phone", 75),
    }
    assert envelope.direction == "none"


def test_the_same_login_again_is_the_same_thing_and_another_phone_is_another() -> None:
    first, later = taken(login(SAMPLE)), taken(login(SAMPLE, away=timedelta(seconds=300)))
    other = taken(login({**SAMPLE, "phone": "13900139000"}))

    assert first.source_key == later.source_key
    assert first.source_key != other.source_key
    assert first.lane == OPENID


@pytest.mark.parametrize(
    "call",
    [
        login(SAMPLE, secret="another"),
        login(SAMPLE, away=timedelta(seconds=-601)),
        login(SAMPLE, away=timedelta(seconds=601)),
        replace(login(SAMPLE), body=b'{"openid":"oEvil"}'),
        replace(login(SAMPLE), headers={}),
        replace(login(SAMPLE), method="GET"),
        replace(login(SAMPLE), tail="logout"),
        login({}),
        login({"openid": ""}),
        login({"openid": "\n"}),
        login({"openid": 5}),
        login([SAMPLE]),
        login(b"no json"),
        login({"openid": OPENID, "encrypted": {"session_key": "a", "iv": "b", "data": "c"}}),
    ],
)
def test_a_login_that_is_forged_stale_or_says_nothing_is_refused(call: Call) -> None:
    with pytest.raises(Refused):
        miniprogram.receive(context(account("miniprogram")), call)


def test_the_callback_door_does_not_take_logins_nor_the_login_door_callbacks() -> None:
    ctx = context(account("miniprogram"))
    callback = sealed_call(b'{"MsgType":"text"}', to=MINI_ID, envelope="json")

    with pytest.raises(Refused):
        miniprogram.receive(ctx, replace(login(SAMPLE), tail=""))
    with pytest.raises(Refused):
        miniprogram.receive(ctx, replace(callback, tail="login"))


def test_no_key_of_a_sealed_phone_is_kept() -> None:
    fixtures = Path(miniprogram.__path__[0]) / "fixtures/logins.json"
    cases = json.loads(fixtures.read_text("utf-8"))["cases"]
    given = json.loads(next(c for c in cases if c["name"] == "sealed-phone")["call"]["body"])

    raw = taken(login(given))

    assert all(secret.encode() not in raw.payload for secret in given["encrypted"].values())
    assert [h.value for h in read(raw).handles if h.kind == "phone"] == ["+8613900139000"]


NAMES = st.sampled_from([*SAMPLE, "encrypted", "iv", "data", "session_key"])
BODIES = st.recursive(
    st.text(max_size=8) | st.integers() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
    max_leaves=8,
)


@given(body=BODIES)
def test_whatever_the_own_server_signs_is_refused_or_understood(body: Any) -> None:
    try:
        raw = taken(login(body))
    except Refused:
        return
    assert all(handle.value for handle in read(raw).handles)


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{}", b'{"at":"x","claims":{}}', b'{"at":1e99,"claims":{"openid":"o"}}']
)
def test_a_stored_login_that_cannot_be_read_is_quarantined(payload: bytes) -> None:
    with pytest.raises(Untranslatable):
        read(Raw(source_key="login:x", lane="-", payload=payload))


def test_entering_a_conversation_opens_a_small_window_and_words_a_large_one() -> None:
    words, entering = miniprogram.WINDOWS

    assert (words.opens, words.seconds, words.count) == (("message.",), 48 * 3600, 5)
    assert (entering.opens, entering.seconds, entering.count) == (("event.tempsession.entered",), 60, 2)


def test_a_worded_message_id_is_kept_as_it_is() -> None:
    body = {
        "FromUserName": OPENID,
        "CreateTime": 1772415000,
        "MsgType": "text",
        "Content": "在吗",
        "MsgId": "m-1",
    }

    raw = taken(sealed_call(json.dumps(body).encode(), to=MINI_ID, envelope="json"))

    assert (raw.source_key, raw.urgent, read(raw).seq) == ("msg:m-1", True, None)
