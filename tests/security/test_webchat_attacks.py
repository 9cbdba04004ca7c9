"""The chat on other people's websites as an attacker sees it: tokens, origins, floods, files, words."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from time import time

import aiohttp
import pytest

from scrm.db import utcnow
from scrm.staff import service as staff
from scrm.staff import store as staff_store
from scrm.web import limits
from tests.security.test_scripts_in_words import VECTORS, assert_harmless, live_parts, scripts
from tests.web.office import Office, Page
from tests.web.visiting import PNG, SECRET, SITE, Visitor, events_of, lines, open_site, shop

#: A browser sees nothing of the engine.
ENGINES = ["sqlite"]
SAYABLE = [v for v in VECTORS if "\x00" not in v]


@pytest.fixture
async def desk(tmp_path: Path, service_url: str) -> AsyncIterator[Office]:
    async with shop(tmp_path, service_url) as made:
        yield made


def text_of(token: str) -> bytes:
    return base64.urlsafe_b64decode(token.partition(".")[0])


def retold(token: str, *, visitor: str) -> str:
    """The same tag under another visitor's name."""
    stated = [visitor, *json.loads(text_of(token))[1:]]
    return f"{base64.urlsafe_b64encode(json.dumps(stated).encode()).decode()}.{token.partition('.')[2]}"


# -- tokens ------------------------------------------------------------------------------------------------
async def test_no_token_but_ours_opens_a_talk(desk: Office) -> None:
    await open_site(desk, "outlet")
    mine, theirs = await Visitor(desk).come(), await Visitor(desk).come()
    elsewhere = await Visitor(desk, slug="outlet").come()
    victim = json.loads(text_of(theirs.token))[0]
    text, _, tag = mine.token.partition(".")
    forged = [
        retold(mine.token, visitor=victim),
        elsewhere.token,
        f"{text}.",
        f"{text}.{tag[:-1]}",
        f"{text}.{tag}A",
        f"{text}.{theirs.token.partition('.')[2]}",
        f".{tag}",
        ".",
        "-",
        "é.-",
        f"{text}.é",
        "é.é",
        "x" * 6000,
        "\udcff.-".encode("utf-8", "surrogateescape").decode("latin-1"),
    ]

    for token in forged:
        headers = {"Authorization": f"Bearer {token}"}
        read = await mine.ask("GET", "history", headers=headers)
        said = await mine.ask("POST", "messages", headers=headers | {"Idempotency-Key": "key-12345"}, json={})
        again = await mine.ask("POST", "session", json={"token": token})
        assert (read.status, said.status) == (401, 401), token
        assert (again.status, again.json()["known"]) == (200, False), token
        assert victim not in text_of(again.json()["token"]).decode()


async def test_what_one_visitor_wrote_no_other_can_touch(desk: Office) -> None:
    victim, thief = await Visitor(desk).come(), await Visitor(desk).come()
    assert (await victim.says("只给客服看的", key="the-same-key")).status == 201
    assert (await victim.uploads("a.png", PNG, key="the-same-file")).status == 201
    await desk.quiet()
    file = (await victim.reads())[-1]["file"]["id"]
    cursor = (await victim.ask("GET", "history", params={"limit": "1"})).json()["before"]

    assert (await thief.says("另一条", key="the-same-key")).status == 201
    assert (await thief.uploads("b.png", PNG + b"2", key="the-same-file")).status == 201
    await desk.quiet()
    pages = [await thief.reads(), await thief.reads(before=cursor)]
    download = await thief.ask("GET", f"files/{file}")

    assert "只给客服看的" not in json.dumps(pages, ensure_ascii=False)
    assert file not in json.dumps(pages)
    assert download.status == 404
    assert (await victim.reads())[0]["text"] == "只给客服看的"
    assert len(await events_of(desk)) == 4


# -- origins -----------------------------------------------------------------------------------------------
ELSEWHERE = [
    "null",
    "",
    "*",
    "https://evil-shop.example",
    "https://shop.example.evil.example",
    "https://evil.example/https://shop.example",
    "https://shop.example@evil.example",
    "https://sub.shop.example",
    "https://shop.example:8443",
    "https://shop.example/",
    "https://shop.example ,https://evil.example",
    "http://shop.example",
    "https://shop-example",
    "https://shop.example.",
    "file://",
]


