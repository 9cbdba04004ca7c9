"""From a unionid to the company's own customer, also for somebody who is none yet (`pending_id`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.kit import api
from connectors.kit.profiles import word
from connectors.wecom.deeds import checks
from connectors.wecom.told import asked
from scrm.contract import Context, Deed, Done, Field

#: The unionid belongs to the company's own subject (path 97108).
_OWN_SUBJECT = 0

DEEDS = (
    Deed(
        kind="unionid.convert",
        title="用 UnionID 查客户",
        fields=(
            Field(name="unionid", title="UnionID"),
            Field(name="openid", title="同一小程序或公众号的 OpenID"),
        ),
        idempotent=True,
    ),
)


async def convert(ctx: Context, fields: Mapping[str, Any]) -> Done:
    unionid = checks.ident(fields, "unionid", "UnionID")
    openid = checks.ident(fields, "openid", "OpenID")
    body = {"unionid": unionid, "openid": openid, "subject_type": _OWN_SUBJECT}
    path = "cgi-bin/idconvert/unionid_to_external_userid"
    answer = await api.call(ctx, path, grant=api.WECOM, body=body)
    value, pending = word(answer, "external_userid"), word(answer, "pending_id")
    found = {"external_userid": value, "pending_id": pending}
    if not value and not pending:
        return Done(body=found)
    told = {"unionid": unionid, **found}
    return Done(
        item=value or pending,
        body=found,
        raws=(asked("union", unionid, told, ctx.now, lane=value or "-"),),
    )


DO = {"unionid.convert": convert}
