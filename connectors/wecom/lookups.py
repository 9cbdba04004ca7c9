"""Asking WeCom about one thing: a contact, a customer group, a tag, a contact way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.kit import api
from connectors.kit.profiles import word
from connectors.wecom.profile import followers
from connectors.wecom.told import asked, listed, rows
from scrm.contract import Context, Handle, Raw
from scrm.errors import Rejected

#: 500 followers a page; nobody has 10,000.
_PAGES = 20
#: Details asked for at the same time.
_AT_ONCE = 10
_NO_CONTACT = frozenset({"84061", "40096"})
_NO_CHAT = frozenset({"40050", "49008"})
_NO_TAG = frozenset({"40068"})
#: Tag handles: `tag:<id>`, `tag_group:<id>`.
TAG = "wecom_tag"


async def enrich(ctx: Context, handle: Handle) -> tuple[Raw, ...]:
    """What there is to know about an outside contact, a customer group or a tag."""
    if handle.scope != ctx.account.get("corp_id"):
        return ()
    if handle.kind == "wecom_external":
        return (await contact(ctx, handle.value),)
    if handle.kind == "wecom_chat":
        return await chats(ctx, [handle.value], fresh=True)
    if handle.kind == TAG:
        return await tags(ctx, handle.value)
    return ()


async def call(ctx: Context, path: str, body: object, *, sent: bool = False) -> dict[str, Any]:
    return await api.call(
        ctx, f"cgi-bin/externalcontact/{path}", grant=api.WECOM, body=body, sent=sent, timeout_s=10.0
    )


async def contact(ctx: Context, external_userid: str) -> Raw:
    """Name, avatar, unionid and every follower with remark, tags and source."""
    try:
        first = await _contact(ctx, external_userid, "")
    except Rejected as refused:
        if refused.code not in _NO_CONTACT:
            raise
        gone = {"external_contact": {"external_userid": external_userid}, "follow_user": [], "gone": True}
        return asked("contact", external_userid, gone, ctx.now)
    follow, cursor = followers(first), word(first, "next_cursor")
    for _ in range(_PAGES - 1):
        if not cursor:
            break
        page = await _contact(ctx, external_userid, cursor)
        follow, cursor = [*follow, *followers(page)], word(page, "next_cursor")
    answer = {"external_contact": first.get("external_contact"), "follow_user": follow}
    return asked("contact", external_userid, answer, ctx.now)


async def _contact(ctx: Context, external_userid: str, cursor: str) -> dict[str, Any]:
    params = {"external_userid": external_userid} | ({"cursor": cursor} if cursor else {})
    return await api.call(ctx, "cgi-bin/externalcontact/get", grant=api.WECOM, params=params)


async def chats(ctx: Context, chat_ids: Sequence[str], *, fresh: bool) -> tuple[Raw, ...]:
    """Groups with their members, a few at a time."""
    made: list[Raw] = []
    for start in range(0, len(chat_ids), _AT_ONCE):
        part = chat_ids[start : start + _AT_ONCE]
        made += await asyncio.gather(*(_chat(ctx, one, fresh=fresh) for one in part))
    return tuple(made)


async def _chat(ctx: Context, chat_id: str, *, fresh: bool) -> Raw:
    answer: Mapping[str, Any]
    try:
        found = await call(ctx, "groupchat/get", {"chat_id": chat_id, "need_name": 1})
        answer = {"group_chat": found.get("group_chat")}
    except Rejected as refused:
        if refused.code not in _NO_CHAT:
            raise
        answer = {"group_chat": {"chat_id": chat_id}, "gone": True}
    return (asked if fresh else listed)("chat", chat_id, answer, ctx.now)


async def tags(ctx: Context, named: str) -> tuple[Raw, ...]:
    """One tag or one group of tags, by the name of its handle."""
    kind, _, ident = named.partition(":")
    body = {"group_id": [ident]} if kind == "tag_group" else {"tag_id": [ident]}
    try:
        found = await call(ctx, "get_corp_tag_list", body)
    except Rejected as refused:
        if refused.code not in _NO_TAG:
            raise
        return (asked("tags_gone", named, {"tag": [{"id": ident}]}, ctx.now, lane="-"),)
    return (asked("tags", named, {"tag_group": rows(found, "tag_group")}, ctx.now, lane="-"),)


async def way(ctx: Context, config_id: str, *, fresh: bool) -> Raw:
    found = await call(ctx, "get_contact_way", {"config_id": config_id})
    answer = {"contact_way": found.get("contact_way")}
    return (asked if fresh else listed)("way", config_id, answer, ctx.now, lane="-")


async def ways(ctx: Context, config_ids: Sequence[str]) -> tuple[Raw, ...]:
    made: list[Raw] = []
    for start in range(0, len(config_ids), _AT_ONCE):
        part = config_ids[start : start + _AT_ONCE]
        made += await asyncio.gather(*(way(ctx, one, fresh=False) for one in part))
    return tuple(made)
