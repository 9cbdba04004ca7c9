"""Callback bodies: what is read, what is refused, and that nothing else can happen."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.kit import xml
from scrm.errors import Unreadable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=30,
)


def test_fields_are_text_and_repeats_become_lists() -> None:
    body = b"<xml><A><![CDATA[x & y]]></A><N> 12 </N><L><I>1</I><I>2</I></L><E/></xml>"

    assert xml.parse(body) == {"A": "x & y", "N": "12", "L": {"I": ["1", "2"]}, "E": ""}


def test_white_space_counts_inside_cdata_only() -> None:
    body = b"\xef\xbb\xbf<xml>\n  <A>\n <![CDATA[ hi ]]>\n </A>\n <B>a<![CDATA[b]]>c</B></xml>"

    assert xml.parse(body) == {"A": " hi ", "B": "abc"}


def test_json_bodies_give_the_same_shape() -> None:
    body = b'{"MsgId": 12345678901234567890123, "Location": 1.50, "List": [{"A": true}], "No": null}'

    assert xml.parse(body) == {
        "MsgId": "12345678901234567890123",
        "Location": "1.50",
        "List": [{"A": "1"}],
        "No": "",
    }


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><xml><A>&b;</A></xml>'
OUTSIDE = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><xml><A>&e;</A></xml>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"hello",
        b"<xml>",
        b"<xml><A></B></xml>",
        b"<xml>text only</xml>",
        b"<a/><b/>",
        b"<xml><A>\x00</A></xml>",
        b"<xml><A>\xff\xfe</A></xml>",
        b"<xml>&undefined;</xml>",
        b"<!DOCTYPE xml><xml><A>1</A></xml>",
        BOMB,
        OUTSIDE,
        b"<a>" * 9 + b"</a>" * 9,
        b"<a>" * 30_000,
        b"<xml>" + b"x" * 70_000 + b"</xml>",
        b"{",
        b"[]",
        b'["a"]',
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b'{"a": ' + b"[" * 60_000,
        b'{"a": ' + b'{"a":' * 9 + b"1" + b"}" * 10,
        b'{"a": "\xff"}',
        b"{} {}",
    ],
)
def test_a_malformed_body_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        xml.parse(body)


def test_eight_levels_are_enough_for_everybody() -> None:
    assert xml.parse(b"<a>" * 7 + b"<b>1</b>" + b"</a>" * 7)


@given(body=st.binary(max_size=400) | st.text(max_size=200).map(lambda text: f"<xml>{text}</xml>".encode()))
def test_parsing_anything_raises_nothing_but_unreadable(body: bytes) -> None:
    try:
        found = xml.parse(body)
    except Unreadable:
        return
    assert isinstance(found, dict)


@given(value=JSON)
def test_any_json_is_read_as_storable_text_or_refused(value: Any) -> None:
    try:
        found = xml.parse(json.dumps({"v": value}).encode())
    except Unreadable:
        return
    json.dumps(found, ensure_ascii=False).encode("utf-8")
    assert "\x00" not in str(found)


def test_a_repeated_sender_is_never_a_sender() -> None:
    fields = xml.parse(b"<xml><FromUserName>a</FromUserName><FromUserName>b</FromUserName></xml>")

    for read in (xml.text, xml.ident):
        with pytest.raises(Unreadable):
            read(fields, "FromUserName")
        with pytest.raises(Unreadable):
            read(fields, "FromUserName", "default")


def test_a_missing_field_has_its_default_or_is_unreadable() -> None:
    assert xml.text({}, "A", "") == ""
    with pytest.raises(Unreadable):
        xml.text({}, "A")


@pytest.mark.parametrize("value", ["x" * 257, "a\nb", "a\u202eb", "\x7f"])
def test_an_identifier_is_short_and_printable(value: str) -> None:
    with pytest.raises(Unreadable):
        xml.ident({"A": value}, "A")


def test_seconds_become_an_aware_time() -> None:
    assert xml.moment({"T": "1772415000"}, "T") == datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
    assert xml.at_seconds(1772415000) == datetime(2026, 3, 2, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("value", ["", "-1", "1.5", "9" * 12, "٣", "now", None, [], True])
def test_what_is_not_seconds_is_unreadable(value: object) -> None:
    with pytest.raises(Unreadable):
        xml.at_seconds(value)


def test_cleaning_removes_what_no_column_takes() -> None:
    assert xml.clean({"a\x00": ["b\ud800", 1, None]}) == {"a": ["b?", 1, None]}


_PLAIN = [
    "a",
    "MsgId",
    "中",
    " ",
    "\n",
    "\t",
    "\r",
    "\x00",
    "\x1f",
    "\x7f",
    "\u2028",
    "\ufffe",
    "\uffff",
    "😀",
]
_MARKUP = [
    "]]>",
    "]",
    "<b/>",
    "</a>",
    "<!--x-->",
    "&lt;",
    "&#1;",
    "<![CDATA[x]]>",
    "<a k='v'>",
    "<xml>",
    "<?x?>",
]
_PIECES = st.sampled_from([*_PLAIN, *_MARKUP])
_INSIDE = st.lists(_PIECES, max_size=4).map("".join)
_NAMES = st.sampled_from(["A", "MsgType", "a_1", "中", "1a", "a-b", "a:b", "A" * 65])
_FORMS = st.sampled_from(
    ["<{n}><![CDATA[{v}]]></{n}>", "<{n}>{v}</{n}>", " <{n}> <![CDATA[{v}]]></{n}>", "<{n} >{v}</{n}>"]
)
_FIELDS = st.builds(lambda form, n, v: form.format(n=n, v=v), _FORMS, _NAMES, _INSIDE)
_DOCUMENTS = st.builds(
    lambda fields, end: f"<xml>{''.join(fields)}{end}</xml>",
    st.lists(_FIELDS, max_size=4),
    st.sampled_from(["", " ", "x"]),
)


@settings(max_examples=1000)
@given(_DOCUMENTS)
def test_the_quick_way_reads_nothing_that_expat_would_read_otherwise(document: str) -> None:
    body = document.encode("utf-8", "surrogatepass")
    quick = xml._flat(body)  # noqa: SLF001
    if quick is not None:
        assert quick == xml._Tree().read(body)  # noqa: SLF001


def test_an_everyday_callback_goes_the_quick_way() -> None:
    body = "<xml>\n<A><![CDATA[o1]]></A>\n<CreateTime>17</CreateTime><C><![CDATA[好，<b>]]></C></xml>"

    assert xml._flat(body.encode()) == {"A": "o1", "CreateTime": "17", "C": "好，<b>"}  # noqa: SLF001
