"""The simulated mini-program, app chat and fuller Official Account, against our connectors and plain HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from connectors.kit.http import Guard
from connectors.kit.world import Persona
from connectors.tim.simulator import user_id
from scrm.contract import Card, Handle, Media, Push
from scrm.errors import Rejected
from tests.connectors.stage import APP_ID, SDK_APP_ID, Stage, staged
from tests.connectors.test_simulators_agree import Ours, meet

PICTURE = Media(name="课表.png", mime="image/png", content=b"\x89PNG-picture")
CARD = Card(title="暑假班", url="https://school.example/18", page="p?id=1")
NOTICE = Card(title="", template_id="T1", values={"thing1": "数学课"}, page="p")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as running:
        yield running


@pytest.fixture
def person(stage: Stage) -> Persona:
    return stage.world.personas[0]


@pytest.fixture
async def guard() -> AsyncIterator[Guard]:
    async with Guard() as opened:
        yield opened


def to(person: Persona, kind: str = "text", ident: str = "p1", **more: Any) -> Push:
    handle = Handle(kind="wechat_openid", scope=APP_ID, value=person.openid(APP_ID))
    return Push(**{"push_id": ident, "handle": handle, "kind": kind, "text": "您好", **more})


def to_user(ours: Ours, person: Persona, **more: Any) -> Push:
    handle = Handle(kind="app_user", scope=ours.account.slug, value=user_id(person))
    return Push(**{"push_id": "p1", "handle": handle, "kind": "text", "text": "您好", **more})


def kinds(stage: Stage, person: Persona) -> list[str]:
    return [bubble.kind for bubble in stage.world.received(person)]


# ---------------------------------------------------------------- Official Account


async def test_every_kind_of_reply_reaches_the_follower(stage: Stage, person: Persona, guard: Guard) -> None:
    ours, oa = await meet(stage, guard, "wechat_oa")
    await oa.meet(person, stage.world.staff[0])
    await stage.world.say(person, "wechat_oa", "多少钱？")

    for kind in ("voice", "video", "link", "miniprogram"):
        await ours.connector.send(ours.ctx, to(person, kind, media=PICTURE, card=CARD))

    assert kinds(stage, person) == ["voice", "video", "news", "miniprogrampage"]


async def test_a_repeated_template_message_arrives_once_and_its_failure_names_it(
    stage: Stage, person: Persona, guard: Guard
) -> None:
    ours, oa = await meet(stage, guard, "wechat_oa")
    await oa.meet(person, stage.world.staff[0])
    ids = [await ours.connector.send(ours.ctx, to(person, "template", card=NOTICE)) for _ in range(2)]

    await oa.finish(person, int(ids[0]), "failed:user block")

    assert ids[0] == ids[1]
    assert kinds(stage, person) == ["notice"]
    assert ours.said()[-1].failed_push == ids[0]


async def test_all_followers_are_taken_over_from_the_platform(stage: Stage, guard: Guard) -> None:
    ours, oa = await meet(stage, guard, "wechat_oa")
    for person in stage.world.personas:
        await oa.meet(person, stage.world.staff[0])
    ours.raws.clear()

    page = await ours.connector.poll(ours.ctx, "fans", "", "")
    ours.raws += page.raws
    behind = await ours.connector.poll(ours.ctx, "fans", page.cursor, "")

    assert (page.more, page.total, behind.raws) == (False, len(stage.world.personas), ())
    unions = {h.value for one in ours.said() for h in one.handles if h.kind == "wechat_unionid"}
    assert unions == {person.unionid for person in stage.world.personas}


async def test_a_picture_a_follower_sent_can_be_fetched(stage: Stage, person: Persona, guard: Guard) -> None:
    ours, _ = await meet(stage, guard, "wechat_oa")
    media_id, _ = await ours.connector.upload(ours.ctx, PICTURE)
    await stage.world.say(person, "wechat_oa", media_id, kind="image")

    (piece,) = ours.said()[-1].pieces
    found = await ours.connector.media(ours.ctx, piece.ref)

    assert (found.content, found.mime) == (PICTURE.content, "image/png")
    with pytest.raises(Rejected, match="有效期"):
        await ours.connector.media(ours.ctx, "gone")


# ---------------------------------------------------------------- mini-program


@pytest.mark.parametrize("shape", ["json", "xml"])
@pytest.mark.parametrize("mode", ["secure", "compatible", "plain"])
async def test_a_mini_program_is_understood_in_every_shape(
    stage: Stage, person: Persona, guard: Guard, shape: str, mode: str
) -> None:
    ours, mini = await meet(stage, guard, "miniprogram")
    ours.account = replace(ours.account, options={**ours.account.options, "mode": mode})
    mini.mode, mini.shape = mode, shape

    assert await mini.verify_url()
    assert await mini.meet(person, stage.world.staff[0])
    assert await mini.subscribe(person, "T1")
    assert (await stage.world.say(person, "miniprogram", "多少钱？]]>")).state == "sent"

    said = ours.said()
    assert [one.kind for one in said] == ["event.tempsession.entered", "event.notice.popup", "message.text"]
    assert said[-1].text == "多少钱？]]>"
    assert said[1].body["items"][0]["TemplateId"] == "T1"


async def test_a_mini_program_answers_within_its_windows(stage: Stage, person: Persona, guard: Guard) -> None:
    ours, mini = await meet(stage, guard, "miniprogram")

    with pytest.raises(Rejected, match="48 小时"):
        await ours.connector.send(ours.ctx, to(person))
    await mini.meet(person, stage.world.staff[0])
    for _ in range(2):
        await ours.connector.send(ours.ctx, to(person))
    with pytest.raises(Rejected, match="条数"):
        await ours.connector.send(ours.ctx, to(person))
    stage.world.advance(61)
    await stage.world.say(person, "miniprogram", "在吗")
    for kind in ("text", "image", "link", "miniprogram", "text"):
        await ours.connector.send(ours.ctx, to(person, kind, media=PICTURE, card=CARD))
    with pytest.raises(Rejected, match="条数"):
        await ours.connector.send(ours.ctx, to(person))

    assert kinds(stage, person) == ["text", "text", "text", "image", "link", "miniprogrampage", "text"]


async def test_a_subscription_is_good_for_one_message(stage: Stage, person: Persona, guard: Guard) -> None:
    ours, mini = await meet(stage, guard, "miniprogram")
    await mini.subscribe(person, "T1")

    await ours.connector.send(ours.ctx, to(person, "template", card=NOTICE))

    with pytest.raises(Rejected, match="订阅"):
        await ours.connector.send(ours.ctx, to(person, "template", card=NOTICE))
    assert kinds(stage, person) == ["notice"]


# ---------------------------------------------------------------- Tencent IM


async def test_an_app_talk_goes_both_ways_without_an_echo(
    stage: Stage, person: Persona, guard: Guard
) -> None:
    ours, im = await meet(stage, guard, "tim")

    bubble = await stage.world.say(person, "tim", "老师在吗？")
    key = await ours.connector.send(ours.ctx, to_user(ours, person))

    assert bubble.state == "sent"
    (said,) = ours.said()
    assert (said.text, said.staff, said.handles[0].value) == ("老师在吗？", "administrator", user_id(person))
    assert [b.text for b in stage.world.received(person)] == ["您好"]
    assert len(im.deliveries) == 1
    assert key.count("_") == 2


async def test_a_quick_repeat_is_one_message_and_a_late_one_two(
    stage: Stage, person: Persona, guard: Guard
) -> None:
    ours, _ = await meet(stage, guard, "tim")
    first = [await ours.connector.send(ours.ctx, to_user(ours, person)) for _ in range(2)]
    stage.world.advance(121)

    late = await ours.connector.send(ours.ctx, to_user(ours, person))

    assert first[0] == first[1] != late
    assert stage.world.delivered(person, "您好") == 2


async def test_words_in_the_app_are_edited_and_taken_back(
    stage: Stage, person: Persona, guard: Guard
) -> None:
    ours, im = await meet(stage, guard, "tim")
    await stage.world.say(person, "tim", "周六")
    key = ours.said()[0].body["MsgKey"]
    words = {"MsgType": "TIMTextElem", "MsgContent": {"Text": "周日"}}

    await im.edit(user_id(person), "administrator", key, words)
    await im.recall(user_id(person), "administrator", key)

    edit, recall = ours.said()[1:]
    assert (edit.edits, edit.text, recall.recalls) == (
        ours.raws[0].source_key,
        "周日",
        ours.raws[0].source_key,
    )


async def test_a_group_talks_and_is_answered(stage: Stage, person: Persona, guard: Guard) -> None:
    ours, im = await meet(stage, guard, "tim")
    im.groups["@TGS#1"] = [user_id(person)]
    await im.in_group("@TGS#1", user_id(person), {"MsgType": "TIMTextElem", "MsgContent": {"Text": "几点？"}})
    chat = Handle(kind="tim_group", scope=SDK_APP_ID, value="@TGS#1")

    await ours.connector.send(ours.ctx, to_user(ours, person, handle=chat))

    (said,) = ours.said()
    assert [handle.kind for handle in said.handles] == ["app_user", "tim_group"]
    assert [b.text for b in stage.world.received(person)] == ["您好"]


async def test_nickname_and_set_up_are_asked_of_the_platform(
    stage: Stage, person: Persona, guard: Guard
) -> None:
    ours, im = await meet(stage, guard, "tim")

    findings = await ours.connector.probe(ours.ctx)
    ours.raws += await ours.connector.enrich(ours.ctx, to_user(ours, person).handle)

    assert [one.severity for one in findings if one.severity == "error"] == []
    assert ours.said()[0].handles[0].name == person.name
    assert im.calls["profile/portrait_get"] == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [({"secret": "other"}, "70009"), ({"admin": "guest"}, "60010"), ({"sdk_app_id": "1400000002"}, "60006")],
)
async def test_a_signature_that_does_not_fit_is_told_apart(
    stage: Stage, person: Persona, guard: Guard, change: dict[str, str], code: str
) -> None:
    ours, _ = await meet(stage, guard, "tim")
    of = ours.account
    own = {name: value for name, value in change.items() if name in of.secrets}
    ours.account = replace(of, options={**of.options, **change}, secrets={**of.secrets, **own})

    with pytest.raises(Rejected) as refused:
        await ours.connector.send(ours.ctx, to_user(ours, person))

    assert refused.value.code == code
