"""Sessions: how one begins, what its cookie is like, what ends it, and who cannot borrow one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from http.cookies import Morsel
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from scrm.app import TENANT
from scrm.db import utcnow
from scrm.demo.stage import Stage, staged
from scrm.seal import token_hash
from scrm.staff import service as staff
from scrm.staff import store as staff_store
from scrm.web.pages import inside
from tests.web.office import PASSWORD, Office, Page, Reply, configured, message, office, set_password, until

SAME = {"Sec-Fetch-Site": "same-origin"}


async def sign_in(desk: Office, *, password: str = PASSWORD, **more: str) -> Reply:
    form = {"name": "rep", "password": password, **more}
    return await desk.bare("POST", "/login", data=form, headers=SAME)


def morsel(answer: Reply, name: str = "scrm") -> Morsel[str]:
    found: Morsel[str] = answer.cookies[name]
    return found


# -- the cookie ------------------------------------------------------------------------------------------
async def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(desk: Office) -> None:
    await set_password(desk, "rep")

    cookie = morsel(await sign_in(desk))

    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Lax", "/", "")
    assert not cookie["secure"]


async def test_behind_tls_every_cookie_is_secure_and_bound_to_the_host(tmp_path: Path) -> None:
    async with office(tmp_path, secure_cookies=True, public_url="https://scrm.example") as desk:
        await set_password(desk, "rep")

        entered = await sign_in(desk)
        door = await desk.bare("GET", "/auth/corp/door")
        token = morsel(entered, "__Host-scrm").value
        left = await desk.bare("POST", "/logout", headers=SAME | {"Cookie": f"__Host-scrm={token}"})

        given = [*entered.cookies.values(), *door.cookies.values(), *left.cookies.values()]
        assert {c.key for c in given} == {"__Host-scrm", "__Host-scrm_door"}
        for cookie in given:
            assert cookie["secure"], cookie.key
            assert cookie["httponly"], cookie.key
            assert (cookie["path"], cookie["domain"]) == ("/", ""), cookie.key


async def test_a_plain_cookie_counts_for_nothing_behind_tls(tmp_path: Path) -> None:
    async with office(tmp_path, secure_cookies=True) as desk:
        assert (await desk.ask("GET", "/inbox", who="rep")).status == 303


async def test_each_sign_in_makes_a_new_session_whatever_the_browser_brought(desk: Office) -> None:
    await set_password(desk, "rep")
    planted = "1.planted-by-somebody-else"

    form = {"name": "rep", "password": PASSWORD}
    one = await desk.bare("POST", "/login", data=form, headers=SAME | {"Cookie": f"scrm={planted}"})
    two = await desk.bare("POST", "/login", data=form, headers=SAME)

    values = {planted, morsel(one).value, morsel(two).value}
    assert len(values) == 3
    assert (await desk.bare("GET", "/inbox", headers={"Cookie": f"scrm={planted}"})).status == 303


async def test_the_database_holds_no_session_or_token_that_could_be_used(desk: Office) -> None:
    async with desk.service.house.db.read(TENANT) as conn:
        sessions = await conn.rows(staff_store.session.select())
        tokens = await conn.rows(staff_store.api_token.select())

    kept = {bytes(r.token_hash) for r in [*sessions, *tokens]}
    given = {*desk.sessions.values(), *desk.tokens.values()}
    assert kept == {token_hash(text) for text in given}
    assert not kept & {text.encode() for text in given}


# -- what ends it ----------------------------------------------------------------------------------------
async def test_signing_out_ends_the_session_not_only_the_cookie(desk: Office) -> None:
    answer = await desk.ask("POST", "/logout", who="rep")

    assert (answer.status, answer.where) == (303, "/login")
    assert morsel(answer).value == ""
    assert (await desk.ask("GET", "/inbox", who="rep")).status == 303


async def test_a_busy_stream_ends_within_seconds_after_its_session(desk: Office) -> None:
    await desk.hear("oa-a", "oStream0000000000000000000001", "你好")
    cid = await desk.cid("oa-a")
    topic = "node:" + desk.public("topic-node", await desk.node_of(cid))
    headers = {"Cookie": f"scrm={desk.sessions['rep']}"}
    loop = asyncio.get_running_loop()
    async with desk.http.get(f"{desk.url}/live?topics={topic}", headers=headers) as stream:
        assert await stream.content.readline() == b"event: fresh\n"
        async with desk.service.house.db.begin(TENANT) as conn:
            await staff_store.end_sessions(conn, desk.staff_ids["rep"], now=utcnow())

        # News every half second: a stream that looks only when it is quiet would never look.
        async def ended() -> bool:
            await desk.callback("oa-a", _text("oStream0000000000000000000001"))
            await asyncio.sleep(0.5)
            return stream.content.at_eof() or not await _more(stream)

        began = loop.time()
        await until(ended)
        assert loop.time() - began < 20


def _text(openid: str) -> str:
    return message(openid, "text", Content="还在吗")


async def _more(stream: aiohttp.ClientResponse) -> bool:
    try:
        return bool(await asyncio.wait_for(stream.content.readany(), 5))
    except TimeoutError:
        return True


# -- passwords -------------------------------------------------------------------------------------------
async def test_a_wrong_password_and_an_unknown_name_read_the_same(desk: Office) -> None:
    await set_password(desk, "rep")

    wrong = await sign_in(desk, password="wrong-password-1")
    unknown = await sign_in(desk, name="nobody")
    passwordless = await sign_in(desk, name="peer", password="")

    assert [a.status for a in (wrong, unknown, passwordless)] == [401, 401, 401]
    texts = {a.text.replace("nobody", "rep").replace("peer", "rep") for a in (wrong, unknown, passwordless)}
    assert len(texts) == 1
    assert not any(a.cookies for a in (wrong, unknown, passwordless))


async def test_ten_wrong_passwords_lock_the_login_even_when_they_come_at_once(desk: Office) -> None:
    await set_password(desk, "rep")

    await asyncio.gather(*(sign_in(desk, password=f"wrong-password-{n}") for n in range(10)))

    assert (await sign_in(desk)).status == 401
    async with desk.service.house.db.begin(TENANT) as conn:
        later = utcnow() + timedelta(minutes=16)
        hashed = await staff.hash_of(conn, "rep")
        found = await staff.check_in(conn, "rep", good=True, hashed=hashed, now=later)
        assert found == desk.staff_ids["rep"]


async def test_checking_a_password_does_not_hold_up_callbacks(desk: Office) -> None:
    # Both hands full of passwords, held by a lock we open: the writer and the loop must still be free.
    gate, running = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def held() -> None:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()

    running = [loop.run_in_executor(staff._hashing, held) for _ in range(2)]  # noqa: SLF001
    waiting = asyncio.create_task(sign_in(desk))
    try:
        await desk.hear("oa-a", "oNotHeldUp000000000000000001", "你好")
        assert not waiting.done()
    finally:
        gate.set()
    await asyncio.gather(*running)
    assert (await waiting).status == 401


# -- other sites -----------------------------------------------------------------------------------------
WRITES = ("/logout", "/me/prefs", "/login", "/s/c/{cid}/send", "/s/c/{cid}/sent")
#: Headers of a request another site made a browser send, or of one that says nothing about where it is from.
FOREIGN = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "{own}"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "{own}.evil.example"},
    {"Origin": "https://evil.example/{host}"},
    {},
)


async def test_a_form_of_another_site_changes_nothing(desk: Office) -> None:
    await set_password(desk, "rep")
    await desk.hear("oa-a", "oForeign00000000000000000001", "你好")
    cid = await desk.cid("oa-a")
    host = desk.url.removeprefix("http://")
    cookie = {"Cookie": f"scrm={desk.sessions['rep']}"}
    form = {"name": "rep", "password": PASSWORD, "key": "k" * 24, "text": "伪造的话", "theme": "dark"}

    for headers in FOREIGN:
        sent = {name: value.format(own=desk.url, host=host) for name, value in headers.items()}
        for path in WRITES:
            answer = await desk.bare("POST", path.format(cid=cid), data=form, headers=sent | cookie)
            assert (answer.status, list(answer.cookies)) == (403, []), (path, headers)

    page = await desk.ask("GET", f"/inbox/{cid}", who="rep")
    assert page.status == 200
    assert "伪造的话" not in page.text
    assert 'data-theme="dark"' not in page.text


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "{own}"}], ids=str)
async def test_our_own_form_is_taken(desk: Office, headers: dict[str, str]) -> None:
    sent = {name: value.format(own=desk.url) for name, value in headers.items()}

    answer = await desk.ask("POST", "/me/prefs", who="rep", data={"theme": "dark"}, headers=sent)

    assert answer.status == 303
    assert 'data-theme="dark"' in (await desk.ask("GET", "/me/prefs", who="rep")).text


# -- where to go afterwards --------------------------------------------------------------------------------
ELSEWHERE = (
    "https://evil.example/",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "/inbox\\..\\evil",
    "javascript:alert(1)",
    "data:text/html,x",
    "http:evil.example",
    "evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nSet-Cookie: x=y",
    "\x00/evil",
    " //evil.example",
    "/\u2028/evil",
    "",
)


async def test_no_parameter_sends_the_browser_to_another_site(desk: Office) -> None:
    await set_password(desk, "rep")
    for where in ELSEWHERE:
        entered = await sign_in(desk, next=where)
        page = Page((await desk.bare("GET", "/login", params={"next": where})).text)
        prefs = Page((await desk.ask("GET", "/me/prefs", who="rep", params={"back": where})).text)

        assert entered.where == "/inbox", repr(where)
        assert [a["value"] for t, a in page.elements if a.get("name") == "next"] == ["/inbox"]
        assert [a["value"] for t, a in prefs.elements if a.get("name") == "back"] == ["/inbox"]
        assert all(href.startswith(("/", "#")) for href in prefs.values("a", "href"))


@pytest.mark.parametrize("where", ["/s/c/x?tab=timeline", "/inbox?filter=mine", "/客户"])
def test_our_own_paths_are_kept(where: str) -> None:
    assert inside(where) == where


TAILS = ("//evil.example", "/\\evil.example", "@evil.example/", ".evil.example/", ":1@evil.example/")


async def test_a_send_returns_to_a_page_of_ours_whatever_the_referer_says(desk: Office) -> None:
    await desk.hear("oa-a", "oReferer00000000000000000001", "你好")
    cid = await desk.cid("oa-a")
    form = {"key": "key-of-this-form", "text": "您好"}
    for tail in TAILS:
        for referer in (desk.url + tail, f"https://evil.example/{desk.url.removeprefix('http://')}{tail}"):
            headers = {"Referer": referer}
            answer = await desk.ask("POST", f"/s/c/{cid}/send", who="rep", data=form, headers=headers)
            assert answer.status == 303
            target = URL(desk.url).join(URL(answer.where))
            assert str(target.origin()) == desk.url, (referer, answer.where)


async def test_a_visitor_who_must_sign_in_first_comes_back_to_where_they_wanted(desk: Office) -> None:
    answer = await desk.bare("GET", "/inbox?filter=mine")

    assert answer.where == "/login?next=" + quote("/inbox?filter=mine", safe="")


# -- through the vendor ------------------------------------------------------------------------------------
@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(replace(configured(tmp_path), port=0), people=2) as made:
        yield made


class Browser:
    """Follows redirects one at a time, with its own cookies."""

    def __init__(self) -> None:
        self.http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    async def go(self, url: str | URL) -> tuple[int, str]:
        async with self.http.get(url, allow_redirects=False) as answer:
            await answer.read()
            return answer.status, answer.headers.get("Location", "")

    async def through_the_door(self, stage: Stage, *, where: str = "/inbox", who: str = "") -> str:
        """As far as the vendor's redirect back to us."""
        _, vendor = await self.go(URL(f"{stage.url}/auth/school/door") % {"next": where})
        _, back = await self.go(
            URL(vendor).with_fragment(None) % {"auto": who or stage.world.staff[0].userid}
        )
        return back


