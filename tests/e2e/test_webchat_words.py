"""Words, names and files that would run if anybody let them: in the widget none does."""

from __future__ import annotations

import pytest
from playwright.async_api import FilePayload, Page, expect

from tests.e2e.floor import Floor
from tests.e2e.test_webchat import _answer, _come, _opened, _said, _say
from tests.security.test_scripts_in_words import VECTORS

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAYABLE = [v for v in VECTORS if "\x00" not in v]
TAGS = {"DIV", "SPAN", "TIME", "BUTTON", "EM", "A", "IMG"}
#: Every element of the talk, its handlers and addresses, as the browser built them.
BUILT = """() => {
  const talk = document.querySelector('[data-scrm-chat]').shadowRoot.querySelectorAll('.msg, .msg *');
  return [...talk].map((e) => ({
    tag: e.tagName,
    runs: [...e.attributes].map((a) => a.name).filter((n) => /^on|^srcdoc$|^style$/.test(n)),
    to: [e.getAttribute('href'), e.getAttribute('src')].filter((u) => u && !u.startsWith('blob:')),
  }));
}"""


async def _assert_inert(page: Page) -> None:
    built = await page.evaluate(BUILT)
    assert built
    assert {e["tag"] for e in built} <= TAGS
    assert [e for e in built if e["runs"] or e["to"]] == []


async def test_what_either_side_writes_is_text_in_the_widget(house: Floor) -> None:
    _, page = await _come(house)
    ran: list[str] = []
    page.on("dialog", lambda dialog: ran.append(dialog.message))
    await _say(page, "向量 " + SAYABLE[0])
    rep = await _opened(house, "向量 " + SAYABLE[0])
    rep.on("dialog", lambda dialog: ran.append(dialog.message))

    # A rep's own words with a gap of a template in them are held back before they are sent.
    ours = [vector for vector in SAYABLE if "{{" not in vector]
    await _answer(rep, "回答\n" + "\n".join(ours))
    await expect(_said(page, "回答")).to_have_count(1)
    for vector in [*SAYABLE[1:4], *(v for v in SAYABLE if v not in ours)]:
        await _say(page, vector)
    markup = "<img src=x onerror=alert(1)>.html"
    file = FilePayload(name=markup, mimeType="image/png", buffer=b"<script>alert(1)</script>")
    await page.locator("#pick").set_input_files(file)
    await expect(_said(page, markup)).to_have_count(1)
    await page.reload()
    await page.locator(".knob").click()
    await expect(_said(page, "回答")).to_have_count(1)

    said = await _said(page, "回答").locator(".say").text_content() or ""
    assert [v for v in ours if " ".join(v.split()) not in " ".join(said.split())] == []
    await _assert_inert(page)
    assert ran == []


async def test_the_check_itself_finds_what_it_looks_for(house: Floor) -> None:
    _, page = await _come(house)
    await _say(page, "控制")
    await expect(_said(page, "控制")).to_have_count(1)
    await page.evaluate(
        "() => { const root = document.querySelector('[data-scrm-chat]').shadowRoot;"
        " root.querySelector('.msg .say').innerHTML = '<a href=javascript:alert(1)>x</a>'; }"
    )

    with pytest.raises(AssertionError):
        await _assert_inert(page)
