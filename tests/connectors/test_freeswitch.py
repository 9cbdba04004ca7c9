"""FreeSWITCH: every wrapping of a record reads the same; which legs are one call; who was outside."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import freeswitch
from connectors.freeswitch.legs import Leg
from scrm.contract import Account, Call, Envelope
from scrm.errors import Refused, Untranslatable
from tests.connectors.support import NOW, account, context

FORM, BASE64 = "application/x-www-form-urlencoded", "application/x-www-form-base64-encoded"
MOBILE, HOTLINE = "13800138000", "02087654321"


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


def call(
    body: bytes, ctype: str = "application/json", *, auth: str = "fs:app-secret", method: str = "POST"
) -> Call:
    headers = {"Content-Type": ctype, **({"Authorization": basic(auth)} if auth else {})}
    return Call(method=method, tail="", query={}, headers=headers, body=body, received_at=NOW)


def record(variables: dict[str, str], *, twice: bool = True, **profile: Any) -> dict[str, Any]:
    said = {"uuid": "A", "start_epoch": "1772414700", "billsec": "10", **variables}
    return {
        "variables": {k: quote(v, safe="") for k, v in said.items()} if twice else said,
        "callflow": [
            {"caller_profile": {"caller_id_number": MOBILE, "destination_number": HOTLINE, **profile}}
        ],
    }


def read(document: dict[str, Any], of: Account | None = None) -> Envelope:
    ctx = context(of or account("freeswitch"))
    (raw,) = freeswitch.receive(ctx, call(json.dumps(document).encode())).raws
    (made,) = freeswitch.translate(ctx, raw)
    return made


PATH = "/rec/2026 03/张三+李四 50%.wav"
WRAPPED = {
    "json": lambda plain: (plain, "application/json"),
    "form": lambda plain: (b"cdr=" + quote(plain, safe="").encode(), FORM),
    "form-with-lone-percent-signs-escaped": lambda plain: (b"cdr=" + quote(plain).encode(), FORM),
    "base64": lambda plain: (b"cdr=" + base64.b64encode(plain), BASE64),
    "base64-escaped": lambda plain: (b"cdr=" + quote(base64.b64encode(plain), safe="").encode(), BASE64),
    "json-called-a-form": lambda plain: (plain, FORM),
}


@pytest.mark.parametrize("twice", [True, False], ids=["values-encoded", "values-plain"])
@pytest.mark.parametrize("wrapping", WRAPPED)
def test_every_wrapping_reads_the_same(wrapping: str, twice: bool) -> None:
    document = record({"record_path": PATH if twice else "/rec/张三.wav"}, twice=twice)
    body, ctype = WRAPPED[wrapping](json.dumps(document, ensure_ascii=False).encode())
    ctx = context(account("freeswitch"))

    (raw,) = freeswitch.receive(ctx, call(body, ctype)).raws
    (made,) = freeswitch.translate(ctx, raw)

    assert raw.source_key == "leg:A"
    assert made.text == "呼入 · 10 秒 · 已接通"
    assert [p.ref for p in made.pieces] == [PATH if twice else "/rec/张三.wav"]


@pytest.mark.parametrize("auth", ["fs:app-secret", "app-secret:", ":app-secret", "app-secret:x"])
def test_the_secret_may_stand_as_user_or_password(auth: str) -> None:
    assert freeswitch.receive(
        context(account("freeswitch")), call(b'{"variables":{"uuid":"A"}}', auth=auth)
    ).raws


@pytest.mark.parametrize("auth", ["", "fs:app-secreT", "fs:", ":", "fs:app-secret2", "app-secre:t"])
def test_anything_else_is_refused(auth: str) -> None:
    with pytest.raises(Refused):
        freeswitch.receive(context(account("freeswitch")), call(b'{"variables":{"uuid":"A"}}', auth=auth))


def test_an_account_without_a_secret_takes_nothing() -> None:
    bare = replace(account("freeswitch"), secrets={})

    with pytest.raises(Refused):
        freeswitch.receive(context(bare), call(b"{}", auth=":"))


ORIGINATOR = {"originator": {"originator_caller_profiles": [{"uuid": "A"}]}}
#: What the two legs say of each other, by how old and how careful the switch is.
PAIRS: dict[str, tuple[tuple[dict[str, str], dict[str, Any]], tuple[dict[str, str], dict[str, Any]]]] = {
    "both name the call": (
        ({"call_uuid": "A", "bridge_uuid": "B", "direction": "inbound"}, {}),
        ({"uuid": "B", "call_uuid": "A", "bridge_uuid": "A", "direction": "outbound"}, {}),
    ),
    "each its own call id, the profile knows who made it": (
        ({"call_uuid": "A", "bridge_uuid": "B"}, {}),
        ({"uuid": "B", "call_uuid": "B", "bridge_uuid": "A"}, ORIGINATOR),
    ),
    "each its own call id and nothing but the bridge": (
        ({"call_uuid": "A", "bridge_uuid": "B", "direction": "inbound"}, {}),
        ({"uuid": "B", "call_uuid": "B", "bridge_uuid": "A", "direction": "outbound"}, {}),
    ),
    "no call ids at all": (
        ({"bridge_uuid": "B", "direction": "inbound"}, {}),
        ({"uuid": "B", "bridge_uuid": "A", "direction": "outbound"}, {}),
    ),
    "no call ids and no directions": (
        ({"bridge_uuid": "B"}, {}),
        ({"uuid": "B", "bridge_uuid": "A"}, {}),
    ),
    "the second leg was never bridged": (
        ({"call_uuid": "A", "direction": "inbound"}, {}),
        ({"uuid": "B", "originating_leg_uuid": "A", "direction": "outbound"}, {}),
    ),
    "we rang our colleague first": (
        ({"call_uuid": "A", "bridge_uuid": "B", "direction": "outbound"}, {"originatee": {}}),
        ({"uuid": "B", "call_uuid": "A", "bridge_uuid": "A", "direction": "outbound"}, {}),
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_two_legs_name_the_same_call(pair: str) -> None:
    first, second = (Leg.of(record(variables, **profile)) for variables, profile in PAIRS[pair])

    assert first.names[0] == second.names[0] == "A"
    assert (first.second, second.second) == (False, True)


def test_legs_of_other_calls_do_not() -> None:
    assert Leg.of(record({"call_uuid": "A"})).names == ("A",)
    assert Leg.of(record({"uuid": "C", "call_uuid": "C"})).names == ("C",)


OUTSIDE = [
    # caller, callee, more, lines -> direction, customer
    (MOBILE, HOTLINE, {}, "", "in", "+8613800138000"),
    (MOBILE, "8001", {}, "", "in", "+8613800138000"),
    ("8001", MOBILE, {}, "", "out", "+8613800138000"),
    ("8001", "013900139000", {}, "", "out", "+8613900139000"),
    # The second leg of a call we make: our line is shown to the customer.
    (HOTLINE, MOBILE, {"uuid": "B", "call_uuid": "A"}, "", "out", "+8613800138000"),
    (HOTLINE, MOBILE, {}, HOTLINE, "out", "+8613800138000"),
    (MOBILE, "13900139000", {"uuid": "B", "call_uuid": "A"}, HOTLINE, "in", "+8613800138000"),
    (HOTLINE, MOBILE, {"call_direction": "outbound"}, "", "out", "+8613800138000"),
]


@pytest.mark.parametrize(("caller", "callee", "more", "lines", "way", "customer"), OUTSIDE)
def test_who_is_outside_decides_the_direction(
    caller: str, callee: str, more: dict[str, str], lines: str, way: str, customer: str
) -> None:
    made = read(
        record(more, caller_id_number=caller, destination_number=callee), account("freeswitch", lines=lines)
    )

    assert made.direction == way
    assert [h.value for h in made.handles if h.kind == "phone"] == [customer]


def test_a_caller_only_a_machine_answered_waits_for_us() -> None:
    menu = read(record({"last_app": "ivr"}))
    reached = read(record({"last_app": "ivr", "bridge_uuid": "B", "call_uuid": "A"}))

    assert (menu.kind, menu.text) == ("message.call.missed", "呼入 · 未接（在语音菜单或排队时挂断）")
    assert reached.kind == "message.call"


@pytest.mark.parametrize(
    "payload", [b"[]", b"{}", b"\xff", b'{"variables":[]}', b'{"variables":{"uuid":"A"}}', b"[" * 3000]
)
def test_what_is_no_record_is_kept_and_quarantined(payload: bytes) -> None:
    ctx = context(account("freeswitch"))
    (raw,) = freeswitch.receive(ctx, call(payload)).raws

    with pytest.raises(Untranslatable):
        freeswitch.translate(ctx, raw)


WORDS = st.sampled_from(
    ["A", "B", "", "0", "99999999999999999999", MOBILE, "%E5%BC%A0", "inbound"]
) | st.text(max_size=9)
VALUES = st.recursive(
    WORDS | st.integers() | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["uuid", "call_uuid", "bridge_uuid", "start_epoch", "start_uepoch", "billsec", "duration", "record_path",
     "hangup_cause", "cc_agent", "direction", "last_app", "sip_from_user"]
)  # fmt: skip


@given(
    variables=st.dictionaries(NAMES, VALUES, max_size=8) | VALUES,
    profile=st.dictionaries(
        st.sampled_from(["uuid", "caller_id_number", "destination_number", "originator"]), VALUES
    ),
    ctype=st.sampled_from([FORM, BASE64, "application/json", ""]),
)
def test_whatever_a_record_holds_it_is_understood_or_quarantined(
    variables: Any, profile: Any, ctype: str
) -> None:
    ctx = context(account("freeswitch"))
    document = {"variables": variables, "callflow": [{"caller_profile": profile}]}
    (raw,) = freeswitch.receive(ctx, call(json.dumps(document).encode(), ctype)).raws

    try:
        made = freeswitch.translate(ctx, raw)
    except Untranslatable:
        return
    for one in made:
        json.dumps(one.body).encode()


@given(body=st.binary(max_size=200), ctype=st.sampled_from([FORM, BASE64, "application/json", ""]))
def test_any_bytes_are_stored_once_they_are_let_in(body: bytes, ctype: str) -> None:
    (raw,) = freeswitch.receive(context(account("freeswitch")), call(body, ctype)).raws

    assert raw.source_key
