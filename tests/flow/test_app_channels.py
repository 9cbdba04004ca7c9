"""Official Account, mini-program and app chat together: one person, replies, pictures, edits and recalls."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from connectors.kit.platform import Upload
from connectors.kit.signed import SIGNATURE, TIMESTAMP, signature
from connectors.kit.world import Persona
from connectors.miniprogram.simulator import MiniProgram
from connectors.tim.simulator import InstantMessaging, user_id
from tests.chaos.harness import APP_ID, SECRET
from tests.flow.stage import OA, Stage, staged

MINI, IM, MINI_ID = "school-mini", "school-app", "wx7c8d593b2f0a4e61"
CHANNELS = {
    OA: ("wechat_oa", {"app_id": APP_ID}),
    MINI: ("miniprogram", {"app_id": MINI_ID, "users": "school"}),
    IM: ("tim", {"sdk_app_id": "1400000001", "admin": "administrator", "agents": "kf_*", "users": "school"}),
}

#: The smallest picture: one grey dot.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)


@pytest.fixture
async def stage(tmp_path: Path, service_url: str) -> AsyncIterator[Stage]:
    async with staged(tmp_path, service_url, channels=CHANNELS) as made:
        yield made


@pytest.fixture
def person(stage: Stage) -> Persona:
    return stage.world.personas[0]


def im_of(stage: Stage) -> InstantMessaging:
    return cast(InstantMessaging, stage.world.outlets[IM])


async def log_in(stage: Stage, person: Persona, **more: str) -> int:
    """The mini-program's own server tells who logged in."""
    told = {"openid": person.openid(MINI_ID), "unionid": person.unionid, "app_user": user_id(person), **more}
    body, stamp = json.dumps(told).encode(), str(int(time.time()))
    headers = {TIMESTAMP: stamp, SIGNATURE: signature(SECRET, stamp, body)}
    url = f"{stage.api.url}/hooks/{MINI}/login"
    async with stage.api.http.post(url, data=body, headers=headers) as answer:
        return answer.status


async def told(stage: Stage) -> list[list[str]]:
    """What each person said; the vendors tell whole seconds, so in no order."""
    persons = await stage.api.all("persons")
    lines = [await stage.api.all(f"persons/{p['id']}/timeline") for p in persons]
    return sorted(sorted(e["text"] for e in events if e["direction"] == "in") for events in lines)


async def test_a_login_of_the_mini_program_makes_three_channels_one_person(
    stage: Stage, person: Persona
) -> None:
    other = stage.world.personas[1]
    await stage.hear(person, OA, "公众号里问一句")
    await stage.hear(person, MINI, "小程序里问一句")
    await stage.hear(person, IM, "App 里问一句")
    await stage.hear(other, IM, "我是别人")
    assert len(await told(stage)) == 4

    assert [await log_in(stage, person, phone="13600010002") for _ in range(2)] == [200, 200]
    await stage.quiet()

    assert await told(stage) == [["App 里问一句", "公众号里问一句", "小程序里问一句"], ["我是别人"]]
    assert (await stage.kinds(MINI)).count("event.login") == 1


async def test_a_forged_login_changes_nothing(stage: Stage, person: Persona) -> None:
    url = f"{stage.api.url}/hooks/{MINI}/login"
    body, stamp = json.dumps({"openid": person.openid(MINI_ID)}).encode(), str(int(time.time()))
    headers = {TIMESTAMP: stamp, SIGNATURE: signature("guessed", stamp, body)}

    async with stage.api.http.post(url, data=body, headers=headers) as answer:
        assert answer.status == 403

    await stage.quiet()
    assert await stage.api.all("events") == []


@pytest.mark.parametrize("slug", [MINI, IM])
async def test_a_reply_reaches_the_phone_once_and_stands_once_on_the_timeline(
    stage: Stage, person: Persona, slug: str
) -> None:
    talk = await stage.hear(person, slug, "这个价格太贵了")

    assert await stage.reply(talk, "您好，我来介绍一下") == 201
    await stage.quiet()

    assert stage.world.delivered(person, "您好，我来介绍一下") == 1
    assert await stage.delivery("您好，我来介绍一下", among={"sent"}) == "sent"
    assert (await stage.kinds(slug))[-2:] == ["message.text", "message.text"]


@pytest.mark.parametrize("slug", [OA, MINI])
async def test_a_picture_is_fetched_and_kept_and_one_that_is_gone_says_so(
    stage: Stage, person: Persona, slug: str
) -> None:
    at = stage.world.time()
    stage.platform(slug).media["pic1"] = Upload(name="a.png", mime="image/png", content=PNG, at=at)

    for media_id in ("pic1", "gone"):
        assert (await stage.world.say(person, slug, media_id, kind="image")).state == "sent"
    await stage.quiet()

    kept = await stage.rows("SELECT state, mime, size FROM event_media ORDER BY state")
    assert kept == [("gone", "", 0), ("kept", "image/png", len(PNG))]


async def test_a_colleague_in_the_app_is_ours_and_the_customer_is_answered_in_her_name(
    stage: Stage, person: Persona
) -> None:
    im, words = im_of(stage), {"MsgType": "TIMTextElem", "MsgContent": {"Text": "我是小林"}}
    await im.message(user_id(person), "kf_lin", {"MsgType": "TIMTextElem", "MsgContent": {"Text": "找小林"}})
    await im.message("kf_lin", user_id(person), words)
    await stage.quiet()
    talk = (await stage.api.all("conversations"))[0]

    await stage.reply(str(talk["id"]), "小林稍后回您")
    await stage.quiet()

    said = {e["text"]: e["direction"] for e in await stage.api.all("events", account=IM) if e["text"]}
    assert said == {"找小林": "in", "我是小林": "out", "小林稍后回您": "out"}
    assert [b.by for b in stage.world.received(person)] == ["kf_lin"]


async def test_words_edited_and_taken_back_in_the_app_are_so_here(stage: Stage, person: Persona) -> None:
    im, sender = im_of(stage), user_id(person)
    await stage.hear(person, IM, "周六可以吗")
    await stage.hear(person, IM, "发错了")
    keys = [json.loads(d.letter.plain)["MsgKey"] for d in im.deliveries]

    await im.edit(sender, im.agent, keys[0], {"MsgType": "TIMTextElem", "MsgContent": {"Text": "周日可以吗"}})
    await im.recall(sender, im.agent, keys[1])
    await stage.quiet()

    events: dict[str, Any] = {e["text"]: e for e in await stage.api.all("events", account=IM)}
    assert "周日可以吗" in events
    assert "周六可以吗" not in events
    assert events["发错了"]["recalled_at"]
    assert not events["周日可以吗"]["recalled_at"]


async def test_a_subscription_popup_and_entering_are_on_the_timeline_of_the_visitor(
    stage: Stage, person: Persona
) -> None:
    mini = cast(MiniProgram, stage.world.outlets[MINI])
    await mini.meet(person, stage.world.staff[0])
    await mini.subscribe(person, "T1")
    await stage.quiet()

    assert sorted(await stage.kinds(MINI)) == ["event.notice.popup", "event.tempsession.entered"]