async def test_a_member_signs_in_through_the_vendor_and_lands_where_they_wanted(stage: Stage) -> None:
    async with Browser() as browser:
        back = await browser.through_the_door(stage, where="/s")

        assert back.startswith(f"{stage.url}/auth/school/back?")
        assert await browser.go(back) == (303, "/s")
        assert (await browser.go(f"{stage.url}/s"))[0] == 200


async def test_a_returned_sign_in_works_once(stage: Stage) -> None:
    async with Browser() as browser:
        back = await browser.through_the_door(stage)
        door = {c.key: c.value for c in browser.http.cookie_jar}["scrm_door"]
        assert (await browser.go(back))[0] == 303
        browser.http.cookie_jar.clear()
        browser.http.cookie_jar.update_cookies({"scrm_door": door}, URL(stage.url))

        again = await browser.go(back)

        assert again[1].startswith("/login")
        assert "scrm" not in {c.key for c in browser.http.cookie_jar}


async def test_a_sign_in_started_in_another_browser_is_refused(stage: Stage) -> None:
    async with Browser() as attacker, Browser() as victim:
        back = await attacker.through_the_door(stage)

        assert (await victim.go(back))[1].startswith("/login")
        await victim.through_the_door(stage)
        assert (await victim.go(back))[1].startswith("/login")
        assert "scrm" not in {c.key for c in victim.http.cookie_jar}


