"""The admin's pages about who is who: a policy checked, tried, adopted; figures; evidence taken back."""

from __future__ import annotations

from scrm import works
from scrm.app import TENANT
from scrm.contract import Handle, Link
from scrm.db import utcnow
from scrm.identity import decisions, looking, reworking, service, store, versions
from scrm.identity.decisions import Actor
from scrm.identity.service import Sighting
from scrm.ledger import store as ledger
from scrm.seal import new_id
from tests.web.office import Office, Page, Reply, until

#: What the pages stand on is tested on both.
ENGINES = ["sqlite"]
PHONE = "13912345678"


async def see(desk: Office, path: str = "/admin/identity") -> Page:
    answer = await desk.ask("GET", path, who="admin")
    assert answer.status == 200, (path, answer.text[:500])
    return Page(answer.text)


async def do(desk: Office, path: str, **fields: str) -> Reply:
    return await desk.ask("POST", path, who="admin", data=fields)


async def body(desk: Office) -> str:
    answer = await desk.ask("GET", "/admin/identity", who="admin")
    text = answer.text.split("<textarea", 1)[1].split(">", 1)[1].split("</textarea>", 1)[0]
    return text.replace("&#34;", '"').replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">")


async def finished(desk: Office, kind: str) -> works.Work:
    async def over() -> bool:
        async with desk.service.house.db.read(TENANT) as conn:
            found = await works.page(conn, kinds=(kind,), limit=1)
        return bool(found) and found[0].state not in works.OPEN

    await until(over)
    async with desk.service.house.db.read(TENANT) as conn:
        (work,) = await works.page(conn, kinds=(kind,), limit=1)
    assert work.state == "done", work.error
    return work


async def shared(desk: Office, *accounts: str) -> None:
    """One number on several accounts, a day apart in nothing but their names."""
    async with desk.service.house.db.begin(TENANT) as conn:
        for n, account in enumerate(accounts):
            ident, now = new_id(), utcnow()
            both = (
                Handle(kind="app_user", scope="app", value=account),
                Handle(kind="phone", scope="", value=f"+86{PHONE}"),
            )
            link = Link(a=both[0], b=both[1], rule="app.phone")
            one = Sighting(event_id=ident, at=now, key=f"s{n}", handles=both, links=(link,))
            await service.resolve(conn, [one], now)


async def people(desk: Office, *accounts: str) -> int:
    async with desk.service.house.db.read(TENANT) as conn:
        ids = [n for a in accounts for n in await looking.find(conn, "app_user", a)]
        return len(set((await store.persons_of(conn, ids)).values()))


async def linked(desk: Office, *accounts: str) -> None:
    """An admin says they are one person."""
    async with desk.service.house.db.begin(TENANT) as conn:
        for account in accounts:
            one = Sighting(
                event_id=(ident := new_id()), at=utcnow(), key=f"l{ident}",
                handles=(Handle(kind="web_visitor", scope="w", value=account),),
            )  # fmt: skip
            await service.resolve(conn, [one], utcnow())
        ids = [n for a in accounts for n in await looking.find(conn, "web_visitor", a)]
        by = Actor(origin="rep", staff_id=desk.staff_ids["rep"])
        for other in ids[1:]:
            await decisions.link(conn, ids[0], other, by=by, why="一个人", now=utcnow())


async def visitors(desk: Office, *accounts: str) -> int:
    async with desk.service.house.db.read(TENANT) as conn:
        ids = [n for a in accounts for n in await looking.find(conn, "web_visitor", a)]
        return len(set((await store.persons_of(conn, ids)).values()))


# -- the policy --------------------------------------------------------------------------------------------
async def test_the_policy_is_a_table_and_a_text_with_its_comments(desk: Office) -> None:
    page = await see(desk)

    assert "手机号" in page.text
    assert "合并成一个人" in page.text
    assert "person_cap: 64" in await body(desk)


async def test_checking_says_what_would_be_different_and_changes_nothing(desk: Office) -> None:
    text = (await body(desk)).replace("person_cap: 64", "person_cap: 32")
    text = text.replace("address: {title: 地址, strength: 10", "address: {title: 地址, strength: 12")

    answer = await do(desk, "/admin/identity", body=text, what="check", version="1")

    assert "一个人最多多少标识：64 改为 32" in answer.text
    assert "地址 · 可信度：10 改为 12" in answer.text
    async with desk.service.house.db.read(TENANT) as conn:
        assert (await versions.current(conn)).version == 1


WRONG = (
    (("person_cap: 64", "person_cap: many"), "person_cap: 应为整数"),
    (("person_cap: 64", "person_cap: [1"), "YAML 写法有误"),
    (("person_cap: 64", "person_cup: 64"), "person_cup: 没有这一项"),
    (("strength: 10, merge", "strength: 900, merge"), "应在 0 到 100 之间"),
    (("normalise: phone", "normalise: phone\n    blocked2: x"), "没有这一项"),
)


