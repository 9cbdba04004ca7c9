"""The library at work, on both engines: drafts, reviews, dates, folders, files, a shelf in memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scrm.db import Conn, Database
from scrm.errors import BadInput, Conflict, Forbidden, NotFound
from scrm.playbook.checks.values import Hit
from scrm.playbook.library import files, importing, service, store
from scrm.playbook.library.importing import Manner
from scrm.playbook.library.service import Wanted
from scrm.playbook.library.values import Editor, Reader, Version, content_of
from scrm.playbook.ranking import Moment
from scrm.playbook.scripts import Script, read_library
from scrm.playbook.service import Library
from scrm.settings import shipped
from tests.ground import NOW, script

ADMIN, OTHER_ADMIN = Editor(role="admin", staff_id=1), Editor(role="admin", staff_id=2)
LEAD = Editor(role="lead", staff_id=3, team_id=7)
REP, PEER = Editor(role="rep", staff_id=4, team_id=7), Editor(role="rep", staff_id=5, team_id=7)
WRITER = Editor(role="marketing", staff_id=6)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PRICE = script("price")


def base(*scripts: Script) -> Library:
    found = scripts or (PRICE, script("trial", triggers=["试听"], says=["能试听吗"]))
    return Library(found, trades={s.id: "education" for s in found})


def says(name: str, text: str, **more: Any) -> Script:
    return script(name, text=text, examples=[{"given": {}, "expect": text}], **more)


def silent(_text: str) -> Sequence[Hit]:
    return ()


def strict(text: str) -> Sequence[Hit]:
    at = text.find("保过")
    return [Hit(rule_id="edu.x", level="block", start=at, end=at + 2, matched="保过")] if at >= 0 else []


def wanted(text: str, code: str = PRICE.id, **more: Any) -> Wanted:
    one = says(code.partition(".")[2], text)
    return Wanted(code=code, content=content_of(one), trade="education", **more)


async def put(
    conn: Conn, shelves: Library, want: Wanted, who: Editor = ADMIN, by: Editor | None = OTHER_ADMIN
) -> Version:
    """Drafted, handed in, and let pass by somebody else."""
    one = await service.draft(conn, shelves, want, who, now=NOW)
    one = await service.submit(conn, one.code, one.version, who, scan=silent, review=True, now=NOW)
    if by is not None and one.state == "review":
        one = await service.publish(conn, one.code, one.version, by, scan=silent, review=True, now=NOW)
    return one


async def text_of(conn: Conn, shelves: Library, code: str = PRICE.id, *, now: Any = NOW) -> str:
    found = (await service.load(conn, shelves, now=now)).get(code)
    return found.text if found else ""


# -- the shelf ---------------------------------------------------------------------------------------------
async def test_a_tenant_that_changed_nothing_works_with_the_files_of_its_trades(database: Database) -> None:
    shelves = Library([PRICE, script("flat")], trades={PRICE.id: "education", "edu.flat": "housing"})

    async with database.begin(1) as conn:
        assert [s.id for s in [PRICE] if (await service.load(conn, shelves, now=NOW)).get(s.id)]
        assert await text_of(conn, shelves, "edu.flat") == ""
        await service.choose(conn, ["education", "housing"], now=NOW)
        assert await text_of(conn, shelves, "edu.flat")
        await service.choose(conn, ["housing"], now=NOW)
        assert await text_of(conn, shelves) == ""


async def test_packs_of_the_settings_are_for_tenants_that_have_chosen_none(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.begin(conn, "housing, auto", now=NOW)
        assert await service.trades(conn) == ("auto", "housing")
        await service.choose(conn, ["b2b"], now=NOW)
        await service.begin(conn, "housing", now=NOW)
        assert await service.trades(conn) == ("b2b",)
        for wrong in (["nonsense"], []):
            with pytest.raises(BadInput):
                await service.choose(conn, wrong, now=NOW)
    async with database.read(2) as conn:
        assert await service.trades(conn) == ("education",)


async def test_a_published_version_is_what_is_offered_and_said(database: Database) -> None:
    shelves = base()
    async with database.begin(1) as conn:
        made = await put(conn, shelves, wanted("贵有贵的道理"))
        library = await service.load(conn, shelves, now=NOW)

        (first, *_) = library.suggest(Moment(utterances=["太贵了"], channel="testing"))
        assert (first.script_id, first.version) == (PRICE.id, made.version)
        assert library.rendered(PRICE.id, {}).text == "贵有贵的道理"
        assert made.version == PRICE.version + 1
    async with database.read(2) as conn:
        assert await text_of(conn, shelves) == PRICE.text


async def test_the_shelf_is_made_once_and_again_after_a_change_in_another_process(database: Database) -> None:
    shelves = base()
    async with database.begin(1) as conn:
        await put(conn, shelves, wanted("一"))
    async with database.read(1) as conn:
        before = await service.load(conn, shelves, now=NOW)
        assert await service.load(conn, shelves, now=NOW) is before
    async with database.begin(1) as conn:
        await put(conn, shelves, wanted("二"))
    async with database.read(1) as conn:
        assert (await service.load(conn, shelves, now=NOW)).rendered(PRICE.id, {}).text == "二"


# -- drafts and reviews ------------------------------------------------------------------------------------
async def test_nobody_hears_of_a_draft_and_the_author_goes_on_writing_the_same_one(
    database: Database,
) -> None:
    shelves = base()
    async with database.begin(1) as conn:
        one = await service.draft(conn, shelves, wanted("一"), ADMIN, now=NOW)
        two = await service.draft(conn, shelves, wanted("二"), ADMIN, now=NOW)
        assert one.version == two.version
        assert await text_of(conn, shelves) == PRICE.text

        other = await service.draft(conn, shelves, wanted("三"), OTHER_ADMIN, now=NOW)
        assert other.version == two.version + 1


async def test_what_somebody_wrote_is_let_pass_by_somebody_else(database: Database) -> None:
    shelves = base()
    async with database.begin(1) as conn:
        one = await put(conn, shelves, wanted("一"), WRITER, None)
        assert one.state == "review"
        for who, sentence in ((WRITER, "主管"), (REP, "主管")):
            with pytest.raises(Forbidden, match=sentence):
                await service.publish(conn, one.code, one.version, who, scan=silent, review=True, now=NOW)
        mine = await put(conn, shelves, wanted("二"), ADMIN, None)
        with pytest.raises(Forbidden, match="别人审核"):
            await service.publish(conn, mine.code, mine.version, ADMIN, scan=silent, review=True, now=NOW)

        await service.publish(conn, mine.code, mine.version, LEAD, scan=silent, review=True, now=NOW)
        assert await text_of(conn, shelves) == "二"
        with pytest.raises(Conflict):
            await service.publish(conn, mine.code, mine.version, LEAD, scan=silent, review=True, now=NOW)


async def test_where_nobody_has_to_review_the_author_publishes(database: Database) -> None:
    shelves = base()
    async with database.begin(1) as conn:
        one = await service.draft(conn, shelves, wanted("一"), ADMIN, now=NOW)
        done = await service.submit(conn, one.code, one.version, ADMIN, scan=silent, review=False, now=NOW)
        assert done.state == "live"
        assert await text_of(conn, shelves) == "一"


async def test_a_refusal_gives_its_reason_and_the_author_mends_the_same_version(database: Database) -> None:
    shelves = base()
    async with database.begin(1) as conn:
        one = await put(conn, shelves, wanted("一"), WRITER, None)
        with pytest.raises(BadInput, match="为什么"):
            await service.refuse(conn, one.code, one.version, LEAD, " ", now=NOW)
        with pytest.raises(Forbidden):
            await service.refuse(conn, one.code, one.version, REP, "不好", now=NOW)
        await service.refuse(conn, one.code, one.version, LEAD, "太硬", now=NOW)
        with pytest.raises(Conflict):
            await service.publish(conn, one.code, one.version, LEAD, scan=silent, review=True, now=NOW)

        found = await service.standing(conn, shelves, one.code, WRITER, now=NOW)
        assert found.newest is not None
        assert (found.newest.state, found.newest.note) == ("refused", "太硬")
        again = await service.draft(conn, shelves, wanted("软一点"), WRITER, now=NOW)
        assert again.version == one.version


async def test_forbidden_words_are_neither_handed_in_nor_published(database: Database) -> None:
    shelves = base()
    async with database.begin(1) as conn:
        one = await service.draft(conn, shelves, wanted("我们保过"), ADMIN, now=NOW)
        with pytest.raises(BadInput, match="不能发的词"):
            await service.submit(conn, one.code, one.version, ADMIN, scan=strict, review=True, now=NOW)
        one = await service.submit(conn, one.code, one.version, ADMIN, scan=silent, review=True, now=NOW)
        with pytest.raises(BadInput, match="不能发的词"):
            await service.publish(conn, one.code, one.version, LEAD, scan=strict, review=True, now=NOW)


@pytest.mark.parametrize(
    ("text", "expect"),
    [("{{ member.phone }}", "x"), ("{% for a in 'a' %}x{% endfor %}", "x"), ("好", "不好")],
    ids=["unknown variable", "loop", "untrue example"],
)
async def test_a_text_that_no_file_could_have_is_no_draft(database: Database, text: str, expect: str) -> None:
    content = content_of(PRICE) | {"text": text, "examples": [{"given": {}, "expect": expect}]}
    async with database.begin(1) as conn:
        with pytest.raises(BadInput):
            await service.draft(conn, base(), Wanted(code=PRICE.id, content=content), ADMIN, now=NOW)
        assert await store.versions(conn, PRICE.id) == []


# -- dates -------------------------------------------------------------------------------------------------
async def test_a_campaigns_words_hold_from_their_day_until_theirs_and_then_the_old_ones_again(
    database: Database,
) -> None:
    shelves = base()
    async with database.begin(1) as conn:
        await put(conn, shelves, wanted("平时"))
        await put(conn, shelves, wanted("双十一", starts_at=NOW + DAY, expires_at=NOW + 2 * DAY))
        said = [await text_of(conn, shelves, now=NOW + n * DAY / 2) for n in range(6)]

        assert said == ["平时", "平时", "双十一", "双十一", "平时", "平时"]


async def test_a_script_of_ours_alone_is_gone_when_it_expires(database: Database) -> None:
    shelves = base()
    async with database.begin(1) as conn:
        await put(conn, shelves, wanted("限时", "edu.flash", expires_at=NOW + DAY))

        assert await text_of(conn, shelves, "edu.flash") == "限时"
        assert await text_of(conn, shelves, "edu.flash", now=NOW + DAY) == ""


@pytest.mark.parametrize(
    "dates",
    [{"expires_at": NOW - HOUR}, {"starts_at": NOW + DAY, "expires_at": NOW + HOUR}],
    ids=["over", "backwards"],
)
async def test_dates_that_make_no_sense_are_refused(database: Database, dates: dict[str, Any]) -> None:
    async with database.begin(1) as conn:
        with pytest.raises(BadInput, match="到期"):
            await service.draft(conn, base(), wanted("一", **dates), ADMIN, now=NOW)


# -- folders -----------------------------------------------------------------------------------------------
async def test_a_reps_own_script_needs_no_review_and_is_offered_to_them_alone(database: Database) -> None:
    shelves = base()
    async with database.begin(1) as conn:
        own = wanted("我自己的说法", "edu.own", folder="personal")
        assert (await put(conn, shelves, own, REP, None)).state == "live"
        library = await service.load(conn, shelves, now=NOW)

        def offered(reader: Reader | None) -> set[str]:
            moment = Moment(utterances=["太贵了"], channel="testing")
            return {s.script_id for s in library.suggest(moment, reader)}

        assert "edu.own" in offered(Reader(staff_id=4, team_id=7))
        assert "edu.own" not in offered(Reader(staff_id=5, team_id=7)) | offered(None)
        assert [s.id for s in library.find("edu.own", reader=Reader(staff_id=4))] == ["edu.own"]
        assert library.find("edu.own", reader=Reader(staff_id=5)) == ()
        with pytest.raises(NotFound):
            await service.standing(conn, shelves, "edu.own", PEER, now=NOW)
        with pytest.raises(BadInput, match="编号"):
            await service.draft(conn, shelves, replace(own), PEER, now=NOW)


async def test_a_teams_script_is_written_by_its_lead_and_offered_to_the_team(database: Database) -> None:
    shelves = base()
    async with database.begin(1) as conn:
        ours = wanted("我们组的说法", "edu.ours", folder="team")
        with pytest.raises(Forbidden):
            await service.draft(conn, shelves, ours, REP, now=NOW)
        assert (await put(conn, shelves, ours, LEAD, None)).state == "live"
        library = await service.load(conn, shelves, now=NOW)

        assert library.find("edu.ours", reader=Reader(team_id=7))
        assert not library.find("edu.ours", reader=Reader(team_id=8))
        assert library.greeting("testing", {}) is None


@pytest.mark.parametrize("who", [LEAD, REP], ids=["lead", "rep"])
async def test_the_companys_folder_is_not_everybodys(database: Database, who: Editor) -> None:
    async with database.begin(1) as conn:
        with pytest.raises(Forbidden):
            await service.draft(conn, base(), wanted("一"), who, now=NOW)
        with pytest.raises(Forbidden):
            await service.take_out(conn, base(), PRICE.id, who, now=NOW)


async def test_what_is_taken_out_is_offered_to_nobody_until_it_is_put_back(database: Database) -> None:
    shelves = base()
    async with database.begin(1) as conn:
        await put(conn, shelves, wanted("一"))
        await service.take_out(conn, shelves, PRICE.id, ADMIN, now=NOW)
        assert await text_of(conn, shelves) == ""
        await service.put_back(conn, shelves, PRICE.id, ADMIN, now=NOW)
        assert await text_of(conn, shelves) == PRICE.text


# -- files -------------------------------------------------------------------------------------------------
async def test_a_newer_file_overwrites_nothing_and_is_asked_about(database: Database) -> None:
    shelves = base()
    newer = Library([says("price", "文件新话", version=PRICE.version + 4)], trades={PRICE.id: "education"})
    how = Manner(trade="education", review=False)
    async with database.begin(1) as conn:
        await put(conn, shelves, wanted("我们的话"))
        assert await importing.news(conn, shelves, now=NOW) == ()

        assert await text_of(conn, newer) == "我们的话"
        (row,) = await importing.news(conn, newer, now=NOW)
        assert [(p.text, p.op) for p in row.pieces] == [("我们的话", "del"), ("文件新话", "add")]
        made = await importing.settle(conn, newer, PRICE.id, ADMIN, keep=False, how=how, scan=silent, now=NOW)
        assert made.version == PRICE.version + 5
        assert await text_of(conn, newer) == "文件新话"
        assert await importing.news(conn, newer, now=NOW) == ()


async def test_ours_may_be_kept_and_the_file_is_not_asked_about_again(database: Database) -> None:
    newer = base(says("price", "新", version=9))
    how = Manner(trade="education", review=False)
    async with database.begin(1) as conn:
        await put(conn, base(), wanted("我们的话"))
        await importing.settle(conn, newer, PRICE.id, ADMIN, keep=True, how=how, scan=silent, now=NOW)

        assert await text_of(conn, newer) == "我们的话"
        assert await importing.news(conn, newer, now=NOW) == ()


async def test_an_import_says_first_what_it_would_do_and_then_does_that(database: Database) -> None:
    shelves = base()
    same = PRICE
    changed = says("trial", "先听一节", triggers=["试听"])
    fresh = script("fresh")
    bad = says("bad", "保过")
    async with database.begin(1) as conn:
        await put(conn, shelves, wanted("个人的", "edu.taken", folder="personal"), REP, None)
        brought = [same, changed, fresh, bad, script("taken")]
        rows = await importing.plan(conn, shelves, brought, ADMIN, scan=strict, now=NOW)
        assert [r.change for r in rows] == ["same", "changed", "new", "word", "taken"]
        assert await text_of(conn, shelves, "edu.trial") != "先听一节"

        how = Manner(trade="education", review=False)
        made = await importing.take(conn, shelves, rows, ADMIN, how, scan=strict, now=NOW)
        assert {v.code for v in made} == {"edu.trial", "edu.fresh"}
        assert await text_of(conn, shelves, "edu.trial") == "先听一节"
        again = await importing.plan(conn, shelves, brought, ADMIN, scan=strict, now=NOW)
        assert [r.change for r in again[:3]] == ["same"] * 3


async def test_what_goes_out_comes_in_again_as_it_was(database: Database) -> None:
    shelves = base()
    async with database.begin(1) as conn:
        await put(conn, shelves, wanted("第一行\n第二行：“好”  # 不是注释"))
        out = await importing.everything(conn, shelves, now=NOW)
        text = files.written(out["education"])

        rows = await importing.plan(
            conn, shelves, files.read(text, where="x.yaml"), ADMIN, scan=silent, now=NOW
        )
        assert [r.change for r in rows] == ["same", "same"]


def test_every_shipped_script_is_written_so_that_it_reads_the_same() -> None:
    shelf = read_library(shipped("scripts_library"))

    text = files.written(shelf)

    assert files.read(text, where="all.yaml") == shelf


def test_a_zip_of_files_nobody_changed_is_those_files(tmp_path: Path) -> None:
    folder = shipped("scripts_library")
    shelf = read_library(folder, ("education",))
    changed = [replace(s, title="改过") if s.id == "edu.price-objection" else s for s in shelf]

    def names(scripts: Sequence[Script]) -> dict[str, str]:
        archive = zipfile.ZipFile(io.BytesIO(files.zipped(folder, {"education": scripts})))
        return {name: archive.read(name).decode() for name in archive.namelist()}

    same, other = names(shelf), names(changed)
    assert same == {name: (folder / name).read_text() for name in same}
    assert len(same) == 9
    assert {n for n in same if same[n] != other[n]} == {"education/objection.yaml"}
    for name, text in other.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert read_library(tmp_path) == tuple(changed)
