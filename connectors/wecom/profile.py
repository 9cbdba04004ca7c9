"""What the API says about an outside contact - all who follow them, or one of them - as envelopes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from connectors.kit.people import phone
from connectors.kit.profiles import union_links, word
from connectors.wecom.sources import SOURCES
from connectors.wecom.told import Told, moment, rows, texts
from scrm.contract import Context, Envelope, Fact, Handle, Link
from scrm.errors import Untranslatable

#: A member wrote this number into the customer's remark: a hint, not proof.
PHONE_RULE, PHONE_STRENGTH = "wecom_remark_phone", 45
#: Counted per customer: which contact way they came by.
WAY = "contact_way:"
_LONGEST_WAY = 64


def contact(ctx: Context, told: Told) -> Sequence[Envelope]:
    """The contact with all their followers, then one envelope for each. Raises `Untranslatable`."""
    known, handle = _known(ctx, told)
    found = followers(told.answer)
    now = [word(one, "userid") for one in found]
    gone = bool(told.answer.get("gone"))
    whole = Fact(
        kind="contact",
        key=handle.value,
        body={"followers": now},
        rank=told.rank,
        gone=gone,
        handle=handle,
    )
    return _profile(told, known, handle, found, (whole,))


def followed(ctx: Context, told: Told) -> Sequence[Envelope]:
    """A contact as one member's list shows them: tags by id, and nothing about other followers."""
    known, handle = _known(ctx, told)
    info = told.answer.get("follow_info")
    one = dict(info) if isinstance(info, dict) and word(info, "userid") else None
    if one is None:
        raise Untranslatable("客户列表里没有跟进人。")
    one["tags"] = [{"tag_id": tag} for tag in texts(one, "tag_id")]
    return _profile(told, known, handle, [one], ())


def _known(ctx: Context, told: Told) -> tuple[dict[str, Any], Handle]:
    found = told.answer.get("external_contact")
    value = word(found, "external_userid") if isinstance(found, dict) else ""
    if not isinstance(found, dict) or not value:
        raise Untranslatable("客户详情里没有 external_userid。")
    scope = ctx.account.get("corp_id")
    name, avatar = word(found, "name"), word(found, "avatar")
    handle = Handle(kind="wecom_external", scope=scope, value=value, name=name, avatar=avatar)
    handles, links = union_links(ctx.account, handle, word(found, "unionid"))
    return {"contact": found, "handles": handles, "links": links}, handle


def _profile(
    told: Told,
    known: dict[str, Any],
    handle: Handle,
    found: Sequence[dict[str, Any]],
    facts: tuple[Fact, ...],
) -> list[Envelope]:
    phones = {h.value: h for one in found for text in texts(one, "remark_mobiles") if (h := phone(text))}
    links = [Link(a=handle, b=other, rule=PHONE_RULE, strength=PHONE_STRENGTH) for other in phones.values()]
    profile = Envelope(
        kind="event.profile",
        direction="none",
        at=told.at,
        handles=(*known["handles"], *phones.values()),
        links=(*known["links"], *links),
        body=known["contact"],
        facts=(*facts, *(_follow(handle, one, told) for one in found)),
        quiet=True,
    )
    return [profile, *(_since_then(handle, one, told.at) for one in found)]


def followers(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The members who have this contact."""
    return [one for one in rows(answer, "follow_user") if word(one, "userid")]


def follow_key(external: str, userid: str) -> str:
    return f"{external}|{userid}"


def _follow(handle: Handle, follower: dict[str, Any], told: Told) -> Fact:
    userid = word(follower, "userid")
    tags = [
        {
            "id": word(tag, "tag_id"),
            "name": word(tag, "tag_name"),
            "group": word(tag, "group_name"),
            "type": word(tag, "type"),
        }
        for tag in rows(follower, "tags")
    ]
    body = {
        "external": handle.value,
        "userid": userid,
        "remark": word(follower, "remark"),
        "description": word(follower, "description"),
        "company": word(follower, "remark_corp_name"),
        "mobiles": texts(follower, "remark_mobiles"),
        "tags": tags,
        "add_way": word(follower, "add_way"),
        "source": SOURCES.get(word(follower, "add_way"), ""),
        "state": word(follower, "state"),
        "createtime": word(follower, "createtime"),
        "by": word(follower, "oper_userid"),
    }
    return Fact(kind="follow", key=follow_key(handle.value, userid), body=body, rank=told.rank, handle=handle)


def _since_then(handle: Handle, follower: dict[str, Any], asked_at: datetime) -> Envelope:
    staff = word(follower, "userid")
    return Envelope(
        kind="event.contact.followed",
        direction="none",
        # When they became contacts, not when we asked: a look-up must not make anybody the latest owner.
        at=moment(follower.get("createtime"), asked_at),
        handles=(handle,),
        text="成员已添加该客户",
        body=follower,
        counts=way(word(follower, "state")),
        staff=staff,
        follows=True,
        suffix=f"follow:{staff}",
        quiet=True,
    )


def way(state: str) -> str:
    """The name under which a contact way's customers are counted; "" = they came by none."""
    return f"{WAY}{state[:_LONGEST_WAY]}" if state else ""
