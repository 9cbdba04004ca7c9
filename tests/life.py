"""The younger rooms in a tenant's life: files, facts, deeds, long works, orders, consent, search."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from scrm import facts, inbox, jobs, outbox, works
from scrm.accounts import health
from scrm.accounts import store as accounts
from scrm.accounts.pulse import Beat, slot_of
from scrm.contract import Context, Deed, Done, Envelope, Fact, Link, Media, Piece, Polled, Stock
from scrm.db import Conn, utcnow
from scrm.deeds import service as deeds
from scrm.deeds import store as deed_rows
from scrm.desk.calendar import rules as dates
from scrm.desk.calendar import service as calendar
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.inbox import mending
from scrm.ledger.consent import store as consents
from scrm.push import heeding, looking
from scrm.push import service as push
from scrm.push import store as pushed
from scrm.push.service import Word
from scrm.sales import service as sales
from scrm.sales import store as sold
from scrm.staff.rules import Scope
from scrm.timeline import edits, seeing
from scrm.timeline.store import conversations, events, hearing, media, ringing, search, tallies
from tests.ground import Fetching, House, handle, raw, said, talk_of

EVERYTHING = Scope(everything=True)
MENDABLE, MENDED = '{"a": "x"}', '{"a": "y"}'
_VOICE = Piece(ref="r1", kind="voice", name="录音.mp3")


class Able(Fetching):
    """A channel with every power there is."""

    STOCKS = (Stock(stream="fans", title="关注者"),)
    DEEDS = (Deed(kind="tag", title="打标签", idempotent=True),)
    FOLLOWS: tuple[str, ...] = ()

    async def media(self, _ctx: Context, _ref: str) -> Media:
        return Media(name="a.mp3", mime="audio/mpeg", content=b"ID3\x03\x00")

    async def do(self, _ctx: Context, _deed: str, _fields: Any) -> Done:
        return Done(item="t1", body={"n": 1}, raws=(raw("told"),), again_s=0)

    async def outcome(self, _ctx: Context, _deed: str, _item: str, _fields: Any) -> Done:
        return Done(item="t1")


def told() -> dict[str, list[Envelope]]:
    """What one channel says about a customer, so that every kind of row comes of it."""
    now = utcnow()
    anna, ben = handle("anna"), handle("ben", part="about")
    tie = Link(a=anna, b=ben, rule="order.payer", kind="same_household")
    usual: dict[str, Any] = {"at": now, "handles": (anna,)}
    follow = Fact(kind="follow", key="li:anna", body={"by": "li"}, handle=anna)
    ours = Fact(kind="tag", key="t1", body={"name": "高意向"})
    return {
        "v1": [said("", kind="message.voice", pieces=(_VOICE,), **usual)],
        "e1": [said("贵不贵", edits="m2", **usual)],
        "c1": [said("", kind="event.app", counts="app:open", quiet=True, **usual)],
        "q1": [Envelope(kind="event.fact", direction="none", quiet=True, facts=(follow, ours), **usual)],
        "h1": [Envelope(kind="event.tie", direction="none", at=now, handles=(anna, ben), links=(tie,))],
        "k1": [said("", kind="event.call.ringing", whole=("call-1",), **usual)],
        "stop": [said("退订", **usual)],
        "told": [Envelope(kind="event.tag", direction="none", **usual)],
        **_sold(anna),
    }


def _sold(anna: Any) -> dict[str, list[Envelope]]:
    now = utcnow()
    at = now.isoformat()
    line = {"product": "p1", "name": "数学", "quantity": 1, "amount": 100}
    order = {"id": "o1", "version": 1, "at": at, "status": "paid", "business_line": "", "total": 100}
    product = {"id": "p1", "version": 0, "at": at, "name": "数学", "business_line": "", "unit": "节"}
    price = {"id": "q1", "version": 0, "at": at, "product": "p1", "price_list": "标准", "amount": 100}
    refund = {"id": "b1", "version": 0, "at": at, "order": "o1", "status": "done", "amount": 1}
    bodies: dict[str, dict[str, Any]] = {
        "order.paid": {"order": order | {"paid": 100, "items": [line]}, "others": {}},
        "refund.done": {"refund": refund},
        "catalog.product": {"product": product | {"on_sale": True}},
        "catalog.price": {"price": price | {"starts": at}},
    }
    return {
        name: [Envelope(kind=f"event.{name}", direction="none", at=now, handles=(anna,), body=body)]
        for name, body in bodies.items()
    }


# -- acts --------------------------------------------------------------------------------------------------
async def work(home: House) -> None:
    """Everything that was asked for is done: files, deeds, streams, profiles, long works."""
    account, tenant = home.account, home.account.tenant_id
    plugged = home.directory.by_id(account.account_id)
    pages = home.channel.pages
    pages["fans", ""] = Polled(raws=(raw("m1"),), cursor="c", more=False, total=1)
    async with home.db.begin(tenant) as conn:
        await deeds.ask(conn, plugged, "tag", {}, key="k", by="staff:1", staff_id=None, now=utcnow())
        await works.start(conn, "sync", {"streams": ["fans"]}, account_id=account.account_id, now=utcnow())
        await works.start(conn, "reindex", {}, now=utcnow())
    while await home.worker.errands.batch(tenant):
        pass
    await home.worker.hand_out(tenant)


async def as_admin(conn: Conn, home: House) -> None:
    now, ident = utcnow(), home.account.account_id
    await accounts.set_state(conn, ident, "paused", was=["running"])
    await accounts.set_state(conn, ident, "running", was=["paused", "draining"])
    beat = Beat(tenant_id=conn.tenant_id, account_id=ident, slot=slot_of(now), received=1, last_at=now)
    old = replace(beat, slot=slot_of(now - timedelta(days=3)))
    await accounts.add_beats(conn, [beat, old])
    await accounts.add_beats(conn, [beat])
    await accounts.sweep_beats(conn, before=now - timedelta(days=2))
    await health.healths(conn, [home.directory.by_id(ident)], now=now)
    started = await works.start(conn, "sync", {}, now=now)
    for what in ("pause", "resume"):
        assert await works.order(conn, started, what, now=now)
    await works.advance(conn, started, works.Slice(done=1), now=now)
    await works.fail(conn, started, "?", now=now)
    await works.page(conn, account_id=ident, kinds=["sync"], states=["done"], before=started, limit=9)
    await inbox.following(conn, ident, "s", now=now)
    await inbox.reached(conn, ident, "s", now, now=now)
    await inbox.hold(conn, ident)
    await inbox.any_held(conn, [])
    await inbox.release(conn, [])
    await inbox.is_idle(conn, ident)
    await jobs.begin(conn, "poll", f"{ident}:s", ident, {"stream": "s", "hint": ""}, at=now)
    await _dead_letters(conn)


async def _dead_letters(conn: Conn) -> None:
    for one in await mending.classes(conn):
        letters = await mending.letters(conn, await mending.class_of(conn, one.key), before=None, limit=9)
        for letter in letters:
            await mending.letter(conn, letter.inbox_id)
            if letter.source_key == MENDABLE:
                await mending.mend(conn, letter.inbox_id, 0, "y")
        await mending.replay_some(conn, one, after=0, limit=9)
    await mending.discard(conn, [1], "没有用")


async def as_sender(conn: Conn) -> None:
    """A vendor tells many customers something for us."""
    now, node_id = utcnow(), (await talk_of(conn, "anna")).node_id
    await pushed.keep_told(conn, 1, [node_id], "marketing", now=now)
    await pushed.reached(conn, [node_id], "marketing", since=now)
    await pushed.drop_told(conn, 2, [node_id])
    await pushed.drop_told(conn, 2)


async def as_planner(conn: Conn, home: House) -> None:
    now, talk = utcnow(), await talk_of(conn, "anna")
    day = dates.day_of(now)
    await calendar.put(conn, day, day + timedelta(days=1), "holiday", "校庆", now=now)
    await calendar.put(conn, day, day, None, "", now=now)
    await calendar.listed(conn, day, day)
    ident = home.account.account_id
    note = heeding.Order(key="n1", state="granted", purpose="sop")
    await heeding.note(conn, ident, talk.node_id, note, now=now)
    await consents.page(conn, node_ids=None, before=1 << 62, limit=9)
    await consents.of_nodes(conn, [talk.node_id])
    (person,) = set((await nodes.persons_of(conn, [talk.node_id])).values())
    await conversations.set_session(conn, talk.conversation_id, "api")
    later = Word(key="later", text="明天见", at=now + timedelta(hours=30))
    planned = await push.reach(conn, home.directory, person, later, "service", now=now)
    await push.reach(conn, home.directory, person, later, "service", now=now)
    await push.call_off(conn, planned.said.event_ids[0], now=now)
    await as_sender(conn)
    ask = push.ask_of(Word(key="", text="好"))
    await looking.decide(conn, home.directory.by_id, [talk], ask, now=now)
    await outbox.hold(conn, ident, until=now, now=now)
    await outbox.put_off(conn, 1, until=now, late=timedelta(), now=now)
    await outbox.judge(conn, 1, delivered=True, now=now)
    await outbox.again(conn, 1, until=now, now=now)
    await sales.save_product(conn, "p2", name="语文", business_line="", unit="节", on_sale=True, now=now)
    await sales.add_price(conn, "p2", price_list="", yuan="9.90", starts_at=now, ends_at=None, now=now)


async def files(conn: Conn) -> None:
    """A recording was fetched; somebody listens to it, asks for it again, and it is lost."""
    heard = await hearing.unheard(conn, limit=9)
    assert heard
    for recording in heard:
        await hearing.mark(conn, [recording], "waiting")
        for one in await hearing.of_media(conn, recording.media_id):
            await hearing.write(conn, one, "我想退课")
        file = await media.get(conn, recording.event_id, recording.n)
        assert file is not None
        assert await media.opened(conn, recording.media_id)
        await media.owner_of(conn, recording.media_id)
        await media.ref_of(conn, file)
        await media.put_aside(conn, file, "failed", "?")
        await media.ask_again(conn, file)
        await media.keep(conn, file, Media(name="a", mime="audio/mpeg", content=b"ID3"), now=utcnow())
        await search.index(conn, [recording.event_id])
        await search.shelve(conn, [recording.event_id])


async def reads(conn: Conn, home: House) -> None:
    talk, now, ident = await talk_of(conn, "anna"), utcnow(), home.account.account_id
    (person,) = set((await nodes.persons_of(conn, [talk.node_id])).values())
    assert len(await identity.family(conn, person)) == 2
    assert await facts.of_nodes(conn, [talk.node_id], ["follow"])
    assert await facts.page(conn, ident, "tag", before=1 << 62)
    assert await facts.get(conn, ident, "tag", "t1")
    assert await facts.some(conn, ident, "tag", ["t1"])
    assert await tallies.of_nodes(conn, [talk.node_id], since=now)
    assert await deed_rows.page(conn, [ident], before=1 << 62)
    await deed_rows.brought(conn, ident, "app:")
    await ringing.ringing(conn, [ident], now=now)
    spans = await nodes.intervals(conn, person)
    found = await events.page(conn, spans, before=None, limit=50)
    assert await edits.history(conn, found)
    await media.of_events(conn, [e.event_id for e in found])
    some = Scope(rep_id=1, team_id=2)
    for scope, within in ((EVERYTHING, None), (EVERYTHING, spans), (some, None)):
        hits = await search.page(conn, "退课", scope=scope, spans=within, limit=9)
        assert hits or scope is some
    await search.following(conn, after=1, limit=9)
    await seeing.sees(conn, some, talk.node_id)
    await seeing.sees_family(conn, some, person)
    (order,) = await sold.orders(conn, before=1 << 62, limit=9, account_ids=[ident])
    assert await sold.lines(conn, [order.order_id])
    assert await sold.refunded(conn, [order]) == {order.order_id: 1}
    assert await sold.order_of(conn, ident, "o1")
    assert len(await sold.products(conn, before=1 << 62, limit=9, on_sale=True)) == 2
    assert await sold.prices(conn, ["p1"])


async def places(home: House) -> dict[str, Any]:
    """Names of a tenant's things that lead somewhere; another tenant must find nothing behind them."""
    async with home.db.read(home.account.tenant_id) as conn:
        node = (await talk_of(conn, "anna")).node_id
        (person,) = set((await nodes.persons_of(conn, [node])).values())
        spans = await nodes.intervals(conn, person)
        told = await events.page(conn, spans, before=None, limit=50)
        ids = [e.event_id for e in told]
        (order,) = await sold.orders(conn, before=None, limit=9)
        (deed,) = await deed_rows.page(conn, [home.account.account_id])
        every = await works.page(conn, limit=9)
        files_ = [f for several in (await media.of_events(conn, ids)).values() for f in several]
        kept = next(f.media_id for f in files_ if f.media_id)
    return {
        "node": node, "person": person, "spans": spans, "events": ids, "order": order,
        "deed": deed, "work": every[0], "file": files_[0], "media": kept, "account": home.account.account_id,
    }  # fmt: skip


