"""What the vendor knows of a customer: remark, tags, source, groups - and what a rep may change of it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from scrm import facts
from scrm.accounts.service import Plugged
from scrm.db import Conn, utcnow
from scrm.deeds import service as deeds
from scrm.errors import BadInput, Forbidden, NotFound
from scrm.facts import Known
from scrm.identity import store as identity
from scrm.staff import store as staff
from scrm.staff.rules import Actor, Policy, sees_group
from scrm.timeline.rules import Talk
from scrm.web.abouts import AboutView, FollowView, GroupView, TagView
from scrm.web.house import House, actor, house
from scrm.web.pages import form_of, inside, locale, see_other, talk_of
from scrm.web.render import ZONE
from scrm.web.routes import Route

_KINDS = frozenset({"follow", "contact", "chat_member"})
_KEY = re.compile(r"[0-9A-Za-z_-]{8,64}")
_MOST_TAGS, _MOST_GROUPS = 500, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mine:
    """The reader's own relation to the customer."""

    plugged: Plugged
    fact: Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One request's view of what vendors say about a customer."""

    house: House
    conn: Conn
    actor: Actor

    def say(self, text: str, **values: object) -> str:
        return self.house.renderer.say(locale(self.actor), text, **values)

    # -- facts ---------------------------------------------------------------------------------------------
    async def known(self, talk: Talk) -> tuple[list[Known], list[Known]]:
        """(follows that hold, memberships of groups) of the person behind this conversation."""
        person = (await identity.persons_of(self.conn, [talk.node_id])).get(talk.node_id)
        spans = await identity.intervals(self.conn, person) if person else []
        found = await facts.of_nodes(self.conn, {s.node_id for s in spans}, _KINDS)
        lists = {(f.account_id, f.node_id): f for f in found if f.kind == "contact"}
        follows = [f for f in found if f.kind == "follow" and _holds(f, lists.get((f.account_id, f.node_id)))]
        return follows, [f for f in found if f.kind == "chat_member"]

    async def staff_of(self, account_id: int, userids: Collection[str]) -> dict[str, int]:
        realm = self.house.directory.by_id(account_id).account.realm
        bound = await staff.bound(self.conn, [(realm, u) for u in userids])
        return {userid: ident for (_, userid), ident in bound.items()}

    async def mine(self, follows: Sequence[Known]) -> _Mine | None:
        for fact in follows:
            userid = str(fact.body.get("userid"))
            if (await self.staff_of(fact.account_id, [userid])).get(userid) == self.actor.staff_id:
                return _Mine(plugged=self.house.directory.by_id(fact.account_id), fact=fact)
        return None

    # -- view ----------------------------------------------------------------------------------------------
    async def view(self, talk: Talk) -> AboutView | None:
        follows, memberships = await self.known(talk)
        if not follows and not memberships:
            return None
        mine = await self.mine(follows) if self.actor.staff_id else None
        shown = [await self._follow(f, mine) for f in follows[:10]]
        may_remark = mine is not None and deeds.does(mine.plugged, "remark")
        may_tag = mine is not None and deeds.does(mine.plugged, "mark_tag")
        return AboutView(
            cid=self.conn.vault.public("conversation", talk.conversation_id),
            follows=tuple(shown),
            groups=await self._groups(memberships),
            remark=str(mine.fact.body.get("remark") or "") if mine and may_remark else None,
            description=str(mine.fact.body.get("description") or "") if mine else "",
            choice=await self._choice(mine) if mine and may_tag else (),
            keys=(secrets.token_hex(12), secrets.token_hex(12)),
        )

    async def _follow(self, fact: Known, mine: _Mine | None) -> FollowView:
        body, userid = fact.body, str(fact.body.get("userid"))
        ident = (await self.staff_of(fact.account_id, [userid])).get(userid)
        members = await staff.members(self.conn, [ident]) if ident else {}
        is_mine = mine is not None and mine.fact.fact_id == fact.fact_id
        return FollowView(
            who=members[ident].name if ident in members else userid,
            mine=is_mine,
            remark=str(body.get("remark") or ""),
            description=str(body.get("description") or ""),
            tags=tuple(await self._tag_names(fact)),
            source=self._source(fact),
        )

    async def _tag_names(self, fact: Known) -> list[str]:
        """A list of customers names tags by id only; what they are called is a fact of its own."""
        tags = [t for t in fact.body.get("tags") or () if isinstance(t, dict)]
        bare = [str(t.get("id")) for t in tags if not t.get("name")]
        known = await facts.some(self.conn, fact.account_id, "tag", bare)
        names = [
            t.get("name") or (known[i].body.get("name") if (i := str(t.get("id"))) in known else "")
            for t in tags
        ]
        return [str(name) for name in names if name]

    def _source(self, fact: Known) -> str:
        words, state = str(fact.body.get("source") or ""), str(fact.body.get("state") or "")
        parts = [self.say(words)] if words else []
        parts += [self.say("渠道 {state}", state=state)] if state else []
        since = str(fact.body.get("createtime") or "")
        if since.isascii() and since.isdigit() and len(since) <= 10:
            from_ = datetime.fromtimestamp(int(since), ZONE)
            parts.append(self.say("{day} 添加", day=f"{from_:%Y-%m-%d}"))
        return " · ".join(parts)

    async def _choice(self, mine: _Mine) -> tuple[TagView, ...]:
        found = await facts.page(self.conn, mine.fact.account_id, "tag", limit=_MOST_TAGS)
        on = _tag_ids(mine.fact)
        tags = [
            TagView(
                id=f.key,
                name=str(f.body.get("name") or ""),
                group=str(f.body.get("group") or ""),
                on=f.key in on,
            )
            for f in found
        ]
        return tuple(sorted((t for t in tags if t.name), key=lambda t: (t.group, t.name)))

    async def _groups(self, memberships: Sequence[Known]) -> tuple[GroupView, ...]:
        """Groups the customer is in now, those the reader may see."""
        made = []
        for one in memberships[:_MOST_GROUPS]:
            chat = await facts.get(self.conn, one.account_id, "chat", str(one.body.get("chat")))
            userid = one.key.partition("|")[2]
            if chat is None or chat.node_id is None or chat.gone_at is not None:
                continue
            if userid not in {m.get("userid") for m in members_of(chat)}:
                continue
            if sees_group(self.actor, await ours_of(self.house, self.conn, chat)):
                href = f"/s/g/{self.conn.vault.public('chat', chat.node_id)}"
                made.append(GroupView(name=str(chat.body.get("name") or self.say("客户群")), href=href))
        return tuple(made)


