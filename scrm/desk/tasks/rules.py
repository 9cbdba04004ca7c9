"""What stands on the board in which order, what does a task by itself, until when it may be put off. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, Literal

from scrm.desk.calendar.rules import ZONE
from scrm.errors import BadInput, Conflict

Kind = Literal["reply", "call", "quote", "material", "coupon", "visit", "other"]
Source = Literal["sop", "clock", "promise", "manual"]
State = Literal["open", "done", "expired", "cancelled"]
#: What may do a task by itself; "" = only a person says so.
DoneBy = Literal["", "call", "out", "in", "coupon", "visit", "order", "stage"]
#: How urgent: late, within the hour, today, later.
Slot = Literal["late", "now", "today", "later"]

#: The sections of the board, in order, and what the button of their tasks says.
KINDS: Mapping[Kind, str] = {
    "reply": "回复",
    "call": "打电话",
    "quote": "报价",
    "material": "发资料",
    "coupon": "推券",
    "visit": "到访",
    "other": "其他",
}
#: What does a task of a kind by itself unless it says otherwise.
USUAL: Mapping[Kind, DoneBy] = {
    "reply": "out",
    "call": "call",
    "quote": "out",
    "material": "out",
    "coupon": "coupon",
    "visit": "visit",
    "other": "",
}
#: How it was done, in words.
DID: Mapping[DoneBy, str] = {
    "": "手工完成",
    "call": "通话后自动完成",
    "out": "发出消息后自动完成",
    "in": "客户回复后自动完成",
    "coupon": "发券后自动完成",
    "visit": "到访后自动完成",
    "order": "下单后自动完成",
    "stage": "阶段变化后自动完成",
}
BY_LEAD = "主管代为完成"
#: Of so many put-offs the leader hears.
PATIENCE = 3
#: So soon a customer who writes is to be answered.
ANSWER = timedelta(minutes=10)
_TITLE = 60
_RICHEST = 10**13
_SOON = timedelta(hours=1)
_LONGEST = timedelta(days=30)
#: A call that rang out is no call.
CALL_S = 20
#: A piece of what was to be sent has at least so many pairs of characters.
_PIECE = 8
_FIGURE = re.compile(r"[¥￥]\s*\d|\d\s*(?:折|元|块|万|[%％])|\d[\d,]{2}|[一二三四五六七八九]\s*折|半价")

NO_REASON = "请写一句为什么推迟。"
NOT_AHEAD = "推迟的时间要在现在之后、30 天以内。"
TOO_OFTEN = "已经推迟 {n} 次，请和主管商量，由主管决定。"
NO_VALUE = "金额应为 0 以上的整数（分）。"
NO_KIND = "没有这种待办。"
NO_TITLE = "请写清楚要做什么。"
#: Of replies the queue asks for.
REPLY = "回复客户"
WAITS = "客户在等回复"
BACK = "之前放到稍后，现在到时间了"
ENDED = "这条待办已经{state}，不用再处理。"
ENDINGS: Mapping[State, str] = {"done": "完成", "expired": "过期", "cancelled": "取消", "open": "打开"}
SENTENCES = (
    NO_REASON,
    NOT_AHEAD,
    TOO_OFTEN,
    NO_VALUE,
    NO_KIND,
    NO_TITLE,
    REPLY,
    WAITS,
    BACK,
    ENDED,
    BY_LEAD,
    *KINDS.values(),
    *DID.values(),
    *ENDINGS.values(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One thing to do; `value` in fen, what is at stake."""

    task_id: int
    key: str
    kind: Kind
    title: str
    why: str
    source: Source
    node_id: int
    conversation_id: int | None
    staff_id: int | None
    team_id: int | None
    run_id: int | None
    step: str
    promise_id: int | None
    value: int
    action: Mapping[str, Any] = field(default_factory=dict)
    done_by_kind: DoneBy
    due_at: datetime
    expires_at: datetime | None
    from_at: datetime
    state: State
    postponed: int
    postponed_why: str
    done_at: datetime | None
    done_by: int | None
    done_event_id: int | None
    done_why: str
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Something that may do tasks by itself: what, with which family, and which event says so."""

    kind: DoneBy
    #: Of every member of the household.
    nodes: Collection[int]
    event_id: int | None
    at: datetime
    #: Whose telephone or keyboard it was; None = nobody of ours.
    staff_id: int | None = None
    seconds: int = 0
    #: What was said; None = a picture, a file, or nothing that was said.
    words: str | None = None


def does(task: Task, one: Happened) -> bool:
    """Whether this does that task: by any member of the household, once it stood on the board."""
    if task.state != "open" or not one.kind or task.done_by_kind != one.kind:
        return False
    if one.kind == "call" and one.seconds < CALL_S:
        return False
    if one.kind == "out" and one.words is not None and not _meant(task, one.words):
        return False
    # Vendors date by whole seconds: what was said within the second it came counts.
    return task.node_id in one.nodes and one.at >= task.created_at.replace(microsecond=0)


def _meant(task: Task, words: str) -> bool:
    """A quick answer in between is not what was to be sent: a quotation names a figure."""
    ready = str(task.action.get("text", ""))
    if ready and alike(ready, words):
        return True
    return bool(_FIGURE.search(words)) if task.kind == "quote" else not ready


def alike(ready: str, words: str) -> bool:
    """Most of what stood ready is there, or most of what is there stood ready: it may be sent in pieces."""
    ours, theirs = _pairs(ready), _pairs(words)
    both = len(ours & theirs)
    return both * 2 >= max(1, len(ours)) or (len(theirs) >= _PIECE and both * 2 >= len(theirs))


def _pairs(text: str) -> set[str]:
    bare = "".join(text.split())
    return {bare[i : i + 2] for i in range(len(bare) - 1)}


def slot(due_at: datetime, now: datetime) -> Slot:
    if due_at <= now:
        return "late"
    if due_at <= now + _SOON:
        return "now"
    midnight = datetime.combine(now.astimezone(ZONE).date() + timedelta(days=1), time(), ZONE)
    return "today" if due_at < midnight else "later"


def place(task: Task, now: datetime) -> tuple[int, int, datetime, int]:
    """Sorts the board: by urgency, within that the most at stake, then the earliest."""
    order: Mapping[Slot, int] = {"late": 0, "now": 1, "today": 2, "later": 3}
    return order[slot(task.due_at, now)], -task.value, task.due_at, task.task_id


def at_stake(fen: int) -> int:
    """Raises `BadInput` for what no deal is worth."""
    if not 0 <= fen <= _RICHEST:
        raise BadInput(NO_VALUE)
    return fen


def titled(text: str) -> str:
    """What is to be done, as it is kept. Raises `BadInput` for nothing."""
    if not text.strip():
        raise BadInput(NO_TITLE)
    return text.strip()[:_TITLE]


def demand_open(task: Task) -> None:
    """Raises `Conflict`."""
    if task.state != "open":
        raise Conflict(ENDED.format(state=ENDINGS[task.state]))


def put_off(task: Task, until: datetime, why: str, *, leader: bool = False, now: datetime) -> datetime:
    """When it is back on the board. Raises `BadInput` or `Conflict`."""
    demand_open(task)
    if needs_leader(task) and not leader:
        raise Conflict(TOO_OFTEN.format(n=task.postponed))
    if not why.strip():
        raise BadInput(NO_REASON)
    if not now < until <= now + _LONGEST:
        raise BadInput(NOT_AHEAD)
    return until


def needs_leader(task: Task) -> bool:
    """Put off too often for its rep to go on deciding alone."""
    return task.postponed >= PATIENCE


# -- replies: the queue says who waits, nothing is written down twice ------------------------------------
def reply_due(since: datetime | None, back_at: datetime | None) -> datetime | None:
    """When a conversation that asks for an answer is to be answered; None = it does not ask."""
    return since + ANSWER if since is not None else back_at


def reply(
    *,
    conversation_id: int,
    node_id: int,
    staff_id: int | None,
    team_id: int | None,
    since: datetime | None,
    back_at: datetime | None,
    last: str,
    version: int,
) -> Task:
    """A conversation that asks for an answer, as the board shows it: it is what the queue shows, no row."""
    due = reply_due(since, back_at)
    assert due is not None  # the store lists none else
    return Task(
        task_id=conversation_id,
        key=f"reply:{conversation_id}",
        kind="reply",
        title=REPLY,
        why=(last or WAITS) if since is not None else BACK,
        source="clock",
        node_id=node_id,
        conversation_id=conversation_id,
        staff_id=staff_id,
        team_id=team_id,
        run_id=None,
        step="",
        promise_id=None,
        value=0,
        done_by_kind="out",
        due_at=due,
        expires_at=None,
        from_at=since or due,
        state="open",
        postponed=0,
        postponed_why="",
        done_at=None,
        done_by=None,
        done_event_id=None,
        done_why="",
        version=version,
        created_at=since or due,
    )
