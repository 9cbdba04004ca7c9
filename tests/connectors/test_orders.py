"""Orders: who is who in them, what a wrong document is told, and that the published schema is the code's."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import orders
from connectors.kit.shapes import schema
from connectors.kit.signed import SIGNATURE, TIMESTAMP, signature
from connectors.orders.documents import Anything
from scrm.contract import Call, Envelope, Receipt
from scrm.errors import Refused, Untranslatable
from tests.connectors.support import NOW, account, context

SECRET = "orders-secret-0123456789abcdef-0123"
ACCOUNT = account("orders", secret=SECRET, users="oak", corp_id="ww1")
ORDER: dict[str, Any] = {
    "type": "order",
    "id": "D1",
    "at": "2026-03-02T09:29:00+08:00",
    "status": "paid",
    "buyer": {"app_user": "u1", "phone": "13800138000"},
    "items": [{"product": "p1", "amount": 100}],
    "total": 100,
}


def call(body: bytes, *, secret: str = SECRET, away: timedelta = timedelta()) -> Call:
    now = str(int((NOW + away).timestamp()))
    headers = {TIMESTAMP: now, SIGNATURE: signature(secret, now, body)}
    return Call(method="POST", tail="", query={}, headers=headers, body=body, received_at=NOW)


def posted(document: object) -> Receipt:
    return orders.receive(context(ACCOUNT), call(json.dumps(document).encode()))


def understood(document: object) -> Envelope:
    (envelope,) = orders.translate(context(ACCOUNT), posted(document).raws[0])
    return envelope


def test_a_payer_who_is_the_buyer_makes_no_family() -> None:
    made = understood(ORDER | {"payer": {"phone": "+86 138-0013-8000"}})

    assert {link.kind for link in made.links} == {"same_person"}
    assert "others" in made.body
    assert made.body["others"] == {}


def test_another_payer_is_family_and_never_the_same_person() -> None:
    made = understood(ORDER | {"payer": {"phone": "13900139000", "name": "爸爸"}})

    (tie,) = [link for link in made.links if link.kind == "same_household"]
    assert (tie.a.value, tie.b.value) == ("u1", "+8613900139000")


CONTRACT: dict[str, Any] = {
    "type": "contract",
    "id": "H1",
    "at": "2026-03-02T09:29:00+08:00",
    "status": "signed",
    "signatories": [
        {"phone": "13800138001", "name": "王芳", "id_card": "11010519870203004x"},
        {"phone": "13900139001", "name": "李强", "relation": "spouse"},
        {"phone": "13900139002", "name": "周浩", "relation": "other"},
    ],
}


def test_who_signs_together_is_family_but_not_who_only_vouches() -> None:
    made = understood(CONTRACT)

    (tie,) = [link for link in made.links if link.kind == "same_household"]
    assert (tie.a.value, tie.b.value) == ("+8613800138001", "+8613900139001")
    assert len(made.body["others"]["signatories"]) == 3


@pytest.mark.parametrize(
    ("number", "kept"), [("11010519870203004x", True), ("110105190001010000", False), ("1", False)]
)
def test_an_id_card_proves_who_signed_and_its_number_is_kept_nowhere(number: str, kept: bool) -> None:
    made = understood(CONTRACT | {"signatories": [{"phone": "13800138001", "id_card": number}]})

    assert ("id_card" in {h.kind for h in made.handles}) is kept
    assert number.upper() not in repr(made).upper() or len(number) == 1
    assert "id_card" not in made.body["contract"]["signatories"][0]


def test_a_lesson_is_the_childs_and_ties_the_account_it_was_booked_on() -> None:
    lesson = {"type": "lesson", "id": "K1", "at": ORDER["at"], "status": "attended", "learner": {"id": "L1"}}
    made = understood(lesson | {"account": {"app_user": "u1"}})

    assert [(h.kind, h.part) for h in made.handles] == [("learner", "actor"), ("app_user", "about")]
    assert [(link.rule, link.kind) for link in made.links] == [("lesson_account", "same_household")]
    assert understood(lesson).links == ()


def test_who_sent_a_buyer_here_is_named_and_no_family() -> None:
    made = understood(ORDER | {"referrer": {"app_user": "u9"}})

    assert made.body["others"]["referrer"] == ["app_user", "oak", "u9"]
    assert "u9" not in {h.value for h in made.handles}
    assert all(link.kind == "same_person" for link in made.links)


def test_the_same_document_written_differently_is_the_same_row() -> None:
    turned = dict(reversed(ORDER.items()))

    assert posted(ORDER).raws[0].source_key == posted({"items": [turned]}).raws[0].source_key
    assert posted(ORDER).raws[0].source_key != posted(ORDER | {"total": 99}).raws[0].source_key


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"total": "100"}, "$.total：Expected int"),
        ({"at": "2026-03-02T09:29:00"}, "$.at："),
        ({"status": "bought"}, "$.status："),
        ({"colour": "red"}, "colour"),
        ({"items": []}, "$.items："),
        ({"type": "gift"}, "$.type："),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_kept(change: dict[str, Any], said: str) -> None:
    receipt = posted({"items": [ORDER, ORDER | change]})

    answer = json.loads(receipt.body)
    assert (receipt.status, answer["accepted"]) == (202, 1)
    (problem,) = answer["problems"]
    assert problem["index"] == 1
    assert said in problem["problem"]
    assert len(receipt.raws) == 2
    with pytest.raises(Untranslatable, match="内容不符合格式"):
        orders.translate(context(ACCOUNT), receipt.raws[1])


def test_a_signed_body_that_is_no_json_is_kept_too() -> None:
    receipt = orders.receive(context(ACCOUNT), call(b"\xff<order/>"))

    assert json.loads(receipt.body)["accepted"] == 0
    assert receipt.raws[0].payload == b"\xff<order/>"


def test_only_the_holder_of_the_secret_is_heard_and_only_now() -> None:
    body = json.dumps(ORDER).encode()

    for bad in (
        call(body, secret="somebody-else-0123456789abcdef-0123"),
        call(body, away=timedelta(seconds=601)),
        call(body, away=timedelta(seconds=-601)),
        replace(call(body), headers={}),
        replace(call(body), method="GET"),
    ):
        with pytest.raises(Refused):
            orders.receive(context(ACCOUNT), bad)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*ORDER, "x"]), inner, max_size=6)
        ),
        max_leaves=12,
    )
)
def test_no_signed_document_breaks_the_connector(document: object) -> None:
    for raw in posted(document).raws:
        try:
            assert all(e.at.tzinfo for e in orders.translate(context(ACCOUNT), raw))
        except Untranslatable as wrong:
            assert wrong.sentence  # noqa: PT017 - either is right


def test_the_published_schema_is_what_the_code_reads() -> None:
    published = Path(orders.__file__).with_name("schema.json")

    assert json.loads(published.read_text("utf-8")) == schema(Anything)
