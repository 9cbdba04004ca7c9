"""Everything WeCom can list, page after page: customers, groups, tags, contact ways. Resumable anywhere."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from connectors.kit import api
from connectors.kit.profiles import word
from connectors.wecom import lookups
from connectors.wecom.profile import follow_key
from connectors.wecom.told import listed, rows, texts
from scrm.contract import Context, Polled, Raw, Stock
from scrm.errors import Rejected

STOCKS = (
    Stock(stream="tags", title="企业客户标签"),
    Stock(stream="customers", title="客户"),
    Stock(stream="groups", title="客户群"),
    Stock(stream="contact_ways", title="渠道活码（近 90 天）"),
)
#: Members asked for together, and customers a page (path 93010).
_MEMBERS, _CUSTOMERS = 100, 100
#: Groups and contact ways a page: each costs a call of its own.
_GROUPS, _WAYS = 50, 100
#: More members than a list of groups may cover without naming them.
_TOO_WIDE = "81017"
_NO_CUSTOMERS = "84061"
_WINDOW_S = 90 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a walk over members stands: those in (after, upto] with the vendor's own cursor."""

    after: str = ""
    upto: str = ""
    cursor: str = ""
    #: Groups only: member by member, because the vendor does not list all at once.
    split: bool = False

    def written(self) -> str:
        return json.dumps([self.after, self.upto, self.cursor, self.split], ensure_ascii=False)


def _place(cursor: str) -> _Place:
    """The very beginning for anything we did not write."""
    try:
        after, upto, inner, split = json.loads(cursor) if cursor else ("", "", "", False)
    except (ValueError, TypeError):
        return _Place()
    return _Place(after=str(after), upto=str(upto), cursor=str(inner), split=bool(split))


async def poll(ctx: Context, stream: str, cursor: str, hint: str) -> Polled:
    """The next page of a stock after `cursor`; "" with `more` false is the end."""
    del hint
    walk = _WALKS.get(stream)
    if walk is None:
        return Polled(raws=(), cursor=cursor, more=False)
    return await walk(ctx, cursor)


async def _customers(ctx: Context, cursor: str) -> Polled:
    place = _place(cursor)
    members = await _members(ctx)
    place, chunk = _chunk(place, members)
    if not chunk:
        return Polled(raws=(), cursor="", more=False)
    body = {"userid_list": chunk, "cursor": place.cursor, "limit": _CUSTOMERS}
    try:
        answer = await lookups.call(ctx, "batch/get_by_user", body)
    except Rejected as refused:
        if refused.code != _NO_CUSTOMERS:
            raise
        answer = {}
    raws = tuple(raw for one in rows(answer, "external_contact_list") for raw in _customer(ctx, one))
    return _onward(raws, place, word(answer, "next_cursor"), members)


def _customer(ctx: Context, one: dict[str, Any]) -> list[Raw]:
    contact, info = one.get("external_contact"), one.get("follow_info")
    if not isinstance(contact, dict) or not isinstance(info, dict):
        return []
    value = word(contact, "external_userid")
    about = follow_key(value, word(info, "userid"))
    answer = {"external_contact": contact, "follow_info": info}
    return [listed("follow", about, answer, ctx.now, lane=value)] if value else []


async def _groups(ctx: Context, cursor: str) -> Polled:
    place = _place(cursor)
    if place.split:
        return await _groups_of(ctx, place)
    try:
        answer = await _group_list(ctx, place.cursor, None)
    except Rejected as refused:
        if refused.code != _TOO_WIDE:
            raise
        return await _groups_of(ctx, _Place(split=True))
    raws, following = await _chats(ctx, answer), word(answer, "next_cursor")
    onward = replace(place, cursor=following).written() if following else ""
    return Polled(raws=raws, cursor=onward, more=bool(following))


async def _groups_of(ctx: Context, place: _Place) -> Polled:
    members = await _members(ctx)
    place, chunk = _chunk(place, members)
    if not chunk:
        return Polled(raws=(), cursor="", more=False)
    answer = await _group_list(ctx, place.cursor, chunk)
    return _onward(await _chats(ctx, answer), place, word(answer, "next_cursor"), members)


async def _group_list(ctx: Context, cursor: str, owners: Sequence[str] | None) -> dict[str, Any]:
    body: dict[str, object] = {"status_filter": 0, "limit": _GROUPS, "cursor": cursor}
    if owners is not None:
        body["owner_filter"] = {"userid_list": list(owners)}
    return await lookups.call(ctx, "groupchat/list", body)


async def _chats(ctx: Context, answer: dict[str, Any]) -> tuple[Raw, ...]:
    ids = [word(one, "chat_id") for one in rows(answer, "group_chat_list")]
    return await lookups.chats(ctx, [one for one in ids if one], fresh=False)


async def _tags(ctx: Context, cursor: str) -> Polled:
    del cursor
    groups = rows(await lookups.call(ctx, "get_corp_tag_list", {}), "tag_group")
    raws = tuple(
        listed("tags", word(one, "group_id"), {"tag_group": [one]}, ctx.now, lane="-") for one in groups
    )
    return Polled(raws=raws, cursor="", more=False)


async def _ways(ctx: Context, cursor: str) -> Polled:
    now = int(ctx.now.timestamp())
    body = {"start_time": now - _WINDOW_S, "end_time": now, "limit": _WAYS, "cursor": cursor}
    answer = await lookups.call(ctx, "list_contact_way", body)
    ids = [word(one, "config_id") for one in rows(answer, "contact_way")]
    following = word(answer, "next_cursor")
    raws = await lookups.ways(ctx, [one for one in ids if one])
    return Polled(raws=raws, cursor=following, more=bool(following) and following != cursor)


async def _members(ctx: Context) -> list[str]:
    """Who may have customers, always in the same order."""
    path = "cgi-bin/externalcontact/get_follow_user_list"
    return sorted(set(texts(await api.call(ctx, path, grant=api.WECOM), "follow_user")))


def _chunk(place: _Place, members: Sequence[str]) -> tuple[_Place, list[str]]:
    """The members to ask about now. A chunk that was begun stays the same until it is through."""
    rest = [m for m in members if m > place.after]
    if place.upto:
        chunk = [m for m in rest if m <= place.upto]
        if chunk:
            return place, chunk
        place, rest = replace(place, upto="", cursor=""), [m for m in rest if m > place.upto]
    chunk = rest[:_MEMBERS]
    return replace(place, upto=chunk[-1] if chunk else "", cursor=""), chunk


def _onward(raws: tuple[Raw, ...], place: _Place, following: str, members: Sequence[str]) -> Polled:
    if following and following != place.cursor:
        return Polled(raws=raws, cursor=replace(place, cursor=following).written(), more=True)
    if members and members[-1] > place.upto:
        behind = _Place(after=place.upto, split=place.split)
        return Polled(raws=raws, cursor=behind.written(), more=True)
    return Polled(raws=raws, cursor="", more=False)


_WALKS: Mapping[str, Callable[[Context, str], Awaitable[Polled]]] = MappingProxyType(
    {"customers": _customers, "groups": _groups, "tags": _tags, "contact_ways": _ways}
)
