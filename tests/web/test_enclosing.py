"""Attachments and automatic answers on the pages: taken in, shown, sent along, refused, switched."""

from __future__ import annotations

import re
import secrets
from html import unescape
from io import BytesIO
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp import FormData

from scrm import outbox
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.playbook import store
from scrm.playbook.effect import rules as effects
from scrm.playbook.effect import service as effect
from scrm.playbook.library import service as library
from scrm.playbook.ranking import Suggestion
from scrm.playbook.service import cards
from scrm.playbook.store import Made, Offer
from scrm.timeline.store import events
from scrm.web.effects import BASE as EFFECT
from tests.playbook.enclosures import JPG, PDF, PNG
from tests.web.office import Office, Page

ANNA = "oAnna0000000000000000000000001"
CODE = "edu.picture"
SCRIPTS = "/admin/scripts"
WORDS = {
    "code": CODE, "title": "课表", "stage": "objection", "role": "any", "delivery": "confirm",
    "trade": "education", "triggers": "课表", "says": "有课表吗\n课表发我看看\n几点上课",
    "text": "这是本周课表，您看看", "what": "submit",
}  # fmt: skip


def form(*files: tuple[str, bytes], keep: tuple[str, ...] = (), **more: str) -> FormData:
    made = FormData(quote_fields=False)
    for name, value in (WORDS | more).items():
        made.add_field(name, value)
    for digest in keep:
        made.add_field("keep", digest)
    for name, content in files:
        made.add_field("attach", BytesIO(content), filename=name, content_type="application/octet-stream")
    return made


async def written(desk: Office, data: FormData, *, code: str = "") -> Any:
    return await desk.ask("POST", f"{SCRIPTS}/{code}" if code else SCRIPTS, who="admin", data=data)


async def published(desk: Office, data: FormData, *, code: str = "") -> int:
    answer = await written(desk, data, code=code)
    assert answer.where == f"{SCRIPTS}/{CODE}?saved=review", answer.text
    page = await desk.ask("GET", f"{SCRIPTS}/{CODE}", who="lead")
    number = re.findall(rf'action="{SCRIPTS}/{CODE}/versions/(\d+)"', page.text)[0]
    passed = await desk.ask(
        "POST", f"{SCRIPTS}/{CODE}/versions/{number}", who="lead", data={"what": "publish"}
    )
    assert passed.where.endswith("saved=live"), passed.text
    return int(number)


async def talking(desk: Office, said: str = "有课表吗") -> str:
    await desk.hear("oa-a", ANNA, said)
    return await desk.cid("oa-a")


async def card(desk: Office, path: str) -> str:
    """The card of our script, as the page has it."""
    page = await desk.ask("GET", path, who="rep", headers={"HX-Request": "true"})
    found = [a for a in re.findall(r"<article.*?</article>", page.text, re.DOTALL) if "课表" in a]
    assert found, page.text
    return str(found[0])


