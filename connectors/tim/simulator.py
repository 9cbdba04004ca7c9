"""A fake Tencent IM: users of an app who chat, signed callbacks, and a REST API with UserSig."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from connectors.kit.platform import Ask, Fault, Letter, Platform, Shape
from connectors.kit.world import Bubble, Persona, Staff, World
from connectors.tim.sig import user_sig
from scrm.contract import Account

#: The same sender, numbers and words within this time are one message.
SAME_S = 120
LONGEST = 12 * 1024
_UNUSED_KEY = "A" * 43
_ALPHABET = str.maketrans("*-_", "+/=")

Fields = dict[str, Any]


def simulate(world: World, account: Account, hooks_url: str) -> web.Application:
    """The platform server of `account`; it calls `hooks_url` back when users write."""
    return InstantMessaging(world, account, hooks_url).app()


def user_id(persona: Persona) -> str:
    """The customer's user id in the app."""
    return f"user{persona.number}"


class InstantMessaging(Platform):
    """Customers write to `agent`. `groups` maps a group id to its members' user ids."""

    def __init__(self, world: World, account: Account, hooks_url: str) -> None:
        # These callbacks are signed, not encrypted.
        own = replace(account, secrets={**account.secrets, "aes_key": _UNUSED_KEY})
        super().__init__(world, own, hooks_url, receive_id=account.get("sdk_app_id"))
        self.admin = account.get("admin") or "administrator"
        self.agent = account.get("sender") or self.admin
        self.groups: dict[str, list[str]] = {}
        self._sent: dict[tuple[object, ...], tuple[float, Fields]] = {}
        self._seqs: dict[str, int] = {}
        self.apis = {
            "openim/sendmsg": self._send,
            "group_open_http_svc/send_group_msg": self._send_to_group,
            "profile/portrait_get": self._portraits,
        }

    # ------------------------------------------------------------ what customers do

    async def say(self, persona: Persona, bubble: Bubble) -> bool:
        return await self.message(user_id(persona), self.agent, _text(bubble.text), random=int(bubble.id))

    async def meet(self, persona: Persona, staff: Staff) -> bool:
        """The customer opens the app."""
        del staff
        return await self._state(persona, "Login", "Register")

    async def leave(self, persona: Persona, staff: Staff) -> bool:
        del staff
        return await self._state(persona, "Logout", "Unregister")

    async def message(self, sender: str, receiver: str, *elements: Fields, random: int = 0) -> bool:
        """A one-to-one message of anybody, e.g. of a colleague in the app."""
        return await self.tell("C2C.CallbackAfterSendMsg", self._c2c(sender, receiver, elements, random))

    async def recall(self, sender: str, receiver: str, key: str) -> bool:
        fields = {"From_Account": sender, "To_Account": receiver, "MsgKey": key, "UnreadMsgNum": 0}
        return await self.tell("C2C.CallbackAfterMsgWithDraw", fields)

    async def edit(self, sender: str, receiver: str, key: str, *elements: Fields) -> bool:
        seq, random, at = (int(part) for part in key.split("_"))
        fields = {"From_Account": sender, "To_Account": receiver, "Operator_Account": sender}
        numbers = {"MsgSeq": seq, "MsgRandom": random, "MsgTime": at, "MsgKey": key}
        return await self.tell("C2C.CallbackAfterModifyMsg", {**fields, **numbers, "MsgBody": list(elements)})

    async def in_group(self, group_id: str, sender: str, *elements: Fields) -> bool:
        fields = {"GroupId": group_id, "Type": "Public", "From_Account": sender, "Operator_Account": sender}
        numbers = {"MsgSeq": self._seq(group_id), "MsgTime": int(self.world.time()), "OnlineOnlyFlag": 0}
        return await self.tell("Group.CallbackAfterSendMsg", {**fields, **numbers, "MsgBody": list(elements)})

    async def tell(self, command: str, fields: Mapping[str, Any]) -> bool:
        """Any callback, signed."""
        body = {"CallbackCommand": command, **fields, "EventTime": int(self.world.time() * 1000)}
        return await self.callback(
            json.dumps(body, ensure_ascii=False), shape="json", extra={"CallbackCommand": command}
        )

    async def _state(self, persona: Persona, action: str, reason: str) -> bool:
        info = {"Action": action, "To_Account": user_id(persona), "Reason": reason}
        return await self.tell("State.StateChange", {"Info": info})

    def _c2c(self, sender: str, receiver: str, elements: tuple[Fields, ...], random: int) -> Fields:
        at, seq, number = int(self.world.time()), self._seq(sender), random % 2**32
        return {
            "From_Account": sender,
            "To_Account": receiver,
            "MsgSeq": seq,
            "MsgRandom": number,
            "MsgTime": at,
            "MsgKey": f"{seq}_{number}_{at}",
            "OnlineOnlyFlag": 0,
            "SendMsgResult": 0,
            "ErrorInfo": "send msg succeed",
            "UnreadMsgNum": 1,
            "MsgBody": list(elements),
        }

    def _seq(self, of: str) -> int:
        self._seqs[of] = self._seqs.get(of, 0) + 1
        return self._seqs[of]

    # ------------------------------------------------------------ callbacks

    def seal(self, plain: bytes, shape: Shape, receive_id: str, extra: Mapping[str, str]) -> Letter:
        stamp = str(int(self.world.time()))
        made = hashlib.sha256((self.account.get("token") + stamp).encode()).hexdigest()
        query = {
            "SdkAppid": receive_id,
            "contenttype": "json",
            "ClientIP": "127.0.0.1",
            "OptPlatform": "Android",
            "Sign": made,
            "RequestTime": stamp,
            **extra,
        }
        return Letter(plain=plain, shape=shape, receive_id=receive_id, extra=extra, query=query, body=plain)

    def accepts(self, status: int, answer: bytes) -> bool:
        try:
            return status == 200 and json.loads(answer)["ErrorCode"] == 0
        except (ValueError, KeyError, TypeError):
            return False

    # ------------------------------------------------------------ the API

    def app(self) -> web.Application:
        app = super().app()
        app.router.add_post("/v4/{path:.+}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        self.calls[path] += 1
        try:
            ask = await self._read(request)
            self._admit(ask.query)
            if self._faults[path]:
                raise Fault(self._faults[path].pop(0), "scripted fault")
            if path not in self.apis:
                raise Fault(60009, "no such api")
            found = dict(self._fields(path, ask))
        except Fault as fault:
            return web.json_response(
                {"ActionStatus": "FAIL", "ErrorInfo": str(fault), "ErrorCode": fault.code}
            )
        return web.json_response({"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, **found})

    def _fields(self, path: str, ask: Ask) -> Mapping[str, Any]:
        answer = self.apis[path](ask)
        if isinstance(answer, web.Response):
            raise TypeError(path)
        return answer

    def _admit(self, query: Mapping[str, str]) -> None:
        """The administrator's own signature, made with our key, still good."""
        try:
            plain = zlib.decompress(base64.b64decode(query.get("usersig", "").translate(_ALPHABET)))
            given = json.loads(plain)
            at, life = int(given["TLS.time"]), int(given["TLS.expire"])
        except (ValueError, KeyError, TypeError, zlib.error):
            raise Fault(70003, "usersig cannot be parsed") from None
        who, key = str(given.get("TLS.identifier")), self.account.get("secret")
        right = user_sig(sdk_app_id=int(self.receive_id), key=key, identifier=who, at=at, lifetime_s=life)
        if query.get("sdkappid") != self.receive_id:
            raise Fault(60006, "sdkappid is illegal")
        if query.get("usersig") != right:
            raise Fault(70009, "usersig is not made with this key")
        if query.get("identifier") != who:
            raise Fault(70013, "identifier does not match usersig")
        if at + life < self.world.time():
            raise Fault(70001, "usersig expired")
        if who != self.admin:
            raise Fault(60010, "only the administrator may call this")

    def _send(self, ask: Ask) -> Fields:
        persona = self._person(ask.text("To_Account"))
        sender, text = str(ask.body.get("From_Account") or self.admin), _words(ask.body)
        if persona.unionid in self.world.refusing:
            raise Fault(20007, "blocked by the receiver")
        numbers = tuple(ask.body.get(name) for name in ("MsgSeq", "MsgRandom"))
        if not isinstance(numbers[1], int):
            raise Fault(90005, "MsgRandom is missing")
        once, now = (sender, *numbers, zlib.crc32(text.encode())), self.world.time()
        until, answer = self._sent.get(once, (0.0, {}))
        if until < now:
            answer = {"MsgTime": int(now), "MsgKey": f"{numbers[0]}_{numbers[1]}_{int(now)}"}
            self._sent[once] = (now + SAME_S, answer)
            self._show(persona, text, sender)
            self._echo(ask.body, sender, answer)
        return answer

    def _echo(self, body: Mapping[str, Any], sender: str, answer: Fields) -> None:
        """What is sent by API calls back too, unless it asks not to."""
        if "ForbidAfterSendMsgCallback" in (body.get("ForbidCallbackControl") or []):
            return
        told = {"From_Account": sender, "SendMsgResult": 0, "OnlineOnlyFlag": 0, **answer}
        told |= {name: body[name] for name in ("To_Account", "MsgSeq", "MsgRandom", "MsgBody")}
        self.spawn(self.tell("C2C.CallbackAfterSendMsg", told))

    def _send_to_group(self, ask: Ask) -> Fields:
        group_id, text = ask.text("GroupId"), _words(ask.body)
        if group_id not in self.groups:
            raise Fault(10010, "no such group")
        for member in self.groups[group_id]:
            self._show(self._person(member), text, str(ask.body.get("From_Account")))
        return {"MsgTime": int(self.world.time()), "MsgSeq": self._seq(group_id)}

    def _portraits(self, ask: Ask) -> Fields:
        asked = ask.body.get("To_Account")
        if not isinstance(asked, list) or not asked:
            raise Fault(90001, "To_Account is missing")
        known = {user_id(person): person for person in self.world.personas}
        items = [
            {
                "To_Account": one,
                "ProfileItem": [{"Tag": "Tag_Profile_IM_Nick", "Value": known[one].name}],
                "ResultCode": 0,
            }
            for one in asked
            if one in known
        ]
        return {"UserProfileItem": items}

    def _person(self, user: str) -> Persona:
        found = next((person for person in self.world.personas if user_id(person) == user), None)
        if found is None:
            raise Fault(70107, "the account is not imported")
        return found

    def _show(self, persona: Persona, text: str, by: str) -> None:
        bubble = Bubble(
            id=str(self.world.serial()),
            slug=self.account.slug,
            mine=False,
            text=text,
            at=self.world.now(),
            by="" if by == self.admin else by,
        )
        self.world.deliver(persona, bubble)


def _text(words: str) -> Fields:
    return {"MsgType": "TIMTextElem", "MsgContent": {"Text": words}}


def _words(body: Mapping[str, Any]) -> str:
    """The text of a message sent by API."""
    elements = body.get("MsgBody")
    if not isinstance(elements, list) or not elements:
        raise Fault(90002, "MsgBody is missing")
    if len(json.dumps(elements, ensure_ascii=False).encode()) > LONGEST:
        raise Fault(93000, "message too long")
    parts = [one.get("MsgContent", {}).get("Text") for one in elements if isinstance(one, dict)]
    if not all(isinstance(part, str) and part for part in parts):
        raise Fault(90007, "MsgBody is bad")
    return "".join(parts)
