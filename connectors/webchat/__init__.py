"""Web chat (网站客服): our own chat on any website; replies are read from the timeline by the page itself."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.kit.needs import OPEN_SUBJECT, USERS
from connectors.webchat.acts import guest, said, translate
from connectors.webchat.hours import SHAPE as HOURS
from connectors.webchat.login import identify
from connectors.webchat.site import site
from scrm.contract import Context, Finding, Need, Push, Severity, Window
from scrm.errors import Rejected

__all__ = [
    "ICON",
    "IDEMPOTENT",
    "KINDS",
    "NEEDS",
    "TALKS",
    "TEXT_LIMIT",
    "TITLE",
    "WINDOWS",
    "guest",
    "identify",
    "probe",
    "said",
    "send",
    "site",
    "translate",
]

TITLE = "网站客服"
ICON = "web"
_ORIGIN = r"https?://[A-Za-z0-9.\-\[\]:]+"
NEEDS = (
    Need(
        name="secret",
        help="给登录凭证签名的密钥，32 位以上的随机文字，只放在网站的服务器上",
        secret=True,
        pattern=r"^[\x21-\x7e]{32,128}$",
    ),
    Need(
        name="origins",
        help="允许嵌入的网站，如 https://shop.example.com；多个用空格分开，不带路径",
        pattern=rf"^{_ORIGIN}( +{_ORIGIN})*$",
    ),
    Need(name="site_name", help="聊天窗口的标题；留空使用账号的名称", required=False),
    Need(
        name="greeting",
        help="窗口打开时的问候语；留空使用默认的，跟随访客的语言",
        required=False,
    ),
    Need(
        name="colour",
        help="按钮和标题栏的颜色，如 #1557C8",
        required=False,
        pattern=r"^#[0-9A-Fa-f]{6}$",
        default="#1557C8",
    ),
    Need(
        name="hours",
        help="接待时间，如 1-5 09:00-18:00, 6 10:00-16:00（1 是周一）；留空表示全天",
        required=False,
        pattern=HOURS,
    ),
    Need(
        name="zone",
        help="接待时间所在的时区",
        required=False,
        pattern=r"^[A-Z][A-Za-z]+(/[A-Z][A-Za-z_]+){0,2}$",
        default="Asia/Shanghai",
    ),
    Need(
        name="upload_mb",
        help="访客上传文件的上限（MB），0 到 20；0 表示不能上传",
        required=False,
        pattern=r"^(0|[1-9]|1[0-9]|20)$",
        default="5",
    ),
    USERS,
    OPEN_SUBJECT,
)
#: Nothing leaves the house: a repeat finds the message where it is.
IDEMPOTENT = True
TALKS = True
KINDS = frozenset({"text", "image"})
#: What a page shows needs no splitting: this is longer than anything that may be said at once.
TEXT_LIMIT = 16_000
WINDOWS: tuple[Window, ...] = ()


async def send(ctx: Context, push: Push) -> str:
    """Visitors read from the timeline: once recorded, it is delivered. Raises `Rejected` for a stranger."""
    if (push.handle.kind, push.handle.scope) != ("web_visitor", ctx.account.slug):
        raise Rejected("这位访客不是从这个网站来的。", code="wrong_account")
    if push.kind not in ("text", "image"):
        raise Rejected("网站客服只能发送文字和图片。", code="unsupported")
    return push.push_id


async def probe(ctx: Context) -> Sequence[Finding]:
    """Whether pages may embed it safely."""
    shown = site(ctx)
    plain = [
        o for o in shown.origins if o.startswith("http:") and "127.0.0.1" not in o and "localhost" not in o
    ]
    if plain:
        sentence = f"有 {len(plain)} 个网站不是 https，聊天内容在路上可能被看到。"
        return [Finding(severity=Severity.WARN, sentence=sentence)]
    return [Finding(severity=Severity.OK, sentence=f"允许 {len(shown.origins)} 个网站嵌入。")]
