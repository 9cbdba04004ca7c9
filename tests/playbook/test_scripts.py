"""The library on disk: complete, true to its examples, compliant, and guarded against silent edits."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from scrm.desk import stages
from scrm.desk.stages import STAGE_NAMES, STAGES
from scrm.errors import BadInput
from scrm.playbook.scripts import (
    TRADES,
    Example,
    Script,
    content_hash,
    prove,
    read_hashes,
    read_library,
    read_packs,
    stamp,
    unguarded,
)
from scrm.playbook.templates import FILTERS, VARIABLES, admit, render
from scrm.shapes import load, read_yaml

LIBRARY = Path(__file__).resolve().parents[2] / "scripts_library"
SCRIPTS = read_library(LIBRARY)
PACKS = read_packs(LIBRARY)
#: What a trade has at least: scripts in all, and of each stage.
ENOUGH = {"education": (90, 6), "housing": (80, 4)}
EXAMPLES = [
    pytest.param(script, example, id=f"{script.id}-{number}")
    for script in SCRIPTS
    for number, example in enumerate(script.examples, start=1)
]
#: Promises and pressure that no talk-track of ours may contain.
FORBIDDEN = re.compile(
    "保证提分|保证考|保过|包过|稳过|必过|一定提高|一定学会|百分之百|100%|绝对|最低价|全网|第一名|唯一"
    "|输在起跑线|最后[一1两2三3]个名额|仅剩|马上涨价|错过就|私下转|转我|[0-9一二三四五六七八九]折"
)

#: And what the law lets no advertisement of homes say, not even to one customer.
HOMES = re.compile(
    "升值|保值|增值|回报率?|收益|包租|返租|返本|稳赚|抄底|学区房|名校|入学名额|落户|零首付"
    "|[0-9一二三四五六七八九十]+ ?分钟(?:就|即|直|车程|到)|只剩|清盘|地铁即将|规划中的(?:地铁|商场)"
)
#: Facts without which these scripts cannot be sent; the card then says what is missing.
NEEDY = {
    "education": {
        *("edu.trial-confirm", "edu.price-list", "edu.promised-price", "edu.coupon"),
    },
    "housing": {
        *("house.visit-confirm", "house.price-list", "house.promised-price", "house.coupon"),
        "house.promise-until",
    },
}

ONE = """
- id: edu.one
  version: {version}
  title: 一
  stage: needs
  role: any
  delivery: confirm
  triggers: [一, 二]
  text: {text}
  examples: [{{given: {{member: {{name: 王女士}}}}, expect: {expect}}}]
