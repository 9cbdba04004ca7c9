"""The whole path with simulated platforms: from the customer's phone to the timeline and back, once."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
from aiohttp import ClientSession, web

from scrm.contract import Call, Context, Envelope, Handle, Raw, Receipt
from scrm.errors import Untranslatable
from tests.chaos.conftest import new_server
from tests.chaos.harness import Api, Findings, Load, Server, judge
from tests.flow.stage import KF, NOWHERE, OA, WECOM, Handler, Stage, Twist, plug_in, staged

__all__ = ["new_server"]

SEND = {OA: "message/custom/send", KF: "kf/send_msg"}


# -- in and out --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("slug", [OA, KF])
async def test_a_message_becomes_a_card_with_suggestions_and_the_reply_reaches_the_phone_once(
    stage: Stage, slug: str
) -> None:
    persona = stage.persona("wechat_oa", "wecom_kf")

    talk = await stage.hear(persona, slug, "这个价格太贵了，能便宜点吗？")
    offers = await stage.api.all("suggestions", conversation_id=talk)
    first, again = (
        await stage.reply(talk, "您好，我来介绍一下"),
        await stage.reply(talk, "您好，我来介绍一下"),
    )
    await stage.quiet()

    assert 1 <= len(offers) <= 5
    assert all(o["reason"] and o["text"] for o in offers)
    assert (first, again) == (201, 201)
    assert stage.world.delivered(persona, "您好，我来介绍一下") == 1
    assert await stage.delivery("您好，我来介绍一下", among={"sent"}) == "sent"
    assert await stage.kinds(slug) == ["message.text", "message.text"]


async def test_an_unknown_event_is_kept_raw_and_shown_as_such(stage: Stage) -> None:
    persona, member = stage.persona("wechat_oa"), stage.world.staff[0]

    await stage.oa.event(persona, "brand_new_event", Detail="第一次见")
    await stage.wecom.contact_event(persona, member, "brand_new_change", {"Detail": "第一次见"})
    await stage.quiet()

    for slug in (OA, WECOM):
        (event,) = [e for e in await stage.api.all("events", account=slug) if e["kind"] != "event.profile"]
        assert event["kind"] == "event.unknown"
        assert event["body"]["Detail"] == "第一次见"


async def test_one_person_on_two_channels_has_one_timeline_because_the_vendor_says_so(stage: Stage) -> None:
    persona = stage.persona("wechat_oa", "wecom_kf")
    other = next(p for p in stage.world.personas if p is not persona and "wechat_oa" in p.channels)

    await stage.hear(persona, OA, "公众号里问一句")
    await stage.hear(persona, KF, "客服里又问一句")
    await stage.hear(other, OA, "我是别人")

    persons = await stage.api.all("persons")
    told = [await stage.api.all(f"persons/{p['id']}/timeline") for p in persons]
    said = sorted(sorted(e["text"] for e in events if e["direction"] == "in") for events in told)
    assert said == [["公众号里问一句", "客服里又问一句"], ["我是别人"]]


# -- sessions, greetings, recalls --------------------------------------------------------------------------
async def test_after_a_human_took_over_only_the_reps_own_hands_remain(stage: Stage) -> None:
    persona = stage.persona("wecom_kf")
    talk = await stage.hear(persona, KF, "在吗？")
    before = await stage.verdict(talk, in_app=True)

    await stage.kf.take_over(persona, stage.world.staff[0])
    await stage.event("接待人员接入了会话")
    refused = await stage.reply(talk, "接口还能说话吗")

    assert before.way == "api"
    assert refused == 409
    assert (await stage.verdict(talk, in_app=True)).way == "jssdk"
    assert (await stage.verdict(talk, in_app=False)).way == "copy"
    assert stage.world.received(persona) == ()


async def test_a_take_over_we_have_not_heard_of_ends_the_push_and_closes_the_session(stage: Stage) -> None:
    persona = stage.persona("wecom_kf")
    talk = await stage.hear(persona, KF, "在吗？")
    heard_of, stage.kf.hooks_url = stage.kf.hooks_url, NOWHERE
    await stage.kf.take_over(persona, stage.world.staff[0])
    stage.kf.hooks_url = heard_of

    accepted = await stage.reply(talk, "抢在前面的一句")

    assert accepted == 201
    assert await stage.delivery("抢在前面的一句", among={"sent", "unknown", "dead"}) == "dead"
    assert (await stage.verdict(talk, in_app=True)).way == "jssdk"
    assert stage.world.received(persona) == ()


@pytest.mark.parametrize("slug", [KF, WECOM])
@pytest.mark.parametrize(("ago_s", "greeted"), [(0, 1), (30, 0)])
async def test_a_newcomer_is_greeted_once_within_20_seconds_and_never_after(
    stage: Stage, slug: str, ago_s: int, greeted: int
) -> None:
    persona, member = stage.persona("wecom_kf"), stage.world.staff[0]
    stage.world.advance(-ago_s)  # it happened so long ago; the vendor's own clock would still allow it

    await stage.world.outlets[slug].meet(persona, member)
    await stage.quiet()

    assert len(await stage.api.all("events", account=slug)) >= 1
    assert len(stage.world.received(persona)) == greeted
    assert len(await stage.api.all("pushes")) == greeted


@pytest.mark.parametrize("early", [False, True])
async def test_a_recall_marks_its_message_whichever_of_them_arrives_first(stage: Stage, early: bool) -> None:
    persona, kf = stage.persona("wecom_kf"), stage.kf
    ours, kf.hooks_url = kf.hooks_url, NOWHERE
    bubble = await stage.world.say(persona, KF, "说错了")
    await stage.world.say(persona, KF, "这句没错")
    await kf.recall(persona, bubble.id)
    kf.hooks_url = ours
    late = kf.log[:2] if early else []
    kf.log[:] = kf.log[len(late) :]

    await kf.notify()
    await stage.event("客户撤回了一条消息")
    kf.log.extend(late)
    await kf.notify()

    wrong, right = await stage.event("说错了"), await stage.event("这句没错")
    assert wrong["recalled_at"] is not None
    assert right["recalled_at"] is None


# -- quarantine and replay ---------------------------------------------------------------------------------
class Parrot(ModuleType):
    """A channel whose parser has a fault that a release mends."""

    TITLE, ICON, NEEDS = "鹦鹉", "im", ()
    mended = False

    def receive(self, ctx: Context, call: Call) -> Receipt:
        del ctx
        return Receipt(raws=(Raw(source_key=call.query["id"], lane="one", payload=call.body),), body=b"ok")

    def translate(self, ctx: Context, raw: Raw) -> Sequence[Envelope]:
        said = json.loads(raw.payload)
        if not self.mended and "emoji" in said:
            raise Untranslatable("还不认识表情。")
        return [
            Envelope(
                kind="message.text",
                direction="in",
                at=datetime.fromtimestamp(said["at"], UTC),
                handles=(Handle(kind="parrot", scope=ctx.account.slug, value="polly"),),
                text=said["text"] if self.mended else said["text"][:2],
            )
        ]


async def test_after_a_parser_fix_a_replay_brings_the_quarantined_and_supersedes_the_misread(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    parrot = Parrot("connectors.parrot")
    monkeypatch.setitem(sys.modules, "connectors.parrot", parrot)
    await plug_in(stage, "parrot", "parrot")
    told = {"a": {"at": 1772415000, "text": "你好呀"}, "b": {"at": 1772415001, "text": "笑脸", "emoji": 1}}
    for key, payload in told.items():
        url = f"{stage.api.url}/hooks/parrot"
        async with stage.api.http.post(url, params={"id": key}, json=payload) as answer:
            assert answer.status == 200
    await stage.quiet()
    before = [e["text"] for e in await stage.api.all("events", account="parrot")]
    (stuck,) = await stage.api.all("inbox", state="quarantined")
    (misread,) = await stage.api.all("inbox", state="done")

    parrot.mended = True
    status, moved = await stage.api.post("inbox/replay", {"ids": [stuck["id"], misread["id"]]}, "fix")
    await stage.quiet()

    assert before == ["你好"]
    assert (stuck["stage"], stuck["error"]) == ("translate", "还不认识表情。")
    assert (status, moved) == (200, {"rows": 2})
    events = await stage.api.all("events", account="parrot")
    timeline = await stage.api.all(f"persons/{events[0]['person_id']}/timeline")
    assert [e["text"] for e in events] == [e["text"] for e in timeline] == ["笑脸", "你好呀"]
    versions = "SELECT version, text, superseded_by IS NULL FROM event ORDER BY at, version"
    assert await stage.rows(versions) == [
        (1, "你好", 0),
        (2, "你好呀", 1),
        (1, "笑脸", 1),
    ]


# -- a vendor in trouble -----------------------------------------------------------------------------------
@pytest.mark.parametrize("slug", [OA, KF])
async def test_a_vendor_that_is_busy_is_asked_again_and_the_phone_rings_once(stage: Stage, slug: str) -> None:
    persona = stage.persona("wechat_oa", "wecom_kf")
    talk = await stage.hear(persona, slug, "在吗？")
    stage.platform(slug).fail(SEND[slug], -1)

    await stage.reply(talk, "忙过了就能收到")

    assert await stage.delivery("忙过了就能收到", among={"retry"}) == "retry"
    assert await stage.delivery("忙过了就能收到", among={"sent", "unknown", "dead"}) == "sent"
    assert stage.world.delivered(persona, "忙过了就能收到") == 1
    assert stage.platform(slug).calls[SEND[slug]] == 2


async def test_a_vendor_that_cannot_be_reached_gets_the_push_when_it_is_back(tmp_path: Path) -> None:
    async with staged(tmp_path, shut=[OA]) as stage:
        persona = stage.persona("wechat_oa")
        await stage.world.say(persona, OA, "在吗？")
        await stage.event("在吗？")
        (talk,) = await stage.api.all("conversations")

        await stage.reply(talk["id"], "等你回来")
        waiting = await stage.delivery("等你回来", among={"retry"})
        await stage.vendors[OA].open()

        assert waiting == "retry"
        assert await stage.delivery("等你回来", among={"sent", "unknown", "dead"}) == "sent"
        assert stage.world.delivered(persona, "等你回来") == 1


async def _answers_rubbish(request: web.Request, handler: Handler) -> web.StreamResponse:
    await handler(request)
    return web.Response(status=502, text="<html>Bad Gateway</html>")


async def _hangs_up(request: web.Request, handler: Handler) -> web.StreamResponse:
    await handler(request)
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize("twist", [_answers_rubbish, _hangs_up])
@pytest.mark.parametrize("slug", [OA, KF])
async def test_a_send_without_a_clear_answer_ends_unknown_and_is_not_repeated(
    stage: Stage, slug: str, twist: Twist
) -> None:
    persona = stage.persona("wechat_oa", "wecom_kf")
    talk = await stage.hear(persona, slug, "在吗？")
    stage.vendors[slug].twists[SEND[slug]].append(twist)

    await stage.reply(talk, "到底收到没有")
    await stage.delivery("到底收到没有", among={"sent", "unknown", "dead"})
    await stage.reply(talk, "下一句照常")
    await stage.quiet()

    assert await stage.delivery("到底收到没有", among={"sent", "unknown", "dead"}) == "unknown"
    assert [b.text for b in stage.world.received(persona)] == ["到底收到没有", "下一句照常"]
    assert stage.platform(slug).calls[SEND[slug]] == 2


@pytest.mark.parametrize(("slug", "fetch"), [(OA, "stable_token"), (KF, "gettoken")])
@pytest.mark.parametrize("forever", [False, True])
async def test_an_expired_token_is_renewed_once_and_never_a_second_time(
    stage: Stage, slug: str, fetch: str, forever: bool
) -> None:
    persona = stage.persona("wechat_oa", "wecom_kf")
    talk = await stage.hear(persona, slug, "在吗？")
    platform = stage.platform(slug)
    await stage.reply(talk, "令牌还好")
    await stage.quiet()
    fetched = platform.calls[fetch]
    platform.expire_tokens(forever=forever)

    await stage.reply(talk, "令牌过期了")
    ended = await stage.delivery("令牌过期了", among={"sent", "retry", "unknown", "dead"})

    assert ended == ("retry" if forever else "sent")
    assert platform.calls[fetch] == fetched + 1
    assert stage.world.delivered(persona, "令牌过期了") == (0 if forever else 1)


# -- stopping ----------------------------------------------------------------------------------------------
async def test_a_stop_under_load_ends_within_ten_seconds_and_loses_nothing(
    new_server: Callable[[], Server],
) -> None:
    server, rng = new_server(), random.Random(11)
    server.configure(NOWHERE)
    load = Load(server.url, rng)
    await server.start()

    async with ClientSession() as http:
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            await load.more(300)
            took_s = await server.stop()
            load.stopping = True
        await server.start()
        api = Api(server.url, await server.new_token(), http)
        await api.drained()
        found = judge(load.ledger, await api.timelines())

    assert took_s < 10
    assert found == Findings()
