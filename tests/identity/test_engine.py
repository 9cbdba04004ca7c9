"""The engine in memory keeps its promises: order, retraction, exclusivity, paths, and a human's last word."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scrm.identity import policies
from scrm.identity.rules.memory import Engine
from scrm.identity.rules.reading import Ident, Relation, Seen, normal
from scrm.identity.rules.values import Class

POLICY = policies.read(Path(__file__).parents[2] / "config" / "identity.yaml")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
CASES = settings(max_examples=500, deadline=None)

_POOL = [
    *(Ident("unionid", "subject", f"u{i}") for i in range(5)),
    *(Ident("external_userid", "corp", f"x{i}") for i in range(4)),
    *(Ident("openid", f"app{i % 2}", f"o{i}") for i in range(4)),
    *(Ident("app_user", "app", f"a{i}") for i in range(4)),
    *(Ident("id_card", "", f"c{i}") for i in range(3)),
    *(Ident("phone", "", f"1391234000{i}") for i in range(4)),
]
_DEVICES = [Ident("device", "", f"d{i}") for i in range(3)]
_LEARNERS = [Ident("learner", "school", f"l{i}") for i in range(2)]
_NAMES = ["", "王伟", "李娜", "张秀英", "王女士", "子涵妈妈"]
_TYPES = ["register", "mp_open", "wecom_add", "chat", "call", "order", "contract"]
_CLASSES = ["same_household", "co_parent", "referral"]


@st.composite
def _event(draw: st.DrawFn) -> dict[str, Any]:
    slot = draw(st.sampled_from(["holder", "holder", "holder", "learner", "unknown"]))
    ids = draw(st.lists(st.sampled_from(_POOL), min_size=1, max_size=3, unique=True))
    if slot == "learner":
        ids = [draw(st.sampled_from(_LEARNERS)), *ids[:1]]
    if draw(st.booleans()):
        ids = [*ids, draw(st.sampled_from(_DEVICES))]
    relations: tuple[Relation, ...] = ()
    if draw(st.integers(0, 4)) == 0:
        relations = (Relation(draw(st.sampled_from(_CLASSES)), draw(st.sampled_from(_POOL))),)
    return {
        "at": BEGAN + timedelta(days=draw(st.integers(0, 500)), seconds=draw(st.integers(0, 86_399))),
        "type": draw(st.sampled_from(_TYPES)),
        "slot": slot,
        "ids": tuple(ids),
        "relations": relations,
        "name": draw(st.sampled_from(_NAMES)),
    }


def _numbered(drawn: Sequence[dict[str, Any]]) -> list[Seen]:
    return [Seen(id=f"e{i:03}", **one) for i, one in enumerate(drawn)]


_histories = st.lists(_event(), min_size=1, max_size=28).map(_numbered)
_decisions = st.lists(
    st.tuples(
        st.sampled_from(_POOL),
        st.sampled_from(_POOL),
        st.sampled_from(["same_person", "not_same_person", "same_household", "not_same_household"]),
        st.integers(0, 600),
    ).filter(lambda d: d[0] != d[1]),
    max_size=3,
)


class _Without(Engine):
    """The same, but one piece of evidence is never heard."""

    def __init__(self, deaf_to: tuple[frozenset[Ident], str, str]) -> None:
        super().__init__(POLICY)
        self._deaf_to = deaf_to

    def _evidence(self, a: int, b: int, cls: Class, rule: str, *rest: Any, **more: Any) -> int:
        pair = frozenset(i for i, n in self.idents().items() if n in (a, b))
        if (pair, cls, rule) == self._deaf_to:
            return 0
        return super()._evidence(a, b, cls, rule, *rest, **more)


def _fed(
    events: Sequence[Seen], decisions: Sequence[Any] = (), *, batch: int = 5, into: Engine | None = None
) -> Engine:
    engine = into or Engine(POLICY)
    for i in range(0, len(events), batch):
        engine.see(events[i : i + batch])
    for decision in decisions:
        _decide(engine, decision)
    return engine


def _decide(engine: Engine, decision: Any) -> int:
    one, other, cls, day = decision
    a, b = (engine.node(normal(POLICY, i)) for i in (one, other))
    if a is None or b is None:
        return 0
    return engine.decide(a, b, cls, BEGAN + timedelta(days=day), rule=f"human.{cls}")


def _names(engine: Engine) -> dict[int, Ident]:
    return {n: ident for ident, n in engine.idents().items()}


def _state(engine: Engine) -> Hashable:
    """Everything derived, by what identifiers are called and not by their numbers."""
    name, homes = _names(engine), engine.households().of
    persons: dict[int, set[Any]] = defaultdict(set)
    for n, spans in engine.spans.items():
        for span in spans:
            persons[span.person_id].add((name[n], span.from_at, span.until_at))
    families: dict[int, set[Any]] = defaultdict(set)
    for p, group in persons.items():
        families[homes[p]].add(frozenset(group))
    standings = {
        (frozenset({name[e.a], name[e.b]}), e.cls, e.rule, engine.verdicts[i].standing)
        for i, e in engine.edges.items()
        if i in engine.verdicts
    }
    return (
        frozenset(map(frozenset, families.values())),
        frozenset(standings),
        frozenset(name[n] for n in engine.generic),
        frozenset(name[n] for n in engine.recycled),
    )


@CASES
@given(_histories, _decisions, st.randoms(use_true_random=False), st.integers(1, 9))
def test_arrival_order_and_batches_change_nothing(
    events: list[Seen], decisions: Any, random: Any, batch: int
) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)

    assert _state(_fed(events, decisions)) == _state(_fed(shuffled, decisions, batch=batch))


@CASES
@given(_histories, _decisions, st.integers(0, 10_000))
def test_what_is_retracted_never_was(events: list[Seen], decisions: Any, pick: int) -> None:
    engine = _fed(events, decisions)
    assume(engine.edges)
    evidence_id = sorted(engine.edges)[pick % len(engine.edges)]
    edge, name = engine.edges[evidence_id], _names(engine)
    deaf = _Without((frozenset({name[edge.a], name[edge.b]}), edge.cls, edge.rule))

    engine.retract(evidence_id)

    assert _state(engine) == _state(_fed(events, decisions, into=deaf))


@CASES
@given(_histories, st.lists(_event(), max_size=20), _decisions.filter(bool))
def test_merged_lived_with_and_split_is_as_if_never_merged(
    events: list[Seen], later: list[dict[str, Any]], decisions: Any
) -> None:
    more = [Seen(id=f"f{i:03}", **one) for i, one in enumerate(later)]
    engine = _fed(events)
    made = [i for i in (_decide(engine, d) for d in decisions) if i]
    _fed(more, into=engine)

    for evidence_id in dict.fromkeys(made):
        engine.retract(evidence_id)

    assert _state(engine) == _state(_fed([*events, *more]))


@CASES
@given(_histories)
def test_nobody_has_two_of_what_a_person_has_one_of(events: list[Seen]) -> None:
    engine = _fed(events)
    held: dict[tuple[int, str, str], set[int]] = defaultdict(set)
    sizes: dict[int, set[int]] = defaultdict(set)
    for n, spans in engine.spans.items():
        vertex = engine.vertices[n]
        for span in spans:
            sizes[span.person_id].add(n)
            if POLICY.kind(vertex.kind).exclusive:
                held[span.person_id, vertex.kind, vertex.scope].add(n)

    assert all(len(nodes) <= POLICY.kind(kind).exclusive for (_, kind, _), nodes in held.items())
    assert max(map(len, sizes.values())) <= POLICY.person_cap


@CASES
@given(_histories, _decisions)
def test_a_person_hangs_together_by_accepted_evidence(events: list[Seen], decisions: Any) -> None:
    engine = _fed(events, decisions)
    near: dict[int, set[int]] = defaultdict(set)
    for i, edge in engine.edges.items():
        if edge.cls == "same_person" and engine.verdicts[i].standing == "accepted":
            near[edge.a].add(edge.b)
            near[edge.b].add(edge.a)
            assert edge.key, "every link cites an event"
    members: dict[int, set[int]] = defaultdict(set)
    for n, spans in engine.spans.items():
        for span in spans:
            members[span.person_id].add(n)

    for group in members.values():
        reached, todo = set[int](), [min(group)]
        while todo:
            n = todo.pop()
            if n not in reached:
                reached.add(n)
                todo += near[n] & group
        assert reached == group


@CASES
@given(_histories, st.sampled_from(_POOL), st.sampled_from(_POOL), st.booleans())
def test_the_last_human_word_stands(events: list[Seen], one: Ident, other: Ident, same: bool) -> None:
    assume(one != other)
    both = Seen(id="z", at=BEGAN, type="chat", slot="holder", ids=(one,))
    too = Seen(id="y", at=BEGAN, type="chat", slot="holder", ids=(other,))
    words = ["not_same_person", "same_person"] if same else ["same_person", "not_same_person"]
    engine = _fed(events)

    for day, cls in enumerate(words, 700):
        assert _decide(_fed([both, too], into=engine), (one, other, cls, day))
    _fed(events, into=engine)

    a, b = (engine.node(normal(POLICY, i)) or 0 for i in (one, other))
    at = BEGAN + timedelta(days=701)
    assert (engine.person(a, at) == engine.person(b, at)) is same


@CASES
@given(_histories, _histories)
def test_family_evidence_moves_no_identifier(events: list[Seen], more: list[Seen]) -> None:
    engine = _fed(events)
    before = dict(engine.spans)
    people = [Seen(id=f"r{e.id}", at=e.at, type="statement", slot="holder", ids=e.ids[:1]) for e in more]
    nodes = [engine.node(normal(POLICY, e.ids[0])) for e in people]
    known = [n for n in nodes if n is not None]

    for a, b in pairwise(known):
        if a != b:
            engine.decide(a, b, "same_household", BEGAN)

    assert engine.spans == before


def test_a_redelivered_stream_changes_nothing() -> None:
    events = [_chat(i % 7, i) for i in range(60)]
    once, twice = _fed(events), _fed([*events, *events[:40]])

    assert _state(once) == _state(twice)
    assert [e.n for e in once.edges.values()] == [e.n for e in twice.edges.values()]


def test_twenty_thousand_callers_on_one_number_make_no_person_and_little_work() -> None:
    hotline = Ident("phone", "", "13912345678")
    engine = Engine(POLICY)
    for start in range(0, 20_000, 500):
        engine.see(
            Seen(
                id=f"c{i}",
                at=BEGAN + timedelta(minutes=i),
                type="mp_open",
                slot="holder",
                ids=(Ident("unionid", "s", f"u{i}"), hotline),
            )
            for i in range(start, start + 500)
        )

    members: dict[int, int] = defaultdict(int)
    for spans in engine.spans.values():
        members[spans[0].person_id] += 1
    assert max(members.values()) == 1
    assert engine.counters.largest <= 40
    assert engine.counters.touched <= 3 * engine.counters.events


def _chat(person: int, n: int) -> Seen:
    ids = (Ident("unionid", "s", f"u{person}"), Ident("phone", "", f"1391234000{person}"))
    return Seen(id=f"e{n}", at=BEGAN + timedelta(hours=n), type="chat", slot="holder", ids=ids)
