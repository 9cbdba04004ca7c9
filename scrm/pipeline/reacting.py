"""React: what an event on the timeline calls for; may fail, and spoils nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from scrm import inbox
from scrm.accounts.service import Plugged
from scrm.db import Conn, utcnow
from scrm.errors import Unavailable
from scrm.identity import relations
from scrm.inbox import Item
from scrm.live import Change
from scrm.ownership import service as ownership
from scrm.pipeline import advising, answering, doing, promising, selling
from scrm.pipeline.advising import Ground
from scrm.pipeline.answering import Answer, Leave
from scrm.pipeline.premises import Premises
from scrm.pipeline.sops import notices
from scrm.playbook import store as suggestions
from scrm.playbook.library import service as shelves
from scrm.playbook.service import Library
from scrm.playbook.store import Made
from scrm.push import heeding
from scrm.push import service as push
from scrm.sales import service as sales
from scrm.timeline import kin
from scrm.timeline.store import conversations, events, search

log = structlog.get_logger()


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
    advice: list[tuple[events.Stored, Made]] = field(default_factory=list)
    greetings: list[_Greeting] = field(default_factory=list)
    #: What may go out before anybody comes to it.
    answers: list[Answer] = field(default_factory=list)
    #: What is written down for good, however old it is.
    records: list[sales.Told] = field(default_factory=list)
    #: What says who is whose family, and who plays which part.
    kin: list[relations.Heard] = field(default_factory=list)
    #: What may be a claim or a deal.
    heard: list[events.Stored] = field(default_factory=list)
    #: Customers who asked us to stop, or to go on.
    wishes: list[heeding.Wish] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is the same for a batch."""

    ground: Ground
    shelf: Library
    leave: Leave


def _asks(event: events.Stored) -> bool:
    """Whether there is something to be advised on."""
    return event.direction == "in" and not event.kind.startswith("event.")


class Reacting(Premises):
    """From the timeline to reactions: decide on a snapshot, then write."""

    __slots__ = ()

    async def react(self, tenant_id: int) -> int:
        now = utcnow()
        async with self.claimed(tenant_id, "settled", now) as items:
            if items:
                await self.know(tenant_id, items)
                await self._react(tenant_id, await self._decided(tenant_id, items))
        return len(items)

    async def _decided(self, tenant_id: int, items: Sequence[Item]) -> list[_Reaction]:
        async with self.db.read(tenant_id) as conn:
            found = await events.by_inbox(conn, [i.inbox_id for i in items])
            asked = {e.conversation_id or 0 for batch in found.values() for e in batch if _asks(e)}
            ground = await advising.look(conn, self.priors, asked, now=utcnow())
            known = _Known(
                ground=ground,
                shelf=await shelves.load(conn, self.library, now=utcnow()),
                leave=await answering.leave(
                    conn, self.answers, self.directory.all(tenant_id), self.manners, now=utcnow()
                ),
            )
            return [await self._decide(conn, i, found.get(i.inbox_id, []), known) for i in items]

    async def _decide(
        self, conn: Conn, item: Item, found: Sequence[events.Stored], known: _Known
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
                    reaction.greetings += await self._greeting(conn, event, known.shelf)
                elif event.direction == "in":
                    made = await self._advise(conn, event, known)
                    reaction.advice.append((event, made))
                    reaction.answers += self._answer(event, made, known)
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

    async def _advise(self, conn: Conn, event: events.Stored, known: _Known) -> Made:
        said = await events.last_words(conn, event)
        return advising.advise(known.shelf, known.ground, event, said, self._channel(event.account_id))

    def _answer(self, event: events.Stored, made: Made, known: _Known) -> list[Answer]:
        """At most one, while the message is fresh enough for it to be worth saying."""
        if not known.leave.allowed or utcnow() >= self._until(event):
            return []
        plugged = self.directory.by_id(event.account_id)
        is_new = event.conversation_id in known.ground.fresh
        found = answering.choose(known.leave, plugged, event, made, known.shelf, is_new=is_new)
        return [found] if found is not None else []

    def _until(self, event: events.Stored) -> datetime:
        return event.at + timedelta(seconds=self.effect_max_age_s)

    def _channel(self, account_id: int) -> str:
        return self.directory.by_id(account_id).account.channel

    async def _greeting(self, conn: Conn, event: events.Stored, shelf: Library) -> list[_Greeting]:
        """A welcome the vendor lets us say once, if it is still worth saying."""
        code = (await events.bodies(conn, [event]))[event.event_id].get("_welcome")
        if not code:
            return []
        until = event.at + timedelta(seconds=min(float(code["seconds"]), self.effect_max_age_s))
        plugged = self.directory.by_id(event.account_id)
        text = shelf.greeting(plugged.account.channel, {"company": {"name": self.company}})
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
            batch[0].answers = []
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
        heard = [one for reaction in batch for one in reaction.heard]
        await ownership.heed(conn, heard, now=now)
        records = [one for reaction in batch for one in reaction.records]
        if sold := await selling.heed(conn, records, heard, opens=self.opens, now=now):
            changes += sold
            conn.after_commit(self.wakes.react)
        changes += await doing.heed(conn, heard, now=now)
        if await notices.heed(conn, heard, now=now):
            conn.after_commit(self.wakes.due)
        await promising.kept(conn, heard, now=now)
        changes += await promising.heed(conn, self.drafts, heard, now=now)
        for wish in (one for reaction in batch for one in reaction.wishes):
            await heeding.write(conn, wish, now=now)
        await search.index(conn, said)
        await advising.heed(conn, self.library, heard, records, company=self.company, now=now)
        advice = [one for reaction in batch for one in reaction.advice]
        await suggestions.save_all(conn, [made for _, made in advice], now=now)
        changes += [
            Change(topic=f"node:{event.node_id}", ident=event.event_id, version=2) for event, _ in advice
        ]
        await self._speak(conn, batch, now=now)
        conn.after_commit(lambda: self.live.publish(conn.tenant_id, changes))

    async def _speak(self, conn: Conn, batch: list[_Reaction], *, now: datetime) -> None:
        """What goes out by itself. Conversations are held in one order everywhere, or two processes would
        wait in a circle.
        """
        words: list[tuple[int, _Greeting | Answer]] = []
        for reaction in batch:
            words += [(g.conversation_id, g) for g in reaction.greetings]
            words += [(a.made.conversation_id, a) for a in reaction.answers]
        said = False
        for ident, one in sorted(words, key=lambda pair: pair[0]):
            if isinstance(one, Answer):
                said |= await self._reply(conn, one, now=now)
                continue
            talk = await conversations.of_id(conn, ident)
            if talk is not None:
                await push.say(conn, one.plugged, talk, one.word, now=now)
                said = True
        if said:
            conn.after_commit(self.wakes.send)

    async def _reply(self, conn: Conn, one: Answer, *, now: datetime) -> bool:
        return await answering.say(
            conn,
            self.drafts,
            one,
            company=self.company,
            manners=self.manners,
            until=self._until(one.event),
            now=now,
        )
