"""Group sends of the simulated WeCom: a task for each member, sent when a member says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from connectors.kit.platform import Answer, Ask, Fault
from connectors.kit.world import Bubble, Staff
from connectors.wecom.simulated_books import Books

CUSTOMERS, CHATS, TEXT_BYTES, REMINDS = 10_000, 2_000, 4_000, 3


@dataclass(slots=True, kw_only=True)
class Send:
    msgid: str
    text: str
    at: int
    #: Member -> whom to send to: numbers of customers, or ids of groups.
    tasks: dict[str, list[Any]]
    #: Member -> when they sent it.
    sent: dict[str, int] = field(default_factory=dict)
    reminded: int = 0
    cancelled: bool = False


class Sends:
    def __init__(self, office: Books) -> None:
        self.office = office
        self.all: dict[str, Send] = {}

    def apis(self) -> dict[str, Callable[[Ask], Answer]]:
        return {
            "add_msg_template": self._add,
            "get_groupmsg_task": self._tasks,
            "get_groupmsg_send_result": self._results,
            "remind_groupmsg_send": self._remind,
            "cancel_groupmsg_send": self._cancel,
        }

    def confirm(self, msgid: str, staff: Staff) -> None:
        """The member sends theirs; it reaches the customers' phones."""
        send, now = self.all[msgid], self.office.world.time()
        people = {p.number: p for p in self.office.world.personas}
        for number in send.tasks[staff.userid]:
            if number in people:
                bubble = Bubble(
                    id=f"{msgid}-{number}",
                    slug=self.office.platform.account.slug,
                    mine=False,
                    text=send.text,
                    at=self.office.world.now(),
                    by=staff.userid,
                )
                self.office.world.deliver(people[number], bubble)
        send.sent[staff.userid] = int(now)

    def _add(self, ask: Ask) -> Answer:
        text = (ask.body.get("text") or {}).get("content", "")
        if not text or len(text.encode()) > TEXT_BYTES:
            raise Fault(40058, "bad text")
        tasks: dict[str, list[Any]] = {}
        failed: list[str] = []
        if ask.body.get("chat_type") == "group":
            tasks[self.office.member(ask.text("sender"))] = list(ask.body.get("chat_id_list") or ())[:CHATS]
        else:
            failed = self._deal(ask, tasks)
        if not tasks:
            raise Fault(41048, "no customer to send")
        msgid = f"msg{self.office.world.serial()}"
        now = int(self.office.world.time())
        self.all[msgid] = Send(msgid=msgid, text=text, at=now, tasks=tasks)
        return {"msgid": msgid, "fail_list": failed}

    def _deal(self, ask: Ask, tasks: dict[str, list[Any]]) -> list[str]:
        """Each customer to the sender, else to the member who has known them longest."""
        failed, sender = [], ask.body.get("sender")
        wanted = list(ask.body.get("external_userid") or ())
        if len(wanted) > CUSTOMERS:
            raise Fault(40058, "too many customers")
        for external in wanted:
            persona = self.office.world.by_external(self.office.corp_id, str(external))
            members = self.office.friends.get(persona.number, {}) if persona else {}
            chosen = sender if sender in members else next(iter(members), None) if not sender else None
            if persona is None or chosen is None:
                failed.append(str(external))
            else:
                tasks.setdefault(chosen, []).append(persona.number)
        return failed

    def _find(self, ask: Ask) -> Send:
        found = self.all.get(ask.text("msgid"))
        if found is None:
            raise Fault(40058, "invalid msgid")
        if found.cancelled:
            raise Fault(41093, "cancelled")
        return found

    def _tasks(self, ask: Ask) -> Answer:
        send = self._find(ask)
        listed = [
            {"userid": u, "status": 2 if u in send.sent else 0, "send_time": send.sent.get(u, 0)}
            for u in send.tasks
        ]
        return {"task_list": [{**one, "create_time": send.at} for one in listed], "next_cursor": ""}

    def _results(self, ask: Ask) -> Answer:
        send, userid = self._find(ask), ask.text("userid")
        people = {p.number: p for p in self.office.world.personas}
        sent = send.sent.get(userid, 0)
        listed = [
            {
                "external_userid": people[one].external_userid(self.office.corp_id) if one in people else "",
                "chat_id": "" if one in people else one,
                "userid": userid,
                "status": 1 if sent else 0,
                "send_time": sent,
            }
            for one in send.tasks.get(userid, ())
        ]
        return {"send_list": listed, "next_cursor": ""}

    def _remind(self, ask: Ask) -> Answer:
        send = self._find(ask)
        send.reminded += 1
        if send.reminded > REMINDS:
            raise Fault(45009, "reminded too often")
        return {}

    def _cancel(self, ask: Ask) -> Answer:
        self._find(ask).cancelled = True
        return {}