@pytest.mark.parametrize("origin", ELSEWHERE)
async def test_a_page_that_only_looks_like_the_sites_is_refused(desk: Office, origin: str) -> None:
    visitor = await Visitor(desk).come()
    more = {"Origin": origin, "Access-Control-Request-Method": "POST"}

    for method, path in (("POST", "session"), ("GET", "history"), ("OPTIONS", "messages")):
        answer = await visitor.ask(method, path, headers=more)
        assert "Access-Control-Allow-Origin" not in answer.headers, path
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.status == (204 if method == "OPTIONS" else 403), path


# -- floods ------------------------------------------------------------------------------------------------
async def test_naming_other_addresses_does_not_make_one_caller_many(desk: Office) -> None:
    statuses = set()
    for n in range(80):
        # Our own proxy added the last word; the caller invented what stands before it.
        lines_of = {"X-Forwarded-For": f"198.51.100.{n}, 81.69.216.43:{2000 + n}"}
        answer = await Visitor(desk).ask("POST", "session", json={}, headers=lines_of)
        statuses.add(answer.status)

    assert statuses == {200, 429}


async def test_sessions_leave_nothing_behind(desk: Office) -> None:
    for n in range(40):
        visitor = await Visitor(desk, headers={"X-Forwarded-For": f"81.69.216.{n}"}).come()
        await visitor.reads()
        assert (await visitor.ask("POST", "read")).status == 204
        assert (await visitor.ask("POST", "typing")).status == 204
    await desk.quiet()

    assert (await desk.api("GET", "/persons", token="machine-admin")).json()["items"] == []
    assert (await desk.api("GET", "/conversations", token="machine-admin")).json()["items"] == []