def _holds(follow: Known, whole: Known | None) -> bool:
    """A full list of followers that is newer has the last word."""
    if whole is None or whole.at < follow.at:
        return True
    return follow.body.get("userid") in (whole.body.get("followers") or ())


def _tag_ids(fact: Known) -> set[str]:
    return {str(t.get("id")) for t in fact.body.get("tags") or () if isinstance(t, dict)}


def members_of(chat: Known) -> list[dict[str, object]]:
    return [m for m in chat.body.get("members") or () if isinstance(m, dict)]


async def ours_of(found: House, conn: Conn, chat: Known) -> list[tuple[int, int | None]]:
    """(staff id, team id) of those of us who are in a group."""
    realm = found.directory.by_id(chat.account_id).account.realm
    userids = [str(m.get("userid")) for m in members_of(chat) if m.get("staff")]
    idents = await staff.bound(conn, [(realm, u) for u in userids])
    members = await staff.members(conn, list(idents.values()))
    return [(m.staff_id, m.team_id) for m in members.values()]


async def remark(request: web.Request) -> web.Response:
    """What the vendor would refuse is said by the deed, on the card, with the vendor's limits."""
    form = {k: str(v).strip() for k, v in (await form_of(request)).items()}
    name, description = form.get("remark", ""), form.get("description", "")
    return await _ask(request, "remark", form, {"remark": name, "description": description})


async def tags(request: web.Request) -> web.Response:
    """The boxes as they are now; what differs from what we know is asked for."""
    await form_of(request)  # refuses what cannot be read; read once, kept by the request
    sent = await request.post()
    wanted = {str(v) for v in sent.getall("tag", [])}
    form = {k: str(v) for k, v in sent.items() if k != "tag"}
    return await _ask(request, "mark_tag", form, {}, tags=wanted)


async def _ask(
    request: web.Request,
    kind: str,
    form: dict[str, str],
    fields: dict[str, object],
    *,
    tags: set[str] | None = None,
) -> web.Response:
    found, who, key = house(request), actor(request), form.get("key", "")
    async with found.db.begin(who.tenant_id) as conn:
        talk = await talk_of(conn, request)
        if not _KEY.fullmatch(key):
            raise BadInput("缺少操作编号，请刷新页面后重试。")
        reader = Reader(house=found, conn=conn, actor=who)
        mine = await reader.mine((await reader.known(talk))[0])
        if mine is None or not deeds.does(mine.plugged, kind):
            raise Forbidden("只有这位客户的跟进人可以改自己的备注和标签。")
        who_fields = {name: mine.fact.body.get(key) for name, key in _OWN.items()}
        if tags is not None:
            fields = await _changes(conn, mine, tags)
        if tags is None or any(fields.values()):
            await deeds.ask(
                conn,
                mine.plugged,
                kind,
                {**who_fields, **fields},
                key=f"panel:{key}",
                by=who.label,
                staff_id=who.staff_id,
                now=utcnow(),
            )
            conn.after_commit(found.wake_due)
    back = request.headers.get("Referer", "").partition(request.host)[2]
    return see_other(inside(back, f"/s/c/{request.match_info['cid']}"))


#: Fields of the deed, and where the fact keeps them.
_OWN = {"userid": "userid", "external_userid": "external"}


async def _changes(conn: Conn, mine: _Mine, wanted: set[str]) -> dict[str, object]:
    known = await facts.page(conn, mine.fact.account_id, "tag", limit=_MOST_TAGS)
    ours, on = {f.key for f in known}, _tag_ids(mine.fact)
    if not wanted <= ours:
        raise NotFound("这个标签已经不在了，请刷新后再试。")
    # A tag that is not among the boxes (a member's own, a rule's) is left as it is.
    return {"add": sorted(wanted - on), "remove": sorted((on & ours) - wanted)}


ROUTES = (
    Route(method="POST", path="/s/c/{cid}/remark", handler=remark, policy=Policy.TALK),
    Route(method="POST", path="/s/c/{cid}/tags", handler=tags, policy=Policy.TALK),
)
