"""Before and after sending: nobody gets around the check, a promise to one of a family binds us to all."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
import pytest_asyncio

from scrm.app import TENANT
from scrm.contract import Handle, Link
from scrm.db import utcnow
from scrm.identity import service as identity
from scrm.identity.service import Sighting
from scrm.playbook.checks.store import clearances, findings
from scrm.playbook.promises import store as promises
from scrm.seal import new_id
from scrm.timeline.store import conversations
from tests.web.office import APP_ID, Office, Page, Reply, office

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = SimpleNamespace(n=0)
MOTHER, FATHER = "oMother", "oFather"
PROMISE = "年课给您 8.5 折，本周日前有效"
WORSE = "年课现在 9 折"
FORBIDDEN = "我们保证提分，您放心"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def building(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    """What is behind these screens is tested on both engines."""
    async with office(tmp_path_factory.mktemp("office")) as made:
        yield made


@pytest.fixture
def desk(building: Office) -> Office:
    HERE.n += 1
    return building


def openid(who: str) -> Handle:
    return Handle(kind="wechat_openid", scope=APP_ID, value=f"{who}{HERE.n:020}")


async def writes(desk: Office, slug: str, who: str, text: str = "你好，多少钱？") -> str:
    await desk.hear(slug, openid(who).value, text)
    async with desk.service.house.db.read(TENANT) as conn:
        node = await identity.find(conn, openid(who))
        (talk,) = await conversations.of_nodes(conn, [node or 0])
    return desk.public("conversation", talk.conversation_id)


async def family(desk: Office, *who: str) -> None:
    first, *others = [openid(w) for w in who]
    links = [Link(a=first, b=other, rule="order.payer", kind="same_household") for other in others]
    async with desk.service.house.db.begin(TENANT) as conn:
        one = Sighting(
            event_id=new_id(), at=utcnow(), key=f"k{new_id()}", handles=(first, *others), links=links
        )
        await identity.resolve(conn, [one], utcnow())


async def say(desk: Office, who: str, cid: str, text: str, **form: str) -> Reply:
    data = {"text": text, "key": secrets.token_hex(16), **form}
    answer = await desk.ask("POST", f"/s/c/{cid}/send", who=who, data=data, headers={"HX-Request": "true"})
    await desk.quiet()
    return answer


def token_of(answer: Reply) -> str:
    return next(v["data-token"] for t, v in Page(answer.text).elements if "data-check" in v)


async def promised(desk: Office) -> tuple[str, str]:
    """The mother was promised 8.5 折 by team B; the father asks team A. Their conversations."""
    mother = await writes(desk, "oa-b", MOTHER)
    father = await writes(desk, "oa-a", FATHER)
    await family(desk, MOTHER, FATHER)
    assert (await say(desk, "other", mother, PROMISE)).status == 200
    return mother, father


async def test_what_may_not_be_said_is_refused_whoever_asks(desk: Office) -> None:
    cid = await writes(desk, "oa-a", FATHER)

    by_page = await say(desk, "rep", cid, FORBIDDEN)
    crafted = await say(desk, "rep", cid, FORBIDDEN, confirm="1", verdict="ok.ffffffff.AAAA")
    by_api = await desk.api(
        "POST",
        "/pushes",
        token="rep",
        json={"conversation_id": cid, "text": FORBIDDEN, "confirm": True},
        headers={"Idempotency-Key": secrets.token_hex(8)},
    )

    assert (by_page.status, crafted.status, by_api.status) == (422, 422, 422)
    assert "edu.guarantee" in by_page.text
    assert "edu.guarantee" in by_api.json()["detail"]
    pushes = (await desk.api("GET", "/pushes", token="rep")).json()["items"]
    assert all(p["conversation_id"] != cid for p in pushes)


async def test_what_is_fine_goes_out_at_once(desk: Office) -> None:
    cid = await writes(desk, "oa-a", FATHER)

    assert (await say(desk, "rep", cid, "好的，我把课表发您看一下")).status == 200


async def test_a_warning_is_read_first_and_then_the_words_go_out(desk: Office) -> None:
    cid = await writes(desk, "oa-a", FATHER)
    text = "这是最专业的老师"

    first = await say(desk, "rep", cid, text)
    token = token_of(first)
    others = await say(desk, "rep", cid, text + "！", verdict=token)
    peer = await say(desk, "peer", cid, text, verdict=token)
    then = await say(desk, "rep", cid, text, verdict=token)

    assert (first.status, others.status, peer.status, then.status) == (422, 422, 422, 200)
    assert "ad.superlative" in first.text


async def test_a_promise_to_the_mother_is_a_red_card_at_the_father_s(desk: Office) -> None:
    _, father = await promised(desk)

    page = (await desk.ask("GET", f"/s/c/{father}", who="rep")).text

    assert 'id="conflict"' in page
    assert "8.5 折" in page
    assert "员工other" in page


async def test_less_than_promised_is_stopped_and_put_right(desk: Office) -> None:
    _, father = await promised(desk)

    stopped = await say(desk, "rep", father, WORSE)
    better = next(v for t, v in Page(stopped.text).elements if "data-rewrite" in v)
    sent = await say(desk, "rep", father, better["data-rewrite"], verdict=better["data-token"])

    assert stopped.status == 422
    assert "promise.worse" in stopped.text
    assert better["data-rewrite"] == "年课现在 8.5 折"
    assert sent.status == 200


async def test_quoting_the_promise_fills_the_box_and_passes(desk: Office) -> None:
    _, father = await promised(desk)
    page = (await desk.ask("GET", f"/s/c/{father}", who="rep")).text
    link = next(v for t, v in Page(page).elements if "data-quote" in v)

    plain = await desk.ask("GET", link["href"], who="rep")
    sent = await say(desk, "rep", father, link["data-quote"])

    assert link["data-quote"] in Page(plain.text).text
    assert "8.5 折" in link["data-quote"]
    assert sent.status == 200


async def test_a_promise_between_the_look_and_the_tap_spoils_the_verdict(desk: Office) -> None:
    mother, father = await writes(desk, "oa-b", MOTHER), await writes(desk, "oa-a", FATHER)
    await family(desk, MOTHER, FATHER)
    text = "这是最专业的老师"
    token = token_of(await say(desk, "rep", father, text))
    await say(desk, "other", mother, PROMISE)

    assert (await say(desk, "rep", father, text, verdict=token)).status == 422


async def test_strangers_learn_nothing_of_each_other_s_promises(desk: Office) -> None:
    mother, father = await writes(desk, "oa-b", MOTHER), await writes(desk, "oa-a", FATHER)
    await say(desk, "other", mother, PROMISE)

    page = (await desk.ask("GET", f"/s/c/{father}", who="rep")).text
    sent = await say(desk, "rep", father, WORSE)

    assert 'id="conflict"' not in page
    assert sent.status == 200


async def test_a_family_found_after_the_words_raises_the_card_too(desk: Office) -> None:
    mother, father = await writes(desk, "oa-b", MOTHER), await writes(desk, "oa-a", FATHER)
    await say(desk, "other", mother, PROMISE)
    await say(desk, "rep", father, WORSE)
    before = (await desk.ask("GET", f"/s/c/{father}", who="rep")).text
    await family(desk, MOTHER, FATHER)
    after = (await desk.ask("GET", f"/s/c/{father}", who="rep")).text

    assert 'id="conflict"' not in before
    assert 'data-conflict="bad"' in after
    assert "9 折" in after


async def test_a_send_by_hand_that_breaks_a_promise_is_found_afterwards(desk: Office) -> None:
    _, father = await promised(desk)
    data = {"text": WORSE, "key": secrets.token_hex(16), "outcome": "ok"}
    sent = await desk.ask("POST", f"/s/c/{father}/sent", who="rep", data=data, headers={"HX-Request": "true"})
    await desk.quiet()

    async with desk.service.house.db.read(TENANT) as conn:
        node = await identity.find(conn, openid(FATHER))
        found = await findings.of_nodes(conn, [node or 0])
    assert sent.status == 200
    assert [(f.kind, f.rule, f.staff_id) for f in found] == [
        ("promise", "promise.worse", desk.staff_ids["rep"])
    ]
    page = (await desk.ask("GET", f"/s/c/{father}", who="rep")).text
    assert 'data-conflict="bad"' in page


async def test_the_words_are_shown_to_whom_the_family_is_shown_and_to_nobody_else(desk: Office) -> None:
    mother, father = await promised(desk)
    page = (await desk.ask("GET", f"/s/c/{father}", who="rep")).text
    link = re.search(r'href="(/s/c/[^"]+/promises/[^"]+)"', page)
    assert link is not None

    family_s = await desk.ask("GET", link[1], who="rep")
    stranger = await desk.ask("GET", link[1], who="admin")
    lonely = await writes(desk, "oa-a", "oLonely")
    elsewhere = await desk.ask("GET", link[1].replace(father, lonely), who="rep")

    assert PROMISE in family_s.text
    assert (stranger.status, elsewhere.status) == (403, 404)
    assert mother


async def test_a_leader_lets_exactly_these_words_pass(desk: Office) -> None:
    cid = await writes(desk, "oa-a", FATHER)
    asked = await desk.ask(
        "POST", f"/s/c/{cid}/clearance", who="rep", data={"text": FORBIDDEN, "why": "客户要看协议原文"}
    )
    async with desk.service.house.db.read(TENANT) as conn:
        (one,) = await clearances.page(conn, team_ids=None, state="asked", before=None, limit=5)
    public = desk.public("clearance", one.clearance_id)
    page = (await desk.ask("GET", "/lead/alerts", who="lead")).text
    by_rep = await desk.ask("POST", f"/lead/alerts/{public}", who="rep", data={"do": "grant", "note": "可以"})
    empty = await desk.ask("POST", f"/lead/alerts/{public}", who="lead", data={"do": "grant", "note": " "})
    granted = await desk.ask(
        "POST", f"/lead/alerts/{public}", who="lead", data={"do": "grant", "note": "协议原文可以发"}
    )
    again = await desk.ask(
        "POST", f"/lead/alerts/{public}", who="lead", data={"do": "refuse", "note": "不行"}
    )

    assert asked.status == 303
    assert FORBIDDEN in page
    assert (by_rep.status, empty.status, granted.status, again.status) == (403, 400, 303, 409)
    assert (await say(desk, "rep", cid, FORBIDDEN)).status == 200
    assert (await say(desk, "rep", cid, FORBIDDEN + "啊")).status == 422


async def test_findings_are_the_team_s_own_and_are_closed_with_a_sentence(desk: Office) -> None:
    _, father = await promised(desk)
    data = {"text": WORSE, "key": secrets.token_hex(16), "outcome": "ok"}
    await desk.ask("POST", f"/s/c/{father}/sent", who="rep", data=data)
    await desk.quiet()
    async with desk.service.house.db.read(TENANT) as conn:
        node = await identity.find(conn, openid(FATHER))
        (one,) = await findings.of_nodes(conn, [node or 0])
    public = desk.public("finding", one.finding_id)

    page = (await desk.ask("GET", "/lead/alerts?tab=findings", who="lead")).text
    closed = await desk.ask(
        "POST", f"/lead/alerts/{public}", who="lead", data={"do": "valid", "note": "已补差价"}
    )
    api = (await desk.api("GET", "/findings", token="lead")).json()["items"]

    assert "价格口径冲突" in page
    assert closed.status == 303
    assert next(f for f in api if f["id"] == public)["state"] == "closed"


async def test_a_leader_takes_a_promise_back_and_the_card_goes(desk: Office) -> None:
    mother, father = await writes(desk, "oa-b", MOTHER), await writes(desk, "oa-a", FATHER)
    await family(desk, MOTHER, FATHER)
    await say(desk, "rep", father, PROMISE)
    items = (await desk.api("GET", "/promises", token="machine-admin")).json()["items"]
    ident = items[0]["id"]
    before = (await desk.ask("GET", f"/s/c/{mother}", who="other")).text
    by_rep = await desk.ask("POST", f"/lead/promises/{ident}", who="rep", data={"note": "报错了"})
    done = await desk.ask("POST", f"/lead/promises/{ident}", who="lead", data={"note": "报错价，已说明"})

    after = (await desk.ask("GET", f"/s/c/{mother}", who="other")).text
    assert (by_rep.status, done.status) == (403, 303)
    assert 'id="conflict"' in before
    assert 'id="conflict"' not in after


async def test_another_team_s_leader_does_not_take_back_what_ours_promised(desk: Office) -> None:
    await promised(desk)
    ident = (await desk.api("GET", "/promises", token="machine-admin")).json()["items"][0]["id"]

    answer = await desk.ask("POST", f"/lead/promises/{ident}", who="lead", data={"note": "不认"})

    assert answer.status == 404


async def test_the_api_checks_a_text_and_its_token_lets_it_pass(desk: Office) -> None:
    _, father = await promised(desk)

    async def verdict(text: str) -> dict[str, object]:
        body = {"conversation_id": father, "text": text}
        return dict((await desk.api("POST", "/checks", token="rep", json=body)).json())

    worse, warned = await verdict(WORSE), await verdict("这是最专业的老师")
    sent = await desk.api(
        "POST",
        "/pushes",
        token="rep",
        json={"conversation_id": father, "text": "这是最专业的老师", "verdict": warned["token"]},
        headers={"Idempotency-Key": secrets.token_hex(8)},
    )

    assert (worse["level"], worse["rewrite"], worse["token"]) == ("block", "年课现在 8.5 折", "")
    assert warned["level"] == "warn"
    assert sent.status == 201


async def test_a_placeholder_never_reaches_a_customer(desk: Office) -> None:
    cid = await writes(desk, "oa-a", FATHER)

    answer = await say(desk, "rep", cid, "您好，【孩子称呼】的课表发您")

    assert answer.status == 422
    assert "variables" in answer.text


async def test_without_scripts_the_check_is_a_page(desk: Office) -> None:
    _, father = await promised(desk)

    answer = await desk.ask(
        "POST", f"/s/c/{father}/send", who="rep", data={"text": WORSE, "key": secrets.token_hex(16)}
    )

    assert answer.status == 422
    forms = [v["action"] for t, v in Page(answer.text).elements if t == "form" and "action" in v]
    assert forms.count(f"/s/c/{father}/send") == 2
    assert f"/s/c/{father}/clearance" in forms


async def test_the_ledger_knows_who_promised_what_where(desk: Office) -> None:
    await promised(desk)

    async with desk.service.house.db.read(TENANT) as conn:
        node = await identity.find(conn, openid(MOTHER))
        (row,) = await promises.of_nodes(conn, [node or 0])

    assert (row.share, row.staff_id, row.source) == (8500, desk.staff_ids["other"], "message")
    assert row.until_at is not None


async def test_leave_from_before_covers_no_promise_made_since(desk: Office) -> None:
    mother, father = await writes(desk, "oa-b", MOTHER), await writes(desk, "oa-a", FATHER)
    await family(desk, MOTHER, FATHER)
    text = f"{FORBIDDEN}，年课 9 折"
    await desk.ask("POST", f"/s/c/{father}/clearance", who="rep", data={"text": text, "why": "活动原文"})
    async with desk.service.house.db.read(TENANT) as conn:
        (one,) = await clearances.page(conn, team_ids=None, state="asked", before=None, limit=5)
    public = desk.public("clearance", one.clearance_id)
    granted = await desk.ask("POST", f"/lead/alerts/{public}", who="lead", data={"do": "grant", "note": "可"})
    await say(desk, "other", mother, PROMISE)

    answer = await say(desk, "rep", father, text)

    assert granted.status == 303
    assert answer.status == 422
    assert "promise.worse" in answer.text


# -- findings: what was said around them, and whose they are to decide -------------------------------------
async def broken(desk: Office) -> tuple[str, str]:
    """A promise broken by hand in the father's conversation; the finding and the conversation."""
    _, father = await promised(desk)
    for text in ("您好，我的手机是 13800138000", WORSE, "您看可以吗"):
        data = {"text": text, "key": secrets.token_hex(16), "outcome": "ok"}
        await desk.ask("POST", f"/s/c/{father}/sent", who="rep", data=data)
    await desk.quiet()
    async with desk.service.house.db.read(TENANT) as conn:
        node = await identity.find(conn, openid(FATHER))
        (one,) = await findings.of_nodes(conn, [node or 0])
    return desk.public("finding", one.finding_id), father


