"""The company's own customer tags. An app may change only the tags it made itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.kit.profiles import word
from connectors.wecom import lookups
from connectors.wecom.deeds import checks
from connectors.wecom.told import asked, rows
from scrm.contract import Context, Deed, Done, Field
from scrm.errors import Rejected

_NAME, _AT_ONCE = 30, 100

DEEDS = (
    Deed(
        kind="tag.add",
        title="新建客户标签",
        fields=(
            Field(name="group", title="标签组名称（30 字以内）"),
            Field(name="names", title="标签名称（每个 30 字以内）", kind="list", limit=_AT_ONCE),
        ),
    ),
    Deed(
        kind="tag.edit",
        title="改客户标签的名称",
        fields=(
            Field(name="id", title="标签 ID 或标签组 ID"),
            Field(name="name", title="新名称（30 字以内）"),
        ),
        idempotent=True,
    ),
    Deed(
        kind="tag.delete",
        title="删除客户标签",
        fields=(
            Field(name="tags", title="标签 ID", required=False, kind="list", limit=_AT_ONCE),
            Field(name="groups", title="标签组 ID", required=False, kind="list", limit=_AT_ONCE),
        ),
    ),
)


async def add(ctx: Context, fields: Mapping[str, Any]) -> Done:
    names = checks.many(fields, "names", "标签名称", most=_AT_ONCE)
    checks.short(names, "标签", chars=_NAME)
    group = checks.text(fields, "group", "标签组名称", chars=_NAME)
    if not group:
        raise Rejected("请填写标签组名称。", code="limit")
    body = {"group_name": group, "tag": [{"name": name} for name in names]}
    made = (await lookups.call(ctx, "add_corp_tag", body, sent=True)).get("tag_group")
    found = made if isinstance(made, dict) else {}
    ident = word(found, "group_id")
    raw = asked("tags", ident, {"tag_group": [found]}, ctx.now, lane="-")
    return Done(item=ident, body={"tag_group": found}, raws=(raw,))


async def edit(ctx: Context, fields: Mapping[str, Any]) -> Done:
    ident = checks.ident(fields, "id", "标签 ID")
    name = checks.text(fields, "name", "新名称", chars=_NAME)
    if not name:
        raise Rejected("请填写新名称。", code="limit")
    await lookups.call(ctx, "edit_corp_tag", {"id": ident, "name": name})
    raws = await lookups.tags(ctx, f"tag:{ident}")
    return Done(item=ident, raws=raws)


async def delete(ctx: Context, fields: Mapping[str, Any]) -> Done:
    tags = checks.many(fields, "tags", "标签 ID", most=_AT_ONCE, least=0)
    groups = checks.many(fields, "groups", "标签组 ID", most=_AT_ONCE, least=0)
    if not tags and not groups:
        raise Rejected("请填写要删除的标签或标签组。", code="limit")
    # Asked before, because afterwards nobody knows which tags a group had.
    listed = await lookups.call(ctx, "get_corp_tag_list", {"group_id": groups}) if groups else {}
    await lookups.call(ctx, "del_corp_tag", {"tag_id": tags, "group_id": groups}, sent=True)
    inside = [
        word(tag, "id")
        for group in rows(listed, "tag_group")
        if word(group, "group_id") in groups
        for tag in rows(group, "tag")
    ]
    gone = {"tag": [{"id": one} for one in dict.fromkeys([*tags, *inside])]}
    return Done(raws=(asked("tags_gone", ",".join([*tags, *groups]), gone, ctx.now, lane="-"),))


DO = {"tag.add": add, "tag.edit": edit, "tag.delete": delete}
