"""How fast: the engine in memory against a plain union-find on the same stream, and under attack."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from time import perf_counter

from scrm.bench.ground import quantile
from scrm.bench.identity.baselines import joined
from scrm.bench.identity.ours import fed
from scrm.bench.identity.values import Event, Ident
from scrm.identity.rules.memory import Engine
from scrm.identity.rules.policy import Policy

Speeds = dict[str, float | int]
#: Hammers one value: as a lone caller, as a shared tablet, as a broker who reports under his own number.
ATTACKS = ("device", "hotline", "broker_phone")


def in_memory(policy: Policy, events: Sequence[Event], *, rounds: int = 3) -> Speeds:
    """The best of some rounds each: other programs only ever make it slower."""
    plain = min(_timed(lambda: joined(events)) for _ in range(rounds))
    ours = min(_timed(lambda: fed(policy, events)) for _ in range(rounds))
    singles = _each(Engine(policy), events)
    return {
        "union_find_events_s": round(len(events) / plain),
        "engine_events_s": round(len(events) / ours),
        "engine_ratio": round(plain / ours, 3),
        "event_p50_us": round(quantile(singles, 0.5) * 1e6, 1),
        "event_p99_us": round(quantile(singles, 0.99) * 1e6, 1),
        "event_worst_ms": round(max(singles) * 1e3, 2),
    }


def _timed(job: Callable[[], object]) -> float:
    gc.collect()
    began = perf_counter()
    job()
    return perf_counter() - began


def _each(engine: Engine, events: Sequence[Event]) -> list[float]:
    """Seconds of every event by itself, solved at once."""
    times = []
    gc.collect()
    for event in events:
        began = perf_counter()
        engine.see((event,))
        times.append(perf_counter() - began)
    return times


def attacked(policy: Policy, events: Sequence[Event], attack: str, *, count: int) -> Speeds:
    """So many events on one value among everybody else's: work per event, the largest person, p99."""
    hostile = _hostile(events, attack, count)
    calm, angry = Engine(policy), Engine(policy)
    usual = quantile(_each(calm, events), 0.99)
    hard = quantile(_each(angry, _mixed(events, hostile)), 0.99)
    persons = Counter(span.person_id for spans in angry.spans.values() for span in spans)
    return {
        f"{attack}_events": len(hostile),
        f"{attack}_largest_person": max(persons.values()),
        f"{attack}_largest_household": max(Counter(angry.households().of.values()).values()),
        f"{attack}_largest_solve": angry.counters.largest,
        f"{attack}_nodes_an_event": round(angry.counters.touched / (len(events) + len(hostile)), 3),
        f"{attack}_p99_ratio": round(hard / usual, 2),
    }


def _hostile(events: Sequence[Event], attack: str, count: int) -> list[Event]:
    first, last = events[0].at, events[-1].at
    step = (last - first) / count
    return [_blow(attack, number, first + number * step) for number in range(count)]


def _blow(attack: str, number: int, at: datetime) -> Event:
    """Every one of them by somebody else."""
    someone = Ident("external_userid", "corp", f"attack-{number}")
    card = Ident("id_card", "", f"11010519{number:010d}")
    kind, value, other, slot = {
        "device": ("browse", Ident("device", "", "attack-device"), someone, "holder"),
        "hotline": ("call", Ident("phone", "", "13512340001"), someone, "unknown"),
        "broker_phone": ("broker_report", Ident("phone", "", "13512340002"), card, "unknown"),
    }[attack]
    return Event(id=f"x{number}", at=at, type=kind, slot=slot, ids=(value, other), rep="rep1")


def _mixed(events: Sequence[Event], hostile: Sequence[Event]) -> list[Event]:
    return sorted([*events, *hostile], key=lambda e: (e.at, e.id))
