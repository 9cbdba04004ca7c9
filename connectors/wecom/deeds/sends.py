"""Group sends: WeCom asks the members to send; who has done so is asked for until nobody is left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from connectors.kit import api
from connectors.kit.profiles import word
from connectors.wecom import lookups
from connectors.wecom.deeds import checks
from connectors.wecom.told import listed, moment, rows, texts
from scrm.contract import Context, Deed, Done, Field, Raw, Reaches
from scrm.errors import Rejected

_TEXT_BYTES, _CUSTOMERS, _CHATS = 4_000, 10_000, 2_000
#: A member who has not sent it within a week will not.
_PATIENCE = timedelta(days=7)
_AGAIN_S = 900.0
_PAGE, _PAGES = 1_000, 20
#: `status` of a member's task and of one customer's message.
_UNSENT, _SENT = "0", "1"
#: No friend any more, or the customer's own limit was used up by another group send.
_MISSED = ("2", "3")
_STATES = {"0": "未发送", "1": "已发送", "2": "不是好友", "3": "已收到过其他群发"}
_CANCELLED = "41093"

DEEDS = (
    Deed(
        kind="group_send",
        title="群发给客户",
        fields=(
            Field(name="text", title="内容（4000 字节以内）", limit=_TEXT_BYTES),
            Field(
                name="customers", title="客户 external_userid", required=False, kind="list", limit=_CUSTOMERS
            ),
            Field(name="chats", title="客户群 chat_id", required=False, kind="list", limit=_CHATS),
            Field(name="sender", title="由谁发送（成员账号）", required=False, member=True),
        ),
        reaches=Reaches(field="customers", kind="wecom_external"),
    ),
    Deed(
        kind="group_send.remind",
        title="提醒成员发送",
        fields=(Field(name="msgid", title="群发 msgid"),),
    ),
    Deed(
        kind="group_send.cancel",
        title="取消群发",
        fields=(Field(name="msgid", title="群发 msgid"),),
        idempotent=True,
    ),
)


async def send(ctx: Context, fields: Mapping[str, Any]) -> Done:
    text = checks.text(fields, "text", "内容", octets=_TEXT_BYTES)
    if not text:
        raise Rejected("请填写要群发的内容。", code="limit")
    customers = checks.many(fields, "customers", "客户", most=_CUSTOMERS, least=0)
    chats = checks.many(fields, "chats", "客户群", most=_CHATS, least=0)
    if bool(customers) == bool(chats):
        raise Rejected("请选择一批客户，或者一批客户群。", code="limit")
    body: dict[str, object] = {"chat_type": "group" if chats else "single", "text": {"content": text}}
    body |= {"chat_id_list": chats} if chats else {"external_userid": customers}
    if sender := checks.text(fields, "sender", "发送成员"):
        body["sender"] = sender
    elif chats:
        raise Rejected("群发到客户群须写明由谁发送。", code="limit")
    answer = await lookups.call(ctx, "add_msg_template", body, sent=True)
    failed = texts(answer, "fail_list")
    return Done(
        item=api.field(answer, "msgid"), body={"fail_list": failed}, again_s=_AGAIN_S, missed=tuple(failed)
    )


async def outcome(ctx: Context, msgid: str, fields: Mapping[str, Any]) -> Done:
    """Per member whether they sent it, per customer what became of it."""
    try:
        tasks = await _pages(ctx, "get_groupmsg_task", {"msgid": msgid}, "task_list")
    except Rejected as refused:
        if refused.code != _CANCELLED:
            raise
        return Done(item=msgid, body={"cancelled": True})
    results: list[dict[str, Any]] = []
    for task in tasks:
        if word(task, "status") != _UNSENT:
            asked = {"msgid": msgid, "userid": word(task, "userid")}
            results += await _pages(ctx, "get_groupmsg_send_result", asked, "send_list")
    waiting = [word(task, "userid") for task in tasks if word(task, "status") == _UNSENT]
    late = any(_is_old(ctx, task) for task in tasks)
    counts = {name: sum(word(r, "status") == code for r in results) for code, name in _STATES.items()}
    text = str(fields.get("text") or "")
    raws = tuple(_raw(ctx, msgid, one, text) for one in results if word(one, "status") == _SENT)
    again = _AGAIN_S if waiting and not late else None
    body = {"waiting": waiting, "results": counts, "sent": len(raws)}
    missed = tuple(word(one, "external_userid") for one in results if word(one, "status") in _MISSED)
    return Done(item=msgid, body=body, raws=raws, again_s=again, missed=missed)


def _raw(ctx: Context, msgid: str, one: dict[str, Any], text: str) -> Raw:
    told = {
        "external_userid": word(one, "external_userid"),
        "chat_id": word(one, "chat_id"),
        "userid": word(one, "userid"),
        "send_time": word(one, "send_time"),
        "text": text,
        "msgid": msgid,
    }
    about = f"{msgid}|{told['userid']}|{told['external_userid']}|{told['chat_id']}"
    lane = told["external_userid"] or told["chat_id"]
    # Sent once: the same raw whenever it is asked for, in whatever month.
    return listed("broadcast", about, told, moment(told["send_time"], ctx.now), lane=lane)


def _is_old(ctx: Context, task: dict[str, Any]) -> bool:
    return ctx.now - moment(task.get("create_time"), ctx.now) > _PATIENCE


async def _pages(ctx: Context, path: str, body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(_PAGES):
        page = await lookups.call(ctx, path, {**body, "limit": _PAGE, "cursor": cursor})
        found += rows(page, name)
        cursor = word(page, "next_cursor")
        if not cursor:
            break
    return found


async def remind(ctx: Context, fields: Mapping[str, Any]) -> Done:
    msgid = checks.ident(fields, "msgid", "群发 msgid")
    await lookups.call(ctx, "remind_groupmsg_send", {"msgid": msgid}, sent=True)
    return Done(item=msgid)


async def cancel(ctx: Context, fields: Mapping[str, Any]) -> Done:
    msgid = checks.ident(fields, "msgid", "群发 msgid")
    await lookups.call(ctx, "cancel_groupmsg_send", {"msgid": msgid})
    return Done(item=msgid)


DO = {"group_send": send, "group_send.remind": remind, "group_send.cancel": cancel}
OUTCOME = {"group_send": outcome}
