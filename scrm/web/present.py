"""From rows to views: what a conversation, a customer, a timeline look like to the person asking."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import quote

from scrm import outbox
from scrm.accounts.service import Plugged
from scrm.contract import Uploads, Visits
from scrm.db import Conn
from scrm.identity import store as identity
from scrm.playbook.service import Card, cards
from scrm.push import service as push
from scrm.staff import store as staff
from scrm.staff.rules import Actor, scope
from scrm.timeline import collision
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations, events, visits
from scrm.timeline.store.events import Place, Stored
from scrm.web import views
from scrm.web.house import House
from scrm.web.pages import facts, locale, place_out, topic
from scrm.web.render import ZONE

PAGE = 30
_OUTGOING = timedelta(minutes=2)
_TICK = timedelta(microseconds=1)
_STRANGE = "event.unknown"
#: Events whose body a screen needs: what we do not understand, and what came with a file.
_WITH_BODY = frozenset({_STRANGE, "message.image", "message.file"})
#: A wait is amber after the first and red after the second; the reply target becomes data with the SLA rules.
_AMBER, _RED = timedelta(minutes=5), timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One request's view of the house: who asks, on which connection, when."""

    house: House
    conn: Conn
    actor: Actor
    now: datetime
    #: The page runs inside the vendor's app.
    in_app: bool = False

    def say(self, text: str, **values: object) -> str:
        return self.house.renderer.say(locale(self.actor), text, **values)

    def plugged(self, talk: Talk) -> Plugged:
        return self.house.directory.by_id(talk.account_id)

    def cid(self, talk: Talk) -> str:
        return self.conn.vault.public("conversation", talk.conversation_id)

    def channel(self, account_id: int) -> views.Channel:
        p = self.house.directory.by_id(account_id)
        return views.Channel(key=p.account.slug, name=self.say(p.title), icon=cast(views.Icon, p.plug.ICON))

    def queue_topics(self) -> tuple[str, ...]:
        """What moves this person's queue."""
        vault = self.conn.vault
        teams = {self.actor.team_id or 0, 0}
        mine = [topic(vault, "rep", self.actor.staff_id)] if self.actor.staff_id else []
        return (*mine, *(topic(vault, "team", t) for t in sorted(teams)))

    # -- queue ---------------------------------------------------------------------------------------------
    async def queue(self, which: views.QueueFilter, *, limit: int = 100) -> tuple[views.QueueRow, ...]:
        found = await conversations.queue(self.conn, scope(self.actor), which, now=self.now, limit=limit)
        names = await self._names([t.node_id for t, _ in found])
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

    async def _names(self, node_ids: Sequence[int]) -> dict[int, str]:
        known = await identity.names(self.conn, node_ids)
        kinds = await identity.kinds(self.conn, [n for n in node_ids if not known.get(n)])
        return {n: known.get(n) or self._nameless(n, kinds.get(n, "")) for n in node_ids}

    def _nameless(self, node_id: int, kind: str) -> str:
        """Visitors of a website are many and all without a name: a mark tells them apart."""
        if kind == "web_visitor":
            return self.say("网站访客 {mark}", mark=self.conn.vault.public("node", node_id)[:4])
        return self.say("微信客户")

    # -- items ---------------------------------------------------------------------------------------------
    async def items(self, found: Sequence[Stored]) -> tuple[views.Item, ...]:
        """Events as timeline rows, in the order given."""
        sent = await outbox.deliveries(self.conn, [e.event_id for e in found if e.direction == "out"])
        names = await self._names([e.node_id for e in found if e.node_id])
        people = await staff.members(self.conn, [e.staff_id for e in found if e.staff_id])
        told = [e for e in found if e.kind in _WITH_BODY]
        bodies = await events.bodies(self.conn, told) if told else {}
        seen = await visits.seen(self.conn, {e.conversation_id for e in found if e.conversation_id and sent})
        return tuple(
            replace(
                self._item(e, sent.get(e.event_id), names, people, bodies.get(e.event_id, {})),
                seen=e.direction == "out" and e.at <= seen.get(e.conversation_id or 0, e.at - _TICK),
            )
            for e in found
        )

    def _item(
        self,
        e: Stored,
        sent: outbox.Delivery | None,
        names: dict[int, str],
        people: dict[int, staff.Member],
        body: dict[str, Any],
    ) -> views.Item:
        customer = names.get(e.node_id or 0) or self.say("微信客户")
        member = people.get(e.staff_id or 0)
        mine = member is not None and member.staff_id == self.actor.staff_id
        ours = self.say("我") if mine else member.name if member else self.say("系统")
        out = e.direction == "out"
        return views.Item(
            id=_form_key(sent) or self.conn.vault.public("event", e.event_id),
            at=e.at,
            channel=self.channel(e.account_id),
            who=ours if out else customer,
            whom=customer if out else (ours if member else ""),
            direction=cast(Any, e.direction),
            text=e.text,
            **self._media(body),
            event=not e.kind.startswith("message."),
            unknown=str(body.get("Event") or body.get("MsgType") or e.kind) if e.kind == _STRANGE else "",
            raw=_pretty(body) if e.kind == _STRANGE else "",
            recalled=e.recalled_at is not None,
            delivery=cast(Any, sent.state) if sent else None,
            reason=sent.error if sent else "",
        )

    def _media(self, body: dict[str, Any]) -> dict[str, Any]:
        """Where a picture or a file that we keep can be had; other channels keep theirs."""
        kept = body.get("media")
        if not isinstance(kept, dict) or not isinstance(kept.get("id"), str):
            return {}
        shown = str(kept.get("mime", "")).startswith("image/")
        return {"image" if shown else "file": f"/media/{quote(kept['id'], safe='')}"}

    # -- the customer --------------------------------------------------------------------------------------
    async def timeline(self, talk: Talk, *, before: Place | None, channel: str) -> views.TimelineView:
        spans = await self._spans(talk)
        theirs = await conversations.of_nodes(self.conn, [s.node_id for s in spans])
        accounts = sorted({t.account_id for t in theirs})
        chosen = [a for a in accounts if self.channel(a).key == channel]
        found = await events.page(self.conn, spans, before=before, limit=PAGE + 1, account_ids=chosen)
        shown = found[:PAGE]
        return views.TimelineView(
            cid=self.cid(talk),
            items=await self.items(shown),
            channels=tuple(self.channel(a) for a in accounts),
            channel=channel if chosen else "",
            before=place_out(self.conn.vault, shown[-1].place) if len(found) > PAGE else "",
            older=before is not None,
            topics=self._topics(spans),
        )

    async def customer(
        self,
        talk: Talk,
        *,
        tab: views.Tab = "scripts",
        edit: str = "",
        timeline: views.TimelineView | None = None,
    ) -> views.CustomerView:
        spans = await self._spans(talk)
        name = (await self._names([talk.node_id]))[talk.node_id]
        plugged = self.plugged(talk)
        verdict = await push.check(self.conn, plugged, talk, in_app=self.in_app, now=self.now)
        named = (await identity.names(self.conn, [talk.node_id])).get(talk.node_id) or ""
        known = facts(self.actor, self.house.settings.company, named, self.now)
        offers = await cards(self.conn, self.house.library, talk.conversation_id, known)
        shown = tuple(self._card(n, card) for n, card in enumerate(offers, 1))
        return views.CustomerView(
            cid=self.cid(talk),
            name=name,
            subline=await self._subline(talk),
            tags=(views.Tag(text=self.say(plugged.title), tone=self.channel(talk.account_id).tone),),
            members=await self._members(talk, spans, name),
            cards=shown,
            outgoing=await self._outgoing(talk),
            via=verdict.way,
            via_note=self.say(verdict.why, **verdict.values),
            tab=tab,
            timeline=timeline,
            edit=next((c for c in shown if c.id == edit), None),
            seen=await self.seen(talk),
            topics=self._topics(spans),
        )

    def _card(self, n: int, card: Card) -> views.ScriptCard:
        return views.ScriptCard(
            id=self.conn.vault.public("suggestion", card.suggestion_id),
            n=n,
            title=f"{self.say(card.stage)} · {card.script.title}",
            why=card.reason,
            parts=card.rendered.parts,
            text=card.rendered.text,
            key=secrets.token_hex(12),
            missing=card.rendered.missing,
        )

    async def _subline(self, talk: Talk) -> str:
        if talk.rep_id is None:
            return self.say("未分配 · 先回复的同事接手")
        members = await staff.members(self.conn, [talk.rep_id])
        rep = members.get(talk.rep_id)
        if talk.rep_id == self.actor.staff_id:
            return self.say("我在跟进")
        return self.say("{name} 在跟进", name=rep.name if rep else self.say("同事"))

    async def _members(
        self, talk: Talk, spans: Sequence[identity.Interval], name: str
    ) -> tuple[views.Member, ...]:
        """The person known so far, one cell per channel they talk on; each opens that conversation."""
        nodes = [s.node_id for s in spans]
        seen = await conversations.visible_of_nodes(self.conn, scope(self.actor), nodes)
        return tuple(
            views.Member(
                name=name,
                role=self.channel(t.account_id).name,
                href=f"/s/c/{self.cid(t)}",
                icon=self.channel(t.account_id).icon,
                hint=f"{t.last_at.astimezone(ZONE):%m-%d %H:%M} · {self.plugged(t).account.name}",
                current=t.conversation_id == talk.conversation_id,
            )
            for t in seen[:4]
        )

    async def _outgoing(self, talk: Talk) -> tuple[views.Item, ...]:
        span = identity.Interval(node_id=talk.node_id, from_at=self.now - _OUTGOING, until_at=None)
        found = await events.page(self.conn, [span], before=None, limit=8, account_ids=[talk.account_id])
        return await self.items([e for e in found if e.direction == "out"][:3])

    async def _spans(self, talk: Talk) -> list[identity.Interval]:
        person = (await identity.persons_of(self.conn, [talk.node_id])).get(talk.node_id)
        return await identity.intervals(self.conn, person) if person else []

    def _topics(self, spans: Sequence[identity.Interval]) -> tuple[str, ...]:
        return tuple(sorted(topic(self.conn.vault, "node", n) for n in {s.node_id for s in spans}))

    # -- the desktop conversation --------------------------------------------------------------------------
    async def conversation(self, talk: Talk, *, before: Place | None) -> views.ConversationView:
        """The person's talk over every channel, oldest first; replies go out on this channel."""
        line = await self.timeline(talk, before=before, channel="")
        plugged = self.plugged(talk)
        verdict = await push.check(self.conn, plugged, talk, in_app=False, now=self.now)
        return views.ConversationView(
            cid=line.cid,
            name=(await self._names([talk.node_id]))[talk.node_id],
            channel=self.channel(talk.account_id),
            items=tuple(reversed(line.items)),
            before=line.before,
            older=line.older,
            key=secrets.token_hex(12),
            closed=self.say(verdict.why, **verdict.values) if verdict.way != "api" else "",
            images=isinstance(plugged.plug, (Uploads, Visits)),
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


def _form_key(sent: outbox.Delivery | None) -> str:
    """The key of the form a push came from, so that its bubble is replaced; "" for every other event."""
    key, _, number = sent.key.partition(":") if sent else ("", "", "")
    return key if number == "0" else ""


def _unread(talk: Talk, read_at: datetime | None) -> int:
    """1 while the customer's newest words have been neither read nor answered."""
    new = talk.last_in_at is not None and (read_at is None or read_at <= talk.last_in_at)
    return int(new and talk.waiting_since is not None)


def _tone(since: datetime | None, now: datetime) -> Any:
    waited = now - since if since else timedelta()
    return "bad" if waited >= _RED else "warn" if waited >= _AMBER else ""


def _pretty(body: dict[str, Any]) -> str:
    return "\n".join(f"{k}: {v}" for k, v in body.items())[:4000]
