"""WeChat Customer Service (微信客服): notices by callback, words by `sync_msg`, replies by `send_msg`."""

from __future__ import annotations

from connectors.kit.callback import digest, echo, lane, opened, peek, peek_id
from connectors.kit.corp import upload
from connectors.kit.needs import AES_KEY, API_BASE, CORP_ID, OPEN_SUBJECT, TOKEN
from connectors.wecom_kf.events import translate
from connectors.wecom_kf.outward import enrich, probe, send
from connectors.wecom_kf.stream import poll
from scrm.contract import Call, Context, Need, Raw, Receipt, Window

__all__ = [
    "ICON",
    "IDEMPOTENT",
    "KINDS",
    "NEEDS",
    "TALKS",
    "TEXT_LIMIT",
    "TITLE",
    "WINDOWS",
    "enrich",
    "poll",
    "probe",
    "receive",
    "send",
    "translate",
    "upload",
]

TITLE = "微信客服"
ICON = "im"
NEEDS = (
    CORP_ID,
    Need(name="secret", help="“微信客服 / API”里可调用接口的应用的 Secret", secret=True),
    TOKEN,
    AES_KEY,
    # Not used by this channel; taken so that one block of settings serves the WeCom account and this one.
    Need(name="agent_id", help="可不填：与企业微信账号共用一份设置时才会有", required=False),
    Need(name="suite_id", help="可不填：与企业微信账号共用一份设置时才会有", required=False),
    OPEN_SUBJECT,
    API_BASE,
)
#: `send_msg` takes our msgid, but nobody documents that a repeated one is dropped.
IDEMPOTENT = False
TALKS = True
KINDS = frozenset({"text", "image", "voice", "video", "file", "welcome"})
TEXT_LIMIT = 2048
WINDOWS = (Window(opens=("message.",), seconds=48 * 3600, count=5),)


def receive(ctx: Context, call: Call) -> Receipt:
    """Verify and decrypt one notice. Raises `Refused`."""
    receive_ids = frozenset({ctx.account.get("corp_id")})
    if call.method == "GET":
        return echo(ctx, call, receive_ids)
    payload, _ = opened(ctx, call, receive_ids)
    account = peek_id(peek(payload), "OpenKfId")
    # Urgent: a welcome code in what it announces lives 20 seconds.
    return Receipt(raws=(Raw(source_key=digest(payload), lane=lane(account), payload=payload, urgent=True),))
