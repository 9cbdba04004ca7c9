"""The younger rooms in a tenant's life: files, facts, deeds, long works, orders, consent, search."""

from __future__ import annotations

from collections.abc import Sequence
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
from scrm.identity import decisions, hints, proposals, rebuild, relations, roles, versions
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.identity.aftermath import Turned
from scrm.identity.decisions import Actor
from scrm.identity.kin import store as kin
from scrm.identity.match.store import hints as hinted
from scrm.identity.match.store import proposals as asked_of
from scrm.identity.match.store import records as compared
from scrm.identity.store import log as feed
from scrm.identity.store import policies as policy_rows
from scrm.inbox import mending
from scrm.ledger.consent import store as consents
from scrm.ownership import claiming, deciding, escalating, pooling, watching
from scrm.ownership import service as ownership
from scrm.ownership import versions as rules_of_owning
from scrm.ownership.policies import plain
from scrm.ownership.rules.values import Claimant, Share
from scrm.ownership.store import appeals as appealed
from scrm.ownership.store import claims, deals, pool, rulings
from scrm.ownership.store import handover as handovers
from scrm.ownership.store import versions as owning_versions
from scrm.push import heeding, looking
from scrm.push import service as push
from scrm.push import store as pushed
from scrm.push.service import Word
from scrm.sales import service as sales
from scrm.sales import store as sold
from scrm.settings import shipped
from scrm.shapes import read_yaml
from scrm.staff.rules import Scope
from scrm.timeline import edits, seeing, turned
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
        "kin": [said("我爱人电话是13912345678，我是子涵妈妈", **usual)],
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


async def as_identified(conn: Conn) -> None:
    """A telephone changes hands, somebody joins and parts; another policy, all derived anew."""
    now, who = utcnow(), Actor(origin="admin", staff_id=1)
    number = handle("+8613912340001", kind="phone", scope="e164")
    old, new = (
        handle("old", kind="wechat_unionid", name="王伟"),
        handle("new", kind="wechat_unionid", name="李娜"),
    )
    for days, one in ((900, old), (10, new)):
        link = Link(a=one, b=number, rule="test", strength=80)
        seen = identity.Sighting(
            event_id=days, at=now - timedelta(days=days), key=f"r{days}", handles=(one, number), links=(link,)
        )
        done = await identity.resolve(conn, [seen], now)
    assert done.recycled == {done.nodes[identity.address(number)]}
    await turned.told(conn, Turned(persons=done.changed, recycled=done.recycled), now=now)
    a, b = (done.nodes[identity.address(new)], await identity.find(conn, old) or 0)
    owners = await nodes.persons_of(conn, [a, b])
    await decisions.preview(conn, owners[a], owners[b], "same_person")
    await decisions.preview(conn, owners[a], owners[b], "same_household")
    told = await decisions.link(conn, a, b, by=who, why="", now=now)
    await decisions.withdraw(conn, told.evidence_ids, by=who, why="", now=now)
    await decisions.reinstate(conn, told.evidence_ids, by=who, why="", now=now)
    await decisions.apart(conn, a, b, by=who, why="", now=now)
    await decisions.apart(conn, a, b, by=who, why="", now=now, cls="not_same_household")
    every = decisions.Which(rule="human.link", rule_version=1, batch="b", actor_id=1, since=now, until=now)
    await decisions.revert(conn, every, by=who, why="", now=now)
    await identity.household_now(conn, 1)
    await identity.household_now(conn, owners[b])
    shown = read_yaml(shipped("config") / "identity.yaml")
    await versions.adopt(conn, shown, by=1, note="", now=now)
    await rebuild.some(conn, now=now)
    await feed.page(conn, limit=9, ops=("merge",))
    await feed.newest(conn, before=1 << 62, limit=9)
    await policy_rows.history(conn, limit=9)


async def as_relative(conn: Conn) -> None:
    """A rep says who pays, and takes it back; a child is named, a card followed up."""
    now, node_id = utcnow(), (await talk_of(conn, "anna")).node_id
    ident = await roles.assign(conn, node_id, "payer", by=1, why="妈妈转的账", now=now)
    await roles.take_back(conn, ident, now=now)
    await roles.parts(conn, await nodes.persons_of(conn, [node_id]), now)
    name_key, _ = relations.name_keys(conn, "子涵")
    await relations.learner_named(conn, [name_key or b""], now=now)
    await kin.forwarded(conn, [node_id], relations.CARD)
    await kin.near(conn, node_id, [relations.CARD], now, now)
    await kin.added(conn, [node_id], relations.ADDED)
    await kin.texts(conn, node_id, now, now)
    await kin.met_by(conn, [node_id], 1)
    (home,) = (await kin.households(conn, [node_id])).values()
    await kin.kind_of(conn, list(await kin.members(conn, home)), "learner")
    await as_reviewer(conn, node_id, sorted(await kin.members(conn, home)))