async def test_a_leader_reads_what_was_said_around_a_finding(desk: Office) -> None:
    alert, _ = await broken(desk)

    listed = (await desk.ask("GET", "/lead/alerts?tab=findings", who="lead")).text
    around = (await desk.ask("GET", f"/lead/alerts/{alert}", who="lead")).text

    assert f'href="/lead/alerts/{alert}"' in listed
    assert "您看可以吗" in around
    assert "138****8000" in around
    assert "13800138000" not in around


async def test_a_finding_handed_over_is_compliance_s_to_decide(desk: Office) -> None:
    alert, _ = await broken(desk)
    lead, officer = f"/lead/alerts/{alert}", f"/compliance/alerts/{alert}"

    early = await desk.ask("GET", officer, who="compliance")
    silent = await desk.ask("POST", lead, who="lead", data={"do": "hand", "note": ""})
    handed = await desk.ask("POST", lead, who="lead", data={"do": "hand", "note": "请合规看"})
    late = await desk.ask("POST", lead, who="lead", data={"do": "false", "note": "不算"})
    page = (await desk.ask("GET", "/compliance/alerts", who="compliance")).text
    around = await desk.ask("GET", officer, who="compliance")
    done = await desk.ask("POST", officer, who="compliance", data={"do": "valid", "note": "属实"})
    again = await desk.ask("POST", officer, who="compliance", data={"do": "valid", "note": "属实"})
    async with desk.service.house.db.read(TENANT) as conn:
        one = await findings.get(conn, conn.vault.private("finding", alert))

    assert (early.status, silent.status, handed.status, late.status) == (404, 400, 303, 409)
    assert (around.status, done.status, again.status) == (200, 303, 404)
    assert alert in page
    assert "请合规看" in page
    assert "您看可以吗" in around.text
    assert one is not None
    assert (one.state, one.note) == ("closed", "上报合规：请合规看；成立：属实")


