"""From stored events to items as they read to the person asking: names, files, what was before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from scrm import outbox
from scrm.accounts.service import Plugged
from scrm.db import Conn
from scrm.errors import Unsealable
from scrm.identity import store as identity
from scrm.staff import store as staff
from scrm.staff.rules import Actor, masked, sees_recalled
from scrm.timeline import edits
from scrm.timeline.genres import genre_of
from scrm.timeline.rules import Talk
from scrm.timeline.store import events, media, visits
from scrm.timeline.store.events import Stored
from scrm.timeline.store.media import File
from scrm.web import outlook, views
from scrm.web.attached import Teller
from scrm.web.house import House
from scrm.web.pages import locale
from scrm.web.parts import Attached, Version

OURS = "系统"
#: By what the account allows in `auto_answers`.
AUTO = {
    "first": "自动 · 首次回复（管理员已开启）",
    "night": "自动 · 下班时段回复（管理员已开启）",
    "faq": "自动 · 常见问题（管理员已开启）",
}
_TICK = timedelta(microseconds=1)
_STRANGE = "event.unknown"
#: Messages that are all words: their body has nothing to show.
_PLAIN = frozenset({"message.text", "message.event"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What a page of events needs besides the events, fetched at once."""

    sent: dict[int, outbox.Delivery]
    names: dict[int, str]
    people: dict[int, staff.Member]
    bodies: dict[int, dict[str, Any]]
    files: dict[int, list[File]]
    before: dict[int, list[Stored]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Who asks, on which connection, when; and how what happened reads to them."""

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

    async def names(self, node_ids: Sequence[int]) -> dict[int, str]:
        known = await identity.names(self.conn, node_ids)
        kinds = await identity.kinds(self.conn, [n for n in node_ids if not known.get(n)])
        known = {**known, **await self._numbers([n for n, kind in kinds.items() if kind == "phone"])}
        return {n: known.get(n) or self._nameless(n, kinds.get(n, "")) for n in node_ids}

    async def _numbers(self, node_ids: Sequence[int]) -> dict[int, str]:
        """Who only ever rang is called by what this person may see of their number."""
        try:
            found = await identity.handles(self.conn, node_ids) if node_ids else {}
        except Unsealable:  # one of them was erased
            return {}
        return {n: masked(self.actor, h.value.removeprefix("+86")) for n, h in found.items()}

    def _nameless(self, node_id: int, kind: str) -> str:
        """Visitors of a website are many and all without a name: a mark tells them apart."""
        if kind == "web_visitor":
            return self.say("网站访客 {mark}", mark=self.conn.vault.public("node", node_id)[:4])
        return self.say("电话客户") if kind == "phone" else self.say("微信客户")

    # -- items ---------------------------------------------------------------------------------------------
    async def items(self, found: Sequence[Stored]) -> tuple[views.Item, ...]:
        """Events as timeline rows, in the order given."""
        told = [e for e in found if _has_body(e) and self.may_read(e)]
        known = _Known(
            sent=await outbox.deliveries(self.conn, [e.event_id for e in found if e.direction == "out"]),
            names=await self.names([e.node_id for e in found if e.node_id]),
            people=await staff.members(self.conn, [e.staff_id for e in found if e.staff_id]),
            bodies=await events.bodies(self.conn, told) if told else {},
            files=await media.of_events(self.conn, [e.event_id for e in found if self.may_read(e)]),
            before=await edits.history(self.conn, [e for e in found if self.may_read(e)]),
        )
        talks = {e.conversation_id for e in found if e.conversation_id and known.sent}
        seen = await visits.seen(self.conn, talks)
        return tuple(
            replace(
                self._item(e, known),
                seen=e.direction == "out" and e.at <= seen.get(e.conversation_id or 0, e.at - _TICK),
            )
            for e in found
        )

    def may_read(self, e: Stored) -> bool:
        """What was taken back is for those who look after the talk, not for those who talk."""
        return e.recalled_at is None or sees_recalled(self.actor)

    def _item(self, e: Stored, known: _Known) -> views.Item:
        customer = known.names.get(e.node_id or 0) or self.say("微信客户")
        member, sent = known.people.get(e.staff_id or 0), known.sent.get(e.event_id)
        mine = member is not None and member.staff_id == self.actor.staff_id
        ours = self.say("我") if mine else member.name if member else self.say(_machine(e))
        out, body = e.direction == "out", known.bodies.get(e.event_id, {})
        brought = self._teller().of(e.event_id, e.kind, body, known.files.get(e.event_id, []))
        return views.Item(
            id=_form_key(sent) or self.conn.vault.public("event", e.event_id),
            at=e.at,
            channel=self.channel(e.account_id),
            who=ours if out else customer,
            whom=customer if out else (ours if member else ""),
            direction=cast(Any, e.direction),
            text=e.text if self.may_read(e) else "",
            attached=brought,
            told=bool(brought) and _says_no_more(e, brought),
            before=tuple(Version(at=v.edited_at or v.at, text=v.text) for v in _before(e, known)),
            event=not e.kind.startswith("message."),
            unknown=str(body.get("Event") or body.get("MsgType") or e.kind) if e.kind == _STRANGE else "",
            raw=_pretty(body) if e.kind == _STRANGE else "",
            recalled=e.recalled_at is not None,
            delivery=cast(Any, sent.state) if sent else None,
            reason=outlook.reason(self.say, sent, self.now),
            **outlook.taking_back(self.conn.vault, sent, self.now),
        )

    def _teller(self) -> Teller:
        return Teller(say=self.say, vault=self.conn.vault, masked=lambda value: masked(self.actor, value))


def _machine(e: Stored) -> str:
    """What said it by itself, and that it was allowed to."""
    start = "ours:auto:"
    return (
        AUTO.get(e.source_key.removeprefix(start).partition(":")[0], OURS)
        if e.source_key.startswith(start)
        else OURS
    )


def _has_body(e: Stored) -> bool:
    """Events whose body a screen needs: what we do not understand, and what came with more than words."""
    if e.kind.startswith("message."):
        return e.kind not in _PLAIN
    return e.kind == _STRANGE or genre_of(e.kind) in ("call", "order")


def _before(e: Stored, known: _Known) -> list[Stored]:
    return known.before.get(e.event_id, [])


def _says_no_more(e: Stored, brought: Sequence[Attached]) -> bool:
    """Words in brackets stand for what is shown itself: [图片], [链接] and its title, a file's name."""
    bracketed, _, rest = e.text.partition("]")
    if not e.text or (bracketed.startswith("[") and not rest.strip()):
        return True
    named = rest.strip() if bracketed.startswith("[") else e.text
    return any(named == a.title for a in brought)


def _form_key(sent: outbox.Delivery | None) -> str:
    """The key of the form a push came from, so that its bubble is replaced; "" for every other event."""
    key, _, number = sent.key.partition(":") if sent else ("", "", "")
    return key if number == "0" else ""


def _pretty(body: dict[str, Any]) -> str:
    return "\n".join(f"{k}: {v}" for k, v in body.items())[:4000]
