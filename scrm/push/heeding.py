"""Customers who ask us to stop, or to go on: heard in their own words, written down, on their timeline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from scrm.contract import Envelope, Handle
from scrm.db import Conn
from scrm.identity import store as nodes
from scrm.identity.rules import address
from scrm.ledger.consent import rules, store
from scrm.ledger.consent.rules import ConsentPurpose, ConsentState, Source
from scrm.ledger.consent.store import Said
from scrm.seal import new_id
from scrm.timeline import service as timeline
from scrm.timeline.store.events import Stored

KIND = "event.consent"
#: Below the words that say so.
_AFTER = timedelta(microseconds=1)
_WITHDRAWN = "已退订营销消息：客户说“{word}”"
_GRANTED = "恢复接收营销消息：客户说“{word}”"
_BY_US = {"withdrawn": "已登记退订：{purpose}", "granted": "已恢复接收：{purpose}"}
PURPOSES: dict[str, str] = {
    "marketing": "营销消息",
    "sop": "跟进计划",
    "service": "服务通知",
    "all": "全部主动消息",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A customer's word about hearing from us."""

    event: Stored
    state: ConsentState
    word: str


def heard(event: Stored) -> Wish | None:
    """What this message asks of us; None for nearly every one."""
    if event.direction != "in" or event.kind != "message.text" or event.node_id is None:
        return None
    if word := rules.asks_to_stop(event.text):
        return Wish(event=event, state="withdrawn", word=word)
    if word := rules.asks_again(event.text):
        return Wish(event=event, state="granted", word=word)
    return None


async def write(conn: Conn, wish: Wish, *, now: datetime) -> bool:
    """Heed it, once however often the message is looked at. Marketing on every channel of the person."""
    event = wish.event
    said = Said(
        key=f"event:{event.account_id}:{event.source_key}",
        node_id=event.node_id or 0,
        purpose="marketing",
        state=wish.state,
        source="customer",
        reason=wish.word,
        event_id=event.event_id,
        at=event.at,
    )
    if not await store.add(conn, said, now=now):
        return False
    words = _WITHDRAWN if wish.state == "withdrawn" else _GRANTED
    await _show(conn, event.account_id, said, words.format(word=wish.word), at=event.at + _AFTER, now=now)
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one of us, or a machine, writes down for a customer."""

    key: str
    state: ConsentState
    purpose: ConsentPurpose = "marketing"
    channel: str = ""
    source: Source = "staff"
    reason: str = ""
    staff_id: int | None = None


async def note(conn: Conn, account_id: int, node_id: int, order: Order, *, now: datetime) -> bool:
    """Write it down for one address; False when this key was written before."""
    said = Said(
        key=f"{order.key}:{node_id}",
        node_id=node_id,
        purpose=order.purpose,
        channel=order.channel,
        state=order.state,
        source=order.source,
        reason=order.reason,
        staff_id=order.staff_id,
        at=now,
    )
    if not await store.add(conn, said, now=now):
        return False
    words = _BY_US[order.state].format(purpose=PURPOSES[order.purpose])
    text = f"{words}（{order.reason}）" if order.reason else words
    await _show(conn, account_id, said, text, at=now, now=now, staff_id=order.staff_id)
    return True


async def _show(
    conn: Conn,
    account_id: int,
    said: Said,
    text: str,
    *,
    at: datetime,
    now: datetime,
    staff_id: int | None = None,
) -> None:
    handle = (await nodes.handles(conn, [said.node_id])).get(said.node_id)
    if handle is None:
        return
    about = Handle(kind=handle.kind, scope=handle.scope, value=handle.value, part="actor")
    entry = timeline.Entry(
        event_id=new_id(),
        account_id=account_id,
        team_id=None,
        source_key=f"consent:{said.key}",
        envelope=Envelope(
            kind=KIND,
            direction="none",
            at=at,
            handles=(about,),
            text=text,
            body={"purpose": said.purpose, "channel": said.channel, "state": said.state},
        ),
        inbox_id=None,
        staff_id=staff_id,
    )
    await timeline.append(conn, [entry], {address(about): said.node_id}, now=now)
