"""Handing customers and groups to a colleague: of a member who stays, and of one who has left."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from connectors.kit.errcodes import meaning
from connectors.kit.profiles import word
from connectors.wecom import lookups
from connectors.wecom.deeds import checks
from connectors.wecom.told import asked, listed, moment, rows
from scrm.contract import Context, Deed, Done, Field, Raw
from scrm.errors import Rejected

_AT_ONCE, _WORDS = 100, 200
#: A transfer takes effect after 24 hours unless the customer refuses.
_AGAIN_S = 6 * 3600.0
_PAGES, _UNASSIGNED = 20, 1_000
_STATES = {1: "已转接", 2: "等待转接", 3: "客户拒绝", 4: "接替成员客户数已满", 5: "没有转接记录"}
_DONE, _WAITING = 1, 2
_BETWEEN = (
    Field(name="handover", title="原成员账号", member=True),
    Field(name="takeover", title="接替成员账号", member=True),
    Field(name="customers", title="客户 external_userid（最多 100 个）", kind="list", limit=_AT_ONCE),
)
_CHATS = (
    Field(name="chats", title="客户群 chat_id（最多 100 个）", kind="list", limit=_AT_ONCE),
    Field(name="takeover", title="新群主账号"),
)

DEEDS = (
    Deed(
        kind="transfer",
        title="在职继承客户",
        fields=(*_BETWEEN, Field(name="words", title="转接提示语（200 字以内）", required=False)),
    ),
    Deed(kind="resigned.list", title="查询离职待分配客户", idempotent=True),
    Deed(kind="resigned.transfer", title="分配离职成员的客户", fields=_BETWEEN),
    Deed(kind="groupchat.transfer", title="分配离职成员的客户群", fields=_CHATS),
    Deed(kind="groupchat.onjob_transfer", title="在职继承客户群", fields=_CHATS),
)


async def _transfer(path: str, ctx: Context, fields: Mapping[str, Any]) -> Done:
    giver = checks.ident(fields, "handover", "原成员账号")
    taker = checks.ident(fields, "takeover", "接替成员账号")
    if giver == taker:
        raise Rejected("原成员与接替成员不能是同一个人。", code="limit")
    body: dict[str, object] = {
        "handover_userid": giver,
        "takeover_userid": taker,
        "external_userid": checks.many(fields, "customers", "客户", most=_AT_ONCE),
    }
    if words := checks.text(fields, "words", "转接提示语", chars=_WORDS):
        body["transfer_success_msg"] = words
    answer = await lookups.call(ctx, path, body, sent=True)
    told = {word(one, "external_userid"): _verdict(one) for one in rows(answer, "customer")}
    begun = any(verdict == _STATES[_WAITING] for verdict in told.values())
    return Done(item=f"{giver}>{taker}", body={"customers": told}, again_s=_AGAIN_S if begun else None)


def _verdict(one: dict[str, Any]) -> str:
    code = one.get("errcode")
    return _STATES[_WAITING] if code in (0, None) else meaning(int(str(code))).sentence


async def _result(path: str, ctx: Context, item: str, fields: Mapping[str, Any]) -> Done:
    """Per customer how it stands; final when nobody waits any more."""
    giver, taker = str(fields.get("handover")), str(fields.get("takeover"))
    mine = set(checks.many(fields, "customers", "客户", most=_AT_ONCE))
    found: dict[str, dict[str, Any]] = {}
    cursor = ""
    for _ in range(_PAGES):
        body = {"handover_userid": giver, "takeover_userid": taker, "cursor": cursor}
        page = await lookups.call(ctx, path, body)
        found |= {word(one, "external_userid"): one for one in rows(page, "customer")}
        cursor = word(page, "next_cursor")
        if not cursor:
            break
    ours = {who: one for who, one in found.items() if who in mine}
    told = {who: _STATES.get(_status(one), "结果未知") for who, one in ours.items()}
    told |= dict.fromkeys(mine - ours.keys(), _STATES[5])
    raws = tuple(_moved(ctx, one, giver, taker) for one in ours.values() if _status(one) == _DONE)
    waiting = any(_status(one) == _WAITING for one in ours.values())
    # Written down once, when all is known: until then the customers stay where they are.
    return Done(
        item=item,
        body={"customers": told},
        raws=() if waiting else raws,
        again_s=_AGAIN_S if waiting else None,
    )


def _status(one: dict[str, Any]) -> int:
    status = one.get("status")
    return status if isinstance(status, int) else 0


def _moved(ctx: Context, one: dict[str, Any], giver: str, taker: str) -> Raw:
    """The same raw whenever it is asked for: it is dated by when it happened."""
    who, since = word(one, "external_userid"), word(one, "takeover_time")
    told = {
        "external_userid": who,
        "handover_userid": giver,
        "takeover_userid": taker,
        "takeover_time": since,
    }
    return listed("transferred", f"{who}|{giver}|{taker}", told, moment(since, ctx.now), lane=who)


async def unassigned(ctx: Context, fields: Mapping[str, Any]) -> Done:
    """Whose customers wait for somebody, of members who left."""
    del fields
    found: list[dict[str, Any]] = []
    cursor, more = "", True
    while more and len(found) < _UNASSIGNED:
        body = {"page_size": _UNASSIGNED, "cursor": cursor}
        page = await lookups.call(ctx, "get_unassigned_list", body)
        found += rows(page, "info")
        following = word(page, "next_cursor")
        more = not page.get("is_last") and bool(following) and following != cursor
        cursor = following
    listed = [
        {name: word(one, name) for name in ("handover_userid", "external_userid", "dimission_time")}
        for one in found[:_UNASSIGNED]
    ]
    return Done(body={"unassigned": listed, "more": more})


async def _chats(path: str, ctx: Context, fields: Mapping[str, Any]) -> Done:
    chats = checks.many(fields, "chats", "客户群", most=_AT_ONCE)
    taker = checks.ident(fields, "takeover", "新群主账号")
    body = {"chat_id_list": chats, "new_owner": taker}
    answer = await lookups.call(ctx, path, body, sent=True)
    failed = {
        word(one, "chat_id"): meaning(int(word(one, "errcode") or 0)).sentence
        for one in rows(answer, "failed_chat_list")
    }
    raws = tuple(
        asked("owner", f"{chat}|{taker}", {"chat_id": chat, "owner": taker}, ctx.now, lane=chat)
        for chat in chats
        if chat not in failed
    )
    return Done(item=taker, body={"failed": failed, "moved": len(raws)}, raws=raws)


DO = {
    "transfer": partial(_transfer, "transfer_customer"),
    "resigned.list": unassigned,
    "resigned.transfer": partial(_transfer, "resigned/transfer_customer"),
    "groupchat.transfer": partial(_chats, "groupchat/transfer"),
    "groupchat.onjob_transfer": partial(_chats, "groupchat/onjob_transfer"),
}
OUTCOME = {
    "transfer": partial(_result, "transfer_result"),
    "resigned.transfer": partial(_result, "resigned/transfer_result"),
}
