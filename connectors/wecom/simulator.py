"""A fake WeCom: friends gained and lost, welcome codes, JS-SDK tickets and the staff's sign-in page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from html import escape
from typing import Any, Literal
from urllib.parse import urlsplit

from aiohttp import web
from yarl import URL

from connectors.kit.codec import same
from connectors.kit.phones import page
from connectors.kit.platform import Answer, Ask, Fault, Platform, issue_corp_token, xml
from connectors.kit.world import Bubble, Persona, Staff, World
from connectors.wecom.simulated import Office
from scrm.contract import Account

Form = Literal["xml", "isv", "json"]
WELCOME_S = 20
LOGIN_CODE_S = 300
TICKET_S = 7200
TEXT_LIMIT = 4000
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def simulate(world: World, account: Account, hooks_url: str) -> web.Application:
    """The platform server of `account`; it tells `hooks_url` about contacts and lets staff sign in."""
    return WeCom(world, account, hooks_url).app()


class WeCom(Platform):
    """One company with one app. `friends` maps each customer to the members who have them, and since when."""

    def __init__(self, world: World, account: Account, hooks_url: str) -> None:
        self.corp_id = account.get("corp_id")
        super().__init__(world, account, hooks_url, receive_id=self.corp_id)
        self.friends: dict[int, dict[str, int]] = {}
        self._welcomes: dict[str, tuple[Persona, str, float]] = {}
        self._logins: dict[str, tuple[Mapping[str, str], float]] = {}
        self._tickets: dict[str, tuple[str, float]] = {}
        self.office = Office(self, self.friends)
        self.apis |= self.office.apis()
        self.apis |= {
            "gettoken": lambda ask: issue_corp_token(self, ask),
            "auth/getuserinfo": self._who,
            "user/get": self._user,
            "agent/get": lambda _: {"agentid": int(account.get("agent_id") or 0), "name": account.name},
            "externalcontact/send_welcome_msg": self._welcome,
            "get_jsapi_ticket": lambda _: self._ticket("corp"),
            "ticket/get": self._agent_ticket,
        }

    def app(self) -> web.Application:
        app = super().app()
        app.router.add_get("/connect/oauth2/authorize", self._door)
        app.router.add_post("/sim/verify", self._verify_page)
        app.router.add_post("/sim/chat", self._chat_from_page)
        return app

    # ------------------------------------------------------------ what people do

    async def say(self, persona: Persona, bubble: Bubble) -> bool:
        """Words between friends stay in the app: only an archive would tell the company's systems."""
        del persona, bubble
        return True

    async def meet(self, persona: Persona, staff: Staff) -> bool:
        return await self.add(persona, staff)

    async def leave(self, persona: Persona, staff: Staff) -> bool:
        """The customer deletes the member."""
        self.friends.get(persona.number, {}).pop(staff.userid, None)
        return await self.contact_event(persona, staff, "del_follow_user")

    async def add(self, persona: Persona, staff: Staff, *, form: Form = "xml", state: str = "") -> bool:
        """The customer adds the member by a contact way named `state`; a welcome code comes along."""
        code = self.world.secret()
        self._welcomes[code] = (persona, staff.userid, self.world.time())
        self.friends.setdefault(persona.number, {})[staff.userid] = int(self.world.time())
        self.office.note(persona, staff.userid).state = state
        extra = {"WelcomeCode": code} | ({"State": state} if state else {})
        return await self.contact_event(persona, staff, "add_external_contact", extra, form=form)

    async def edit(self, persona: Persona, staff: Staff) -> bool:
        """The member changes the customer's remark or tags."""
        return await self.contact_event(persona, staff, "edit_external_contact")

    async def drop(self, persona: Persona, staff: Staff, *, transfer: bool = False) -> bool:
        """The member deletes the customer, or loses them to a colleague."""
        self.friends.get(persona.number, {}).pop(staff.userid, None)
        source = {"Source": "DELETE_BY_TRANSFER"} if transfer else {}
        return await self.contact_event(persona, staff, "del_external_contact", source)

    async def contact_event(
        self,
        persona: Persona,
        staff: Staff,
        change: str,
        more: Mapping[str, str] | None = None,
        *,
        form: Form = "xml",
    ) -> bool:
        """Any `change_external_contact` event, in each of the three shapes companies receive."""
        who = {"UserID": staff.userid, "ExternalUserID": persona.external_userid(self.corp_id)}
        fields = {"ChangeType": change, **who, **(more or {})}
        return await self.event("change_external_contact", fields, form=form)

    async def event(self, name: str, fields: Mapping[str, Any], *, form: Form = "xml") -> bool:
        """Any event of the company: self-built XML, a third party's XML with `InfoType`, or JSON."""
        now = int(self.world.time())
        if form == "isv":
            suite_id = self.account.get("suite_id")
            head = {"SuiteId": suite_id, "AuthCorpId": self.corp_id, "InfoType": name, "TimeStamp": now}
            return await self.callback(xml({**head, **fields}), receive_id=suite_id)
        who = {"ToUserName": self.corp_id, "FromUserName": "sys"}
        whole = {**who, "CreateTime": now, "MsgType": "event", "Event": name, **fields}
        if form == "json":
            return await self.callback(json.dumps(whole, ensure_ascii=False), shape="json")
        return await self.callback(xml(whole))

    async def staff_says(self, staff: Staff, text: str) -> bool:
        """A member writes to the app; customers never do."""
        fields = {
            "ToUserName": self.corp_id,
            "FromUserName": staff.userid,
            "CreateTime": int(self.world.time()),
            "MsgType": "text",
            "Content": text,
            "MsgId": self.world.serial(),
            "AgentID": self.account.get("agent_id"),
        }
        return await self.callback(xml(fields))

    def chat(self, persona: Persona, staff: Staff, text: str) -> str:
        """The member writes to the customer inside WeCom, e.g. by `sendChatMessage`; the message's id."""
        return self._show(persona, text, by=staff.userid)

    # ------------------------------------------------------------ contacts

    def _welcome(self, ask: Ask) -> Answer:
        code, part = ask.text("welcome_code"), ask.body.get("text")
        text = part.get("content") if isinstance(part, dict) else None
        if not isinstance(text, str) or not text:
            raise Fault(40058, "missing or bad parameter: text")
        if len(text.encode()) > TEXT_LIMIT:
            raise Fault(45002, "content size out of limit")
        persona, userid, since = self._welcomes.pop(code, (None, "", 0.0))
        if persona is None or self.world.time() - since > WELCOME_S:
            raise Fault(41050, "welcome code expired or invalid")
        chat = self.world.phone(persona, self.account.slug)
        if chat and chat[-1].at.timestamp() >= since:
            raise Fault(41051, "already chatting with the customer")
        self._show(persona, text, by=userid)
        return {}

    def _show(self, persona: Persona, text: str, *, by: str) -> str:
        bubble = Bubble(
            id=f"w{self.world.serial()}",
            slug=self.account.slug,
            mine=False,
            text=text,
            at=self.world.now(),
            by=by,
        )
        self.world.deliver(persona, bubble)
        return bubble.id

    # ------------------------------------------------------------ sign-in

    async def _door(self, request: web.Request) -> web.Response:
        """The page a member sees; `auto=<userid>` skips it, `auto=customer:<n>` signs a customer in."""
        query = request.query
        back = urlsplit(query.get("redirect_uri", ""))
        ours = LOOPBACK | {urlsplit(self.hooks_url).hostname}
        if query.get("appid") != self.corp_id or query.get("response_type") != "code":
            raise web.HTTPBadRequest(text="参数错误：请检查 appid 和 response_type。")
        if back.scheme not in ("http", "https") or back.hostname not in ours:
            raise web.HTTPBadRequest(text="redirect_uri 与应用的可信域名不一致（50001）。")
        if "auto" in query:
            code = self._login(query["auto"])
            url = URL(query["redirect_uri"]).update_query(code=code, state=query.get("state", ""))
            raise web.HTTPFound(url)
        links = [(str(request.rel_url.update_query(auto=one.userid)), one.name) for one in self.world.staff]
        rows = "".join(f'<li><a href="{escape(url)}">{escape(name)}</a></li>' for url, name in links)
        return page(
            "企业微信登录",
            f"<main><h1>企业微信登录（模拟）</h1><p>选择你的身份：</p><ul>{rows}</ul></main>",
        )

    def _login(self, who: str) -> str:
        people = {str(person.number): person for person in self.world.personas}
        customer = people.get(who.removeprefix("customer:")) if who.startswith("customer:") else None
        if customer is None and self.world.member(who) is None:
            raise web.HTTPBadRequest(text="没有这位成员。")
        code = self.world.secret()
        known = {"userid": who, "user_ticket": self.world.secret()}
        if customer is not None:
            known = {"openid": customer.openid(self.corp_id)}
            known["external_userid"] = customer.external_userid(self.corp_id)
        self._logins[code] = (known, self.world.time())
        return code

    def _who(self, ask: Ask) -> Answer:
        known, since = self._logins.pop(ask.query.get("code", ""), ({}, 0.0))
        if not known or self.world.time() - since > LOGIN_CODE_S:
            raise Fault(40029, "invalid code")
        return known

    def _user(self, ask: Ask) -> Answer:
        member = self.world.member(ask.query.get("userid", ""))
        if member is None:
            raise Fault(60111, "userid not found")
        return {"userid": member.userid, "name": member.name, "department": [1], "status": 1}

    # ------------------------------------------------------------ JS-SDK

    def _agent_ticket(self, ask: Ask) -> Answer:
        if ask.query.get("type") != "agent_config":
            raise Fault(91040, "wrong ticket type")
        return self._ticket("agent")

    def _ticket(self, scope: str) -> Answer:
        ticket, until = self._tickets.get(scope, ("", 0.0))
        if until <= self.world.time():
            ticket, until = self.world.secret(), self.world.time() + TICKET_S
            self._tickets[scope] = (ticket, until)
        return {"ticket": ticket, "expires_in": int(until - self.world.time())}

    def signed_well(self, scope: str, url: str, timestamp: str, nonce: str, signature: str) -> bool:
        """What the client checks before it lets a page use `wx.config` (corp) or `agentConfig` (agent)."""
        ticket, until = self._tickets.get(scope, ("", 0.0))
        text = f"jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={url.partition('#')[0]}"
        expected = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        return until > self.world.time() and same(signature, expected)

    async def _verify_page(self, request: web.Request) -> web.Response:
        """For a fake WeChat client in another process: `{scope, url, timestamp, nonceStr, signature}`."""
        given = await _fields(request)
        asked = [str(given.get(k, "")) for k in ("scope", "url", "timestamp", "nonceStr", "signature")]
        return web.json_response({"ok": self.signed_well(*asked)})

    async def _chat_from_page(self, request: web.Request) -> web.Response:
        """The same client sends a chat message: `{external_userid, userid, text}`."""
        given = await _fields(request)
        persona = self.world.by_external(self.corp_id, str(given.get("external_userid")))
        member = self.world.member(str(given.get("userid")))
        if persona is None or member is None or not given.get("text"):
            raise web.HTTPBadRequest(text="没有这位客户或成员，或内容为空。")
        return web.json_response({"msgid": self.chat(persona, member, str(given["text"]))})


async def _fields(request: web.Request) -> dict[str, Any]:
    try:
        given = await request.json()
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise web.HTTPBadRequest(text="需要一个 JSON 对象。")
    return given
