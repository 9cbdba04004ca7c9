"""A fake WeChat Customer Service: a message log read by cursor, session states, and human servicers."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from connectors.kit.platform import Answer, Ask, Fault, Platform, issue_corp_token, xml
from connectors.kit.world import Bubble, Persona, Staff, World
from scrm.contract import Account

NEW, ROBOT, POOL, HUMAN, ENDED = range(5)
#: From which state the API may go where; a customer's message opens an ended session again.
LEGAL: Mapping[int, frozenset[int]] = {
    NEW: frozenset({ROBOT, POOL, HUMAN}),
    ROBOT: frozenset({POOL, HUMAN}),
    POOL: frozenset({HUMAN}),
    HUMAN: frozenset({HUMAN, ENDED}),
    ENDED: frozenset(),
}
WINDOW_S, WINDOW_COUNT = 48 * 3600, 5
CODE_S = 20
HINT_S = 600
KEPT_S = 3 * 86400
PAGE = 1000
#: Calls of sync_msg a minute without a valid token of a notification.
UNHINTED_PER_MINUTE = 60
TEXT_LIMIT = 2048
CUSTOMER, SYSTEM, SERVICER = 3, 4, 5
REFUSED_BY_CUSTOMER = 10

Entry = dict[str, Any]


def simulate(world: World, account: Account, hooks_url: str) -> web.Application:
    """The platform server of `account`; it notifies `hooks_url`, which then reads the log."""
    return CustomerService(world, account, hooks_url).app()


@dataclass(slots=True, kw_only=True)
class _Talk:
    """The session of one customer."""

    state: int = ENDED
    servicer: str = ""
    spoke_at: float = 0
    left: int = 0


class CustomerService(Platform):
    """One company with one service account, `open_kfid`. The members of the world are its servicers."""

    def __init__(self, world: World, account: Account, hooks_url: str) -> None:
        self.corp_id = account.get("corp_id")
        super().__init__(world, account, hooks_url, receive_id=self.corp_id)
        self.open_kfid = account.get("open_kfid") or "wk" + self.corp_id[2:] + "Service1"
        self.log: list[Entry] = []
        #: How often sync_msg answers has_more=1 with an empty list.
        self.hiccups = 0.15
        self._chance = random.Random(world.rng.getrandbits(64))
        self._hiccuped = False
        self._hints: dict[str, float] = {}
        self._unhinted: list[float] = []
        self._talks: dict[int, _Talk] = defaultdict(_Talk)
        self._codes: dict[str, tuple[Persona, float]] = {}
        self.apis |= {
            "gettoken": lambda ask: issue_corp_token(self, ask),
            "kf/account/list": lambda _: {
                "account_list": [{"open_kfid": self.open_kfid, "name": "在线客服"}]
            },
            "kf/sync_msg": self._sync,
            "kf/send_msg": self._send,
            "kf/send_msg_on_event": self._send_on_event,
            "kf/service_state/get": self._state,
            "kf/service_state/trans": self._trans,
            "kf/customer/batchget": self._customers,
        }

    # ------------------------------------------------------------ what customers do

    async def say(self, persona: Persona, bubble: Bubble) -> bool:
        talk = self._talk(persona)
        if talk.state == ENDED:
            talk.state, talk.servicer = NEW, ""
        talk.spoke_at, talk.left = self.world.time(), WINDOW_COUNT
        part = {"media_id": bubble.text} if bubble.kind == "image" else {"content": bubble.text}
        self._write(persona, CUSTOMER, bubble.kind, part, msgid=bubble.id)
        return await self.notify()

    async def meet(self, persona: Persona, staff: Staff) -> bool:
        """The customer opens the conversation from the link of `staff`, without a word yet."""
        scene = {"scene": "qrcode", "scene_param": staff.userid}
        return await self._event(persona, "enter_session", **scene, welcome_code=self._code(persona))

    async def leave(self, persona: Persona, staff: Staff) -> bool:
        """The session ends by the hand of `staff`."""
        talk = self._talk(persona)
        talk.state, talk.servicer = ENDED, ""
        return await self._session_event(persona, 3, old_servicer_userid=staff.userid)

    async def recall(self, persona: Persona, msgid: str) -> bool:
        """Whoever wrote this message takes it back."""
        mine = self.world.mark(persona, msgid, "recalled").mine
        name = "user_recall_msg" if mine else "servicer_recall_msg"
        return await self._event(persona, name, recall_msgid=msgid)

    # ------------------------------------------------------------ what servicers do

    async def take_over(self, persona: Persona, servicer: Staff) -> bool:
        """A human takes the session; the API may not answer any more."""
        talk = self._talk(persona)
        talk.state, talk.servicer = HUMAN, servicer.userid
        return await self._session_event(persona, 1, new_servicer_userid=servicer.userid)

    async def human_says(self, persona: Persona, servicer: Staff, text: str) -> bool:
        """The servicer answers in the WeCom app."""
        msgid = self._show(persona, text, "text", f"m{self.world.serial()}", by=servicer.userid)
        self._write(
            persona, SERVICER, "text", {"content": text}, msgid=msgid, servicer_userid=servicer.userid
        )
        return await self.notify()

    # ------------------------------------------------------------ the log and its notifications

    async def notify(self) -> bool:
        """`kf_msg_or_event`: there is something to read; carries the token for sync_msg."""
        hint = self.world.secret()
        self._hints[hint] = self.world.time()
        fields = {
            "ToUserName": self.corp_id,
            "CreateTime": int(self.world.time()),
            "MsgType": "event",
            "Event": "kf_msg_or_event",
            "Token": hint,
            "OpenKfId": self.open_kfid,
        }
        return await self.callback(xml(fields))

    async def _session_event(self, persona: Persona, change_type: int, **fields: str) -> bool:
        code = self._code(persona)
        return await self._event(
            persona, "session_status_change", change_type=change_type, msg_code=code, **fields
        )

    async def _event(self, persona: Persona, name: str, **fields: object) -> bool:
        who = {"open_kfid": self.open_kfid, "external_userid": persona.external_userid(self.corp_id)}
        entry = {"msgid": str(self.world.serial()), "send_time": int(self.world.time()), "origin": SYSTEM}
        # As in the documentation: an event names its people inside, not outside.
        self.log.append({**entry, "msgtype": "event", "event": {"event_type": name, **who, **fields}})
        return await self.notify()

    def _write(self, persona: Persona, origin: int, kind: str, part: Entry, **fields: str) -> None:
        who = {"open_kfid": self.open_kfid, "external_userid": persona.external_userid(self.corp_id)}
        entry = {"send_time": int(self.world.time()), "origin": origin, "msgtype": kind, kind: part}
        self.log.append({**fields, **who, **entry})

    def _sync(self, ask: Ask) -> Answer:
        self._check_kfid(ask)
        self._check_hint(ask.body.get("token"))
        limit = ask.body.get("limit", PAGE)
        if not isinstance(limit, int) or not 1 <= limit <= PAGE:
            raise Fault(40058, "limit out of range")
        start = self._place(ask.body.get("cursor") or "")
        self._hiccuped = not self._hiccuped and self._chance.random() < self.hiccups
        page = [] if self._hiccuped else self.log[start : start + limit]
        end, oldest = start + len(page), self.world.time() - KEPT_S
        return {
            # An empty page may stand still or move on; both have to lead on to the rest.
            "next_cursor": f"c{end}" + "e" * (self._hiccuped and self._chance.random() < 0.5),
            "has_more": int(end < len(self.log) or self._hiccuped),
            "msg_list": [entry for entry in page if entry["send_time"] >= oldest],
        }

    def _place(self, cursor: object) -> int:
        if not isinstance(cursor, str) or not re.fullmatch(r"(c[0-9]{1,18}e?)?", cursor):
            raise Fault(40058, "invalid cursor")
        place = int(cursor.strip("ce") or 0)
        # A cursor of an earlier run of the simulator: its log is gone, begin with this one.
        return place if place <= len(self.log) else 0

    def _check_hint(self, hint: object) -> None:
        now, hint = self.world.time(), str(hint or "")
        if hint and hint not in self._hints:
            raise Fault(95007, "invalid token")
        if hint and now - self._hints[hint] <= HINT_S:
            return
        self._unhinted = [at for at in self._unhinted if now - at < 60]
        if len(self._unhinted) >= UNHINTED_PER_MINUTE:
            raise Fault(45009, "api freq out of limit")
        self._unhinted.append(now)

    # ------------------------------------------------------------ sending

    def _send(self, ask: Ask) -> Answer:
        self._check_kfid(ask)
        persona = self._person(ask.text("touser"))
        msgid, (text, kind) = self._msgid(ask), self.read_message(ask.body, TEXT_LIMIT)
        self._spend(persona)
        if persona.unionid in self.world.refusing:
            self.spawn(self._event(persona, "msg_send_fail", fail_msgid=msgid, fail_type=REFUSED_BY_CUSTOMER))
        else:
            self._show(persona, text, kind, msgid)
        return {"msgid": msgid}

    def _msgid(self, ask: Ask) -> str:
        """The caller's own id, or a new one."""
        msgid = ask.body.get("msgid") or f"m{self.world.serial()}"
        if not isinstance(msgid, str) or not re.fullmatch(r"[0-9A-Za-z_-]{1,32}", msgid):
            raise Fault(40058, "invalid msgid")
        return msgid

    def _spend(self, persona: Persona) -> None:
        talk = self._talk(persona)
        if self.world.time() - talk.spoke_at > WINDOW_S:
            raise Fault(95002, "send msg out of 48 hours")
        if talk.state == ENDED:
            raise Fault(95013, "conversation has ended")
        if talk.state not in (NEW, ROBOT):
            raise Fault(95018, "send msg not allowed in this session state")
        if not talk.left:
            raise Fault(95001, "send msg count limit")
        talk.left -= 1

    def _send_on_event(self, ask: Ask) -> Answer:
        msgid, (text, kind) = self._msgid(ask), self.read_message(ask.body, TEXT_LIMIT)
        persona, since = self._codes.pop(ask.text("code"), (None, 0.0))
        # Tencent's number for a used-up code is not in the documents we have; 95007 is "bad token".
        if persona is None or self.world.time() - since > CODE_S:
            raise Fault(95007, "invalid or expired code")
        return {"msgid": self._show(persona, text, kind, msgid)}

    def _show(self, persona: Persona, text: str, kind: str, msgid: str, *, by: str = "") -> str:
        # A repeated msgid is shown again: that Tencent drops it is not proven.
        at, slug = self.world.now(), self.account.slug
        self.world.deliver(
            persona, Bubble(id=msgid, slug=slug, mine=False, text=text, at=at, kind=kind, by=by)
        )
        return msgid

    # ------------------------------------------------------------ sessions and people

    def _state(self, ask: Ask) -> Answer:
        self._check_kfid(ask)
        talk = self._talk(self._person(ask.text("external_userid")))
        return {"service_state": talk.state, "servicer_userid": talk.servicer}

    def _trans(self, ask: Ask) -> Answer:
        self._check_kfid(ask)
        persona, target = self._person(ask.text("external_userid")), ask.body.get("service_state")
        talk, servicer = self._talk(persona), ask.body.get("servicer_userid") or ""
        if not isinstance(target, int) or target not in LEGAL[talk.state]:
            raise Fault(95016, "illegal state transition")
        if target == HUMAN and self.world.member(servicer) is None:
            raise Fault(95017, "invalid servicer")
        talk.state, talk.servicer = target, servicer if target == HUMAN else ""
        # Our own calls make no event (path 96361), only a code for one message.
        return {} if target == ROBOT else {"msg_code": self._code(persona)}

    def _customers(self, ask: Ask) -> Answer:
        wanted = ask.body.get("external_userid_list")
        if not isinstance(wanted, list) or not 1 <= len(wanted) <= 100:
            raise Fault(40058, "external_userid_list must have 1 to 100 items")
        found = {str(one): self.world.by_external(self.corp_id, str(one)) for one in wanted}
        people = [
            {"external_userid": one, "nickname": p.name, "avatar": "", "gender": 0, "unionid": p.unionid}
            for one, p in found.items()
            if p is not None
        ]
        missing = [one for one, person in found.items() if person is None]
        return {"customer_list": people, "invalid_external_userid": missing}

    def _talk(self, persona: Persona) -> _Talk:
        """The session now; 48 hours of silence end it."""
        talk = self._talks[persona.number]
        if self.world.time() - talk.spoke_at > WINDOW_S:
            talk.state, talk.servicer = ENDED, ""
        return talk

    def _code(self, persona: Persona) -> str:
        code = self.world.secret()
        self._codes[code] = (persona, self.world.time())
        return code

    def _check_kfid(self, ask: Ask) -> None:
        if ask.text("open_kfid") != self.open_kfid:
            raise Fault(95000, "invalid open_kfid")

    def _person(self, external_userid: str) -> Persona:
        persona = self.world.by_external(self.corp_id, external_userid)
        if persona is None:
            raise Fault(40003, "invalid UserID")
        return persona
