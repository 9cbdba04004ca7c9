"""WeChat mini-program (小程序): customer-service messages and notices both ways, logins as evidence."""

from __future__ import annotations

from connectors.kit.needs import AES_KEY, API_BASE, OPEN_SUBJECT, TOKEN, USERS
from connectors.kit.official.door import MODE, take
from connectors.kit.official.outward import examine as probe
from connectors.kit.official.outward import media, upload
from connectors.miniprogram import login
from connectors.miniprogram.events import translate
from connectors.miniprogram.outward import send
from scrm.contract import Call, Context, Need, Receipt, Window
from scrm.errors import Refused

__all__ = [
    "ICON",
    "IDEMPOTENT",
    "KINDS",
    "NEEDS",
    "TALKS",
    "TEXT_LIMIT",
    "TITLE",
    "WINDOWS",
    "media",
    "probe",
    "receive",
    "send",
    "translate",
    "upload",
]

TITLE = "小程序"
ICON = "app"
NEEDS = (
    Need(
        name="app_id",
        help="小程序后台“开发管理 / 开发设置”里的 AppID",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
    ),
    Need(name="secret", help="同一页的 AppSecret；登录通知也用它签名", secret=True),
    TOKEN,
    AES_KEY,
    MODE,
    Need(
        name="format",
        help="消息推送的数据格式：json 或 xml，与后台所选一致；两种都能读，模拟器按它发送",
        required=False,
        pattern=r"^(json|xml)$",
        default="json",
    ),
    Need(
        name="state",
        help="点开订阅消息时打开哪个版本：formal 正式版（默认），trial 体验版，developer 开发版",
        required=False,
        pattern=r"^(formal|trial|developer)$",
        default="formal",
    ),
    USERS,
    OPEN_SUBJECT,
    API_BASE,
)
#: Neither API takes an id of ours: a repeat is a second message on the customer's phone.
IDEMPOTENT = False
TALKS = True
KINDS = frozenset({"text", "image", "link", "miniprogram", "template"})
TEXT_LIMIT = 2048
WINDOWS = (
    Window(opens=("message.",), seconds=48 * 3600, count=5),
    Window(opens=("event.tempsession.entered",), seconds=60, count=2),
)
_LIVE = frozenset({"user_enter_tempsession"})
_LOGIN = "login"


def receive(ctx: Context, call: Call) -> Receipt:
    """One callback of WeChat, or at `/login` one of the mini-program's own server. Raises `Refused`."""
    if call.tail == _LOGIN:
        return login.take(ctx, call)
    if call.tail:
        raise Refused("没有这个地址：微信的推送不带后缀，登录通知用 /login。")
    return take(ctx, call, _LIVE)
