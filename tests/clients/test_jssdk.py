"""The SDK of the chat app as its authors published it, in Chromium, with the signatures of our pages.

Our own bundle of it is tested in tests/e2e/test_wecom.py; here it does not run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Error, Page

from tests.e2e.floor import LIN, WECOM, Floor, floor
from tests.e2e.test_wecom import AGENT, Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

_BRIDGE = """
window.WeixinJSBridge = {
  invoke: (name, given, done) =>
    window.fakeWeCom(name, JSON.stringify(given)).then((answer) => answer && done(answer)),
};
"""
_READ = "() => JSON.parse(document.getElementById('boot').textContent)"
_ASK = """async (boot) => {
  const sign = (scope) => {
    const found = boot.signatures.find((s) => s.scope === scope);
    return { ...found, nonceStr: found.nonce };
  };
  ww.register({
    corpId: sign("agent").app_id,
    agentId: sign("agent").agent_id,
    jsApiList: ["getContext", "getCurExternalContact"],
    getConfigSignature: () => sign("corp"),
    getAgentConfigSignature: () => sign("agent"),
  });
  return (await ww.getCurExternalContact()).userId;
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Floor]:
    async with floor(tmp_path_factory.mktemp("floor")) as made:
        yield made
        await made.close()


async def inside(house: Floor, node: Path, version: str) -> tuple[Client, Page]:
    """A page in the chat app, with nothing of ours running in it but what the server wrote."""
    wecom: Any = house.stage.world.outlets[WECOM]
    client = Client(
        platform=house.stage.platforms[WECOM], corp_id=wecom.corp_id, member=LIN, persona=house.customer()
    )
    desk = await house.desk(LIN, user_agent=AGENT.format(version=version))
    await desk.expose_binding("fakeWeCom", client.invoke)
    await desk.add_init_script(_BRIDGE)
    published = node / "node_modules" / "@wecom" / "jssdk" / "dist" / "wecom.global.prod.js"
    # Its `var ww` is the page's; an init script has a scope of its own.
    await desk.add_init_script(f"{published.read_text('utf-8')}\nwindow.ww = ww;")
    await desk.route("**/static/**/*.js", lambda route: route.abort())
    return client, await desk.new_page()


@pytest.mark.parametrize(
    ("version", "scopes"), [("5.0.11", {"agent"}), ("3.0.16", {"agent", "corp"})], ids=["new", "old"]
)
async def test_our_signatures_open_the_chat_app_to_the_published_sdk(
    house: Floor, node: Path, version: str, scopes: set[str]
) -> None:
    client, page = await inside(house, node, version)
    await page.goto("/s?agent=school")

    who = await page.evaluate(_ASK, await page.evaluate(_READ))

    assert who == client.persona.external_userid(client.corp_id)
    assert set(client.signed) == scopes
    assert client.refused == []


async def test_signatures_of_another_page_open_nothing(house: Floor, node: Path) -> None:
    client, page = await inside(house, node, "5.0.11")
    await page.goto("/s?agent=school")
    elsewhere = await page.evaluate(_READ)
    await page.goto("/s?agent=school&other=1")

    with pytest.raises(Error):
        await page.evaluate(_ASK, elsewhere)

    assert client.signed == []
    assert client.refused == ["agent"]