async def test_a_sign_in_that_took_longer_than_five_minutes_is_refused(stage: Stage) -> None:
    async with Browser() as browser:
        back = await browser.through_the_door(stage)
        async with stage.service.house.db.begin(TENANT) as conn:
            late = utcnow() - timedelta(seconds=1)
            await conn.run(staff_store.oauth_state.update().values(expires_at=late))

        assert (await browser.go(back))[1].startswith("/login")


async def test_a_forged_state_or_code_signs_nobody_in(stage: Stage) -> None:
    for spoilt in ({"state": ""}, {"state": "x" * 32}, {"state": "é"}, {"code": ""}, {"code": "made-up"}):
        async with Browser() as browser:
            back = URL(await browser.through_the_door(stage)).update_query(spoilt)

            status, where = await browser.go(back)

            assert (status, where.startswith("/login")) == (303, True), spoilt
            assert "scrm" not in {c.key for c in browser.http.cookie_jar}


async def test_a_customer_who_comes_through_the_members_door_stays_outside(stage: Stage) -> None:
    customer = f"customer:{stage.world.personas[0].number}"
    async with Browser() as browser:
        back = await browser.through_the_door(stage, who=customer)

        assert (await browser.go(back))[1].startswith("/login")
        assert "scrm" not in {c.key for c in browser.http.cookie_jar}


async def test_a_state_lives_as_long_as_promised(desk: Office) -> None:
    house, now = desk.service.house, utcnow()
    account_id = house.directory.by_slug("corp").account.account_id
    async with house.db.begin(TENANT) as conn:
        state = await staff.open_door(conn, account_id, "/inbox", now=now)
        row = await conn.row(staff_store.oauth_state.select())

    assert row is not None
    assert row.expires_at - now == timedelta(minutes=5)
    assert state.encode() not in bytes(row.state_hash)


async def test_accounts_that_admit_nobody_have_no_door(desk: Office) -> None:
    assert (await desk.bare("GET", "/auth/oa-a/door")).status == 404
    assert (await desk.bare("GET", "/auth/unknown/door")).status == 404
    assert (await desk.bare("GET", "/auth/unknown/back")).status == 404
