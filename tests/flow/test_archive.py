"""What is said in WeCom itself, by way of the archive: on the customer's timeline, once, with its files."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from connectors.kit.platform import PLATFORM
from connectors.kit.world import Persona, Staff
from connectors.wecom_archive import simulator
from connectors.wecom_archive.simulator import Archive
from scrm.accounts import service as accounts
from scrm.app import TENANT
from scrm.contract import Account
from scrm.db import utcnow
from scrm.identity import service as identity
from scrm.push import service as push
from scrm.push.service import Word
from scrm.staff import service as staff
from scrm.staff import store as staff_store
from scrm.timeline.store import conversations
from scrm.web.serving import listening
from tests.chaos.harness import AES_KEY, TOKEN
from tests.flow.stage import CORP_ID, WECOM, Stage
from tests.ground import handle

ARCHIVE = "school-archive"
OLD_KEY, NEW_KEY = simulator.fresh_keys(1), simulator.fresh_keys(2)


@pytest.fixture
async def archive(stage: Stage) -> AsyncIterator[Archive]:
    """A running archive of the same company, which calls back; of its two keys we have the old one."""
    url = stage.service.house.settings.url
    secrets = {"secret": "archive", "token": TOKEN, "aes_key": AES_KEY, "private_keys": OLD_KEY}
    options = {"corp_id": CORP_ID, "library": "simulator"}
    theirs = Account(
        tenant_id=TENANT, account_id=0, slug=ARCHIVE, channel="wecom_archive", name="存档",
        options=options, secrets=secrets,
    )  # fmt: skip
    app = simulator.simulate(stage.world, theirs, f"{url}/hooks/{ARCHIVE}")
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(listening(app, "127.0.0.1", 0))
        given = {"slug": ARCHIVE, "channel": "wecom_archive", **options, **secrets}
        await enlist(stage, given | {"api_base": f"http://127.0.0.1:{port}"})
        found = app[PLATFORM]
        assert isinstance(found, Archive)
        found.retry_s = 0
        yield found


async def enlist(stage: Stage, given: dict[str, Any]) -> None:
    house = stage.service.house
    async with house.db.begin(TENANT) as conn:
        await accounts.add(conn, given, now=utcnow())
    async with house.db.read(TENANT) as conn:
        await house.directory.load(conn)


async def hired(stage: Stage, member: Staff) -> int:
    async with stage.service.house.db.begin(TENANT) as conn:
        ident = await staff.add(conn, login=member.userid.lower(), name=member.name, role="rep", now=utcnow())
        await staff_store.bind(conn, CORP_ID, member.userid, ident)
        return ident


async def noted(stage: Stage, persona: Persona, staff_id: int, text: str) -> None:
    """As the side bar does once WeCom has said that it sent the words."""
    house = stage.service.house
    async with house.db.begin(TENANT) as conn:
        who = handle(persona.external_userid(CORP_ID), kind="wecom_external", scope=CORP_ID)
        node_id = await identity.find(conn, who)
        assert node_id is not None
        plugged = next(p for p in house.directory.all(TENANT) if p.account.slug == WECOM)
        talks = await conversations.of_nodes(conn, [node_id])
        talk = next(t for t in talks if t.account_id == plugged.account.account_id)
        word = Word(key=f"js-{text}", text=text, staff_id=staff_id)
        await push.record(conn, plugged, talk, word, certain=True, now=utcnow())


async def story(stage: Stage, event: dict[str, Any]) -> list[str]:
    """What was said with this person, oldest first."""
    found = await stage.api.all(f"persons/{event['person_id']}/timeline")
    said = [e["text"] for e in reversed(found) if e["kind"].startswith("message.")]
    return [text for text in said if not text.startswith("家长您好，欢迎！")]


async def test_the_welcome_is_in_the_archive_too_and_shows_once(stage: Stage, archive: Archive) -> None:
    mother, lin = stage.persona("wechat_oa"), stage.world.staff[0]
    await stage.wecom.add(mother, lin)
    welcome = await stage.world.arrival(mother)
    await stage.quiet()

    await archive.staff_says(lin, mother, welcome.text)
    await archive.tell(mother, lin, "老师好")

    event = await stage.event("老师好", account=ARCHIVE)
    found = await stage.api.all(f"persons/{event['person_id']}/timeline")
    assert [e["text"] for e in found].count(welcome.text) == 1


async def test_a_talk_in_wecom_is_on_the_timeline_of_the_customer_we_know(
    stage: Stage, archive: Archive
) -> None:
    mother, lin = stage.persona("wechat_oa"), stage.world.staff[0]
    await stage.wecom.add(mother, lin)
    await stage.quiet()
    await archive.tell(mother, lin, "周六的课能改到周日吗？")
    await archive.staff_says(lin, mother, "可以的")

    answer = await stage.event("可以的", account=ARCHIVE)

    assert answer["direction"] == "out"
    assert await story(stage, answer) == ["周六的课能改到周日吗？", "可以的"]
    contact = next(
        e for e in await stage.api.all("events", account=WECOM) if e["kind"] == "event.contact.added"
    )
    assert contact["person_id"] == answer["person_id"]


@pytest.mark.parametrize("note_first", [True, False])
async def test_what_the_rep_sent_from_the_side_bar_is_confirmed_and_shows_once(
    stage: Stage, archive: Archive, note_first: bool
) -> None:
    mother, lin = stage.persona("wechat_oa"), stage.world.staff[0]
    me = await hired(stage, lin)
    await stage.wecom.add(mother, lin)
    await stage.quiet()
    if note_first:
        await noted(stage, mother, me, "已经帮您改好了")
        assert await stage.delivery("已经帮您改好了", among={"unconfirmed"})
        await archive.staff_says(lin, mother, "已经帮您改好了")
    else:
        await archive.staff_says(lin, mother, "已经帮您改好了")
        await stage.event("已经帮您改好了", account=ARCHIVE)
        await noted(stage, mother, me, "已经帮您改好了")

    assert await stage.delivery("已经帮您改好了", among={"sent"}) == "sent"
    await stage.quiet()
    shown = await stage.event("已经帮您改好了", account=WECOM)
    assert await story(stage, shown) == ["已经帮您改好了"]


async def test_a_picture_waits_to_be_fetched_with_its_checksum(stage: Stage, archive: Archive) -> None:
    mother, lin = stage.persona("wechat_oa"), stage.world.staff[0]
    await archive.show(mother, lin, "作业.jpg", b"\xff\xd8\xff" + bytes(1000))

    await stage.event("[图片]", account=ARCHIVE)

    ((kind, size, md5),) = await stage.rows("SELECT kind, size, md5 FROM event_media")
    assert (kind, size, len(md5)) == ("image", 1003, 32)


async def test_what_waited_for_a_key_is_there_after_the_key_and_a_replay(
    stage: Stage, archive: Archive
) -> None:
    mother, lin = stage.persona("wechat_oa"), stage.world.staff[0]
    archive.account = Account(
        **{n: getattr(archive.account, n) for n in ("tenant_id", "account_id", "slug", "channel", "name")},
        options=archive.account.options,
        secrets={**archive.account.secrets, "private_keys": NEW_KEY},
    )
    await archive.tell(mother, lin, "换了密钥以后的第一句")
    (waiting,) = await stage.api.until(lambda: quarantined(stage), "the sealed message in quarantine")
    assert waiting["error"].startswith("缺少版本 2 的私钥")

    (own,) = (p for p in stage.service.house.directory.all(TENANT) if p.account.slug == ARCHIVE)
    given = {"slug": ARCHIVE, "channel": "wecom_archive", **own.account.options, **own.account.secrets}
    await enlist(stage, given | {"private_keys": f"{OLD_KEY}\n{NEW_KEY}"})
    status, _ = await stage.api.post("inbox/replay", {"ids": [waiting["id"]]}, "again")

    assert status == 200
    assert (await stage.event("换了密钥以后的第一句", account=ARCHIVE))["direction"] == "in"
    await stage.quiet()
    assert await quarantined(stage) == []
    left = await stage.rows("SELECT payload FROM due WHERE kind = 'poll'")
    assert not any("again" in json.dumps(str(payload)) for (payload,) in left)


async def quarantined(stage: Stage) -> list[dict[str, Any]]:
    return await stage.api.all("inbox", state="quarantined")