async def as_reviewer(conn: Conn, node_id: int, others: Sequence[int]) -> None:
    """Two may be one person: asked, looked at, put off; a model is kept, hints are noted."""
    now, policy = utcnow(), await versions.current(conn)
    owners = await nodes.persons_of(conn, [node_id, *others])
    other = next(n for n in others if owners[n] != owners[node_id])
    assert await proposals.suggest(conn, node_id, other, "same_person", ["像"], source="statement", now=now)
    (one,) = await proposals.queue(conn, (1 << 30, 1 << 62), now=now)
    await proposals.later(conn, one.proposal_id, now=now)
    await proposals.get(conn, one.proposal_id)
    await proposals.counts(conn)
    await proposals.take_back(conn, "?", by=Actor(origin="model"), why="", now=now)
    await asked_of.stale(conn, batch="b", source="model", cls="same_person", limit=9)
    await asked_of.keep_model(conn, "person-1-a", "{}", now=now)
    await compared.page(conn, policy, after=0, limit=9)
    await compared.apart(conn, after=0, limit=9)
    await hints.look(conn, policy, {owners[node_id]}, now=now)
    await hinted.keep(conn, [(b"h", node_id, "child")])
    await hints.forget(conn, [1])
    await proposals.forget(conn, [1])


async def as_owner(conn: Conn, home: House) -> None:
    """A customer is reported and seen, their deal ruled on, appealed against, decided and paid."""
    now, rule, ident = utcnow(), await rules_of_owning.current(conn), home.account.account_id
    broker = Claimant(kind="broker", ident="b1")
    for kind, phone in (("report", "138****1234"), ("visit", "13812341234")):
        told = claiming.Wanted(claimant=broker, kind=kind, phone=phone, at=now, name="安娜", device="d1")
        one = await claiming.enter(conn, told, rule, key=kind, by="staff:1", by_id=1, now=now)
        await ownership.claimed(conn, one, now=now)
        await watching.signals_of(conn, one)
    report = (await claims.page(conn, before=1 << 62, limit=9, by="broker:b1", node_ids=None))[-1]
    await watching.signals_of(conn, report)
    await claims.page(conn, before=None, limit=9, node_ids=[report.claim.node_id])
    assert await claims.masked(conn, ["+8613812341234"])
    assert await claims.seen_with(conn, "broker:b1", "+8613812341234")
    deal = await deals.of_number(conn, ident, "order", "o1")
    assert deal is not None
    assert await deals.by_ids(conn, [deal.deal_id])
    assert await deals.made_since(conn, deal.at)
    newest = await rulings.last(conn, deal.deal_id)
    assert newest is not None
    lead, other = deciding.By(label="staff:1", staff_id=1), deciding.By(label="staff:2", staff_id=2)
    words = "客户是我先接待的，有录音。"
    await deciding.appeal(conn, newest.ruling_id, words, by=other, now=newest.at)
    won = [Share(by=broker, bp=10_000)]
    await deciding.decide(conn, newest.ruling_id, agree=True, why=words, by=lead, now=now, shares=won)
    await deciding.pay(conn, deal.deal_id, by=lead, now=now)
    await rulings.page(conn, before=1 << 62, limit=9, deal_ids=[deal.deal_id], waiting=True)
    await rulings.ledger(conn, before=1 << 62, limit=9, deal_ids=[deal.deal_id], account="broker:b1")
    await appealed.page(conn, before=1 << 62, limit=9, state="open", deal_id=deal.deal_id)
    persons = set((await nodes.persons_of(conn, [deal.node_id])).values())
    await ownership.preview(conn, persons, now=now)
    await ownership.owners(conn, min(persons), now=now)
    await ownership.touched(conn, persons, now=now)
    await ownership.look_again(conn, {"deals": [deal.deal_id], "persons": sorted(persons)}, now=now)
    await rules_of_owning.save(conn, dict(plain(rule)), actor="staff:1", actor_id=1, note="", now=now)
    await owning_versions.page(conn, limit=9)
    await passing_on(conn, deal.node_id)


async def passing_on(conn: Conn, node_id: int) -> None:
    """A customer who is in the public pool, and who was handed over."""
    now = utcnow()
    one = pool.fresh(
        node_id=node_id, from_id=1, team_id=None, state="in", rule="idle", level="new", fell_at=now
    )
    assert await pool.add(conn, one)
    await pooling.look(conn, one, 1, now=now)
    await pooling.sweep(conn, after=0, limit=9, now=now)
    await escalating.escalate(conn, now=now)
    assert await pool.page(conn, "in", teams=None, before=None, limit=9)
    made = await handovers.add(conn, from_id=1, to_id=2, by_id=None, sort="onjob", now=now)
    await handovers.add_customer(conn, made.handover_id, node_id, "客户：王女士")
    await handovers.set_brief(conn, made.handover_id, node_id, "客户：王女士，只接周末电话")
    assert await handovers.customers(conn, made.handover_id)


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
    assert len(await identity.family(conn, person)) == 3
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
        await deals.of_number(conn, ident, "order", "o1"),
        await deals.of_nodes(conn, [node]),
        await rulings.page(conn, before=None, limit=9),
        await rulings.ledger(conn, before=None, limit=9),
        await appealed.page(conn, before=None, limit=9),
        await claims.page(conn, before=None, limit=9),
        [p for p in await identity.family(conn, at["person"]) if p != at["person"]],
        await kin.of_nodes(conn, [node]),
        await roles.roles_of(conn, [node], now),
        await accounts.beats(conn, since=now - timedelta(days=1)),
        await mending.classes(conn),
        await outbox.broken(conn),
    ]
