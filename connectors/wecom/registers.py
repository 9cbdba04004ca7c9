"""What the API lists besides people: tags, contact ways; and what came of transfers, group sends, ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from connectors.kit.profiles import union_links, word
from connectors.wecom.groups import group
from connectors.wecom.profile import contact, follow_key, followed
from connectors.wecom.told import Told, moment, rows
from scrm.contract import Context, Envelope, Fact, Handle
from scrm.errors import Untranslatable

_Reader = Callable[[Context, Told], Sequence[Envelope]]


def understood(ctx: Context, told: Told) -> Sequence[Envelope]:
    """Any answer as envelopes. Raises `Untranslatable`."""
    reader = _READERS.get(told.what)
    if reader is None:
        raise Untranslatable("不认识的平台答复。")
    return reader(ctx, told)


def _tags(_ctx: Context, told: Told) -> Sequence[Envelope]:
    """Every tag of the groups told; `deleted` says which of those asked for are no more."""
    facts = []
    for group_ in rows(told.answer, "tag_group"):
        name, ident = word(group_, "group_name"), word(group_, "group_id")
        for tag in rows(group_, "tag"):
            key, gone = word(tag, "id"), bool(tag.get("deleted"))
            body = {"name": word(tag, "name"), "group": name, "group_id": ident}
            facts.append(Fact(kind="tag", key=key, body=body, rank=told.rank, gone=gone))
    return _said("event.tag.known", told, [fact for fact in facts if fact.key])


def _tags_gone(_ctx: Context, told: Told) -> Sequence[Envelope]:
    facts = [Fact(kind="tag", key=word(t, "id"), rank=told.rank, gone=True) for t in rows(told.answer, "tag")]
    return _said("event.tag.known", told, [fact for fact in facts if fact.key])


def _way(_ctx: Context, told: Told) -> Sequence[Envelope]:
    found = told.answer.get("contact_way")
    key = word(found, "config_id") if isinstance(found, dict) else ""
    if not isinstance(found, dict) or not key:
        raise Untranslatable("渠道活码没有 config_id。")
    gone = bool(told.answer.get("gone"))
    body = {name: found.get(name) for name in ("state", "remark", "qr_code", "user", "skip_verify")}
    return _said(
        "event.way.known", told, [Fact(kind="contact_way", key=key, body=body, rank=told.rank, gone=gone)]
    )


def _said(kind: str, told: Told, facts: Sequence[Fact]) -> Sequence[Envelope]:
    return [Envelope(kind=kind, direction="none", at=told.at, facts=tuple(facts), quiet=True)]


def _transferred(ctx: Context, told: Told) -> Sequence[Envelope]:
    """A customer who has a new member now. No callback tells, when the taker knew them already."""
    answer = told.answer
    value, taker, giver = (word(answer, n) for n in ("external_userid", "takeover_userid", "handover_userid"))
    if not value or not taker:
        raise Untranslatable("继承结果里没有客户或接替成员。")
    handle = _external(ctx, value)
    key = follow_key(value, giver)
    return [
        Envelope(
            kind="event.contact.transferred",
            direction="none",
            at=moment(answer.get("takeover_time"), told.at),
            handles=(handle,),
            text="客户已由接替成员跟进",
            body=answer,
            facts=(Fact(kind="follow", key=key, rank=told.rank, gone=True, handle=handle),),
            staff=taker,
            follows=True,
            asks=True,
        )
    ]


def _broadcast(ctx: Context, told: Told) -> Sequence[Envelope]:
    """What a member sent to this customer or group from a group send."""
    answer = told.answer
    value, chat = word(answer, "external_userid"), word(answer, "chat_id")
    if not value and not chat:
        raise Untranslatable("群发结果里没有客户或客户群。")
    place = Handle(kind="wecom_chat", scope=ctx.account.get("corp_id"), value=chat, part="about")
    return [
        Envelope(
            kind="event.broadcast.sent",
            direction="none",
            at=moment(answer.get("send_time"), told.at),
            handles=(_external(ctx, value),) if value else (place,),
            text=f"群发：{word(answer, 'text')}",
            body=answer,
            staff=word(answer, "userid"),
        )
    ]


def _owner(ctx: Context, told: Told) -> Sequence[Envelope]:
    """A group we handed to another member."""
    chat, owner = word(told.answer, "chat_id"), word(told.answer, "owner")
    if not chat or not owner:
        raise Untranslatable("群转接结果里没有客户群或新群主。")
    return [
        Envelope(
            kind="event.chat.transferred",
            direction="none",
            at=told.at,
            handles=(Handle(kind="wecom_chat", scope=ctx.account.get("corp_id"), value=chat, part="about"),),
            text=f"客户群已转给 {owner}",
            body=told.answer,
            staff=owner,
            asks=True,
        )
    ]


def _union(ctx: Context, told: Told) -> Sequence[Envelope]:
    """Whose a unionid is: a contact, or somebody who may become one (`pending_id`)."""
    value, pending = word(told.answer, "external_userid"), word(told.answer, "pending_id")
    unionid = word(told.answer, "unionid")
    if not unionid or not (value or pending):
        raise Untranslatable("转换结果不完整。")
    scope = ctx.account.get("corp_id")
    handle = _external(ctx, value) if value else Handle(kind="wecom_pending", scope=scope, value=pending)
    handles, links = union_links(ctx.account, handle, unionid)
    return [
        Envelope(
            kind="event.contact.identified",
            direction="none",
            at=told.at,
            handles=handles,
            links=links,
            quiet=True,
        )
    ]


def _external(ctx: Context, value: str) -> Handle:
    return Handle(kind="wecom_external", scope=ctx.account.get("corp_id"), value=value)


_READERS: Mapping[str, _Reader] = MappingProxyType(
    {
        "contact": contact,
        "follow": followed,
        "chat": group,
        "tags": _tags,
        "tags_gone": _tags_gone,
        "way": _way,
        "transferred": _transferred,
        "broadcast": _broadcast,
        "owner": _owner,
        "union": _union,
    }
)
