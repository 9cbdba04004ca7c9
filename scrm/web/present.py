"""From rows to views: what a conversation, a customer, a timeline look like to the person asking."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from scrm.contract import Sends, Visits
from scrm.identity import service as families
from scrm.identity import store as identity
from scrm.staff import store as staff
from scrm.staff.rules import scope
from scrm.timeline import collision
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations, events, tallies
from scrm.timeline.store.events import Place
from scrm.web import advice, lines, outlook, views
from scrm.web.about import Reader
from scrm.web.advice import Given
from scrm.web.family.strip import strip
from scrm.web.lines import Asked
from scrm.web.pages import topic
from scrm.web.reading import Reading
from scrm.web.sale import strip as sale
from scrm.web.sale import tab as coupons
from scrm.web.todo import present as todo
from scrm.web.vetting import present as vetting

_OUTGOING = timedelta(minutes=2)
_NOTHING = Given()
#: Today and the six days before; so many things of it.
_WEEK, _COUNTED = timedelta(days=6), 6
#: A wait is amber after the first and red after the second; the reply target becomes data with the SLA rules.
_AMBER, _RED = timedelta(minutes=5), timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk(Reading):
    """One request's view of the house."""

    def queue_topics(self) -> tuple[str, ...]:
        """What moves this person's queue."""
        vault = self.conn.vault
        teams = {self.actor.team_id or 0, 0}
        mine = [topic(vault, "rep", self.actor.staff_id)] if self.actor.staff_id else []
        return (*mine, *(topic(vault, "team", t) for t in sorted(teams)))

    # -- queue ---------------------------------------------------------------------------------------------
    async def queue(self, which: conversations.Filter, *, limit: int = 100) -> tuple[views.QueueRow, ...]:
        found = await conversations.queue(self.conn, scope(self.actor), which, now=self.now, limit=limit)
        names = await self.names([t.node_id for t, _ in found])
        reps = await staff.members(self.conn, [t.rep_id for t, _ in found if t.rep_id])
        return tuple(
            views.QueueRow(
                cid=self.cid(t),
                name=names[t.node_id],
                channel=self.channel(t.account_id),
                last=t.last_text,
                last_at=t.last_at,
                waiting_since=t.waiting_since,
                unread=_unread(t, read),
                mine=t.rep_id is not None and t.rep_id == self.actor.staff_id,
                owner=reps[t.rep_id].name if t.rep_id in reps else "",
                wait_tone=_tone(t.waiting_since, self.now),
                later=t.snooze_until if t.snooze_until and t.snooze_until > self.now else None,
                back=t.snooze_until is not None and t.snooze_until <= self.now,
                ended=t.state == "closed",
            )
            for t, read in found
        )

    # -- the customer --------------------------------------------------------------------------------------
    async def timeline(self, talk: Talk, asked: Asked) -> views.TimelineView:
        return await lines.timeline(self, talk, asked)

    async def customer(
        self,
        talk: Talk,
        *,
        tab: views.Tab = "scripts",
        edit: str = "",
        timeline: views.TimelineView | None = None,
        task: str = "",
        quote: str = "",
        given: Given = _NOTHING,
    ) -> views.CustomerView:
        home = await self._home(talk)
        spans = await identity.intervals(self.conn, home.members[0]) if home else []
        name = (await self.names([talk.node_id]))[talk.node_id]
        cells, beside = await strip(self, talk, home, spans, name)
        plugged = self.plugged(talk)
        ahead, standing = await outlook.both(
            self.house, self.conn, self.say, talk, in_app=self.in_app, home=home, now=self.now
        )
        theirs = sorted({talk.node_id, *(home.owners if home else ())})
        shown = await advice.shown(self, talk, given, via=ahead.via)
        vetted = await vetting.around(self, talk, theirs, shown, quote)
        writing = vetted.quoting or await todo.prepared(self, talk, task, via=ahead.via)
        return views.CustomerView(
            cid=self.cid(talk),
            name=name,
            subline=await self._subline(talk),
            tags=(views.Tag(text=self.say(plugged.title), tone=self.channel(talk.account_id).tone),),
            members=cells,
            strip=beside,
            about=await Reader(house=self.house, conn=self.conn, actor=self.actor).view(talk),
            counted=await self._counted(spans),
            cards=vetted.cards,
            conflict=vetted.conflict,
            outgoing=await self._outgoing(talk),
            via=ahead.via,
            via_note=ahead.closed,
            line=ahead.line,
            later=ahead.later,
            standing=replace(standing, undo=self.actor.role == "lead"),
            tab=tab,
            timeline=timeline,
            sale=await sale.strip(self, talk, theirs),
            labels=await sale.labels(self, talk, theirs),
            coupons=await coupons.coupons(self, talk) if tab == "coupons" else None,
            todo=await todo.of_family(self, talk, home.owners if home else ()),
            task=task,
            quote=quote if vetted.quoting else "",
            edit=next((c for c in shown if c.id == edit), writing),
            seen=await self.seen(talk),
            topics=self._topics(spans, home.owners if home else ()),
        )

    async def _counted(self, spans: Sequence[identity.Interval]) -> tuple[views.Counted, ...]:
        nodes = {s.node_id for s in spans if s.until_at is None}
        found = await tallies.of_nodes(self.conn, nodes, since=self.now - _WEEK)
        return tuple(views.Counted(name=one.name, n=one.n) for one in found[:_COUNTED])

    async def _subline(self, talk: Talk) -> str:
        if talk.rep_id is None:
            return self.say("未分配 · 先回复的同事接手")
        members = await staff.members(self.conn, [talk.rep_id])
        rep = members.get(talk.rep_id)
        if talk.rep_id == self.actor.staff_id:
            return self.say("我在跟进")
        return self.say("{name} 在跟进", name=rep.name if rep else self.say("同事"))

    async def _outgoing(self, talk: Talk) -> tuple[views.Item, ...]:
        span = identity.Interval(node_id=talk.node_id, from_at=self.now - _OUTGOING, until_at=None)
        found = await events.page(self.conn, [span], before=None, limit=8, account_ids=[talk.account_id])
        return await self.items([e for e in found if e.direction == "out"][:3])

    async def _home(self, talk: Talk) -> families.Household | None:
        """The person and their household, looked up once for everything this page says of them."""
        person = (await identity.persons_of(self.conn, [talk.node_id])).get(talk.node_id)
        return await families.household(self.conn, person) if person else None

    def _topics(self, spans: Sequence[identity.Interval], family: Collection[int]) -> tuple[str, ...]:
        """What moves this page: what the person does, and what is done by and for their family."""
        seen = {s.node_id for s in spans} | set(family)
        return tuple(sorted(topic(self.conn.vault, "node", n) for n in seen))

    # -- the desktop conversation --------------------------------------------------------------------------
    async def conversation(self, talk: Talk, *, before: Place | None) -> views.ConversationView:
        """The person's talk over every channel, oldest first; replies go out on this channel."""
        line = await lines.timeline(self, talk, Asked(before=before), alone=True)
        plugged = self.plugged(talk)
        ahead = await outlook.outlook(self.house, self.conn, self.say, talk, in_app=False, now=self.now)
        return views.ConversationView(
            cid=line.cid,
            name=(await self.names([talk.node_id]))[talk.node_id],
            channel=self.channel(talk.account_id),
            items=tuple(reversed(line.items)),
            before=line.before,
            older=line.older,
            key=secrets.token_hex(12),
            closed=ahead.closed,
            line=ahead.line,
            later=ahead.later,
            images=isinstance(plugged.plug, Sends) and "image" in plugged.plug.KINDS,
            typing=isinstance(plugged.plug, Visits),
            owner=await self._subline(talk),
            seen=await self.seen(talk),
            topics=line.topics,
        )

    async def seen(self, talk: Talk) -> str:
        """What a page that shows this conversation now has seen of others' replies."""
        found = await collision.marks(self.conn, [talk], me=self.actor.staff_id, now=self.now)
        return found[talk.conversation_id]

    async def sent(self, event_id: int) -> views.Item:
        """One own push as an item."""
        item = (await self.items(await events.by_ids(self.conn, [event_id])))[0]
        return replace(item, who=self.say("我"))


def _unread(talk: Talk, read_at: datetime | None) -> int:
    """1 while the customer's newest words have been neither read nor answered."""
    new = talk.last_in_at is not None and (read_at is None or read_at <= talk.last_in_at)
    return int(new and talk.waiting_since is not None)


def _tone(since: datetime | None, now: datetime) -> Any:
    waited = now - since if since else timedelta()
    return "bad" if waited >= _RED else "warn" if waited >= _AMBER else ""
