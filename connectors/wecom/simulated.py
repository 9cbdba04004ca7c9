"""What the simulated WeCom keeps for a company: customers with remarks and tags, contact ways, groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connectors.kit.platform import Answer, Ask, Fault, Platform
from connectors.kit.world import Persona, Staff
from connectors.wecom.simulated_books import Books, Chat, Friends
from connectors.wecom.simulated_sends import Sends
from connectors.wecom.simulated_transfers import Transfers

CROWD = "wmCrowd"
PAGE = 100


class Office(Books):
    """The company's records, behind the API; `crowd` customers more exist, made up as they are asked for."""

    def __init__(self, platform: Platform, friends: Friends) -> None:
        super().__init__(platform, friends)
        self.groups: dict[str, dict[str, Any]] = {}
        self.ways: dict[str, dict[str, Any]] = {}
        self.crowd = 0
        self.sends = Sends(self)
        self.transfers = Transfers(self)

    def apis(self) -> dict[str, Callable[[Ask], Answer]]:
        own: dict[str, Callable[[Ask], Answer]] = {
            "get_follow_user_list": lambda _: {"follow_user": [m.userid for m in self.world.staff]},
            "get": self._contact,
            "list": self._list,
            "batch/get_by_user": self._batch,
            "remark": self._remark,
            "mark_tag": self._mark,
            "get_corp_tag_list": self._tags,
            "add_corp_tag": self._add_tag,
            "edit_corp_tag": self._edit_tag,
            "del_corp_tag": self._del_tag,
            "add_contact_way": self._add_way,
            "get_contact_way": lambda ask: {"contact_way": self._way(ask)},
            "update_contact_way": self._update_way,
            "del_contact_way": self._del_way,
            "list_contact_way": self._list_ways,
            "groupchat/list": self._chats,
            "groupchat/get": lambda ask: {"group_chat": self._chat(ask)},
        }
        rooms = {**own, **self.sends.apis(), **self.transfers.apis()}
        named = {f"externalcontact/{path}": act for path, act in rooms.items()}
        return {**named, "idconvert/unionid_to_external_userid": self._convert}

    # -- customers -----------------------------------------------------------------------------------------
    def _contact(self, ask: Ask) -> Answer:
        ident = ask.query.get("external_userid", "")
        if ident.startswith(CROWD):
            number = _number(ident, self.crowd)
            userid = self.world.staff[number % len(self.world.staff)].userid
            return {"external_contact": _stranger(number), "follow_user": [_crowd_info(number, userid)]}
        persona = self.person(ident)
        members = self.friends.get(persona.number)
        if not members:
            raise Fault(84061, "not external contact")
        return {
            "external_contact": self._shown(persona),
            "follow_user": [self._info(persona, u, since, named=True) for u, since in members.items()],
        }

    def _shown(self, persona: Persona) -> dict[str, object]:
        return {
            "external_userid": persona.external_userid(self.corp_id),
            "name": persona.name,
            "avatar": "",
            "type": 1,
            "gender": 0,
            "unionid": persona.unionid,
        }

    def _info(self, persona: Persona, userid: str, since: int, *, named: bool) -> dict[str, object]:
        """As `externalcontact/get` shows it, or (not `named`) as a list does: tags by id only."""
        note = self.note(persona, userid)
        info: dict[str, object] = {
            "userid": userid,
            "remark": note.remark,
            "description": note.description,
            "createtime": since,
            "remark_mobiles": note.mobiles,
            "add_way": note.add_way,
            "oper_userid": userid,
            "state": note.state,
        }
        return info | ({"tags": [self._tag(t) for t in note.tags]} if named else {"tag_id": note.tags})

    def _list(self, ask: Ask) -> Answer:
        userid = self.member(ask.query.get("userid"))
        mine = [p for p in self.world.personas if userid in self.friends.get(p.number, {})]
        if not mine:
            raise Fault(84061, "not external contact")
        return {"external_userid": [p.external_userid(self.corp_id) for p in mine]}

    def _batch(self, ask: Ask) -> Answer:
        """Friends first, then the crowd; only what the page shows is made."""
        asked = ask.body.get("userid_list")
        if not isinstance(asked, list) or not 0 < len(asked) <= 100:
            raise Fault(40058, "bad userid_list")
        users, limit = [self.member(u) for u in asked], int(ask.body.get("limit", 50))
        if not 0 < limit <= PAGE:
            raise Fault(40058, "bad limit")
        real = [
            (p, u, since)
            for p in self.world.personas
            for u, since in self.friends.get(p.number, {}).items()
            if u in users
        ]
        places = [i for i, m in enumerate(self.world.staff) if m.userid in users]
        start, made = int(ask.body.get("cursor") or 0), []
        for at in range(start, start + limit):
            if at < len(real):
                p, u, since = real[at]
                made.append(_row(self._shown(p), self._info(p, u, since, named=False)))
            else:
                number = _crowd_at(at - len(real), places, len(self.world.staff))
                if number >= self.crowd:
                    return {"external_contact_list": made, "next_cursor": ""}
                userid = self.world.staff[number % len(self.world.staff)].userid
                made.append(_row(_stranger(number), _crowd_info(number, userid)))
        return {"external_contact_list": made, "next_cursor": str(start + limit)}

    def followed(self, ask: Ask) -> tuple[Persona, str]:
        persona, userid = self.person(ask.text("external_userid")), self.member(ask.text("userid"))
        if userid not in self.friends.get(persona.number, {}):
            raise Fault(84084, "not the follow user")
        return persona, userid

    def _remark(self, ask: Ask) -> Answer:
        note = self.note(*self.followed(ask))
        note.remark = str(ask.body.get("remark", note.remark))[:20]
        note.description = str(ask.body.get("description", note.description))[:150]
        if isinstance(mobiles := ask.body.get("remark_mobiles"), list):
            note.mobiles = [str(m) for m in mobiles if m]
        return {}

    def _mark(self, ask: Ask) -> Answer:
        note = self.note(*self.followed(ask))
        added = [str(t) for t in ask.body.get("add_tag") or ()]
        if any(not self._tag(t)["tag_name"] for t in added):
            raise Fault(40068, "invalid tagid")
        gone = {str(t) for t in ask.body.get("remove_tag") or ()}
        note.tags = [t for t in dict.fromkeys([*note.tags, *added]) if t not in gone]
        return {}

    def _convert(self, ask: Ask) -> Answer:
        unionid = ask.text("unionid")
        ask.text("openid")
        found = next((p for p in self.world.personas if p.unionid == unionid), None)
        if found is None:
            raise Fault(40001 if not unionid else 84071, "unionid not found")
        if self.friends.get(found.number):
            return {"external_userid": found.external_userid(self.corp_id)}
        return {"pending_id": "pd" + found.external_userid(self.corp_id)[2:]}

    # -- tags ----------------------------------------------------------------------------------------------
    def _tag(self, ident: str) -> dict[str, object]:
        for group in self.groups.values():
            if ident in group["tag"]:
                name, title = group["tag"][ident], group["group_name"]
                return {"tag_id": ident, "tag_name": name, "group_name": title, "type": 1}
        return {"tag_id": ident, "tag_name": "", "group_name": "", "type": 1}

    def _tags(self, ask: Ask) -> Answer:
        tags, groups = ask.body.get("tag_id") or (), ask.body.get("group_id") or ()
        shown = [
            group
            for group in self.groups.values()
            if not (tags or groups) or group["group_id"] in groups or set(tags) & set(group["tag"])
        ]
        if (tags or groups) and not shown:
            raise Fault(40068, "invalid tagid")
        return {"tag_group": [_group_shown(group, tags) for group in shown]}

    def _add_tag(self, ask: Ask) -> Answer:
        name, wanted = ask.text("group_name"), ask.body.get("tag") or ()
        group = next((g for g in self.groups.values() if g["group_name"] == name), None)
        if group is None:
            ident = f"etg{self.world.serial()}"
            group = self.groups[ident] = {"group_id": ident, "group_name": name, "tag": {}}
        if any(one["name"] in group["tag"].values() for one in wanted):
            raise Fault(40071, "tag name exists")
        made = {f"et{self.world.serial()}": str(one["name"]) for one in wanted}
        group["tag"].update(made)
        return {"tag_group": _group_shown(group, list(made))}

    def _edit_tag(self, ask: Ask) -> Answer:
        ident, name = ask.text("id"), ask.text("name")
        if ident in self.groups:
            self.groups[ident]["group_name"] = name
            return {}
        for group in self.groups.values():
            if ident in group["tag"]:
                group["tag"][ident] = name
                return {}
        raise Fault(40068, "invalid tagid")

    def _del_tag(self, ask: Ask) -> Answer:
        gone = set(ask.body.get("tag_id") or ())
        for ident in ask.body.get("group_id") or ():
            gone |= set(self.groups.pop(ident, {"tag": {}})["tag"])
        for group in self.groups.values():
            group["tag"] = {k: v for k, v in group["tag"].items() if k not in gone}
        for note in self.notes.values():
            note.tags = [t for t in note.tags if t not in gone]
        return {}

    # -- contact ways --------------------------------------------------------------------------------------
    def _add_way(self, ask: Ask) -> Answer:
        users = [self.member(u) for u in ask.body.get("user") or ()]
        if not users or len(str(ask.body.get("state", ""))) > 30:
            raise Fault(40058, "bad user or state")
        ident = f"{self.world.rng.getrandbits(128):032x}"
        names = ("type", "scene", "state", "remark", "skip_verify")
        kept = {name: ask.body.get(name) for name in names}
        self.ways[ident] = {
            "config_id": ident,
            "qr_code": f"https://p.example/{ident}",
            "user": users,
            **kept,
        }
        return {"config_id": ident, "qr_code": self.ways[ident]["qr_code"]}

    def _way(self, ask: Ask) -> dict[str, Any]:
        ident = ask.text("config_id")
        if ident not in self.ways:
            raise Fault(41044, "invalid config_id")
        return self.ways[ident]

    def _update_way(self, ask: Ask) -> Answer:
        changed = {k: v for k, v in ask.body.items() if k in ("state", "remark", "user", "skip_verify")}
        self._way(ask).update(changed)
        return {}

    def _del_way(self, ask: Ask) -> Answer:
        del self.ways[self._way(ask)["config_id"]]
        return {}

    def _list_ways(self, ask: Ask) -> Answer:
        shown, following = paged(list(self.ways), ask, most=1_000)
        return {"contact_way": [{"config_id": one} for one in shown], "next_cursor": following}

    # -- groups --------------------------------------------------------------------------------------------
    async def open_chat(self, name: str, owner: Staff, personas: Sequence[Persona]) -> Chat:
        """A member opens a group with customers in it."""
        now = int(self.world.time())
        chat = Chat(chat_id=f"wr{self.world.serial()}", name=name, owner=owner.userid, since=now, version="")
        chat.staff[owner.userid] = now
        chat.customers = {p.number: now for p in personas}
        chat.version = self._version()
        self.chats[chat.chat_id] = chat
        await self._tell("change_external_chat", {"ChangeType": "create", "ChatId": chat.chat_id})
        return chat

    async def join(self, chat: Chat, persona: Persona) -> bool:
        chat.customers[persona.number] = int(self.world.time())
        return await self._changed(chat, "add_member", persona, {"JoinScene": 3})

    async def quit(self, chat: Chat, persona: Persona) -> bool:
        chat.customers.pop(persona.number, None)
        return await self._changed(chat, "del_member", persona, {"QuitScene": 0})

    async def dismiss(self, chat: Chat) -> bool:
        del self.chats[chat.chat_id]
        return await self._tell("change_external_chat", {"ChangeType": "dismiss", "ChatId": chat.chat_id})

    async def _changed(self, chat: Chat, detail: str, persona: Persona, more: Mapping[str, object]) -> bool:
        before, chat.version = chat.version, self._version()
        fields = {
            "ChangeType": "update",
            "ChatId": chat.chat_id,
            "UpdateDetail": detail,
            **more,
            "MemChangeCnt": 1,
            "MemChangeList": {"Item": [persona.external_userid(self.corp_id)]},
            "LastMemVer": before,
            "CurMemVer": chat.version,
        }
        return await self._tell("change_external_chat", fields)

    async def _tell(self, name: str, fields: Mapping[str, Any]) -> bool:
        from_wecom: Any = self.platform
        told: bool = await from_wecom.event(name, fields)
        return told

    def _version(self) -> str:
        return f"{self.world.rng.getrandbits(128):032x}"

    def _chats(self, ask: Ask) -> Answer:
        owners = (ask.body.get("owner_filter") or {}).get("userid_list")
        mine = [c.chat_id for c in self.chats.values() if not owners or c.owner in owners]
        shown, following = paged(mine, ask, most=1_000)
        return {
            "group_chat_list": [{"chat_id": one, "status": 0} for one in shown],
            "next_cursor": following,
        }

    def _chat(self, ask: Ask) -> dict[str, Any]:
        chat = self.chats.get(ask.text("chat_id"))
        if chat is None:
            raise Fault(49008, "group chat not found")
        people = {p.number: p for p in self.world.personas}
        staff = [
            {"userid": u, "type": 1, "join_time": t, "join_scene": 1, "name": self._name(u)}
            for u, t in chat.staff.items()
        ]
        customers = [
            {**_seen(self._shown(people[n])), "type": 2, "join_time": t, "join_scene": 3}
            for n, t in chat.customers.items()
        ]
        return {
            "chat_id": chat.chat_id,
            "name": chat.name,
            "owner": chat.owner,
            "create_time": chat.since,
            "notice": "",
            "member_list": [*staff, *customers],
            "admin_list": [],
            "member_version": chat.version,
        }

    def _name(self, userid: str) -> str:
        found = self.world.member(userid)
        return found.name if found else userid


