"""The benchmark of identity: a seeded world, measures that are right, and files read as they are meant."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scrm.bench.identity import (
    baselines,
    cases,
    chances,
    command,
    oracle,
    ours,
    report,
    settled,
    speed,
    trials,
)
from scrm.bench.identity.errors import errors
from scrm.bench.identity.files import read_events, read_truth, write_stream
from scrm.bench.identity.generate import generate
from scrm.bench.identity.metrics import clusters, score
from scrm.bench.identity.values import Event, Ident, Relation, Stream, Truth
from scrm.cli import main
from scrm.errors import BadInput
from scrm.identity.rules.roles import Act, roles
from tests.conftest import NewUrl

DAY = datetime(2026, 1, 1, tzinfo=UTC)
SCHOOL = chances.shape(1)


@pytest.fixture(scope="module")
def stream() -> Stream:
    return generate(1, households=120, shape=SCHOOL)


# -- the generator -----------------------------------------------------------------------------------------
def test_the_same_seed_makes_the_same_stream_and_another_one_does_not(stream: Stream) -> None:
    assert generate(1, households=120, shape=SCHOOL) == stream
    assert generate(2, households=120, shape=SCHOOL).events != stream.events


def test_every_shape_makes_events_in_order_of_time_each_with_its_truth() -> None:
    for shape in chances.SHAPES:
        made = generate(5, households=60, shape=shape)
        assert [e.at for e in made.events] == sorted(e.at for e in made.events)
        assert [e.id for e in made.events] == list(made.truth)
        assert all(e.ids for e in made.events)


def test_no_dirt_is_clean_and_more_of_it_is_dirtier() -> None:
    clean, usual, filthy = (
        Counter(generate(3, households=300, dirt=dirt, shape=SCHOOL).dirt.values()) for dirt in (0, 1, 3)
    )
    assert not clean
    assert {"recycled", "hotline", "store_tablet", "default_device", "broker_phone"} <= set(usual)
    assert filthy.total() > 2 * usual.total()


def test_without_dirt_an_identifier_of_a_person_is_nobody_elses() -> None:
    made = generate(4, households=200, dirt=0, shape=SCHOOL)
    owners: dict[Ident, set[str]] = {}
    for e in made.events:
        for ident in e.ids:
            if ident.kind not in ("device", "broker", "app_user", "address"):
                owners.setdefault(ident, set()).add(made.truth[e.id].person)
    assert max(map(len, owners.values())) == 1


def test_a_recycled_number_was_silent_for_ninety_days() -> None:
    made = generate(1, households=400, dirt=3, shape=SCHOOL)
    shown: dict[Ident, list[tuple[datetime, str]]] = {}
    for e in made.events:
        for ident in e.ids:
            if made.dirt.get(e.id) == "recycled" and ident.kind == "phone":
                shown.setdefault(ident, []).append((e.at, made.truth[e.id].person))
    handed = 0
    for uses in shown.values():
        for (before, old), (after, new) in pairwise(uses):
            if old != new:
                handed += 1
                assert after - before > timedelta(days=90)
    assert handed > 3


def test_each_household_registers_pays_and_learns_by_its_own_people(stream: Stream) -> None:
    types = {e.id: e.type for e in stream.events}
    held = {(types[t.id], t.role) for t in stream.truth.values() if t.role not in ("member", "buyer")}
    assert held == {("register", "registrant"), ("order", "payer"), ("contract", "payer"), ("class", "user")}


# -- measures ----------------------------------------------------------------------------------------------
def test_pairs_and_b_cubed_are_those_counted_by_hand() -> None:
    found = clusters([("a", 1), ("a", 1), ("a", 2), ("b", 2), ("b", 2)])
    assert (found.precision, found.recall) == (2 / 4, 2 / 4)
    assert found.b3_precision == pytest.approx((2 + 1 / 3 + 2 * 2 / 3) / 5)
    assert found.b3_recall == pytest.approx((2 * 2 / 3 + 1 / 3 + 2) / 5)
    assert (found.impure, found.hit, found.biggest) == (0.5, 1.0, 2)


def test_what_nobody_assigned_stands_alone_and_the_truth_itself_scores_one(stream: Stream) -> None:
    perfect = {t.id: (t.person, t.household) for t in stream.truth.values()}
    held = {(t.household, t.role, t.person) for t in stream.truth.values() if t.role}
    best = score(stream.truth, perfect, held)
    assert best.persons.f1 == best.households.f1 == best.persons.b3_f1 == 1.0
    assert set(best.roles.values()) == {1.0}
    nothing = score(stream.truth, {}, ())
    assert (nothing.persons.precision, nothing.persons.recall) == (1.0, 0.0)
    assert set(nothing.roles.values()) == {0.0}


def test_a_role_counts_only_for_a_person_nobody_else_is_mixed_into() -> None:
    truth = {
        "1": Truth(id="1", person="mother", household="h", role="registrant"),
        "2": Truth(id="2", person="father", household="h", role="payer"),
    }
    apart = {"1": ("p1", "h1"), "2": ("p2", "h1")}
    mixed = {"1": ("p1", "h1"), "2": ("p1", "h1")}
    slots = [("h1", "registrant", "p1"), ("h1", "payer", "p2")]
    assert score(truth, apart, slots).roles == {"registrant": 1.0, "payer": 1.0}
    assert score(truth, mixed, slots).roles == {"registrant": 0.0, "payer": 0.0}


def test_errors_name_the_type_and_the_dirt_of_events_in_a_strangers_cluster(stream: Stream) -> None:
    one, other = (next(t for t in stream.truth.values() if t.household == h) for h in ("h1", "h2"))
    mine = [t.id for t in stream.truth.values() if t.person == one.person]
    given = {**{t.id: (t.person, t.household) for t in stream.truth.values()}, other.id: (one.person, "h1")}
    assert len(mine) > 1
    found = errors(stream, given)
    assert sum(found.wrong.values()) == sum(found.strange.values()) == 1
    assert not errors(stream, {k: (stream.truth[k].person, "") for k in given}).wrong


# -- baselines and oracle ----------------------------------------------------------------------------------
def event(key: str, *ids: tuple[str, str], relations: tuple[Relation, ...] = ()) -> Event:
    shown = tuple(Ident(kind, "", value) for kind, value in ids)
    return Event(id=key, at=DAY + timedelta(minutes=int(key)), type="browse", ids=shown, relations=relations)


def alike(assigned: Any, a: str, b: str) -> bool:
    return bool(assigned[a][0] == assigned[b][0])


def test_components_join_whatever_was_shown_together_and_a_block_list_stops_some() -> None:
    phone = ("phone", "13800138000")
    events = [event("1", ("unionid", "u1"), phone), event("2", ("unionid", "u2"), phone)]
    assert alike(baselines.components(events, blocked=False, relations=False), "1", "2")
    assert not alike(baselines.components(events, blocked=True, relations=False), "1", "2")
    tied = [
        event("1", ("unionid", "u1"), relations=(Relation("other", Ident("unionid", "", "u2")),)),
        events[1],
    ]
    assert alike(baselines.components(tied, blocked=True, relations=True), "1", "2")


def test_limits_drop_the_least_important_identifier_that_would_break_them() -> None:
    events = [
        event("1", ("unionid", "u1"), ("phone", "13900000001")),
        event("2", ("unionid", "u2"), ("phone", "13900000001")),
        event("3", ("phone", "13900000001")),
        event("4", ("unionid", "u2")),
    ]
    found = baselines.limited(events)
    assert alike(found, "1", "3")
    assert alike(found, "2", "4")
    assert not alike(found, "1", "2")


def test_the_oracle_lets_no_identifier_leave_its_owner(stream: Stream) -> None:
    wholes: tuple[oracle.Whole, ...] = ("person", "household")
    for whole in wholes:
        owners: dict[Ident, set[str]] = {}
        for e in oracle.split(stream, whole):
            for ident in e.ids:
                if "*" not in ident.value:
                    owners.setdefault(ident, set()).add(getattr(stream.truth[e.id], whole))
        assert max(map(len, owners.values())) == 1


# -- our engine --------------------------------------------------------------------------------------------
def test_one_stream_is_measured_whole_and_keeps_its_promises() -> None:
    found = cases.measure(cases.Case(seed=2, households=80, shuffles=3, links=10))
    assert set(found.methods) == {*baselines.BASELINES, "scrm", "oracle by person", "oracle by household"}
    assert found.same_orders == 3
    assert found.undone == 10
    assert found.explained == 1.0
    naive, mine = found.methods["A connected components"].persons, found.methods["scrm"].persons
    assert mine.precision > 0.95 > naive.precision
    assert found.relative["person_f1"] > 0.95
    lines = [*report.methods([found]), *report.seeds([found]), *report.faults([found])]
    assert any("3/3" in line and "10/10" in line for line in lines)


def test_a_part_that_arrives_twice_changes_nothing_and_an_event_that_moves_would_be_seen(
    stream: Stream,
) -> None:
    policy = cases.policy()
    twice = ours.fed(policy, [*stream.events, *stream.events[: len(stream.events) // 2]])
    found = dict(trials.assigned(ours.fed(policy, stream.events)))
    known = ours.partition(found)
    assert ours.partition(trials.assigned(twice)) == known
    first = stream.events[0].id
    found[first] = next(place for key, place in found.items() if known[key] != known[first])
    assert ours.partition(found) != known


def test_an_attack_on_one_value_makes_nobody_large(stream: Stream) -> None:
    policy = cases.policy()
    for attack in speed.ATTACKS:
        found = speed.attacked(policy, stream.events, attack, count=2_000)
        assert found[f"{attack}_largest_person"] <= policy.person_cap
        assert found[f"{attack}_largest_household"] <= policy.household_cap
        assert found[f"{attack}_largest_solve"] <= policy.person_cap
        assert found[f"{attack}_nodes_an_event"] < 8


@pytest.fixture
def place(engine_name: str, new_url: NewUrl) -> str:
    """Where it measures: nothing for SQLite, an empty PostgreSQL database otherwise."""
    return "" if engine_name == "sqlite" else new_url(None)


async def test_the_product_takes_the_same_stream_in_batches_and_one_by_one(
    stream: Stream, place: str
) -> None:
    events = stream.events[:400]
    found = await settled.measure(cases.policy(), events, database=place, singles=50)
    name = "postgresql" if place else "sqlite"
    assert found[f"{name}_events"] == 350
    assert found[f"{name}_rows_written"] > 350
    assert found[f"{name}_ratio"] > 0
    assert found[f"{name}_single_p99_ms"] >= found[f"{name}_single_p50_ms"] > 0


# -- roles -------------------------------------------------------------------------------------------------
def act(person: str, kind: str, day: int, slot: str = "unknown") -> Act:
    return Act(person=person, type=kind, at=DAY + timedelta(days=day), key=str(day), slot=slot)


def test_roles_follow_who_registered_first_pays_learns_and_talks() -> None:
    acts = [
        act("father", "register", 3),
        act("mother", "register", 1, "holder"),
        act("father", "chat", 4),
        act("father", "order", 5),
        act("mother", "order", 2),
        act("father", "order", 6),
        act("child", "class", 7, "learner"),
        act("mother", "class", 8, "holder"),
    ]
    found = roles(acts)
    assert found == {
        "registrant": ["mother"],
        "payer": ["mother", "father"],
        "user": ["child"],
        "buyer": ["father"],
    }
    assert roles(reversed(acts)) == found
    assert roles([]) == {}


# -- files and the command ---------------------------------------------------------------------------------
def test_a_written_stream_is_read_as_it_was(stream: Stream, tmp_path: Path) -> None:
    write_stream(stream, tmp_path / "e", tmp_path / "t")
    assert read_events(tmp_path / "e") == stream.events
    assert read_truth(tmp_path / "t") == stream.truth


def test_unknown_types_kinds_classes_and_fields_are_carried(tmp_path: Path) -> None:
    line = {
        "id": 7,
        "at": "2026-01-02T03:04:05.5+08:00",
        "type": "hologram",
        "slot": "twin",
        "ids": [{"kind": "retina", "value": 12, "new": True}],
        "relations": [{"class": "neighbour", "kind": "phone", "scope": None, "value": "1"}],
        "name": None,
        "more": {"x": 1},
    }
    (tmp_path / "e").write_text(f"\ufeff{json.dumps(line)}\n\n", "utf-8")
    (one,) = read_events(tmp_path / "e")
    assert (one.id, one.type, one.slot, one.name) == ("7", "hologram", "unknown", "")
    assert one.at == datetime(2026, 1, 1, 19, 4, 5, 500_000, tzinfo=UTC)
    assert one.ids == (Ident("retina", "", "12"),)
    assert one.relations == (Relation("neighbour", Ident("phone", "", "1")),)
    decided = ours.decide(cases.policy(), [one])
    assert decided.assigned["7"][0]
    assert decided.assigned["7"][1]


GOOD = '{"id":"e1","at":"2026-01-02T03:04:05Z","type":"call"}'


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "null",
        '{"at":"2026-01-02T03:04:05Z","type":"call"}',
        '{"id":"e1","at":"yesterday","type":"call"}',
        '{"id":"e1","at":"2026-01-02T03:04:05Z","type":["call"]}',
        '{"id":"e1","at":"2026-01-02T03:04:05Z","type":"call","ids":[1]}',
        '{"id":"e1","at":"2026-01-02T03:04:05Z","type":"call","ids":[{"value":"1"}]}',
        '{"id":"e1","at":"2026-01-02T03:04:05Z","type":"call","relations":{"kind":"phone"}}',
        "[" * 100_000,
    ],
)
def test_a_line_that_is_no_event_is_named_by_its_number(line: str, tmp_path: Path) -> None:
    (tmp_path / "e").write_text(f"{GOOD}\n{line}\n")
    with pytest.raises(BadInput, match="第 2 行"):
        read_events(tmp_path / "e")


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="读不了"):
        read_events(tmp_path / "none")


def scrm(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scrm", "bench", "identity", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_decides_a_stream_from_outside_and_scores_it(stream: Stream, tmp_path: Path) -> None:
    write_stream(stream, tmp_path / "e", tmp_path / "t")
    files = ("--events", str(tmp_path / "e"), "--assign", str(tmp_path / "a"))
    done = scrm(*files, "--truth", str(tmp_path / "t"), "--json", str(tmp_path / "o"))
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "a" / "events.jsonl").read_text("utf-8").splitlines()]
    assert [set(r) for r in rows] == [{"id", "person", "household"}] * len(stream.events)
    assert {r["id"] for r in rows} == set(stream.truth)
    assert all(isinstance(value, str) and value for r in rows for value in r.values())
    held = [json.loads(line) for line in (tmp_path / "a" / "roles.jsonl").read_text("utf-8").splitlines()]
    assert {r["role"] for r in held} == {"registrant", "buyer", "payer", "user"}
    homes = {(r["household"], r["person"]) for r in rows}
    assert all((r["household"], r["person"]) in homes for r in held)
    saved = json.loads((tmp_path / "o").read_text("utf-8"))["identity"]
    assigned = {r["id"]: (r["person"], r["household"]) for r in rows}
    slots = [(r["household"], r["role"], r["person"]) for r in held]
    mine = score(stream.truth, assigned, slots)
    assert saved["score"]["persons"]["f1"] == mine.persons.f1
    assert saved["score"]["roles"] == mine.roles


def test_the_truth_does_not_change_what_is_decided(stream: Stream, tmp_path: Path) -> None:
    false = {k: replace(t, person="x", household="y") for k, t in stream.truth.items()}
    write_stream(replace(stream, truth=false), tmp_path / "e", tmp_path / "t")
    assert scrm("--events", str(tmp_path / "e"), "--assign", str(tmp_path / "a")).returncode == 0
    again = ("--events", str(tmp_path / "e"), "--truth", str(tmp_path / "t"), "--assign", str(tmp_path / "b"))
    assert scrm(*again).returncode == 0
    for name in ("events.jsonl", "roles.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["identity", "--seeds", "one"], "种子"),
        (["identity", "--dirt", "99"], "0 到 10"),
        (["identity", "--truth", "t"], "--events"),
        (["identity", "--households", "0"], "至少为 1"),
        (["settle", "--quick"], "只用于"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["bench", *words])
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_seeds_and_dirts_are_read_as_people_write_them() -> None:
    assert command.numbers("1-3,7") == (1, 2, 3, 7)
    assert command.factors("0,1,3") == (0.0, 1.0, 3.0)
    made = command.Options(seeds=(1, 2), dirts=(0.0, 1.0)).cases
    assert [(c.seed, c.dirt, c.shuffles) for c in made] == [(1, 0, 10), (2, 0, 1), (1, 1, 1), (2, 1, 1)]


async def test_a_small_run_fills_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    options = command.Options(seeds=(1, 2), dirts=(1.0,), households=40, jobs=1, attack=200)
    found = await command.run(options, say=said.append)
    assert [c["case"]["seed"] for c in found["cases"]] == [1, 2]
    assert found["speed"]["engine_ratio"] > 0
    assert "2/2" in capsys.readouterr().err
    assert any(line.startswith("C limits") for line in said)
