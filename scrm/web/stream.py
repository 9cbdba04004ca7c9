"""`/live`: server-sent events, ids only. On connect: subscribe, say `fresh`, then deltas; no gap, no log."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from aiohttp import web

from scrm import shapes
from scrm.db import Conn, utcnow
from scrm.errors import Forbidden, NotFound
from scrm.live import Change, Subscription
from scrm.seal import Vault
from scrm.staff import service as staff
from scrm.staff.rules import Actor, Policy, allows, scope
from scrm.timeline.store import conversations
from scrm.web.house import actor, house
from scrm.web.pages import topic
from scrm.web.routes import Route, cookie_name

_TOPICS = 100
_BEAT_S = 15.0
#: How soon a stream notices that its session ended.
_CHECK_S = 4.0


async def live(request: web.Request) -> web.StreamResponse:
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        topics = await _allowed(conn, who, _named(request))
    response = web.StreamResponse(headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"})
    response.content_type = "text/event-stream"
    # Subscribed before anything is fetched: what changes meanwhile is in the buffer, so nothing is missed.
    with found.live.subscribe(topics) as subscription:
        await response.prepare(request)
        await _say(response, "fresh", {})
        await _follow(request, response, subscription)
    return response


def _named(request: web.Request) -> list[str]:
    return [t for t in request.query.get("topics", "").split(",") if t][:_TOPICS]


async def _allowed(conn: Conn, who: Actor, named: Sequence[str]) -> list[str]:
    """Topics as the fan-out names them. Raises `Forbidden` when one is not theirs to follow."""
    wanted = [_split(conn.vault, t) for t in named]
    nodes = {ident for kind, ident in wanted if kind == "node"}
    visible = await conversations.visible_nodes(conn, scope(who), nodes)
    mine: dict[str, set[int]] = {"rep": {who.staff_id or 0}, "team": {who.team_id or 0, 0}, "node": visible}
    if any(ident not in mine[kind] for kind, ident in wanted):
        raise Forbidden("你不能订阅这位客户的动态。")
    return [f"{kind}:{ident}" for kind, ident in wanted]


def _split(vault: Vault, name: str) -> tuple[str, int]:
    kind, _, public = name.partition(":")
    if kind not in ("node", "rep", "team"):
        raise NotFound("没有这种动态。")
    return kind, vault.private(f"topic-{kind}", public)


async def _follow(request: web.Request, response: web.StreamResponse, subscription: Subscription) -> None:
    """Until the screen goes away, the service stops, the session ends, or a topic is theirs no longer."""
    vault, beat = house(request).db.vault, monotonic()
    checked = beat
    try:
        while not subscription.closed:
            changes = await subscription.take(_CHECK_S)
            if subscription.start_afresh():
                await _say(response, "fresh", {})
            for change in changes:
                await _say(response, "change", _delta(vault, change))
            if monotonic() - checked >= _CHECK_S:
                checked = monotonic()
                if not await _still_open(request):
                    return
            if monotonic() - beat >= _BEAT_S:
                beat = monotonic()
                await _say(response, "beat", {})
    except ConnectionError:
        return


def _delta(vault: Vault, change: Change) -> dict[str, object]:
    kind, _, ident = change.topic.partition(":")
    shown = "event" if kind == "node" else "conversation"
    return {
        "topic": topic(vault, kind, int(ident)),
        "id": vault.public(shown, change.ident),
        "version": change.version,
    }


async def _still_open(request: web.Request) -> bool:
    found = house(request)
    token = request.cookies.get(cookie_name(found), "")
    async with found.db.read(actor(request).tenant_id) as conn:
        who = await staff.actor_of_session(conn, token, now=utcnow())
        if who is None or not allows(Policy.TALK, who):
            return False
        try:
            await _allowed(conn, who, _named(request))
        except Forbidden:
            return False
    return True


async def _say(response: web.StreamResponse, event: str, data: object) -> None:
    await response.write(b"event: %s\ndata: %s\n\n" % (event.encode(), shapes.to_json(data)))


ROUTES = (Route(method="GET", path="/live", handler=live, policy=Policy.TALK),)
