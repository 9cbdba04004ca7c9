"""`/live`: server-sent events, ids only. On connect: subscribe, say `fresh`, then deltas; no gap, no log."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from aiohttp import web

from scrm import shapes
from scrm.db import Conn, utcnow
from scrm.desk import service as desk
from scrm.errors import Forbidden, NotFound
from scrm.live import VISITOR_TYPES, Change, Subscription
from scrm.seal import Vault
from scrm.staff import service as staff
from scrm.staff.rules import Actor, Policy, allows, scope
from scrm.timeline.seeing import sees
from scrm.timeline.store import conversations
from scrm.web.groups import hears
from scrm.web.house import House, actor, house
from scrm.web.pages import topic
from scrm.web.routes import Route, cookie_name

_TOPICS = 100
#: Open streams of one person in one process: pages, tabs and devices, and no runaway script.
_SCREENS_EACH = 30
_BEAT_S = 15.0
#: How soon a stream notices that its session ended.
_CHECK_S = 4.0
#: While nothing is heard from other processes, screens look by themselves this often.
_DEAF_S = 2.0


async def live(request: web.Request) -> web.StreamResponse:
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        topics = await _allowed(conn, found, who, _named(request))
    response = web.StreamResponse(headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"})
    response.content_type = "text/event-stream"
    # Subscribed before anything is fetched: what changes meanwhile is in the buffer, so nothing is missed.
    screens = found.metrics.screens
    with (
        found.desks.streaming(f"{who.tenant_id}:{who.staff_id}", _SCREENS_EACH),
        found.live.subscribe(who.tenant_id, topics) as subscription,
        screens.track_inprogress(),
    ):
        await response.prepare(request)
        await _present(request)
        await _say(response, "fresh", {})
        await _follow(request, response, subscription)
    return response


def _named(request: web.Request) -> list[str]:
    return [t for t in request.query.get("topics", "").split(",") if t][:_TOPICS]


async def _allowed(conn: Conn, found: House, who: Actor, named: Sequence[str]) -> list[str]:
    """Topics as the fan-out names them. Raises `Forbidden` when one is not theirs to follow."""
    wanted = [_split(conn.vault, t) for t in named]
    nodes = {ident for kind, ident in wanted if kind == "node"}
    visible = await conversations.visible_nodes(conn, scope(who), nodes)
    # Their family's, whose timeline they see; and groups they are in.
    visible |= {
        n for n in nodes - visible if await sees(conn, scope(who), n) or await hears(conn, found, who, n)
    }
    mine: dict[str, set[int]] = {"rep": {who.staff_id or 0}, "team": {who.team_id or 0, 0}, "node": visible}
    if any(ident not in mine[kind] for kind, ident in wanted):
        raise Forbidden("你不能订阅这位客户的动态。")
    # Who may follow a customer may see them type; whose queue it is, hears the telephone.
    rings = [f"ring:{kind}:{ident}" for kind, ident in wanted if kind != "node"]
    typing = [f"typing:{node}" for node in sorted(nodes)]
    return [f"{kind}:{ident}" for kind, ident in wanted] + typing + rings


def _split(vault: Vault, name: str) -> tuple[str, int]:
    kind, _, public = name.partition(":")
    if kind not in ("node", "rep", "team"):
        raise NotFound("没有这种动态。")
    return kind, vault.private(f"topic-{kind}", public)


async def _follow(request: web.Request, response: web.StreamResponse, subscription: Subscription) -> None:
    """Until the screen goes away, the service stops, the session ends, or a topic is theirs no longer."""
    found, beat = house(request), monotonic()
    vault = found.db.vault
    checked = looked = beat
    try:
        while not subscription.closed:
            # Never past the next check: a change a moment before it must not put it off.
            left_s = max(checked + _CHECK_S - monotonic(), 0.05)
            changes = await subscription.take(min(_DEAF_S, left_s) if found.live.deaf else left_s)
            if subscription.start_afresh() or (found.live.deaf and monotonic() - looked >= _DEAF_S):
                looked = monotonic()
                await _say(response, "fresh", {})
            for change in changes:
                if change.topic.startswith("typing:"):
                    await _typing(response, vault, change)
                elif change.topic.startswith("ring:"):
                    await _say(response, "ring", {})
                else:
                    await _say(response, "change", _delta(vault, change))
            if monotonic() - checked >= _CHECK_S:
                checked = monotonic()
                if not await _still_open(request):
                    return
                await _present(request)
            if monotonic() - beat >= _BEAT_S:
                beat = monotonic()
                await _say(response, "beat", {})
    except ConnectionError:
        return


async def _typing(response: web.StreamResponse, vault: Vault, change: Change) -> None:
    """The customer is writing; that we are is told to them, not to ourselves."""
    if change.ident == VISITOR_TYPES:
        node_id = int(change.topic.partition(":")[2])
        await _say(response, "typing", {"topic": topic(vault, "node", node_id)})


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
            await _allowed(conn, found, who, _named(request))
        except Forbidden:
            return False
    return True


async def _present(request: web.Request) -> None:
    """Whoever has a page open is here; several pages of one person say it once."""
    found, who = house(request), actor(request)
    if who.staff_id is None:
        return
    async with found.db.read(who.tenant_id) as conn:
        missing = await desk.needs_touch(conn, who.staff_id, now=await conn.now())
    if missing:
        async with found.db.begin(who.tenant_id) as conn:
            await desk.here(conn, who.staff_id, now=await conn.now())


async def _say(response: web.StreamResponse, event: str, data: object) -> None:
    await response.write(b"event: %s\ndata: %s\n\n" % (event.encode(), shapes.to_json(data)))


ROUTES = (Route(method="GET", path="/live", handler=live, policy=Policy.TALK),)
