"""WeCom (企业微信): staff and customer-contact events in, welcome words out, sign-in and page signatures."""

from __future__ import annotations

from connectors.kit.callback import digest, echo, lane, opened, peek, peek_id
from connectors.kit.corp import upload
from connectors.kit.needs import AES_KEY, API_BASE, CORP_ID, OPEN_SUBJECT, TOKEN
from connectors.wecom.deeds import DEEDS, do, outcome
from connectors.wecom.door import door, shown, who
from connectors.wecom.events import translate
from connectors.wecom.lookups import enrich
from connectors.wecom.outward import probe, send
from connectors.wecom.pages import page
from connectors.wecom.stocks import STOCKS, poll
from scrm.contract import Call, Context, Need, Raw, Receipt, Window
from scrm.errors import Refused

__all__ = [
    "DEEDS",
    "ICON",
    "IDEMPOTENT",
    "KINDS",
    "NEEDS",
    "STOCKS",
    "TALKS",
    "TEXT_LIMIT",
    "TITLE",
    "WINDOWS",
    "do",
    "door",
    "enrich",
    "outcome",
    "page",
    "poll",
    "probe",
    "receive",
    "send",
    "shown",
    "translate",
    "upload",
    "who",
]

TITLE = "企业微信"
ICON = "wx"
NEEDS = (
    CORP_ID,
    Need(name="agent_id", help="自建应用详情页里的 AgentId", pattern=r"^[0-9]{1,12}$"),
    Need(name="secret", help="同一页的 Secret；该应用须有“客户联系”权限", secret=True),
    TOKEN,
    AES_KEY,
    Need(
        name="suite_id",
        help="仅第三方或代开发应用填写：SuiteID",
        required=False,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
    ),
    OPEN_SUBJECT,
    API_BASE,
    Need(
        name="oauth_base",
        help="网页登录地址；留空使用官方地址，只有连接模拟器时才填写",
        required=False,
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
    ),
)
#: A welcome code works once, but a repeat is answered like a refusal: it would hide a delivered welcome.
IDEMPOTENT = False
#: No window: the only thing this API delivers to a customer is the welcome, and its code is the window.
WINDOWS: tuple[Window, ...] = ()
TALKS = False
KINDS = frozenset({"welcome"})
TEXT_LIMIT = 4000


def receive(ctx: Context, call: Call) -> Receipt:
    """Verify and decrypt one callback. Raises `Refused`."""
    corp_id, suite_id = ctx.account.get("corp_id"), ctx.account.get("suite_id")
    receive_ids = frozenset({corp_id, suite_id} - {""})
    if call.method == "GET":
        return echo(ctx, call, receive_ids)
    payload, sealed_for = opened(ctx, call, receive_ids)
    fields = peek(payload)
    # The suite's key speaks for many corps; only its own InfoType messages may come under it.
    if sealed_for == suite_id and suite_id != corp_id and "InfoType" not in fields:
        raise Refused("这条消息不是发给本企业的：请核对 CorpID 与 SuiteID。")
    return Receipt(raws=(_raw(payload, fields),))


def _raw(payload: bytes, fields: dict[str, object]) -> Raw:
    msg_id, agent = peek_id(fields, "MsgId"), peek_id(fields, "AgentID")
    is_message = bool(msg_id) and peek_id(fields, "MsgType") not in {"", "event"}
    customer, chat = peek_id(fields, "ExternalUserID"), peek_id(fields, "ChatId")
    sender = peek_id(fields, "FromUserName")
    return Raw(
        # The same words to two apps are two messages, so the app is part of the key.
        source_key=f"msg:{agent}:{msg_id}" if is_message else digest(payload),
        lane=lane(customer or chat or (f"staff:{sender}" if sender and sender != "sys" else "")),
        payload=payload,
        urgent=bool(peek_id(fields, "WelcomeCode")),
    )
