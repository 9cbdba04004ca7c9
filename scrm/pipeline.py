"""The path from inbox to timeline (settle: small and certain) and on to reactions (react: may fail)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from types import ModuleType
from typing import Literal

import structlog

from scrm import inbox, jobs, outbox
from scrm.accounts.service import Directory, Plugged
from scrm.contract import Context, Enriches, Envelope, Pull, Raw, Translates
from scrm.db import Conn, Database, utcnow
from scrm.errors import ScrmError, Unavailable, Unsealable
from scrm.identity import hints, relations
from scrm.identity import service as identity
from scrm.identity.rules import address, is_person
from scrm.inbox import Item
from scrm.live import Change, Live
from scrm.ownership import service as ownership
from scrm.playbook import store as suggestions
from scrm.playbook.ranking import Suggestion
from scrm.playbook.service import Library
from scrm.push import effects, heeding
from scrm.push import service as push
from scrm.sales import service as sales
from scrm.seal import new_id
from scrm.shapes import bounded
from scrm.staff import store as staff
from scrm.timeline import calls, extras, kin, wholes, witness, words
from scrm.timeline import service as timeline
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations, events, search
from scrm.timeline.store.pieces import Expected

log = structlog.get_logger()

#: So long after an event the vendor's own answers take it into account.
_SETTLES = timedelta(seconds=2)


@dataclass(slots=True, kw_only=True)
class _Read:
    """A claimed row, understood."""

    item: Item
    plugged: Plugged
    envelopes: list[Envelope] = field(default_factory=list)
    pulls: list[Pull] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakes:
    """Whom to wake after a commit."""

    react: Callable[[], None]
    send: Callable[[], None]
    due: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Works on one batch of one tenant per call; every call returns how many rows it moved."""

    db: Database
    directory: Directory
    live: Live
    library: Library
    context: Callable[[Plugged, datetime], Context]
    wakes: Wakes
    company: str
    settle_rows: int
    max_attempts: int
    effect_max_age_s: int

    # -- settle --------------------------------------------------------------------------------------------
    async def settle(self, tenant_id: int) -> int:
        now = utcnow()
        async with self._claimed(tenant_id, "new", now) as items:
            await self._know(tenant_id, items)
            understood, failed = self._translate(items, now)
            if failed:
                async with self.db.begin(tenant_id) as conn:
                    for item, why in failed:
                        await inbox.put_back(conn, item, "translate", why, now=now, max_attempts=1)
            if understood:
                await self._settle(tenant_id, understood)
        return len(items)

    @asynccontextmanager
    async def _claimed(
        self, tenant_id: int, state: Literal["new", "settled"], now: datetime
    ) -> AsyncIterator[list[Item]]:
        """Rows that no other process works on while the block lasts."""
        async with AsyncExitStack() as held:
            conn = await held.enter_async_context(self.db.watch(tenant_id))
            paused = self.directory.paused(tenant_id)
            items = await inbox.own(conn, state, now=now, limit=self.settle_rows, paused=paused)
            if not conn.many:
                await held.aclose()  # a view that stays open keeps SQLite's log from being emptied
            yield items

    async def _know(self, tenant_id: int, items: Sequence[Item]) -> None:
        """An account that was added in another process a moment ago must not cost its first rows anything."""
        if any(self.directory.plug_of(i.account_id) is None for i in items):
            async with self.db.read(tenant_id) as conn:
                await self.directory.load(conn)

    def _translate(self, items: Sequence[Item], now: datetime) -> tuple[list[_Read], list[tuple[Item, str]]]:
        understood, failed = [], []
        for item in items:
            try:
                understood.append(self._understand(item, now))
            except ScrmError as error:
                log.warning("not translated", inbox_id=item.inbox_id, error=type(error).__name__)
                failed.append((item, error.sentence))
            except Exception as error:
                log.exception("translate failed", inbox_id=item.inbox_id)
                failed.append((item, f"解析时出错：{type(error).__name__}"))
        return understood, failed

    def _understand(self, item: Item, now: datetime) -> _Read:
        plugged = self.directory.by_id(item.account_id)
        if item.payload is None:
            raise Unsealable("这条消息的密钥已销毁或内容被改动，无法打开。")
        read = _Read(item=item, plugged=plugged)
        translator = _translator(plugged.plug)
        if translator is not None:
            raw = Raw(source_key=item.source_key, lane="", payload=item.payload)
            for made in translator.translate(self.context(plugged, now), raw):
                if isinstance(made, Pull):
                    read.pulls.append(words.asked(made))
                else:
                    read.envelopes.append(words.kept(made))
        return read

    async def _settle(self, tenant_id: int, batch: list[_Read]) -> None:
        """All in one transaction; if it fails, halves, until the row at fault stands alone."""
        try:
            async with self.db.begin(tenant_id) as conn:
                await self._write(conn, batch, now=utcnow())
        except Unavailable:
            raise  # the database, not a row: the worker waits and tries again
        except Exception as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._settle(tenant_id, batch[:middle])
                await self._settle(tenant_id, batch[middle:])
                return
            log.exception("settle failed", inbox_id=batch[0].item.inbox_id)
            async with self.db.begin(tenant_id) as conn:
                why = f"写入时间线时出错：{type(error).__name__}"
                await inbox.put_back(
                    conn, batch[0].item, "settle", why, now=utcnow(), max_attempts=self.max_attempts
                )

    async def _write(self, conn: Conn, batch: list[_Read], *, now: datetime) -> None:
        await inbox.mark(conn, [r.item.inbox_id for r in batch], "settled")
        entries = await wholes.joined(conn, await self._entries(conn, batch))
        sightings = [
            identity.Sighting(
                event_id=e.event_id,
                at=e.envelope.at,
                key=f"{e.account_id}|{e.source_key}",
                handles=e.envelope.handles,
                links=e.envelope.links,
                rep=str(e.staff_id or ""),
            )
            for e in entries
        ]
        resolved = await identity.resolve(conn, sightings, now)
        await hints.due(conn, resolved.changed, now=now)
        appended = await timeline.append(conn, entries, resolved.nodes, now=now)
        await relations.named(conn, kin.names(entries, resolved.nodes))
        files = await extras.keep(conn, entries, resolved.nodes, appended)
        # Not on replay: what is open again since then must not be shut once more.
        told = [e for e in entries if e.event_id in appended.events]
        failed = await _failed_pushes(conn, told, self._channel, now=now)
        await self._due(conn, batch, entries, resolved, files)
        seen = await witness.confirm(conn, entries, resolved.nodes, appended.events, now=now)
        changes = [
            Change(topic=f"node:{node_id}", ident=event_id, version=1)
            for node_id, ids in appended.by_node.items()
            for event_id in ids
        ]
        changes += [Change(topic=f"node:{node_id}", ident=event_id, version=3) for node_id, event_id in seen]
        changes += failed + queue_changes(appended.talks) + calls.rings(entries, appended.events)
        conn.after_commit(lambda: self.live.publish(conn.tenant_id, changes))
        conn.after_commit(self.wakes.react)
        moved = resolved.changed or resolved.households or resolved.recycled
        if any(r.pulls for r in batch) or resolved.new or files or moved:
            conn.after_commit(self.wakes.due)

    def _channel(self, account_id: int) -> str:
        return self.directory.by_id(account_id).account.channel

    async def _entries(self, conn: Conn, batch: list[_Read]) -> list[timeline.Entry]:
        named = [(r.plugged.account.realm, e.staff) for r in batch for e in r.envelopes if e.staff]
        known = await staff.bound(conn, named)
        return [
            timeline.Entry(
                event_id=new_id(),
                account_id=r.item.account_id,
                team_id=r.plugged.team_id,
                source_key=bounded(f"{r.item.source_key}#{e.suffix}") if e.suffix else r.item.source_key,
                envelope=e,
                inbox_id=r.item.inbox_id,
                staff_id=known.get((r.plugged.account.realm, e.staff)),
            )
            for r in batch
            for e in r.envelopes
        ]

    async def _due(
        self,
        conn: Conn,
        batch: list[_Read],
        entries: Sequence[timeline.Entry],
        resolved: identity.Resolved,
        files: Sequence[Expected],
    ) -> None:
        """What must be fetched: announced streams, files, and profiles of people never met before."""
        wanted: list[tuple[str, str, int, dict[str, object]]] = [
            ("media", f"{f.event_id}:{f.n}", f.account_id, {"event_id": f.event_id, "n": f.n}) for f in files
        ]
        for r in batch:
            for pull in r.pulls:
                payload: dict[str, object] = {"stream": pull.stream, "hint": pull.hint}
                ident = r.item.account_id
                wanted.append(("poll", f"{ident}:{pull.stream}", ident, payload))
        asked = list(dict.fromkeys(self._unknown(entries, resolved)))
        wanted += [("enrich", f"{a}:{n}", a, {"node_id": n}) for a, n in asked]
        later = self._changed(entries, resolved) - set(asked)
        again = [("enrich", f"{a}:{n}", a, {"node_id": n}) for a, n in later]
        if wanted or again:
            now = await conn.now()
            each = [(one, now) for one in wanted] + [(one, now + _SETTLES) for one in again]
            await jobs.put_each(conn, each)

    def _unknown(
        self, entries: Sequence[timeline.Entry], resolved: identity.Resolved
    ) -> list[tuple[int, int]]:
        """(account, node) of persons never met before; whom we only read about in an answer is not asked."""
        return [
            (e.account_id, node_id)
            for e in entries
            if resolved.new and not e.envelope.quiet
            for handle in e.envelope.handles
            if (node_id := resolved.nodes[address(handle)]) in resolved.new and is_person(handle.kind)
            if isinstance(self.directory.by_id(e.account_id).plug, Enriches)
        ]

    def _changed(
        self, entries: Sequence[timeline.Entry], resolved: identity.Resolved
    ) -> set[tuple[int, int]]:
        """(account, node) of what an event says has changed, without saying how."""
        return {
            (e.account_id, resolved.nodes[address(handle)])
            for e in entries
            if e.envelope.asks and isinstance(self.directory.by_id(e.account_id).plug, Enriches)
            for handle in e.envelope.handles
        }

    # -- react ---------------------------------------------------------------------------------------------
    async def react(self, tenant_id: int) -> int:
        now = utcnow()
        async with self._claimed(tenant_id, "settled", now) as items:
            if items:
                await self._know(tenant_id, items)
                await self._react(tenant_id, await self._decided(tenant_id, items))
        return len(items)

    async def _decided(self, tenant_id: int, items: Sequence[Item]) -> list[_Reaction]:
        async with self.db.read(tenant_id) as conn:
            found = await events.by_inbox(conn, [i.inbox_id for i in items])
            talks = {e.conversation_id for batch in found.values() for e in batch if e.conversation_id}
            used = await suggestions.recently_used(conn, talks)
            return [await self._decide(conn, i, found.get(i.inbox_id, []), used) for i in items]

    async def _decide(
        self, conn: Conn, item: Item, found: Sequence[events.Stored], used: Mapping[int, set[str]]
    ) -> _Reaction:
        """What these events call for. Reads only; a failure spoils this row's reaction and nothing else."""
        reaction = _Reaction(item=item, said=[e.event_id for e in found])
        try:
            for event in found:
                reaction.heard.append(event)
                if event.kind.startswith(sales.KINDS):
                    reaction.records.append(await self._told(conn, event))
                if kin.tells(event):
                    reaction.kin.append(await kin.heard(conn, event))
                if not event.conversation_id:
                    continue
                if event.kind.startswith("event."):
                    reaction.greetings += await self._greeting(conn, event)
                elif event.direction == "in":
                    sent = used.get(event.conversation_id, set())
                    reaction.advice.append((event, await self._advise(conn, event, sent)))
                    reaction.wishes += [w] if (w := heeding.heard(event)) else []
        except Unavailable:
            raise  # the database, not this row: its tries are not used up
        except Exception as error:
            log.exception("react failed", inbox_id=item.inbox_id)
            reaction.error = f"生成建议时出错：{type(error).__name__}"
        return reaction

    async def _told(self, conn: Conn, event: events.Stored) -> sales.Told:
        return sales.Told(
            event_id=event.event_id,
            account_id=event.account_id,
            node_id=event.node_id,
            body=(await events.bodies(conn, [event]))[event.event_id],
        )

    async def _advise(self, conn: Conn, event: events.Stored, sent: set[str]) -> tuple[Suggestion, ...]:
        said = await events.last_words(conn, event)
        channel = self.directory.by_id(event.account_id).account.channel
        return self.library.advise(said, channel=channel, recently_sent=sent)

    async def _greeting(self, conn: Conn, event: events.Stored) -> list[_Greeting]:
        """A welcome the vendor lets us say once, if it is still worth saying."""
        code = (await events.bodies(conn, [event]))[event.event_id].get("_welcome")
        if not code:
            return []
        until = event.at + timedelta(seconds=min(float(code["seconds"]), self.effect_max_age_s))
        plugged = self.directory.by_id(event.account_id)
        text = self.library.greeting(plugged.account.channel, {"company": {"name": self.company}})
        if text is None or utcnow() >= until:
            return []
        word = push.Word(key=f"greet:{event.source_key}", text=text, code=code["code"], deadline_at=until)
        return [_Greeting(conversation_id=event.conversation_id or 0, plugged=plugged, word=word)]

    async def _react(self, tenant_id: int, batch: list[_Reaction]) -> None:
        try:
            async with self.db.begin(tenant_id) as conn:
                await self._apply(conn, batch, now=utcnow())
        except Unavailable:
            raise
        except Exception as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._react(tenant_id, batch[:middle])
                await self._react(tenant_id, batch[middle:])
                return
            log.exception("reaction not stored", inbox_id=batch[0].item.inbox_id)
            batch[0].error = f"保存建议时出错：{type(error).__name__}"
            batch[0].advice, batch[0].greetings, batch[0].records = [], [], []
            batch[0].wishes, batch[0].said, batch[0].kin = [], [], []
            batch[0].heard = []
            async with self.db.begin(tenant_id) as conn:
                await self._apply(conn, batch, now=utcnow())

    async def _apply(self, conn: Conn, batch: list[_Reaction], *, now: datetime) -> None:
        changes = []
        await inbox.mark(conn, [r.item.inbox_id for r in batch if not r.error], "done")
        for reaction in batch:
            if reaction.error:
                await inbox.put_back(
                    conn, reaction.item, "react", reaction.error, now=now, max_attempts=self.max_attempts
                )
        for told in (one for reaction in batch for one in reaction.records):
            await sales.record(conn, told)
        said = [i for reaction in batch for i in reaction.said]
        learned = await kin.learn(conn, [one for reaction in batch for one in reaction.kin], said, now=now)
        if learned.persons or learned.households:
            conn.after_commit(self.wakes.due)
        await ownership.heed(conn, [one for reaction in batch for one in reaction.heard], now=now)
        for wish in (one for reaction in batch for one in reaction.wishes):
            await heeding.write(conn, wish, now=now)
        await search.index(conn, said)
        advice = [one for reaction in batch for one in reaction.advice]
        offers = [(event.conversation_id or 0, event.event_id, ranked) for event, ranked in advice]
        await suggestions.save_all(conn, offers, now=now)
        changes += [
            Change(topic=f"node:{event.node_id}", ident=event.event_id, version=2) for event, _ in advice
        ]
        greetings = [greeting for reaction in batch for greeting in reaction.greetings]
        # Conversations are held in one order everywhere, or two processes would wait in a circle.
        for greeting in sorted(greetings, key=lambda g: g.conversation_id):
            talk = await conversations.of_id(conn, greeting.conversation_id)
            if talk is not None:
                await push.say(conn, greeting.plugged, talk, greeting.word, now=now)
                conn.after_commit(self.wakes.send)
        conn.after_commit(lambda: self.live.publish(conn.tenant_id, changes))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Greeting:
    conversation_id: int
    plugged: Plugged
    word: push.Word


