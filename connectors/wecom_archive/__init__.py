"""WeCom conversation archive (会话内容存档): what staff and customers say to each other in WeCom itself."""

from __future__ import annotations

from dataclasses import replace

from connectors.kit.callback import digest, echo, opened
from connectors.kit.needs import AES_KEY, API_BASE, CORP_ID, TOKEN
from connectors.wecom_archive.consent import enrich
from connectors.wecom_archive.events import translate
from connectors.wecom_archive.files import media
from connectors.wecom_archive.probing import probe
from connectors.wecom_archive.stream import ARCHIVE, poll
from scrm.contract import Call, Context, Need, Raw, Receipt
from scrm.errors import Refused

__all__ = [
    "ICON",
    "NEEDS",
    "STREAMS",
    "TITLE",
    "enrich",
    "media",
    "poll",
    "probe",
    "receive",
    "translate",
]

TITLE = "企业微信会话存档"
ICON = "wx"
NEEDS = (
    CORP_ID,
    Need(name="secret", help="“会话内容存档”页面的 Secret，与其他应用的 Secret 不同", secret=True),
    Need(
        name="library",
        help="会话存档 SDK 的 .so 文件在服务器上的绝对路径；演示用模拟器时填 simulator",
        pattern=r"^(/[^\x00-\x1f]{1,500}|simulator)$",
    ),
    Need(
        name="private_keys",
        help="全部 RSA 私钥：每把前面一行 version: 版本号，新旧都要保留",
        secret=True,
    ),
    Need(
        name="proxy",
        help="访问企业微信要经过代理时填写，如 socks5://10.0.0.1:8081 或 http://10.0.0.1:8081",
        required=False,
        pattern=r"^(https?|socks5)://[^\s/?#]+$",
    ),
    Need(name="proxy_password", help="代理的用户名与密码，格式 user:password", secret=True, required=False),
    replace(TOKEN, help="可不填：存档“接收事件服务器”的 Token，填写后新消息来得更快", required=False),
    replace(AES_KEY, help="可不填：同一页的 EncodingAESKey", required=False),
    API_BASE,
)
#: Followed from the first day on, announced or not.
STREAMS = (ARCHIVE,)


def receive(ctx: Context, call: Call) -> Receipt:
    """Verify and decrypt one notice: there is something to pull. Raises `Refused`."""
    if not ctx.account.get("token") or not ctx.account.get("aes_key"):
        raise Refused("这个账号没有填写回调用的 Token 与 EncodingAESKey。")
    receive_ids = frozenset({ctx.account.get("corp_id")})
    if call.method == "GET":
        return echo(ctx, call, receive_ids)
    payload, _ = opened(ctx, call, receive_ids)
    return Receipt(raws=(Raw(source_key=digest(payload), lane="-", payload=payload, urgent=True),))
