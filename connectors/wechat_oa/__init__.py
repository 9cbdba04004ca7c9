"""WeChat Official Account (公众号): callbacks in, customer-service messages and notices out."""

from __future__ import annotations

from connectors.kit.needs import AES_KEY, API_BASE, OPEN_SUBJECT, TOKEN
from connectors.kit.official.door import MODE, take
from connectors.kit.official.outward import examine as probe
from connectors.kit.official.outward import media, upload
from connectors.wechat_oa.events import translate
from connectors.wechat_oa.fans import STOCKS, poll
from connectors.wechat_oa.outward import enrich, send
from scrm.contract import Call, Context, Need, Receipt, Window

__all__ = [
    "ICON",
    "IDEMPOTENT",
    "KINDS",
    "NEEDS",
    "STOCKS",
    "TALKS",
    "TEXT_LIMIT",
    "TITLE",
    "WINDOWS",
    "enrich",
    "media",
    "poll",
    "probe",
    "receive",
    "send",
    "translate",
    "upload",
]

TITLE = "公众号"
ICON = "oa"
NEEDS = (
    Need(name="app_id", help="公众号后台“设置与开发 / 基本配置”里的 AppID", pattern=r"^[A-Za-z0-9_-]{1,64}$"),
    Need(name="secret", help="同一页的 AppSecret", secret=True),
    TOKEN,
    AES_KEY,
    MODE,
    Need(
        name="notices",
        help="通知用哪种接口发送：template 模板消息（默认），subscribe 订阅通知",
        required=False,
        pattern=r"^(template|subscribe)$",
        default="template",
    ),
    OPEN_SUBJECT,
    API_BASE,
)
#: `custom/send` has no id of ours: a repeat is a second message on the customer's phone.
IDEMPOTENT = False
TALKS = True
KINDS = frozenset({"text", "image", "voice", "video", "link", "miniprogram", "template"})
TEXT_LIMIT = 2048
WINDOWS = (
    Window(opens=("message.",), seconds=48 * 3600, count=5),
    # Only menu entries that push an event count, a link (VIEW) does not.
    Window(
        opens=("event.subscribe", "event.scan", "event.menu.click", "event.menu.scancode"),
        seconds=60,
        count=3,
    ),
    # How many after a payment is not documented any more; as many as after a message are safe.
    Window(opens=("event.shop.paid",), seconds=48 * 3600, count=5),
)
_LIVE = frozenset({"subscribe", "scan", "click", "scancode_push", "scancode_waitmsg", "merchant_order"})


def receive(ctx: Context, call: Call) -> Receipt:
    """Verify and decrypt one callback. Raises `Refused`."""
    return take(ctx, call, _LIVE)
