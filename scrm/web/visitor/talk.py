"""What a visitor says and reads: session, login of the site, messages, history, typing, and what was seen."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from scrm import outbox
from scrm.contract import Act, Raw
from scrm.db import Conn
from scrm.errors import BadInput, NotFound
from scrm.identity.store import Interval
from scrm.live import VISITOR_TYPES, Change
from scrm.staff import store as staff
from scrm.staff.rules import Policy
from scrm.timeline.store import events, visits
from scrm.timeline.store.events import Stored
from scrm.web.house import house
from scrm.web.ops import built
from scrm.web.pages import place_in, place_out
from scrm.web.render import DIST
from scrm.web.routes import Route
from scrm.web.visitor.door import Guest, Visit, new_guest, open_to_visitors, preflight, said, visit_of

KEY = re.compile(r"[0-9A-Za-z_-]{8,64}")
_TEXT_MAX = 4000
_PAGE, _PAGE_MAX = 30, 50
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


async def widget(request: web.Request) -> web.StreamResponse:
    """The script a page embeds; its address stays, so browsers ask again after minutes."""
    visit_of(request)
    name = house(request).renderer.asset("webchat.js")
    if not name:
        raise NotFound("聊天组件还没有构建。")
    headers = {
        "Content-Type": "text/javascript; charset=utf-8",
        "Cache-Control": "public, max-age=300",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Vary": "Accept-Encoding",
        "ETag": f'"{name}"',
    }
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    return built(request, DIST / name, headers)


async def session(visit: Visit) -> web.Response:
    """Who the browser is from now on, and what the widget needs to open. Nothing is stored."""
    body = await visit.body()
    known = visit.known(str(body.get("token") or ""))
    await visit.take("session", known.visitor if known else "")
    return said(
        {"token": visit.token(known or new_guest()), "known": known is not None, "site": _site(visit)}
    )


def _site(visit: Visit) -> dict[str, Any]:
    shown = visit.site
    return {
        "name": shown.name,
        "greeting": shown.greeting,
        "colour": shown.colour,
        "ink": shown.ink,
        "upload_max": shown.upload_max,
        "open": shown.open,
        "back_at": shown.back_at,
    }


async def identify(visit: Visit) -> web.Response:
    """The site's server says who its visitor is; refused, the visitor stays who they were: nobody."""
    guest, body = visit.guest(), await visit.body()
    await visit.take("identify", guest.visitor)
    context = visit.house.context(visit.plugged, visit.now)
    token = str(body.get("identity") or "")
    login = visit.plug.identify(context, guest.visitor, token)
    changed = guest.subject not in ("", login.subject)
    if changed:
        # Somebody else signed in on this device: theirs is another talk, and another person.
        guest = new_guest()
        login = visit.plug.identify(context, guest.visitor, token)
    await _accept(visit, login.raw)
    bound = Guest(visitor=guest.visitor, subject=login.subject)
    return said({"token": visit.token(bound), "changed": changed})


async def message(visit: Visit) -> web.Response:
    """Durable when answered. The same key again changes nothing and is answered alike."""
    guest, key = visit.guest(), key_of(visit.request)
    await visit.take("message", guest.visitor)
    body = await visit.body()
    text = body.get("text")
    if not isinstance(text, str) or not text.strip() or "\x00" in text:
        raise BadInput("请先输入要发送的内容。")
    if len(text) > _TEXT_MAX:
        raise BadInput("内容太长了，请分几条发送。")
    await say(visit, Act(visitor=guest.visitor, key=key, at=visit.now, kind="text", text=text.strip()))
    return said({"key": key}, status=201)


