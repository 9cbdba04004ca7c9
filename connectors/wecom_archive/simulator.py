"""A fake conversation archive: what members and customers say in WeCom, sealed, pulled by seq."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors.kit.platform import Answer, Ask, Fault, Platform, issue_corp_token, xml
from connectors.kit.world import Bubble, Persona, Staff, World
from connectors.wecom_archive import keys
from scrm.contract import Account

KEPT_S = 5 * 86400
PAGE, CHUNK = 1000, 512 * 1024
#: Return codes of the SDK.
BAD_FILE, BAD_DECRYPT, BAD_KEY = 10005, 10006, 10008

Message = dict[str, Any]


def simulate(world: World, account: Account, hooks_url: str) -> web.Application:
    """The archive of `account`, whose `library` must be `simulator`; it notifies `hooks_url` if it can."""
    return Archive(world, account, hooks_url).app()


def fresh_keys(version: int = 1) -> str:
    """The setting `private_keys` with a new key: for demo and tests."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return f"version: {version}\n{pem}"


class Archive(Platform):
    """One company's archive. Its customers are the world's people, as external contacts of the company."""

    def __init__(self, world: World, account: Account, hooks_url: str) -> None:
        self.corp_id = account.get("corp_id")
        self._calls_back = bool(account.get("token") and account.get("aes_key"))
        speaking = account if self._calls_back else _mute(account)
        super().__init__(world, speaking, hooks_url, receive_id=self.corp_id)
        #: (seconds, sealed item) by seq - 1.
        self.log: list[tuple[float, Message]] = []
        self.files: dict[str, bytes] = {}
        #: Unionids of customers who do not agree to be archived.
        self.declined: set[str] = set()
        self.apis |= {
            "gettoken": lambda ask: issue_corp_token(self, ask),
            "msgaudit/get_permit_user_list": lambda _: {"ids": [s.userid for s in self.world.staff]},
            "msgaudit/check_single_agree": self._agreed,
        }
        self._sdk = {"pull": self._pull, "decrypt": self._decrypt, "media": self._media}

    # ------------------------------------------------------------ what people do

    async def say(self, persona: Persona, bubble: Bubble) -> bool:
        """The customer writes to their first member of staff."""
        return await self.tell(persona, self.world.staff[0], bubble.text)

    async def meet(self, persona: Persona, staff: Staff) -> bool:
        """The customer agrees to be archived."""
        who = persona.external_userid(self.corp_id)
        agree = {"userid": who, "agree_time": int(self.world.time() * 1000)}
        return await self.put(who, [staff.userid], "agree", agree)

    async def leave(self, persona: Persona, staff: Staff) -> bool:
        """The archive does not hear of it."""
        del persona, staff
        return True

    async def tell(self, persona: Persona, staff: Staff, text: str, *, room: str = "") -> bool:
        """The customer writes to `staff`, or in a group."""
        who = persona.external_userid(self.corp_id)
        return await self.put(who, [staff.userid], "text", {"content": text}, room=room)

    async def staff_says(self, staff: Staff, persona: Persona, text: str, *, room: str = "") -> bool:
        """`staff` writes to the customer, by hand or from the side bar: the archive knows no difference."""
        who = persona.external_userid(self.corp_id)
        bubble = Bubble(
            id=str(self.world.serial()),
            slug=self.account.slug,
            mine=False,
            text=text,
            at=self.world.now(),
            by=staff.userid,
        )
        self.world.deliver(persona, bubble)
        return await self.put(staff.userid, [who], "text", {"content": text}, room=room)

    async def show(self, persona: Persona, staff: Staff, name: str, content: bytes) -> bool:
        """The customer sends a picture."""
        md5, who = (
            hashlib.md5(content, usedforsecurity=False).hexdigest(),
            persona.external_userid(self.corp_id),
        )
        file_id = f"Ct{md5}{len(self.files)}"
        self.files[file_id] = content
        part = {"md5sum": md5, "filesize": len(content), "sdkfileid": file_id, "filename": name}
        return await self.put(who, [staff.userid], "image", part)

    async def forward(self, persona: Persona, staff: Staff, owner: Persona) -> bool:
        """The customer forwards somebody's contact card."""
        who, whose = persona.external_userid(self.corp_id), owner.external_userid(self.corp_id)
        part = {"corpname": "微信联系人", "userid": whose}
        return await self.put(who, [staff.userid], "card", part)

    async def put(
        self, sender: str, to: list[str], msgtype: str, part: Message, *, room: str = "", action: str = "send"
    ) -> bool:
        """One message into the archive, and the word that there is one."""
        message = {
            "msgid": f"{self.world.serial()}_{int(self.world.time())}_external",
            "action": action,
            "from": sender,
            "tolist": to,
            "roomid": room,
            "msgtime": int(self.world.time() * 1000),
            "msgtype": msgtype,
            msgtype: part,
        }
        self.log.append((self.world.time(), self._sealed(message)))
        return await self.notify()

    async def notify(self) -> bool:
        """`msgaudit_notify`; without a callback the minute's poll finds it."""
        if not self._calls_back:
            return True
        fields = {
            "ToUserName": self.corp_id,
            "FromUserName": "sys",
            "CreateTime": int(self.world.time()),
            "MsgType": "event",
            "Event": "msgaudit_notify",
            "AgentID": 2000004,
        }
        return await self.callback(xml(fields))

    # ------------------------------------------------------------ the library

    def _handle(self, path: str, ask: Ask) -> Answer:
        what = path.removeprefix("archive/")
        if what == path or what not in self._sdk:
            return super()._handle(path, ask)
        if self._faults[path]:
            raise Fault(self._faults[path].pop(0), "scripted fault")
        if (ask.body.get("corp_id"), ask.body.get("secret")) != (self.corp_id, self.account.get("secret")):
            raise Fault(10000, "bad corp id or secret")
        return self._sdk[what](ask)

    def _pull(self, ask: Ask) -> Answer:
        seq, limit = ask.body.get("seq"), ask.body.get("limit")
        if not isinstance(seq, int) or not isinstance(limit, int) or not 1 <= limit <= PAGE:
            raise Fault(10000, "bad seq or limit")
        oldest = self.world.time() - KEPT_S
        page = [item for at, item in self.log[seq : seq + limit] if at >= oldest]
        return _data(json.dumps({"errcode": 0, "errmsg": "ok", "chatdata": page}).encode())

    def _decrypt(self, ask: Ask) -> Answer:
        key, message = base64.b64decode(ask.text("key")), ask.text("message")
        if not key:
            raise Fault(BAD_KEY, "no key")
        try:
            plain = _ciphered(base64.b64decode(message, validate=True), key)
        except ValueError:
            plain = b""
        if not plain.startswith(b"{"):
            raise Fault(BAD_DECRYPT, "cannot decrypt")
        return _data(plain)

    def _media(self, ask: Ask) -> Answer:
        content = self.files.get(str(ask.body.get("file")))
        if content is None:
            raise Fault(BAD_FILE, "bad file id")
        start = int(str(ask.body.get("index") or "0"))
        end = start + CHUNK
        return {**_data(content[start:end]), "index": str(end), "last": end >= len(content)}

    def _sealed(self, message: Message) -> Message:
        known = keys.parsed(self.account.get("private_keys"))
        version, key = max(known), self.world.secret()[:32].encode()
        plain = json.dumps(message, ensure_ascii=False).encode()
        locked = known[version].public_key().encrypt(key, padding.PKCS1v15())
        return {
            "seq": len(self.log) + 1,
            "msgid": message["msgid"],
            "publickey_ver": version,
            "encrypt_random_key": base64.b64encode(locked).decode(),
            "encrypt_chat_msg": base64.b64encode(_ciphered(plain, key)).decode(),
        }

    # ------------------------------------------------------------ consent

    def _agreed(self, ask: Ask) -> Answer:
        pairs = ask.body.get("info")
        if not isinstance(pairs, list) or not 1 <= len(pairs) <= 100:
            raise Fault(301060, "1 to 100 pairs")
        return {"agreeinfo": [self._one(pair) for pair in pairs]}

    def _one(self, pair: Mapping[str, str]) -> Message:
        persona = self.world.by_external(self.corp_id, str(pair.get("exteranalopenid")))
        if persona is None:
            raise Fault(40096, "invalid external userid")
        status = "Disagree" if persona.unionid in self.declined else "Default_Agree"
        return {**pair, "agree_status": status, "status_change_time": 0}


def _data(content: bytes) -> Message:
    return {"data": base64.b64encode(content).decode()}


def _ciphered(text: bytes, key: bytes) -> bytes:
    """There and back: this is no secret, it only must not be readable without the key."""
    return bytes(byte ^ key[i % len(key)] for i, byte in enumerate(text))


def _mute(account: Account) -> Account:
    """Platforms sign what they call back with; this one never does."""
    blank = {"token": "none", "aes_key": "A" * 43}
    return Account(
        tenant_id=account.tenant_id,
        account_id=account.account_id,
        slug=account.slug,
        channel=account.channel,
        name=account.name,
        options=account.options,
        secrets={**account.secrets, **blank},
    )
