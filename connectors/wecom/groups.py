"""Customer groups: what `groupchat/get` says of one, and what an event says of its members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from connectors.kit.profiles import union_links, word
from connectors.wecom.told import Told, rank_of, rows
from scrm.contract import Context, Envelope, Fact, Handle, Link
from scrm.errors import Untranslatable

#: `type` of a member: 1 = one of our staff, 2 = an outside contact.
_STAFF, _OUTSIDE = "1", "2"
#: Events tell whole seconds: what was asked within the same second is older than what they say.
_SECOND = timedelta(seconds=1)


def group(ctx: Context, told: Told) -> Sequence[Envelope]:
    """A group with its members, as it is now. Raises `Untranslatable`."""
    chat = told.answer.get("group_chat")
    value = word(chat, "chat_id") if isinstance(chat, dict) else ""
    if not isinstance(chat, dict) or not value:
        raise Untranslatable("客户群详情里没有 chat_id。")
    scope = ctx.account.get("corp_id")
    place = Handle(kind="wecom_chat", scope=scope, value=value, part="about")
    if told.answer.get("gone"):
        gone = Fact(kind="chat", key=value, rank=told.rank, gone=True, handle=place)
        return [_quiet(told, (place,), (), (gone,))]
    admins = {word(one, "userid") for one in rows(chat, "admin_list")}
    listed = [one for one in rows(chat, "member_list") if word(one, "userid")]
    members = [_member(one, word(chat, "owner"), admins) for one in listed]
    outside = [_outside(ctx, value, one, told) for one in listed if word(one, "type") == _OUTSIDE]
    whole = Fact(kind="chat", key=value, body=_chat(chat, members), rank=told.rank, handle=place)
    return [
        _quiet(
            told,
            (place, *(h for handles, _, _ in outside for h in handles)),
            tuple(link for _, links, _ in outside for link in links),
            (whole, *(fact for _, _, fact in outside)),
        )
    ]


def _outside(
    ctx: Context, chat: str, one: dict[str, Any], told: Told
) -> tuple[tuple[Handle, ...], tuple[Link, ...], Fact]:
    """A member who is a customer, or might become one."""
    person = Handle(
        kind="wecom_external",
        scope=ctx.account.get("corp_id"),
        value=word(one, "userid"),
        part="about",
    )
    handles, links = union_links(ctx.account, person, word(one, "unionid"))
    # What they are called here is not what they are called: their own profile says that.
    body = {"chat": chat, "name": word(one, "group_nickname") or word(one, "name")}
    key = member_key(chat, person.value)
    fact = Fact(kind="chat_member", key=key, body=body, rank=told.rank, handle=person)
    return tuple(replace(h, part="about") for h in handles), links, fact


def changed(place: Handle, fields: Mapping[str, Any], at: datetime) -> tuple[Fact, ...]:
    """What a group's event says by itself: it is gone, who left, which version there must be by now."""
    rank, key = rank_of(at + _SECOND), place.value
    change = fields.get("ChangeType")
    if change == "dismiss":
        return (Fact(kind="chat", key=key, rank=rank, gone=True, handle=place),)
    current = fields.get("CurMemVer")
    if change != "update" or not isinstance(current, str) or not current:
        return ()
    last = fields.get("LastMemVer")
    body = {"last": last if isinstance(last, str) else "", "current": current}
    version = Fact(kind="chat_version", key=key, body=body, rank=rank_of(at), handle=place)
    if fields.get("UpdateDetail") != "del_member":
        return (version,)
    left = _items(fields.get("MemChangeList"))
    return (
        version,
        *(Fact(kind="chat_member", key=member_key(key, who), rank=rank, gone=True) for who in left),
    )


def member_key(chat: str, userid: str) -> str:
    return f"{chat}|{userid}"


def _items(listed: object) -> list[str]:
    inner = listed.get("Item") if isinstance(listed, dict) else None
    many = inner if isinstance(inner, list) else [inner]
    return [one for one in many if isinstance(one, str) and one][:500]


def _quiet(
    told: Told, handles: tuple[Handle, ...], links: tuple[Link, ...], facts: tuple[Fact, ...]
) -> Envelope:
    return Envelope(
        kind="event.chat.known",
        direction="none",
        at=told.at,
        handles=tuple({(h.kind, h.scope, h.value): h for h in handles}.values()),
        links=links,
        facts=facts,
        quiet=True,
    )


def _member(one: dict[str, Any], owner: str, admins: set[str]) -> dict[str, Any]:
    """Names of customers are kept with the customers, so that erasing one erases theirs."""
    userid, staff = word(one, "userid"), word(one, "type") == _STAFF
    return {
        "userid": userid,
        "staff": staff,
        "name": word(one, "name") if staff else "",
        "since": word(one, "join_time"),
        "scene": word(one, "join_scene"),
        "role": "owner" if userid == owner else "admin" if userid in admins else "member",
    }


def _chat(chat: dict[str, Any], members: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": word(chat, "name"),
        "owner": word(chat, "owner"),
        "notice": word(chat, "notice"),
        "since": word(chat, "create_time"),
        "version": word(chat, "member_version"),
        "members": members,
    }
