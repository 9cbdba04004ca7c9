"""Cards of what to say next: taken, changed, filled in, refused; ranked anew when the household moved on."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace

import pytest

from scrm import situations
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.playbook import store
from scrm.playbook.effect import service as effect
from scrm.playbook.store import Made, Offer
from scrm.sales.opportunities import service as opportunities
from scrm.sales.opportunities.service import By, Wanted
from scrm.timeline.store import conversations
from tests.web.office import Office, Page

ANNA = "oAnna0000000000000000000000001"


async def talking(desk: Office, said: str = "你们的课有点贵，能便宜点吗？") -> str:
    await desk.hear("oa-a", ANNA, said)
    return await desk.cid("oa-a")


async def offers(desk: Office, cid: str) -> list[Offer]:
    """Newest first."""
    async with desk.service.house.db.read(TENANT) as conn:
        ident = desk.private("conversation", cid)
        return await store.page(conn, conversation_id=ident, before=None, limit=99)


async def opened(desk: Office, cid: str, *, who: str = "rep") -> str:
    answer = await desk.ask("GET", f"/s/c/{cid}", who=who)
    assert answer.status == 200, answer.text
    return answer.text


async def answered(desk: Office, cid: str, text: str, suggestion: str = "") -> None:
    form = {"key": secrets.token_hex(12), "text": text, "suggestion": suggestion, "confirm": "1"}
    sent = await desk.ask("POST", f"/s/c/{cid}/send", who="rep", data=form)
    assert sent.status == 303, sent.text
    await desk.quiet()


def cards(html: str) -> list[str]:
    """Public ids, in the order of the page."""
    return re.findall(r'<article class="card" id="card-([^"]+)"', html)


async def test_what_was_sent_from_a_card_is_known_and_the_others_were_passed_by(desk: Office) -> None:
    cid = await talking(desk)
    html = await opened(desk, cid)
    best = next(o for o in await offers(desk, cid) if o.rank == 1)
    words = re.search(rf'data-card="{cards(html)[0]}" data-n="1" data-words="([^"]*)"', html)
    assert words

    await answered(desk, cid, "这是另外一段话，和话术没有多少关系", cards(html)[0])

    after = {o.script_id: o for o in await offers(desk, cid)}
    taken = after[best.script_id]
    assert (taken.state, taken.staff_id) == ("edited", desk.staff_ids["rep"])
    assert (taken.distance or 0) > 200
    assert taken.used_event_id is not None
    assert {o.state for o in after.values() if o.script_id != best.script_id} == {"ignored"}


async def test_an_answer_opens_the_next_step_once_and_again_when_the_sale_moves(desk: Office) -> None:
    cid = await talking(desk)
    first = await offers(desk, cid)
    await opened(desk, cid)
    assert await offers(desk, cid) == first  # the customer waits: what they said is answered

    await answered(desk, cid, "在的，我帮您看一下")
    await opened(desk, cid)
    second = await offers(desk, cid)
    await opened(desk, cid)
    assert await offers(desk, cid) == second
    assert len(second) > len(first)

    node = await desk.node_of(cid)
    async with desk.service.house.db.begin(TENANT) as conn:
        wanted = Wanted(key="k", node_id=node, account_id=1, product="年课", stage="closing")
        await opportunities.open_one(conn, wanted, By(source="rep"), now=utcnow())
    html = await opened(desk, cid)
    third = await offers(desk, cid)

    fresh = [o for o in third if o not in second]
    assert {o.stage for o in fresh} == {"closing"}
    assert {o.state for o in fresh} == {"shown"}
    assert len(cards(html)) == len(fresh) <= 5
    assert "下一步可以这样说" in html or "打开话题" in html


async def offer(desk: Office, cid: str, script_id: str) -> None:
    """As if it had been ranked on the customer's last words."""
    ident = desk.private("conversation", cid)
    (last, *_) = await offers(desk, cid)
    script = desk.service.house.library.get(script_id)
    assert script is not None
    found = store.Suggestion(script_id=script_id, version=script.version, score=9.0, reason="因为客户问了")
    async with desk.service.house.db.begin(TENANT) as conn:
        made = Made(conversation_id=ident, event_id=last.event_id + 1, ranked=[found])
        await store.save_all(conn, [made], now=utcnow())


