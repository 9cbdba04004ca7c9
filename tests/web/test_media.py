"""Files on the timeline: shown and played piece by piece to those who may, harmless to everybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scrm.app import TENANT
from scrm.contract import Media, Piece
from scrm.db import utcnow
from scrm.identity import store as identity
from scrm.timeline.store import media, pieces
from scrm.timeline.store.events import Stored, page
from scrm.timeline.store.pieces import Expected
from tests.web.office import Office, office

ENGINES = ["sqlite"]
SOUND = b"RIFF\x00\x00\x00\x00WAVEfmt " + bytes(range(200))


@dataclass
class Post:
    """One message of a customer of `rep`, to which a test hangs files."""

    desk: Office
    cid: str
    event: Stored

    async def brings(self, content: bytes | None, *, mime: str = "", kind: str = "voice", n: int = 0) -> str:
        """The public id of the file, "" while it is not here."""
        e, piece = self.event, Piece(ref="r", kind=kind, name="录音.wav", seconds=72)  # type: ignore[arg-type]
        async with self.desk.service.house.db.begin(TENANT) as conn:
            await pieces.expect(
                conn,
                [Expected(event_id=e.event_id, n=n, account_id=e.account_id, node_id=e.node_id, piece=piece)],
            )
            file = await media.get(conn, e.event_id, n)
            assert file is not None
            if content is None:
                return ""
            await media.keep(conn, file, Media(name="录音.wav", mime=mime, content=content), now=utcnow())
            kept = await media.get(conn, e.event_id, n)
        assert kept is not None
        return self.desk.public("media", kept.media_id or 0)

    async def fails(self, state: media.State, why: str) -> None:
        async with self.desk.service.house.db.begin(TENANT) as conn:
            file = await media.get(conn, self.event.event_id, 0)
            assert file is not None
            await media.put_aside(conn, file, state, why)


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    async with office(tmp_path) as desk:
        await desk.hear("oa-a", "oCustomerOfRep00000000000001", "听一下这段")
        cid = await desk.cid("oa-a")
        assert (await desk.push("rep", cid, "好的")).status == 201
        node_id = await desk.node_of(cid)
        async with desk.service.house.db.read(TENANT) as conn:
            person = (await identity.persons_of(conn, [node_id]))[node_id]
            found = await page(conn, await identity.intervals(conn, person), before=None, limit=9)
        yield Post(desk=desk, cid=cid, event=next(e for e in found if e.direction == "in"))


async def test_a_player_gets_the_pieces_it_asks_for(post: Post) -> None:
    mid = await post.brings(SOUND, mime="audio/wav")
    asked = {
        "bytes=0-3": (206, SOUND[:4], f"bytes 0-3/{len(SOUND)}"),
        "bytes=10-": (206, SOUND[10:], f"bytes 10-{len(SOUND) - 1}/{len(SOUND)}"),
        "bytes=-5": (206, SOUND[-5:], f"bytes {len(SOUND) - 5}-{len(SOUND) - 1}/{len(SOUND)}"),
        f"bytes={len(SOUND)}-": (416, b"", f"bytes */{len(SOUND)}"),
        "bytes=0-1,4-5": (200, SOUND, None),
        "pages=1-2": (200, SOUND, None),
    }
    for header, (status, body, told) in asked.items():
        cookie = {"Cookie": f"scrm={post.desk.sessions['rep']}", "Range": header}
        async with post.desk.http.get(f"{post.desk.url}/media/{mid}", headers=cookie) as answer:
            got = await answer.read()
            assert (answer.status, got, answer.headers.get("Content-Range")) == (status, body, told), header
            assert answer.headers["Accept-Ranges"] == "bytes"


async def test_a_file_is_not_sent_twice_and_a_changed_one_never_in_pieces(post: Post) -> None:
    mid = await post.brings(SOUND, mime="audio/wav")
    first = await post.desk.ask("GET", f"/media/{mid}", who="rep")
    tag = first.headers["ETag"]

    again = await post.desk.ask("GET", f"/media/{mid}", who="rep", headers={"If-None-Match": tag})
    other = await post.desk.ask(
        "GET", f"/media/{mid}", who="rep", headers={"Range": "bytes=0-3", "If-Range": '"other"'}
    )
    same = await post.desk.ask(
        "GET", f"/media/{mid}", who="rep", headers={"Range": "bytes=0-3", "If-Range": tag}
    )

    assert (first.status, again.status, other.status, same.status) == (200, 304, 200, 206)


@pytest.mark.parametrize(
    ("mime", "way", "shown_as"),
    [
        ("image/png", "inline", "image/png"),
        ("audio/wav", "inline", "audio/wav"),
        ("video/mp4", "inline", "video/mp4"),
        ("application/pdf", "attachment", "application/pdf"),
        ("audio/amr", "attachment", "audio/amr"),
        ("image/svg+xml", "attachment", "application/octet-stream"),
        ("text/html", "attachment", "application/octet-stream"),
    ],
)
async def test_only_what_runs_nothing_is_shown_where_it_stands(
    post: Post, mime: str, way: str, shown_as: str
) -> None:
    mid = await post.brings(b"x", mime=mime)

    answer = await post.desk.ask("GET", f"/media/{mid}", who="rep")

    assert answer.headers["Content-Type"].startswith(shown_as)
    assert answer.headers["Content-Disposition"].startswith(way)
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_nobody_else_gets_it(post: Post) -> None:
    mid = await post.brings(SOUND, mime="audio/wav")
    answers = {
        who: (await post.desk.ask("GET", f"/media/{mid}", who=who)).status
        for who in ("lead", "peer", "other")
    }

    assert answers == {"lead": 200, "peer": 404, "other": 404}


async def test_the_timeline_plays_it_with_its_length(post: Post) -> None:
    mid = await post.brings(SOUND, mime="audio/wav")

    for path in (f"/s/c/{post.cid}/timeline", f"/inbox/{post.cid}"):
        html = (await post.desk.ask("GET", path, who="rep")).text
        assert f'<audio controls preload="none" src="/media/{mid}"' in html
        assert "1 分 12 秒" in html


async def test_a_voice_no_browser_plays_is_offered_to_be_saved_and_says_so(post: Post) -> None:
    mid = await post.brings(b"#!AMR\n", mime="audio/amr")

    html = (await post.desk.ask("GET", f"/s/c/{post.cid}/timeline", who="rep")).text

    assert "<audio" not in html
    assert f'href="/media/{mid}" download' in html
    assert "浏览器不能播放" in html


async def test_what_is_not_here_says_why_and_can_be_asked_for_again_by_who_may(post: Post) -> None:
    await post.brings(None)
    waiting = (await post.desk.ask("GET", f"/s/c/{post.cid}/timeline", who="rep")).text
    await post.fails("gone", "文件已经过期。")
    gone = (await post.desk.ask("GET", f"/s/c/{post.cid}/timeline", who="rep")).text
    form = {"event": post.desk.public("event", post.event.event_id), "n": "0"}

    strange = await post.desk.ask("POST", "/media/again", who="other", data=form)
    wrong = await post.desk.ask("POST", "/media/again", who="rep", data={**form, "n": "x"})
    asked = await post.desk.ask("POST", "/media/again", who="rep", data=form)

    assert "正在取回" in waiting
    assert "文件已经过期。" in gone
    assert "再取一次" in gone
    assert (strange.status, wrong.status, asked.status) == (404, 400, 303)