def paged(ids: Sequence[str], ask: Ask, *, most: int) -> tuple[Sequence[str], str]:
    limit = int(ask.body.get("limit") or PAGE)
    if not 0 < limit <= most:
        raise Fault(40058, "bad limit")
    start = int(ask.body.get("cursor") or 0)
    return ids[start : start + limit], str(start + limit) if start + limit < len(ids) else ""


def _group_shown(group: Mapping[str, Any], only: Sequence[str]) -> dict[str, object]:
    tags = {k: v for k, v in group["tag"].items() if not only or k in only}
    return {
        "group_id": group["group_id"],
        "group_name": group["group_name"],
        "tag": [{"id": ident, "name": name} for ident, name in tags.items()],
    }


def _row(contact: dict[str, object], info: dict[str, object]) -> dict[str, object]:
    return {"external_contact": contact, "follow_info": info}


def _seen(contact: dict[str, object]) -> dict[str, object]:
    return {"userid": contact["external_userid"], "name": contact["name"], "unionid": contact["unionid"]}


def _crowd_at(place: int, members: Sequence[int], staff: int) -> int:
    """The crowd is dealt out to the staff one after another."""
    return place // len(members) * staff + members[place % len(members)]


def _number(ident: str, crowd: int) -> int:
    number = ident.removeprefix(CROWD)
    if not number.isdigit() or int(number) >= crowd:
        raise Fault(40096, "invalid external userid")
    return int(number)


def _stranger(number: int) -> dict[str, object]:
    return {"external_userid": f"{CROWD}{number:08d}", "name": f"家长{number + 1}", "type": 1, "gender": 0}


def _crowd_info(number: int, userid: str) -> dict[str, object]:
    return {
        "userid": userid,
        "remark": "",
        "description": "",
        "createtime": 1_700_000_000 + number,
        "tag_id": [],
        "remark_mobiles": [],
        "add_way": 1,
        "oper_userid": userid,
        "state": "",
    }
