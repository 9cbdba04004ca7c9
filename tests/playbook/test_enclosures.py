"""What goes out with talk-tracks: known by its bytes, kept once, sealed, held by vendors, renewed in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from scrm import jobs, outbox
from scrm.contract import Context, Envelope, Media, Push, Window
from scrm.db import Conn, Database, utcnow
from scrm.desk.manners import Manners
from scrm.desk.tasks import store as board
from scrm.errors import BadInput, NotSent, Rejected
from scrm.pipeline.sops import acting
from scrm.pipeline.sops.turns import Means
from scrm.playbook.checks.values import Hit
from scrm.playbook.enclosures import rules, service, store
from scrm.playbook.enclosures.store import Held
from scrm.playbook.library import files, importing
from scrm.playbook.library import service as library
from scrm.playbook.library.service import Wanted
from scrm.playbook.library.values import Editor, content_of
from scrm.playbook.scripts import Enclosed, Script
from scrm.playbook.service import Library
from scrm.playbook.sops import versions
from scrm.playbook.sops.store import runs
from scrm.push import service as push
from scrm.push import store as media
from scrm.push.service import Word
from scrm.timeline.store import events
from scrm.worker.giving import Giving, Looking
from tests.ground import (
    NOW,
    House,
    Talking,
    entry,
    handle,
    house,
    installed,
    later,
    plugged,
    said,
    script,
    settle,
    talk_of,
)
from tests.playbook.enclosures import AMR, JPG, MP4, PDF, PNG, ZIP
from tests.playbook.sops.clockwork import plan

WRITER, LEAD = Editor(role="marketing", staff_id=1), Editor(role="lead", staff_id=2, team_id=1)
WINDOW = (Window(opens=("message.",), seconds=48 * 3600, count=5),)


def silent(_text: str) -> Sequence[Hit]:
    return ()


class Lending(Talking):
    """A channel whose platform takes files ahead of time and names them."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[str] = []
        self.fails: list[Exception] = []
        self.life = timedelta(days=3)

    async def upload(self, ctx: Context, media: Media) -> tuple[str, datetime]:
        if self.fails:
            raise self.fails.pop(0)
        self.given.append(media.name)
        return f"v{len(self.given)}", ctx.now + self.life


def carrying(**changes: object) -> Lending:
    made = Lending()
    vars(made).update({"WINDOWS": WINDOW, "KINDS": frozenset({"text", "image", "file"})} | changes)
    return made


async def kept(conn: Conn, *files: tuple[str, bytes], now: datetime = NOW) -> tuple[Enclosed, ...]:
    admitted = [rules.admitted(name, content) for name, content in files]
    return await service.keep(conn, admitted, author_id=1, now=now)


# -- what may go out ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("课表.png", PNG, "image"),
        ("课表.JPG", JPG, "image"),
        ("校区.mp4", MP4, "video"),
        ("问候.amr", AMR, "voice"),
        ("合同.pdf", PDF, "file"),
        ("方案.docx", ZIP, "file"),
    ],
)
def test_a_file_is_what_its_bytes_say(name: str, content: bytes, form: str) -> None:
    assert rules.form_of(rules.admitted(name, content).mime) == form


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.html", b"<script>alert(1)</script>"),
        ("a.svg", b"<svg onload=alert(1)>"),
        ("a.png", b"<script>alert(1)</script>"),
        ("课表.pdf", PNG),
        ("a.exe", ZIP),
        ("a.gif", b"GIF89a" + b"." * 40),
        ("a.png", b""),
        ("a.png", PNG + b"." * (2 * 1024 * 1024)),
    ],
    ids=["html", "svg", "html as png", "png as pdf", "zip as exe", "gif", "empty", "large"],
)
def test_what_platforms_refuse_or_browsers_would_run_is_not_taken(name: str, content: bytes) -> None:
    with pytest.raises(BadInput):
        rules.admitted(name, content)


async def test_the_same_file_is_kept_once_and_sealed(database: Database) -> None:
    async with database.begin(1) as conn:
        (first,) = await kept(conn, ("课表.png", PNG))
        (again,) = await kept(conn, ("课表.png", PNG))
        (other,) = await kept(conn, ("新课表.png", PNG))
        rows = await conn.rows(sa.text("SELECT content, node_id FROM media WHERE tenant_id = 1"))
        (sent,) = await service.of_script(conn, [first])
        opened = (await media.media_of(conn, [sent.media_id]))[sent.media_id]

    assert first == again != other
    assert len(rows) == 2
    assert all(PNG not in bytes(r.content) and r.node_id is None for r in rows)
    assert (opened.name, opened.mime, opened.content) == ("课表.png", "image/png", PNG)


# -- versions ----------------------------------------------------------------------------------------------
async def version(conn: Conn, base: Library, one: Script, *names: Enclosed, now: datetime = NOW) -> int:
    wanted = Wanted(code=one.id, content=content_of(replace(one, files=names)), trade="education")
    made = await library.draft(conn, base, wanted, WRITER, now=now)
    await library.submit(conn, one.id, made.version, WRITER, scan=silent, review=True, now=now)
    await library.publish(conn, one.id, made.version, LEAD, scan=silent, review=True, now=now)
    return made.version


