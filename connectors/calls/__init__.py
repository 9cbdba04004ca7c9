"""Calls (电话平台): call reports of any phone platform by webhook; what its fields mean is data."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.calls.doors import AUTHS, admitted
from connectors.calls.lists import line
from connectors.calls.mappings import PRESETS, mapping_of
from connectors.calls.reports import raws, translate
from connectors.kit.calls import NEEDS as CALL_NEEDS
from connectors.kit.calls import agents, recording
from scrm.contract import Call, Context, Finding, Media, Need, Receipt, Severity
from scrm.errors import BadConfig, Refused

__all__ = ["BODY_MAX", "ICON", "NEEDS", "TITLE", "line", "media", "probe", "receive", "translate"]

TITLE = "电话"
ICON = "ph"
NEEDS = (
    Need(
        name="secret",
        help="签名或登录用的密钥，建议 32 位随机字母和数字",
        secret=True,
        pattern=r"^[\x21-\x39\x3b-\x7e]{1,128}$",
    ),
    Need(
        name="mapping",
        help="平台的格式：generic（按本文档推送）、tccc（腾讯云联络中心）、aliyun（阿里云），或一段 JSON",
        required=False,
        default="generic",
    ),
    Need(
        name="auth",
        help="怎么确认是平台推来的：hmac（签名）、basic（用户名密码）、path（密钥写在地址最后）、"
        "sources（来源 IP）；留空按平台的格式",
        required=False,
        pattern=rf"^({'|'.join(AUTHS)})$",
    ),
    Need(
        name="sources",
        help="auth 是 sources 时：平台的出口 IP 或网段，用逗号分开，如 47.96.0.0/16",
        required=False,
        pattern=r"^[0-9A-Fa-f.:/,， ]{2,2000}$",
    ),
    *CALL_NEEDS,
)
#: Platforms that push lists push long ones.
BODY_MAX = 512 * 1024


def receive(ctx: Context, call: Call) -> Receipt:
    """The reports of one push. Raises `Refused`. Answers as the platform expects."""
    if call.method != "POST":
        raise Refused("只接受 POST。")
    try:
        mapping = mapping_of(ctx.account)
    except BadConfig as wrong:
        raise Refused(wrong.sentence) from wrong
    admitted(ctx, call, mapping)
    return Receipt(raws=raws(ctx.account, call, mapping), body=mapping.answer, mime="application/json")


async def media(ctx: Context, ref: str) -> Media:
    """The recording a report names."""
    return await recording(ctx, ref)


async def probe(ctx: Context) -> Sequence[Finding]:
    """What can be said without calling anybody."""
    account = ctx.account
    try:
        mapping = mapping_of(account)
    except BadConfig as wrong:
        return [Finding(severity=Severity.ERROR, sentence=wrong.sentence)]
    found = [Finding(severity=Severity.OK, sentence=f"按“{mapping.title}”的格式读取。")]
    auth = account.get("auth") or mapping.auth
    if auth == "sources" and not account.get("sources"):
        found.append(
            Finding(
                severity=Severity.ERROR, sentence="按来源 IP 确认，但 sources 是空的：所有推送都会被拒绝。"
            )
        )
    if auth != "sources" and len(account.get("secret")) < 16:
        found.append(
            Finding(severity=Severity.WARN, sentence="secret 太短，容易被猜到：请换成 32 位随机文字。")
        )
    names = "、".join(PRESETS)
    found.append(
        Finding(severity=Severity.OK, sentence=f"登记了 {len(agents(account))} 个坐席；可用的格式：{names}。")
    )
    return found
