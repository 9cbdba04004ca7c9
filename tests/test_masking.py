"""Payloads as an admin may see them: structure and sizes, never words, names or numbers of a customer."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from scrm.errors import BadInput
from scrm.inbox import masking, mending

PHONE, NAME, OPENID = "13800138000", "王小明", "oAbCdEfGh1234567890"
JSON = json.dumps(
    {
        "msgtype": "text",
        "send_time": 1700000000,
        "text": {"content": f"我是{NAME}，电话{PHONE}"},
        "external_userid": OPENID,
        PHONE: {"nick": NAME},
        "list": [{"n": 5}, True, None, ""],
    },
    ensure_ascii=False,
).encode()
XML = (
    f"<xml><MsgType><![CDATA[text]]></MsgType><FromUserName>{OPENID}</FromUserName>"
    f"<CreateTime>1700000000</CreateTime><Content>{NAME} {PHONE}</Content>"
    "<List><One>a</One><One>b</One></List></xml>"
).encode()


@pytest.mark.parametrize("payload", [JSON, XML], ids=["json", "xml"])
def test_nothing_of_a_customer_is_shown(payload: bytes) -> None:
    said = repr(masking.shown(payload))

    assert [secret for secret in (PHONE, NAME, OPENID, "电话") if secret in said] == []


def test_what_a_message_is_and_when_it_came_is_shown() -> None:
    plain = {s.pointer: s.plain for s in masking.shown(JSON) if s.plain}

    assert plain == {"/msgtype": "text", "/send_time": "1700000000", "/list/1": "true"}
    assert {s.pointer: s.plain for s in masking.shown(XML) if s.plain} == {
        "/xml/MsgType": "text",
        "/xml/CreateTime": "1700000000",
    }


def test_a_value_that_only_looks_structural_is_hidden() -> None:
    disguised = json.dumps({"type": NAME, "event": PHONE, "time": PHONE * 3, "kind": "x" * 99}).encode()

    assert [s.plain for s in masking.shown(disguised)] == ["", "", "", ""]


def test_hidden_values_say_their_kind_and_size() -> None:
    found = {s.pointer: (s.kind, s.size) for s in masking.shown(JSON)}

    assert found["/external_userid"] == ("text", len(OPENID))
    assert found["/list/0/n"] == ("number", 1)
    assert found["/list/2"] == found["/list/3"] == ("empty", 0)
    assert found["/…/nick"] == ("text", 3)


@pytest.mark.parametrize("payload", [JSON, XML], ids=["json", "xml"])
def test_every_value_can_be_replaced_and_nothing_else_changes(payload: bytes) -> None:
    before = masking.shown(payload)
    for one in before:
        if one.kind == "text":
            changed = masking.shown(masking.patched(payload, one.number, "新的值是九个字符啊"))
            assert [s for s in changed if s.number != one.number] == [
                s for s in before if s.number != one.number
            ]
            assert changed[one.number].size == 9


def test_a_number_stays_a_number() -> None:
    number = next(s.number for s in masking.shown(JSON) if s.pointer == "/list/0/n")

    assert json.loads(masking.patched(JSON, number, "7"))["list"][0] == {"n": 7}
    for wrong in ("seven", "{}", "[1]"):
        with pytest.raises(BadInput):
            masking.patched(JSON, number, wrong)


def test_xml_stays_xml_whatever_is_put_in() -> None:
    changed = masking.patched(XML, 3, "</xml><script>")

    assert ElementTree.fromstring(changed).findtext("Content") == "</xml><script>"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\x00",
        b"plain words",
        b"<xml",
        b"{",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b"[" * 5000,
    ],
)
def test_what_is_neither_json_nor_xml_shows_nothing_and_takes_nothing(payload: bytes) -> None:
    assert masking.shown(payload) == []
    with pytest.raises(BadInput):
        masking.patched(payload, 0, "x")


def test_a_very_long_payload_is_cut() -> None:
    assert len(masking.shown(json.dumps(list(range(5000))).encode())) == 400


def test_numbers_make_no_difference_to_the_reason() -> None:
    assert (
        mending.reason("第 12 行缺少 MsgId") == mending.reason("第 7 行缺少 MsgId") != mending.reason("别的")
    )