async def test_each_version_has_its_own_files_and_says_so_when_compared(database: Database) -> None:
    one = script("files")
    base = Library([one], trades={one.id: "education"})
    async with database.begin(1) as conn:
        table, contract = await kept(conn, ("课表.png", PNG), ("合同.pdf", PDF))
        first = await version(conn, base, one, table)
        second = await version(conn, base, one, table, contract, now=later(5))
        old, new = [await library.version(conn, base, one.id, n) for n in (first, second)]
        live = (await library.load(conn, base, now=later(6))).get(one.id)

    assert (old.files, new.files) == ((table,), (table, contract))
    assert live is not None
    assert live.files == new.files
    assert importing.differing(old, new) == ("files",)


async def test_a_version_cannot_name_what_is_not_here_or_too_much(database: Database) -> None:
    one, stranger = script("files"), Enclosed(name="x.png", digest="0" * 32)
    base = Library([one], trades={one.id: "education"})
    async with database.begin(1) as conn:
        many = await kept(conn, *((f"{n}.png", PNG) for n in range(5)))
        for names in ((stranger,), many):
            wanted = Wanted(code=one.id, content=content_of(replace(one, files=names)), trade="education")
            with pytest.raises(BadInput):
                await library.draft(conn, base, wanted, WRITER, now=NOW)


async def test_a_file_names_them_and_elsewhere_they_must_be_there_first(database: Database) -> None:
    one = script("files")
    base = Library([], trades={})
    async with database.begin(1) as conn:
        named = await kept(conn, ("课表.png", PNG))
        text = files.written([replace(one, files=named)])
        read = files.read(text, where="x.yaml")
        stranger = [replace(one, files=(Enclosed(name="x.png", digest="0" * 32),))]
        here = await importing.plan(conn, base, read, WRITER, scan=silent, now=NOW)
        strange = await importing.plan(conn, base, stranger, WRITER, scan=silent, now=NOW)

    assert "name: 课表.png" in text
    assert read[0].files == named
    assert [row.change for row in (*here, *strange)] == ["new", "file"]


# -- going out ---------------------------------------------------------------------------------------------
async def test_words_then_files_in_order_under_one_key_and_once(database: Database) -> None:
    async with database.begin(1) as conn:
        files = await service.of_script(conn, await kept(conn, ("课表.png", PNG), ("合同.pdf", PDF)))
        await settle(conn, entry(said("多少钱", at=NOW), "m1"))
        talk, word = await talk_of(conn, "anna"), Word(key="w1", text="请看", files=files)
        first = await push.say(conn, plugged(carrying()), talk, word, now=later(1))
        again = await push.say(conn, plugged(carrying()), talk, word, now=later(2))
        rows = await outbox.page(conn, state="", before=None, limit=9)
        told = await events.by_ids(conn, first.event_ids)
        bodies = await events.bodies(conn, told)
        await store.hold(conn, held(files[0].media_id, until=later(9999)))
        sent: list[Push] = []
        for _ in range(3):
            (row,) = await outbox.claim(conn, now=later(9), limit=9)
            sent.append(await push.opened(conn, row, now=later(9)))
            await outbox.finish(conn, row.outbox_id, "sent", now=later(9))

    assert (again.repeated, again.event_ids) == (True, first.event_ids[:1])
    assert sorted((r.key, r.kind) for r in rows) == [("w1:0", "text"), ("w1:1", "image"), ("w1:2", "file")]
    assert [(p.kind, p.text, p.uploaded, p.media.content if p.media else b"") for p in sent] == [
        ("text", "请看", "", b""), ("image", "", "vendor", PNG), ("file", "", "", PDF),
    ]  # fmt: skip
    assert {e.text for e in told} == {"请看", "[图片]", "[文件] 合同.pdf"}
    assert sorted(b["media"]["name"] for b in bodies.values() if "media" in b) == ["合同.pdf", "课表.png"]


def held(media_id: int, *, until: datetime, account_id: int = 11) -> Held:
    return Held(account_id=account_id, media_id=media_id, name="vendor", until_at=until, tried_at=NOW)


async def test_a_vendors_copy_that_is_almost_over_is_not_relied_on(database: Database) -> None:
    async with database.begin(1) as conn:
        (file,) = await service.of_script(conn, await kept(conn, ("课表.png", PNG)))
        await store.hold(conn, held(file.media_id, until=later(3600)))
        names = [
            await media.uploaded_as(conn, account, file.media_id, now=later(at))
            for account, at in ((11, 0), (11, 3001), (12, 0))
        ]

    assert names == ["vendor", "", ""]


# -- given ahead of time -----------------------------------------------------------------------------------
async def lending(
    database: Database, patch: pytest.MonkeyPatch, channel: Lending, **changes: object
) -> tuple[House, Looking, Giving, int]:
    installed(patch, channel)
    async with database.begin(1) as conn:
        named = await kept(conn, ("课表.png", PNG), now=utcnow())
        (file,) = await service.of_script(conn, named)
    home = await house(database, channel, scripts=[replace(script("files", **changes), files=named)])
    on = home.worker.errands._on  # noqa: SLF001 - what the errands of a worker are run with
    return home, Looking(on, home.pipeline.library), Giving(on), file.media_id


