"""The visitor's stream: that something changed, that we type; the widget then asks. No gap, no log."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic

from aiohttp import web

from scrm import shapes
from scrm.errors import ScrmError
from scrm.live import WE_TYPE, Subscription
from scrm.staff.rules import Policy
from scrm.web.routes import Route
from scrm.web.visitor.door import Guest, Visit, allowed, open_to_visitors

_BEAT_S = 15.0
_CHECK_S = 5.0
#: While nothing is heard from other processes, pages look by themselves this often.
_DEAF_S = 2.0
#: Before the first message is settled there is nothing to follow yet: looked for often, then less and less.
_LOOK_S, _LOOK_MAX_S = 1.0, 10.0
#: A stream is renewed with a fresh token check now and then.
_LIFE_S = 600.0


async def stream(visit: Visit) -> web.StreamResponse:
    """Until the page goes away, the service stops, or ten minutes have passed; pages come back alone."""
    guest = visit.guest()
    await visit.take("stream", guest.visitor)
    with visit.house.limits.streaming(f"{visit.account_id}:{guest.visitor}", address=visit.address):
        response = web.StreamResponse(headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"})
        response.content_type = "text/event-stream"
        allowed(visit, response)
        await response.prepare(visit.request)
        with suppress(ConnectionError, ScrmError):  # begun is begun: the page comes back and asks anew
            await _follow(visit, guest, response)
        return response


async def _follow(visit: Visit, guest: Guest, response: web.StreamResponse) -> None:
    """Subscribed before `fresh` is said: what changes while the page fetches is in the buffer."""
    end, node_id, look_s = monotonic() + _LIFE_S, await _node(visit, guest), _LOOK_S
    if node_id is None:
        await _say(response, "fresh")
    while node_id is None and monotonic() < end:
        # Nothing to follow until the first message is settled; nothing can be said to them either.
        with visit.house.live.subscribe(visit.tenant_id, ()) as nothing:
            await _tell(visit, response, nothing, until=monotonic() + look_s)
            await _say(response, "beat")  # also how we notice that they have gone
            if nothing.closed:
                return
        node_id, look_s = await _node(visit, guest), min(1.5 * look_s, _LOOK_MAX_S)
    topics = (f"node:{node_id}", f"typing:{node_id}")
    with visit.house.live.subscribe(visit.tenant_id, topics) as subscription:
        await _say(response, "fresh")
        await _tell(visit, response, subscription, until=end)


async def _node(visit: Visit, guest: Guest) -> int | None:
    async with visit.house.db.read(visit.tenant_id) as conn:
        return await visit.node(conn, guest)


async def _tell(visit: Visit, response: web.StreamResponse, heard: Subscription, *, until: float) -> None:
    live, beat = visit.house.live, monotonic()
    while not heard.closed and monotonic() < until:
        wait_s = _DEAF_S if live.deaf else _CHECK_S
        changes = await heard.take(min(wait_s, max(0.05, until - monotonic())))
        if heard.start_afresh() or live.deaf:
            await _say(response, "fresh")
        if any(c.topic.startswith("node:") for c in changes):
            await _say(response, "change")
        if any(c.topic.startswith("typing:") and c.ident == WE_TYPE for c in changes):
            await _say(response, "typing")
        if monotonic() - beat >= _BEAT_S:
            beat = monotonic()
            await _say(response, "beat")


async def _say(response: web.StreamResponse, event: str) -> None:
    await response.write(b"event: %s\ndata: %s\n\n" % (event.encode(), shapes.to_json({})))


ROUTES = (
    Route(
        method="GET", path="/chat/{account}/stream", handler=open_to_visitors(stream), policy=Policy.PUBLIC
    ),
)
