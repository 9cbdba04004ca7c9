"""Who wants to hear from us: the newest word holds, and customers say it in their own words."""

from __future__ import annotations

from typing import Any

import pytest

from scrm.db import Database
from scrm.ledger.consent import rules, store
from scrm.ledger.consent.rules import Entry
from scrm.ledger.consent.store import Said
from tests.ground import NOW, later


def entry(ident: int, state: str = "withdrawn", **more: Any) -> Entry:
    usual: dict[str, Any] = {
        "node_id": 5,
        "purpose": "marketing",
        "channel": "",
        "source": "customer",
        "reason": "退订",
        "at": later(ident),
    }
    return Entry(entry_id=ident, state=state, **(usual | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entries", "purpose", "channel", "state"),
    [
        ([], "marketing", "wechat_oa", None),
        ([entry(1)], "marketing", "wechat_oa", "withdrawn"),
        ([entry(1), entry(2, "granted")], "marketing", "wechat_oa", "granted"),
        ([entry(2, "granted"), entry(3)], "marketing", "wechat_oa", "withdrawn"),
        ([entry(1, channel="wecom_kf")], "marketing", "wechat_oa", None),  # said of another channel
        ([entry(1, channel="wecom_kf")], "marketing", "wecom_kf", "withdrawn"),
        ([entry(1)], "sop", "wechat_oa", "withdrawn"),  # to them it is the same
        ([entry(1)], "service", "wechat_oa", None),  # their parcel still concerns them
        ([entry(1, purpose="all")], "service", "wechat_oa", "withdrawn"),  # the platform's word
        ([entry(1, purpose="sop")], "marketing", "wechat_oa", None),
        ([entry(1), entry(2, "granted", at=later(1))], "marketing", "x", "granted"),
    ],
)
def test_the_newest_word_about_it_holds(
    entries: list[Entry], purpose: str, channel: str, state: str | None
) -> None:
    for order in (entries, entries[::-1]):
        found = rules.standing(order, purpose, channel)
        assert (found.state if found else None) == state


@pytest.mark.parametrize(
    "text",
    [
        "退订",
        " 退订。",
        "TD",
        "td",
        "ＴＤ",
        "T",
        "取消订阅",
        "不要再发了",
        "别再发了！",
        "不要再给我发广告了",
        "请不要再给我发消息",
        "别给我发这些了",
        "停止推送",
        "退订短信",
        "不想再收到你们的广告",
        "不要再推送了，谢谢",
    ],
)
def test_a_customer_who_asks_us_to_stop_is_heard(text: str) -> None:
    assert rules.asks_to_stop(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "你好",
        "我要退订这门课",  # a course is not our messages
        "怎么退订短信？",  # asking how is not doing
        "可以退订广告吗",
        "不要再发错地址了",  # a parcel
        "别发顺丰",
        "请不要发货，我改主意了",
        "不要发给孩子",
        "您别着急，我再发一次截图给您看",
        "昨天你们说不要再发资料了，可是我到现在也没有收到任何东西，麻烦再确认一下好吗谢谢",  # a conversation
        "Tom",
        "stop by tomorrow",
        "退款",
    ],
)
def test_talk_that_only_sounds_like_it_is_not(text: str) -> None:
    assert rules.asks_to_stop(text) == ""


def test_a_customer_may_come_back() -> None:
    assert rules.asks_again("恢复订阅")
    assert not rules.asks_again("退订")
    assert not rules.asks_to_stop("取消退订")


async def test_entries_are_added_once_and_listed_newest_first(database: Database) -> None:
    def said(key: str, node_id: int = 5) -> Said:
        return Said(
            key=key,
            node_id=node_id,
            purpose="marketing",
            state="withdrawn",
            source="customer",
            at=NOW,
            reason="退订\x00" + "长" * 999,
        )

    async with database.begin(1) as conn:
        assert await store.add(conn, said("a"), now=NOW)
        assert not await store.add(conn, said("a"), now=later(9))
        assert await store.add(conn, said("b", 6), now=NOW)
        mine = await store.of_nodes(conn, [5])
        page = await store.page(conn, node_ids=None, before=None, limit=1)
        rest = await store.page(conn, node_ids=None, before=page[0].entry_id, limit=9)

        assert [(e.node_id, len(e.reason)) for e in mine] == [(5, 200)]
        assert [e.node_id for e in [*page, *rest]] == [6, 5]
        assert await store.of_nodes(conn, []) == []
    async with database.begin(2) as other:
        assert await store.page(other, node_ids=None, before=None, limit=9) == []
