"""Boards as pages: one of everything a row can be, for the tests that render every page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from scrm.web import boards as b
from scrm.web import views as v

_AT = datetime(2026, 11, 21, 8, 40, tzinfo=UTC)
ME = v.Me(name="王强", role="lead")
ASKS = b.TaskRow(id="c-c1", kind="reply", title="回复客户", why="能便宜点吗？", name="陈先生", due="16:50 前",
                 href="/s/c/c1", verb="去回", asks=True)  # fmt: skip
CALL = b.TaskRow(id="t1", kind="call", title="约试听", why="问过时间", name="陈先生", due="18:00 已到期",
                 tone="bad", value=598000, href="/s/c/c1?task=t1", verb="拨打", number="139****5678",
                 owner="李敏", put_off="客户在开会", times=3, stuck=True)  # fmt: skip
DONE = b.TaskRow(id="t2", kind="call", title="试听回访", why="", name="陈先生", done_at=_AT,
                 how="通话后自动完成", proof="e1")  # fmt: skip
BOARD = b.BoardView(
    sections=(
        b.Section(kind="reply", name="回复", count=1, rows=(ASKS,)),
        b.Section(kind="call", name="打电话", count=2, rows=(CALL,)),
    ),
    total=3,
    done=(DONE,),
    done_count=1,
    topics=("rep:1",),
    colleagues=(("s1", "李敏"),),
    cid="c1",
    key="k1",
)
EMPTY = b.BoardView(sections=(), total=0, done=(DONE,), done_count=1)
_REP = b.RepRow(id="s1", name="李敏", state="在线", open=2, late=1, done=1, href="/lead/today?rep=s1")
_NOBODY = b.RepRow(id="nobody", name="未分配", state="", open=1, late=0, done=0, href="")
TEAM = b.TeamView(reps=(_REP, _NOBODY), board=BOARD, stuck=(CALL,))
_KF = v.Channel(key="kf", name="微信客服")
BOTH = v.InboxView(
    queue=v.QueueView(rows=(), filter="tasks", board=BOARD),
    conversation=v.ConversationView(cid="c1", name="陈先生", channel=_KF, items=()),
    customer=v.CustomerView(cid="c1", name="陈先生", via="api", todo=BOARD, tab="todo"),
)
TODO_PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "today": ("todo/today.html", {"me": ME, "board": BOARD}),
    "both boards": ("inbox/page.html", {"me": ME, "inbox": BOTH}),
    "today, all done": ("todo/today.html", {"me": ME, "board": EMPTY}),
    "team's day": ("todo/lead.html", {"me": ME, "team": TEAM}),
    "one rep's day": (
        "todo/lead.html",
        {"me": ME, "team": b.TeamView(reps=(replace(_REP, current=True),), board=EMPTY, whose="李敏")},
    ),
}
