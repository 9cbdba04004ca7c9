"""The batch companion: what it compares, what it asks, and that it never chains, contradicts or decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scrm.bench.identity.chances import shape
from scrm.bench.identity.generate import generate
from scrm.bench.identity.ours import decide
from scrm.errors import BadConfig
from scrm.identity import policies
from scrm.identity.match import scoring
from scrm.identity.match.choosing import CLUSTER, choose, contradict, homes
from scrm.identity.match.model import columns, fitted
from scrm.identity.match.proposing import find
from scrm.identity.match.records import Record, alludes, mask_of, masks, near, of_names
from scrm.identity.match.scoring import Scored
from tests.identity.match.proposed import proposals_on

POLICY = policies.read(Path("config/identity.yaml"))
NAMES = [f"{s}{g}{h}" for s in "王李张刘陈" for g in "国秀建桂志文玉晓" for h in "芳敏静丽强伟磊军洋勇"]


def person(ident: int, name: str = "", **more: object) -> Record:
    said = of_names([name] if name else [])
    base = Record(
        person_id=ident,
        node_id=ident * 10,
        names=tuple(said.full),
        surname=said.surname,
        gender=said.gender,
        nicknames=tuple(said.nicknames),
        children=tuple(said.children),
    )
    return replace(base, **more)  # type: ignore[arg-type]


def town(count: int = 500) -> list[Record]:
    """People who have nothing to do with each other: a name each, a telephone each, fifty reps."""
    return [
        person(
            1000 + i, NAMES[i % len(NAMES)] if i < len(NAMES) else "",
            phones=(f"13{i * 7919 % 10**9:09}",), reps=(f"rep{i % 50}",),
        )
        for i in range(count)
    ]  # fmt: skip


def asked(records: Sequence[Record], cls: str = "same_person") -> dict[tuple[int, int], list[str]]:
    found = find(records, POLICY, apart={})
    return {
        (p.a.person_id, p.b.person_id): [r.sentence for r in p.reasons if r.weight > 0]
        for p in found.proposed
        if p.cls == cls
    }


# -- records -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "surname", "gender", "children"),
    [
        ("王先生", "王", "m", []),
        ("欧阳女士", "欧阳", "f", []),
        ("子涵妈妈", "", "f", ["子涵"]),
        ("小宇爸爸", "", "m", ["小宇"]),
        ("我妈妈", "", "f", []),
        ("宝宝妈", "", "f", []),
        ("王国勇", "王", "", []),
    ],
)
def test_names_say_surname_gender_and_child(
    name: str, surname: str, gender: str, children: list[str]
) -> None:
    said = of_names([name])

    assert (said.surname, said.gender, said.children) == (surname, gender, children)


@pytest.mark.parametrize(
    ("a", "b", "close"),
    [
        ("13912345678", "13912345679", True),
        ("13912345678", "13921345678", True),
        ("13912345678", "13912354678", True),
        ("13912345678", "13912345687", True),
        ("13912345678", "13912345699", False),
        ("13912345678", "13812345679", False),
    ],
)
def test_telephones_are_near_by_one_digit_or_two_swapped(a: str, b: str, close: bool) -> None:
    assert bool(set(near(a)) & set(near(b))) == close


def test_both_ways_of_hiding_digits_meet_the_whole_number() -> None:
    assert mask_of("139****5678") in masks("+8613912345678")
    assert mask_of("1391xxxx678") in masks("13912345678")
    assert mask_of("139****5679") not in masks("13912345678")
    assert (mask_of("13912345678"), masks("01088886666"), masks("139")) == ("", (), ())


def test_a_nickname_alludes_to_a_given_name() -> None:
    assert "亮宁" in alludes(["A亮宁"])
    assert alludes(["Sunny"]) == []


# -- scoring -----------------------------------------------------------------------------------------------
def test_a_rare_name_with_the_same_rep_is_asked_about_and_says_why() -> None:
    records = [*town(), person(1, "司马南山", reps=("rep1",)), person(2, "司马南山", reps=("rep1",))]

    found = asked(records)

    assert list(found) == [(1, 2)]
    assert found[1, 2][0] == "姓名相同：司马南山"
    assert "由同一位同事跟进" in found[1, 2]


def test_a_mistyped_telephone_is_found_and_a_block_of_numbers_is_not() -> None:
    slip = [
        person(1, "司马南山", phones=("15912340001",), reps=("rep1",)),
        person(2, phones=("15912340031",), reps=("rep1",)),
    ]
    block = [person(i, phones=(f"1880000000{i}",), reps=("rep2",)) for i in range(3, 8)]

    found = asked([*town(), *slip, *block])

    assert list(found) == [(1, 2)]
    assert any("尾号 0001、0031" in line for line in found[1, 2])


def test_family_members_are_no_candidates_for_one_person() -> None:
    home = {"devices": ("pad",), "addresses": ("home",), "reps": ("rep1",), "household": "h1"}
    family = [person(1, "司马南山", **home), person(2, "欧阳秋月", **home), person(3, **home)]

    assert asked([*town(), *family]) == {}


def test_the_same_child_with_the_same_rep_is_asked_about_as_a_family() -> None:
    others = [
        person(2000 + i, f"{name[1:]}妈妈", reps=(f"rep{i % 50}",)) for i, name in enumerate(NAMES[:80])
    ]
    records = [
        *town(), *others, person(1, "子涵妈妈", reps=("rep1",)), person(2, "子涵爸爸", reps=("rep1",)),
        person(3, "子涵奶奶", reps=("rep3",)),
    ]  # fmt: skip

    found = asked(records, "same_household")

    assert list(found) == [(1, 2)]
    assert found[1, 2][0] == "都提到孩子“子涵”"


def test_the_same_records_make_the_same_model_and_the_same_questions_in_any_order() -> None:
    records = [*town(), person(1, "司马南山", reps=("rep1",)), person(2, "司马南山", reps=("rep1",))]
    one, other = find(records, POLICY, apart={}), find(records[::-1], POLICY, apart={})

    assert [m.version for m in one.models] == [m.version for m in other.models]
    assert one.proposed == other.proposed
    more = find([*records, person(3, "诸葛一鸣")], POLICY, apart={})
    assert more.models[0].version != one.models[0].version


def test_the_waterfall_adds_up_to_the_weight() -> None:
    table = columns([*town(), person(1, "司马南山", reps=("rep1",)), person(2, "司马南山", reps=("rep1",))])
    model = fitted("same_person", table)
    (best, *_) = scoring.score(table, model, least_bits=1.0)

    odds = model.settings["probability_two_random_records_match"]
    prior = scoring.bits(odds)

    assert best.bits == pytest.approx(prior + sum(p.bits for p in best.parts), abs=1e-6)


def test_nobody_said_anything_and_nothing_is_asked() -> None:
    assert asked([]) == {}
    assert asked([person(1), person(2)]) == {}


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_LIBRARIES", ("no_such_library",))

    with pytest.raises(BadConfig, match=r"scrm\[match\]"):
        scoring.demand()


# -- choosing ----------------------------------------------------------------------------------------------
def pair(a: int, b: int, bits: float = 5.0) -> Scored:
    return Scored(a=min(a, b), b=max(a, b), bits=bits, probability=0.9, parts=())


def chosen(pairs: Sequence[Scored], records: Sequence[Record], **more: object) -> set[tuple[int, int]]:
    by_id = {r.person_id: r for r in records}
    return {(s.a, s.b) for s in choose(pairs, by_id, POLICY, least_bits=1.0, **more)}  # type: ignore[arg-type]


def union(ident: int, value: str, **more: object) -> Record:
    return person(ident, exclusive=(("wechat_unionid", "open", value),), **more)


def test_two_values_of_an_exclusive_kind_are_never_asked_about() -> None:
    assert chosen([pair(1, 2)], [union(1, "a"), union(2, "b")]) == set()
    assert chosen([pair(1, 2)], [union(1, "a"), person(2)]) == {(1, 2)}


def test_the_weightier_of_two_that_cannot_both_be_true_is_asked() -> None:
    pairs = [pair(1, 3, 3.0), pair(2, 3, 6.0)]

    assert chosen(pairs, [union(1, "a"), union(2, "b"), person(3)]) == {(2, 3)}


def test_who_is_kept_apart_is_not_asked_about_even_through_a_third() -> None:
    three = [person(1), person(2), person(3)]
    pairs = [pair(1, 2, 6.0), pair(2, 3, 5.0), pair(1, 3, 4.0)]

    assert chosen(pairs, three) == {(1, 2), (2, 3), (1, 3)}
    assert chosen(pairs, three, apart={(1, 3)}) == {(1, 2)}


@pytest.mark.parametrize(
    "other",
    [
        person(2, "李秀芳"),
        person(2, phones=("13912345678",)),
        person(2, learner=True),
    ],
    ids=["another name", "one telephone and yet two persons", "a child"],
)
def test_contradictions(other: Record) -> None:
    one = person(1, "王国勇", phones=("13912345678",))

    assert contradict(one, other)
    assert not contradict(one, person(2, "王先生", phones=("13912345679",)))


def test_a_chain_of_likely_pairs_is_not_followed() -> None:
    chain = [pair(i, i + 1, 9 - i / 100) for i in range(1, 60)]

    found = chosen(chain, [person(i) for i in range(1, 61)])

    assert max(map(len, _groups(found))) <= 3
    assert len(found) < len(chain)


def _groups(pairs: set[tuple[int, int]]) -> list[set[int]]:
    groups: dict[int, set[int]] = {}
    for a, b in pairs:
        both = groups.get(a, {a}) | groups.get(b, {b})
        groups |= dict.fromkeys(both, both)
    return list(groups.values()) or [set()]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_whatever_is_likely_no_cluster_is_large_or_impossible(data: st.DataObject) -> None:
    count = data.draw(st.integers(3, 40))
    kinds = st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from(["", "王国勇", "李秀芳"]))
    records = [
        (union(i, f"{value}{i % 3}", **{}) if value else person(i, name))
        for i, (value, name) in enumerate(data.draw(st.lists(kinds, min_size=count, max_size=count)))
    ]
    every = list(combinations(range(count), 2))
    some = data.draw(st.lists(st.sampled_from(every), unique=True))
    pairs = [pair(a, b, 1 + data.draw(st.integers(0, 9))) for a, b in some]
    apart = set(data.draw(st.lists(st.sampled_from(every), max_size=5)))

    found = chosen(pairs, records, apart=apart)

    by_id = {r.person_id: r for r in records}
    for group in _groups(found):
        assert len(group) <= CLUSTER
        assert len({v for i in group for v in by_id[i].exclusive}) <= 1
        for a, b in combinations(sorted(group), 2):
            assert (a, b) not in apart
            assert not contradict(by_id[a], by_id[b])


def test_a_clique_of_more_than_the_cap_is_cut_at_the_cap() -> None:
    everybody = range(1, 31)
    found = chosen([pair(a, b) for a, b in combinations(everybody, 2)], [person(i) for i in everybody])

    assert max(map(len, _groups(found))) == CLUSTER


def test_households_stay_within_their_cap() -> None:
    cap = POLICY.household_cap
    records: Mapping[int, Record] = {i: person(i) for i in range(1, 31)}
    pairs = [pair(i, i + 1) for i in range(1, 30)]

    found = {(s.a, s.b) for s in homes(pairs, records, POLICY, least_bits=0.0)}

    assert max(map(len, _groups(found))) == cap
    together = {i: person(i, household="h") for i in (1, 2)}
    assert homes([pair(1, 2)], together, POLICY, least_bits=0.0) == []


def test_on_the_benchmark_nine_in_ten_questions_are_right_and_some_recall_comes_back() -> None:
    stream = generate(1, households=300, dirt=1.0, shape=shape(1))

    figures = proposals_on(POLICY, stream, decide(POLICY, stream.events).places)

    assert figures.asked >= 20
    assert figures.precision >= 0.9
    assert 0.05 < figures.recovered < 1
    assert figures.largest <= CLUSTER
