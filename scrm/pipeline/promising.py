"""React, promises: what our side says is kept in the ledger, and found when it should not have been said."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from scrm.campaigns.coupons.rules import codes_in
from scrm.db import Conn
from scrm.identity import store as nodes
from scrm.live import Change
from scrm.pipeline import doing
from scrm.pipeline.drafts import Drafts, household, named
from scrm.playbook.checks import service as checks
from scrm.playbook.checks.rules import Ground
from scrm.playbook.checks.service import Uttered
from scrm.playbook.checks.store import findings
from scrm.playbook.checks.store.findings import Finding
from scrm.playbook.promises import service as promises
from scrm.playbook.promises import store as ledger
from scrm.playbook.promises.ledger import ours, stands
from scrm.playbook.promises.service import Spoken
from scrm.staff import store as staff
from scrm.timeline.store import conversations, events, rereading
from scrm.timeline.store import media as files
from scrm.timeline.store.events import Stored

#: What was said longer ago is written down, and nobody is alarmed any more.
FRESH = timedelta(days=7)
_CALLS = ("message.call", "message.meeting_voice_call", "message.voiptext")
_PAID = ("paid", "delivered")
#: Whoever has more identifiers is no family; so many promises of theirs are looked at again.
_ADDRESSES, _LOOKED = 200, 100


async def heed(conn: Conn, drafts: Drafts, heard: Sequence[Stored], *, now: datetime) -> list[Change]:
    """Each message once, however often it is read; who must look again."""
    spoken = [e for e in heard if _is_ours(e)]
    again = await rereading.look(conn, [e.event_id for e in heard if e.direction != "in"])
    spoken = [e for e in (*spoken, *again.messages) if e.event_id not in again.notes and _is_ours(e)]
    said = await _said(conn, {e.event_id: e for e in spoken}, again.earlier)
    return await _heed(conn, drafts, said, {e.event_id: e for e in spoken}, now=now)


async def reread(conn: Conn, drafts: Drafts, event_ids: Sequence[int], *, now: datetime) -> list[Change]:
    """The same for events that say more than they did: a recording was written down."""
    return await heed(conn, drafts, await events.by_ids(conn, event_ids), now=now)


def _is_ours(e: Stored) -> bool:
    if e.node_id is None or not e.kind.startswith("message."):
        return False
    return e.direction == "out" or e.kind.startswith(_CALLS)


async def _said(
    conn: Conn, spoken: Mapping[int, Stored], earlier: Mapping[int, Sequence[int]]
) -> list[Spoken]:
    calls = [e.event_id for e in spoken.values() if e.kind.startswith(_CALLS)]
    written = await files.of_events(conn, calls) if calls else {}
    texts = {
        ident: ours("\n".join(f.transcript for f in found if f.transcript))
        for ident, found in written.items()
    }
    said = [
        Spoken(
            event_id=e.event_id,
            account_id=e.account_id,
            conversation_id=e.conversation_id,
            node_id=e.node_id or 0,
            staff_id=e.staff_id,
            at=e.at,
            text=texts.get(e.event_id, "") if e.event_id in calls else e.text,
            source="call" if e.event_id in calls else "message",
            recalled=e.recalled_at is not None,
            instead_of=tuple(earlier.get(e.event_id, ())),
        )
        for e in sorted(spoken.values(), key=lambda e: e.place)
    ]
    return [await _with_coupons(conn, one) for one in said]


async def _with_coupons(conn: Conn, one: Spoken) -> Spoken:
    if not codes_in(one.text):
        return one
    return replace(one, coupons=await named(conn, one.text, await household(conn, one.node_id)))


async def _heed(
    conn: Conn, drafts: Drafts, said: Sequence[Spoken], spoken: Mapping[int, Stored], *, now: datetime
) -> list[Change]:
    if not said:
        return []
    shop = await drafts.shop(conn, now=now)
    changed = await promises.heed(conn, said, shop.products, now=now)
    homes = {n: await household(conn, n) for n in sorted(changed)}
    changes = [Change(topic=f"node:{n}", ident=n, version=5) for home in homes.values() for n in home]
    gone = [one.event_id for one in said if one.recalled]
    gone += [before for one in said for before in one.instead_of]
    await findings.close_of_events(conn, gone, note=promises.RECALLED, now=now)
    for one in said:
        if one.recalled or not one.text or now - one.at > FRESH:
            continue
        if not one.entries(shop.products) and not shop.book.scanner.scan(one.text):
            continue
        changes += await _find(conn, drafts, one, spoken[one.event_id], now=now)
    return changes


async def _find(conn: Conn, drafts: Drafts, one: Spoken, event: Stored, *, now: datetime) -> list[Change]:
    """What should not have been said here, against all that stood when it was."""
    member = (await staff.members(conn, [one.staff_id])).get(one.staff_id) if one.staff_id else None
    talk = await conversations.of_id(conn, one.conversation_id) if one.conversation_id else None
    team = member.team_id if member and member.team_id else talk.team_id if talk else None
    ground = await drafts.of_node(conn, one.node_id, role=member.role if member else "rep", now=now)
    uttered = Uttered(
        event_id=one.event_id,
        conversation_id=one.conversation_id,
        node_id=one.node_id,
        staff_id=one.staff_id,
        team_id=team,
        text=one.text,
        at=one.at,
        checked=event.source_key.startswith("ours:"),
    )
    passed = await checks.cleared(conn, one.conversation_id, now=one.at) if one.conversation_id else {}
    found = await checks.find(conn, uttered, _then(ground, one), passed=passed)
    return _alarms(found, await household(conn, one.node_id) if found else ())


def _then(ground: Ground, one: Spoken) -> Ground:
    """What stood when it was said, without what it says itself."""
    stood = [
        k
        for k in ground.live
        if k.event_id != one.event_id and k.made_at < one.at and stands(k.made_at, k.until_at, now=one.at)
    ]
    return replace(ground, live=tuple(stood), coupons=one.coupons)


def _alarms(found: Sequence[Finding], theirs: Sequence[int]) -> list[Change]:
    teams = {f.team_id or 0 for f in found}
    reps = {f.staff_id for f in found if f.staff_id}
    changes = [Change(topic=f"team:{t}", ident=f.finding_id, version=1) for f in found for t in sorted(teams)]
    changes += [Change(topic=f"rep:{r}", ident=r, version=1) for r in sorted(reps)]
    return changes + [Change(topic=f"node:{n}", ident=n, version=5) for n in theirs if found]


# -- when families turn out to be others -------------------------------------------------------------------
async def turned(
    conn: Conn, drafts: Drafts, persons: Collection[int], households: Collection[int], *, now: datetime
) -> list[Change]:
    """What was said lately, held against what these families were promised as they are now.

    What a finding stands on may be another family's promise after a split: it is withdrawn, and comes back
    when they turn out to be one family again. In a transaction of its own: it waits for whoever reads what
    was said to them at this moment, so that nobody misses the other.
    """
    theirs = await _addresses(conn, persons, households)
    for node_id in theirs:
        await conn.lock(f"promise:{node_id}")
    homes = await doing.households(conn, theirs)
    apart = [
        f.finding_id
        for f, to in await findings.on_promises(conn, theirs)
        if to not in homes.get(f.node_id or 0, ())
    ]
    await findings.close(conn, apart, by=None, note=checks.APART, now=now)
    changes = [Change(topic=f"node:{n}", ident=n, version=5) for n in theirs if apart]
    rows = await ledger.said_lately(conn, theirs, since=now - FRESH, limit=_LOOKED)
    told = {r.node_id for r in rows if any(n != r.node_id for n in homes[r.node_id])}
    events_ = await events.by_ids(conn, sorted({r.event_id or 0 for r in rows if r.node_id in told}))
    spoken = {e.event_id: e for e in events_ if _is_ours(e)}
    for one in await _said(conn, spoken, {}):
        if not one.recalled and one.text:
            changes += await _find(conn, drafts, one, spoken[one.event_id], now=now)
    return changes


async def _addresses(conn: Conn, persons: Collection[int], households: Collection[int]) -> list[int]:
    """Of these persons and of everybody who is now of their families."""
    homes = await nodes.members(conn, sorted(households))
    # A person alone is a household under their own id.
    everybody = {*persons, *households, *(p for mine in homes.values() for p in mine)}
    known = sorted(await nodes.nodes_of(conn, sorted(everybody)))[:_ADDRESSES]
    around = await doing.households(conn, known)
    return sorted({n for mine in around.values() for n in mine})[:_ADDRESSES]


# -- orders ------------------------------------------------------------------------------------------------
async def kept(conn: Conn, order_events: Sequence[Stored], *, now: datetime) -> None:
    """Orders that were paid keep what was promised about their money."""
    paid = [e for e in order_events if e.kind.startswith("event.order.") and e.node_id is not None]
    bodies = await events.bodies(conn, paid) if paid else {}
    for e in paid:
        order = bodies[e.event_id].get("order")
        if not isinstance(order, Mapping) or order.get("status") not in _PAID:
            continue
        codes = {str(item.get("product")) for item in order.get("items") or ()}
        await promises.paid(conn, await household(conn, e.node_id or 0), codes, at=e.at, now=now)