async def test_a_fact_nobody_knows_is_asked_for_and_filled_in_for_this_time(desk: Office) -> None:
    cid = await talking(desk)
    await offer(desk, cid, "edu.trial-confirm")

    lacking = await opened(desk, cid)
    (card,) = cards(lacking)
    assert "试听地点" in Page(lacking).text

    asked = re.findall(r'name="v\.([a-z_.]+)"', lacking)
    form = {f"v.{name}": "12" if name.endswith(("_fen", "lessons", "_left")) else "小树<b>" for name in asked}
    filled = await desk.ask("POST", f"/s/c/{cid}/fill", who="rep", data={"suggestion": card, **form})

    assert filled.status == 200
    assert "小树<b>" in Page(filled.text).text
    assert "小树<b>" not in filled.text
    assert 'name="v.' not in filled.text
    assert 'name="v.trial.time"' in await opened(desk, cid)  # kept nowhere


async def test_what_a_card_was_told_of_the_person_the_next_one_knows(desk: Office) -> None:
    cid = await talking(desk)
    await offer(desk, cid, "edu.trial-confirm")
    (card,) = cards(await opened(desk, cid))
    data = {"suggestion": card, "v.child.name": "小树", "v.child.grade": "三年级", "v.member.name": "林女士"}

    filled = await desk.ask("POST", f"/s/c/{cid}/fill", who="rep", data=data)
    again = await desk.ask("POST", f"/s/c/{cid}/fill", who="rep", data=data | {"v.child.name": "大山"})
    async with desk.service.house.db.read(TENANT) as conn:
        (talk,) = (await conversations.of_ids(conn, [desk.private("conversation", cid)])).values()
        one = await situations.of(conn, talk, channel="", now=utcnow())
        known = situations.facts(one, utcnow())

    assert (filled.status, again.status) == (200, 200)
    # What somebody knew already is corrected where fields are, not in passing.
    assert known["child"] == {"name": "小树", "grade": "三年级"}


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("v.child.name", "长" * 201, 400),
        ("v.child.grade", "长" * 81, 400),
        ("v.course.lessons", "许多", 400),
        ("v.course.price_fen", "免费", 400),
    ],
)
async def test_what_cannot_be_filled_in_is_refused(desk: Office, field: str, value: str, status: int) -> None:
    cid = await talking(desk)
    (card, *_) = cards(await opened(desk, cid))

    answer = await desk.ask("POST", f"/s/c/{cid}/fill", who="rep", data={"suggestion": card, field: value})

    assert answer.status == status


async def test_one_that_does_not_fit_is_gone_and_cannot_be_refused_twice_over(desk: Office) -> None:
    cid = await talking(desk)
    (card, *rest) = cards(await opened(desk, cid))

    refused = await desk.ask("POST", f"/s/c/{cid}/unfit", who="rep", data={"suggestion": card})

    assert refused.status == 303
    assert cards(await opened(desk, cid)) == rest
    (unfit,) = [o for o in await offers(desk, cid) if o.state == "unfit"]
    assert desk.public("suggestion", unfit.suggestion_id) == card
    other = await desk.ask("POST", f"/s/c/{cid}/unfit", who="rep", data={"suggestion": "nonsense"})
    assert other.status == 409


async def test_advice_is_read_and_never_sent(desk: Office) -> None:
    cid = await talking(desk)
    library = desk.service.house.library
    hint = next(s for s in sorted(library.ids) if s.startswith("edu.") and library.get(s).delivery == "hint")  # type: ignore[union-attr]
    await offer(desk, cid, hint)

    html = await opened(desk, cid)

    (card,) = cards(html)
    mine = html[html.index(f'id="card-{card}"') :]
    mine = mine[: mine.index("</article>")]
    assert "提醒" in mine
    assert "data-send" not in mine
    assert "data-copy" not in mine


async def test_who_is_new_sees_what_the_best_say_here(desk: Office) -> None:
    cid = await talking(desk)
    (best, *_) = [o for o in await offers(desk, cid) if o.rank == 1]
    ident, peer = desk.private("conversation", cid), desk.staff_ids["peer"]
    found = store.Suggestion(script_id=best.script_id, version=1, score=1.0, reason="")
    async with desk.service.house.db.begin(TENANT) as conn:
        for n in range(3):
            made = Made(conversation_id=ident + 1 + n, event_id=n + 1, ranked=[found], node_id=7)
            await store.save_all(conn, [made], now=utcnow())
            (one,) = await store.latest(conn, ident + 1 + n)
            await store.mark_used(conn, one.suggestion_id, staff_id=peer, now=utcnow())
        told = effect.Reached(goal="deal", nodes=[7], at=utcnow(), event_id=None)
        assert await effect.reached(conn, [replace(told, at=utcnow())]) == 3

    html = await opened(desk, cid)

    assert html.count("同组成交最好的同事这一步常说") == 1
    other = await desk.ask("GET", f"/s/c/{cid}", who="peer")
    assert "同组成交最好的同事" not in other.text  # they are the best
