"""Admin pages on a running service: what they say is so, what they do is done, and no customer is seen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa

from scrm import facts, inbox, jobs, outbox, schema, works
from scrm.accounts import store as accounts
from scrm.app import TENANT, beat
from scrm.db import utcnow
from scrm.ledger import store as ledger
from tests.web.office import PASSWORD, Office, Page, Reply, set_password, until

#: The stores below are tested on both.
ENGINES = ["sqlite"]
PHONE, NAME = "13800138000", "王小明"


async def see(desk: Office, path: str) -> Page:
    answer = await desk.ask("GET", path, who="admin")
    assert answer.status == 200, (path, answer.text[:500])
    return Page(answer.text)


async def do(desk: Office, path: str, **fields: str) -> Reply:
    return await desk.ask("POST", path, who="admin", data=fields)


async def state_of(desk: Office, slug: str) -> str:
    items = (await desk.api("GET", "/accounts", token="machine-admin")).json()["items"]
    return str(next(a["state"] for a in items if a["slug"] == slug))


async def actions(desk: Office) -> list[str]:
    async with desk.service.house.db.read(TENANT) as conn:
        return [e.action for e in await ledger.entries(conn, limit=50)]


async def fallen(desk: Office) -> None:
    """A verified callback that nobody can read, with a customer in it."""
    plain = f"<xml><MsgType>text</MsgType><Phone>{PHONE}</Phone><Who>{NAME}</Who></xml>"
    assert (await desk.callback("oa-a", plain)).status == 200
    await desk.quarantined()


# -- signing in --------------------------------------------------------------------------------------------
async def test_an_admin_lands_on_the_health_page(desk: Office) -> None:
    await set_password(desk, "admin")

    answer = await desk.ask("POST", "/login", data={"name": "admin", "password": PASSWORD})

    assert (answer.status, answer.where) == (303, "/admin")
    page = await see(desk, "/admin")
    assert "/admin" in page.values("a", "href")
    assert "/inbox" not in page.values("a", "href")


async def test_a_rep_still_lands_in_the_queue_and_sees_no_admin_entry(desk: Office) -> None:
    await set_password(desk, "rep")

    answer = await desk.ask("POST", "/login", data={"name": "rep", "password": PASSWORD})

    assert answer.where == "/inbox"
    inbox = await desk.ask("GET", "/inbox", who="rep")
    assert "/admin" not in Page(inbox.text).values("a", "href")


# -- cards -------------------------------------------------------------------------------------------------
async def test_a_card_shows_what_came_and_the_address_to_give_the_platform(desk: Office) -> None:
    await desk.hear("oa-a", "oCardCustomer000000000000001", "多少钱")

    await beat(desk.service.house)
    items = (await desk.api("GET", "/accounts", token="machine-admin")).json()["items"]
    assert {a["slug"]: a["health"]["received_1h"] for a in items}["oa-a"] == 1
    page = await see(desk, "/admin/connectors")

    assert f"{desk.service.house.settings.url}/hooks/oa-a" in page.values("button", "data-copy")
    assert "最近一小时收到 1 条" in page.text


async def test_an_alarm_is_on_the_card_and_on_the_health_page(desk: Office) -> None:
    ident = desk.service.house.directory.by_slug("corp").account.account_id
    async with desk.service.house.db.begin(TENANT) as conn:
        body = {"sentence": "存档快要过期了。"}
        said = facts.Said(account_id=ident, kind="alarm", key="lag", body=body, rank=1, at=utcnow())
        await facts.put_all(conn, [said])

    assert "存档快要过期了。" in (await see(desk, "/admin/connectors")).text
    assert "存档快要过期了。" in (await see(desk, "/admin")).text
    items = (await desk.api("GET", "/accounts", token="machine-admin")).json()["items"]
    assert {a["slug"]: a["health"]["level"] for a in items}["corp"] == "bad"


@pytest.mark.parametrize(("hours", "level"), [(13, "warn"), (11, "ok")])
async def test_a_stream_that_falls_behind_is_on_the_card(desk: Office, hours: int, level: str) -> None:
    ident = desk.service.house.directory.by_slug("corp").account.account_id
    async with desk.service.house.db.begin(TENANT) as conn:
        now = await conn.now()
        await inbox.following(conn, ident, "archive", now=now - timedelta(hours=hours, minutes=3))
        payload, later = {"stream": "archive", "hint": ""}, now + timedelta(hours=1)
        await jobs.put(conn, "poll", f"{ident}:archive", ident, payload, at=later)

    page = await see(desk, "/admin/connectors")
    items = (await desk.api("GET", "/accounts", token="machine-admin")).json()["items"]

    assert (f"“archive”拉取落后 {hours}." in page.text) == (level == "warn")
    assert f"最久 {hours} 小时" in page.text
    assert {a["slug"]: a["health"]["level"] for a in items}["corp"] == level


@pytest.mark.parametrize(("minutes", "held"), [(10, True), (-1, False)])
async def test_a_used_up_quota_is_on_the_card_until_it_is_over(
    desk: Office, minutes: int, *, held: bool
) -> None:
    ident = desk.service.house.directory.by_slug("corp").account.account_id
    until_at = utcnow() + timedelta(minutes=minutes)
    async with desk.service.house.db.begin(TENANT) as conn:
        body = {"sentence": "平台接口调用已达上限，一分钟后自动重试。", "until": until_at.isoformat()}
        said = facts.Said(account_id=ident, kind="quota", key="45009", body=body, rank=1, at=utcnow())
        await facts.put_all(conn, [said])

    text = (await see(desk, "/admin/connectors")).text

    assert ("这个账号的发送等到" in text) == held
    assert ("平台接口调用已达上限" in text) == held
    assert "剩余额度" not in text


async def test_refused_callbacks_are_counted_on_the_card(desk: Office) -> None:
    for _ in range(2):
        assert (await desk.bare("POST", "/hooks/oa-a", data=b"<xml>forged</xml>")).status >= 400

    await beat(desk.service.house)
    assert "最近一小时拒绝了 2 次回调" in (await see(desk, "/admin/connectors")).text


# -- pause and resume --------------------------------------------------------------------------------------
async def test_paused_on_its_page_the_account_answers_the_platform_but_shows_nothing(desk: Office) -> None:
    assert (await do(desk, "/admin/connectors/oa-a/state", what="pause")).status == 303
    assert await state_of(desk, "oa-a") == "paused"

    text = "<xml><ToUserName>g</ToUserName><FromUserName>oPausedCustomer00000000001</FromUserName>"
    text += "<CreateTime>1</CreateTime><MsgType>text</MsgType><Content>在吗</Content><MsgId>1</MsgId></xml>"
    assert (await desk.callback("oa-a", text)).status == 200
    async with desk.service.house.db.read(TENANT) as conn:
        assert await conn.scalar(sa.select(schema.inbox.c.state)) == "new"

    assert (await do(desk, "/admin/connectors/oa-a/state", what="resume")).status == 303
    await desk.quiet()
    events = (await desk.api("GET", "/events", token="machine-admin")).json()["items"]
    assert [e["text"] for e in events if e["direction"] == "in"] == ["在吗"]
    assert {"account.pause", "account.resume"} <= set(await actions(desk))


async def test_what_the_page_was_too_late_for_is_refused(desk: Office) -> None:
    assert (await do(desk, "/admin/connectors/oa-a/state", what="resume")).status == 409
    assert (await do(desk, "/admin/connectors/oa-a/state", what="explode")).status == 400
    assert (await do(desk, "/admin/connectors/nobody/state", what="pause")).status == 404


async def test_the_api_pauses_too(desk: Office) -> None:
    answer = await desk.api("POST", "/accounts/oa-a/state", token="machine-admin", json={"order": "pause"})

    assert (answer.status, answer.json()) == (200, {"slug": "oa-a", "state": "paused"})


# -- settings ----------------------------------------------------------------------------------------------
async def test_no_page_ever_sends_a_secret_back(desk: Office) -> None:
    for slug, keys in desk.keys.items():
        for path in ("/admin", "/admin/connectors", f"/admin/connectors/{slug}"):
            text = (await desk.ask("GET", path, who="admin")).text
            assert not [name for name, value in keys.items() if value in text], path


async def test_saved_settings_keep_secrets_that_were_left_empty(desk: Office) -> None:
    before = desk.service.house.directory.by_slug("oa-a").account

    answer = await do(
        desk, "/admin/connectors/oa-a", **{"name": "新名字", "max_age_s": "60"}, **own(before.options)
    )

    assert (answer.status, answer.where) == (303, "/admin/connectors/oa-a?saved=1")
    now = desk.service.house.directory.by_slug("oa-a").account
    assert (now.name, now.max_age_s, now.secrets) == ("新名字", 60, before.secrets)
    await desk.hear("oa-a", "oAfterTheChange0000000000001", "还收得到吗")


def own(options: object) -> dict[str, str]:
    assert isinstance(options, dict)
    return {f"own.{name}": value for name, value in options.items()}


async def test_bad_settings_are_refused_with_every_fault_and_change_nothing(desk: Office) -> None:
    before = desk.service.house.directory.by_slug("oa-a").account

    answer = await do(
        desk, "/admin/connectors/oa-a", **own(dict(before.options) | {"app_id": "!!", "mode": "no"})
    )

    assert answer.status == 400
    assert answer.text.count("的格式不对") == 2
    assert desk.service.house.directory.by_slug("oa-a").account == before


async def test_an_account_is_added_from_the_channels_that_are_there(desk: Office) -> None:
    page = await see(desk, "/admin/connectors/new")
    assert {"/admin/connectors/new?channel=wecom", "/admin/connectors/new?channel=webchat"} <= set(
        page.values("a", "href")
    )
    assert "own.app_id" in (await see(desk, "/admin/connectors/new?channel=wechat_oa")).values(
        "input", "name"
    )

    fields = {"own.app_id": "wx1", "own.secret": "s", "own.token": "t", "own.aes_key": "A" * 43}
    missing = await do(desk, "/admin/connectors/new", channel="wechat_oa", slug="oa-new")
    made = await do(desk, "/admin/connectors/new", channel="wechat_oa", slug="oa-new", name="新号", **fields)
    twice = await do(desk, "/admin/connectors/new", channel="wechat_oa", slug="oa-new", name="新号", **fields)

    assert (missing.status, made.status, twice.status) == (400, 303, 400)
    assert made.where == "/admin/connectors/oa-new?saved=1"
    assert desk.service.house.directory.by_slug("oa-new").account.get("secret") == "s"
    assert "account.added" in await actions(desk)


# -- self-test ---------------------------------------------------------------------------------------------
async def test_the_self_test_says_what_is_wrong(desk: Office) -> None:
    answer = await do(desk, "/admin/connectors/oa-a/test")

    text = Page(answer.text).text
    assert answer.status == 200
    assert "自检结果" in text
    assert "设置了 api_base" in text
    assert "请在平台填写上面的回调地址" in text  # nothing has ever arrived


# -- dead letters ------------------------------------------------------------------------------------------
async def letter_of(desk: Office) -> tuple[str, str]:
    """Paths of the class and of its only letter."""
    (row,) = [h for h in (await see(desk, "/admin/dead")).values("a", "href") if h.startswith("/admin/dead/")]
    (one,) = [h for h in (await see(desk, row)).values("a", "href") if h.startswith("/admin/letters/")]
    return row, one


async def test_an_admin_sees_the_structure_of_a_dead_letter_and_nothing_of_the_customer(desk: Office) -> None:
    await fallen(desk)
    row, one = await letter_of(desk)

    pages = [await desk.ask("GET", path, who="admin") for path in ("/admin", "/admin/dead", row, one)]

    assert not [p for p in pages if PHONE in p.text or NAME in p.text]
    text = Page(pages[-1].text).text
    assert "/xml/MsgType" in text
    assert "数字，11 位" in text
    assert "文字，3 个字" in text
    assert "inbox.read" in await actions(desk)


async def test_a_mended_letter_reaches_the_timeline_and_the_original_is_kept(desk: Office) -> None:
    plain = (
        "<xml><ToUserName>gh_1</ToUserName><FromUserName>oMendedCustomer000000000001</FromUserName><CreateTime>then</CreateTime>"
        "<MsgType>text</MsgType><Content>改好以后能看到</Content><MsgId>77</MsgId></xml>"
    )
    assert (await desk.callback("oa-a", plain)).status == 200
    await desk.quarantined()
    row, one = await letter_of(desk)
    fields = await see(desk, one)
    number = "2"  # it stands third
    assert "/xml/CreateTime" in fields.text
    assert number in fields.values("option", "value")

    answer = await do(desk, f"{one}/mend", field=number, value="1700000000")
    assert answer.status == 303
    await desk.quiet()

    events = (await desk.api("GET", "/events", token="machine-admin")).json()["items"]
    assert [e["text"] for e in events] == ["改好以后能看到"]
    async with desk.service.house.db.read(TENANT) as conn:
        kept = await conn.row(sa.select(schema.inbox.c.inbox_id, schema.inbox.c.payload_before))
        assert kept is not None
        original = await conn.unseal(kept.payload_before, "inbox", kept.inbox_id, "payload_before")
    assert original == plain.encode()
    assert (await do(desk, f"{one}/mend", field=number, value="x")).status == 404  # it is not there any more
    assert (await desk.ask("GET", row, who="admin")).status == 404


@pytest.mark.parametrize("field", ["", "x", "99", "-1"])
async def test_a_mend_that_names_no_value_is_refused(desk: Office, field: str) -> None:
    await fallen(desk)
    _, one = await letter_of(desk)

    assert (await do(desk, f"{one}/mend", field=field, value="x")).status == 400


async def test_discarding_wants_a_reason_and_keeps_the_letter(desk: Office) -> None:
    await fallen(desk)
    _, one = await letter_of(desk)

    assert (await do(desk, f"{one}/discard", why=" ")).status == 400
    assert (await do(desk, f"{one}/discard", why="测试数据")).status == 303

    assert "已放弃：测试数据" in (await see(desk, one)).text
    assert "没有没能处理的消息" in (await see(desk, "/admin/dead")).text


async def test_a_class_is_replayed_by_a_job_that_has_a_page(desk: Office) -> None:
    await fallen(desk)
    row, _ = await letter_of(desk)
    assert "重新处理这 1 条" in (await see(desk, row)).text

    assert (await do(desk, f"{row}/replay")).where == "/admin/jobs"

    async def done() -> bool:
        async with desk.service.house.db.read(TENANT) as conn:
            (work,) = await works.page(conn, limit=9)
        return work.state == "done"

    await until(done)
    page = await see(desk, "/admin/jobs")
    assert "已处理 1 条，共 1 条" in page.text
    (job,) = (await desk.api("GET", "/jobs", token="machine-admin")).json()["items"]
    assert (job["kind"], job["done"], job["total"]) == ("replay", 1, 1)


# -- what did not go out -----------------------------------------------------------------------------------
async def unsent(desk: Office, states: Sequence[str]) -> list[int]:
    """Replies of a rep that ended so."""
    await desk.hear("oa-a", "oUnsentCustomer0000000000001", "在吗")
    cid = await desk.cid("oa-a")
    for n, _ in enumerate(states):
        assert (await desk.push("rep", cid, f"回复 {n} {PHONE}")).status == 201
    async with desk.service.house.db.begin(TENANT) as conn:
        found = await outbox.page(conn, state="", before=None, limit=9)
        ids = sorted(d.outbox_id for d in found)
        for ident, state in zip(ids, states, strict=True):
            await outbox.finish(conn, ident, state, now=utcnow(), error="平台限流", code="45009")  # type: ignore[arg-type]
    return ids


async def test_failures_are_listed_without_their_words_and_sent_again_or_marked(desk: Office) -> None:
    await do(desk, "/admin/connectors/oa-a/state", what="drain")  # nothing goes out meanwhile
    dead, unclear = await unsent(desk, ["dead", "unknown"])
    house = desk.service.house
    for page in ("/admin/unsent", "/admin/unsent?state=unknown"):
        answer = await desk.ask("GET", page, who="admin")
        assert "平台限流" in answer.text
        assert PHONE not in answer.text

    def path(ident: int) -> str:
        return f"/admin/unsent/{desk.public('push', ident)}"

    assert (await do(desk, path(unclear), what="again")).status == 409  # it may have arrived
    assert (await do(desk, path(unclear), what="sent")).status == 303
    assert (await do(desk, path(dead), what="again")).status == 303
    async with house.db.read(TENANT) as conn:
        states = {d.outbox_id: d.state for d in await outbox.page(conn, state="", before=None, limit=9)}
    assert (states[dead], states[unclear]) == ("queued", "sent")


# -- jobs --------------------------------------------------------------------------------------------------
async def test_a_job_is_paused_and_taken_up_on_its_page(desk: Office) -> None:
    house = desk.service.house
    async with house.db.begin(TENANT) as conn:
        ident = house.directory.by_slug("corp").account.account_id
        await accounts.set_state(conn, ident, "paused", was={"running"})  # so that it waits
    async with house.db.read(TENANT) as conn:
        await house.directory.load(conn)
    async with house.db.begin(TENANT) as conn:
        job = await works.start(conn, "sync", {"streams": ["x"]}, account_id=ident, now=utcnow())
    path = f"/admin/jobs/{desk.public('job', job)}"

    assert (await do(desk, path, what="pause")).status == 303
    assert "继续任务" in (await see(desk, "/admin/jobs")).text
    assert (await do(desk, path, what="pause")).status == 409
    assert (await do(desk, path, what="cancel")).status == 303
    assert "已取消" in (await see(desk, "/admin/jobs")).text


async def test_pages_of_an_admin_speak_english_too(desk: Office) -> None:
    await desk.ask("POST", "/me/prefs", who="admin", data={"locale": "en", "theme": "dark", "keys": "on"})
    await fallen(desk)
    _, one = await letter_of(desk)

    for path in ("/admin", "/admin/connectors", "/admin/dead", one, "/admin/unsent", "/admin/jobs"):
        answer = await desk.ask("GET", path, who="admin")
        assert '<html lang="en" data-theme="dark">' in answer.text
    assert "number, 11 digits" in (await see(desk, one)).text
