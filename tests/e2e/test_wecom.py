"""Inside WeCom: a fake client that checks the page's signatures before it answers, as the real one does."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientSession
from playwright.async_api import BrowserContext, Page, expect

from connectors.kit.world import Persona
from tests.e2e.floor import CHEN, LIN, WECOM, ZHOU, Floor, ready_card, row, texts, words_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/107.0.5304.110 Safari/537.36 wxwork/{version} MicroMessenger/7.0.1 Language/zh ColorScheme/Light"
)
_BRIDGE = """
window.WeixinJSBridge = {
  invoke: (name, given, done) =>
    window.fakeWeCom(name, JSON.stringify(given)).then((answer) => answer && done(answer)),
};
"""
FACES = {"preVerifyJSAPI": "corp", "agentConfig": "agent"}


@dataclass
class Client:
    """The WeCom app around the page: whose chat is open, and how it treats `sendChatMessage`."""

    platform: str
    corp_id: str
    member: str
    persona: Persona
    entry: str = "single_chat_tools"
    #: What `sendChatMessage` says; None waits for `answer` to be set.
    verdict: str | None = "ok"
    late: asyncio.Event = field(default_factory=asyncio.Event)
    #: Scope of each signature the platform confirmed, and of each it refused.
    signed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    async def invoke(self, source: dict[str, Any], name: str, given: str) -> dict[str, Any] | None:
        self.calls.append(name)
        asked = json.loads(given)
        if name in FACES:
            return await self._verify(name, source["frame"].url, asked)
        if "agent" not in self.signed:
            return {"err_msg": f"{name}:fail no permission to execute"}
        if name == "getContext":
            return {"err_msg": "getContext:ok", "entry": self.entry}
        if name == "getCurExternalContact":
            return {"err_msg": f"{name}:ok", "userId": self.persona.external_userid(self.corp_id)}
        return await self._chat(name, asked["text"]["content"])

    async def _verify(self, name: str, url: str, asked: dict[str, Any]) -> dict[str, Any]:
        names = ("verifyTimestamp", "verifyNonceStr", "verifySignature")
        names = names if name == "preVerifyJSAPI" else ("timestamp", "nonceStr", "signature")
        body = dict(zip(("timestamp", "nonceStr", "signature"), (str(asked[n]) for n in names), strict=True))
        told = await self._post("verify", {"scope": FACES[name], "url": url, **body})
        (self.signed if told["ok"] else self.refused).append(FACES[name])
        return {"err_msg": f"{name}:ok" if told["ok"] else f"{name}:fail invalid signature"}

    async def _chat(self, name: str, text: str) -> dict[str, Any] | None:
        if self.verdict is None:
            await self.late.wait()
        elif self.verdict != "ok":
            return {"err_msg": f"{name}:fail {self.verdict}"}
        who = {"external_userid": self.persona.external_userid(self.corp_id), "userid": self.member}
        await self._post("chat", {**who, "text": text})
        return {"err_msg": f"{name}:ok"}

    async def _post(self, what: str, body: dict[str, str]) -> dict[str, Any]:
        async with (
            ClientSession() as http,
            http.post(f"{self.platform}/sim/{what}", json=body) as answer,
        ):
            assert answer.status == 200
            told: dict[str, Any] = await answer.json()
            return told


async def _inside(
    house: Floor, persona: Persona, member: str = LIN, *, version: str = "5.0.11", **options: Any
) -> tuple[Client, BrowserContext]:
    """The desk of `member` inside WeCom, in the chat with `persona`."""
    wecom: Any = house.stage.world.outlets[WECOM]
    client = Client(
        platform=house.stage.platforms[WECOM],
        corp_id=wecom.corp_id,
        member=member,
        persona=persona,
    )
    shown = {"user_agent": AGENT.format(version=version), "viewport": {"width": 360, "height": 640}}
    desk = await house.desk(member, **shown, **options)
    await desk.expose_binding("fakeWeCom", client.invoke)
    await desk.add_init_script(_BRIDGE)
    return client, desk


async def _friend(house: Floor, member: str = LIN) -> Persona:
    """A customer who is a friend of the member, and said something elsewhere so that there is advice."""
    person = house.customer()
    await house.befriends(person, member)
    return person


async def _booted(page: Page, persona: Persona) -> None:
    await page.goto("/s?agent=school")
    await expect(page.locator("#customer h2", has_text=persona.name)).to_be_visible()


async def _edited(page: Page, text: str) -> None:
    """A friend in WeCom says nothing we can read, so the words are the rep's own."""
    await page.evaluate(
        """text => {
          const cid = document.querySelector('#customer').dataset.cid;
          const form = document.querySelector('#sheet form');
          form.action = `/s/c/${cid}/sent`;
          form.dataset.send = 'jssdk';
          form.elements.text.value = text;
          form.requestSubmit();
        }""",
        text,
    )


