"""Candidates at once, without a model: the same child and the same rep, a telephone with hidden digits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from scrm import jobs
from scrm.db import Conn
from scrm.identity import proposals
from scrm.identity.match.choosing import contradict
from scrm.identity.match.records import Record
from scrm.identity.match.sentences import ONLINE, Reason
from scrm.identity.match.store import hints as store
from scrm.identity.match.store import records
from scrm.identity.rules.policy import Policy
from scrm.seal import new_id

#: Persons looked at in one go, and candidates made for each.
AT_ONCE, EACH = 100, 3
#: The kind of the due row.
KIND = "hint"
_SETTLES = timedelta(seconds=2)
_REP = Reason(text="由同一位同事跟进", field="rep", level="same", weight=150)
_WEIGHTS: Mapping[str, int] = {"child": 420, "mask": 520}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hint:
    kind: str
    value: str
    key: bytes


async def due(conn: Conn, person_ids: Collection[int], *, now: datetime) -> None:
    """Look at these a moment later, off the way of what comes in."""
    ids = sorted(person_ids)
    some = [ids[i : i + AT_ONCE] for i in range(0, len(ids), AT_ONCE)]
    await jobs.put_all(conn, [(KIND, str(new_id()), 0, {"persons": one}) for one in some], at=now + _SETTLES)


async def look(conn: Conn, policy: Policy, person_ids: Collection[int], *, now: datetime) -> int:
    """Remember the hints of these persons and ask about those who share one; how many are asked about.

    Bounded: `AT_ONCE` persons, a hint of more than `store.MANY` identifiers says nothing.
    """
    asked = 0
    mine = await records.gathered(conn, policy, sorted(person_ids)[:AT_ONCE])
    hints = {r.person_id: _hints(conn, r) for r in mine}
    await store.keep(conn, [(h.key, r.node_id, h.kind) for r in mine for h in hints[r.person_id]])
    shared = await store.sharing(conn, {h.key for found in hints.values() for h in found})
    owners = await proposals.owners(conn, {n for nodes in shared.values() for n in nodes})
    others = {p.person_id: p for p in await records.gathered(conn, policy, set(owners.values()))}
    for record in mine:
        made = 0
        for one in hints[record.person_id]:
            for node_id in shared.get(one.key, ()):
                other = others.get(owners.get(node_id, 0))
                if other is not None and made < EACH and await _ask(conn, record, other, one, now=now):
                    made += 1
        asked += made
    return asked


def _hints(conn: Conn, record: Record) -> list[_Hint]:
    said = [("child", c) for c in record.children] + [("mask", m) for m in record.masks]
    tenant = str(conn.tenant_id)
    return [_Hint(kind=k, value=v, key=conn.vault.blind(tenant, "hint", k, v)) for k, v in said]


async def _ask(conn: Conn, a: Record, b: Record, shared: _Hint, *, now: datetime) -> bool:
    """Whether it was worth a question."""
    together = bool(set(a.reps) & set(b.reps))
    if a.person_id == b.person_id or not (together or shared.kind == "mask"):
        return False
    values = {shared.kind: shared.value}
    text, weight = ONLINE[shared.kind], _WEIGHTS[shared.kind]
    reasons = [Reason(text=text, values=values, field=shared.kind, level="same", weight=weight)]
    reasons += [_REP] if together else []
    cls: proposals.Cls = "same_household"
    if shared.kind == "mask":
        # Only where one side has nothing but the mask: two whole numbers of one mask are two people.
        if (a.phones and b.phones) or contradict(a, b):
            return False
        cls = "same_person"
    return await proposals.suggest(
        conn, a.node_id, b.node_id, cls, reasons, source="online", now=now,
        likely=0.75 if together else 0.5, value=a.value + b.value,
    )  # fmt: skip


async def forget(conn: Conn, node_ids: Collection[int]) -> None:
    """For erasure."""
    await store.forget(conn, node_ids)
