"""`/dev/ui`: one of everything in all its states, for those who change templates; needs `dev_pages`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import get_args

from aiohttp import web

from scrm.db import utcnow
from scrm.errors import NotFound
from scrm.playbook.templates import Part
from scrm.staff.rules import Policy
from scrm.web import views as v
from scrm.web.house import house
from scrm.web.pages import page
from scrm.web.parts import Attached, Line, Version
from scrm.web.routes import Route

_KF = v.Channel(key="kf", name="微信客服", icon="im")
_OA = v.Channel(key="oa", name="公众号", icon="oa")


async def show(request: web.Request) -> web.Response:
    if not house(request).settings.dev_pages:
        raise NotFound
    return page(request, "dev_ui.html", gallery=gallery())


def gallery() -> v.Gallery:
    now = utcnow()
    said = v.Item(id="i0", at=now - timedelta(minutes=2), channel=_KF, who="陈先生", text="能便宜点吗？")
    card = v.ScriptCard(
        id="c0",
        n=1,
        title="报价方案 · 问价格",
        why="客户刚说“能便宜点吗”，命中“便宜”",
        parts=(Part(text="陈先生", kind="variable"), Part(text="，公示价里包含教材和测评。", kind="plain")),
        text="陈先生，公示价里包含教材和测评。",
        key="k" * 32,
    )
    lacking = replace(
        card,
        id="c3",
        n=4,
        parts=(*card.parts, Part(text="【校区】", kind="missing")),
        missing=("校区",),
        tag=v.Tag(text="需补充", tone="warn"),
    )
    row = v.QueueRow(
        cid="q0", name="陈先生", channel=_KF, last="能便宜点吗？", last_at=now, waiting_since=now
    )
    return v.Gallery(
        items=(
            said,
            replace(said, id="i1", recalled=True),
            replace(said, id="i2", event=True, text="进入了客服会话"),
            replace(said, id="i4", told=True, attached=_brought()),
            replace(said, id="i5", before=(Version(at=now, text="能再便宜点吗？"),)),
            replace(said, id="i3", unknown="brand_new_event", raw="Event: brand_new_event"),
            *(
                replace(
                    said, id=f"d-{state}", direction="out", who="我", delivery=state, reason="原因写在这里"
                )
                for state in get_args(v.Delivery)
            ),
        ),
        cards=(
            ("api", card),
            ("jssdk", replace(card, id="c1", n=2)),
            ("copy", replace(card, id="c2", n=3)),
            ("api", lacking),
        ),
        rows=(
            row,
            replace(row, cid="q1", channel=_OA, mine=True, waiting_since=None),
            replace(
                row,
                cid="q2",
                owner="周浩",
                unread=3,
                wait_tone="warn",
                waiting_since=now - timedelta(minutes=6),
            ),
            replace(row, cid="q3", unread=12, wait_tone="bad", waiting_since=now - timedelta(hours=2)),
        ),
        members=(
            v.Member(name="陈先生", role="微信客服", href="#main", icon="im", current=True),
            v.Member(name="陈先生", role="公众号", href="#main", icon="oa"),
        ),
        banners=(
            v.Banner(title="会话已结束", text="客户再次来消息后才能回复。"),
            v.Banner(title="价格口径冲突", tone="bad"),
        ),
    )


def _brought() -> tuple[Attached, ...]:
    """One of each thing that may come with a message, except what plays: a page of players is loud."""
    line = Line(text="周末有空吗", who="班主任", lines=(Line(text="有空的"),))
    return (
        Attached(shape="file", title="报名表.pdf", href="/static/none.pdf", facts=("121 KB",)),
        Attached(shape="file", title="作业.png", note="正在取回……", waiting=True),
        Attached(shape="file", title="录像.mp4", facts=("38.0 MB",), note="没能取回。", again=("e", 0)),
        Attached(shape="card", title="春季班开课安排", text="周六、周日各两个班", note="example.com"),
        Attached(shape="place", title="中关村校区", text="海淀大街 1 号", facts=("39.98, 116.31",)),
        Attached(shape="contact", title="班主任"),
        Attached(shape="record", title="聊天记录", items=(line,)),
        Attached(shape="call", title="通话详情", rows=(("主叫", "138****8000"), ("通话", "3 分 12 秒"))),
        Attached(shape="order", title="订单 A1024", rows=(("年课", "¥5,980"), ("应付", "¥5,780"))),
    )


ROUTES = (Route(method="GET", path="/dev/ui", handler=show, policy=Policy.SIGNED_IN),)