async def test_a_wrong_policy_is_told_where_it_is_wrong_and_stays_on_the_page(desk: Office) -> None:
    right = await body(desk)

    for wrong, sentence in WRONG:
        text = right.replace(*wrong)
        answer = await do(desk, "/admin/identity", body=text, what="adopt", note="试", version="1")

        assert answer.status == 400, wrong
        assert sentence in answer.text
        assert wrong[1].split("\n")[0] in answer.text


async def test_a_policy_is_tried_before_it_is_adopted(desk: Office) -> None:
    await shared(desk, "u1", "u2")
    before = await people(desk, "u1", "u2")
    text = (await body(desk)).replace("max_persons: 3\n    max_names", "max_persons: 1\n    max_names")

    tried = await do(desk, "/admin/identity", body=text, what="try", version="1")
    assert (tried.status, tried.where) == (303, "/admin/identity?tried=1")
    await finished(desk, reworking.DRY_RUN)

    page = await see(desk, tried.where)
    assert "变为通用值" in page.text
    assert "139****5678" in page.text
    assert PHONE not in page.text
    assert await people(desk, "u1", "u2") == before
    async with desk.service.house.db.read(TENANT) as conn:
        assert (await versions.current(conn)).version == 1


async def test_adopting_makes_a_version_and_going_back_another(desk: Office) -> None:
    text = (await body(desk)).replace("person_cap: 64", "person_cap: 32")
    nothing = await do(desk, "/admin/identity", body=text, what="adopt", note="", version="1")
    assert nothing.status == 400

    assert (
        await do(desk, "/admin/identity", body=text, what="adopt", note="收紧", version="1")
    ).status == 303
    work = await finished(desk, reworking.RESOLVE)
    assert work.payload["version"] == 2
    page = await see(desk)
    assert "收紧" in page.text
    assert "员工admin" in page.text
    late = await do(desk, "/admin/identity", body=text, what="adopt", note="又改", version="1")
    assert "别人刚刚也改了规则" in late.text

    assert (await do(desk, "/admin/identity/versions/1", version="2")).status == 303
    async with desk.service.house.db.read(TENANT) as conn:
        policy = await versions.current(conn)
        actions = [e.action for e in await ledger.entries(conn, limit=50)]
    assert (policy.version, policy.person_cap) == (3, 64)
    assert actions.count("identity.policy_adopted") == 2
    assert (await do(desk, "/admin/identity/versions/77", version="3")).status == 404


# -- figures -----------------------------------------------------------------------------------------------
async def test_figures_are_counted_on_demand_and_values_are_masked(desk: Office) -> None:
    assert "还没有统计过" in (await see(desk, "/admin/identity/stats")).text
    await shared(desk, "u1", "u2", "u3")

    assert (await do(desk, "/admin/identity/stats")).status == 303
    await finished(desk, reworking.COUNT)

    page = await see(desk, "/admin/identity/stats")
    assert "手机号" in page.text
    assert "一家有几个人" in page.text
    assert "139****5678" in page.text
    assert PHONE not in page.text


# -- taking back in bulk -----------------------------------------------------------------------------------
async def test_what_a_colleague_linked_is_counted_taken_back_and_restored(desk: Office) -> None:
    await linked(desk, "v1", "v2", "v3")
    assert await visitors(desk, "v1", "v2", "v3") == 1

    counted = await do(desk, "/admin/identity/revert", login="rep", what="count")
    assert "符合的有 2 条" in counted.text
    order = {"login": "rep", "what": "revert", "count": "2", "why": "他认错人了"}
    assert (await do(desk, "/admin/identity/revert", **order)).status == 303
    work = await finished(desk, reworking.REVERT)
    assert (work.done, await visitors(desk, "v1", "v2", "v3")) == (2, 3)

    page = await see(desk, "/admin/identity/revert")
    assert "他认错人了" in page.text
    undo = next(a for a in page.values("form", "action") if a.startswith("/admin/identity/revert/"))
    assert (await do(desk, undo)).status == 303
    await finished(desk, reworking.REINSTATE)
    assert await visitors(desk, "v1", "v2", "v3") == 1
    assert (await do(desk, undo)).status == 400
    assert undo not in (await see(desk, "/admin/identity/revert")).values("form", "action")


REFUSED: tuple[tuple[dict[str, str], str], ...] = (
    ({}, "请至少选一样"),
    ({"login": "nobody"}, "没有这个登录名的同事"),
    ({"since": "gestern"}, "时间看不懂"),
    ({"rule": "human.link", "what": "revert", "count": "1"}, "请写明为什么撤回"),
    ({"rule": "no.rule", "what": "revert", "count": "1", "why": "试"}, "没有符合的依据"),
    ({"rule": "human.link", "what": "revert", "count": "9", "why": "试"}, "条数刚刚变了"),
)


async def test_what_cannot_be_taken_back_is_said(desk: Office) -> None:
    await linked(desk, "v1", "v2")

    for form, sentence in REFUSED:
        answer = await do(desk, "/admin/identity/revert", **form)

        assert answer.status == 400, form
        assert sentence in answer.text
    assert await visitors(desk, "v1", "v2") == 1
