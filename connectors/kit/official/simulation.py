"""What a fake Official Account and a fake mini-program share: modes, tokens, windows, replies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.kit.codec import plain_signature, same
from connectors.kit.platform import Answer, Ask, Fault, Letter, Platform, Shape, xml
from connectors.kit.world import Bubble, Persona, World
from scrm.contract import Account

TEXT_LIMIT = 2048
#: Part of a message that names an uploaded file.
_FILES = {"image": "media_id", "voice": "media_id", "video": "media_id", "miniprogrampage": "thumb_media_id"}
#: Parts that must say something.
_TITLED = frozenset({"link", "miniprogrampage"})


@dataclass(slots=True, kw_only=True)
class Quota:
    until: float
    left: int


class OfficialPlatform(Platform):
    """`windows` says what opens a reply window: seconds and how many messages."""

    windows: Mapping[str, tuple[float, int]]
    shape: Shape = "xml"
    #: What a follower reads when we do not answer.
    apology = ""

    def __init__(self, world: World, account: Account, hooks_url: str) -> None:
        self.app_id = account.get("app_id")
        super().__init__(world, account, hooks_url, receive_id=self.app_id)
        self.mode = account.get("mode") or "secure"
        self.original_id = account.get("original_id") or "gh_" + self.app_id[-12:]
        self._quotas: dict[tuple[str, str], Quota] = {}
        self.apis |= {
            "token": self._token,
            "stable_token": self._stable_token,
            "message/custom/send": self._send,
            "message/custom/typing": self._typing,
            "get_api_domain_ip": lambda _: {"ip_list": ["127.0.0.1"]},
        }

    # ------------------------------------------------------------ what customers do

    async def say(self, persona: Persona, bubble: Bubble) -> bool:
        self.open(persona, "message")
        if bubble.kind == "image":
            return await self.tell(
                persona, "image", {"PicUrl": "", "MediaId": bubble.text, "MsgId": int(bubble.id)}
            )
        return await self.tell(persona, "text", {"Content": bubble.text, "MsgId": int(bubble.id)})

    async def event(self, persona: Persona, name: str, **fields: object) -> bool:
        return await self.tell(persona, "event", {"Event": name, **fields})

    async def tell(self, persona: Persona, kind: str, fields: Mapping[str, Any]) -> bool:
        """Any message or event of this customer, as a callback."""
        openid = persona.openid(self.app_id)
        told = {
            "ToUserName": self.original_id,
            "FromUserName": openid,
            "CreateTime": int(self.world.time()),
            "MsgType": kind,
            **fields,
        }
        plain = json.dumps(told, ensure_ascii=False) if self.shape == "json" else xml(told)
        acked = await self.callback(plain, shape=self.shape, extra={"openid": openid})
        if not acked and self.apology:
            self.show(persona, self.apology, "system")
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
            body = self._envelope(plain, encrypt, shape)
        return Letter(plain=plain, shape=shape, receive_id=receive_id, extra=extra, query=query, body=body)

    def _envelope(self, plain: bytes, encrypt: str, shape: Shape) -> bytes:
        if shape == "json":
            open_fields = json.loads(plain) if self.mode == "compatible" else {"ToUserName": self.original_id}
            return json.dumps({**open_fields, "Encrypt": encrypt}, ensure_ascii=False).encode()
        if self.mode == "compatible":
            return plain.replace(b"</xml>", xml({"Encrypt": encrypt})[len("<xml>") :].encode())
        return xml({"ToUserName": self.original_id, "Encrypt": encrypt}).encode()

    def accepts(self, status: int, answer: bytes) -> bool:
        return status == 200 and answer in (b"", b"success")

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

    def _send(self, ask: Ask) -> Answer:
        persona = self.person(ask.body.get("touser"))
        text, kind = self.heard(ask.body)
        self.admits(persona)
        self._spend(persona)
        self.show(persona, text, kind)
        return {}

    def heard(self, body: Mapping[str, Any]) -> tuple[str, str]:
        """(text, kind) of a reply; its files must have been uploaded."""
        kind = str(body.get("msgtype"))
        part = body.get(kind)
        if kind in ("text", "image") or not isinstance(part, dict):
            return self.read_message(body, TEXT_LIMIT)
        if kind in _FILES:
            self.find_media(part.get(_FILES[kind]))
        title = part.get("title")
        if kind in _TITLED and not (isinstance(title, str) and title):
            raise Fault(44004, "empty title")
        if kind not in _FILES and kind not in _TITLED:
            raise Fault(40008, "invalid message type")
        return str(title or kind), kind

    def admits(self, persona: Persona) -> None:
        """Raises `Fault` when this customer may not be written to at all."""
        if persona.unionid in self.world.refusing:
            raise Fault(48002, "user block receive message")

    def _typing(self, ask: Ask) -> Answer:
        self.person(ask.body.get("touser"))
        return {}

    def notify(self, ask: Ask) -> dict[str, Any]:
        """A template or subscription message: no window, but a template and values."""
        persona = self.person(ask.body.get("touser"))
        data = ask.body.get("data")
        ask.text("template_id")
        if not isinstance(data, dict) or not all(isinstance(one, dict) for one in data.values()):
            raise Fault(47003, "argument invalid")
        self.admits(persona)
        self.show(persona, "，".join(str(one.get("value")) for one in data.values()), "notice")
        return {"msgid": self.world.serial() % 10**15}

    def person(self, openid: object) -> Persona:
        persona = self.world.by_openid(self.app_id, openid) if isinstance(openid, str) else None
        if persona is None:
            raise Fault(40003, "invalid openid")
        return persona

    # ------------------------------------------------------------ the quota

    def open(self, persona: Persona, by: str) -> None:
        """What this customer did lets us answer for a while."""
        seconds, count = self.windows[by]
        self._quotas[persona.openid(self.app_id), by] = Quota(until=self.world.time() + seconds, left=count)

    def _spend(self, persona: Persona) -> None:
        now, openid = self.world.time(), persona.openid(self.app_id)
        known = [self._quotas[openid, by] for by in self.windows if (openid, by) in self._quotas]
        open_ones = [quota for quota in known if quota.until > now]
        if not open_ones:
            raise Fault(45015, "response out of time limit or subscription is canceled")
        usable = [quota for quota in open_ones if quota.left]
        if not usable:
            raise Fault(45047, "out of response count limit")
        # The window that ends first is used up first.
        min(usable, key=lambda quota: quota.until).left -= 1

    def show(self, persona: Persona, text: str, kind: str) -> None:
        serial = self.world.serial()
        bubble = Bubble(
            id=str(serial), slug=self.account.slug, mine=False, text=text, at=self.world.now(), kind=kind
        )
        self.world.deliver(persona, bubble)