"""


def _write(
    folder: Path, *, version: int = 1, text: str = "'{{ member.name }}好'", expect: str = "王女士好"
) -> None:
    filled = ONE.format(version=version, text=text, expect=expect)
    (folder / "a.yaml").write_text(filled, encoding="utf-8")


def _script(**changes: object) -> Script:
    plain: dict[str, object] = {
        "id": "edu.one",
        "version": 1,
        "title": "一",
        "stage": "needs",
        "role": "any",
        "delivery": "confirm",
        "triggers": ["一"],
        "text": "好",
        "examples": [{"given": {}, "expect": "好"}],
    }
    return load(Script, plain | changes, where="t")


@pytest.mark.parametrize("trade", PACKS)
def test_there_are_enough_scripts_for_every_stage(trade: str) -> None:
    stages = Counter(script.stage for script in PACKS[trade])
    least, each = ENOUGH.get(trade, (12, 1))

    assert len(PACKS[trade]) >= least
    assert set(stages) == set(STAGES)
    assert min(stages.values()) >= each


@pytest.mark.parametrize("trade", ENOUGH)
def test_a_deep_pack_speaks_to_every_role_and_advises_the_rep(trade: str) -> None:
    roles = Counter(script.role for script in PACKS[trade])
    hints = [script for script in PACKS[trade] if script.delivery == "hint"]

    assert min(roles[role] for role in ("registrant", "buyer", "user")) >= 3
    assert len(hints) >= 5
    assert {script.stage for script in PACKS[trade] if script.role == "buyer"} >= {
        "quotation",
        "objection",
        "closing",
        "renewal",
    }


@pytest.mark.parametrize("trade", ENOUGH)
def test_a_deep_pack_keeps_promises_and_uses_coupons(trade: str) -> None:
    used = {name for script in PACKS[trade] for name in admit(script.text).names}

    assert used >= {"promise.discount", "promise.price_fen", "promise.gift", "promise.until"}
    assert used >= {"coupon.name", "coupon.value_fen", "coupon.until"}


def test_the_ids_of_a_trade_begin_with_a_word_of_its_own() -> None:
    words = {trade: {script.id.partition(".")[0] for script in pack} for trade, pack in PACKS.items()}

    assert all(len(found) == 1 for found in words.values()), words
    assert len(set.union(*words.values())) == len(words)
    assert sum(map(len, PACKS.values())) == len(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.id)
def test_script_can_be_found_and_sent(script: Script) -> None:
    assert len(set(script.triggers)) == len(script.triggers) >= 2
    assert len(set(script.says)) == len(script.says) >= 6
    assert len(script.text.encode()) <= 2000


@pytest.mark.parametrize("trade", ENOUGH)
def test_a_deep_pack_shows_scripts_with_facts_at_work_with_several(trade: str) -> None:
    lacking = {
        script.id
        for script in PACKS[trade]
        if admit(script.text).names and len({example.expect for example in script.examples}) < 2
    }

    assert lacking == set()


@pytest.mark.parametrize(("script", "example"), EXAMPLES)
def test_example_comes_out_as_written(script: Script, example: Example) -> None:
    rendered = render(admit(script.text), example.given)

    assert rendered.text == example.expect
    assert rendered.missing == ()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.id)
def test_script_promises_nothing_and_presses_nobody(script: Script) -> None:
    assert FORBIDDEN.findall(script.text) == []


@pytest.mark.parametrize("script", PACKS["housing"], ids=lambda script: script.id)
def test_a_script_about_homes_promises_neither_growth_nor_school_nor_minutes(script: Script) -> None:
    assert HOMES.findall(script.text) == []


def test_the_word_lists_of_promises_bite() -> None:
    assert len(FORBIDDEN.findall("我们保证提分，今天 8折，仅剩两席")) == 3
    assert len(HOMES.findall("名校学区房，十分钟到地铁，年年升值")) == 4


@pytest.mark.parametrize("trade", NEEDY)
def test_nearly_all_scripts_are_ready_when_only_rep_and_company_are_known(trade: str) -> None:
    known = {"rep": {"name": "李敏"}, "company": {"name": "小橡树"}}

    lacking = {script.id for script in PACKS[trade] if render(admit(script.text), known).missing}

    assert lacking == NEEDY[trade]


def test_what_is_said_by_itself_needs_no_facts() -> None:
    automatic = [script for script in SCRIPTS if script.delivery == "auto"]

    assert automatic
    assert all(not render(admit(script.text), {}).missing for script in automatic)


def test_no_version_changed_without_rising() -> None:
    assert unguarded(SCRIPTS, read_hashes(LIBRARY)) == ()


def test_an_edit_without_a_new_version_is_found() -> None:
    first, *rest = SCRIPTS
    edited = replace(first, text=first.text + "。")

    assert unguarded([edited, *rest], read_hashes(LIBRARY)) == (
        f"{first.id}: 内容改了但版本还是 {first.version}，请改成 {first.version + 1}",
    )


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"text": "您好"}, False),
        ({"triggers": ["二"]}, False),
        ({"says": ["三"]}, False),
        ({"fallback": True}, False),
        # neither the number nor a test of it changes what is said
        ({"version": 2}, True),
        ({"examples": [{"given": {"today": "x"}, "expect": "好"}]}, True),
        # spelling out a default is no change
        ({"channels": []}, True),
    ],
)
def test_the_hash_covers_what_is_offered_and_said(changes: dict[str, object], same: bool) -> None:
    assert (content_hash(_script(**changes)) == content_hash(_script())) is same


def test_stamping_records_new_versions_and_keeps_old_ones(tmp_path: Path) -> None:
    _write(tmp_path)
    assert stamp(tmp_path) == ("edu.one@1",)
    first = read_hashes(tmp_path)["edu.one"]["1"]

    _write(tmp_path, version=2, text="'{{ member.name }}您好'", expect="王女士您好")

    assert stamp(tmp_path) == ("edu.one@2",)
    assert stamp(tmp_path) == ()
    assert read_hashes(tmp_path)["edu.one"] == {"1": first, "2": content_hash(read_library(tmp_path)[0])}


@pytest.mark.parametrize(("version", "advice"), [(2, "请改成 3"), (1, "请改成 3")])
def test_stamping_never_rewrites_a_recorded_version(version: int, advice: str, tmp_path: Path) -> None:
    for number in (1, 2):
        _write(tmp_path, version=number, text=f"'{number}'", expect=f"'{number}'")
        stamp(tmp_path)
    before = read_hashes(tmp_path)

    _write(tmp_path, version=version, text="改了", expect="改了")
    with pytest.raises(BadInput, match=advice):
        stamp(tmp_path)

    assert read_hashes(tmp_path) == before


def test_a_library_without_hashes_is_told_to_stamp(tmp_path: Path) -> None:
    _write(tmp_path)

    assert unguarded(read_library(tmp_path), read_hashes(tmp_path)) == (
        "edu.one: 版本 1 还没有登记，请运行 stamp",
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"text": "'{{ member.phone }}'"}, "a.yaml: edu.one: 话术第 1 行：没有变量 member.phone"),
        ({"text": "'{% for a in today %}{% endfor %}'"}, "a.yaml: edu.one: 话术第 1 行：不能用循环"),
        ({"text": "'{{ rep.name }}'"}, "a.yaml: edu.one: 例子 1 没有给 rep.name"),
        ({"expect": "你好"}, "a.yaml: edu.one: 例子 1 得到“王女士好”，expect 写的是“你好”"),
        ({"version": 0}, r"a.yaml: \[0\]: version 从 1 开始"),
    ],
)
def test_a_wrong_script_is_refused_by_file_and_id(
    changes: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    _write(tmp_path, **changes)  # type: ignore[arg-type]

    with pytest.raises(BadInput, match=f"^{sentence}"):
        read_library(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "Edu One"},
        {"id": "one"},
        {"title": " "},
        {"stage": "later"},
        {"role": "boss"},
        {"delivery": "now"},
        {"triggers": [""]},
        {"says": [" "]},
        {"examples": []},
        {"txet": "x"},
    ],
    ids=str,
)
def test_a_field_that_makes_no_sense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        _script(**changes)


def test_what_lies_beside_the_scripts_is_not_read_as_scripts(tmp_path: Path) -> None:
    for name in ("compliance/common.yaml", "education/sops/first-week.yaml", "education/intents.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("rules: [这里不是话术]", encoding="utf-8")
    _write(tmp_path / "education")

    assert [script.id for script in read_library(tmp_path)] == ["edu.one"]


def test_the_scripts_of_one_trade_are_read_alone(tmp_path: Path) -> None:
    for trade, text in (("housing", "买"), ("education", "学")):
        (tmp_path / trade).mkdir()
        _write(tmp_path / trade, text=text, expect=text)
        path = tmp_path / trade / "a.yaml"
        path.write_text(path.read_text("utf-8").replace("edu.", f"{trade}."), encoding="utf-8")

    assert [script.id for script in read_library(tmp_path, ("housing",))] == ["housing.one"]
    assert {trade: len(pack) for trade, pack in read_packs(tmp_path).items()} == {
        "education": 1,
        "housing": 1,
    }


def test_a_trade_calls_some_stages_by_other_names() -> None:
    assert (stages.name("trial"), stages.name("trial", "housing")) == ("试听体验", "到访带看")
    assert stages.name("recall", "housing") == "唤回"


def test_one_id_is_used_once(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / "b.yaml").write_text((tmp_path / "a.yaml").read_text("utf-8"), encoding="utf-8")

    with pytest.raises(BadInput, match=r"b\.yaml: edu\.one: 这个 id 已经用过"):
        read_library(tmp_path)


def _table(title: str) -> list[list[str]]:
    """Cells of the first table after `title` in the library's README, without its head."""
    text = (LIBRARY / "README.md").read_text("utf-8").partition(title)[2]
    rows = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert rows
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[0].splitlines()[2:]]


def test_the_readme_lists_variables_filters_and_stages_as_the_code_has_them() -> None:
    assert _table("## 可以用的变量") == [[n, v.label, str(v.example)] for n, v in VARIABLES.items()]
    assert _table("变量后面可以加") == [list(line) for line in FILTERS.items()]
    assert _table("## 阶段") == [list(line) for line in STAGES.items()]
    assert _table("## 行业") == [list(line) for line in TRADES.items()]
    assert _table("九个阶段各行业通用") == [
        [stage, *(stages.name(stage, trade) for trade in STAGE_NAMES)]
        for stage in STAGES
        if any(stage in names for names in STAGE_NAMES.values())
    ]


def test_the_example_in_the_readme_works(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", (LIBRARY / "README.md").read_text("utf-8"), re.DOTALL)
    assert block
    (tmp_path / "a.yaml").write_text(block[1], encoding="utf-8")

    (script,) = load(tuple[Script, ...], read_yaml(tmp_path / "a.yaml"), where="README")

    prove(script, where="README")
