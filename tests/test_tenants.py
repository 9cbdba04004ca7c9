"""Two tenants in one database: nothing one of them does reads, changes or even names the other's rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.sqlite import insert as lite_insert
from sqlalchemy.exc import UnsupportedCompilationError
from sqlalchemy.schema import CreateTable

from scrm import inbox, jobs, outbox
from scrm.contract import Envelope, Link, Media, Pull
from scrm.db import Conn, Database, utcnow
from scrm.desk import store as desk
from scrm.errors import Untranslatable
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.ledger import store as ledger
from scrm.playbook import service as playbook
from scrm.playbook import store as suggestions
from scrm.push import service as push
from scrm.push import store as media
from scrm.push.service import Word
from scrm.schema import metadata
from scrm.seal import token_hash
from scrm.staff import service as staff
from scrm.staff import store as staff_store
from scrm.staff.rules import Scope
from scrm.timeline.store import conversations, events
from scrm.tokens import SharedTokens
from tests import life, life_effect, life_promises, life_scripts, life_selling, life_sops, life_tasks
from tests.ground import NOW, House, dump, handle, house, installed, library, said, talk_of

#: Which tenants and which release there are is no tenant's secret.
SHARED = {"tenant", "schema_info"}
EVERYTHING = Scope(everything=True)
PICTURE = Media(name="a.png", mime="image/png", content=b"\x89PNG\r\n\x1a\n")


async def live_through(home: House) -> None:
    """Everything the core can do, once, for one tenant: the same people with the same ids everywhere."""
    now, tenant = utcnow(), home.account.tenant_id
    anna, union = handle("anna", name="安娜"), handle("u1", kind="wechat_unionid")
    link = Link(a=anna, b=union, rule="wechat.unionid")
    recall = Envelope(kind="event.recall", direction="none", at=now, handles=(anna,), recalls="m1")
    says: dict[str, Any] = {
        "m1": [said("太贵了", at=now, handles=(anna,), links=(link,))],
        "m2": [said("有优惠吗", at=now, handles=(anna,))],
        "r1": [recall],
        "n1": [Pull(stream="kf1")],
        "w1": [said("", at=now, kind="event.add", welcome="code", by="ben")],
        "bad": Untranslatable("?"),
        life.MENDABLE: Untranslatable("?"),
        **life.told(),
    }
    home.channel.says[life.MENDED.encode()] = []
    await home.take(says)
    await home.inbox.accept(home.account, [], received_at=now, moved=inbox.Moved(stream="kf1", cursor="c"))
    while await home.pipeline.settle(tenant) + await home.pipeline.react(tenant):
        pass
    await life.work(home)
    async with home.db.begin(tenant) as conn:
        await life.files(conn)
        await _as_staff(conn, home)
        await _as_rep(conn, home)
        await _at_the_desk(conn)
        await _as_worker(conn)
        await life.as_admin(conn, home)
        await life.as_planner(conn, home)
        await life.as_identified(conn)
        await life.as_relative(conn)
        await life.as_owner(conn, home)
        await life_tasks.as_busy(conn)
        await life_selling.as_seller(conn, home)
        await life_sops.as_follower(conn, home)
        await life_promises.as_promiser(conn, home)
        await life_scripts.as_writer(conn)
        await life_scripts.with_files(conn, home.account.account_id)
        await life_effect.as_measured(conn)
    await home.worker.sender.batch(tenant)
    await _with_tokens(home)
    home.channel.says[b"m2"] = [said("能优惠吗", at=now, handles=(anna,))]
    async with home.db.begin(tenant) as conn:
        await inbox.replay(conn)
        await inbox.replay(conn, since=now)
    await home.pipeline.settle(tenant)
    async with home.db.read(tenant) as conn:
        await _reads(conn, home)
        await life.reads(conn, home)


async def _as_staff(conn: Conn, home: House) -> None:
    now = utcnow()
    ident = await staff.add(conn, login="li", name="李", role="rep", team="A", now=now)
    await staff_store.bind(conn, "corp", "li", ident)
    await staff_store.set_prefs(conn, ident, locale="en", theme="dark", shortcuts=True)
    session = await staff.open_session(conn, ident, now=now, hours=1)
    await staff.actor_of_session(conn, session, now=now)
    await staff_store.end_session(conn, token_hash(session), now=now)
    await staff_store.end_sessions(conn, ident, now=now)
    await staff.actor_of_token(conn, await staff.new_token(conn, "rep", "li", now=now))
    await staff.open_door(conn, home.account.account_id, "/left-open", now=now)
    door = await staff.open_door(conn, home.account.account_id, "/", now=now)
    await staff.close_door(conn, home.account.account_id, door, now=now)
    for good in (False, True):
        await staff.check_in(conn, "li", good=good, hashed=await staff.hash_of(conn, "li"), now=now)
    await ledger.audit(conn, "staff:1", "look", now=now)
    await ledger.keep_answer(conn, "a", "k", b"h", 200, b"", now=now)


async def _as_rep(conn: Conn, home: House) -> None:
    talk = await talk_of(conn, "anna")
    plugged = home.directory.by_id(home.account.account_id)
    await push.say(conn, plugged, talk, Word(key="w1", text="好", media=PICTURE), now=utcnow())
    await push.record(conn, plugged, talk, Word(key="js", text="手"), certain=False, now=utcnow())
    await push.record(conn, plugged, talk, Word(key="js", text="手"), certain=True, now=utcnow())
    await conversations.mark_read(conn, talk.conversation_id, now=utcnow())
    await conversations.set_session(conn, talk.conversation_id, "human")
    cards = await playbook.cards(conn, library(), talk.conversation_id, {})
    for card in cards:
        await playbook.use(conn, talk.conversation_id, conn.vault.public("suggestion", card.suggestion_id))


async def _at_the_desk(conn: Conn) -> None:
    now, talk = utcnow(), await talk_of(conn, "anna")
    (member,) = await staff_store.all_members(conn)
    await desk.touch(conn, member.staff_id, now=now)
    await desk.set_away(conn, member.staff_id, None)
    await desk.set_assigned(conn, member.staff_id, now=now)
    await desk.seat(conn, member.staff_id)
    await desk.online(conn, None, since=now)
    await desk.colleagues(conn, None)
    await desk.teams(conn)
    await desk.record(
        conn, desk.Move(conversation_id=talk.conversation_id, rule="take", at=now, to_id=member.staff_id)
    )
    await desk.tried(conn, talk.conversation_id, since=now)


async def _with_tokens(home: House) -> None:
    async def fetch() -> tuple[str, int]:
        return "token", 7200

    tokens = SharedTokens(home.db).of(home.account.tenant_id)
    await tokens.drop("login", await tokens.get("login", fetch))
    await tokens.get("login", fetch)


async def _as_worker(conn: Conn) -> None:
    for row in await outbox.claim(conn, now=utcnow(), limit=9):
        await push.opened(conn, row, now=utcnow())
        await outbox.finish(conn, row.outbox_id, "sent", now=utcnow(), external_id="ext")
        await outbox.failed_later(conn, row.account_id, "ext", "?", at=utcnow())
    await outbox.abandoned(conn, now=utcnow(), limit=9)
    await jobs.put_all(conn, [("poll", f"1:{n}", 1, {}) for n in range(3)], at=await conn.now())
    due = await jobs.claim(conn, now=await conn.now(), limit=9)
    await jobs.finish(conn, due[0])
    await jobs.postpone(conn, due[1], "?", at=utcnow())
    await jobs.drop(conn, due[2])


async def _reads(conn: Conn, home: House) -> None:
    talk, now = await talk_of(conn, "anna"), utcnow()
    (person,) = set((await nodes.persons_of(conn, [talk.node_id])).values())
    found = await events.page(conn, await nodes.intervals(conn, person), before=None, limit=9)
    await events.page(
        conn, await nodes.intervals(conn, person), before=found[0].place, limit=9, account_ids=[1]
    )
    await events.of_account(conn, [home.account.account_id], before=found[0].place, limit=9)
    await events.by_ids(conn, [e.event_id for e in found])
    await events.last_words(conn, found[0])
    await nodes.person_now(conn, person)
    await nodes.names(conn, [talk.node_id])
    await nodes.page(conn, before=None, limit=9)
    await nodes.evidence_of(conn, [talk.node_id])
    rep = Scope(rep_id=1, team_id=2)
    for which in ("all", "waiting", "mine", "unassigned"):
        await conversations.queue(conn, rep, which, now=now, before=(now, 1), limit=9)
    await conversations.waiting_count(conn, rep, now=now)
    await conversations.visible_nodes(conn, rep, [talk.node_id])
    await conversations.visible_of_nodes(conn, rep, [talk.node_id])
    await conversations.visible_ids(conn, rep, [talk.conversation_id])
    await nodes.nodes_of(conn, [person])
    await home.directory.load(conn)
    await inbox.counts(conn)
    await inbox.oldest(conn)
    await inbox.cursor_of(conn, 1, "s")
    await inbox.page(conn, state="done", before=1, limit=9)
    await outbox.waiting(conn, now=now)
    await outbox.page(conn, state="dead", before=1, limit=9)
    await outbox.counts(conn)
    await outbox.deliveries(conn, [1])
    await suggestions.page(conn, conversation_id=None, before=1, limit=9)
    await jobs.next_at(conn)
    await ledger.entries(conn, limit=9)
    await ledger.answered(conn, "a", "k")
    await staff_store.all_members(conn)
    await media.media_of(conn, [1])


@pytest.fixture
async def homes(database: Database, monkeypatch: pytest.MonkeyPatch) -> tuple[House, House]:
    channel = life.Able()
    installed(monkeypatch, channel)
    return (await house(database, channel), await house(database, channel, tenant_id=2))


# -- rows --------------------------------------------------------------------------------------------------
async def test_a_tenants_whole_life_touches_no_row_of_another(homes: tuple[House, House]) -> None:
    mine, theirs = homes
    await live_through(theirs)
    async with theirs.db.read(2) as conn:
        before = await dump(conn)

    await live_through(mine)

    async with theirs.db.read(2) as conn:
        assert await dump(conn) == before
    async with mine.db.read(1) as conn:
        own = await dump(conn)
    lived = {name for name, rows in own.items() if rows}
    assert set(own) - lived <= {
        "cursor",
        "oauth_state",
    }  # the flow fills every other table: it is no blind test


async def test_ids_of_one_tenant_lead_another_nowhere(homes: tuple[House, House]) -> None:
    mine, theirs = homes
    await live_through(theirs)
    async with theirs.db.read(2) as conn:
        talk = await talk_of(conn, "anna")
        (person,) = set((await nodes.persons_of(conn, [talk.node_id])).values())
        spans = await nodes.intervals(conn, person)
        told = await events.page(conn, spans, before=None, limit=9)
        offered = await suggestions.page(conn, conversation_id=talk.conversation_id, before=None, limit=9)
        assert told
        assert offered

    places = await life.places(theirs)
    async with theirs.db.begin(2) as conn:
        run = await life_sops.run_of(conn, talk.node_id)
        said = await life_promises.ids_of(conn, talk.node_id)
        own = await life_sops.behind(conn, talk.node_id, run)
        own += await life_promises.behind(conn, talk.node_id, talk.conversation_id, said)
        own += await life_tasks.behind(conn, talk.node_id, talk.conversation_id)
        own += await life_effect.behind(conn, talk.node_id, talk.conversation_id)
        own += await life.behind(conn, places) + await life_selling.behind(conn, places["node"])
    async with mine.db.begin(1) as conn:
        found = await life_sops.behind(conn, talk.node_id, run)
        found += await life_promises.behind(conn, talk.node_id, talk.conversation_id, said)
        found += await life_tasks.behind(conn, talk.node_id, talk.conversation_id)
        found += await life_effect.behind(conn, talk.node_id, talk.conversation_id)
        found += await life.behind(conn, places) + await life_selling.behind(conn, places["node"])
        found += [
            await conversations.of_id(conn, talk.conversation_id),
            await conversations.of_nodes(conn, [talk.node_id]),
            await conversations.queue(conn, EVERYTHING, "all", now=NOW, limit=9),
            await conversations.visible_nodes(conn, EVERYTHING, [talk.node_id]),
            await events.page(conn, spans, before=None, limit=9),
            await events.by_ids(conn, [e.event_id for e in told]),
            await events.of_account(conn, [theirs.account.account_id], before=None, limit=9),
            await nodes.persons_of(conn, [talk.node_id]),
            await nodes.person_now(conn, person),
            await nodes.intervals(conn, person),
            await nodes.handles(conn, [talk.node_id]),
            await nodes.shown(conn, [person]),
            await identity.find(conn, handle("anna")),
            await suggestions.get(conn, offered[0].suggestion_id),
            await outbox.by_key(conn, "w1:0"),
            await outbox.deliveries(conn, [e.event_id for e in told]),
            await inbox.page(conn, state="done", before=None, limit=9),
            await jobs.claim(conn, now=utcnow(), limit=9),
            await ledger.answered(conn, "a", "k"),
            await staff_store.by_login(conn, "li"),
            await staff_store.bound(conn, [("corp", "li")]),
        ]

    assert [one for one in found if one] == []
    assert all(own)  # the names do lead somewhere


# -- statements --------------------------------------------------------------------------------------------
@contextmanager
def statements() -> Iterator[list[str]]:
    """Every SQL text any engine of this process is asked to run."""
    heard: list[str] = []

    def hear(_conn: Any, _cursor: Any, text: str, *_rest: Any) -> None:
        heard.append(" ".join(text.split()))

    sa.event.listen(sa.Engine, "before_cursor_execute", hear)
    try:
        yield heard
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", hear)


def unbound(text: str) -> set[str]:
    """Tables this statement reads or changes without saying whose rows it means."""
    used = {
        name
        for name in set(metadata.tables) - SHARED
        if re.search(rf"\b(?:FROM|JOIN|UPDATE|INTO) \"?{name}\"?(?![\w.])", text)
    }
    if text.startswith("INSERT"):
        return used if "tenant_id" not in text else set()
    limits = text.partition("WHERE")[2]
    return used if used and not re.search(r"tenant_id(?:\"?) = ", limits) else set()


async def test_every_statement_of_a_whole_life_names_the_tenant(homes: tuple[House, House]) -> None:
    with statements() as heard:
        await live_through(homes[0])

    faults = {text: tables for text in set(heard) if (tables := unbound(text))}
    assert faults == {}
    asked = {name for text in heard for name in metadata.tables if re.search(rf"\b{name}\b", text)}
    assert set(metadata.tables) - SHARED <= asked


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("SELECT inbox.inbox_id FROM inbox WHERE inbox.state = ?", {"inbox"}),
        ("UPDATE person SET version=? WHERE person.person_id = ?", {"person"}),
        ("DELETE FROM due", {"due"}),
        ("SELECT event.text FROM event WHERE event.tenant_id = ? AND event.event_id = ?", set()),
        ("SELECT tenant.slug FROM tenant ORDER BY tenant.tenant_id", set()),
        ("PRAGMA journal_mode", set()),
    ],
)
def test_the_checker_of_statements_sees_what_is_missing(text: str, tables: set[str]) -> None:
    assert unbound(text) == tables


@contextmanager
def clauses() -> Iterator[list[sa.ClauseElement]]:
    """Every Core statement any engine of this process is asked to run."""
    heard: list[sa.ClauseElement] = []

    def hear(_conn: Any, clause: Any, *_rest: Any) -> None:
        heard.append(clause)

    sa.event.listen(sa.Engine, "before_execute", hear)
    try:
        yield heard
    finally:
        sa.event.remove(sa.Engine, "before_execute", hear)


async def test_every_statement_is_one_that_postgresql_has_words_for(homes: tuple[House, House]) -> None:
    mine, _ = homes

    with clauses() as heard:
        await live_through(mine)

    assert len(heard) > 100
    for clause in heard:
        assert str(clause.compile(dialect=postgresql.dialect()))
    for table in metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=postgresql.dialect()))


def test_a_statement_of_one_engine_alone_would_be_noticed() -> None:
    mine = lite_insert(metadata.tables["seen"]).on_conflict_do_nothing()

    with pytest.raises((UnsupportedCompilationError, AttributeError)):
        mine.compile(dialect=postgresql.dialect())
