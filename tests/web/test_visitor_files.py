"""Uploads: known by their bytes, capped, harmless wherever they are opened, shown to the two who talk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from scrm.web.visitor.rules import safe_name, sniffed
from tests.web.office import Office, Page
from tests.web.visiting import PNG, Visitor, events_of, open_site, shop

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.fixture
async def desk(tmp_path: Path, service_url: str) -> AsyncIterator[Office]:
    async with shop(tmp_path, service_url, upload_mb="1") as made:
        yield made


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0JFIF", "image/jpeg"),
        (b"GIF89a....", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "application/octet-stream"),
        (b"%PDF-1.7", "application/pdf"),
        (b"PK\x03\x04...", "application/zip"),
        ("课表\n周六 10:00".encode(), "text/plain"),
        (SVG, "application/octet-stream"),
        (b"\xef\xbb\xbf" + HTML, "application/octet-stream"),
        (b"  \n" + HTML, "application/octet-stream"),
        (b"MZ\x90\x00", "application/octet-stream"),
        (b"", "text/plain"),
    ],
)
def test_a_file_is_what_its_bytes_say(content: bytes, mime: str) -> None:
    assert sniffed(content) == mime


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("课表.pdf", "课表.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\photo.png", "photo.png"),
        ("a\r\nSet-Cookie: x.png", "aSet-Cookie: x.png"),
        ("gnp.\u202etxt.exe", "gnp.txt.exe"),
        ("", "file"),
        ("...", "file"),
        ("x" * 300 + ".pdf", "x" * 76 + ".pdf"),
    ],
)
def test_a_file_name_is_only_a_name(given: str, kept: str) -> None:
    assert safe_name(given) == kept


async def test_a_picture_is_shown_to_the_visitor_and_to_the_rep(desk: Office) -> None:
    visitor = await Visitor(desk).come()

    sent = await visitor.uploads("作业.png", PNG)
    await desk.quiet()
    (item,) = await visitor.reads()
    got = await visitor.ask("GET", f"files/{item['file']['id']}")
    page = Page((await desk.ask("GET", f"/inbox/{await desk.cid('shop')}", who="rep")).text)
    (source,) = [s for s in page.values("img", "src") if s.startswith("/media/")]
    seen = await desk.ask("GET", source, who="rep")

    assert sent.status == 201
    assert (item["kind"], item["file"]["mime"], item["file"]["size"]) == ("image", "image/png", len(PNG))
    for answer in (got, seen):
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["Content-Disposition"].startswith("inline")


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.svg", SVG), ("x.png", SVG), ("x.html", HTML), ("x.jpg", HTML), ("x.txt", b"hello")],
)
async def test_what_could_run_is_only_ever_saved(desk: Office, name: str, content: bytes) -> None:
    visitor = await Visitor(desk).come()
    await visitor.uploads(name, content)
    await desk.quiet()
    (item,) = await visitor.reads()
    page = Page((await desk.ask("GET", f"/inbox/{await desk.cid('shop')}", who="rep")).text)

    (link,) = [h for h in page.values("a", "href") if h.startswith("/media/")]
    for answer in (
        await visitor.ask("GET", f"files/{item['file']['id']}"),
        await desk.ask("GET", link, who="rep"),
    ):
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert not [s for s in page.values("img", "src") if s.startswith("/media/")]


async def test_a_file_over_the_cap_is_refused_and_nothing_is_kept(desk: Office) -> None:
    visitor = await Visitor(desk).come()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65536

    told = await visitor.uploads("a.bin", b"x" * (1024 * 1024 + 1))
    untold = await visitor.ask(
        "POST", "files", data=endless(), headers={"Idempotency-Key": "key-000001", "X-Upload-Name": "a"}
    )
    empty = await visitor.uploads("a.bin", b"")

    assert (told.status, untold.status, empty.status) == (413, 413, 400)
    assert await events_of(desk) == []
    assert (await visitor.uploads("a.bin", b"x" * (1024 * 1024))).status == 201


async def test_a_site_may_take_no_files_at_all(desk: Office) -> None:
    await open_site(desk, "outlet", upload_mb="0")
    visitor = await Visitor(desk, slug="outlet").come()

    assert (await visitor.uploads("a.png", PNG)).status == 400


async def test_the_same_upload_twice_is_one_message_also_at_the_same_moment(desk: Office) -> None:
    visitor = await Visitor(desk).come()

    answers = await asyncio.gather(*(visitor.uploads("a.png", PNG, key="same-key-1") for _ in range(4)))
    later = await visitor.uploads("a.png", PNG, key="same-key-1")

    assert {a.status for a in [*answers, later]} == {201}
    assert len({a.json()["file"]["id"] for a in [*answers, later]}) == 1
    assert [e["kind"] for e in await events_of(desk)] == ["message.image"]


async def test_nobody_else_gets_at_a_file(desk: Office) -> None:
    owner, stranger = await Visitor(desk).come(), await Visitor(desk).come()
    ident = (await owner.uploads("a.png", PNG)).json()["file"]["id"]
    await stranger.says("你好")
    await desk.quiet()

    assert (await stranger.ask("GET", f"files/{ident}")).status == 404
    assert (await desk.bare("GET", f"/chat/shop/files/{ident}")).status == 401
    assert (await desk.ask("GET", f"/media/{ident}", who="other")).status == 404
    assert (await desk.ask("GET", f"/media/{ident}", who="marketing")).status == 403
    assert (await desk.ask("GET", f"/media/{ident[:-2]}AA", who="rep")).status == 404
    assert (await desk.ask("GET", f"/media/{ident}", who="rep")).status == 200


async def test_a_picture_from_the_rep_reaches_the_visitor(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    await visitor.says("有课表吗")
    await desk.quiet()
    cid = await desk.cid("shop")
    form = aiohttp.FormData({"key": "push-key-0001", "text": ""})
    form.add_field("image", PNG, filename="plan.png", content_type="image/png")
    sent = await desk.ask("POST", f"/s/c/{cid}/send", who="rep", data=form)
    (heard,) = await visitor.hears(1)
    got = await visitor.ask("GET", f"files/{heard['file']['id']}")
    page = Page((await desk.ask("GET", f"/inbox/{cid}", who="rep")).text)

    assert sent.status == 303
    assert (heard["kind"], got.status, got.headers["Content-Type"]) == ("image", 200, "image/png")
    assert [s for s in page.values("img", "src") if s.startswith("/media/")]
