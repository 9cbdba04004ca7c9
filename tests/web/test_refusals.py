"""Hostile and broken requests: refused by their own fault, in few words, with the headers of every answer."""

from __future__ import annotations

import asyncio
import io
import zlib

import aiohttp
import pytest

from scrm.web import hooks, stream
from tests.web.office import Office, Page

SAME = {"Sec-Fetch-Site": "same-origin"}
FORM = "application/x-www-form-urlencoded"
PART = b'--zz\r\nContent-Disposition: form-data; name="name"\r\n'


# -- headers ---------------------------------------------------------------------------------------------
async def test_every_answer_forbids_scripts_framing_sniffing_and_referrers(desk: Office) -> None:
    await desk.hear("oa-a", "oHeaders00000000000000000001", "你好")
    cid = await desk.cid("oa-a")
    answers = [
        await desk.bare("GET", "/login"),
        await desk.bare("GET", "/inbox"),
        await desk.bare("GET", "/nowhere"),
        await desk.bare("GET", "/healthz"),
        await desk.bare("POST", "/hooks/oa-a", data=b"<xml/>"),
        await desk.bare("GET", "/api/v1/openapi.json"),
        await desk.bare("GET", "/api/v1/events"),
        await desk.ask("GET", f"/inbox/{cid}", who="rep"),
        await desk.ask("GET", f"/s/c/{cid}/timeline", who="rep"),
        await desk.ask("GET", "/inbox/none", who="rep"),
        await desk.ask("DELETE", "/inbox", who="rep"),
        await desk.api("GET", "/events", token="rep"),
    ]
    for answer in answers:
        policy = dict(
            p.strip().partition(" ")[::2] for p in answer.headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["form-action"] == "'self'"
        assert policy["object-src"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"


async def test_the_live_stream_is_not_stored_either(desk: Office) -> None:
    headers = {"Cookie": f"scrm={desk.sessions['rep']}"}
    async with desk.http.get(f"{desk.url}/live", headers=headers) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Type"] == "text/event-stream"


# -- requests nobody can read ------------------------------------------------------------------------------
async def test_forms_that_cannot_be_read_are_the_senders_fault(desk: Office) -> None:
    broken = (
        (f"{FORM}; charset=none-such", b"name=a"),
        (FORM, b"name=\xff"),
        ("multipart/form-data", b"--zz"),
        ("multipart/form-data; boundary=zz", b"no boundary"),
        ("multipart/form-data; boundary=zz", b"--zz\r\nno header\r\n\r\nx\r\n--zz--"),
        ("multipart/form-data; boundary=zz", PART + b"Content-Transfer-Encoding: odd\r\n\r\nx\r\n--zz--"),
    )
    for kind, body in broken:
        for path in ("/login", "/me/prefs", "/s/c/x/send"):
            answer = await desk.ask("POST", path, who="rep", data=body, headers={"Content-Type": kind})
            assert answer.status == 400, (path, kind, body)


async def test_credentials_that_are_no_text_of_ours_are_simply_not_signed_in(desk: Office) -> None:
    for token in ("²", "²._", "1.é", "1.", ".x", "99999999999999999999.x", "-1.x", "1.x.y"):
        page = await desk.bare("GET", "/inbox", headers={"Cookie": f"scrm={token}"})
        api = await desk.bare(
            "GET", "/api/v1/events", headers={"Authorization": f"Bearer scrm_{token.replace('.', '_')}"}
        )
        assert (page.status, api.status) == (303, 401), token
    door = await desk.bare("GET", "/auth/corp/back?state=x&code=y", headers={"Cookie": "scrm_door=é"})
    assert door.where.startswith("/login")


#: Bytes no client library would send: after them the status must be the sender's fault.
RAW = (
    b"GET /inbox HTTP/1.1\r\nHost: x\r\nCookie: scrm=1.\xff\r\n",
    b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer scrm_1_\xff\r\n",
    b"POST /api/v1/pushes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {rep}\r\n"
    b"Idempotency-Key: \xff\r\nContent-Length: 36\r\n\r\n" + b'{"conversation_id": "x", "text":"y"}',
    b"GET /inbox/\xff HTTP/1.1\r\nHost: x\r\n",
    b"POST /hooks/oa-a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    b"POST /hooks/oa-a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
    b"POST /hooks/oa-a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n",
    b"POST /hooks/oa-a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n",
    b"GET //evil.example/x HTTP/1.1\r\nHost: x\r\n",
    b"GET http://evil.example/x HTTP/1.1\r\nHost: x\r\n",
    b"X\r\n",
)


async def test_bytes_that_are_hardly_http_never_make_an_error_of_ours(desk: Office) -> None:
    for sent in RAW:
        status, head = await talk(desk, sent.replace(b"{rep}", desk.tokens["rep"].encode()) + b"\r\n")
        assert 300 <= status < 500, (sent, head)
        assert b"Location: //" not in head
        assert b"Location: http" not in head


async def talk(desk: Office, sent: bytes) -> tuple[int, bytes]:
    """The status and head of whatever is answered to these bytes."""
    host, port = desk.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(sent)
        await writer.drain()
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
        return int(head.split()[1]), head
    finally:
        writer.close()
        await writer.wait_closed()


async def test_names_of_built_files_reach_nothing_else(desk: Office) -> None:
    for name in (
        "..%2f..%2fapp.py",
        "%2e%2e%2fx.js",
        "a" * 300 + ".js",
        "a%00.js",
        "x.py",
        ".js",
        "manifest.json",
    ):
        assert (await desk.bare("GET", f"/static/dist/{name}")).status == 404, name


# -- sizes and time ----------------------------------------------------------------------------------------
async def test_a_callback_larger_than_64_kib_is_refused_before_it_is_read(desk: Office) -> None:
    declared = await desk.bare("POST", "/hooks/oa-a", data=b"x" * (hooks.BODY_LIMIT + 1))

    async def chunks() -> object:
        for _ in range(5):
            yield b"x" * 16 * 1024

    streamed = await desk.bare("POST", "/hooks/oa-a", data=chunks())
    just_fits = await desk.bare("POST", "/hooks/oa-a", data=b"x" * hooks.BODY_LIMIT)

    assert (declared.status, streamed.status) == (413, 413)
    assert just_fits.status in (400, 403)


async def test_a_compressed_callback_is_refused_unopened(desk: Office) -> None:
    bomb = zlib.compress(b"0" * 10_000_000)
    for coding in ("gzip", "deflate", "compress", "x"):
        headers = {"Content-Encoding": coding, "Connection": "close"}
        answer = await desk.bare("POST", "/hooks/oa-a", data=bomb, headers=headers)
        assert answer.status == 415, coding


async def test_a_callback_that_dawdles_is_refused(desk: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "BODY_TIMEOUT_S", 0.2)

    status, _ = await talk(desk, b"POST /hooks/oa-a HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nslow")

    assert status == 403


async def test_api_bodies_and_uploads_have_a_limit(desk: Office) -> None:
    await desk.hear("oa-a", "oSizes0000000000000000000001", "你好")
    cid, mib = await desk.cid("oa-a"), 1024 * 1024
    headers = {"Idempotency-Key": "k"}

    for size in (mib + 1, 4 * mib):
        body = io.BytesIO(b"{" + b" " * size + b"}")
        answer = await desk.api("POST", "/pushes", token="rep", data=body, headers=headers)
        assert (answer.status, answer.json()["status"]) == (413, 413)
    form = {"key": "k" * 24, "image": io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"0" * 4 * mib)}
    assert (await desk.ask("POST", f"/s/c/{cid}/send", who="rep", data=form)).status == 413
    form = {"key": "k" * 24, "image": io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"0" * (2 * mib + 1))}
    assert (await desk.ask("POST", f"/s/c/{cid}/send", who="rep", data=form)).status == 400


