"""The door for JSON of the tenant's own systems: typed, and what is wrong is told by its place."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from connectors.kit.shapes import read, schema
from scrm.errors import Untranslatable


class Item(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    price: Annotated[int, Meta(ge=0)]


class Document(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(min_length=1, max_length=8)]
    items: tuple[Item, ...] = ()


GOOD = Document(id="o1", items=(Item(price=100),))


@pytest.mark.parametrize(
    "document",
    [b'{"id": "o1", "items": [{"price": 100}]}', {"id": "o1", "items": [{"price": 100}]}],
    ids=["bytes", "decoded"],
)
def test_a_document_is_read_from_bytes_or_from_what_they_decoded_to(document: Any) -> None:
    assert read(Document, document) == GOOD


@pytest.mark.parametrize(
    ("document", "where", "what"),
    [
        (b'{"id": "o1", "items": [{"price": 1}, {"price": "2"}]}', r"\$.items\[1\].price", "got `?str"),
        (b'{"id": "o1", "items": [{"price": -1}]}', r"\$.items\[0\].price", ">= 0"),
        (b'{"id": ""}', r"\$.id", "length >= 1"),
        (b"{}", r"\$", "missing required field id"),
        (b'{"id": "o1", "colour": 1}', r"\$", "unknown field colour"),
        (b"[]", r"\$", "got array"),
        (b"", r"\$", "truncated"),
        (b"\xff\xfe", r"\$", "malformed|invalid"),
        (b'{"id": "\xff"}', r"\$", ""),
        (b"[" * 100_000, r"\$", ""),
        (None, r"\$", "got null|got None"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(document: Any, where: str, what: str) -> None:
    with pytest.raises(Untranslatable, match=f"(?i)^内容不符合格式：{where}：.*(?:{what})"):
        read(Document, document)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.floats() | st.text(), lambda s: st.lists(s)))
def test_hostile_documents_raise_nothing_else(document: Any) -> None:
    with pytest.raises(Untranslatable):
        read(Document, document)


def test_the_schema_of_a_shape_says_which_draft_it_is() -> None:
    made = schema(Document)

    assert made["$schema"].endswith("2020-12/schema")
    assert made["$defs"]["Item"]["properties"]["price"] == {"type": "integer", "minimum": 0}