def field(html: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found, name
    return unescape(found[1])


async def offers(desk: Office, cid: str) -> list[Offer]:
    async with desk.service.house.db.read(TENANT) as conn:
        ident = desk.private("conversation", cid)
        return await store.page(conn, conversation_id=ident, before=None, limit=99)


async def sent(desk: Office, cid: str, html: str, **more: str) -> Any:
    data = {name: field(html, name) for name in ("text", "suggestion", "files", "seen")}
    return await desk.ask(
        "POST", f"/s/c/{cid}/send", who="rep",
        data={**data, "key": secrets.token_hex(12), "confirm": "1", **more},
    )  # fmt: skip


# -- the editor --------------------------------------------------------------------------------------------
async def test_files_are_taken_in_shown_kept_and_dropped_version_by_version(desk: Office) -> None:
    await published(desk, form(("课表.png", PNG), ("合同.pdf", PDF)))
    page = await desk.ask("GET", f"{SCRIPTS}/{CODE}", who="admin")
    kept = re.findall(r'name="keep" value="([0-9a-f]{32})" checked', page.text)
    hrefs = re.findall(rf'href="({SCRIPTS}/files/[^"]+)"', page.text)
    opened = await desk.ask("GET", hrefs[0], who="admin")

    await published(desk, form(("校区.jpg", JPG), keep=(kept[0],)), code=CODE)
    compared = await desk.ask("GET", f"{SCRIPTS}/{CODE}/versions", who="admin")

    assert len(kept) == 2
    assert [name for name in ("课表.png", "合同.pdf") if name in page.text] == ["课表.png", "合同.pdf"]
    assert "还没传到" in page.text
    assert opened.status == 200
    assert opened.headers["Content-Type"] == "image/png"
    assert "sandbox" in opened.headers["Content-Security-Policy"]
    text = Page(compared.text).text
    assert "合同.pdf" in text
    assert "校区.jpg" in text
    async with desk.service.house.db.read(TENANT) as conn:
        live = (await library.load(conn, desk.service.house.library, now=utcnow())).get(CODE)
    assert live is not None
    assert [one.name for one in live.files] == ["课表.png", "校区.jpg"]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([("a.html", b"<script>alert(1)</script>")], "不能发"),
        ([("a.png", b"<svg onload=alert(1)>")], "不能发"),
        ([(f"{n}.png", PNG) for n in range(5)], "最多带 4 个附件"),
        ([("a.png", PNG + b"." * 2_200_000)], "最多 2 MB"),
    ],
    ids=["html", "svg as png", "five", "large"],
)
async def test_what_may_not_go_out_is_refused_and_what_was_typed_stays(
    desk: Office, files: list[tuple[str, bytes]], why: str
) -> None:
    answer = await written(desk, form(*files))

    assert answer.status == 400
    assert why in answer.text
    assert "这是本周课表，您看看" in answer.text


async def test_the_preview_shows_what_is_kept_and_nobody_names_strangers(desk: Office) -> None:
    await published(desk, form(("课表.png", PNG)))
    page = await desk.ask("GET", f"{SCRIPTS}/{CODE}", who="admin")
    (kept,) = re.findall(r'name="keep" value="([0-9a-f]{32})" checked', page.text)
    fields = {**WORDS, "was": CODE, "keep": kept}
    shown = await desk.ask(
        "POST", f"{SCRIPTS}/preview", who="admin", data=fields, headers={"HX-Request": "true"}
    )
    strange = await desk.ask(
        "POST", f"{SCRIPTS}/preview", who="admin", data=fields | {"keep": "0" * 32},
        headers={"HX-Request": "true"},
    )  # fmt: skip

    assert "课表.png" in shown.text
    assert "课表.png" not in strange.text


# -- the card ----------------------------------------------------------------------------------------------
async def test_a_card_shows_its_files_and_sends_words_first_and_everything_once(desk: Office) -> None:
    await published(desk, form(("课表.png", PNG), ("合同.pdf", PDF)))
    cid = await talking(desk)
    html = await card(desk, f"/s/c/{cid}")
    key = secrets.token_hex(12)
    answers = [await sent(desk, cid, html, key=key) for _ in range(2)]
    async with desk.service.house.db.read(TENANT) as conn:
        rows = await outbox.page(conn, state="", before=None, limit=9)
        told = await events.by_ids(conn, [r.event_id for r in rows])
    picture = re.search(r'<img src="(/media/[^"]+)"', html)
    assert picture
    seen = await desk.ask("GET", picture[1], who="rep")

    assert "这个渠道发不了这类文件" in html, "an Official Account sends no documents"
    assert field(html, "files").count(",") == 0
    assert [a.status for a in answers] == [303, 303]
    assert sorted((r.key, r.kind) for r in rows) == [(f"{key}:0", "text"), (f"{key}:1", "image")]
    assert {e.text for e in told} == {"这是本周课表，您看看", "[图片]"}
    assert seen.status == 200