#: What is no picture, whatever it calls itself.
UPLOADS = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "xml svg": b'<?xml version="1.0"?><svg onload="alert(1)"/>',
    "html": b"<!doctype html><script>alert(1)</script>",
    "gif": b"GIF89a<script>alert(1)</script>",
    "pdf": b"%PDF-1.7",
    "zip": b"PK\x03\x04",
    "exe": b"MZ\x90\x00",
    "almost a png": b"\x89PNG\n<script>",
    "empty": b"",
}


async def test_only_jpeg_and_png_are_taken_by_what_they_are(desk: Office) -> None:
    await desk.hear("oa-a", "oUploads00000000000000000001", "你好")
    cid = await desk.cid("oa-a")
    for name, content in UPLOADS.items():
        answer = await upload(desk, cid, content, key=f"key-of-{name.replace(' ', '-')}")
        assert answer == 400, name

    assert await upload(desk, cid, b"\x89PNG\r\n\x1a\n0000", key="key-of-a-png") == 303


async def upload(desk: Office, cid: str, content: bytes, *, key: str) -> int:
    form = aiohttp.FormData({"key": key})
    form.add_field("image", content, filename="x.png", content_type="image/png")
    return (await desk.ask("POST", f"/s/c/{cid}/send", who="rep", data=form)).status


