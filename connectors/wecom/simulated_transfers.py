"""Transfers of the simulated WeCom: after `takes_s` the customer has the new member, unless they refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from connectors.kit.platform import Answer, Ask, Fault
from connectors.kit.world import Persona
from connectors.wecom.simulated_books import Books

#: The real platform's wait, which the demo and the tests may shorten.
TAKES_S = 24 * 3600
#: In 90 days a customer of a member who stays is handed over twice.
AT_ONCE, PER_90_DAYS, DAYS_90_S = 100, 2, 90 * 86_400
DONE, WAITING, REFUSED, FULL = 1, 2, 3, 4


@dataclass(slots=True, kw_only=True)
class Transfer:
    persona: Persona
    giver: str
    taker: str
    at: float
    resigned: bool = False
    status: int = WAITING
    done_at: int = 0


class Transfers:
    def __init__(self, office: Books) -> None:
        self.office = office
        self.takes_s: float = TAKES_S
        self.all: list[Transfer] = []
        #: Numbers of customers who do not want to be handed over.
        self.refusing: set[int] = set()

    def apis(self) -> dict[str, Callable[[Ask], Answer]]:
        return {
            "transfer_customer": partial(self._transfer, False),
            "transfer_result": self._result,
            "get_unassigned_list": self._unassigned,
            "resigned/transfer_customer": partial(self._transfer, True),
            "resigned/transfer_result": self._result,
            "groupchat/transfer": partial(self._chats, True),
            "groupchat/onjob_transfer": partial(self._chats, False),
        }

    def settle(self) -> None:
        """Let those that have waited long enough take effect."""
        now = self.office.world.time()
        for one in self.all:
            if one.status != WAITING or now - one.at < self.takes_s:
                continue
            if one.persona.number in self.refusing:
                one.status = REFUSED
                continue
            members = self.office.friends.setdefault(one.persona.number, {})
            members.pop(one.giver, None)
            members.setdefault(one.taker, int(now))
            one.status, one.done_at = DONE, int(now)

    def _transfer(self, resigned: bool, ask: Ask) -> Answer:
        self.settle()
        giver, taker = ask.text("handover_userid"), self.office.member(ask.text("takeover_userid"))
        asked = ask.body.get("external_userid")
        if not isinstance(asked, list) or not 0 < len(asked) <= AT_ONCE:
            raise Fault(40058, "bad external_userid")
        if resigned and giver not in self.office.resigned:
            raise Fault(40097, "not resigned")
        return {"customer": [self._one(str(who), giver, taker, resigned) for who in asked]}

    def _one(self, external: str, giver: str, taker: str, resigned: bool) -> dict[str, object]:
        try:
            persona = self.office.person(external)
        except Fault as fault:
            return {"external_userid": external, "errcode": fault.code}
        mine = [t for t in self.all if t.persona is persona]
        code = 0
        if giver not in self.office.friends.get(persona.number, {}):
            code = 84084
        elif any(t.status == WAITING for t in mine):
            code = 40100
        elif not resigned and self._often(mine):
            code = 40128
        if not code:
            at = self.office.world.time()
            self.all.append(Transfer(persona=persona, giver=giver, taker=taker, at=at, resigned=resigned))
        return {"external_userid": external, "errcode": code}

    def _often(self, mine: Sequence[Transfer]) -> bool:
        since = self.office.world.time() - DAYS_90_S
        return sum(t.status == DONE and not t.resigned and t.at > since for t in mine) >= PER_90_DAYS

    def _result(self, ask: Ask) -> Answer:
        self.settle()
        giver, taker = ask.text("handover_userid"), ask.text("takeover_userid")
        listed = [
            {
                "external_userid": t.persona.external_userid(self.office.corp_id),
                "status": t.status,
                "takeover_time": t.done_at,
            }
            for t in self.all
            if (t.giver, t.taker) == (giver, taker)
        ]
        return {"customer": listed, "next_cursor": ""}

    def _unassigned(self, ask: Ask) -> Answer:
        del ask
        self.settle()
        listed = [
            {
                "handover_userid": userid,
                "external_userid": p.external_userid(self.office.corp_id),
                "dimission_time": since,
            }
            for userid, since in self.office.resigned.items()
            for p in self.office.world.personas
            if userid in self.office.friends.get(p.number, {})
        ]
        return {"info": listed, "is_last": True, "next_cursor": ""}

    def _chats(self, resigned: bool, ask: Ask) -> Answer:
        taker, failed = self.office.member(ask.text("new_owner")), []
        for chat_id in ask.body.get("chat_id_list") or ():
            chat = self.office.chats.get(str(chat_id))
            if chat is None:
                failed.append({"chat_id": chat_id, "errcode": 90501})
            elif resigned and chat.owner not in self.office.resigned:
                failed.append({"chat_id": chat_id, "errcode": 90500})
            else:
                chat.owner = taker
                chat.staff.setdefault(taker, int(self.office.world.time()))
        return {"failed_chat_list": failed}