@pytest.mark.parametrize(
    ("version", "scopes"), [("5.0.11", {"agent"}), ("3.0.16", {"agent", "corp"})], ids=["new", "old"]
)
async def test_the_page_proves_itself_to_wecom_and_shows_whose_chat_is_open(
    house: Floor, version: str, scopes: set[str]
) -> None:
    person = await _friend(house)
    client, desk = await _inside(house, person, version=version)
    page = await desk.new_page()

    await _booted(page, person)

    assert set(client.signed) == scopes
    assert client.refused == []
    assert await page.locator("html.sdk").count() == 1


async def test_a_signature_for_another_address_opens_nothing(house: Floor) -> None:
    """The control: the fake client does refuse."""
    person = await _friend(house)
    client, desk = await _inside(house, person)
    page = await desk.new_page()

    async def moved(route: Any) -> None:
        answer = await route.fetch(url=f"{house.url}/s?agent=school&from=elsewhere")
        await route.fulfill(response=answer)

    await page.route("**/s?agent=school", moved)
    await page.goto("/s?agent=school")

    await expect(page.locator("#finding")).to_contain_text("没能从企业微信得到当前客户")
    assert client.refused
    assert client.signed == []
    assert await page.locator("#customer[data-cid]").count() == 0
    # The SDK itself leaves the refusal of its own `agentConfig` unhandled.
    assert house.complaints == ["Object"]
    house.complaints.clear()


async def test_what_wecom_sent_is_recorded_as_sent_but_unconfirmed(house: Floor) -> None:
    person = await _friend(house)
    client, desk = await _inside(house, person)
    page = await desk.new_page()
    await _booted(page, person)

    await _edited(page, "明天下午三点给您回电话。")

    await expect(page.locator("#out [data-state=unconfirmed]")).to_have_count(1)
    await expect(page.locator("#out")).to_contain_text("已发送 · 未确认")
    assert house.got(person, "明天下午三点给您回电话。") == 1
    assert client.calls.count("sendChatMessage") == 1
    await page.get_by_role("tab", name="时间线").click()
    await expect(page.locator("#tl > li.out [data-state=unconfirmed]")).to_have_count(1)
    assert (await texts(page, "#tl")).count("明天下午三点给您回电话。") == 1


async def test_when_wecom_refuses_the_reason_is_shown_and_the_text_can_be_copied(house: Floor) -> None:
    person = await _friend(house)
    client, desk = await _inside(house, person, permissions=["clipboard-read", "clipboard-write"])
    client.verdict = "without context of external contact"
    page = await desk.new_page()
    await _booted(page, person)

    await _edited(page, "课程表发您了。")

    bubble = page.locator("#out > li", has_text="课程表发您了。")
    await expect(bubble).to_contain_text("企业微信没有让发送：without context of external contact")
    await bubble.get_by_role("button", name="复制").click()
    await expect(page.locator("#toast")).to_contain_text("已复制")
    assert await page.evaluate("navigator.clipboard.readText()") == "课程表发您了。"
    assert house.got(person, "课程表发您了。") == 0
    await page.reload()
    await expect(page.locator("#customer h2", has_text=person.name)).to_be_visible()
    await page.get_by_role("tab", name="时间线").click()
    await expect(page.locator("#tl")).to_be_visible()
    assert "课程表发您了。" not in await texts(page, "#tl")