# -- promises: taken back or put right ---------------------------------------------------------------------
async def own_promise(desk: Office) -> tuple[str, str]:
    """The rep's own promise to the father, and the mother's conversation."""
    mother, father = await writes(desk, "oa-b", MOTHER), await writes(desk, "oa-a", FATHER)
    await family(desk, MOTHER, FATHER)
    await say(desk, "rep", father, PROMISE)
    return (await desk.api("GET", "/promises", token="machine-admin")).json()["items"][0]["id"], mother


async def test_a_leader_puts_a_promise_right_on_the_page(desk: Office) -> None:
    ident, mother = await own_promise(desk)
    path = f"/lead/promises/{ident}"
    data = {"do": "correct", "note": "应为 9 折", "fold": "9"}

    by_rep = await desk.ask("POST", path, who="rep", data=data)
    wrong = await desk.ask("POST", path, who="lead", data=data | {"fold": "90"})
    silent = await desk.ask("POST", path, who="lead", data=data | {"note": ""})
    same = await desk.ask("POST", path, who="lead", data=data | {"fold": "8.5"})
    done = await desk.ask("POST", path, who="lead", data=data)
    page = (await desk.ask("GET", f"/s/c/{mother}", who="other")).text

    assert [a.status for a in (by_rep, wrong, silent, same, done)] == [403, 400, 400, 400, 303]
    assert "9 折" in page
    assert "8.5 折" not in Page(page).text


async def test_the_api_takes_back_and_puts_right_for_whom_it_is_to_decide(desk: Office) -> None:
    ident, _ = await own_promise(desk)
    body = {"promise_id": ident, "why": "报错了", "share": 9000}

    async def post(path: str, token: str, **more: object) -> Reply:
        return await desk.api("POST", f"/promises/{path}", token=token, json=body | more)

    refused = [(await post("correct", who)).status for who in ("rep", "admin", "compliance")]
    made = (await post("correct", "lead")).json()
    again = await post("correct", "lead")
    plain = {"promise_id": made["id"], "why": "都不算"}
    gone = await desk.api("POST", "/promises/withdraw", token="machine-admin", json=plain)

    assert refused == [403, 404, 404]
    assert (made["share"], made["source"], made["state"]) == (9000, "manual", "live")
    assert again.status == 409
    assert gone.json()["state"] == "withdrawn"


async def test_an_admin_as_a_person_reads_no_findings(desk: Office) -> None:
    answer = await desk.api("GET", "/findings", token="admin")

    assert answer.json()["items"] == []
