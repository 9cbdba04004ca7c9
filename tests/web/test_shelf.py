"""The library's pages as people use them: written, reviewed, found, moved; hostile words stay words."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from scrm.app import TENANT
from scrm.contract import Handle
from scrm.db import utcnow
from scrm.identity.store import nodes
from scrm.playbook.library import service
from scrm.playbook.scripts import read_library
from scrm.staff.rules import Scope
from scrm.timeline.store import conversations
from tests.playbook.test_templates import HOSTILE
from tests.web.hostile import VECTORS
from tests.web.office import Office, Page, message, office

pytestmark = pytest.mark.asyncio(loop_scope="module")
#: What is behind the doors is tested on both, in tests/playbook/library.
ENGINES = ["sqlite"]

PRICE = "edu.price-objection"
FORM = {
    "title": "觉得贵", "stage": "objection", "role": "any", "delivery": "confirm", "trade": "education",
    "triggers": "太贵、贵了", "says": "太贵了\n能便宜点吗",
}  # fmt: skip
CUSTOMER = "oCustomerOfShelf000000000001"
EVERYTHING = Scope(everything=True)
HX = {"HX-Request": "true"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    async with office(tmp_path_factory.mktemp("shelf")) as made:
        await made.hear("oa-a", CUSTOMER, "你们的课太贵了")
        yield made


async def write(
    desk: Office,
    text: str,
    *,
    code: str = PRICE,
    who: str = "admin",
    base: str = "/admin/scripts",
    **more: Any,
) -> Any:
    form = FORM | {"text": text, "code": code, "what": "submit"} | more
    path = base if more.pop("new", None) else f"{base}/{code}"
    return await desk.ask("POST", path, who=who, data=form)


async def published(desk: Office, text: str, code: str = PRICE, **more: Any) -> None:
    """Written by an admin, let pass by a lead."""
    answer = await write(desk, text, code=code, **more)
    assert (answer.status, answer.where) == (303, f"/admin/scripts/{code}?saved=review"), answer.text
    page = await desk.ask("GET", f"/admin/scripts/{code}", who="lead")
    number = re.findall(rf'action="/admin/scripts/{code}/versions/(\d+)"', page.text)[0]
    answer = await desk.ask(
        "POST", f"/admin/scripts/{code}/versions/{number}", who="lead", data={"what": "publish"}
    )
    assert answer.where.endswith("saved=live"), answer.text


async def said(desk: Office, code: str = PRICE) -> str:
    house = desk.service.house
    async with house.db.read(TENANT) as conn:
        found = (await service.load(conn, house.library, now=utcnow())).get(code)
    return found.text if found else ""


async def found(desk: Office, q: str, *, who: str = "rep") -> list[str]:
    """Titles of the cards a search brings."""
    cid = await desk.cid("oa-a")
    answer = await desk.ask("GET", f"/s/c/{cid}/find", who=who, params={"q": q}, headers=HX)
    assert answer.status == 200
    return [unescape(t) for t in re.findall(r'-h">([^<]*)</h3>', answer.text)]


# -- writing -----------------------------------------------------------------------------------------------
async def test_what_an_admin_writes_and_a_lead_lets_pass_is_suggested_and_found(desk: Office) -> None:
    await published(desk, "{{ member.name|default('您好') }}，咱们算一笔账")

    assert await said(desk) == "{{ member.name|default('您好') }}，咱们算一笔账"
    await desk.hear("oa-a", CUSTOMER, "还是太贵了")
    cid = await desk.cid("oa-a")
    assert "咱们算一笔账" in (await desk.ask("GET", f"/s/c/{cid}", who="rep")).text
    for q in ("觉得贵", "juedegui", "jdg", PRICE):
        assert (await found(desk, q))[0].endswith("觉得贵"), q


async def test_an_author_cannot_publish_their_own_and_reads_why(desk: Office) -> None:
    await write(desk, "自己写的")
    page = await desk.ask("GET", f"/admin/scripts/{PRICE}", who="admin")

    assert "自己写的要请别人审核" in page.text
    number = re.findall(rf"/admin/scripts/{PRICE}/versions/(\d+)", page.text)[0]
    path = f"/admin/scripts/{PRICE}/versions/{number}"
    assert (await desk.ask("POST", path, who="admin", data={"what": "publish"})).status == 403
    assert (await desk.ask("POST", path, who="lead", data={"what": "refuse"})).status == 400
    back = await desk.ask("POST", path, who="lead", data={"what": "refuse", "why": "太硬"})
    assert back.where.endswith("saved=refused")
    assert "太硬" in (await desk.ask("GET", f"/admin/scripts/{PRICE}", who="admin")).text


async def test_a_fault_keeps_what_was_typed_and_says_what_is_wrong(desk: Office) -> None:
    answer = await write(desk, "{{ member.phone }}您好", title="没写完")

    assert answer.status == 400
    page = Page(answer.text)
    assert "没有变量 member.phone" in page.text
    assert "{{ member.phone }}您好" in page.text
    assert "没写完" in page.values("input", "value")


async def test_forbidden_words_are_shown_in_the_preview_and_refused_when_handed_in(desk: Office) -> None:
    form = FORM | {"text": "我们保证提分", "was": PRICE, "code": PRICE}

    tried = await desk.ask("POST", "/admin/scripts/preview", who="admin", data=form, headers=HX)
    assert "不能发：保证提分" in Page(tried.text).text
    assert (await write(desk, "我们保证提分")).status == 400


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ("whole", "子涵妈妈，子涵"),
        ("new", "子涵妈妈，【孩子称呼】"),
        ("nobody", "【客户称呼】，【孩子称呼】"),
        ("?", "子涵妈妈，子涵"),
    ],
)
async def test_the_preview_is_filled_for_the_family_that_was_chosen(
    desk: Office, sample: str, words: str
) -> None:
    form = FORM | {"text": "{{ member.name }}，{{ child.name }}", "sample": sample}

    tried = await desk.ask("POST", "/admin/scripts/preview", who="admin", data=form, headers=HX)

    assert words in Page(tried.text).text


async def test_without_scripts_the_preview_is_the_whole_page_with_everything_typed(desk: Office) -> None:
    form = FORM | {"text": "先看看{{ child.name }}", "was": PRICE, "code": PRICE}

    tried = await desk.ask("POST", "/admin/scripts/preview", who="admin", data=form)

    assert "先看看子涵" in Page(tried.text).text
    assert "先看看{{ child.name }}" in Page(tried.text).text


async def test_two_versions_stand_side_by_side_by_words(desk: Office) -> None:
    await published(desk, "这个课程很划算", "edu.discount")
    await published(desk, "这个价格很划算", "edu.discount")

    page = await desk.ask("GET", "/admin/scripts/edu.discount/versions", who="lead")

    assert re.findall(r"<(del|ins)>([^<]+)<", page.text) == [("del", "课程"), ("ins", "价格")]


async def test_what_is_taken_out_is_found_no_more_until_it_is_put_back(desk: Office) -> None:
    code, title = "edu.refund", "问退费"
    before = await found(desk, code)
    assert before
    await desk.ask("POST", f"/admin/scripts/{code}", who="admin", data={"what": "out"})
    assert await found(desk, code) == [], title
    await desk.ask("POST", f"/admin/scripts/{code}", who="admin", data={"what": "back"})
    assert await found(desk, code) == before


# -- folders -----------------------------------------------------------------------------------------------
async def test_a_reps_own_script_is_theirs_at_once_and_nobody_elses(desk: Office) -> None:
    mine = {"who": "rep", "base": "/s/me/scripts", "code": "my.words", "new": "1", "title": "我的开场"}

    answer = await write(desk, "我平时这么说", **mine)

    assert answer.where == "/s/me/scripts/my.words?saved=live"
    assert (await found(desk, "wdkc"))[0].endswith("我的开场")
    assert await found(desk, "我的开场", who="lead") == []
    assert "我的开场" in (await desk.ask("GET", "/s/me/scripts", who="rep")).text
    for who, base in (("peer", "/s/me/scripts"), ("lead", "/admin/scripts"), ("admin", "/admin/scripts")):
        assert (await desk.ask("GET", f"{base}/my.words", who=who)).status == 404, who


async def test_a_rep_changes_no_script_of_the_company(desk: Office) -> None:
    before = await said(desk)

    answer = await write(desk, "改成我的", who="rep", base="/s/me/scripts")

    assert answer.status in (400, 403)
    assert await said(desk) == before


# -- in and out --------------------------------------------------------------------------------------------
async def test_an_import_is_shown_before_it_is_done(desk: Office) -> None:
    text = (
        "- id: edu.from-file\n  version: 1\n  title: 从文件来\n  stage: needs\n  role: any\n"
        "  delivery: confirm\n  triggers: [导入]\n  text: 您好\n  examples: [{given: {}, expect: 您好}]\n"
    )
    form = {"text": text, "trade": "education"}

    asked = await desk.ask("POST", "/admin/scripts/import", who="admin", data=form)
    assert "会导入 1 条" in asked.text
    assert (await desk.ask("GET", "/admin/scripts/edu.from-file", who="admin")).status == 404
    done = await desk.ask("POST", "/admin/scripts/import", who="admin", data=form | {"sure": "1"})
    assert done.where == "/admin/scripts?saved=taken"
    assert "从文件来" in (await desk.ask("GET", "/admin/scripts", who="lead")).text
    for wrong in ("", "- id: [", "- id: edu.x\n", "x" * 9000):
        answer = await desk.ask("POST", "/admin/scripts/import", who="admin", data=form | {"text": wrong})
        assert answer.status == 400, wrong[:20]


async def test_the_export_is_a_library_of_its_own(desk: Office, tmp_path: Path) -> None:
    url, cookie = f"{desk.url}/admin/scripts/export", {"Cookie": f"scrm={desk.sessions['admin']}"}
    async with desk.http.get(url, headers=cookie) as answer:
        raw = await answer.read()

    zipfile.ZipFile(io.BytesIO(raw)).extractall(tmp_path)
    texts = {s.id: s.text for s in read_library(tmp_path)}
    assert texts[PRICE] == await said(desk)
    assert len(texts) > 90


async def test_the_trades_of_a_company_decide_what_is_found(desk: Office) -> None:
    choose = "/admin/scripts/packs"
    assert (await desk.ask("POST", choose, who="admin", data={})).status == 400
    assert not any("户型" in t for t in await found(desk, "户型"))
    await desk.ask("POST", choose, who="admin", data=[("trade", "education"), ("trade", "housing")])
    assert any("户型" in t for t in await found(desk, "户型"))
    await desk.ask("POST", choose, who="admin", data={"trade": "education"})
    assert not any("户型" in t for t in await found(desk, "户型"))


# -- the API -----------------------------------------------------------------------------------------------
async def test_a_program_drafts_and_a_person_publishes(desk: Office) -> None:
    content = {
        "title": "接口写的", "stage": "needs", "role": "any", "delivery": "confirm", "triggers": ["接口"],
        "text": "您好", "examples": [{"given": {}, "expect": "您好"}],
    }  # fmt: skip
    body = {"code": "edu.by-api", "content": content, "trade": "education", "submit": True}

    made = await desk.api("POST", "/scripts", token="machine-admin", json=body)
    assert (made.status, made.json()["state"]) == (201, "review")
    push = {"code": "edu.by-api", "version": made.json()["version"]}
    own = await desk.api("POST", "/scripts/publish", token="machine-admin", json=push)
    assert own.status == 403
    assert (await desk.api("POST", "/scripts/publish", token="admin", json=push)).json()["state"] == "live"
    one = (await desk.api("GET", "/scripts/edu.by-api", token="rep")).json()
    assert (one["current"], one["file"], one["versions"][0]["source"]) == (push["version"], None, "api")
    sought = (await desk.api("GET", "/scripts?q=jkxd", token="rep")).json()["items"]
    assert [s["code"] for s in sought] == ["edu.by-api"]


async def test_the_list_of_scripts_is_paged_by_code_and_complete(desk: Office) -> None:
    codes: list[str] = []
    cursor = ""
    while True:
        tail = f"&cursor={cursor}" if cursor else ""
        page = (await desk.api("GET", f"/scripts?limit=40{tail}", token="machine-admin")).json()
        codes += [s["code"] for s in page["items"]]
        if not (cursor := page["next_cursor"] or ""):
            break

    assert codes == sorted(set(codes))
    assert len(codes) > 100
    assert PRICE in codes


# -- hostile -----------------------------------------------------------------------------------------------
#: Elements that no page of ours has.
STRANGE = {
    "iframe",
    "object",
    "embed",
    "base",
    "style",
    "math",
    "marquee",
    "x",
    "template",
    "noscript",
    "animate",
}
RUNS = re.compile(r"(javascript|data):", re.IGNORECASE)


def inert(html: str) -> None:
    """Nothing in the page that we did not write: no script, handler, or address that runs one."""
    for tag, attrs in Page(html).elements:
        here = (tag, attrs)
        assert tag not in STRANGE or (tag == "template" and "data-pending" in attrs), here
        assert not any(name.startswith(("on", "hx-on", "data-hx-on", "style")) for name in attrs), here
        for name in ("href", "src", "action", "formaction", "xlink:href", "data"):
            assert not RUNS.match(re.sub(r"\s", "", attrs.get(name, ""))), here
            assert not attrs.get(name, "").startswith("//"), here
        assert (
            tag != "script" or attrs.get("type") == "application/json" or "/static/" in attrs.get("src", "")
        ), here
        assert tag not in ("img", "link", "video", "audio") or "/static/" in attrs.get("href", ""), here
        assert tag != "meta" or "http-equiv" not in attrs, here


async def test_the_check_itself_sees_a_script_that_runs() -> None:
    for vector in VECTORS[:-2]:  # those two are for template engines that are not ours
        with pytest.raises(AssertionError):
            inert(f"<p title=\"{vector}\" class='{vector}'>{vector}</p>")


assert len(VECTORS) == 60


async def test_sixty_vectors_in_scripts_stay_words_wherever_they_are_shown(desk: Office) -> None:
    assert len(VECTORS) == 60
    own, cid = {"who": "rep", "base": "/s/me/scripts"}, await desk.cid("oa-a")
    for n, vector in enumerate(VECTORS):
        more = {"title": vector[:100], "triggers": vector, "says": vector, "note": vector, "what": "save"}
        answer = await write(desk, vector.replace("{{", "{ {"), code=f"my.v{n}", new="1", **own, **more)
        assert answer.status == 303, vector
        inert((await desk.ask("GET", f"/s/c/{cid}/find", who="rep", params={"q": vector}, headers=HX)).text)
    every = "\n".join(VECTORS).replace("{{", "{ {")[:3900]
    form = FORM | {"text": every, "says": every, "note": every, "examples": every, "code": "my.all"}
    for headers in (HX, {}):
        tried = await desk.ask("POST", "/s/me/scripts/preview", who="rep", data=form, headers=headers)
        assert "alert(1)" in tried.text
        inert(tried.text)
    assert (await write(desk, every, code="my.all", new="1", **own)).status in (303, 400)
    for path in ("/s/me/scripts", "/s/me/scripts/my.v0", "/s/me/scripts?q=alert"):
        page = await desk.ask("GET", path, who="rep")
        assert "alert(1)" in page.text
        inert(page.text)


async def test_sixty_vectors_as_a_nickname_and_as_a_message_stay_words(desk: Office) -> None:
    await published(desk, "{{ member.name }}，您好", "edu.price-compare")
    for n, vector in enumerate(VECTORS):
        await desk.callback("oa-a", message(f"oHostileCustomer{n:012}", "text", Content=vector))
    await desk.quiet()
    house = desk.service.house
    async with house.db.begin(TENANT) as conn:
        talks = await conversations.queue(conn, EVERYTHING, "all", now=utcnow(), limit=200)
        theirs = [t for t, _ in talks if t.last_text in VECTORS]
        named = {
            t.node_id: (utcnow(), Handle(kind="x", scope="x", value="x", name=t.last_text)) for t in theirs
        }
        await nodes.set_names(conn, named)
    assert len(theirs) == len(VECTORS)
    for n, talk in enumerate(theirs):
        here = f"/s/c/{desk.public('conversation', talk.conversation_id)}"
        for path in (f"{here}?tab=timeline", *([f"{here}/find?q=edu.price-compare"] if n % 6 == 0 else [])):
            answer = await desk.ask("GET", path, who="rep")
            assert answer.status == 200, talk.last_text
            inert(answer.text)
    inert((await desk.ask("GET", "/inbox", who="rep")).text)


@pytest.mark.parametrize("source", [*HOSTILE.values()], ids=[*HOSTILE])
async def test_a_hostile_template_is_refused_by_the_editor_with_a_sentence(desk: Office, source: str) -> None:
    answer = await write(
        desk, source, who="rep", base="/s/me/scripts", code="my.hostile", new="1", what="save"
    )

    assert answer.status == 400
    assert "话术" in Page(answer.text).text
    inert(answer.text)
    assert (await desk.ask("GET", "/s/me/scripts/my.hostile", who="rep")).status == 404
