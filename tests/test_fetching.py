"""Files that vendors keep: fetched once, looked at, kept sealed; and said why when they are not here."""

from __future__ import annotations

import hashlib

import pytest
import sqlalchemy as sa

from scrm import jobs
from scrm.contract import Context, Media, Piece
from scrm.db import Database
from scrm.errors import NotSent, Rejected, TooLarge
from scrm.schema import due
from scrm.schema import media as media_table
from scrm.timeline import files
from scrm.timeline.store import media
from scrm.timeline.store.media import File
from tests.ground import NOW, House, Talking, house, installed, node_of, said

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
MB = 1024 * 1024


class Keeper(Talking):
    """It keeps files: `kept` by ref, or what it raises instead."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, bytes | Exception] = {}
        self.asked: list[str] = []

    async def media(self, _ctx: Context, ref: str) -> Media:
        self.asked.append(ref)
        found = self.kept[ref]
        if isinstance(found, Exception):
            raise found
        return Media(name="theirs.bin", mime="text/html", content=found)


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Keeper()
    installed(monkeypatch, channel)
    return await house(database, channel)


async def arrives(home: House, *pieces: Piece, key: str = "m1") -> None:
    await home.take({key: [said("[图片]", kind="message.image", pieces=pieces)]}, lane="anna")
    assert await home.pipeline.settle(1)
    await home.worker.errands.batch(1)


async def stored(home: House) -> list[File]:
    async with home.db.read(1) as conn:
        ids = [r.event_id for r in await conn.rows(sa.text("SELECT event_id FROM event ORDER BY event_id"))]
        found = await media.of_events(conn, ids)
    return [f for several in found.values() for f in several]


def keeper(home: House) -> Keeper:
    assert isinstance(home.channel, Keeper)
    return home.channel


async def test_a_file_is_fetched_looked_at_and_kept_with_its_customer_s_key(home: House) -> None:
    keeper(home).kept["r1"] = PNG
    await arrives(home, Piece(ref="r1", kind="image", mime="text/html", md5=hashlib.md5(PNG).hexdigest()))

    (file,) = await stored(home)
    assert (file.state, file.mime, file.size, file.error) == ("kept", "image/png", len(PNG), "")
    async with home.db.read(1) as conn:
        owner = await node_of(conn, "anna")
        one = await media.opened(conn, file.media_id or 0)
        sealed = await conn.scalar(sa.select(media_table.c.content))
        assert await media.owner_of(conn, file.media_id or 0) == file.node_id == owner
    assert one is not None
    assert (one.content, PNG in sealed) == (PNG, False)


async def test_it_is_asked_for_once_however_often_the_errand_comes_round(home: House) -> None:
    keeper(home).kept["r1"] = PNG
    await arrives(home, Piece(ref="r1", kind="image"))
    await home.worker.errands.batch(1)

    assert keeper(home).asked == ["r1"]


@pytest.mark.parametrize(
    ("answer", "piece", "state", "why"),
    [
        (Rejected("文件已经过期。"), {}, "gone", "文件已经过期。"),
        (TooLarge(), {}, "too_large", "文件超过 20 MB，没有取回。"),
        (bytes(21 * MB), {}, "too_large", "文件超过 20 MB，没有取回。"),
        (NotSent("平台忙。"), {}, "waiting", ""),
        (PNG, {"md5": "0" * 32}, "waiting", ""),
        (PNG, {"size": len(PNG) + 1}, "waiting", ""),
        (b"", {}, "waiting", ""),
    ],
)
async def test_what_cannot_be_had_says_why_and_what_may_come_is_waited_for(
    home: House, answer: bytes | Exception, piece: dict[str, object], state: str, why: str
) -> None:
    keeper(home).kept["r1"] = answer
    await arrives(home, Piece(ref="r1", kind="file", **piece))  # type: ignore[arg-type]

    (file,) = await stored(home)
    assert (file.state, file.error, file.media_id) == (state, why, None)


async def test_a_file_known_to_be_too_large_is_not_even_asked_for(home: House) -> None:
    await arrives(home, Piece(ref="r1", kind="video", size=30 * MB))

    (file,) = await stored(home)
    assert (file.state, file.size, keeper(home).asked) == ("too_large", 30 * MB, [])


async def test_after_the_last_try_it_has_failed_and_can_be_asked_for_again(home: House) -> None:
    keeper(home).kept["r1"] = NotSent("平台忙。")
    await arrives(home, Piece(ref="r1", kind="file"))
    for _ in range(2):
        async with home.db.begin(1) as conn:
            await conn.run(sa.update(due).where(due.c.tenant_id == 1, due.c.kind == "media").values(at=NOW))
        await home.worker.errands.batch(1)
    (file,) = await stored(home)
    assert (file.state, file.error) == ("failed", "平台忙。")

    keeper(home).kept["r1"] = PNG
    async with home.db.begin(1) as conn:
        assert await media.ask_again(conn, file)
        assert not await media.ask_again(conn, file)
        place = {"event_id": file.event_id, "n": 0}
        await jobs.put(conn, "media", "again", file.account_id, place, at=NOW)
    await home.worker.errands.batch(1)

    (file,) = await stored(home)
    assert (file.state, file.error) == ("kept", "")


async def test_several_files_of_one_message_keep_their_order(home: House) -> None:
    keeper(home).kept |= {"a": PNG, "b": b"%PDF-1.7", "c": b"#!AMR\n" + bytes(9)}
    await arrives(home, *(Piece(ref=ref, kind="file", name=f"{ref}.x") for ref in "abc"))

    assert [(f.n, f.name, f.mime) for f in await stored(home)] == [
        (0, "a.x", "image/png"),
        (1, "b.x", "application/pdf"),
        (2, "c.x", "audio/amr"),
    ]


@pytest.mark.parametrize(
    ("content", "kind", "mime"),
    [
        (b"\xff\xd8\xff\xe0" + bytes(9), "file", "image/jpeg"),
        (b"GIF89a", "file", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "file", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "voice", "audio/wav"),
        (b"RIFF\x00\x00\x00\x00AVI ", "video", "application/octet-stream"),
        (b"ID3\x03", "voice", "audio/mpeg"),
        (b"\xff\xfb\x90\x00", "voice", "audio/mpeg"),
        (b"OggS\x00", "voice", "audio/ogg"),
        (b"\x00\x00\x00\x18ftypisom", "voice", "audio/mp4"),
        (b"\x00\x00\x00\x18ftypisom", "video", "video/mp4"),
        (b"\x00\x00\x00\x18ftypM4A ", "file", "audio/mp4"),
        (b"\x02#!SILK_V3", "voice", "audio/silk"),
        (b"PK\x03\x04", "file", "application/zip"),
        (b"<svg onload=alert(1)>", "image", "application/octet-stream"),
        (b"<html><script>", "image", "application/octet-stream"),
        (b"", "image", "application/octet-stream"),
    ],
)
def test_a_file_is_what_its_bytes_say(content: bytes, kind: str, mime: str) -> None:
    assert files.sniffed(content, kind) == mime
