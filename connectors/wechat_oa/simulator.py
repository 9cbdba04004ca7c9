"""A fake Official Account: followers who write, encrypted callbacks, and replies within the quota."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from connectors.kit.codec import plain_signature, same
from connectors.kit.platform import Answer, Ask, Fault, Letter, Platform, Shape, xml
from connectors.kit.world import Bubble, Persona, Staff, World
from connectors.kit.xml import parse, text
from scrm.contract import Account
from scrm.errors import Refused

Opening = Literal["message", "click", "subscribe", "scan"]
#: What opens a reply window: seconds and how many messages.
WINDOWS: Mapping[Opening, tuple[float, int]] = {
    "message": (48 * 3600, 5),
    "click": (60, 3),
    "subscribe": (60, 3),
    "scan": (60, 3),
}
TEXT_LIMIT = 2048
APOLOGY = "该公众号提供的服务出现故障，请稍后再试"


def simulate(world: World, account: Account, hooks_url: str) -> web.Application:
    """The platform server of `account`; it calls `hooks_url` back when customers write."""
    return OfficialAccount(world, account, hooks_url).app()


@dataclass(slots=True, kw_only=True)
class _Window:
    until: float
    left: int


class OfficialAccount(Platform):
    """`followers` holds the openids of those who follow."""

    def __init__(self, world: World, account: Account, hooks_url: str) -> None:
        self.app_id = account.get("app_id")
        super().__init__(world, account, hooks_url, receive_id=self.app_id)
        self.mode = account.get("mode") or "secure"
        self.original_id = account.get("original_id") or "gh_" + self.app_id[-12:]
        self.followers: dict[str, int] = {}
        #: Tencent stopped telling names in December 2021; a demo without names is hard to follow.
        self.tells_names = True
        self._windows: dict[tuple[str, Opening], _Window] = {}
        self.apis |= {
            "token": self._token,
            "stable_token": self._stable_token,
            "user/info": self._info,
            "message/custom/send": self._send,
            "message/custom/typing": self._typing,
            "get_api_domain_ip": lambda _: {"ip_list": ["127.0.0.1"]},
        }

    # ------------------------------------------------------------ what customers do

    async def say(self, persona: Persona, bubble: Bubble) -> bool:
        self._open(persona, "message")
        if bubble.kind == "image":
            return await self.tell(
                persona, "image", {"PicUrl": "", "MediaId": bubble.text, "MsgId": int(bubble.id)}
            )
        return await self.tell(persona, "text", {"Content": bubble.text, "MsgId": int(bubble.id)})

    async def meet(self, persona: Persona, staff: Staff) -> bool:
        """The customer follows by the QR code of `staff`."""
        self._open(persona, "subscribe")
        return await self.event(persona, "subscribe", EventKey=f"qrscene_{staff.userid}", Ticket="gQH")

    async def leave(self, persona: Persona, staff: Staff) -> bool:
        del staff
        self.followers.pop(persona.openid(self.app_id), None)
        return await self.event(persona, "unsubscribe", EventKey="")

    async def scan(self, persona: Persona, scene: str) -> bool:
        """A follower scans a QR code."""
        self._open(persona, "scan")
        return await self.event(persona, "SCAN", EventKey=scene, Ticket="gQH")

    async def click(self, persona: Persona, key: str) -> bool:
        """A follower taps a menu entry."""
        self._open(persona, "click")
        return await self.event(persona, "CLICK", EventKey=key)

    async def event(self, persona: Persona, name: str, **fields: object) -> bool:
        return await self.tell(persona, "event", {"Event": name, **fields})

    async def tell(self, persona: Persona, kind: str, fields: Mapping[str, Any]) -> bool:
        """Any message or event of this customer, as an encrypted callback."""
        openid = persona.openid(self.app_id)
        common = {
            "ToUserName": self.original_id,
            "FromUserName": openid,
            "CreateTime": int(self.world.time()),
            "MsgType": kind,
        }
        acked = await self.callback(xml({**common, **fields}), extra={"openid": openid})
        if not acked:
            self._show(persona, APOLOGY, "system")
        return acked

    # ------------------------------------------------------------ callbacks

    def challenge(self) -> tuple[Mapping[str, str], str]:
        word = str(self.world.serial())
        return {**self._plain_sign(), "echostr": word}, word

    def seal(self, plain: bytes, shape: Shape, receive_id: str, extra: Mapping[str, str]) -> Letter:
        query, body = {**self._plain_sign(), **extra}, plain
        if self.mode != "plain":
            encrypt = self.encrypt(plain, receive_id)
            query |= {**self.sign(encrypt), "encrypt_type": "aes"}
            query["signature"] = plain_signature(
                self.account.get("token"), query["timestamp"], query["nonce"]
            )
            body = xml({"ToUserName": self.original_id, "Encrypt": encrypt}).encode()
            if self.mode == "compatible":
                body = plain.replace(b"</xml>", xml({"Encrypt": encrypt})[len("<xml>") :].encode())
        return Letter(plain=plain, shape=shape, receive_id=receive_id, extra=extra, query=query, body=body)

    def accepts(self, status: int, answer: bytes) -> bool:
        """`success`, nothing, or a passive reply that is sealed and signed for us."""
        return status == 200 and (answer in (b"", b"success") or self._passive(answer))

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
            self._show(persona, words, kind)
        return persona is not None

    def _plain_sign(self) -> dict[str, str]:
        stamp, nonce = str(int(self.world.time())), str(self.world.rng.getrandbits(30))
        signature = plain_signature(self.account.get("token"), stamp, nonce)
        return {"signature": signature, "timestamp": stamp, "nonce": nonce}

    # ------------------------------------------------------------ the API

    def _token(self, ask: Ask) -> Answer:
        """The old way: every call ends the life of the token before."""
        self._admit(ask.query, "client_credential")
        return self.grants.issue("old", fresh=True)

    def _stable_token(self, ask: Ask) -> Answer:
        """The same token until five minutes before its end, unless forced; does not touch the old way's."""
        self._admit(ask.body, "client_credential")
        return self.grants.issue("stable", early_s=300, fresh=ask.body.get("force_refresh") is True)

    def _admit(self, given: Mapping[str, Any], grant: str) -> None:
        if given.get("grant_type") != grant:
            raise Fault(40002, "invalid grant_type")
        if given.get("appid") != self.app_id:
            raise Fault(40013, "invalid appid")
        if not same(str(given.get("secret")), self.account.get("secret")):
            raise Fault(40001, "invalid credential, access_token is invalid or not latest")

    def _info(self, ask: Ask) -> Answer:
        persona = self._person(ask.query.get("openid"))
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

    def _send(self, ask: Ask) -> Answer:
        persona = self._person(ask.body.get("touser"))
        text, kind = self.read_message(ask.body, TEXT_LIMIT)
        if persona.openid(self.app_id) not in self.followers:
            raise Fault(43004, "require subscribe")
        if persona.unionid in self.world.refusing:
            raise Fault(48002, "user block receive message")
        self._spend(persona)
        self._show(persona, text, kind)
        return {}

    def _typing(self, ask: Ask) -> Answer:
        self._person(ask.body.get("touser"))
        return {}

    def _person(self, openid: object) -> Persona:
        persona = self.world.by_openid(self.app_id, openid) if isinstance(openid, str) else None
        if persona is None:
            raise Fault(40003, "invalid openid")
        return persona

    # ------------------------------------------------------------ the quota

    def _open(self, persona: Persona, by: Opening) -> None:
        """Whoever writes or taps follows us, and may be answered for a while."""
        openid, now = persona.openid(self.app_id), self.world.time()
        self.followers.setdefault(openid, int(now))
        seconds, count = WINDOWS[by]
        self._windows[openid, by] = _Window(until=now + seconds, left=count)

    def _spend(self, persona: Persona) -> None:
        now, openid = self.world.time(), persona.openid(self.app_id)
        known = [self._windows[openid, by] for by in WINDOWS if (openid, by) in self._windows]
        open_ones = [window for window in known if window.until > now]
        if not open_ones:
            raise Fault(45015, "response out of time limit or subscription is canceled")
        usable = [window for window in open_ones if window.left]
        if not usable:
            raise Fault(45047, "out of response count limit")
        # The window that ends first is used up first.
        min(usable, key=lambda window: window.until).left -= 1

    def _show(self, persona: Persona, text: str, kind: str) -> None:
        serial = self.world.serial()
        bubble = Bubble(
            id=str(serial), slug=self.account.slug, mine=False, text=text, at=self.world.now(), kind=kind
        )
        self.world.deliver(persona, bubble)
