"""Settle: rows become events on the timeline with who is who; small and certain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from types import ModuleType

import structlog

from scrm import inbox, jobs, outbox
from scrm.accounts.service import Plugged
from scrm.contract import Enriches, Envelope, Pull, Raw, Translates
from scrm.db import Conn, utcnow
from scrm.errors import ScrmError, Unavailable, Unsealable
from scrm.identity import hints, relations
from scrm.identity import service as identity
from scrm.identity.rules import address, is_person
from scrm.inbox import Item
from scrm.live import Change
from scrm.pipeline.premises import Premises
from scrm.push import effects
from scrm.seal import new_id
from scrm.shapes import bounded
from scrm.staff import store as staff
from scrm.timeline import calls, extras, kin, wholes, witness, words
from scrm.timeline import service as timeline
from scrm.timeline.rules import Talk
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


class Settling(Premises):
    """From the inbox to the timeline."""

    __slots__ = ()

    async def settle(self, tenant_id: int) -> int:
        now = utcnow()
        async with self.claimed(tenant_id, "new", now) as items:
            await self.know(tenant_id, items)
            understood, failed = self._translate(items, now)
            if failed:
                async with self.db.begin(tenant_id) as conn:
                    for item, why in failed:
                        await inbox.put_back(conn, item, "translate", why, now=now, max_attempts=1)
            if understood:
                await self._settle(tenant_id, understood)
        return len(items)

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
        changes += failed + _queue_changes(appended.talks) + calls.rings(entries, appended.events)
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


def _queue_changes(talks: Sequence[Talk]) -> list[Change]:
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
