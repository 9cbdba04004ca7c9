"""A member's remark about a customer, and the tags they gave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.wecom import lookups
from connectors.wecom.deeds import checks
from scrm.contract import Context, Deed, Done, Field
from scrm.errors import Rejected

_REMARK, _DESCRIPTION, _MOBILES, _TAGS = 20, 150, 5, 3_000
_WHO = (
    Field(name="userid", title="成员账号", member=True),
    Field(name="external_userid", title="客户 external_userid"),
)

DEEDS = (
    Deed(
        kind="remark",
        title="修改客户备注",
        fields=(
            *_WHO,
            Field(name="remark", title="备注名（20 字以内）", required=False),
            Field(name="description", title="描述（150 字以内）", required=False),
            Field(name="mobiles", title="备注手机号", required=False, kind="list", limit=_MOBILES),
        ),
        idempotent=True,
    ),
    Deed(
        kind="mark_tag",
        title="给客户打标签",
        fields=(
            *_WHO,
            Field(name="add", title="要加的标签 ID", required=False, kind="list", limit=_TAGS),
            Field(name="remove", title="要去掉的标签 ID", required=False, kind="list", limit=_TAGS),
        ),
        idempotent=True,
    ),
)


async def remark(ctx: Context, fields: Mapping[str, Any]) -> Done:
    """Only what is given is changed; an empty text that is given empties the remark."""
    external = checks.ident(fields, "external_userid", "客户 external_userid")
    body: dict[str, object] = {
        "userid": checks.ident(fields, "userid", "成员账号"),
        "external_userid": external,
    }
    if "remark" in fields:
        body["remark"] = checks.text(fields, "remark", "备注名", chars=_REMARK)
    if "description" in fields:
        body["description"] = checks.text(fields, "description", "描述", chars=_DESCRIPTION)
    if "mobiles" in fields:
        body["remark_mobiles"] = checks.many(fields, "mobiles", "备注手机号", most=_MOBILES, least=0) or [""]
    if len(body) == 2:
        raise Rejected("请填写要修改的备注、描述或手机号。", code="limit")
    await lookups.call(ctx, "remark", body)
    return Done(raws=(await lookups.contact(ctx, external),))


async def mark_tag(ctx: Context, fields: Mapping[str, Any]) -> Done:
    external = checks.ident(fields, "external_userid", "客户 external_userid")
    add = checks.many(fields, "add", "要加的标签", most=_TAGS, least=0)
    remove = checks.many(fields, "remove", "要去掉的标签", most=_TAGS, least=0)
    if not add and not remove:
        raise Rejected("请选择要加或要去掉的标签。", code="limit")
    body = {
        "userid": checks.ident(fields, "userid", "成员账号"),
        "external_userid": external,
        "add_tag": add,
        "remove_tag": remove,
    }
    await lookups.call(ctx, "mark_tag", body)
    return Done(raws=(await lookups.contact(ctx, external),))


DO = {"remark": remark, "mark_tag": mark_tag}