async def test_one_address_cannot_hold_all_streams(desk: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_STREAMS_PLACE", 3)
    monkeypatch.setattr(limits, "_STREAMS", 4)
    hog = {"X-Forwarded-For": "81.69.216.43"}
    async with AsyncExitStack() as stack:
        statuses = []
        for _ in range(5):
            visitor = await Visitor(desk, headers=hog).come()
            statuses.append((await stack.enter_async_context(_streaming(desk, visitor))).status)
        other = await Visitor(desk, headers={"X-Forwarded-For": "81.69.216.44"}).come()
        heard = await stack.enter_async_context(_streaming(desk, other))
        await lines(heard, "fresh")

    assert statuses == [200, 200, 200, 429, 429]


def _streaming(desk: Office, visitor: Visitor) -> aiohttp.client._RequestContextManager:
    headers = {"Origin": visitor.origin, "Authorization": f"Bearer {visitor.token}", **visitor.headers}
    return desk.http.get(f"{desk.url}/chat/{visitor.slug}/stream", headers=headers)


async def test_slow_uploads_of_one_address_leave_room_for_others(
    desk: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_UPLOADS_PLACE", 2)
    held, sent = asyncio.Event(), PNG

    async def slow() -> AsyncIterator[bytes]:
        yield sent
        await held.wait()

    async def crawl() -> int:
        visitor = await Visitor(desk, headers={"X-Forwarded-For": "81.69.216.43"}).come()
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        return (await visitor.ask("POST", "files", data=slow(), headers=headers)).status

    async with asyncio.TaskGroup() as tasks:
        crawling = [tasks.create_task(crawl()) for _ in range(3)]
        done, _ = await asyncio.wait(crawling, return_when=asyncio.FIRST_COMPLETED)
        other = await Visitor(desk, headers={"X-Forwarded-For": "81.69.216.44"}).come()
        status = (await other.uploads("a.png", PNG)).status
        held.set()

    assert [task.result() for task in done] == [429]
    assert status == 201
    assert sorted(task.result() for task in crawling) == [201, 201, 429]


async def test_what_one_visitor_may_make_us_keep_ends(desk: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RATES", {**limits.RATES, "up": ((2, 0.001), (200, 0.1))})
    visitor, other = await Visitor(desk).come(), await Visitor(desk).come()
    large = PNG + bytes(1024 * 1024)

    statuses = [(await visitor.uploads("a.png", large)).status for _ in range(3)]

    assert statuses == [201, 429, 429]
    assert (await other.uploads("a.png", large)).status == 201


# -- bodies ------------------------------------------------------------------------------------------------
async def test_odd_bodies_are_refused_and_break_nothing(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    bodies = [
        b"[" * 8000 + b"]" * 8000,
        b'{"text":' + b'{"a":' * 2500 + b"1" + b"}" * 2501,
        b'{"text":"\\ud800"}',
        b'{"text":"\xff\xfe"}',
        '{"text":"你好"}'.encode("utf-16"),
        b'{"text":NaN}',
        b'{"text":1e999}',
        b'{"text":' + b"9" * 5000 + b"}",
        b'{"__proto__":{"text":"x"}}',
        b"\x00",
        b"null",
    ]

    for path in ("session", "identify", "messages"):
        for body in bodies:
            headers = {"Idempotency-Key": secrets.token_hex(8), "X-Forwarded-For": secrets.token_hex(4)}
            answer = await visitor.ask("POST", path, data=body, headers=headers)
            assert answer.status in (200, 400, 403, 429), (path, body[:20])
            assert "Traceback" not in answer.text
    for body in bodies[:8]:  # those are never words, whoever says them
        fresh = await Visitor(desk).come()
        answer = await fresh.ask("POST", "messages", data=body, headers={"Idempotency-Key": "key-12345"})
        assert answer.status == 400, body[:20]
    assert await events_of(desk) == []


# -- words and names ---------------------------------------------------------------------------------------
async def test_words_of_visitors_are_text_to_the_rep(desk: Office) -> None:
    for number, part in enumerate((SAYABLE[:11], SAYABLE[11:22], SAYABLE[22:33], SAYABLE[33:])):
        visitor = await Visitor(desk, headers={"X-Forwarded-For": f"81.69.216.{number}"}).come()
        for vector in part:
            assert (await visitor.says(vector)).status == 201
        await desk.quiet()

        await assert_harmless(desk, await desk.cid("shop"), part)
        assert [i["text"] for i in await visitor.reads()] == [v.strip() for v in part]


async def test_names_the_site_gives_are_text_to_the_rep(desk: Office) -> None:
    for number, vector in enumerate(SAYABLE):
        visitor = await Visitor(desk, headers={"X-Forwarded-For": f"81.69.{number}.1"}).come()
        assert (await visitor.says("你好")).status == 201
        more = {"name": vector, "phone": vector, "unionid": vector}
        assert (await visitor.signs_in(vector[:100], **more)).status in (200, 403)
    await desk.quiet()

    cid = await desk.cid("shop")
    for path in ("/inbox?filter=all", "/inbox/queue?filter=all", "/s", f"/inbox/{cid}", f"/s/c/{cid}"):
        html = (await desk.ask("GET", path, who="rep")).text
        assert not [*live_parts(html), *scripts(html)], path
    shown = Page((await desk.ask("GET", "/inbox?filter=all", who="rep")).text).text
    assert "alert(1)" in shown


async def test_file_names_are_text_and_break_no_header(desk: Office) -> None:
    named = [
        *(v.replace("/", "|") for v in SAYABLE[:20]),
        'a"; filename=evil.html; x="',
        "a\r\nSet-Cookie: scrm=1\r\n\r\n<script>",
        "..\\..\\evil.html",
        "../../etc/passwd",
        "\u202egpj.exe",
        "a\x00.html",
        "é" * 300 + ".png",
        "",
        "%0d%0aX-Evil: 1",
    ]
    for number, name in enumerate(named):
        visitor = await Visitor(desk, headers={"X-Forwarded-For": f"81.69.{number}.1"}).come()
        answer = await visitor.uploads(name, PNG)
        assert answer.status == 201, name
        await desk.quiet()
        got = await visitor.ask("GET", f"files/{answer.json()['file']['id']}")
        given = got.headers["Content-Disposition"]
        assert given.startswith("inline; filename*=UTF-8''"), name
        assert not set(given) & set('\r\n"<>\\'), name
        assert not {"Set-Cookie", "X-Evil"} & set(got.headers), name
        html = (await desk.ask("GET", f"/inbox/{await desk.cid('shop')}", who="rep")).text
        assert not [*live_parts(html), *scripts(html)], name


# -- files -------------------------------------------------------------------------------------------------
POLYGLOTS = {
    "gif and script": b"GIF89a/*\x00\x00*/=1;alert(1)//",
    "gif and html": b"GIF89a<script>alert(1)</script>",
    "pdf and html": b"%PDF-1.7\n<script>alert(1)</script>",
    "png and svg": PNG + b"<svg onload=alert(1)>",
    "zip and html": b"PK\x03\x04<script>alert(1)</script>",
    "html in utf-16": "<script>alert(1)</script>".encode("utf-16"),
    "html in utf-7": b"+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "svg with a mark": b"\xef\xbb\xbf<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "svg after space": b"  \n<?xml version='1.0'?><svg onload='alert(1)'/>",
    "webp and script": b"RIFF\x00\x00\x00\x00WEBP<script>alert(1)</script>",
    "not webp": b"RIFF\x00\x00\x00\x00WAVE<script>alert(1)</script>",
    "xml style": b"<?xml-stylesheet href='data:,'?><x/>",
    "mht": b"MIME-Version: 1.0\nContent-Type: text/html\n\n&lt;script>",
    "hta": b"<hta:application>",
}


@pytest.mark.parametrize("what", POLYGLOTS)
async def test_a_file_that_is_two_things_runs_as_neither(desk: Office, what: str) -> None:
    visitor = await Visitor(desk).come()
    sent = await visitor.uploads("page.html", POLYGLOTS[what])
    await desk.quiet()
    ident = sent.json()["file"]["id"]
    node_path = f"/media/{ident}"

    for got in (
        await visitor.ask("GET", f"files/{ident}"),
        await desk.ask("GET", node_path, who="rep"),
    ):
        kind = got.headers["Content-Type"].partition(";")[0]
        assert got.status == 200
        assert kind in {
            "image/png",
            "image/jpeg",
            "image/gif",
            "image/webp",
            "application/pdf",
            "application/zip",
            "application/octet-stream",
        }
        assert got.headers["Content-Disposition"].startswith(
            "inline" if kind[:5] == "image" else "attachment"
        )
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert got.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert (await desk.ask("GET", node_path, who="other")).status == 404
    assert (await desk.ask("GET", node_path, who="marketing")).status == 403
    assert (await desk.bare("GET", node_path)).status in (303, 401)


# -- the site's word on who they are -----------------------------------------------------------------------
def packed(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def token(head: object, claims: str, *, secret: bytes = SECRET.encode(), how: str = "sha256") -> str:
    text = f"{packed(json.dumps(head).encode())}.{packed(claims.encode())}"
    return f"{text}.{packed(hmac.digest(secret, text.encode(), how))}"


def claims(**more: object) -> str:
    now = int(time())
    return json.dumps({"sub": "victim", "iat": now, "exp": now + 600, **more})


HS256 = {"alg": "HS256", "typ": "JWT"}
KEYLESS = {"kty": "oct", "k": packed(b"mine")}
FORGED: dict[str, Callable[[], str]] = {
    "alg none in any case": lambda: token({"alg": "nOnE"}, claims()),
    "a public key as the secret": lambda: token({"alg": "RS256"}, claims()),
    "a key inside the token": lambda: token({**HS256, "jwk": KEYLESS}, claims(), secret=b"mine"),
    "a key the token names": lambda: token({**HS256, "kid": "/dev/null"}, claims(), secret=b""),
    "the empty secret": lambda: token(HS256, claims(), secret=b""),
    "half a signature": lambda: token(HS256, claims())[:-22],
    "a list of algorithms": lambda: token({"alg": ["HS256"]}, claims()),
    "no algorithm": lambda: token({}, claims()),
    "a head that is no object": lambda: token("HS256", claims()),
    "another digest": lambda: token({"alg": "HS512"}, claims(), how="sha512"),
    "no end": lambda: token(HS256, json.dumps({"sub": "victim", "iat": int(time())})),
    "an end that is true": lambda: token(HS256, claims(exp=True)),
    "an end with a fraction": lambda: token(HS256, claims(exp=time() + 600.5)),
    "no end in sight": lambda: token(HS256, claims().replace('"exp": ', '"exp": 9')),
    "an end at infinity": lambda: token(HS256, claims(exp=float("inf"))),
    "an end that is no number": lambda: token(HS256, claims(exp=float("nan"))),
    "an end of three thousand digits": lambda: token(HS256, f'{{"sub":"v","iat":1,"exp":{"9" * 2000}}}'),
    "begun before time": lambda: token(HS256, claims(iat=-(10**12))),
    "begun in an hour": lambda: token(HS256, claims(iat=int(time()) + 3600)),
    "nobody": lambda: token(HS256, claims(sub="   ")),
    "somebody unprintable": lambda: token(HS256, claims(sub="a\u202eb\x00")),
    "a list of somebodies": lambda: token(HS256, claims(sub=["victim"])),
    "claims that are a list": lambda: token(HS256, "[1]"),
    "claims too deep": lambda: token(HS256, "[" * 1400 + "]" * 1400),
    "four parts": lambda: token(HS256, claims()) + ".x",
    "twice": lambda: " ".join([token(HS256, claims())] * 2),
    "for another site": lambda: token(HS256, claims(), secret=b"another-secret-that-is-long-enough-too"),
}


async def test_nobody_becomes_somebody_by_a_forged_login(desk: Office) -> None:
    for number, (what, made) in enumerate(FORGED.items()):
        visitor = await Visitor(desk, headers={"X-Forwarded-For": f"81.69.{number}.1"}).come()
        answer = await visitor.ask("POST", "identify", json={"identity": made()})
        assert answer.status == 403, what
    assert await events_of(desk) == []


async def test_one_login_spelled_in_two_ways_is_one(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    good = token(HS256, claims())
    # 32 bytes leave two spare bits in the last character.
    twin = good[:-1] + chr(ord(good[-1]) + 1)
    for one in (good, twin):
        assert (await visitor.ask("POST", "identify", json={"identity": one})).status in (200, 403)

    assert [e["kind"] for e in await events_of(desk)] == ["event.visitor.identified"]


# -- the desk ----------------------------------------------------------------------------------------------
ACTS = ("take", "hand", "release", "snooze", "close", "reopen", "typing")


async def test_another_sites_form_does_nothing_at_the_desk(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    await visitor.says("你好")
    await desk.quiet()
    cid = await desk.cid("shop")
    before = await conversations_of(desk)
    paths = [f"/inbox/{cid}/{verb}" for verb in ACTS] + ["/inbox/presence", f"/s/c/{cid}/send"]

    for path in paths:
        for more in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": SITE}, {}):
            headers = {"Origin": "", "Sec-Fetch-Site": "", **more}
            form = {"key": "key-12345678", "text": "假的", "rep": "", "away": "1", "until": "1h"}
            kept = {name: value for name, value in headers.items() if value}
            answer = await raw_post(desk, path, "rep", form, kept)
            assert answer == 403, (path, more)

    assert await conversations_of(desk) == before


async def conversations_of(desk: Office) -> list[dict[str, object]]:
    """As the API shows them; `seen` says when it was asked, so it moves by itself."""
    items = (await desk.api("GET", "/conversations", token="machine-admin")).json()["items"]
    return [{name: value for name, value in item.items() if name != "seen"} for item in items]


async def raw_post(desk: Office, path: str, who: str, form: dict[str, str], headers: dict[str, str]) -> int:
    """A browser sends its cookie, whatever page the form stands on."""
    cookies = {"scrm": desk.sessions[who]}
    async with desk.http.post(
        f"{desk.url}{path}", data=form, headers=headers, cookies=cookies, allow_redirects=False
    ) as answer:
        return answer.status


async def test_a_conversation_is_handed_to_no_stranger(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    await visitor.says("你好")
    await desk.quiet()
    cid, tenant = await desk.cid("shop"), desk.service.house.db
    async with tenant.begin(2) as conn:  # another company's
        theirs = await staff.add(conn, login="spy", name="探子", role="rep", team="X", now=utcnow())
        team_id = await staff_store.team_id(conn, "X")
    other, mine = desk.staff_ids["other"], desk.staff_ids["rep"]
    strangers = {
        "another team's rep": f"rep:{desk.public('hand-rep', other)}",
        "another company's rep": f"rep:{desk.public('hand-rep', theirs)}",
        "another company's team": f"team:{desk.public('hand-team', team_id)}",
        "an id of another kind": f"rep:{desk.public('topic-rep', mine)}",
        "a bare number": f"rep:{mine}",
        "an id of ours that leads nowhere": f"rep:{desk.public('hand-rep', 2**63 - 1)}",
    }

    for what, to in strangers.items():
        form = {"to": to, "rep": ""}
        answer = await desk.ask("POST", f"/inbox/{cid}/hand", who="lead", data=form)
        assert answer.status in (400, 404), what
    for who in ("other", "marketing", "compliance"):
        answer = await desk.ask("POST", f"/inbox/{cid}/take", who=who, data={"rep": ""})
        assert answer.status in (403, 404), who
    items = (await desk.api("GET", "/conversations", token="machine-admin")).json()["items"]
    assert [c["owner"] for c in items] == [None]


async def test_passwords_are_not_checked_as_fast_as_somebody_asks(desk: Office) -> None:
    form = {"name": "nobody-here", "password": "x" * 10}
    hog, other = {"X-Forwarded-For": "81.69.216.43"}, {"X-Forwarded-For": "81.69.216.44"}
    limits_of = desk.service.house.limits
    for _ in range(30):  # as if they had come in one moment
        await limits_of.take("sign-in", limits.NOBODYS, "", "81.69.216.43")

    refused = await desk.ask("POST", "/login", data=form, headers=hog)
    checked = await desk.ask("POST", "/login", data=form, headers=other)

    assert (refused.status, checked.status) == (429, 401)
