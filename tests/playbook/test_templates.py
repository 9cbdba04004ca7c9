"""Templates can say what is documented and nothing else; hostile ones are refused before they run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.errors import BadInput
from scrm.playbook.templates import FILTERS, MAX_CHARS, VARIABLES, Part, admit, render, sample

HOSTILE = {
    "attribute walk": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "attribute walk from a variable": "{{ member.name.__class__ }}",
    "private attribute": "{{ member._data }}",
    "globals of a builtin": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "self": "{{ self.__init__ }}",
    "item access": "{{ member['name'] }}",
    "item access with a built key": "{{ member['na' ~ 'me'] }}",
    "method of a value": "{{ member.name.upper() }}",
    "method of a dict": "{{ member.clear() }}",
    "dict method by name": "{{ member.items }}",
    "deleting through an object": "{{ household.delete() }}",
    "global function": "{{ range(3) }}",
    "lipsum": "{{ lipsum(n=1000) }}",
    "huge multiplication": "{{ 'a' * 10**9 }}",
    "huge number": "{{ 9999999999999999999999999 }}",
    "power": "{% if 9 ** 9 ** 9 %}a{% endif %}",
    "joining": "{{ member.name ~ member.name }}",
    "loop": "{% for a in 'abc' %}{{ a }}{% endfor %}",
    "nested ranges": "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "assignment": "{% set a = 1 %}{{ a }}",
    "namespace assignment": "{% set member.name = 1 %}",
    "block assignment": "{% set a %}x{% endset %}",
    "macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "call block": "{% call foo() %}x{% endcall %}",
    "with": "{% with a = 1 %}{{ a }}{% endwith %}",
    "include": "{% include 'secrets' %}",
    "import": "{% import 'os' as os %}",
    "from import": "{% from 'os' import system %}",
    "extends": "{% extends 'base' %}",
    "block": "{% block a %}x{% endblock %}",
    "filter block": "{% filter upper %}x{% endfilter %}",
    "filter attr": "{{ member|attr('__class__') }}",
    "filter map": "{{ 'abc'|map('upper')|list }}",
    "filter format": "{{ '%9999999d'|format(1) }}",
    "filter center": "{{ 'a'|center(99999999) }}",
    "round to many digits": "{{ course.lessons|round(99999) }}",
    "default of an expression": "{{ member.name|default(rep.name) }}",
    "default switched to falsy": "{{ member.name|default('a', true) }}",
    "unpacked arguments": "{{ member.name|default(*'ab') }}",
    "test": "{% if member.name is sameas(1) %}a{% endif %}",
    "test by regular words": "{% if member.name is mapping %}a{% endif %}",
    "membership": "{% if 'a' in member.name %}a{% endif %}",
    "list": "{{ [1, 2] }}",
    "dict": "{{ {'a': 1} }}",
    "tuple": "{{ (1, 2) }}",
    "slice": "{{ 'abc'[0:2] }}",
    "negative number": "{{ -1 }}",
    "unknown variable": "{{ secret }}",
    "unknown leaf": "{{ member.phone }}",
    "whole dict": "{{ member }}",
    "autoescape": "{% autoescape true %}a{% endautoescape %}",
    "do": "{% do member.clear() %}",
    "long": "a" * (MAX_CHARS + 1),
    "deep brackets": "{{ " + "(" * 1900 + "1" + ")" * 1900 + " }}",
    "many nots": "{% if " + "not " * 900 + "today %}a{% endif %}",
    "deep filters": "{{ today" + "|trim" * 700 + " }}",
    "deep conditions": "{% if today %}" * 150 + "{% endif %}" * 150,
    "many nodes": "{{ today }}" * 300,
    "long constant": "{{ '" + "a" * 600 + "' }}",
    "mark of a variable": "\ue000x\ue002",
    "open bracket": "{{ member.name",
    "unknown tag": "{% debug %}",
    "unended condition": "{% if today %}a",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_template_is_refused_on_load(source: str) -> None:
    with pytest.raises(BadInput, match="话术"):
        admit(source)


@given(st.text(alphabet="{}%|.()[]'\"_ abit*~+=<>-!#\ue000\n名", max_size=60))
def test_any_text_is_admitted_or_refused_and_what_is_admitted_renders(source: str) -> None:
    try:
        template = admit(source)
    except BadInput:
        return
    render(template, sample())


def test_variables_are_filled_and_marked_so_that_the_card_can_underline_them() -> None:
    template = admit("{{ member.name }}您好，我是{{ rep.name|trim }}。")

    rendered = render(template, {"member": {"name": "子涵妈妈"}, "rep": {"name": " 李敏 "}})

    assert rendered.text == "子涵妈妈您好，我是李敏。"
    assert rendered.missing == ()
    assert rendered.parts == (
        Part(text="子涵妈妈", kind="variable"),
        Part(text="您好，我是", kind="plain"),
        Part(text="李敏", kind="variable"),
        Part(text="。", kind="plain"),
    )


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"trial": {}},
        {"trial": {"time": None}},
        {"trial": {"time": ""}},
        {"trial": {"time": "  "}},
        {"trial": 5},
    ],
)
def test_a_missing_fact_is_named_and_never_silently_blank(context: dict[str, Any]) -> None:
    rendered = render(admit("时间：{{ trial.time|trim }}。"), context)

    assert rendered.missing == ("trial.time",)
    assert rendered.text == "时间：【试听时间】。"
    assert rendered.parts[1] == Part(text="【试听时间】", kind="missing")


def test_a_default_takes_the_place_of_a_missing_fact() -> None:
    rendered = render(admit("{{ child.name|default('孩子') }}"), {})

    assert (rendered.text, rendered.missing) == ("孩子", ())


def test_a_condition_on_a_missing_fact_is_false_and_reported() -> None:
    rendered = render(admit("{% if course.lessons_left < 3 %}快用完了{% else %}还有{% endif %}"), {})

    assert (rendered.text, rendered.missing) == ("还有", ("course.lessons_left",))


def test_asking_whether_a_fact_is_known_reports_nothing() -> None:
    template = admit("{% if teacher.name is defined %}{{ teacher.name }}{% else %}老师{% endif %}")

    assert render(template, {}).missing == ()
    assert render(template, {"teacher": {"name": "周老师"}}).text == "周老师"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ course.price_fen|yuan }}", "4,980"),
        ("{{ course.lessons|round }}", "48"),
        ("{{ course.lessons|round(1) }}", "48"),
        ("{% if course.price_fen >= 498000 and not child.grade == '一年级' %}对{% endif %}", "对"),
        ("{{ '甲' if course.lessons > 50 else '乙' }}", "乙"),
        ("{# 说明 #}{% raw %}{{ 原样 }}{% endraw %}", "{{ 原样 }}"),
    ],
)
def test_the_few_allowed_forms_work(source: str, expected: str) -> None:
    assert render(admit(source), sample()).text == expected


def test_fen_are_written_only_when_there_are_any() -> None:
    assert render(admit("{{ course.price_fen|yuan }}"), {"course": {"price_fen": 498050}}).text == "4,980.50"


@pytest.mark.parametrize("name", ["{{ 7*7 }}", "{% for a in b %}", "\ue000假\ue002", "<script>", "a" * 9000])
def test_what_a_customer_calls_himself_is_text_and_nothing_else(name: str) -> None:
    rendered = render(admit("{{ member.name }}好"), {"member": {"name": name}})

    assert [part.kind for part in rendered.parts] == ["variable", "plain"]
    assert rendered.text == name.replace("\ue000", "").replace("\ue002", "")[:500] + "好"


class _Account:
    def __init__(self) -> None:
        self.deleted = False

    def delete(self) -> None:
        self.deleted = True


@pytest.mark.parametrize("value", [_Account(), ["a"], {"a": 1}, b"a", 10**400, float("nan"), float("inf")])
def test_only_plain_values_reach_a_template(value: object) -> None:
    with pytest.raises(BadInput, match=r"member\.name"):
        render(admit("{{ member.name }}"), {"member": {"name": value}})


def test_a_filter_for_numbers_refuses_text_in_words() -> None:
    with pytest.raises(BadInput, match="yuan 只能用在数字上"):
        render(admit("{{ course.price_fen|yuan }}"), {"course": {"price_fen": "很多"}})


def test_a_text_is_compiled_once() -> None:
    assert admit("同一段{{ today }}") is admit("同一段{{ today }}")


def test_no_documented_name_hides_behind_a_method_of_dict() -> None:
    leaves = {name.rpartition(".")[2] for name in VARIABLES}

    assert not leaves & set(dir(dict))


def test_every_documented_variable_and_filter_works() -> None:
    everything = "".join(f"{{{{ {name} }}}}" for name in VARIABLES)

    rendered = render(admit(everything), sample())

    assert rendered.missing == ()
    assert len(rendered.parts) == len(VARIABLES)
    assert set(FILTERS) == {"default", "trim", "round", "yuan"}
