"""`/admin/scripts/auto`: what goes out by itself, where, when and why; the last ones; switches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from aiohttp import web

from scrm import outbox
from scrm.accounts.service import Plugged
from scrm.contract import Sends
from scrm.db import Conn, utcnow
from scrm.desk.stages import STAGES
from scrm.errors import BadInput, Forbidden
from scrm.ledger.store import audit
from scrm.playbook.answers import rules, store
from scrm.playbook.answers.rules import Kind
from scrm.playbook.answers.store import Decided, Gone
from scrm.playbook.library import rules as library_rules
from scrm.playbook.library import service
from scrm.playbook.scripts import Script
from scrm.playbook.service import Library
from scrm.staff import store as staff
from scrm.timeline.store import events
from scrm.web.house import actor
from scrm.web.pages import form_of, page, see_other
from scrm.web.render import ZONE
from scrm.web.shelf import views as v
from scrm.web.shelf.room import OFFICE, Room, room_of

BASE = f"{OFFICE}/auto"
#: A switch to set: on, off, or as the setting has it.
_TO: Mapping[str, bool | None] = {"on": True, "off": False, "usual": None}
_SHOWN, _LATELY = 200, 30
BY_SETTING = "按配置文件"
BY_SOMEBODY = "{name}，{at}"
WELCOME = "新客户加进来时的欢迎语"
NOBODY = "还没有账号开启"
NO_SWITCH = "没有这个开关，请刷新页面。"
SENTENCES = (BY_SETTING, BY_SOMEBODY, WELCOME, NOBODY, NO_SWITCH)


async def show(request: web.Request) -> web.Response:
    room = room_of(request)
    async with room.house.db.read(room.tenant_id) as conn:
        decided = await store.decided(conn)
        people = await staff.members(conn, sorted(_deciders(decided)))
        accounts = [
            _account(room, p, decided.get(p.account.account_id, {}), {i: m.name for i, m in people.items()})
            for p in _talking(room)
        ]
        library = await service.load(conn, room.shelves, now=utcnow())
        view = v.AutoView(
            accounts=tuple(accounts),
            scripts=_scripts(room, library, accounts),
            gone=await _gone(conn, room, library),
            cases=tuple((room.say(rules.NAMES[k]), room.say(rules.WHYS[k])) for k in rules.KINDS),
            may_run=room.runs,
            saved=room.say("已更新。") if "saved" in request.query else "",
        )
    return page(request, "shelf/auto.html", view=view)


def _talking(room: Room) -> list[Plugged]:
    """Accounts through which words can go out by themselves, by name."""
    found = room.house.directory.all(room.tenant_id)
    able = [p for p in found if isinstance(p.plug, Sends) and p.plug.TALKS]
    return sorted(able, key=lambda p: p.account.slug)


def _deciders(decided: Mapping[int, Mapping[Kind, Decided]]) -> set[int]:
    return {one.by_id for of in decided.values() for one in of.values() if one.by_id is not None}


def _account(
    room: Room, plugged: Plugged, decided: Mapping[Kind, Decided], names: Mapping[int, str]
) -> v.AutoAccount:
    usual = rules.ways(room.house.settings.auto_answers).get(plugged.account.slug, frozenset())
    on = rules.allowed(usual, {kind: one.on for kind, one in decided.items()})
    return v.AutoAccount(
        slug=plugged.account.slug,
        name=plugged.account.name or plugged.account.slug,
        channel=plugged.account.channel,
        title=room.say(plugged.title),
        cases=tuple(
            v.AutoCase(
                key=kind,
                name=room.say(rules.NAMES[kind]),
                on=kind in on,
                who=_who(room, decided.get(kind), names),
                usual=kind not in decided,
            )
            for kind in rules.KINDS
        ),
    )


def _who(room: Room, one: Decided | None, names: Mapping[int, str]) -> str:
    if one is None:
        return room.say(BY_SETTING)
    return room.say(BY_SOMEBODY, name=names.get(one.by_id or 0, room.say("接口")), at=_minute(one.changed_at))


def _minute(at: datetime) -> str:
    return f"{at.astimezone(ZONE):%m-%d %H:%M}"


# -- which -------------------------------------------------------------------------------------------------
def _scripts(room: Room, library: Library, accounts: Sequence[v.AutoAccount]) -> tuple[v.AutoScript, ...]:
    found = [one for one in library.seen_by(None) if one.delivery == "auto"]
    greets = {library.greeter(p.account.channel) for p in room.house.directory.all(room.tenant_id)}
    return tuple(
        v.AutoScript(
            title=one.title,
            href=f"{OFFICE}/{one.id}",
            stage=room.say(STAGES[one.stage]),
            where=_where(room, one, accounts),
            greets=room.say(WELCOME) if one.id in greets else "",
        )
        for one in found[:_SHOWN]
    )


def _where(room: Room, one: Script, accounts: Sequence[v.AutoAccount]) -> tuple[str, ...]:
    """Each account that would say it, with the cases."""
    found = []
    for account in accounts:
        cases = [case.name for case in account.cases if case.on]
        if cases and (not one.channels or account.channel in one.channels):
            found.append(f"{account.name}：{'、'.join(cases)}")
    return tuple(found) or (room.say(NOBODY),)


async def _gone(conn: Conn, room: Room, library: Library) -> tuple[v.AutoGone, ...]:
    lately = await store.gone(conn, limit=_LATELY)
    sent = await outbox.deliveries(conn, [one.event_id for one in lately])
    texts = {e.event_id: e.text for e in await events.by_ids(conn, [one.event_id for one in lately])}
    return tuple(_one(room, library, one, sent.get(one.event_id), texts) for one in lately)


def _one(
    room: Room, library: Library, one: Gone, sent: outbox.Delivery | None, texts: Mapping[int, str]
) -> v.AutoGone:
    script = library.get(one.script_id)
    _, _, rest = sent.key.partition(":") if sent else ("", "", "")
    kind = cast(Kind, rest.partition(":")[0])
    plugged = room.house.directory.plug_of(sent.account_id) if sent else None
    return v.AutoGone(
        at=one.at,
        title=script.title if script else one.script_id,
        href=f"{OFFICE}/{one.script_id}" if script else "",
        account=room.house.directory.by_id(sent.account_id).account.name if sent and plugged else "",
        case=room.say(rules.NAMES[kind]) if kind in rules.NAMES else "",
        why=room.say(rules.WHYS[kind]) if kind in rules.WHYS else "",
        text=texts.get(one.event_id, ""),
        state=sent.state if sent else "",
        error=sent.error if sent else "",
    )


# -- switched ----------------------------------------------------------------------------------------------
async def switch(request: web.Request) -> web.Response:
    """One case of one account."""
    room, form = room_of(request), await form_of(request)
    if not room.runs:
        raise Forbidden(library_rules.NOT_YOURS)
    slug, kind, to = (str(form.get(name, "")) for name in ("account", "kind", "to"))
    plugged = next((p for p in _talking(room) if p.account.slug == slug), None)
    if plugged is None or kind not in rules.KINDS or to not in _TO:
        raise BadInput(NO_SWITCH)
    now, ident = utcnow(), plugged.account.account_id
    async with room.house.db.begin(room.tenant_id) as conn:
        by = room.who.staff_id
        await store.decide(conn, ident, kind, on=_TO[to], by_id=by, now=now)
        label = actor(request).label
        await audit(conn, label, f"answers.{to}", now=now, subject=f"account:{slug}", fields=[kind])
    return see_other(f"{BASE}?saved=1")