async def test_wecom_that_never_answers_leaves_it_unknown_and_a_late_answer_settles_it(house: Floor) -> None:
    person = await _friend(house)
    client, desk = await _inside(house, person)
    client.verdict = None
    page = await desk.new_page()
    await page.clock.install()
    await _booted(page, person)

    await _edited(page, "资料已经发您邮箱。")
    await expect(page.locator("#out [data-state=sending]")).to_have_count(1)
    await page.clock.fast_forward(10_100)

    await expect(page.locator("#out [data-state=unknown]")).to_have_count(1)
    await expect(page.locator("#out")).to_contain_text("可能已发送")
    await expect(page.locator("#out").get_by_role("button", name="复制")).to_be_visible()
    client.late.set()
    await expect(page.locator("#out [data-state=unconfirmed]")).to_have_count(1)
    await expect(page.locator("#out > li", has_text="资料已经发您邮箱。")).to_have_count(1)
    assert house.got(person, "资料已经发您邮箱。") == 1


async def test_a_colleagues_customer_is_refused_in_words_and_nothing_leaks(house: Floor) -> None:
    person = await _friend(house, ZHOU)
    theirs = await (await house.desk(ZHOU)).new_page()
    await theirs.goto("/inbox")
    theirs_row = row(theirs, person)
    await expect(theirs_row).to_have_count(1)
    cid = str(await theirs_row.get_attribute("href")).rpartition("/")[2]
    client, desk = await _inside(house, person, CHEN)
    page = await desk.new_page()

    await page.goto("/s?agent=school")

    await expect(page.locator("#customer")).to_contain_text("这位客户由别的同事跟进，你现在不能查看。")
    for secret in (person.name, cid, client.persona.external_userid(client.corp_id), person.unionid):
        assert secret not in await page.content()
    for path in (f"/s/c/{cid}", f"/s/c/{cid}/timeline", f"/inbox/{cid}", f"/inbox/{cid}/bubbles"):
        answer = await desk.request.get(path)
        assert answer.status == 404
        assert person.name not in await answer.text()


async def test_a_customer_nobody_has_heard_of_is_a_sentence_not_an_error(house: Floor) -> None:
    stranger = house.customer()
    _, desk = await _inside(house, stranger)
    page = await desk.new_page()

    await page.goto("/s?agent=school")

    await expect(page.locator("#customer")).to_contain_text("还没有这位客户的记录")


async def test_an_entry_without_a_customer_lists_the_conversations(house: Floor) -> None:
    person = await _friend(house)
    client, desk = await _inside(house, person)
    client.entry = "normal"
    page = await desk.new_page()

    await page.goto("/s?agent=school")

    await expect(row(page, person)).to_be_visible()
    assert "getCurExternalContact" not in client.calls


async def test_inside_wecom_a_channel_of_ours_is_still_sent_by_its_api(house: Floor) -> None:
    """The customer talks to the Official Account: its API sends, the SDK is not asked."""
    person = house.customer()
    client, desk = await _inside(house, person)
    page = await desk.new_page()
    await house.opened(page, person, "这个价格太贵了，能便宜点吗？")
    cid = page.url.rpartition("/")[2]
    await page.goto(f"/s/c/{cid}?agent=school")
    card = ready_card(page)
    said = await words_of(card)

    await card.locator("button[data-primary]:visible").click()

    await expect(page.locator("#out [data-state=sent]")).to_have_count(1)
    assert house.got(person, said) == 1
    assert "sendChatMessage" not in client.calls


async def test_outside_wecom_a_friends_cards_offer_the_clipboard_instead(house: Floor) -> None:
    person = await _friend(house)
    desk = await house.desk()
    page = await desk.new_page()
    await page.goto("/inbox")
    await row(page, person).click()

    await expect(page.locator("#composer-closed")).to_contain_text("只能由你本人在企业微信里发出")
    await expect(page.locator("#say")).to_be_disabled()
    assert await page.locator("button.sdk:visible").count() == 0
