"""How identifiers are shared: figures by kind, the most shared values, cluster sizes, alarms on drift."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from scrm import shapes
from scrm.db import Conn
from scrm.identity.explain import store as explained
from scrm.identity.explain.rules import Opened
from scrm.identity.explain.store import counting

#: What a change of a figure must exceed before somebody is told.
_GROWTH, _FEW = 1.5, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A value that several people's identifiers are tied to. No value is kept, only whose row it is."""

    node_id: int
    persons: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KindStats:
    kind: str
    values: int
    persons: int
    #: Most values that one person has.
    most_per_person: int
    #: Values by how many persons are tied to them: `{"1": 900, "2": 12}`.
    persons_per_value: Mapping[str, int]
    generic: int
    blocked: int
    top: tuple[Shared, ...] = ()

    @property
    def per_person(self) -> float:
        return self.values / self.persons if self.persons else 0.0

    @property
    def shared(self) -> int:
        return sum(n for persons, n in self.persons_per_value.items() if int(persons) > 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    at: datetime
    kinds: tuple[KindStats, ...]
    persons: int
    #: Persons by how many identifiers they have, households by how many persons.
    sizes: Mapping[str, int]
    households: Mapping[str, int]
    #: Evidence by what became of it, where it was not simply accepted.
    standings: Mapping[str, int]
    retracted: int = 0
    alarms: tuple[str, ...] = field(default=())

    @property
    def biggest(self) -> int:
        return max(map(int, self.sizes), default=0)


async def measure(conn: Conn, now: datetime, *, top: int = 10) -> Report:
    """Reads everything once; with alarms against the last run that was kept."""
    shapes_of = await counting.sizes(conn)
    ranked = await counting.most_shared(conn, limit=top)
    owned = await counting.owned(conn)
    spread = await counting.spread(conn)
    kinds = tuple(
        KindStats(
            kind=kind,
            values=states.get("", 0),
            persons=owned.get(kind, (0, 0))[0],
            most_per_person=owned.get(kind, (0, 0))[1],
            persons_per_value={str(n): found for n, found in sorted(spread.get(kind, {}).items())},
            generic=states.get("generic", 0),
            blocked=states.get("blocked", 0),
            top=tuple(Shared(node_id=n, persons=p, state=s) for n, p, s in ranked.get(kind, ())),
        )
        for kind, states in sorted((await counting.states(conn)).items())
    )
    standings, retracted = await counting.standings(conn)
    report = Report(
        at=now,
        kinds=kinds,
        persons=sum(shapes_of.values()),
        sizes={str(n): found for n, found in sorted(shapes_of.items())},
        households={str(n): found for n, found in sorted((await counting.homes(conn)).items())},
        standings=standings,
        retracted=retracted,
    )
    before = await last(conn)
    told = drift(before, report) if before else ()
    return Report(**{n: getattr(report, n) for n in Report.__slots__} | {"alarms": told})


async def keep(conn: Conn, report: Report) -> None:
    """So that the next run can tell what changed, and a page shows it without counting."""
    await counting.keep(conn, shapes.to_json(report).decode(), report.at)


async def last(conn: Conn) -> Report | None:
    """The newest run that was kept."""
    kept = await counting.kept(conn)
    return shapes.from_json(Report, kept.encode(), where="identity_log") if kept else None


async def opened(conn: Conn, report: Report) -> dict[int, Opened]:
    """The most shared values, for whoever may see them; they are masked where they are shown."""
    wanted: Collection[int] = {s.node_id for kind in report.kinds for s in kind.top}
    return await explained.opened(conn, wanted)


def drift(before: Report, now: Report) -> tuple[str, ...]:
    """What grew or broke since the last run, in sentences."""
    told = []
    was = {k.kind: k for k in before.kinds}
    for kind in now.kinds:
        old = was.get(kind.kind)
        if old is None:
            continue
        if _grew(old.generic, kind.generic):
            told.append(f"{kind.kind}：通用值从 {old.generic} 个增加到 {kind.generic} 个，可能有默认值混入。")
        if _grew(old.shared, kind.shared):
            told.append(f"{kind.kind}：多人共用的值从 {old.shared} 个增加到 {kind.shared} 个。")
        if old.per_person and kind.persons >= _FEW and kind.per_person > old.per_person * _GROWTH:
            told.append(
                f"{kind.kind}：人均 {kind.per_person:.2f} 个值，上次是 {old.per_person:.2f} 个，"
                "可能换了编号规则。"
            )
        if kind.values < old.values:
            told.append(f"{kind.kind}：值从 {old.values} 个减少到 {kind.values} 个，标识不应消失。")
    gone = sorted(was.keys() - {k.kind for k in now.kinds})
    told += [f"{kind}：上次有 {was[kind].values} 个值，这次一个也没有。" for kind in gone]
    for standing, word in (("held", "冲突搁置"), ("capped", "超过上限")):
        a, b = before.standings.get(standing, 0), now.standings.get(standing, 0)
        if _grew(a, b):
            told.append(f"{word}的证据从 {a} 条增加到 {b} 条。")
    if now.biggest >= _FEW and now.biggest > before.biggest * _GROWTH:
        told.append(f"最大的一个人有 {now.biggest} 个标识，上次是 {before.biggest} 个。")
    return tuple(told)


def _grew(before: int, now: int) -> bool:
    return now - before >= _FEW and now > before * _GROWTH
