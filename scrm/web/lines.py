"""The timeline of a family as one person sees it: narrowed down, page by page, and searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast, get_args

from scrm.identity import service as families
from scrm.identity import store as identity
from scrm.seal import Vault
from scrm.staff.rules import scope, sees_recalled
from scrm.timeline import finding
from scrm.timeline.genres import SHELVES, Genre
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations, events, search, whereabouts
from scrm.timeline.store.events import Place, Stored
from scrm.web import views
from scrm.web.pages import place_in, place_out, topic
from scrm.web.parts import Filter
from scrm.web.reading import Reading

PAGE, HITS = 30, 20
_ASKED_MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which part of a timeline."""

    before: Place | None = None
    channel: str = ""
    #: Public id of a member of the family.
    member: str = ""
    kind: views.Kind = ""
    #: What to search for, and the hit to go on after.
    q: str = ""
    after: int | None = None


def asked(vault: Vault, query: Mapping[str, str]) -> Asked:
    """Raises `NotFound` for a cursor we did not make; a filter nobody knows is none."""
    kind, q, before = query.get("kind", ""), query.get("q", "").strip()[:_ASKED_MOST], query.get("before", "")
    return Asked(
        before=None if q else place_in(vault, before),
        channel=query.get("channel", ""),
        member=query.get("member", ""),
        kind=cast(views.Kind, kind if kind in get_args(views.Kind) else ""),
        q=q,
        after=vault.private("hit", before) if q and before else None,
    )


async def family_of(desk: Reading, node_id: int) -> dict[int, list[identity.Interval]]:
    """Each member's nodes; the one asked about first."""
    person = (await identity.persons_of(desk.conn, [node_id])).get(node_id)
    members = await families.family(desk.conn, person) if person else []
    return {m: await identity.intervals(desk.conn, m) for m in members}


async def timeline(desk: Reading, talk: Talk, want: Asked, *, alone: bool = False) -> views.TimelineView:
    """The family's, or with `alone` this person's."""
    family = await family_of(desk, talk.node_id)
    if alone:
        family = dict(list(family.items())[:1])
    members = await members_of(desk, family)
    everybody = [s for spans in family.values() for s in spans]
    chosen = next((ident for ident, f in members.items() if f.key == want.member), None)
    spans = family[chosen] if chosen else everybody
    accounts = [] if alone else await _accounts(desk, everybody, want.channel)
    only = [a for a in accounts if desk.channel(a).key == want.channel]
    items: tuple[views.Item, ...] = ()
    hits: tuple[views.Hit, ...] = ()
    if want.q:
        hits, before = await found(desk, want, spans=spans)
    else:
        items, before = await _page(desk, spans, want, only)
    return views.TimelineView(
        cid=desk.conn.vault.public("conversation", talk.conversation_id),
        items=items,
        hits=hits,
        q=want.q,
        channels=tuple(desk.channel(a) for a in accounts),
        channel=want.channel if only else "",
        members=tuple(members.values()) if len(members) > 1 else (),
        member=want.member if chosen else "",
        kind=want.kind,
        before=before,
        older=want.before is not None or want.after is not None,
        topics=tuple(sorted(topic(desk.conn.vault, "node", n) for n in {s.node_id for s in everybody})),
    )


async def _accounts(desk: Reading, spans: Sequence[identity.Interval], asked_for: str) -> list[int]:
    """Where this family talks, calls, buys or does anything; and the one asked for, if there is one."""
    theirs = await conversations.of_nodes(desk.conn, [s.node_id for s in spans])
    known = {t.account_id for t in theirs} | await whereabouts.accounts(desk.conn, spans)
    ours = {p.account.account_id: p for p in desk.house.directory.all(desk.actor.tenant_id)}
    known |= {a for a, p in ours.items() if p.account.slug == asked_for}
    return sorted(known & ours.keys())


async def _page(
    desk: Reading, spans: Sequence[identity.Interval], want: Asked, accounts: Sequence[int]
) -> tuple[tuple[views.Item, ...], str]:
    shelves: tuple[Genre, ...] = SHELVES[want.kind] if want.kind else ()
    found = await events.page(
        desk.conn, spans, before=want.before, limit=PAGE + 1, account_ids=accounts, genres=shelves
    )
    last = place_out(desk.conn.vault, found[PAGE - 1].place) if len(found) > PAGE else ""
    items = await desk.items(found[:PAGE])
    return (items if want.before else unheard(desk, items)), last