async def behind(conn: Conn, at: dict[str, Any]) -> list[Any]:
    """What this connection finds behind those names; each is something to its tenant, empty to a stranger."""
    ident, node, order = at["account"], at["node"], at["order"]
    now, file = utcnow(), at["file"]
    return [
        await facts.of_nodes(conn, [node], ["follow"]),
        await facts.page(conn, ident, "tag"),
        await facts.get(conn, ident, "tag", "t1"),
        await tallies.of_nodes(conn, [node], since=now - timedelta(days=1)),
        await deed_rows.get(conn, at["deed"].deed_id),
        await deed_rows.page(conn, [ident]),
        await deed_rows.of_key(conn, "staff:1:k"),
        await works.get(conn, at["work"].job_id),
        await works.order(conn, at["work"].job_id, "cancel", now=now),
        await media.get(conn, file.event_id, file.n),
        await media.opened(conn, at["media"]),
        await search.page(conn, "退课", scope=EVERYTHING, limit=9),
        await search.page(conn, "退课", scope=EVERYTHING, spans=at["spans"], limit=9),
        await ringing.ringing(conn, [ident], now=now),
        await consents.of_nodes(conn, [node]),
        await consents.page(conn, node_ids=[node], before=None, limit=9),
        await sold.order_of(conn, ident, "o1"),
        await sold.orders(conn, before=None, limit=9),
        await sold.lines(conn, [order.order_id]),
        (await sold.prices(conn, ["p1"]))["p1"],
        (await sold.refunded(conn, [order]))[order.order_id],
        [p for p in await identity.family(conn, at["person"]) if p != at["person"]],
        await accounts.beats(conn, since=now - timedelta(days=1)),
        await mending.classes(conn),
        await outbox.broken(conn),
    ]
