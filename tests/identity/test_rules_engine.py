"""What the engine makes of the cases that go wrong elsewhere: switchboards, tablets, new owners, slips."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scrm.identity import policies
from scrm.identity.rules import names
from scrm.identity.rules.memory import Engine
from scrm.identity.rules.placing import Place
from scrm.identity.rules.reading import Ident, Relation, Seen, normal

POLICY = policies.read(Path(__file__).parents[2] / "config" / "identity.yaml")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
HERS, HIS = Ident("phone", "", "13911223344"), Ident("phone", "", "13655667788")
ACCOUNT, CHILD = Ident("app_user", "app", "acc1"), Ident("learner", "school", "L1")
SISTER = Ident("learner", "school", "L2")
PAD, PHONE = Ident("device", "", "pad-1"), Ident("device", "", "dev-1")
FAMILY = "same_household"


class _Story:
    """Events told one after the other, a day apart unless said otherwise."""

    def __init__(self) -> None:
        self.told: list[Seen] = []

    def tell(self, type_: str, *ids: Ident, day: int | None = None, **more: Any) -> str:
        at = BEGAN + timedelta(days=len(self.told) if day is None else day)
        key = f"e{len(self.told):02}"
        more.setdefault("slot", "holder")
        self.told.append(Seen(id=key, at=at, type=type_, ids=ids, **more))
        return key

    def places(self) -> dict[str, Place]:
        forth, back = Engine(POLICY), Engine(POLICY)
        forth.see(self.told)
        for seen in reversed(self.told):
            back.see([seen])
        found = forth.assign()
        assert _parted(found) == _parted(back.assign())
        return found


def _parted(places: dict[str, Place]) -> set[frozenset[str]]:
    """Who is with whom, without names."""
    groups: dict[str, set[str]] = {}
    for key, place in places.items():
        groups.setdefault(place.person, set()).add(key)
    return {frozenset(g) for g in groups.values()}


def _tie(to: Ident, cls: str = FAMILY) -> tuple[Relation, ...]:
    return (Relation(cls, to),)


def test_a_mobile_number_many_reps_saw_and_nobody_owns_is_a_switchboard() -> None:
    story = _Story()
    calls = [story.tell("call", HERS, rep=f"rep{i}") for i in range(6)]

    assert len({story.places()[c].person for c in calls}) == 6


def test_who_calls_many_reps_under_one_name_or_with_an_account_is_somebody() -> None:
    for ids, name in (((HERS,), "王伟"), ((HERS, ACCOUNT), "")):
        story = _Story()
        story.tell("register", *ids, name=name, rep="rep0")
        for i in range(8):
            story.tell("call", HERS, rep=f"rep{i}")

        assert len(_parted(story.places())) == 1


def test_a_number_one_broker_reports_to_several_reps_is_the_brokers_until_it_shows_more() -> None:
    story, broker = _Story(), Ident("broker", "", "b7")
    first = story.tell("broker_report", HERS, broker, rep="rep1")
    second = story.tell("broker_report", HERS, broker, rep="rep2")
    assert story.places()[first].person != story.places()[second].person

    story.tell("register", HERS, ACCOUNT, rep="rep1")
    assert len(_parted(story.places())) == 1


def test_whoever_opens_another_account_with_a_number_long_silent_is_its_new_owner() -> None:
    story = _Story()
    story.tell("register", HERS, relations=_tie(ACCOUNT), day=0)
    old = story.tell("call", HERS, day=30)
    new = story.tell("register", HERS, relations=_tie(Ident("app_user", "app", "acc2")), day=150)
    later = story.tell("call", HERS, day=160)
    places = story.places()

    assert places[old].person != places[new].person == places[later].person
    assert places[old].household != places[new].household


def test_opening_the_same_account_again_after_a_silence_is_the_same_person() -> None:
    story = _Story()
    story.tell("register", HERS, relations=_tie(ACCOUNT), day=0)
    story.tell("register", HERS, relations=_tie(ACCOUNT), day=150)

    assert len(_parted(story.places())) == 1


def test_what_nobody_was_named_for_on_a_device_is_one_stranger_and_a_child_another() -> None:
    story = _Story()
    looks = [story.tell("browse", PHONE, slot="unknown") for _ in range(3)]
    lesson = story.tell("class", PHONE, slot="learner")
    places = story.places()

    assert len({places[k].person for k in looks}) == 1
    assert places[lesson].person != places[looks[0]].person
    assert not places[looks[0]].named


def test_a_tablet_strangers_of_several_accounts_or_names_used_is_nobodys() -> None:
    others = Ident("app_user", "app", "acc2")
    told: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"ids": (ACCOUNT, PAD)}, {"ids": (others, PAD)}),
        ({"ids": (PAD,), "name": "郑玲慧"}, {"ids": (PAD,), "name": "张东"}),
    ]
    for first, second in told:
        story = _Story()
        looks = [
            story.tell("browse", *how["ids"], slot="unknown", name=how.get("name", ""))
            for how in (first, second)
        ]

        assert len({story.places()[k].person for k in looks}) == 2


def test_a_device_of_two_adults_names_nobody_and_one_of_a_parent_and_a_child_by_the_slot() -> None:
    story = _Story()
    hers, *_ = (story.tell("order", HERS, PAD) for _ in range(3))
    story.tell("class", CHILD, PAD, slot="learner", relations=_tie(HERS))
    look = story.tell("browse", PAD)
    unknown = story.tell("browse", PAD, slot="unknown")
    places = story.places()
    assert places[look].person == places[hers].person != places[unknown].person

    his = story.tell("register", HIS, PAD)
    places = story.places()
    assert places[look].person not in {places[hers].person, places[his].person}


def test_a_name_that_cannot_be_theirs_is_not_put_on_the_owner_of_a_device() -> None:
    story = _Story()
    hers = story.tell("register", HERS, PHONE, name="郑玲慧")
    his = story.tell("browse", PHONE, slot="unknown", name="张东")
    short = story.tell("browse", PHONE, slot="unknown", name="玲慧")
    places = story.places()

    assert places[his].person != places[hers].person == places[short].person


def test_a_lesson_without_a_number_is_the_only_childs_unless_a_device_may_be_a_sisters() -> None:
    story = _Story()
    story.tell("register", HERS, ACCOUNT)
    named = story.tell("class", CHILD, ACCOUNT, PHONE, slot="learner")
    plain = story.tell("class", ACCOUNT, slot="learner")
    elsewhere = story.tell("class", ACCOUNT, PAD, slot="learner")
    places = story.places()
    assert places[plain].person == places[named].person != places[elsewhere].person

    story.tell("class", SISTER, ACCOUNT, slot="learner")
    assert story.places()[plain].person != story.places()[named].person


def test_a_device_that_says_nothing_does_not_make_the_holder_do_it() -> None:
    story = _Story()
    holder = story.tell("register", HERS, ACCOUNT)
    bare = story.tell("browse", ACCOUNT, slot="unknown")
    default = story.tell("browse", ACCOUNT, Ident("device", "", "9774d56d682e549c"), slot="unknown")
    places = story.places()

    assert places[bare].person == places[holder].person != places[default].person
    assert places[default].household == places[holder].household


def _family(story: _Story, n: int) -> tuple[Ident, str]:
    """A mother, her account and her child: three of one household."""
    phone, account = Ident("phone", "", f"1391122330{n}"), Ident("app_user", "app", f"acc{n}")
    key = story.tell("register", phone, relations=_tie(account))
    child = Ident("learner", "school", f"L{n}")
    for _ in range(2):
        story.tell("class", child, slot="learner", relations=_tie(account))
    return phone, key


def test_one_slip_does_not_make_one_family_of_two_but_two_words_do() -> None:
    story = _Story()
    (one, a), (two, b) = _family(story, 1), _family(story, 2)
    story.tell("statement", one, relations=_tie(two))
    places = story.places()
    assert places[a].household != places[b].household

    story.tell("card_forward", two, relations=_tie(one))
    places = story.places()
    assert places[a].household == places[b].household
    assert places[a].person != places[b].person


def test_one_word_is_enough_for_somebody_who_has_no_family_yet() -> None:
    story = _Story()
    phone, a = _family(story, 1)
    his = story.tell("statement", HIS, relations=_tie(phone))

    assert story.places()[his].household == story.places()[a].household


def test_service_numbers_and_rows_of_one_digit_name_nobody() -> None:
    for value in ("95588", "12345", "13888888888", "13900000000", "4008001234", "021-61234567"):
        story = _Story()
        story.tell("call", Ident("phone", "", value))
        story.tell("call", Ident("phone", "", value))

        assert len(_parted(story.places())) == 2, value


def test_numbers_are_one_however_they_are_written_and_foreign_ones_stay_foreign() -> None:
    ways = ("13911223344", "+86 139 1122 3344", "0086-139-1122-3344", "86 13911223344")

    assert {normal(POLICY, Ident("phone", "", w)).value for w in ways} == {"+8613911223344"}
    assert normal(POLICY, Ident("phone", "", "+852 6123 4567")).value == "+85261234567"


def test_given_names_alone_do_not_contradict_whole_ones() -> None:
    assert not names.differ("曹文英", "文英")
    assert names.differ("曹文英", "文一鸣")
    assert names.differ("尹海", "阎玉霞")


def test_two_logins_on_one_browser_stay_two_customers_and_one_login_takes_it_along() -> None:
    story = _Story()
    browser = Ident("app_anon", "shop", "b1")
    hers = story.tell("login", Ident("app_user", "app", "acc1"), browser)
    before = story.tell("browse", browser)
    places = story.places()
    assert places[before].person == places[hers].person

    his = story.tell("login", Ident("app_user", "app", "acc2"), browser)
    places = story.places()
    assert len({places[hers].person, places[his].person, places[before].person}) == 3


def test_a_number_lent_within_the_family_is_whoevers_name_was_given() -> None:
    story = _Story()
    story.tell("register", HERS, ACCOUNT, name="李芳")
    own = story.tell("call", HERS, name="李芳", slot="unknown")
    his = story.tell("register", HIS, name="王伟", relations=_tie(ACCOUNT))
    lent = story.tell("call", HERS, name="王伟", slot="unknown")
    places = story.places()

    assert places[lent].person == places[his].person != places[own].person


def test_another_whole_name_on_a_number_is_another_and_a_slip_or_nickname_is_not() -> None:
    for name, other in (
        ("赵国强", True),
        ("李子函", False),
        ("黎子涵", False),
        ("阳光灿烂", False),
        ("涵涵妈妈", False),
    ):
        story = _Story()
        own, _ = (story.tell("call", HERS, name="李子涵") for _ in range(2))
        call = story.tell("call", HERS, name=name)
        places = story.places()

        assert (places[call].person != places[own].person) is other
        assert places[call].household == places[own].household


def test_whose_name_a_child_bears_is_the_child_even_where_the_parent_gave_it() -> None:
    story = _Story()
    first = story.tell("register", HERS, ACCOUNT, name="王子涵")
    story.tell("class", CHILD, slot="learner", name="王子涵", relations=_tie(ACCOUNT))
    calls = [story.tell("call", HERS, name="李芳") for _ in range(2)]
    places = story.places()

    assert places[first].person == places[calls[0]].person


def test_unknown_hands_in_an_account_are_not_the_holders_on_a_device_they_hardly_use() -> None:
    for times, theirs in ((0, True), (2, False)):
        story = _Story()
        own = story.tell("register", HERS, ACCOUNT, PAD)
        for _ in range(times):
            story.tell("mp_open", HERS, PHONE)
        look = story.tell("browse", ACCOUNT, PAD, slot="unknown")
        places = story.places()

        assert (places[look].person == places[own].person) is theirs


def test_who_always_came_to_one_of_us_is_not_the_stranger_who_came_to_another() -> None:
    for rep, theirs in (("rep1", True), ("rep2", False)):
        story = _Story()
        own, *_ = (story.tell("mp_open", HERS, PHONE, rep="rep1") for _ in range(3))
        look = story.tell("browse", PHONE, slot="unknown", rep=rep)
        places = story.places()

        assert (places[look].person == places[own].person) is theirs


def test_where_everybody_deals_with_anybody_of_us_many_reps_make_no_shop_of_a_device() -> None:
    story = _Story()
    own, *_ = (story.tell("mp_open", HERS, PHONE, rep=f"rep{i}") for i in range(4))
    look = story.tell("browse", PHONE, slot="unknown", rep="rep9")
    places = story.places()

    assert places[look].person == places[own].person


def test_one_name_among_ever_so_many_reps_does_not_make_a_switchboard_somebody() -> None:
    story = _Story()
    calls = [story.tell("call", HERS, rep=f"rep{i}", name="王伟" if i == 3 else "") for i in range(11)]

    assert len({story.places()[c].person for c in calls}) == len(calls)


def test_two_families_with_an_account_each_are_joined_by_a_signature_but_not_by_one_word() -> None:
    for kind, joined in (("statement", False), ("card_forward", False), ("cosign", True)):
        story = _Story()
        other = Ident("app_user", "app", "acc2")
        hers = story.tell("register", HERS, ACCOUNT)
        his = story.tell("register", HIS, other)
        story.tell("class", CHILD, slot="learner", relations=_tie(ACCOUNT))
        story.tell("class", SISTER, slot="learner", relations=_tie(other))
        story.tell(kind, HERS, relations=_tie(HIS))
        places = story.places()

        assert (places[hers].household == places[his].household) is joined


def test_whoever_has_an_account_and_no_family_joins_that_of_whom_they_pay_for() -> None:
    story = _Story()
    hers = story.tell("register", HERS, ACCOUNT)
    his = story.tell("register", HIS, Ident("app_user", "app", "acc2"))
    story.tell("class", CHILD, slot="learner", relations=_tie(ACCOUNT))
    story.tell("order", HIS, relations=_tie(ACCOUNT))
    places = story.places()

    assert places[hers].household == places[his].household