# -- what an error says --------------------------------------------------------------------------------------
async def test_hooks_say_nothing_but_a_status(desk: Office) -> None:
    unknown = await desk.bare("POST", "/hooks/no-such-account", data=b"<xml/>")
    forged = await desk.bare("POST", "/hooks/oa-a?msg_signature=x&timestamp=1&nonce=1", data=b"<xml/>")
    undeclared = await desk.bare("PUT", "/hooks/oa-a", data=b"")

    assert [a.status for a in (unknown, forged, undeclared)] == [404, 403, 401]
    assert [a.text for a in (unknown, forged, undeclared)] == ["", "", ""]
    assert "no-such-account" not in (await desk.bare("GET", "/metrics")).text


async def test_an_error_of_ours_shows_a_number_to_quote_and_nothing_of_what_happened(
    desk: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise RuntimeError("SELECT 13800138000 FROM secrets")

    monkeypatch.setattr(stream, "_named", broken)

    page = await desk.ask("GET", "/live", who="rep")

    assert page.status == 500
    assert "13800138000" not in page.text
    assert "RuntimeError" not in page.text
    codes = [
        text for text in Page(page.text).texts if len(text) == 12 and set(text) <= set("0123456789abcdef")
    ]
    assert len(codes) == 1


async def test_errors_do_not_repeat_what_was_asked(desk: Office) -> None:
    phone = "13800138000"
    answers = [
        await desk.bare("GET", f"/{phone}"),
        await desk.ask("GET", f"/inbox/{phone}", who="rep"),
        await desk.ask("GET", f"/inbox?x={phone}", who="marketing"),
        await desk.ask("GET", f"/s/find?agent={phone}&external_userid={phone}", who="rep"),
        await desk.ask("POST", f"/s/c/{phone}/send", who="rep", data={"text": phone}),
        await desk.ask("GET", f"/live?topics={phone}", who="rep"),
        await desk.api("GET", f"/events?limit={phone}", token="rep"),
        await desk.api("GET", f"/events?account={phone}", token="machine-admin"),
        await desk.api("GET", f"/events?{phone}=1", token="rep"),
        await desk.api("GET", f"/events?cursor={phone}", token="rep"),
        await desk.api("GET", f"/inbox?state={phone}", token="machine-admin"),
        await desk.api("GET", f"/persons/{phone}", token="rep"),
        await desk.api(
            "POST", "/pushes", token="rep", data=phone.encode(), headers={"Idempotency-Key": phone}
        ),
        await desk.bare("POST", f"/hooks/{phone}", data=phone.encode()),
    ]
    for answer in answers:
        assert answer.status >= 300, answer.text
        assert phone not in answer.text


async def test_a_page_a_fragment_and_the_api_each_get_errors_in_their_own_form(desk: Office) -> None:
    page = await desk.ask("GET", "/inbox/none", who="rep")
    fragment = await desk.ask("GET", "/inbox/none", who="rep", headers={"HX-Request": "true"})
    api = await desk.api("GET", "/persons/none", token="rep")
    signed_out = await desk.bare("GET", "/inbox/queue", headers={"HX-Request": "true"})

    assert "<html" in page.text
    assert "<html" not in fragment.text
    assert "data-problem" in fragment.text
    assert api.headers["Content-Type"].startswith("application/problem+json")
    assert (signed_out.status, signed_out.headers["HX-Redirect"]) == (401, "/login")
