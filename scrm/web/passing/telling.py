"""A hand-over as a reader sees it: the briefs, and how the platform's transfer stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scrm.db import Conn
from scrm.identity import store as identity
from scrm.ownership import handing
from scrm.ownership.rules import handover as rules
from scrm.ownership.store.handover import Handover
from scrm.staff import store as staff
from scrm.staff.rules import Actor, scope
from scrm.timeline.store import conversations
from scrm.web.passing import views as v
from scrm.web.views import Tone

_TONES: Mapping[str, Tone] = {
    "done": "ok",
    "none": "ok",
    "waiting": "brand",
    "asked": "brand",
    "refused": "bad",
    "failed": "bad",
    "full": "bad",
    "resting": "warn",
    "unknown": "warn",
}


async def handed_row(conn: Conn, one: Handover, say: Callable[[str], str]) -> v.Handed:
    people = await staff.members(conn, [one.from_id, one.to_id])

    def name(ident: int) -> str:
        return people[ident].name if ident in people else say("已离开的同事")

    return v.Handed(
        id=conn.vault.public("handover", one.handover_id),
        at=one.moved_at or one.at,
        sort=say(rules.SORTS[one.sort]),
        state=one.state,
        giver=name(one.from_id),
        taker=name(one.to_id),
    )


async def handed_view(
    conn: Conn, one: Handover, say: Callable[[str], str], *, fault: str = "", to: Actor | None = None
) -> v.Handed:
    """`to`: only of customers this reader sees still; who hands them on reads no more of them."""
    row = await handed_row(conn, one, say)
    found = await handing.standings(conn, one)
    if to is not None:
        owners = await identity.persons_of(conn, [s.customer.node_id for s in found])
        seen = await conversations.visible_persons(conn, scope(to), sorted(set(owners.values())))
        found = [s for s in found if owners.get(s.customer.node_id) in seen]
    names = await identity.names(conn, [s.customer.node_id for s in found])
    customers = tuple(
        v.Told(
            id=conn.vault.public("node", s.customer.node_id),
            name=names.get(s.customer.node_id, "") or say("未命名客户"),
            brief=s.customer.brief,
            outcome=rules.sentence(s.outcome, say),
            tone=_TONES.get(s.outcome, ""),
            words=s.words,
        )
        for s in found
    )
    return v.Handed(
        id=row.id,
        at=row.at,
        sort=row.sort,
        state=row.state,
        giver=row.giver,
        taker=row.taker,
        customers=customers,
        undoable=one.state == "moved"
        and all(s.outcome in ("asked", "none", "unknown", "resting") for s in found),
        fault=fault,
    )
