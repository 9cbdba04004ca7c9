"""A fake Official Account: followers who write, encrypted callbacks, and replies within the quota."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from connectors.kit.official.simulation import OfficialPlatform
from connectors.kit.platform import Answer, Ask, Fault
from connectors.kit.world import Persona, Staff, World
from connectors.kit.xml import parse, text
from scrm.contract import Account
from scrm.errors import Refused

APOLOGY = "该公众号提供的服务出现故障，请稍后再试"
#: How many openids `user/get` tells at once, and how many `batchget` explains.
MOST, BATCH = 10_000, 100


def simulate(world: World, account: Account, hooks_url: str) -> web.Application:
    """The platform server of `account`; it calls `hooks_url` back when customers write."""
    return OfficialAccount(world, account, hooks_url).app()


class OfficialAccount(OfficialPlatform):
    """`followers` holds the openids of those who follow."""

    windows = {"message": (48 * 3600, 5), "click": (60, 3), "subscribe": (60, 3), "scan": (60, 3)}  # noqa: RUF012
    apology = APOLOGY

    def __init__(self, world: World, account: Account, hooks_url: str) -> None:
        super().__init__(world, account, hooks_url)
        self.followers: dict[str, int] = {}
        #: Tencent stopped telling names in December 2021; a demo without names is hard to follow.
        self.tells_names = True
        #: Who has been sent which template message; a repeat with the same id is dropped.
        self.notified: dict[tuple[str, str], int] = {}
        self.apis |= {
            "user/info": lambda ask: self._info(ask.query.get("openid")),
            "user/get": self._followers,
            "user/info/batchget": self._infos,
            "media/uploadimg": self._picture,
            "message/template/send": self._template,
            "message/subscribe/bizsend": self.notify,
        }

    # ------------------------------------------------------------ what customers do

    async def meet(self, persona: Persona, staff: Staff) -> bool:
        """The customer follows by the QR code of `staff`."""
        self.open(persona, "subscribe")
        return await self.event(persona, "subscribe", EventKey=f"qrscene_{staff.userid}", Ticket="gQH")

    async def leave(self, persona: Persona, staff: Staff) -> bool:
        del staff
        self.followers.pop(persona.openid(self.app_id), None)
        return await self.event(persona, "unsubscribe", EventKey="")

    async def scan(self, persona: Persona, scene: str) -> bool:
        """A follower scans a QR code."""
        self.open(persona, "scan")
        return await self.event(persona, "SCAN", EventKey=scene, Ticket="gQH")

    async def click(self, persona: Persona, key: str) -> bool:
        """A follower taps a menu entry."""
        self.open(persona, "click")
        return await self.event(persona, "CLICK", EventKey=key)

    async def finish(self, persona: Persona, msgid: int, status: str) -> bool:
        """What became of a template message: `success`, `failed:user block` ..."""
        return await self.event(persona, "TEMPLATESENDJOBFINISH", MsgID=msgid, Status=status)

    # ------------------------------------------------------------ callbacks

    def accepts(self, status: int, answer: bytes) -> bool:
        """`success`, nothing, or a passive reply that is sealed and signed for us."""
        return super().accepts(status, answer) or (status == 200 and self._passive(answer))

    def _passive(self, answer: bytes) -> bool:
        try:
            fields = parse(answer)
            if self.mode != "plain":
                sealed = text(fields, "Encrypt")
                names = {"msg_signature": "MsgSignature", "timestamp": "TimeStamp", "nonce": "Nonce"}
                self.codec.verify({ours: text(fields, theirs) for ours, theirs in names.items()}, sealed)
                fields = parse(self.codec.decrypt(sealed))
            persona = self.world.by_openid(self.app_id, text(fields, "ToUserName"))
            words, kind = text(fields, "Content", ""), text(fields, "MsgType")
        except Refused:
            return False
        if persona is not None:
            self.show(persona, words, kind)
        return persona is not None

    # ------------------------------------------------------------ the API

    def _info(self, asked: object) -> dict[str, Any]:
        persona = self.person(asked)
        openid = persona.openid(self.app_id)
        if openid not in self.followers:
            return {"subscribe": 0, "openid": openid}
        return {
            "subscribe": 1,
            "openid": openid,
            "nickname": persona.name if self.tells_names else "",
            "sex": 0,
            "language": "zh_CN",
            "headimgurl": "",
            "subscribe_time": self.followers[openid],
            "unionid": persona.unionid,
            "remark": "",
            "groupid": 0,
            "tagid_list": [],
            "subscribe_scene": "ADD_SCENE_QR_CODE",
            "qr_scene": 0,
            "qr_scene_str": "",
        }

    def _followers(self, ask: Ask) -> Answer:
        """The openids after `next_openid`, in the order in which they came."""
        everyone, after = list(self.followers), ask.query.get("next_openid", "")
        if after and after not in self.followers:
            raise Fault(40003, "invalid openid")
        page = everyone[everyone.index(after) + 1 if after else 0 :][:MOST]
        told: dict[str, Any] = {"total": len(everyone), "count": len(page)}
        if page:
            told["data"] = {"openid": page}
        return {**told, "next_openid": page[-1] if page else ""}

    def _infos(self, ask: Ask) -> Answer:
        asked = ask.body.get("user_list")
        if not isinstance(asked, list) or not 0 < len(asked) <= BATCH:
            raise Fault(40032, "invalid openid list size")
        return {"user_info_list": [self._info(one.get("openid")) for one in asked]}

    def _picture(self, ask: Ask) -> Answer:
        if ask.upload is None:
            raise Fault(41005, "missing multimedia file data")
        return {"url": f"https://mmbiz.qpic.cn/{self.world.secret()}/0"}

    def _template(self, ask: Ask) -> Answer:
        once = (str(ask.body.get("touser")), str(ask.body.get("client_msg_id") or self.world.serial()))
        if once not in self.notified:
            self.notified[once] = int(self.notify(ask)["msgid"])
        return {"msgid": self.notified[once]}

    def admits(self, persona: Persona) -> None:
        if persona.openid(self.app_id) not in self.followers:
            raise Fault(43004, "require subscribe")
        super().admits(persona)

    def heard(self, body: Any) -> tuple[str, str]:
        news = body.get("news") if body.get("msgtype") == "news" else None
        articles = news.get("articles") if isinstance(news, dict) else None
        if not isinstance(articles, list):
            return super().heard(body)
        if len(articles) != 1:
            raise Fault(45008, "article size out of limit")
        return str(articles[0].get("title")), "news"

    def open(self, persona: Persona, by: str) -> None:
        """Whoever writes or taps follows us, and may be answered for a while."""
        self.followers.setdefault(persona.openid(self.app_id), int(self.world.time()))
        super().open(persona, by)