async def test_a_form_cannot_send_a_customers_own_file_or_one_that_is_not_there(desk: Office) -> None:
    await published(desk, form(("课表.png", PNG)))
    cid = await talking(desk)
    html = await card(desk, f"/s/c/{cid}")

    for named in ("x", desk.public("media", 12345)):
        answer = await sent(desk, cid, html, files=named)
        assert answer.status == 400, named

    async with desk.service.house.db.read(TENANT) as conn:
        assert await outbox.page(conn, state="", before=None, limit=9) == []


async def test_the_sheet_before_sending_carries_the_files_on(desk: Office) -> None:
    await published(desk, form(("课表.png", PNG)))
    cid = await talking(desk)
    html = await card(desk, f"/s/c/{cid}")

    answer = await sent(desk, cid, html, text="我们保证提分", confirm="")

    assert answer.status == 422
    assert field(answer.text, "files") == field(html, "files") != ""


# -- found by a rep ----------------------------------------------------------------------------------------
async def test_what_a_rep_looked_up_and_sent_counts_as_a_use_once(desk: Office) -> None:
    await published(desk, form(("课表.png", PNG)))
    cid = await talking(desk, "今天下雨了吗")
    html = await card(desk, f"/s/c/{cid}/find?q={CODE}")
    before = [o.suggestion_id for o in await offers(desk, cid)]
    key = secrets.token_hex(12)
    for _ in range(2):
        assert (await sent(desk, cid, html, key=key)).status == 303
    await desk.quiet()
    (looked_up,) = [o for o in await offers(desk, cid) if o.suggestion_id not in before and o.rank == 0]
    again = await desk.ask("GET", f"/s/c/{cid}", who="rep")
    async with desk.service.house.db.begin(TENANT) as conn:
        cells = [c for c in await effect.counted(conn, now=utcnow()) if c.script_id == CODE]
        latest = await store.latest(conn, desk.private("conversation", cid))

    assert (looked_up.script_id, looked_up.state, looked_up.distance) == (CODE, "used", 0)
    assert looked_up.staff_id == desk.staff_ids["rep"]
    assert [round(c.counts.used) for c in cells] == [1]
    assert all(o.rank for o in latest), "what was looked up does not take the place of suggestions"
    assert again.status == 200


# -- two versions ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("arm", ["a", "b"])
async def test_a_family_on_trial_gets_the_words_and_files_of_its_own_version(desk: Office, arm: str) -> None:
    first = await published(desk, form(("课表.png", PNG)))
    second = await published(desk, form(("校区.jpg", JPG), text="另一种说法：课表在这里"), code=CODE)
    cid = await talking(desk, "今天下雨了吗")
    begun = await desk.ask(
        "POST", EFFECT, who="admin", data={"script": CODE, "a": first, "b": second, "goal": "reply"}
    )
    ident = desk.private("conversation", cid)
    chosen = first if arm == "a" else second
    async with desk.service.house.db.begin(TENANT) as conn:
        ranked = [Suggestion(script_id=CODE, version=chosen, score=1.0, reason="在对比")]
        made = Made(conversation_id=ident, event_id=77, ranked=ranked, arms={CODE: arm})
        await store.save_all(conn, [made], now=utcnow())
        shown = await library_cards(desk, conn, ident)

    assert begun.status == 303
    assert shown == [
        ("这是本周课表，您看看", ["课表.png"]) if arm == "a" else ("另一种说法：课表在这里", ["校区.jpg"])
    ]


async def library_cards(desk: Office, conn: Any, ident: int) -> list[tuple[str, list[str]]]:
    from_here = await library.load(conn, desk.service.house.library, now=utcnow())
    found = await cards(conn, from_here, ident, {})
    return [(one.rendered.text, [f.name for f in one.files]) for one in found]


