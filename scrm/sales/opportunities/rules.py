"""Which moves an opportunity may make, and what an order means for it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from scrm.desk.stages import FUNNEL, STAGES
from scrm.errors import BadConfig, BadInput, Conflict

State = Literal["open", "won", "lost"]
Kind = Literal["new", "renewal", "referral"]
Source = Literal["rep", "order", "sop", "event"]

KINDS: Mapping[Kind, str] = {"new": "新购", "renewal": "续费", "referral": "转介绍"}
STATES: Mapping[State, str] = {"open": "进行中", "won": "已成交", "lost": "已放弃"}
UNKNOWN = "没有“{stage}”这个阶段，请重新选择。"
CLOSED = "这个商机已经{state}，要继续请新开一个。"
NO_REASON = "请写一句为什么放弃，以后好改进。"
CHANGED = "这个商机刚刚有人动过，请看一眼最新的再改。"
BAD_AMOUNT = "金额要在 0 以上。"
LONG = "产品名 100 个字以内，理由 200 个字以内。"
SENTENCES = (UNKNOWN, CLOSED, NO_REASON, CHANGED, BAD_AMOUNT, LONG, *KINDS.values(), *STATES.values())
_MOST_NAME, _MOST_WHY, _MOST_FEN = 100, 200, 10**13
#: How far along each stage of the way is; objections come up between a quotation and the deal.
_RANK: Mapping[str, int] = {stage: n for n, stage in enumerate((*FUNNEL[:-1], "objection", FUNNEL[-1]))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opportunity:
    """One thing a household may buy; `amount` in fen."""

    opportunity_id: int
    key: str
    node_id: int
    kind: Kind
    business_line: str
    product_code: str
    product: str
    amount: int | None
    stage: str
    state: State
    staff_id: int | None
    opened_at: datetime
    moved_at: datetime
    closed_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Where it goes; "" = stays at its stage."""

    stage: str = ""
    state: State = "open"
    why: str = ""


def move(one: Opportunity, to: Move, *, by: Source) -> Move | None:
    """The move as it is made; None when it would change nothing. Raises `BadInput` or `Conflict`.

    People move it anywhere. What happens by itself only moves it forward, and never out of a closed state,
    except that money which came or went is a fact.
    """
    stage = to.stage or one.stage
    if stage not in STAGES:
        raise BadInput(UNKNOWN.format(stage=stage))
    if to.state == "lost" and by == "rep" and not to.why.strip():
        raise BadInput(NO_REASON)
    if len(to.why) > _MOST_WHY:
        raise BadInput(LONG)
    if one.state != "open" and by == "rep":
        raise Conflict(CLOSED.format(state=STATES[one.state]))
    if (stage, to.state) == (one.stage, one.state) or not (by == "rep" or _may(one, stage, to, by)):
        return None
    return Move(stage=stage, state=to.state, why=to.why.strip())


def _may(one: Opportunity, stage: str, to: Move, by: Source) -> bool:
    """What happened by itself: forward while it is open; of a closed one only money changes the state."""
    if one.state != "open":
        return by == "order" and to.state not in ("open", one.state)
    return to.state != "open" or _to(stage) > _from(one.stage)


def _to(stage: str) -> int:
    """Stages beside the funnel can be reached from everywhere."""
    return _RANK.get(stage, len(_RANK))


def _from(stage: str) -> int:
    """And lead everywhere."""
    return _RANK.get(stage, -1)


def fitting(
    known: Iterable[Opportunity], *, business_line: str = "", products: Collection[str] = ()
) -> Opportunity | None:
    """The open one that an order is about: of its product, else of its line, else of none; the eldest."""
    found = [
        (o.product_code not in products, o.business_line != business_line, o.opened_at, o.opportunity_id, o)
        for o in known
        if o.state == "open" and (o.product_code in products or o.business_line in ("", business_line))
    ]
    return min(found)[-1] if found else None


#: What an order says about the sale, by its status.
_ORDERS: Mapping[str, Move] = {
    "created": Move(stage="closing", why="客户下了订单"),
    "paid": Move(stage="closing", state="won", why="订单已付款"),
    "delivered": Move(stage="closing", state="won", why="订单已付款"),
    "refunded": Move(stage="closing", state="lost", why="订单已全额退款"),
}
#: What other events say of where it stands, by their kind.
EVENTS: Mapping[str, Move] = {
    "event.lesson.attended": Move(stage="trial", why="来上课了"),
    "event.lesson.late": Move(stage="trial", why="来上课了"),
    "event.contract.signed": Move(stage="closing", why="签了合同"),
}
#: What a first contact is, what a registration is: kinds of events by which a sale may open by itself.
Opens = Literal["contact", "registration", "order"]
OPENING: Mapping[Opens, tuple[str, ...]] = {
    "contact": ("message.", "event.contact.added", "event.subscribe", "event.session.entered"),
    "registration": ("event.app.signup", "event.app.identify"),
    "order": ("event.order.created", "event.order.paid"),
}


def ways(text: str) -> frozenset[str]:
    """The ways a setting switches on. Raises `BadConfig`."""
    wanted = frozenset(one.strip() for one in text.split(",") if one.strip())
    if wrong := sorted(wanted - OPENING.keys()):
        raise BadConfig(f"opportunity_opens 只认识 {'、'.join(OPENING)}，不认识 {'、'.join(wrong)}")
    return wanted


def opening(kind: str, direction: str, opens: Collection[str]) -> Opens | None:
    """By which of the ways that are switched on this event opens a sale."""
    if kind.startswith("message.") and direction != "in":
        return None
    return next((way for way, kinds in OPENING.items() if way in opens and kind.startswith(kinds)), None)


def of_order(status: str) -> Move | None:
    """None where an order's status says nothing about the sale (closed, cancelled)."""
    return _ORDERS.get(status)


def demand_good(*, product: str, amount: int | None, stage: str) -> None:
    """What a new or changed opportunity says of itself. Raises `BadInput`."""
    if stage not in STAGES:
        raise BadInput(UNKNOWN.format(stage=stage))
    if len(product) > _MOST_NAME:
        raise BadInput(LONG)
    if amount is not None and not 0 <= amount <= _MOST_FEN:
        raise BadInput(BAD_AMOUNT)
