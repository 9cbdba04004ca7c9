"""Every error code of the platforms we know: what we do about it, and what it means beyond the one call."""

from __future__ import annotations

import pytest

from connectors.kit.errcodes import TABLE, Action, meaning, raise_for
from scrm.errors import NotSent, Rejected, Unknown
from scrm.push.effects import EFFECTS

RETRY, REFRESH, QUOTA, CONFIG = Action.RETRY, Action.REFRESH, Action.QUOTA, Action.CONFIG
WINDOW, SESSION, DENIED, DEAD = Action.WINDOW, Action.SESSION, Action.DENIED, Action.DEAD
#: The protocol facts 2.1 (Official Account), 2.4 (APIs), 2.5 (customer service), 2.6 (tokens and limits).
ROWS = [
    # 2.1
    (45015, WINDOW, "out_of_window"),  # 48 hours are over
    (45047, WINDOW, "out_of_window"),  # too many without an answer
    (48002, DENIED, "opted_out"),  # the customer refuses messages
    (43004, DENIED, "no_relation"),  # must follow
    (45009, QUOTA, "quota"),
    (45011, QUOTA, "quota"),
    (40001, CONFIG, "config"),  # what is left of it after one renewal: a wrong secret
    (40014, REFRESH, ""),
    (42001, REFRESH, ""),
    # 2.4: welcome, transfer
    (41050, WINDOW, ""),  # the 20 seconds are over; talk is another matter
    (41051, WINDOW, ""),  # chatting already
    (41096, RETRY, ""),  # being sent
    (41053, DENIED, ""),  # no archive consent
    (40096, DENIED, ""),
    # 2.5
    (95001, WINDOW, "out_of_window"),
    (95002, WINDOW, "out_of_window"),
    (95007, DEAD, ""),  # of the pull, not of a push
    (95011, SESSION, "config"),
    (95012, SESSION, "config"),
    (95013, SESSION, "session_ended"),
    (95016, SESSION, ""),  # somebody was faster: the connector looks again
    (95018, SESSION, "session_human"),
    # 2.6
    (-1, RETRY, ""),
    (6000, RETRY, ""),
    (40013, CONFIG, "config"),
    (40029, DENIED, ""),  # sign-in code
    (40093, REFRESH, ""),
    (40058, DEAD, "content"),
    (40063, DEAD, "content"),
    (45033, RETRY, ""),
    (60011, DENIED, "permission"),
    (60111, DENIED, "permission"),
    (81013, DENIED, "permission"),
    (60020, CONFIG, "config"),
    (84061, DENIED, "no_relation"),
    (84071, DENIED, ""),
    (84074, DENIED, "permission"),
    (84083, DENIED, "permission"),
    (84084, DENIED, "permission"),
    (301052, DEAD, ""),
    (301053, CONFIG, "config"),
    (301059, DEAD, "content"),
    (301060, DEAD, "content"),
    (701008, DENIED, "permission"),
    (40201, DEAD, "content"),
    (90207, DEAD, "content"),
    (91040, CONFIG, "config"),
]


@pytest.mark.parametrize(("code", "action", "effect"), ROWS)
def test_each_code_has_its_action_and_its_consequence(code: int, action: Action, effect: str) -> None:
    found = meaning(code)

    assert (found.action, found.consequence) == (action, effect)
    assert found.sentence.endswith(("。", "！"))


@pytest.mark.parametrize(("code", "action", "effect"), ROWS)
def test_what_is_raised_carries_the_vendors_code_and_what_it_means(
    code: int, action: Action, effect: str
) -> None:
    with pytest.raises((NotSent, Rejected)) as raised:
        raise_for({"errcode": code, "errmsg": "hint: [xyz] from ip"}, sent=True)

    assert isinstance(raised.value, NotSent) == (action in (RETRY, REFRESH, QUOTA))
    assert (raised.value.code, raised.value.effect) == (str(code), effect)


def test_only_a_busy_platform_says_how_often_it_may_be_tried() -> None:
    tries = {}
    for code, action, _ in ROWS:
        if action in (RETRY, REFRESH, QUOTA):
            with pytest.raises(NotSent) as raised:
                raise_for({"errcode": code}, sent=True)
            tries[code] = raised.value.retries

    assert tries.pop(-1) == 3
    assert set(tries.values()) == {None}


def test_one_number_means_two_things_to_two_vendors() -> None:
    assert meaning(48002, "official").consequence == "opted_out"
    assert meaning(48002, "wecom").consequence == "permission"


def test_every_consequence_is_one_the_core_knows() -> None:
    assert {m.consequence for m in TABLE.values()} <= {"", *EFFECTS}
    assert {effect for _, _, effect in ROWS} == {"", *EFFECTS}


def test_a_code_nobody_knows_is_final_and_means_nothing_else() -> None:
    with pytest.raises(Rejected, match="123456") as raised:
        raise_for({"errcode": 123456}, sent=True)

    assert raised.value.effect == ""


def test_an_answer_without_a_code_is_no_answer_when_something_was_delivered() -> None:
    with pytest.raises(Unknown):
        raise_for({"msg": "ok"}, sent=True)
