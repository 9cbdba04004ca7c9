"""The review queue: both sides with reasons and counter-evidence, an answer, and its undoing."""

from __future__ import annotations

from dataclasses import replace

from scrm.app import TENANT
from scrm.contract import Handle
from scrm.db import utcnow
from scrm.identity import looking, proposals, service, store
from scrm.identity.match.sentences import Reason
from scrm.identity.service import Sighting
from scrm.ledger import store as ledger
from scrm.seal import new_id
from tests.web.office import Office, Page, Reply

#: Proposals are tested on both.
ENGINES = ["sqlite"]
CHILD = Reason(text="都提到孩子“{child}”", values={"child": "小宇"}, field="child", level="same", weight=420)
APART = Reason(text="姓氏不同", field="surname", level="other", weight=-120)
BASE = "/compliance/identity"


async def ask(desk: Office, *pairs: tuple[str, str], cls: proposals.Cls = "same_person") -> list[str]:
    """Questions about these accounts, the first the most telling; their public ids in that order."""
    made = []
    async with desk.service.house.db.begin(TENANT) as conn:
        for n, pair in enumerate(pairs):
            for name in pair:
                one = Handle(kind="app_user", scope="app", value=name)
                sight = Sighting(
                    event_id=(ident := new_id()), at=utcnow(), key=f"k{ident}", handles=(replace(one),)
                )
                await service.resolve(conn, [sight], utcnow())
            a, b = [(await looking.find(conn, "app_user", name))[0] for name in pair]
            assert await proposals.suggest(
                conn, a, b, cls, [CHILD, APART], source="online", now=utcnow(), likely=0.8, value=9 - n
            )
        made = [
            conn.vault.public("proposal", p.proposal_id) for p in await proposals.queue(conn, now=utcnow())
        ]
    return made


async def one_person(desk: Office, a: str, b: str) -> bool:
    async with desk.service.house.db.read(TENANT) as conn:
        ids = [(await looking.find(conn, "app_user", name))[0] for name in (a, b)]
        return len(set((await store.persons_of(conn, ids)).values())) == 1


async def see(desk: Office, path: str = BASE) -> Page:
    answer = await desk.ask("GET", path, who="compliance")
    assert answer.status == 200, answer.text[:500]
    return Page(answer.text)


async def answer(desk: Office, ident: str, what: str) -> Reply:
    return await desk.ask("POST", f"{BASE}/{ident}", who="compliance", data={"what": what})


async def test_the_most_telling_question_is_open_with_reasons_for_and_against(desk: Office) -> None:
    first, second = await ask(desk, ("account-one", "account-two"), ("account-three", "account-four"))

    page = await see(desk)

    assert "都提到孩子“小宇”" in page.text
    assert "姓氏不同" in page.text
    assert "把握 80%" in page.text
    assert "不影响归属和佣金" in page.text
    assert f"{BASE}/{first}" in page.values("form", "action")
    assert page.values("a", "href").index(f"{BASE}/{first}") < page.values("a", "href").index(
        f"{BASE}/{second}"
    )
    assert "account-one" not in page.text, "identifiers are masked"
    assert {a["data-key"] for t, a in page.elements if "data-key" in a} == {"a", "d"}


async def test_a_yes_makes_one_person_and_the_undo_two_again(desk: Office) -> None:
    first, second = await ask(desk, ("account-one", "account-two"), ("account-three", "account-four"))

    done = await answer(desk, first, "accept")

    assert await one_person(desk, "account-one", "account-two")
    page = await see(desk, done.where)
    assert f"{BASE}/{second}" in page.values("form", "action"), "the next one is open"
    assert {a["data-key"] for t, a in page.elements if "data-key" in a} == {"a", "d", "u"}

    undone = await answer(desk, first, "undo")
    assert undone.where == f"{BASE}/{first}"
    assert not await one_person(desk, "account-one", "account-two")
    assert "是同一个人吗？" in (await see(desk, undone.where)).text
    async with desk.service.house.db.read(TENANT) as conn:
        actions = [e.action for e in await ledger.entries(conn, limit=50)]
    assert {"proposal.read", "proposal.accept", "proposal.undo", "identity.link"} <= set(actions)


async def test_a_no_is_remembered_and_never_asked_again(desk: Office) -> None:
    (only,) = await ask(desk, ("account-one", "account-two"))

    assert (await answer(desk, only, "decline")).status == 303

    assert "没有要复核的" in (await see(desk)).text
    assert "已决定：不是。" in (await see(desk, f"{BASE}/{only}")).text
    async with desk.service.house.db.begin(TENANT) as conn:
        a, b = [(await looking.find(conn, "app_user", n))[0] for n in ("account-one", "account-two")]
        assert not await proposals.suggest(conn, a, b, "same_person", [CHILD], source="online", now=utcnow())


async def test_what_somebody_else_decided_first_is_said(desk: Office) -> None:
    (only,) = await ask(desk, ("account-one", "account-two"))
    await answer(desk, only, "decline")

    late = await answer(desk, only, "accept")

    assert late.status == 409
    assert "刚刚被别人处理了" in late.text
    assert not await one_person(desk, "account-one", "account-two")


async def test_later_puts_it_out_of_sight(desk: Office) -> None:
    (only,) = await ask(desk, ("account-one", "account-two"), cls="same_household")
    assert "是同一家人吗？" in (await see(desk)).text

    done = await answer(desk, only, "later")

    page = await see(desk, done.where)
    assert "一周以后再问" in page.text
    assert "没有要复核的" in page.text


async def test_nonsense_is_refused(desk: Office) -> None:
    (only,) = await ask(desk, ("account-one", "account-two"))

    assert (await answer(desk, only, "burn")).status == 400
    assert (await answer(desk, "nosuch", "accept")).status == 404
    assert (await desk.ask("GET", f"{BASE}?before=zz.zz", who="compliance")).status in (400, 404)
    assert (await desk.ask("GET", BASE, who="lead")).status == 403
