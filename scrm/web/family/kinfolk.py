"""The people of one household as the reader sees them: what each is called, plays and where they talk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from scrm.errors import NotFound
from scrm.identity import roles
from scrm.identity import service as families
from scrm.identity import store as identity
from scrm.identity.kin import store as kin
from scrm.identity.kin import titles
from scrm.identity.kin.store import Related
from scrm.identity.roles import Part
from scrm.identity.service import Household
from scrm.identity.store import Interval
from scrm.identity.survivorship.rules import sex_of
from scrm.staff.rules import scope
from scrm.timeline.rules import Talk
from scrm.timeline.seeing import sees_family
from scrm.timeline.store import conversations
from scrm.web import lines
from scrm.web.family import rules
from scrm.web.family.rules import Tie
from scrm.web.reading import Reading

HIDDEN = "没有这个家庭，或者你不能查看。"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    person_id: int
    #: Their public id, as the timeline's filter takes it.
    key: str
    name: str
    word: str
    parts: tuple[Part, ...]
    #: Conversations the reader may open, the latest first.
    talks: tuple[Talk, ...]
    #: The account of their latest conversation, whoever may open it.
    account_id: int | None
    spans: tuple[Interval, ...]

    @property
    def reachable(self) -> bool:
        """The reader talks with them, or nobody does."""
        return bool(self.talks) or self.account_id is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Folk:
    home: Household
    people: tuple[Person, ...]
    ties: tuple[Tie, ...]
    #: What was said of two of them, newest first.
    related: tuple[Related, ...] = ()

    @property
    def names(self) -> dict[int, str]:
        return {p.person_id: p.name for p in self.people}


async def home_of(desk: Reading, public: str) -> Household:
    """By the id of a household or person, also an old one; `NotFound` for whom the reader may not see."""
    ident = None
    for kind in ("household", "person"):
        try:
            ident = desk.conn.vault.private(kind, public)
            break
        except NotFound:
            continue
    now = None if ident is None else await identity.person_now(desk.conn, ident)
    if now is None or not await sees_family(desk.conn, scope(desk.actor), now):
        raise NotFound(HIDDEN)
    return await families.household(desk.conn, now)


def path_of(desk: Reading, home: Household) -> str:
    return f"/households/{desk.conn.vault.public('household', home.household_id or home.members[0])}"


async def folk(desk: Reading, home: Household, *, spans: dict[int, list[Interval]] | None = None) -> Folk:
    """Everybody with names, parts and conversations, in the household's order."""
    conn = desk.conn
    family = spans or {m: await identity.intervals(conn, m) for m in home.members}
    filters = await lines.members_of(desk, family)
    seen = await conversations.visible_of_nodes(conn, scope(desk.actor), list(home.owners))
    every = await conversations.of_nodes(conn, list(home.owners))
    related = await kin.of_nodes(conn, list(home.owners)) if len(home.members) > 1 else []
    ties = _ties(related, home)
    parts: dict[int, list[Part]] = defaultdict(list)
    for part in await roles.parts(conn, home.owners, desk.now):
        parts[part.person_id].append(part)
    latest = {home.owners[t.node_id]: t.account_id for t in sorted(every, key=lambda t: t.last_at)}
    people = []
    for m in (m for m in home.members if m in filters):
        name = filters[m].name
        people.append(
            Person(
                person_id=m,
                key=filters[m].key,
                name=name,
                word=desk.say(w) if (w := rules.word(m, ties, sex_of(name))) else "",
                parts=tuple(parts[m]),
                talks=tuple(t for t in seen if home.owners[t.node_id] == m),
                account_id=latest.get(m),
                spans=tuple(family[m]),
            )
        )
    return Folk(home=home, people=tuple(people), ties=ties, related=tuple(related))


def _ties(related: Sequence[Related], home: Household) -> tuple[Tie, ...]:
    found: dict[frozenset[int], Tie] = {}
    for one in related:  # the newest word on two people stays
        a, b = home.owners.get(one.node_a), home.owners.get(one.node_b or 0)
        if a is not None and b is not None and a != b:
            found.setdefault(frozenset((a, b)), Tie(a=a, b=b, type=one.type))
    return tuple(found.values())


def role_of(desk: Reading, person: Person) -> str:
    """The part that says most."""
    foremost = rules.foremost([p.role for p in person.parts])
    return desk.say(titles.ROLES[foremost]) if foremost else ""


async def answers_for(desk: Reading, node_ids: Sequence[int]) -> bool:
    """Whether every conversation of these is the reader's to see: then nobody else is passed over."""
    theirs = await conversations.of_nodes(desk.conn, node_ids)
    seen = await conversations.visible_of_nodes(desk.conn, scope(desk.actor), node_ids)
    return len(seen) == len(theirs)
