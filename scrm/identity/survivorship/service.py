"""A person's fields with their sources; a colleague's correction, dated, and its undoing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from scrm import facts
from scrm.db import Conn
from scrm.errors import NotFound
from scrm.identity import store as persons
from scrm.identity.explain import store as explained
from scrm.identity.explain.rules import Opened
from scrm.identity.rules.reasons import kept
from scrm.identity.store import Interval
from scrm.identity.store.corrected import KIND, OURS
from scrm.identity.survivorship import correcting, rules, store
from scrm.identity.survivorship.rules import Field, Said, Value
from scrm.ledger.consent import rules as consent
from scrm.ledger.consent import store as consents
from scrm.ledger.consent.rules import Entry
from scrm.ledger.store import audit
from scrm.seal import new_id

_KINDS = ("trait", "follow", KIND)
_TICK = timedelta(microseconds=1)


async def shown(conn: Conn, person_id: int) -> list[Field]:
    """Each field with the value that shows, where it comes from, and what else was said of it."""
    return (await of_persons(conn, [person_id])).get(person_id, [])


async def of_persons(conn: Conn, person_ids: Collection[int]) -> dict[int, list[Field]]:
    """By person. What an identifier said while it was somebody else's is theirs."""
    spans = {p: await persons.intervals(conn, p) for p in person_ids}
    nodes = {s.node_id for mine in spans.values() for s in mine}
    values = await _values(conn, nodes)
    return {p: rules.survive(v for v in values if _theirs(v, mine)) for p, mine in spans.items()}


def _theirs(value: Value, spans: Iterable[Interval]) -> bool:
    return any(
        s.node_id == value.node_id and s.from_at <= value.at and (s.until_at is None or value.at < s.until_at)
        for s in spans
    )


async def _values(conn: Conn, node_ids: Collection[int]) -> list[Value]:
    opened = await explained.opened(conn, node_ids)
    told = await facts.of_nodes(conn, node_ids, _KINDS)
    values = [*await _named(conn, opened), *await _numbers(conn, opened)]
    for one in told:
        values += _told(one)
    values += rules.hints(values)
    return await _cited(conn, values)


async def _named(conn: Conn, opened: Mapping[int, Opened]) -> list[Value]:
    named = {n: o for n, o in opened.items() if o.name}
    met = await store.met(conn, named)
    return [
        Value(
            field="child" if o.kind == "learner" else "name",
            value=o.name,
            said=rules.of_kind(o.kind),
            at=met[n].named_at or met[n].first_at,
            node_id=n,
        )
        for n, o in named.items()
    ]


#: Whose word the rule of a piece of evidence is.
_BY_RULE: Mapping[str, Said] = {"order_phone": "order", "order": "order", "contract": "contract"}


async def _numbers(conn: Conn, opened: Mapping[int, Opened]) -> list[Value]:
    """Telephones are identifiers themselves; the evidence says who told us."""
    phones = {n: o for n, o in opened.items() if o.kind == "phone" and o.value}
    proved, met = await store.proved(conn, phones), await store.met(conn, phones)
    made = []
    for n, o in phones.items():
        at, event_id, rule = proved.get(n, (met[n].first_at, None, ""))
        note = "remark" in rule
        said: Said = "note" if note else _BY_RULE.get(rule, "api")
        made.append(Value(field="phone", value=o.value or "", said=said, at=at, node_id=n, event_id=event_id))
    return made


def _told(one: facts.Known) -> list[Value]:
    if one.node_id is None:
        return []
    if one.kind == "trait":
        found = rules.of_trait(str(one.body.get("name")), one.body.get("value"))
        said = [found] if found else []
    elif one.kind == "follow":
        said = [(field, value, "note") for field, value in rules.of_follow(one.body)]
    else:
        return [_correction(one, one.node_id)]
    return [
        Value(field=f, value=v, said=s, at=one.at, node_id=one.node_id, account_id=one.account_id)
        for f, v, s in said
    ]


