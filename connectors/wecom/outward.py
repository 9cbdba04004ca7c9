"""Calls to the WeCom API: greet a new contact, probe the set-up."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.kit import api
from connectors.wecom.pages import agent_ticket, corp_ticket
from scrm.contract import Context, Finding, Push, Severity
from scrm.errors import NotSent, Rejected


async def send(ctx: Context, push: Push) -> str:
    """Our push id once the welcome is accepted. Everything else is refused: members send it themselves."""
    if push.kind != "welcome":
        raise Rejected("企业微信不允许通过接口给客户发消息，请在企业微信侧边栏里发送。", code="unsupported")
    if not push.code:
        raise Rejected("没有欢迎语凭证：可能已在管理后台配置了欢迎语。", code="no_code")
    body = {"welcome_code": push.code, "text": {"content": push.text}}
    path = "cgi-bin/externalcontact/send_welcome_msg"
    await api.call(ctx, path, grant=api.WECOM, body=body, sent=True)
    return push.push_id


async def probe(ctx: Context) -> Sequence[Finding]:
    """Whether the secret works and the sidebar's tickets can be had."""
    try:
        await api.token(ctx, api.WECOM)
    except (NotSent, Rejected) as failed:
        return [Finding(severity=Severity.ERROR, sentence=f"无法取得访问令牌：{failed.sentence}")]
    findings = [Finding(severity=Severity.OK, sentence="企业 ID 与 Secret 有效，已取得访问令牌。")]
    try:
        await corp_ticket(ctx)
        await agent_ticket(ctx)
    except (NotSent, Rejected) as failed:
        sentence = f"侧边栏签名所需的票据取不到：{failed.sentence}"
        return [*findings, Finding(severity=Severity.ERROR, sentence=sentence)]
    return [*findings, Finding(severity=Severity.OK, sentence="侧边栏签名所需的企业票据与应用票据都可用。")]
