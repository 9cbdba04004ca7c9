"""Values come in through the doors whole, or not at all and with a sentence that says where."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.errors import BadInput
from scrm.shapes import from_json, load, read_toml, read_yaml, to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    sku: str
    count: Annotated[int, msgspec.Meta(ge=1)] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    name: str
    kind: Literal["new", "renewal"] = "new"
    items: tuple[Item, ...] = ()
    by_code: dict[str, Item] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    at: datetime | None = None

    def __post_init__(self) -> None:
        if self.name == "nobody":
            raise ValueError("name 不能是 nobody")


def test_plain_data_becomes_frozen_dataclasses_all_the_way_down() -> None:
    order = load(Order, {"name": "a", "items": [{"sku": "x", "count": 2}], "extra": {"any": [1]}}, where="t")

    assert order == Order(name="a", items=(Item(sku="x", count=2),), extra={"any": [1]})


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "body: 最外层: 缺少必填项 name，请补上"),
        ([], "body: 最外层: 应为一组“键: 值”，实际是列表，请改正"),
        ({"name": 5}, "body: name: 应为文字，实际是整数，请改正"),
        ({"name": None}, "body: name: 应为文字，实际是空值，请改正"),
        ({"name": "a", "kind": "old"}, "body: kind: 不认识的取值 'old'，请换成说明里列出的值"),
        ({"name": "a", "items": [{"sku": "x"}, {}]}, "body: items[1]: 缺少必填项 sku，请补上"),
        (
            {"name": "a", "items": [{"sku": "x", "count": 0}]},
            "body: items[0].count: 应为 >= 1 的整数，请改正",
        ),
        ({"name": "a", "at": "soon"}, "body: at: 应为带时区的时间，格式如 2026-03-01T09:00:00+08:00，请改正"),
        # the message of a class's own check comes through
        ({"name": "nobody"}, "body: 最外层: name 不能是 nobody，请改正"),
        # keys nobody declared, at every depth
        ({"name": "a", "nmae": "b"}, "body: nmae: 没有这一项，请检查拼写或删掉"),
        (
            {"name": "a", "items": [{"sku": "x", "cuont": 1}]},
            "body: items[0].cuont: 没有这一项，请检查拼写或删掉",
        ),
        (
            {"name": "a", "by_code": {"k": {"sku": "x", "z": 1}}},
            "body: by_code.k.z: 没有这一项，请检查拼写或删掉",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_place_and_advice(data: object, sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        load(Order, data, where="body")

    assert refused.value.sentence == sentence


def test_a_key_of_the_wrong_type_is_refused_at_its_mapping() -> None:
    with pytest.raises(BadInput, match=r"^body: by_code: 应为文字，实际是整数"):
        load(Order, {"name": "a", "by_code": {1: {"sku": "x"}}}, where="body")


def test_free_form_mappings_keep_every_key() -> None:
    assert load(Order, {"name": "a", "extra": {"b": {"c": 1}}}, where="t").extra == {"b": {"c": 1}}


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"name": "a"} x', b"[" * 100_000, b'{"name": NaN}'])
def test_bytes_that_are_not_json_are_refused(raw: bytes) -> None:
    with pytest.raises(BadInput, match=r"^body: 最外层: "):
        from_json(Order, raw, where="body")


@given(st.binary(max_size=200))
def test_hostile_bytes_raise_nothing_but_bad_input(raw: bytes) -> None:
    refusal = ""
    try:
        from_json(Order, raw, where="body")
    except BadInput as refused:
        refusal = refused.sentence

    assert refusal == "" or refusal.startswith("body: ")


def test_json_comes_back_as_it_went() -> None:
    order = Order(name="小宇", items=(Item(sku="x"),), at=datetime(2026, 3, 1, tzinfo=UTC))

    assert from_json(Order, to_json(order), where="t") == order
    assert "小宇".encode() in to_json(order)


def test_equal_values_give_equal_bytes_whatever_their_order() -> None:
    assert to_json({"b": 1, "a": {"d": 1, "c": 2}}) == to_json({"a": {"c": 2, "d": 1}, "b": 1})


def test_yaml_and_toml_are_read_as_plain_values(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- {a: 一, b: [1, true]}\n", encoding="utf-8")
    (tmp_path / "a.toml").write_text('[a]\nb = "一"\n', encoding="utf-8-sig")

    assert read_yaml(tmp_path / "a.yaml") == [{"a": "一", "b": [1, True]}]
    assert read_toml(tmp_path / "a.toml") == {"a": {"b": "一"}}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: 1\nb: 2\na: 3\n", "第 3 行: YAML 写法有误（a 写了两次）"),
        ("a: &x [1]\nb: *x\n", "第 2 行: YAML 写法有误（不支持别名 *）"),
        ("? [1, 2]\n: 3\n", "第 1 行: YAML 写法有误（键只能是文字）"),
        ("a: [1\n", "第 2 行"),
        ("a: !!python/object/apply:os.system ['true']\n", "第 1 行"),
        ("a: \x00\n", "最外层"),
        ("[" * 5000, "最外层: 嵌套太深"),
        ("a: 2026-13-45\n", "最外层"),
    ],
)
def test_yaml_that_hides_mistakes_or_does_harm_is_refused_with_its_line(
    text: str, where: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(BadInput) as refused:
        read_yaml(path)

    assert refused.value.sentence.startswith(f"{path}: {where}")


@pytest.mark.parametrize("content", [b"a = ", b"a = 1\na = 2", b"\xff\xfe", b"a=" + b"[" * 5000])
def test_broken_toml_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)

    with pytest.raises(BadInput, match="最外层"):
        read_toml(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="读不了这个文件"):
        read_yaml(tmp_path / "none.yaml")
