"""Correcting what is known of a member: by whom, what a field takes, what shows, and taking it back."""

from __future__ import annotations

import pytest

from scrm.app import TENANT
from scrm.contract import Handle
from scrm.db import utcnow
from scrm.identity import decisions
from scrm.identity.decisions import Actor
from scrm.identity.survivorship import service as survivorship
from tests.web.office import Office, Page, Reply
from tests.web.test_households import FATHER, MOTHER, home, node, openid, person, undo, wrote

#: What is behind these screens is tested on both.
ENGINES = ["sqlite"]


@pytest.fixture
async def pair(desk: Office) -> tuple[str, str]:
    """A mother and a father, both of whom `rep` looks after."""
    mother = await wrote(desk, "oa-a", MOTHER, "rep", "林女士")
    return mother, await wrote(desk, "oa-a", FATHER, "rep", "陈先生")


@pytest.fixture
async def apart(desk: Office) -> tuple[str, str]:
    """The mother is `rep`'s, the father is looked after in another team."""
    mother = await wrote(desk, "oa-a", MOTHER, "rep", "林女士")
    return mother, await wrote(desk, "oa-b", FATHER, "other", "陈先生")


async def correct(desk: Office, who: str, handle: Handle, field: str, value: str, why: str = "") -> Reply:
    data = {"member": desk.public("person", await person(desk, handle)), "field": field, "value": value}
    path = f"{await home(desk, handle)}/fields"
    return await desk.ask("POST", path, who=who, data={**data, "why": why})


async def read_home(desk: Office) -> str:
    return " ".join(
        Page((await desk.ask("GET", await home(desk, openid(MOTHER)), who="rep")).text).text.split()
    )


async def test_a_correction_shows_first_with_who_and_why_and_is_taken_back(
    desk: Office, pair: tuple[str, str]
) -> None:
    before = await read_home(desk)
    asked = {"member": desk.public("person", await person(desk, openid(MOTHER))), "field": "name"}
    form = await desk.ask("GET", f"{await home(desk, openid(MOTHER))}/fields", who="rep", params=asked)
    done = await correct(desk, "rep", openid(MOTHER), "name", " 林青霞 ", "电话 13912345678 里她自己说的")
    after = await read_home(desk)
    inbox = Page((await desk.ask("GET", f"/inbox/{pair[0]}", who="rep")).text).text
    back = await undo(desk, "rep", done.where)

    assert (form.status, "林女士" in Page(form.text).text) == (200, True)
    assert (done.status, done.where.startswith(await home(desk, openid(MOTHER)))) == (303, True)
    assert "林青霞一家" in after
    assert "林青霞 同事更正" in after
    assert "电话 139****5678 里她自己说的" in after
    assert "林女士 昵称" in after  # what the channel says stays, behind it
    assert "撤回更正" in after
    assert "林青霞" in inbox
    assert back.status == 303
    assert (await read_home(desk)) == before


@pytest.mark.usefixtures("pair")
async def test_what_a_field_cannot_be_is_said_in_the_form_with_what_was_written(desk: Office) -> None:
    for field, value, said in (
        ("phone", "139****5678", "请填完整的电话号码"),
        ("birthday", "去年春天", "生日请写成"),
        ("gender", "小猫", "性别请填男或女"),
        ("city", "  ", "内容不能为空"),
        ("shoe_size", "43", "没有这个字段"),
    ):
        answer = await correct(desk, "rep", openid(MOTHER), field, value, "她说的")
        assert (answer.status, said in Page(answer.text).text) == (400, True), field
        assert "她说的" in Page(answer.text).values("input", "value")


@pytest.mark.usefixtures("pair")
async def test_a_telephone_is_kept_whole_and_shown_masked(desk: Office) -> None:
    await correct(desk, "rep", openid(MOTHER), "phone", "139 1234 9999")

    async with desk.service.house.db.read(TENANT) as conn:
        fields = await survivorship.shown(conn, await person(desk, openid(MOTHER)))
    assert [f.shown.value for f in fields if f.name == "phone"] == ["+8613912349999"]
    assert "139****9999" in await read_home(desk)
    assert "13912349999" not in await read_home(desk)


@pytest.mark.usefixtures("apart")
async def test_of_a_family_with_two_reps_each_corrects_their_own_customer(desk: Office) -> None:
    a, b = await node(desk, openid(MOTHER)), await node(desk, openid(FATHER))
    async with desk.service.house.db.begin(TENANT) as conn:
        by = Actor(origin="admin", staff_id=None)
        await decisions.link(conn, a, b, by=by, why="夫妻", now=utcnow(), cls="same_household")

    answers = [(await correct(desk, "rep", openid(who), "city", "杭州")).status for who in (MOTHER, FATHER)]
    theirs = await correct(desk, "other", openid(FATHER), "city", "宁波")
    page = Page((await desk.ask("GET", await home(desk, openid(MOTHER)), who="rep")).text)
    stolen = await undo(desk, "rep", theirs.where)

    assert answers == [303, 403]
    assert theirs.status == 303
    assert "宁波" in page.text
    assert sum("field=city" in href for href in page.values("a", "href")) == 1
    assert stolen.status == 403