async def look(looking: Looking) -> None:
    await looking.run(
        1, jobs.Due(due_id=1, kind="x", key="sweep", account_id=0, payload={}, version=1, attempts=0)
    )


async def asked(database: Database) -> list[jobs.Due]:
    async with database.begin(1) as conn:
        return await jobs.claim(conn, now=utcnow() + timedelta(seconds=1), limit=9, kind=service.GIVE)


async def test_it_is_given_once_and_again_a_day_before_its_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = carrying()
    home, looking, giving, media_id = await lending(database, monkeypatch, channel)
    counts = []
    for left in (None, timedelta(days=2), timedelta(hours=23)):
        if left is not None:
            async with database.begin(1) as conn:
                account = home.account.account_id
                await store.hold(conn, held(media_id, until=utcnow() + left, account_id=account))
        await look(looking)
        for job in await asked(database):
            await giving.run(1, job)
            async with database.begin(1) as conn:
                await jobs.finish(conn, job)
        counts.append(len(channel.given))
    async with database.read(1) as conn:
        (now_held,) = (await store.held(conn)).values()

    assert counts == [1, 1, 2]
    assert (now_held.name, now_held.error) == ("v2", "")
    assert now_held.until_at is not None
    assert now_held.until_at > utcnow() + timedelta(days=2)


@pytest.mark.parametrize(
    "changes", [{"channels": ["elsewhere"]}, {}], ids=["another channel's script", "not of this kind"]
)
async def test_nobody_is_given_what_is_never_sent_there(
    database: Database, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    channel = carrying() if changes else carrying(KINDS=frozenset({"text"}))
    _, looking, _, _ = await lending(database, monkeypatch, channel, **changes)

    await look(looking)

    assert await asked(database) == []


async def test_a_refusal_is_remembered_and_what_no_script_names_is_forgotten(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = carrying(fails=[NotSent("平台忙"), Rejected("格式不对")])
    home, looking, giving, media_id = await lending(database, monkeypatch, channel)
    await look(looking)
    (job,) = await asked(database)
    for refusal in (NotSent, Rejected):
        with pytest.raises(refusal):
            await giving.run(1, job)
    await giving.give_up(1, job, "格式不对")
    async with database.begin(1) as conn:
        await jobs.drop(conn, job)
    await look(looking)
    at_once = await asked(database)
    async with database.begin(1) as conn:
        (refused,) = (await store.held(conn)).values()
        gaps = await service.look(conn, [], home.directory.all(1), now=utcnow())
        left = await store.held(conn)

    assert at_once == [], "a refusal is not asked about again at once"
    assert (refused.name, refused.error, refused.media_id) == ("", "格式不对", media_id)
    assert (gaps, left) == ([], {})


# -- by a plan ---------------------------------------------------------------------------------------------
ALWAYS = Manners(business_hours="1-7 00:00-24:00", quiet_hours="")
STEPS = "[{id: hi, message: {script: edu.price, delivery: auto}}]"


@pytest.mark.parametrize(
    ("kinds", "sent", "asked_for"),
    [({"text", "image"}, ["text", "image"], []), ({"text"}, [], ["课表.png"])],
    ids=["the channel carries it", "it does not"],
)
async def test_a_plan_sends_words_and_files_itself_or_asks_a_colleague_for_both(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    kinds: set[str],
    sent: list[str],
    asked_for: list[str],
) -> None:
    channel = carrying(KINDS=frozenset(kinds))
    installed(monkeypatch, channel)
    home = await house(database, channel)
    async with database.begin(1) as conn:
        await versions.sync(conn, {"education": [plan(STEPS)]}, now=utcnow())
        await versions.switch(conn, "edu.test", on=True, now=utcnow())
        named = await kept(conn, ("课表.png", PNG), now=utcnow())
    event = Envelope(kind="event.contact.added", direction="none", at=utcnow(), handles=(handle("anna"),))
    await home.take({"m1": [said(at=utcnow())], "e1": [event]}, lane="anna")
    while await home.pipeline.settle(1) or await home.pipeline.react(1):
        pass
    await home.worker.errands.batch(1)  # the notice begins the run
    shelf = Library([replace(script("price"), files=named)])
    means = Means(directory=home.directory, library=shelf, company="", manners=ALWAYS, drafts=None)
    async with database.begin(1) as conn:
        (run,) = await runs.page(conn, "edu.test", limit=9)
        await acting.take(conn, means, run.run_id, now=utcnow())
        await acting.take(conn, means, run.run_id, now=utcnow())
        rows = await outbox.page(conn, state="", before=None, limit=9)
        tasks = await board.of_runs(conn, [run.run_id])

    assert [r.kind for r in sorted(rows, key=lambda r: r.key)] == sent
    assert len({r.key.rpartition(":")[0] for r in rows}) == bool(sent), "one key for all of it"
    assert [one.name for t in tasks for one in service.named(t.action.get("files"))] == asked_for
