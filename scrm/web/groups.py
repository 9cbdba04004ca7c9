"""`/s/g/{chat}`: a customer group as a whole - who is in it, and everything that happened there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from scrm import facts
from scrm.db import Conn, utcnow
from scrm.errors import NotFound
from scrm.facts import Known
from scrm.identity import store as identity
from scrm.identity.store import Interval
from scrm.staff import store as staff
from scrm.staff.rules import Actor, Policy, scope, sees_group
from scrm.timeline.store import conversations, events
from scrm.web import views
from scrm.web.about import members_of, ours_of
from scrm.web.house import House, actor, house
from scrm.web.lines import PAGE
from scrm.web.pages import page, place_in, place_out, topic, wants_fragment
from scrm.web.present import Desk
from scrm.web.render import ZONE
from scrm.web.routes import Route

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_ROLES = {"owner": "群主", "admin": "管理员"}
_SHOWN = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    name: str
    #: 群主, 管理员 or nothing.
    role: str
    ours: bool
    since: str
    #: Their own conversation, where the reader may see it.
    href: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPage:
    id: str
    name: str
    members: tuple[MemberRow, ...]
    items: tuple[views.Item, ...]
    before: str
    older: bool
    topics: tuple[str, ...]
    #: The group is no more.
    gone: bool = False
    #: The list of members is older than the last change we heard of.
    behind: bool = False


async def show(request: web.Request) -> web.Response:
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        node_id = conn.vault.private("chat", request.match_info["chat"])
        chat, version = await _chat(conn, node_id)
        if chat is None or not sees_group(who, await ours_of(found, conn, chat)):
            raise NotFound("没有这个客户群，或者你不在群里。")
        desk = Desk(house=found, conn=conn, actor=who, now=utcnow())
        before = place_in(conn.vault, request.query.get("before", ""))
        span = Interval(node_id=node_id, from_at=_EPOCH, until_at=None)
        rows = await events.page(conn, [span], before=before, limit=PAGE + 1)
        view = GroupPage(
            id=request.match_info["chat"],
            name=str(chat.body.get("name") or desk.say("客户群")),
            members=await _members(found, desk, chat),
            items=await desk.items(rows[:PAGE]),
            before=place_out(conn.vault, rows[PAGE - 1].place) if len(rows) > PAGE else "",
            older=before is not None,
            topics=(topic(conn.vault, "node", node_id),),
            gone=chat.gone_at is not None,
            behind=_behind(chat, version),
        )
    template = "sidebar/group.html" if wants_fragment(request) else "sidebar/group_page.html"
    return page(request, template, group=view)


async def hears(conn: Conn, found: House, who: Actor, node_id: int) -> bool:
    """Whether this node is a group that somebody may see."""
    chat, _ = await _chat(conn, node_id)
    return chat is not None and sees_group(who, await ours_of(found, conn, chat))


async def _chat(conn: Conn, node_id: int) -> tuple[Known | None, Known | None]:
    """What was told last of the group, by whichever account, and of its members' version."""
    found = await facts.of_nodes(conn, [node_id], {"chat", "chat_version"}, gone=True)
    newest = sorted(found, key=lambda f: f.at)
    return (
        next((f for f in reversed(newest) if f.kind == "chat"), None),
        next((f for f in reversed(newest) if f.kind == "chat_version"), None),
    )


def _behind(chat: Known, version: Known | None) -> bool:
    if version is None or chat.gone_at is not None or version.at < chat.at:
        return False
    return version.body.get("current") != chat.body.get("version")


async def _members(found: House, desk: Desk, chat: Known) -> tuple[MemberRow, ...]:
    listed, conn = members_of(chat)[:_SHOWN], desk.conn
    keys = [f"{chat.key}|{m.get('userid')}" for m in listed if not m.get("staff")]
    outside = await facts.some(conn, chat.account_id, "chat_member", keys)
    nodes = [f.node_id for f in outside.values() if f.node_id]
    names, doors = await identity.names(conn, nodes), await _doors(desk, nodes)
    realm = found.directory.by_id(chat.account_id).account.realm
    bound = await staff.bound(conn, [(realm, str(m.get("userid"))) for m in listed if m.get("staff")])
    people = await staff.members(conn, list(bound.values()))
    rows = []
    for one in listed:
        userid, ours = str(one.get("userid")), bool(one.get("staff"))
        member = people.get(bound.get((realm, userid), 0))
        fact = outside.get(f"{chat.key}|{userid}")
        node_id = fact.node_id if fact else None
        told = str(fact.body.get("name") or "") if fact else str(one.get("name") or "")
        known = member.name if member else names.get(node_id or 0, "")
        role = _ROLES.get(str(one.get("role")), "")
        rows.append(
            MemberRow(
                name=(known or told if ours else told or known) or desk.say("群成员"),
                role=desk.say(role) if role else "",
                ours=ours,
                since=_day(str(one.get("since") or "")),
                href=doors.get(node_id or 0, ""),
            )
        )
    return tuple(rows)


async def _doors(desk: Desk, nodes: list[int]) -> dict[int, str]:
    """The conversations of these customers that the reader may open."""
    from_scope = await conversations.visible_of_nodes(desk.conn, scope(desk.actor), nodes)
    return {t.node_id: f"/s/c/{desk.cid(t)}" for t in from_scope}


def _day(seconds: str) -> str:
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 10):
        return ""
    return f"{datetime.fromtimestamp(int(seconds), ZONE):%Y-%m-%d}"


ROUTES = (Route(method="GET", path="/s/g/{chat}", handler=show, policy=Policy.TALK),)