@dataclass(slots=True, kw_only=True)
class _Reaction:
    """What one settled row calls for."""

    item: Item
    #: The events it became: to be found from here on.
    said: list[int] = field(default_factory=list)
    advice: list[tuple[events.Stored, tuple[Suggestion, ...]]] = field(default_factory=list)
    greetings: list[_Greeting] = field(default_factory=list)
    #: What is written down for good, however old it is.
    records: list[sales.Told] = field(default_factory=list)
    #: What says who is whose family, and who plays which part.
    kin: list[relations.Heard] = field(default_factory=list)
    #: What may be a claim or a deal.
    heard: list[events.Stored] = field(default_factory=list)
    #: Customers who asked us to stop, or to go on.
    wishes: list[heeding.Wish] = field(default_factory=list)
    error: str = ""


def queue_changes(talks: Sequence[Talk]) -> list[Change]:
    """Who must look at their queue again: the team, and the rep who owns the conversation."""
    return [
        Change(topic=topic, ident=talk.conversation_id, version=talk.version)
        for talk in talks
        for topic in (f"team:{talk.team_id or 0}", *([f"rep:{talk.rep_id}"] if talk.rep_id else []))
    ]


@lru_cache(maxsize=64)
def _translator(plug: ModuleType) -> Translates | None:
    """Asking a protocol takes as long as reading a message, so each connector is asked once."""
    return plug if isinstance(plug, Translates) else None


async def _failed_pushes(
    conn: Conn, entries: Sequence[timeline.Entry], channel_of: Callable[[int], str], *, now: datetime
) -> list[Change]:
    """The vendor told us afterwards that a push did not arrive: it means what a refusal at once means."""
    changes: list[Change] = []
    told: list[effects.Refusal] = []
    for e in entries:
        if not e.envelope.failed_push:
            continue
        said, effect = e.envelope, effects.effect_of(e.envelope.failed_effect, "")
        row = await outbox.failed_later(
            conn, e.account_id, said.failed_push, said.text, effect=effect, at=min(now, said.at)
        )
        if row is None:
            continue
        changes.append(Change(topic=f"node:{row.node_id}", ident=row.event_id, version=3))
        if effect:
            channel = channel_of(e.account_id)
            code = f"later:{effect}"
            told.append(
                effects.Refusal(row=row, channel=channel, effect=effect, code=code, sentence=said.text)
            )
    # Held in one order everywhere, or two processes would wait in a circle.
    for one in sorted(told, key=lambda t: (t.row.account_id, t.row.conversation_id)):
        await effects.apply(conn, one, now=now)
    return changes