async def test_the_folders_version_on_trial_is_shown_though_ours_is_in_force(desk: Office) -> None:
    house = desk.service.house
    code = next(c for c in sorted(house.library.ids) if c.startswith("edu.") and _plain(desk, c))
    file = house.library.get(code)
    assert file is not None
    changed = {"title": file.title, "stage": file.stage, "text": "我们自己的说法", "says": "问一句"}
    answer = await desk.ask("POST", f"{SCRIPTS}/{code}", who="admin", data={**WORDS, **changed, "code": code})
    assert answer.where.endswith("saved=review"), answer.text
    await desk.ask(
        "POST", f"{SCRIPTS}/{code}/versions/{file.version + 1}", who="lead", data={"what": "publish"}
    )
    cid = await talking(desk, "今天下雨了吗")
    ident = desk.private("conversation", cid)
    shown = []
    async with house.db.begin(TENANT) as conn:
        for n, version in enumerate((file.version, file.version + 1)):
            ranked = [Suggestion(script_id=code, version=version, score=1.0, reason="在对比")]
            arms = {code: "ab"[n]}
            made = Made(conversation_id=ident, event_id=80 + n, ranked=ranked, arms=arms)
            await store.save_all(conn, [made], now=utcnow())
            shown += await library_cards(desk, conn, ident)

    assert [text for text, _ in shown] == [file.text, "我们自己的说法"]


def _plain(desk: Office, code: str) -> bool:
    one = desk.service.house.library.get(code)
    return one is not None and "{" not in one.text and one.delivery == "confirm"


async def test_the_arm_of_a_family_never_changes_and_both_are_drawn() -> None:
    arms = [effects.arm_of(7, home) for home in range(200)]

    assert arms == [effects.arm_of(7, home) for home in range(200)]
    assert 60 < arms.count("a") < 140


# -- by itself ---------------------------------------------------------------------------------------------
async def test_the_page_says_what_goes_out_by_itself_where_and_why(desk: Office) -> None:
    page = await desk.ask("GET", f"{SCRIPTS}/auto", who="lead")
    text = Page(page.text).text

    assert page.status == 200
    for words in ("首次回复", "下班时段回复", "常见问题", "按配置文件", "还没有自己发出的话"):
        assert words in text, words
    assert 'name="to"' not in page.text, "a lead looks, an admin switches"


async def test_a_switch_is_written_down_and_works_at_once(desk: Office) -> None:
    await published(desk, form(delivery="auto", stage="first-contact"))

    async def switch(to: str) -> Any:
        data = {"account": "oa-a", "kind": "first", "to": to}
        return await desk.ask("POST", f"{SCRIPTS}/auto", who="admin", data=data)

    assert (await switch("on")).status == 303
    cid = await talking(desk)
    await desk.quiet()
    page = await desk.ask("GET", f"{SCRIPTS}/auto", who="admin")
    gone = [o for o in await offers(desk, cid) if o.state != "shown"]
    async with desk.service.house.db.read(TENANT) as conn:
        trail = await conn.rows(
            sa.text("SELECT action, subject FROM audit_entry WHERE action LIKE 'answers%'")
        )

    assert [(o.script_id, o.staff_id) for o in gone] == [(CODE, None)]
    assert "这是本周课表，您看看" in Page(page.text).text
    assert "客户第一次来问，还没有同事回复过。" in Page(page.text).text
    assert [tuple(row) for row in trail] == [("answers.on", "account:oa-a")]
    assert (await switch("usual")).status == 303
    assert 'value="usual"' not in (await desk.ask("GET", f"{SCRIPTS}/auto", who="admin")).text


@pytest.mark.parametrize("wrong", [{"account": "nobody"}, {"kind": "always"}, {"to": "maybe"}])
async def test_a_switch_that_is_not_there_is_refused(desk: Office, wrong: dict[str, str]) -> None:
    data = {"account": "oa-a", "kind": "first", "to": "on"} | wrong

    assert (await desk.ask("POST", f"{SCRIPTS}/auto", who="admin", data=data)).status == 400
    assert (await desk.ask("POST", f"{SCRIPTS}/auto", who="lead", data=data)).status == 403
