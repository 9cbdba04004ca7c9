"""`/admin/rules`: a rule of one's own is written, tried on the past, put in force and taken out."""

from __future__ import annotations

import secrets
from pathlib import Path

from tests.web.office import Office, Page, office

#: Pages are the same on both engines.
ENGINES = ["sqlite"]
RULE = {
    "title": "不许诺小马",
    "why": "公司不送小马。",
    "level": "block",
    "words": "送小马、小马一匹",
    "patterns": "",
    "unless": "",
    "rewrite": "送小马=送教材",
    "hits": "报名送小马",
    "misses": "小马过河的故事",
}


async def said(desk: Office, cid: str, text: str) -> int:
    data = {"text": text, "key": secrets.token_hex(16)}
    return (await desk.ask("POST", f"/s/c/{cid}/send", who="rep", data=data)).status


def form_of(html: str) -> dict[str, str]:
    """Code and version of the first own rule."""
    hidden = [a for tag, a in Page(html).elements if tag == "input" and a.get("type") == "hidden"]
    return {a["name"]: a["value"] for a in hidden if a["name"] in ("code", "version")}


async def test_a_rule_of_one_s_own_from_draft_to_force_and_out_again(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        await desk.hear("oa-a", "oCustomer0000000000000000001", "多少钱")
        cid = await desk.cid("oa-a")
        assert await said(desk, cid, "报名送小马一匹") == 303

        saved = await desk.ask("POST", "/admin/rules", who="admin", data={**RULE, "do": "save"})
        page = (await desk.ask("GET", "/admin/rules", who="admin")).text
        draft = form_of(page)
        tried = await desk.ask("POST", "/admin/rules", who="admin", data={**draft, "do": "try"})
        still = await said(desk, cid, "报名送小马吧")
        await desk.ask("POST", "/admin/rules", who="admin", data={**draft, "do": "enable"})
        now = await said(desk, cid, "现在报名送小马")
        tested = await desk.ask("POST", "/admin/rules", who="admin", data={"do": "test", "text": "送小马哦"})
        await desk.ask("POST", "/admin/rules", who="admin", data={**draft, "do": "drop"})

        assert saved.status == 303
        assert "过去 30 天会命中 1 条" in tried.text
        assert "小马" in tried.text
        assert (still, now) == (303, 422)
        assert "不许诺小马" in tested.text
        assert await said(desk, cid, "最后再说一次送小马") == 303


async def test_a_rule_that_does_not_do_what_it_says_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        wrong = await desk.ask(
            "POST", "/admin/rules", who="admin", data={**RULE, "hits": "别的话", "do": "save"}
        )
        hostile = await desk.ask(
            "POST", "/admin/rules", who="admin", data={**RULE, "patterns": "(a+)+$(", "do": "save"}
        )
        gone = await desk.ask(
            "POST", "/admin/rules", who="admin", data={"code": "own.x", "version": "1", "do": "enable"}
        )

        assert (wrong.status, hostile.status, gone.status) == (400, 400, 400)
        assert "应当命中" in wrong.text
        assert RULE["why"] in wrong.text
        assert (await desk.ask("GET", "/admin/rules", who="rep")).status == 403
