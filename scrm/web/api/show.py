"""The one serializer of the API: rows to resources, masked for whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from scrm import inbox, outbox
from scrm.db import Conn, utcnow
from scrm.identity import store as identity
from scrm.identity.explain.rules import Opened
from scrm.identity.explain.store import opened
from scrm.identity.rules.sayings import rule_of
from scrm.identity.survivorship import service as survivorship
from scrm.identity.survivorship.rules import Field, Value
from scrm.identity.survivorship.words import FIELDS, SOURCES
from scrm.playbook.library import service as shelves
from scrm.playbook.service import Library
from scrm.playbook.store import Offer
from scrm.staff import store as staff
from scrm.staff.rules import Actor, masked, sees_identifiers, sees_recalled
from scrm.timeline import collision
from scrm.timeline.rules import Talk
from scrm.timeline.store.events import Stored, bodies
from scrm.web.api import resources as r
from scrm.web.house import House
from scrm.web.pages import facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Shower:
    house: House
    conn: Conn
    actor: Actor

    def _public(self, kind: str, ident: int | None) -> str | None:
        return None if ident is None else self.conn.vault.public(kind, ident)

    def _id(self, kind: str, ident: int) -> str:
        return self.conn.vault.public(kind, ident)

    async def events(self, found: Sequence[Stored]) -> list[r.Event]:
        persons = await identity.persons_of(self.conn, [e.node_id for e in found if e.node_id])
        homes = await identity.households_of(self.conn, persons.values())
        sent = await outbox.deliveries(self.conn, [e.event_id for e in found if e.direction == "out"])
        # Raw vendor fields carry identifiers in the clear.
        clear = await bodies(self.conn, found) if sees_identifiers(self.actor) else {}
        placed = {n: (p, homes.get(p, p)) for n, p in persons.items()}
        return [self._event(e, placed, sent.get(e.event_id), clear.get(e.event_id, {})) for e in found]

    def _event(
        self,
        e: Stored,
        placed: dict[int, tuple[int, int]],
        sent: outbox.Delivery | None,
        body: dict[str, Any],
    ) -> r.Event:
        person, home = placed.get(e.node_id or 0, (None, None))
        plugged = self.house.directory.by_id(e.account_id)
        readable = e.recalled_at is None or sees_recalled(self.actor)
        return r.Event(
            id=self._id("event", e.event_id),
            account=plugged.account.slug,
            channel=plugged.account.channel,
            source_key=e.source_key,
            kind=e.kind,
            direction=cast(Any, e.direction),
            at=e.at,
            text=e.text if readable else "",
            body={k: v for k, v in body.items() if not k.startswith("_")},
            node_id=self._public("node", e.node_id),
            person_id=self._public("person", person),
            household_id=self._public("household", home),
            recalled_at=e.recalled_at,
            edited_at=e.edited_at,
            delivery=sent.state if sent else None,
        )

    async def persons(self, ids: Sequence[int], *, fields: bool = False) -> list[r.Person]:
        """In the order given; with `fields` what is known of each, and who said so."""
        owner = await identity.nodes_of(self.conn, ids)
        handles = await opened(self.conn, list(owner))
        shown = await identity.shown(self.conn, ids)
        made = {ident: self._person(ident, shown.get(ident)) for ident in ids}
        for n, h in handles.items():
            made[owner[n]].nodes.append(self._node(h))
        if fields:
            for ident, known in (await survivorship.of_persons(self.conn, ids)).items():
                made[ident].fields.extend(self._field(f) for f in known)
        for e in await identity.evidence_of(self.conn, list(owner)):
            made[owner[e.node_a]].evidence.append(self._evidence(e))
        return list(made.values())

    def _person(self, ident: int, shown: identity.Shown | None) -> r.Person:
        return r.Person(
            id=self._id("person", ident),
            name=shown.name if shown else "",
            avatar=shown.avatar if shown else "",
        )

    def _node(self, one: Opened) -> r.Node:
        return r.Node(
            id=self._id("node", one.node_id),
            kind=one.kind,
            scope=one.scope,
            value="" if one.value is None else masked(self.actor, one.value),
            erased=one.value is None,
        )

    def _field(self, known: Field) -> r.Field:
        return r.Field(
            name=known.name,
            title=FIELDS[known.name],
            shown=self._said(known.shown),
            others=[self._said(v) for v in known.others],
            conflicting=known.conflicting,
        )

    def _said(self, v: Value) -> r.SaidValue:
        clear = masked(self.actor, v.value) if v.field == "phone" else v.value
        return r.SaidValue(
            value=clear,
            source=v.said,
            title=SOURCES[v.said],
            at=v.at,
            node_id=self._id("node", v.node_id),
            event_id=self._public("event", v.event_id),
            correction_id=self._public("correction", v.correction_id),
            why=v.why,
        )

    def _evidence(self, e: Any) -> r.Evidence:
        return r.Evidence(
            node_a=self._id("node", e.node_a),
            node_b=self._id("node", e.node_b),
            rule=rule_of(e.rule),
            strength=e.strength,
            first_at=e.first_at,
            seen=e.n,
        )

    async def conversations(self, talks: Sequence[Talk]) -> list[r.Conversation]:
        persons = await identity.persons_of(self.conn, [t.node_id for t in talks])
        shown = await identity.shown(self.conn, persons.values())
        reps = await staff.members(self.conn, [t.rep_id for t in talks if t.rep_id])
        seen = await collision.marks(self.conn, talks, me=self.actor.staff_id, now=utcnow())
        return [
            r.Conversation(
                id=self._id("conversation", t.conversation_id),
                account=self.house.directory.by_id(t.account_id).account.slug,
                channel=self.house.directory.by_id(t.account_id).account.channel,
                person_id=self._public("person", persons.get(t.node_id)),
                name=shown[persons[t.node_id]].name if persons.get(t.node_id) in shown else "",
                owner=reps[t.rep_id].login if t.rep_id in reps else None,
                session=t.session,
                waiting_since=t.waiting_since,
                last_at=t.last_at,
                last_text=t.last_text,
                state=t.state,
                snooze_until=t.snooze_until,
                seen=seen[t.conversation_id],
            )
            for t in talks
        ]

    async def suggestions(self, talk: Talk, offers: Sequence[Offer]) -> list[r.Suggestion]:
        name = (await identity.names(self.conn, [talk.node_id])).get(talk.node_id, "")
        known = facts(self.actor, self.house.settings.company, name, utcnow())
        library = await shelves.load(self.conn, self.house.library, now=utcnow())
        return [s for o in offers if (s := self._suggestion(library, o, known)) is not None]

    def _suggestion(self, library: Library, o: Offer, known: dict[str, object]) -> r.Suggestion | None:
        script = library.get(o.script_id)
        if script is None:
            return None
        rendered = library.rendered(o.script_id, known)
        return r.Suggestion(
            id=self._id("suggestion", o.suggestion_id),
            conversation_id=self._id("conversation", o.conversation_id),
            event_id=self._id("event", o.event_id),
            rank=o.rank,
            script=f"{o.script_id}@{o.script_version}",
            title=script.title,
            reason=o.reason,
            text=rendered.text,
            missing=list(rendered.missing),
            state=o.state,
            created_at=o.created_at,
        )

    def push(self, d: outbox.Delivery) -> r.Push:
        return r.Push(
            id=self._id("push", d.outbox_id),
            conversation_id=self._id("conversation", d.conversation_id),
            event_id=self._id("event", d.event_id),
            kind=d.kind,
            state=d.state,
            code=d.code,
            error=d.error,
            created_at=d.created_at,
            updated_at=d.updated_at,
            planned_at=d.planned_at,
        )

    def inbox(self, entries: Sequence[inbox.Entry]) -> list[r.InboxRow]:
        return [
            r.InboxRow(
                id=self._id("inbox", e.inbox_id),
                account=self.house.directory.by_id(e.account_id).account.slug,
                source_key=e.source_key,
                state=e.state,
                stage=e.stage,
                attempts=e.attempts,
                error=e.error,
                received_at=e.received_at,
            )
            for e in entries
        ]
