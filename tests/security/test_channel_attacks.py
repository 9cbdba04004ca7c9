"""The newer doors as an attacker sees them: app events, calls, orders, files, search, groups, admin pages."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from time import time
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from connectors import calls, segment, sensors
from connectors.kit.signed import SIGNATURE, TIMESTAMP, signature
from connectors.tim.keys import raw_of
from scrm import works
from scrm.accounts import service as accounts
from scrm.app import TENANT
from scrm.cli.imports import harmless
from scrm.contract import Call, Context, Handle
from scrm.db import utcnow
from scrm.errors import BadInput, Untranslatable
from scrm.identity import service as identity
from scrm.inbox import masking
from scrm.ledger import store as ledger
from scrm.schema import inbox
from scrm.staff import store as staff_store
from tests.connectors.support import NOW, account, context
from tests.web.office import APP_ID, Office, Page, Reply

KEY = "a-secret-of-thirty-two-letters-ab"
#: slug -> (channel, settings); all of team A.
DOORS: dict[str, tuple[str, dict[str, str]]] = {
    "seg": ("segment", {"write_key": KEY, "users": "school"}),
    "sa": ("sensors", {"users": "school"}),
    "shop": ("orders", {"secret": KEY, "users": "school"}),
    "hotline": ("calls", {"secret": KEY}),
    "pbx": ("freeswitch", {"secret": KEY}),
}
BASIC = {"Authorization": "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def build(desk: Office) -> None:
    """The doors, on a hired office."""
    house = desk.service.house
    async with house.db.begin(TENANT) as conn:
        team = await staff_store.team_id(conn, "A")
        for slug, (channel, own) in DOORS.items():
            await accounts.add(conn, {"slug": slug, "channel": channel, **own}, now=utcnow(), team_id=team)
    async with house.db.read(TENANT) as conn:
        await house.directory.load(conn)


async def knock(desk: Office, slug: str, document: bytes) -> Reply:
    """A call whose sender knows the secret."""
    stamp = str(int(time()))
    headers = {TIMESTAMP: stamp, SIGNATURE: signature(KEY, stamp, document)}
    path, body = f"/hooks/{slug}", document
    if slug == "seg":
        path, headers = "/hooks/seg/v1/track", BASIC
    elif slug == "pbx":
        headers = BASIC
    elif slug == "sa":
        path, headers = "/hooks/sa/sa", FORM
        body = urlencode({"data": base64.b64encode(document).decode()}).encode()
    return await desk.bare("POST", path, data=body, headers=headers)


# -- what costs us much and them nothing -------------------------------------------------------------------
def call(slug: str, body: bytes, **headers: str) -> Call:
    tail = {"seg": "v1/batch", "sa": "sa"}.get(slug, "")
    return Call(method="POST", tail=tail, query={}, headers=headers, body=body, received_at=NOW)


def context_of(slug: str) -> Context:
    channel, own = DOORS[slug]
    found = account(channel)
    return context(replace(found, options={**found.options, **own}, secrets=own))


@pytest.mark.parametrize(
    "batch",
    [
        pytest.param({"batch": [{}] * 150_000}, id="many"),
        pytest.param({"batch": [{}] * 2400, "context": {"x": "y" * 30_000}}, id="one context for all"),
        pytest.param({"batch": [[]] * 290_000}, id="no events"),
    ],
)
def test_a_batch_that_would_grow_is_refused_before_it_does(batch: dict[str, object]) -> None:
    body = json.dumps(batch, separators=(",", ":")).encode()
    assert len(body) < segment.BODY_MAX

    answer = segment.receive(context_of("seg"), call("seg", body, **BASIC))

    assert (answer.status, answer.raws) == (400, ())


def test_what_is_packed_small_and_has_a_million_values_is_not_even_read() -> None:
    packed = base64.b64encode(gzip.compress(b"[" + b"[]," * 1_300_000 + b"[]]"))
    body = urlencode({"data_list": packed.decode()}).encode()
    assert len(body) < 8192

    answer = sensors.receive(context_of("sa"), call("sa", body))

    assert (answer.status, answer.raws) == (400, ())
    assert "内容太多" in answer.body.decode()


@pytest.mark.parametrize("depth", [21, 500, 970, 5000])
def test_a_report_of_calls_that_nests_deeply_waits_in_quarantine(depth: int) -> None:
    body = b'{"a":' * depth + b"1" + b"}" * depth
    stamp = str(int(NOW.timestamp()))
    headers = {TIMESTAMP: stamp, SIGNATURE: signature(KEY, stamp, body)}

    (raw,) = calls.receive(context_of("hotline"), call("hotline", body, **headers)).raws

    with pytest.raises(Untranslatable):
        calls.translate(context_of("hotline"), raw)


async def test_a_bomb_in_gzip_is_refused_by_every_door(desk: Office) -> None:
    await build(desk)
    bomb = gzip.compress(b" " * 50_000_000)
    packed = {"Content-Encoding": "gzip", "Connection": "close"}

    bulky = await desk.bare("POST", "/hooks/seg/v1/batch", headers=packed | BASIC, data=bomb)
    small = await desk.bare("POST", "/hooks/oa-a", headers=packed, data=bomb)

    assert (bulky.status, small.status) == (413, 415)


# -- values no database and no page takes ------------------------------------------------------------------
HALF, AT = "\x00\ud800", "2026-03-02T09:00:00+08:00"
ODD: Sequence[tuple[str, dict[str, Any]]] = (
    ("seg", {"type": "identify", "userId": "u1", "traits": {"name": HALF, "n": 1e308, "b": 2**70}}),
    ("seg", {"type": "track", "userId": "u1", "event": f"Order{HALF}", "properties": {"price": 1e308}}),
    ("seg", {"type": "alias", "userId": "u1", "previousId": "u1"}),
    ("sa", {"type": "profile_set", "distinct_id": "u1", "time": 1, "properties": {"a": 2**70, "b": HALF}}),
    ("shop", {"type": "product", "id": f"p{HALF}", "at": AT, "name": HALF}),
    (
        "shop",
        {"type": "price", "id": "q", "product": f"p{HALF}", "at": AT, "starts": AT, "amount": 1}
        | {"ends": "9999-12-31T23:59:59Z"},
    ),
    ("shop", {"type": "refund", "id": "r", "order": "o", "at": "9999-12-31T23:59:59-23:59", "amount": 1}),
    (
        "shop",
        {"type": "order", "id": f"o{HALF}", "at": AT, "status": "paid", "total": 10**13}
        | {"buyer": {"phone": "13800138000", "name": HALF}, "learner": {"id": "l\x00", "name": HALF}}
        | {"items": [{"product": f"p{HALF}", "amount": 10**13, "quantity": 10**6}]},
    ),
    (
        "hotline",
        {"call_id": f"c{HALF}", "event": "hangup", "direction": "in", "caller": "13800138000"}
        | {"callee": HALF, "agent": HALF, "started_at": AT, "duration_s": 10**30, "result": HALF}
        | {"recording_url": "http://[::1"},
    ),
    (
        "pbx",
        {"variables": {"uuid": "a-b", "start_epoch": "1772414700", "billsec": "9" * 30}}
        | {"callflow": [{"caller_profile": {"caller_id_number": "13900139000", "uuid": HALF}}]},
    ),
)


async def test_odd_values_through_every_new_door_break_no_database_and_no_page(desk: Office) -> None:
    await build(desk)

    answers = [await knock(desk, slug, json.dumps(document).encode()) for slug, document in ODD]
    await desk.hear("oa-a", "oSender", "http://[::1", kind="link")

    assert [a.status for a in answers if a.status >= 300] == []
    async with desk.service.house.db.read(TENANT) as conn:
        left = await conn.rows(sa.select(inbox.c.state, inbox.c.stage).where(inbox.c.state != "done"))
    assert [tuple(r) for r in left] == [("quarantined", "translate")], "the refund of the year 9999"
    talks = (await desk.api("GET", "/conversations", token="machine-admin")).json()["items"]
    paths = ["/catalog", *(f"/s/c/{t['id']}" for t in talks), *(f"/inbox/{t['id']}" for t in talks)]
    assert len(talks) >= 3
    assert [(p, a.status) for p in paths if (a := await desk.ask("GET", p, who="lead")).status >= 300] == []


def test_half_a_character_can_be_mended_beside_what_was_wrong() -> None:
    payload = b'{"name": "\\ud83d", "amount": "x"}'

    mended = json.loads(masking.patched(payload, 1, "7"))

    assert mended == {"name": "\ud83d", "amount": "7"}
    with pytest.raises(BadInput):
        masking.patched(b'{"amount": 1}', 0, "[" * 100_000)


# -- secrets and people ------------------------------------------------------------------------------------
async def test_a_secret_nobody_may_read_goes_to_no_new_address_either(desk: Office) -> None:
    key, own = desk.keys["oa-a"], {"name": "x", "own.app_id": APP_ID, "own.mode": "secure"}
    elsewhere = own | {"own.api_base": "https://attacker.example"}

    stolen = await desk.ask("POST", "/admin/connectors/oa-a", who="admin", data=elsewhere)
    known = {f"own.{name}": value for name, value in key.items()}
    own_word = await desk.ask("POST", "/admin/connectors/oa-a", who="admin", data=elsewhere | known)

    assert stolen.status == 400
    assert "密钥也重新填写" in stolen.text
    assert own_word.status == 303
    account_now = desk.service.house.directory.by_slug("oa-a").account
    assert account_now.get("api_base") == "https://attacker.example"


async def test_a_stream_the_platform_does_not_have_starts_no_job(desk: Office) -> None:
    answer = await desk.ask("POST", "/admin/connectors/corp/sync", who="admin", data={"stream": "nothing"})

    assert answer.status == 400
    async with desk.service.house.db.read(TENANT) as conn:
        assert await works.page(conn, limit=9) == []


async def test_putting_away_a_message_writes_no_words_into_the_audit_trail(desk: Office) -> None:
    assert (await desk.callback("oa-a", "<xml><MsgType>text</MsgType></xml>")).status == 200
    await desk.quarantined()
    (path,) = _links(await desk.ask("GET", "/admin/dead", who="admin"), "/admin/dead/")
    (letter,) = _links(await desk.ask("GET", path, who="admin"), "/admin/letters/")

    why = b"why=13800138000%00%ED%A0%80"
    answer = await desk.ask("POST", f"{letter}/discard", who="admin", data=why, headers=FORM)

    assert answer.status == 303
    async with desk.service.house.db.read(TENANT) as conn:
        entries = await ledger.entries(conn, limit=9)
    assert "inbox.discarded" in {e.action for e in entries}
    assert "13800138000" not in repr(entries)


def _links(answer: Reply, start: str) -> set[str]:
    return {h for h in Page(answer.text).values("a", "href") if h.startswith(start)}


def test_a_key_of_a_chat_tells_nobody_who_talks_with_whom() -> None:
    ends = {"From_Account": "user-13800138000", "To_Account": "kf_lin"}
    fields = {"CallbackCommand": "C2C.CallbackAfterSendMsg", "MsgKey": "1_2_3", **ends}

    raw = raw_of(account("tim"), json.dumps(fields).encode(), int(NOW.timestamp()))
    other = raw_of(account("tim"), json.dumps(fields | {"MsgKey": "1_2_4"}).encode(), int(NOW.timestamp()))

    assert raw.source_key.startswith("c2c:")
    assert "13800138000" not in raw.source_key
    assert other.source_key != raw.source_key


async def test_what_is_wrong_with_a_document_is_said_without_its_values(desk: Office) -> None:
    await build(desk)
    phone = "13912345678"
    order: dict[str, Any] = {
        "type": "order",
        "id": "o",
        "at": AT,
        "status": "paid",
        "total": 1,
        "buyer": {"phone": phone},
    }
    order["items"] = [{"product": "p", "amount": 1}]
    wrong = [
        order | {"status": phone},
        order | {phone: 1},
        order | {"type": phone},
        order | {"buyer": {phone: 1}},
    ]
    wrong += [order | {"status": f"{phone} - at `$.{phone}`"}]

    for document in wrong:
        assert (await knock(desk, "shop", json.dumps(document).encode())).status == 202
    await knock(desk, "hotline", json.dumps({"call_id": "c", "event": phone, "caller": phone}).encode())
    await desk.quarantined(len(wrong) + 1)

    async with desk.service.house.db.read(TENANT) as conn:
        said = [r.error for r in await conn.rows(sa.select(inbox.c.error))]
    assert "内容不符合格式：$.status：Invalid enum value …" in said
    assert [error for error in said if not error or phone in error] == []


async def test_a_stream_follows_the_family_one_sees_and_nobody_elses(desk: Office) -> None:
    await build(desk)
    mother, father, stranger = "13812340001", "13912345678", "13700137000"
    talk = {"event": "hangup", "direction": "in", "callee": "02087654321", "answered": "1", "started_at": AT}
    await knock(desk, "hotline", json.dumps(talk | {"call_id": "c1", "caller": mother}).encode())
    parties = {"buyer": {"phone": mother}, "payer": {"phone": father}}
    order: dict[str, Any] = {"type": "order", "id": "o", "at": AT, "status": "paid", "total": 1, **parties}
    order["items"] = [{"product": "p", "amount": 1}]
    await knock(desk, "shop", json.dumps(order).encode())
    await knock(
        desk, "shop", json.dumps(order | {"id": "p", "buyer": {"phone": stranger}, "payer": None}).encode()
    )
    await desk.quiet()

    statuses = {}
    async with desk.service.house.db.read(TENANT) as conn:
        for phone in (mother, father, stranger):
            node = await identity.find(conn, Handle(kind="phone", scope="e164", value=f"+86{phone}"))
            assert node is not None
            for who in ("lead", "other"):
                statuses[phone, who] = await _followed(desk, who, f"node:{desk.public('topic-node', node)}")

    seen = {(mother, "lead"), (father, "lead")}
    assert statuses == {place: 200 if place in seen else 403 for place in statuses}


async def _followed(desk: Office, who: str, topic: str) -> int:
    headers = {"Cookie": f"scrm={desk.sessions[who]}"}
    async with desk.http.get(f"{desk.url}/live", params={"topics": topic}, headers=headers) as answer:
        return answer.status


@pytest.mark.parametrize(
    "cell", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd|'x'!A0", "\t=1", "\r=1"]
)
def test_a_rejected_line_is_no_formula_when_a_spreadsheet_opens_it(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["+86 138-0013-8000", "-5", "张三", "", "2026-03-02 09:30:00"])
def test_a_rejected_line_keeps_what_is_no_formula(cell: str) -> None:
    assert harmless(cell) == cell
