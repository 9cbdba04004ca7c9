"""The verdict on a draft: what it says, how it is put right, and how long its token proves it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.errors import BadConfig
from scrm.playbook.checks.lines import money, quote
from scrm.playbook.checks.rules import FRESH, Book, Claim, Cleared, Grade, Ground, judge, token, token_valid
from scrm.playbook.checks.values import Examples, Rule
from scrm.playbook.checks.words import Scanner
from scrm.playbook.promises.conflicts import Policy
from scrm.playbook.promises.policies import read
from scrm.playbook.situation import Kept
from scrm.push.rules import Decision, Spoken

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
LIST = 680_000
GUARANTEE = Rule(
    id="edu.guarantee",
    level="block",
    title="保证学习效果",
    why="不得保证效果。",
    words=("保证提分",),
    rewrite={"保证提分": "每四周测一次"},
    examples=Examples(hits=("保证提分",), misses=("好",)),
)
URGE = Rule(
    id="ad.urgency",
    level="warn",
    title="催单",
    why="催得太紧。",
    words=("最后一天了",),
    examples=Examples(hits=("最后一天了",), misses=("好",)),
)
BOOK = Book(rules={r.id: r for r in (GUARANTEE, URGE)}, scanner=Scanner([GUARANTEE, URGE]), version="v1")


def kept(**more: object) -> Kept:
    usual: dict[str, object] = {
        "promise_id": 9,
        "kind": "discount",
        "share": 8500,
        "made_at": datetime(2026, 11, 20, 11, 42, tzinfo=UTC),
        "by": "李敏",
        "to": "子涵妈妈",
        "channel": "在线客服",
        "product": "年课",
        "product_code": "Y1",
    }
    return Kept(**(usual | more))  # type: ignore[arg-type]


def ground(*live: Kept, **more: object) -> Ground:
    usual: dict[str, object] = {"products": {"年课": "Y1"}, "prices": {"Y1": LIST}}
    return Ground(book=BOOK, live=live, **(usual | more))  # type: ignore[arg-type]


def test_nothing_to_say_about_ordinary_words() -> None:
    made = judge("好的，课表我发您", ground(kept()), now=NOW)

    assert (made.level, made.hits, made.rewrite) == ("ok", (), "")


def test_less_than_promised_says_who_when_where_and_until() -> None:
    until = datetime(2026, 11, 23, 16, tzinfo=UTC)
    made = judge("年课可以 9 折", ground(kept(until_at=until)), now=NOW)

    assert (made.level, [h.rule for h in made.hits]) == ("block", ["promise.worse"])
    assert made.hits[0].why.sentence == (
        "11-20 19:42 李敏（在线客服）已答应子涵妈妈 8.5 折，11-23 前有效，这里写的是 9 折。"
    )


@pytest.mark.parametrize(
    ("draft", "promise", "better"),
    [
        ("年课可以 9 折", {}, "年课可以 8.5 折"),
        ("年课打九折", {}, "年课打8.5折"),
        ("年课给您9折，6120元", {}, "年课给您8.5折，5780元"),
        ("年课 6,120 元", {}, "年课 5780 元"),
        ("年课 9 折", {"kind": "price", "share": None, "fen": 578_000}, "年课 8.5 折"),
        ("年课立减 200 元", {"kind": "off", "share": None, "fen": 30_000}, "年课立减 300 元"),
        ("年课优惠 10%", {}, "年课优惠 15%"),
    ],
)
def test_a_worse_figure_is_put_right_in_the_way_it_was_written(
    draft: str, promise: dict[str, object], better: str
) -> None:
    made = judge(draft, ground(kept(**promise)), now=NOW)

    assert (made.level, made.rewrite) == ("block", better)
    assert judge(better, ground(kept(**promise)), now=NOW).level == "ok"


def test_what_was_promised_in_one_breath_is_broken_once() -> None:
    share, price = kept(event_id=5), kept(event_id=5, promise_id=10, kind="price", share=None, fen=578_000)
    other = kept(event_id=6, promise_id=11)

    made = judge("年课 9 折", ground(share, price), now=NOW)
    twice = judge("年课 9 折", ground(share, price, other), now=NOW)

    assert [h.promise for h in made.hits] == [share]
    assert [h.promise for h in twice.hits] == [share, other]
    assert judge("年课 6120 元", ground(share, price), now=NOW).hits[0].promise == price


def test_a_cure_repeats_nothing_that_stands_before_it() -> None:
    rule = replace(GUARANTEE, rewrite={"保证提分": "我们每四周测一次"})
    book = Book(rules={rule.id: rule}, scanner=Scanner([rule]), version="v1")

    made = judge("放心，我们保证提分", replace(ground(), book=book), now=NOW)

    assert made.rewrite == "放心，我们每四周测一次"
    assert [h.rule for h in made.hits] == ["edu.guarantee"]  # and not once more as a guarantee


def test_what_cannot_be_put_right_whole_is_left_to_the_rep() -> None:
    unknown = ground(kept(product="", product_code=""), products={}, prices={})

    assert judge("给您9折，6120元", unknown, now=NOW).rewrite == ""


def test_words_and_promises_are_put_right_together() -> None:
    made = judge("我们保证提分，年课 9 折", ground(kept()), now=NOW)

    assert {h.rule for h in made.hits} >= {"edu.guarantee", "promise.worse"}
    assert made.rewrite == "我们每四周测一次，年课 8.5 折"


def test_a_word_nobody_wrote_a_cure_for_is_left_to_the_rep() -> None:
    bare = replace(GUARANTEE, rewrite={})
    held = replace(ground(), book=Book(rules={bare.id: bare}, scanner=Scanner([bare]), version="v2"))

    assert judge("我们保证提分", held, now=NOW).rewrite == ""


def test_a_forbidden_word_alone_is_replaced() -> None:
    free = ground(policy=Policy(guarantees=True))

    made = judge("前四周保证提分", free, now=NOW)

    assert (made.level, made.rewrite) == ("block", "前四周每四周测一次")


def test_a_warning_is_no_ban() -> None:
    assert judge("活动最后一天了", ground(), now=NOW).level == "warn"


def test_a_placeholder_is_never_sent() -> None:
    made = judge("【孩子称呼】您好", ground(), missing=("【孩子称呼】",), now=NOW)

    assert (made.level, made.hits[0].start, made.hits[0].end) == ("block", 0, 6)


LEFT = Cleared(by="王主管", at=NOW, rules=frozenset({"promise.worse"}))


@pytest.mark.parametrize(
    "left",
    [
        replace(LEFT, rules=frozenset({"ad.urgency"})),
        replace(LEFT, at=NOW - timedelta(days=9)),
    ],
    ids=["what nobody asked about", "what was promised since"],
)
def test_leave_covers_only_what_the_leader_saw(left: Cleared) -> None:
    assert judge("年课 9 折", ground(kept()), cleared=left, now=NOW).level == "block"


def test_words_a_leader_let_pass_are_fine_and_say_so() -> None:
    made = judge("年课 9 折", ground(kept()), cleared=LEFT, now=NOW)

    assert made.level == "ok"
    assert made.notes[0].sentence == "主管 王主管 已放行这段话。"


def test_a_coupon_is_broken_by_a_smaller_coupon_and_not_by_a_price() -> None:
    coupon = kept(promise_id=-3, kind="off", share=None, fen=30_000)

    assert judge("年课 6800 元", ground(coupon), now=NOW).level == "ok"
    assert judge("年课立减 200", ground(coupon), now=NOW).level == "block"


def test_a_price_that_is_no_official_one_is_looked_at_only_where_the_product_is_named() -> None:
    assert judge("年课 6000 元", ground(), now=NOW).level == "warn"
    assert judge("教材 120 元", ground(list_fen=LIST), now=NOW).level == "ok"


def test_policy_bounds_what_may_be_promised() -> None:
    policies = read("7 lead=6 K12/lead=5.5", "300", "体验课，教材", guarantees=False)

    def level(text: str, role: str, line: str = "") -> Grade:
        return judge(text, ground(policy=policies.of(role, line)), now=NOW).level

    assert (level("给您 6.5 折", "rep"), level("给您 6.5 折", "lead")) == ("block", "ok")
    assert (level("给您 5.5 折", "lead"), level("给您 5.5 折", "lead", "K12")) == ("block", "ok")
    assert (level("立减 500 元", "rep"), level("立减 300 元", "rep")) == ("block", "ok")
    assert (level("送您一台平板", "rep"), level("送您两节体验课", "rep")) == ("block", "ok")


@pytest.mark.parametrize("text", ["abc", "11", "lead=", "7..5"])
def test_a_limit_nobody_can_read_is_refused(text: str) -> None:
    with pytest.raises(BadConfig, match="promise_floor"):
        read(text, "", "", guarantees=False)


def test_what_the_customer_opted_out_of_is_stopped_and_what_goes_by_hand_is_not() -> None:
    refused = (Spoken(rule="consent", weight="refuse", why="客户已退订。"),)
    window = (Spoken(rule="window", weight="refuse", why="过了 48 小时。"),)

    assert judge("好的", ground(), decision=Decision(way="api", spoken=refused), now=NOW).level == "block"
    assert judge("好的", ground(), decision=Decision(way="api", spoken=window), now=NOW).level == "block"
    assert judge("好的", ground(), decision=Decision(way="copy", spoken=window), now=NOW).level == "ok"


def test_what_is_quoted_to_the_customer_passes_the_check() -> None:
    promise = kept(until_at=datetime(2026, 11, 23, 16, tzinfo=UTC))
    text = quote(promise, LIST)

    assert text == "您好，年课按之前答应您家的 8.5 折（¥5,780） 办理，11月23日前有效。"
    assert judge(text, ground(promise), now=NOW).level == "ok"
    assert money(kept(kind="off", share=None, fen=50_050, min_fen=500_000)).sentence == "满 ¥5,000 减 ¥500.50"


# -- tokens ------------------------------------------------------------------------------------------------
CLAIM = Claim(digest="d", conversation_id=1, staff_id=2, rules="v1", promises="7.0")


def sign(text: str) -> str:
    return f"s{abs(hash(text))}"


def test_a_token_proves_the_verdict_for_two_minutes() -> None:
    made = token(sign, CLAIM, "warn", now=NOW)

    assert token_valid(sign, CLAIM, made, now=NOW + FRESH - timedelta(seconds=1)) == "warn"
    assert token_valid(sign, CLAIM, made, now=NOW + FRESH + timedelta(seconds=1)) == ""
    assert token_valid(sign, CLAIM, made.replace("warn", "ok", 1), now=NOW) == ""
    assert token(sign, CLAIM, "block", now=NOW) == ""


@pytest.mark.parametrize(
    "changed",
    [{"digest": "e"}, {"conversation_id": 3}, {"staff_id": 4}, {"rules": "v2"}, {"promises": "8.0"}],
)
def test_a_token_is_for_these_words_this_customer_this_rep_and_ground(
    changed: dict[str, object],
) -> None:
    made = token(sign, CLAIM, "ok", now=NOW)

    assert token_valid(sign, CLAIM, made, now=NOW) == "ok"
    assert token_valid(sign, replace(CLAIM, **changed), made, now=NOW) == ""  # type: ignore[arg-type]


@given(st.text(max_size=60))
def test_whatever_is_sent_as_a_token_is_none(text: str) -> None:
    assert token_valid(sign, CLAIM, text, now=NOW) == ""


_TEXTS = st.text(alphabet="年课给您打优惠0123456789.九折万元减立保证提分送，。 %¥-", max_size=40)


@given(_TEXTS, st.integers(min_value=5, max_value=9))
def test_a_rewrite_never_makes_it_worse_and_no_draft_breaks_the_check(text: str, share: int) -> None:
    held = ground(kept(share=share * 1000), list_fen=LIST)

    made = judge(text, held, now=NOW)

    assert not made.rewrite or judge(made.rewrite, held, now=NOW).level != "block"
