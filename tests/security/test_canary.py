"""Values that must not get out: unique ones go through the whole service, then every leak is searched."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog

from connectors.kit.profiles import profile_raw
from scrm.app import TENANT
from scrm.contract import Handle
from scrm.db import Conn, utcnow
from scrm.identity import proposals
from scrm.identity import service as identity
from scrm.identity.decisions import Actor
from scrm.identity.match.sentences import Reason
from scrm.logs import open_logs
from scrm.schema import metadata
from scrm.web import stream
from tests.web.office import Office, event, office


def _unique(prefix: str) -> str:
    return prefix + secrets.token_hex(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """One customer nobody else can be mistaken for."""

    phone: str = field(default_factory=lambda: f"139{secrets.randbelow(10**8):08}")
    openid: str = field(default_factory=lambda: _unique("oCanary"))
    unionid: str = field(default_factory=lambda: _unique("uCanary"))
    external: str = field(default_factory=lambda: _unique("wmCanary"))
    name: str = field(default_factory=lambda: _unique("张金丝雀"))
    words: str = field(default_factory=lambda: _unique("我想退款因为"))
    answer: str = field(default_factory=lambda: _unique("您好我来处理"))
    odd: str = field(default_factory=lambda: _unique("奇怪字段"))
    #: Whom a colleague reports, and whose names a proposal quotes.
    reported: str = field(default_factory=lambda: f"136{secrets.randbelow(10**8):08}")
    known_as: str = field(default_factory=lambda: _unique("李金丝雀"))

    @property
    def all(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in self.__slots__}

    def found_in(self, text: str) -> list[str]:
        return [name for name, value in self.all.items() if value in text]


@pytest.fixture(autouse=True)
def _logs_as_in_service() -> Iterator[None]:
    """As `scrm serve` writes them, at their most talkative; what was set before comes back."""
    before, handlers = structlog.get_config(), list(logging.getLogger().handlers)
    access = logging.getLogger("aiohttp.access").level
    open_logs("debug")
    yield
    structlog.configure(**before)
    logging.getLogger("aiohttp.access").setLevel(access)
    for handler in set(logging.getLogger().handlers) - set(handlers):
        logging.getLogger().removeHandler(handler)


@pytest.fixture
async def lived(tmp_path: Path) -> AsyncIterator[tuple[Office, Canary]]:
    """An office after a day with the canary: heard, answered, enriched, quarantined, failed and mistyped."""
    canary = Canary()
    async with office(tmp_path) as desk:
        await _talk(desk, canary)
        await _stumble(desk, canary)
        yield desk, canary


async def _talk(desk: Office, canary: Canary) -> None:
    said = f"{canary.words}，我的手机 {canary.phone}"
    await desk.hear("oa-a", canary.openid, said)
    cid = await desk.cid("oa-a")
    assert (await desk.push("rep", cid, canary.answer)).status == 201
    await _profile(desk, canary)
    for path in (f"/inbox/{cid}", f"/s/c/{cid}", f"/s/c/{cid}/timeline", "/inbox"):
        assert (await desk.ask("GET", path, who="rep")).status == 200
    await desk.ask("GET", f"/s/find?agent=corp&external_userid={canary.external}", who="rep")
    await _decide(desk, canary)


async def _decide(desk: Office, canary: Canary) -> None:
    """Reported, proposed as one person, accepted; why, asked by a program."""
    claim = {"phone": canary.reported, "name": canary.known_as}
    headers = {"Idempotency-Key": secrets.token_hex(8)}
    assert (await desk.api("POST", "/claims", token="rep", json=claim, headers=headers)).status == 201
    alike = [Reason(text="姓名相同：{name}", values={"name": canary.known_as}, field="name", weight=500)]
    now, admin = utcnow(), Actor(origin="admin", staff_id=1)
    async with desk.service.house.db.begin(TENANT) as conn:
        told = Handle(kind="phone", scope="e164", value=f"+86{canary.reported}")
        a = await identity.find(conn, told)
        b = await identity.find(conn, Handle(kind="wechat_unionid", scope="", value=canary.unionid))
        b = b or await _any_other(conn, a or 0)
        assert a is not None
        assert await proposals.suggest(conn, a, b, "same_person", alike, source="model", now=now)
        (one,) = await proposals.queue(conn, now=now)
        await proposals.accept(conn, one.proposal_id, by=admin, now=now)
        ids = [conn.vault.public("node", n) for n in (a, b)]
    asked = await desk.api("GET", f"/identity/why?a={ids[0]}&b={ids[1]}", token="machine-admin")
    assert (asked.status, asked.json()["tie"]) == (200, "person")
    await desk.quiet()


async def _any_other(conn: Conn, node_id: int) -> int:
    c = metadata.tables["node"].c
    stmt = sa.select(c.node_id).where(c.tenant_id == conn.tenant_id, c.node_id != node_id)
    return int(await conn.scalar(stmt.where(c.kind.in_(("wechat_openid", "wecom_external"))).limit(1)))


async def _profile(desk: Office, canary: Canary) -> None:
    contact = {"external_userid": canary.external, "name": canary.name, "unionid": canary.unionid, "type": 1}
    answer = {"errcode": 0, "external_contact": contact, "follow_user": [{"userid": "RepUser"}]}
    raw = profile_raw(canary.external, f"contact:{canary.external}", answer, utcnow())
    house = desk.service.house
    await house.inbox.accept(house.directory.by_slug("corp").account, (raw,), received_at=utcnow())
    await desk.quiet()


async def _stumble(desk: Office, canary: Canary) -> None:
    """Everything that can go wrong with these values in hand."""
    await desk.callback("oa-a", event(canary.openid, "never_seen", Odd=canary.odd))
    await desk.callback("oa-a", f"<xml><FromUserName>{canary.openid}</FromUserName>{canary.odd}")
    await desk.bare("POST", f"/hooks/{canary.phone}", data=canary.words.encode())
    await desk.bare("POST", "/hooks/oa-a", params={"x": canary.phone}, data=canary.words.encode())
    await desk.quiet()


async def _provoke(desk: Office, canary: Canary) -> list[str]:
    """Answers to requests that carry the values and fail."""
    mistyped, form = f"{canary.openid}%20{canary.phone}", {"key": "k" * 9, "text": canary.words}
    answers = [
        await desk.ask("GET", f"/inbox/{canary.phone}", who="rep"),
        await desk.ask("GET", f"/s/find?agent=corp&external_userid={mistyped}", who="rep"),
        await desk.ask("GET", f"/live?topics={canary.openid}", who="rep"),
        await desk.ask("POST", f"/s/c/{canary.openid}/send", who="rep", data=form),
        await desk.api("GET", f"/events?{canary.phone}=1", token="rep"),
        await desk.api("GET", f"/events?limit={canary.phone}", token="rep"),
        await desk.api("GET", f"/persons/{canary.unionid}", token="rep"),
        await desk.api("GET", f"/identity/why?a={canary.unionid}&b={canary.reported}", token="rep"),
        await desk.api("POST", "/identity/link", token="rep", json={"a": canary.reported, "b": canary.name}),
        await desk.api("POST", "/claims", token="rep", json={"phone": f"{canary.reported}x", "name": "王"}),
        await desk.ask("GET", f"/households/{canary.reported}", who="rep"),
        await desk.push("rep", canary.openid, canary.words),
        await desk.push("rep", await desk.cid("oa-a"), canary.words * 200),
        await desk.api("GET", f"/{canary.phone}", token="rep"),
        await desk.bare("GET", f"/{canary.phone}?{canary.openid}"),
    ]
    assert all(a.status >= 300 for a in answers)
    return [a.text for a in answers]


async def test_no_log_line_quotes_a_customer(
    lived: tuple[Office, Canary], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, canary = lived
    await _provoke(desk, canary)

    def broken(*_: object) -> object:
        raise RuntimeError(f"cannot follow {canary.openid} {canary.phone}")

    monkeypatch.setattr(stream, "_named", broken)
    assert (await desk.ask("GET", "/live", who="rep")).status == 500
    host, port = desk.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET /{canary.phone} HTTP/1.1\r\nHost: x\r\n{canary.openid} {canary.phone}\r\n\r\n".encode()
    )
    assert b"400" in await reader.readline()
    writer.close()
    await writer.wait_closed()

    out, err = capfd.readouterr()
    lines = [json.loads(line) for line in (out + err).splitlines() if line.startswith("{")]
    events = {line["event"] for line in lines}
    assert {"request failed", "library"} <= events, "the provoked failures must have been logged at all"
    assert not canary.found_in(out + err)


async def test_a_careless_log_line_would_be_found(capfd: pytest.CaptureFixture[str]) -> None:
    canary = Canary()
    structlog.get_logger().debug("received", text=canary.words)

    assert canary.found_in(capfd.readouterr().err) == ["words"]


async def test_no_metric_and_no_health_page_names_a_customer(lived: tuple[Office, Canary]) -> None:
    desk, canary = lived

    for path in ("/metrics", "/healthz", "/readyz"):
        answer = await desk.bare("GET", path)
        assert answer.status == 200
        assert not canary.found_in(answer.text)


async def test_no_error_answer_repeats_a_value(lived: tuple[Office, Canary]) -> None:
    desk, canary = lived

    for text in await _provoke(desk, canary):
        assert not canary.found_in(text)


async def test_the_audit_trail_and_the_queues_words_hold_no_value(lived: tuple[Office, Canary]) -> None:
    desk, canary = lived
    async with desk.service.house.db.read(TENANT) as conn:
        rows = [
            (name, dict(r._mapping))
            for name in TABLES
            for r in await conn.rows(metadata.tables[name].select())
        ]

    assert {name for name, _ in rows} == set(TABLES), "an empty table would prove nothing"
    for table, row in rows:
        # A conversation shows the last words: plain, like the event they come from.
        allowed = PLAIN if table == "conversation" else set()
        assert set(canary.found_in(repr(row))) <= allowed, (table, row)


TABLES = (
    *("audit_entry", "inbox", "outbox", "seen", "conversation", "node"),
    *("evidence", "identity_log", "node_person", "claim", "proposal"),
)


def test_identifiers_and_names_are_in_no_file_in_the_clear(tmp_path: Path) -> None:
    canary = Canary()

    async def day() -> None:
        async with office(tmp_path) as desk:
            await _talk(desk, canary)
            await _stumble(desk, canary)
            # The write-ahead log is read while it is there, too.
            _search(tmp_path, canary)

    asyncio.run(day())
    _search(tmp_path, canary)


#: What customers and we said is plain by design: it is searched. Everything else is sealed.
PLAIN = {"words", "answer", "phone"}


def _search(folder: Path, canary: Canary) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "scrm.db" for path in files)
    whole = b"".join(path.read_bytes() for path in files)
    found = {name for name, value in canary.all.items() if value.encode() in whole}
    assert "words" in found, "the search must be able to find what is plain"
    assert found <= PLAIN, found - PLAIN


def test_files_with_data_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "var"

    async def start() -> None:
        async with office(folder, people=False):
            assert folder.stat().st_mode & 0o077 == 0
            assert (folder / "master.key").stat().st_mode & 0o777 == 0o600

    asyncio.run(start())