def key_of(request: web.Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not KEY.fullmatch(key):
        raise BadInput("缺少发送编号，请刷新页面后重试。")
    return key


async def say(visit: Visit, act: Act) -> None:
    """Into the inbox like any callback."""
    await _accept(visit, visit.plug.said(visit.house.context(visit.plugged, visit.now), act))


async def _accept(visit: Visit, raw: Raw) -> None:
    await visit.house.inbox.accept(visit.plugged.account, (raw,), received_at=visit.now)


async def history(visit: Visit) -> web.Response:
    """The visitor's own talk on this site, oldest first within a page; never what they said elsewhere."""
    guest = visit.guest()
    await visit.take("look", guest.visitor)
    asked = visit.request.query.get("limit", "")
    limit = (
        min(int(asked), _PAGE_MAX) if asked.isascii() and asked.isdigit() and 0 < len(asked) < 4 else _PAGE
    )
    async with visit.house.db.read(visit.tenant_id) as conn:
        node_id = await visit.node(conn, guest)
        if node_id is None:
            return said({"items": [], "before": "", "read_at": None, "site": _site(visit)})
        before = place_in(conn.vault, visit.request.query.get("before", ""))
        span = Interval(node_id=node_id, from_at=_ALWAYS, until_at=None)
        found = await events.page(
            conn, [span], before=before, limit=limit + 1, account_ids=[visit.account_id]
        )
        shown = found[:limit]
        reading = await visits.reading(conn, visit.account_id, node_id)
        answer = {
            "items": await _items(conn, shown),
            "before": place_out(conn.vault, shown[-1].place) if len(found) > limit else "",
            "read_at": reading.read_at if reading else None,
            "site": _site(visit),
        }
    return said(answer)


async def _items(conn: Conn, found: list[Stored]) -> list[dict[str, Any]]:
    """What was said and has arrived; what is still on its way, or never left, is not shown."""
    sent = await outbox.deliveries(conn, [e.event_id for e in found if e.direction == "out"])
    talk = [e for e in found if e.kind.startswith("message.") and _arrived(e, sent)]
    bodies = await events.bodies(conn, talk)
    people = await staff.members(conn, [e.staff_id for e in talk if e.staff_id])
    items = []
    for e in reversed(talk):
        body, member = bodies[e.event_id], people.get(e.staff_id or 0)
        item: dict[str, Any] = {
            "id": conn.vault.public("event", e.event_id),
            "at": e.at,
            "mine": e.direction == "in",
            "kind": e.kind.removeprefix("message."),
            "text": "" if e.recalled_at else e.text,
        }
        if e.direction == "in":
            item["key"] = str(body.get("key", ""))
        if member:
            item["who"] = member.name
        if e.recalled_at:
            item["recalled"] = True
        elif body.get("media"):
            item["file"] = body["media"]
        items.append(item)
    return items


def _arrived(e: Stored, sent: dict[int, outbox.Delivery]) -> bool:
    delivery = sent.get(e.event_id)
    return delivery is None or delivery.state == "sent"


async def read(visit: Visit) -> web.Response:
    """The visitor has everything up to now before their eyes."""
    guest = visit.guest()
    await visit.take("read", guest.visitor)
    async with visit.house.db.begin(visit.tenant_id) as conn:
        node_id = await visit.node(conn, guest)
        reading = await visits.reading(conn, visit.account_id, node_id) if node_id else None
        if reading and await visits.mark_seen(conn, reading.conversation_id, now=visit.now):
            change = Change(topic=f"node:{node_id}", ident=reading.conversation_id, version=reading.version)
            conn.after_commit(lambda: visit.house.live.publish(visit.tenant_id, [change]))
    return web.Response(status=204)


async def typing(visit: Visit) -> web.Response:
    """The visitor is writing; kept nowhere."""
    guest = visit.guest()
    await visit.take("typing", guest.visitor)
    async with visit.house.db.read(visit.tenant_id) as conn:
        node_id = await visit.node(conn, guest)
    if node_id is not None:
        change = Change(topic=f"typing:{node_id}", ident=VISITOR_TYPES, version=1)
        visit.house.live.publish(visit.tenant_id, [change])
    return web.Response(status=204)


ROUTES = (
    Route(method="GET", path="/chat/{account}/widget.js", handler=widget, policy=Policy.PUBLIC),
    Route(method="OPTIONS", path="/chat/{account}/{tail:.+}", handler=preflight, policy=Policy.PUBLIC),
    *(
        Route(
            method=method,
            path=f"/chat/{{account}}/{path}",
            handler=open_to_visitors(run),
            policy=Policy.PUBLIC,
        )
        for method, path, run in (
            ("POST", "session", session),
            ("POST", "identify", identify),
            ("POST", "messages", message),
            ("GET", "history", history),
            ("POST", "read", read),
            ("POST", "typing", typing),
        )
    ),
)