def unheard(desk: Reading, items: tuple[views.Item, ...]) -> tuple[views.Item, ...]:
    """Nothing writes down what is said here: told once a page, under the newest recording."""
    if desk.house.settings.asr_url:
        return items
    for at, item in enumerate(items):
        here = next((n for n, a in enumerate(item.attached) if a.shape == "sound" and not a.text), None)
        if here is not None:
            told = list(item.attached)
            told[here] = replace(told[here], note=desk.say("没有配置语音转写"))
            return (*items[:at], replace(item, attached=tuple(told)), *items[at + 1 :])
    return items


async def members_of(desk: Reading, family: Mapping[int, Sequence[identity.Interval]]) -> dict[int, Filter]:
    shown = await identity.shown(desk.conn, family)
    firsts = {m: spans[0].node_id for m, spans in family.items() if spans}
    names = await desk.names(list(firsts.values()))
    return {
        m: Filter(
            key=desk.conn.vault.public("person", m),
            name=(shown[m].name if m in shown else "") or names[firsts[m]],
        )
        for m in family
        if m in firsts
    }


# -- search ------------------------------------------------------------------------------------------------
async def found(
    desk: Reading, want: Asked, *, spans: Sequence[identity.Interval] | None = None
) -> tuple[tuple[views.Hit, ...], str]:
    """A page of hits, and where the next begins; without `spans` among everybody the reader may see."""
    hits = await search.page(
        desk.conn,
        want.q,
        scope=scope(desk.actor),
        spans=spans,
        recalled=sees_recalled(desk.actor),
        before=want.after,
        limit=HITS + 1,
    )
    stored = {e.event_id: e for e in await events.by_ids(desk.conn, [h.event_id for h in hits[:HITS]])}
    shown = [stored[h.event_id] for h in hits[:HITS]]
    last = desk.conn.vault.public("hit", hits[HITS - 1].search_id) if len(hits) > HITS else ""
    return tuple(await _shown(desk, shown, want.q)), last


async def _shown(desk: Reading, stored: Sequence[Stored], q: str) -> list[views.Hit]:
    names = await desk.names([e.node_id for e in stored if e.node_id])
    talks = await _doors(desk, stored)
    items = await desk.items(stored)
    said = await search.transcripts(desk.conn, [e.event_id for e in stored])
    return [
        views.Hit(
            id=desk.conn.vault.public("event", e.event_id),
            at=e.at,
            channel=item.channel,
            who=item.who,
            customer=names.get(e.node_id or 0, ""),
            href=f"/inbox/{talks[e.event_id]}" if e.event_id in talks else "",
            parts=_parts(finding.telling(e.text, said.get(e.event_id, ""), q), q),
            recalled=e.recalled_at is not None,
        )
        for e, item in zip(stored, items, strict=True)
    ]


def _parts(text: str, q: str) -> tuple[tuple[str, bool], ...]:
    return tuple(finding.around(finding.marked(text, q)))


async def _doors(desk: Reading, stored: Sequence[Stored]) -> dict[int, str]:
    """By event the conversation to open: its own, else any of the same person's, if the reader may."""
    ids = {e.conversation_id for e in stored if e.conversation_id}
    mine = await conversations.visible_ids(desk.conn, scope(desk.actor), ids)
    doors: dict[int, str] = {}
    for e in stored:
        ident = e.conversation_id if e.conversation_id in mine else await _other(desk, e)
        if ident:
            doors[e.event_id] = desk.conn.vault.public("conversation", ident)
    return doors


async def _other(desk: Reading, e: Stored) -> int | None:
    person = (await identity.persons_of(desk.conn, [e.node_id or 0])).get(e.node_id or 0)
    spans = await identity.intervals(desk.conn, person) if person else []
    seen = await conversations.visible_of_nodes(desk.conn, scope(desk.actor), [s.node_id for s in spans])
    return seen[0].conversation_id if seen else None