def _correction(one: facts.Known, node_id: int) -> Value:
    body = one.body
    return Value(
        field=str(body["field"]),
        value=str(body["value"]),
        said="human",
        at=one.at,
        node_id=node_id,
        correction_id=int(one.key),
        staff_id=body.get("by"),
        why=str(body.get("why", "")),
    )


async def _cited(conn: Conn, values: list[Value]) -> list[Value]:
    """With the event each was said in, where it stands on the timeline."""
    asked = {(v.node_id, v.at) for v in values if v.event_id is None and v.said != "human"}
    found = await store.said_at(conn, asked)
    known = await explained.cited(conn, {v.event_id for v in values if v.event_id})
    made = []
    for v in values:
        event_id, account_id = found.get((v.node_id, v.at), (v.event_id, v.account_id))
        cited = known.get(event_id) if event_id else None
        account_id = v.account_id or (cited.account_id if cited else account_id)
        made.append(_with(v, event_id=event_id, account_id=account_id))
    return made


def _with(value: Value, *, event_id: int | None, account_id: int) -> Value:
    return Value(
        field=value.field,
        value=value.value,
        said=value.said,
        at=value.at,
        node_id=value.node_id,
        account_id=account_id,
        event_id=event_id,
        correction_id=value.correction_id,
        staff_id=value.staff_id,
        why=value.why,
    )


# -- corrections -------------------------------------------------------------------------------------------
async def correct(
    conn: Conn,
    person_id: int,
    field: str,
    value: str,
    *,
    by: str,
    staff_id: int | None,
    why: str = "",
    node_id: int | None = None,
    now: datetime,
) -> int:
    """Write down what is so; the id of the correction. `node_id`: whose word it mends, else the oldest.

    Raises `BadInput` for a field we do not have or a value it cannot be, `NotFound` for a person without
    that identifier.
    """
    text = correcting.clean(field, value)
    mine = {s.node_id for s in await persons.intervals(conn, person_id) if s.until_at is None}
    if not mine or (node_id is not None and node_id not in mine):
        raise NotFound
    met = await store.met(conn, mine)
    on = node_id or min(met.values(), key=lambda m: (m.first_at, m.node_id)).node_id
    ident = new_id()
    body = {"field": field, "value": text, "by": staff_id, "why": kept(why.strip()[:200])}
    await facts.put_all(conn, [_fact(ident, on, body, now)])
    await audit(conn, by, "person.corrected", now=now, subject=f"person:{person_id}", fields=[field])
    return ident


async def undo(conn: Conn, correction_id: int, *, by: str, now: datetime) -> int:
    """Take a correction back; the identifier it hung on. Raises `NotFound`; twice is once."""
    known = await facts.get(conn, OURS, KIND, str(correction_id))
    if known is None or known.node_id is None:
        raise NotFound
    if known.gone_at is None:
        at = max(now, known.at + _TICK)
        await facts.put_all(conn, [_fact(correction_id, known.node_id, known.body, at, gone=True)])
        subject = f"node:{known.node_id}"
        await audit(
            conn, by, "person.correction_undone", now=now, subject=subject, fields=[str(known.body["field"])]
        )
    return known.node_id


def _fact(
    ident: int, node_id: int, body: Mapping[str, object], at: datetime, *, gone: bool = False
) -> facts.Said:
    rank = int(at.timestamp() * 1_000_000)
    return facts.Said(
        account_id=OURS, kind=KIND, key=str(ident), body=body, rank=rank, at=at, gone=gone, node_id=node_id
    )


# -- consent -----------------------------------------------------------------------------------------------
async def consent_of(
    conn: Conn, person_ids: Collection[int], purpose: str = "marketing", channel: str = ""
) -> Entry | None:
    """What holds for a whole family: whoever of them said no speaks for all. None = nobody said anything.

    Entries hang on identifiers: after a split each side has only its own.
    """
    owned = await persons.nodes_of(conn, person_ids)
    entries = await consents.of_nodes(conn, list(owned))
    return consent.strictest(
        [[e for e in entries if owned[e.node_id] == p] for p in sorted(set(owned.values()))], purpose, channel
    )
