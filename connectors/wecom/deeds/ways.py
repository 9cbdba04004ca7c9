"""Contact ways (渠道活码): a code per channel, whose `state` comes back with every customer who scans it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.kit import api
from connectors.wecom import lookups
from connectors.wecom.deeds import checks
from connectors.wecom.told import asked
from scrm.contract import Context, Deed, Done, Field
from scrm.errors import Rejected

_STATE, _REMARK, _USERS = 30, 30, 100
_ONE, _SEVERAL, _QR = 1, 2, 2
#: It is gone already, which is what was asked for.
_NO_WAY = "41044"
_USERS_FIELD = Field(
    name="users", title="接待成员账号（最多 100 个）", kind="list", limit=_USERS, member=True
)
_MORE = (
    Field(name="state", title="渠道标识 state（30 字以内）", required=False),
    Field(name="remark", title="备注（30 字以内）", required=False),
    Field(name="skip_verify", title="添加时无需成员确认", required=False, kind="flag"),
)

DEEDS = (
    Deed(kind="way.add", title="新建渠道活码", fields=(_USERS_FIELD, *_MORE)),
    Deed(
        kind="way.update",
        title="修改渠道活码",
        fields=(Field(name="config_id", title="活码 config_id"), _USERS_FIELD, *_MORE),
        idempotent=True,
    ),
    Deed(
        kind="way.delete",
        title="删除渠道活码",
        fields=(Field(name="config_id", title="活码 config_id"),),
        idempotent=True,
    ),
)


async def add(ctx: Context, fields: Mapping[str, Any]) -> Done:
    body = _body(fields)
    users = checks.many(fields, "users", "接待成员", most=_USERS)
    body |= {"type": _ONE if len(users) == 1 else _SEVERAL, "scene": _QR}
    answer = await lookups.call(ctx, "add_contact_way", body, sent=True)
    ident = api.field(answer, "config_id")
    made = {"config_id": ident, "qr_code": answer.get("qr_code"), **body}
    raw = asked("way", ident, {"contact_way": made}, ctx.now, lane="-")
    return Done(item=ident, body={"config_id": ident, "qr_code": answer.get("qr_code")}, raws=(raw,))


async def update(ctx: Context, fields: Mapping[str, Any]) -> Done:
    ident = checks.ident(fields, "config_id", "活码 config_id")
    await lookups.call(ctx, "update_contact_way", {"config_id": ident, **_body(fields)})
    return Done(item=ident, raws=(await lookups.way(ctx, ident, fresh=True),))


async def delete(ctx: Context, fields: Mapping[str, Any]) -> Done:
    ident = checks.ident(fields, "config_id", "活码 config_id")
    try:
        await lookups.call(ctx, "del_contact_way", {"config_id": ident})
    except Rejected as refused:
        if refused.code != _NO_WAY:
            raise
    gone = {"contact_way": {"config_id": ident}, "gone": True}
    return Done(item=ident, raws=(asked("way", ident, gone, ctx.now, lane="-"),))


def _body(fields: Mapping[str, Any]) -> dict[str, object]:
    return {
        "user": checks.many(fields, "users", "接待成员", most=_USERS),
        "state": checks.text(fields, "state", "渠道标识", chars=_STATE),
        "remark": checks.text(fields, "remark", "备注", chars=_REMARK),
        "skip_verify": bool(fields.get("skip_verify")),
    }


DO = {"way.add": add, "way.update": update, "way.delete": delete}
