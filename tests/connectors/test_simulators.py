"""The simulated callbacks and Official Account against plain HTTP and wechatpy: as Tencent says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import FormData, web
from wechatpy import parse_message  # type: ignore[import-untyped]
from wechatpy.crypto import WeChatCrypto as OfficialCrypto  # type: ignore[import-untyped]
from wechatpy.enterprise.crypto import WeChatCrypto as CorpCrypto  # type: ignore[import-untyped]
from wechatpy.exceptions import InvalidSignatureException  # type: ignore[import-untyped]
from wechatpy.replies import TextReply  # type: ignore[import-untyped]

from connectors.kit.codec import Codec
from connectors.kit.world import Persona
from tests.connectors.stage import (
    AES_KEY,
    APP_ID,
    CORP_ID,
    SECRET,
    SUITE_ID,
    TOKEN,
    Stage,
    corp_token,
    get,
    opened,
    post,
    sha1_sorted,
    stable_token,
    staged,
    text_to,
)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as running:
        yield running


@pytest.fixture
def person(stage: Stage) -> Persona:
    return stage.world.personas[0]


# ---------------------------------------------------------------- callbacks


async def test_wechatpy_decrypts_and_understands_an_official_account_message(
    stage: Stage, person: Persona
) -> None:
    await stage.oa()

    bubble = await stage.world.say(person, "wechat_oa", "价格太贵了]]>，<能>便宜点吗？")

    query, body = stage.hooks.calls[0]
    crypto = OfficialCrypto(TOKEN, AES_KEY, APP_ID)
    plain = crypto.decrypt_message(body, query["msg_signature"], query["timestamp"], query["nonce"])
    message = parse_message(plain)
    assert (message.type, message.content) == ("text", "价格太贵了]]>，<能>便宜点吗？")
    assert (message.source, str(message.id)) == (person.openid(APP_ID), bubble.id)
    assert query["openid"] == person.openid(APP_ID)
    assert bubble.state == "sent"


async def test_wechatpy_refuses_the_message_once_a_byte_is_changed(stage: Stage, person: Persona) -> None:
    await stage.oa()
    await stage.world.say(person, "wechat_oa", "你好")

    query, body = stage.hooks.calls[0]
    crypto = OfficialCrypto(TOKEN, AES_KEY, APP_ID)
    forged = body.replace(b"Encrypt><![CDATA[", b"Encrypt><![CDATA[A")

    with pytest.raises(InvalidSignatureException):
        crypto.decrypt_message(forged, query["msg_signature"], query["timestamp"], query["nonce"])


async def test_official_account_events_say_what_happened(stage: Stage, person: Persona) -> None:
    oa, _ = await stage.oa()

    await oa.meet(person, stage.world.staff[0])
    await oa.scan(person, "gate-3")
    await oa.click(person, "MENU_PRICE")
    await oa.leave(person, stage.world.staff[0])

    crypto = OfficialCrypto(TOKEN, AES_KEY, APP_ID)
    events = [
        parse_message(crypto.decrypt_message(body, q["msg_signature"], q["timestamp"], q["nonce"]))
        for q, body in stage.hooks.calls
    ]
    assert [one.event for one in events] == ["subscribe_scan", "scan", "click", "unsubscribe"]
    assert events[1].scene_id == "gate-3"


@pytest.mark.parametrize(("mode", "sealed"), [("plain", False), ("compatible", True)])
async def test_other_modes_show_the_fields_openly(
    stage: Stage, person: Persona, mode: str, sealed: bool
) -> None:
    await stage.oa(mode=mode)

    await stage.world.say(person, "wechat_oa", "在吗？")

    query, body = stage.hooks.calls[0]
    assert "<![CDATA[在吗？]]>".encode() in body
    assert (b"<Encrypt>" in body) is sealed
    assert ("msg_signature" in query) is sealed
    assert query["signature"] == sha1_sorted(TOKEN, query["timestamp"], query["nonce"])


async def test_wechatpy_decrypts_a_new_friend_event_of_wecom(stage: Stage, person: Persona) -> None:
    wecom, _ = await stage.wecom()

    await wecom.add(person, stage.world.staff[0], state="QR-7")

    query, body = stage.hooks.calls[0]
    crypto = CorpCrypto(TOKEN, AES_KEY, CORP_ID)
    plain = crypto.decrypt_message(body, query["msg_signature"], query["timestamp"], query["nonce"])
    assert "<![CDATA[add_external_contact]]>" in plain
    assert f"<![CDATA[{person.external_userid(CORP_ID)}]]>" in plain
    assert "<![CDATA[QR-7]]>" in plain
    assert "<WelcomeCode>" in plain


async def test_third_parties_get_their_own_shape_and_receive_id(stage: Stage, person: Persona) -> None:
    wecom, _ = await stage.wecom()

    await wecom.add(person, stage.world.staff[0], form="isv")

    plain = opened(stage, SUITE_ID)
    assert b"<InfoType><![CDATA[change_external_contact]]></InfoType>" in plain
    assert b"<MsgType>" not in plain


async def test_events_come_as_json_when_asked(stage: Stage, person: Persona) -> None:
    wecom, _ = await stage.wecom()

    await wecom.add(person, stage.world.staff[0], form="json")

    query, body = stage.hooks.calls[0]
    codec = Codec(TOKEN, AES_KEY, frozenset({CORP_ID}))
    sealed = json.loads(body)["Encrypt"]
    codec.verify(query, sealed)
    assert json.loads(codec.decrypt(sealed))["ChangeType"] == "add_external_contact"


async def test_app_messages_come_from_staff(stage: Stage) -> None:
    wecom, _ = await stage.wecom()

    await wecom.staff_says(stage.world.staff[1], "今天的排班")

    assert f"<FromUserName><![CDATA[{stage.world.staff[1].userid}]]>".encode() in opened(stage, CORP_ID)


async def test_a_callback_is_tried_three_times_newly_sealed(stage: Stage, person: Persona) -> None:
    oa, _ = await stage.oa()
    stage.hooks.answers = [lambda _: web.Response(status=500)] * 3

    bubble = await stage.world.say(person, "wechat_oa", "你好")

    assert bubble.state == "failed"
    assert [(d.attempts, d.status, d.acked) for d in oa.deliveries] == [(3, 500, False)]
    assert len({body for _, body in stage.hooks.calls}) == 3
    assert [b.kind for b in stage.world.phone(person)] == ["text", "system"]
    assert stage.world.received(person) == ()


async def test_a_callback_counts_once_an_attempt_is_answered(stage: Stage, person: Persona) -> None:
    kf, _ = await stage.kf()
    stage.hooks.answers = [lambda _: web.Response(status=503)]

    bubble = await stage.world.say(person, "wecom_kf", "你好")

    assert bubble.state == "sent"
    assert [(d.attempts, d.acked) for d in kf.deliveries] == [(2, True)]


async def test_a_redirect_is_no_answer(stage: Stage, person: Persona) -> None:
    wecom, _ = await stage.wecom()
    stage.hooks.answers = [lambda _: web.Response(status=302, headers={"Location": "/hooks/x"})] * 3

    assert not await wecom.edit(person, stage.world.staff[0])


async def test_a_sealed_passive_reply_reaches_the_phone_and_garbage_does_not(
    stage: Stage, person: Persona
) -> None:
    oa, _ = await stage.oa()
    crypto = OfficialCrypto(TOKEN, AES_KEY, APP_ID)
    reply = TextReply(content="稍后回复您", target=person.openid(APP_ID), source="gh_1")

    stage.hooks.answers = [
        lambda _: web.Response(text=crypto.encrypt_message(reply.render(), "nonce", 1700000000))
    ]
    good = await stage.world.say(person, "wechat_oa", "你好")
    stage.hooks.answers = [lambda _: web.Response(text="OK")] * 3
    bad = await stage.world.say(person, "wechat_oa", "在吗")

    assert [bubble.text for bubble in stage.world.received(person)] == ["稍后回复您"]
    assert (good.state, bad.state) == ("sent", "failed")
    assert [delivery.acked for delivery in oa.deliveries] == [True, False]


async def test_resending_repeats_the_plaintext_under_a_new_or_the_old_signature(
    stage: Stage, person: Persona
) -> None:
    oa, _ = await stage.oa()
    await stage.world.say(person, "wechat_oa", "你好")
    first = stage.hooks.calls[0]

    fresh = await oa.resend(times=3)
    stale = await oa.resend(fresh_signature=False)

    assert (fresh, stale) == ([200] * 3, [200])
    crypto = OfficialCrypto(TOKEN, AES_KEY, APP_ID)
    plains = {
        crypto.decrypt_message(body, q["msg_signature"], q["timestamp"], q["nonce"])
        for q, body in stage.hooks.calls
    }
    assert len(plains) == 1
    assert len({body for _, body in stage.hooks.calls}) == 4
    assert stage.hooks.calls[4] == first


async def test_url_verification_wants_the_exact_plaintext(stage: Stage) -> None:
    wecom, _ = await stage.wecom()
    crypto = CorpCrypto(TOKEN, AES_KEY, CORP_ID)

    def decrypted(request: web.Request) -> web.Response:
        q = request.query
        return web.Response(
            body=crypto.check_signature(q["msg_signature"], q["timestamp"], q["nonce"], q["echostr"])
        )

    stage.hooks.answers = [decrypted, lambda r: web.Response(text=r.query["echostr"])]

    assert await wecom.verify_url()
    assert not await wecom.verify_url()


async def test_official_account_verification_wants_the_echo(stage: Stage) -> None:
    oa, _ = await stage.oa()
    stage.hooks.answers = [lambda r: web.Response(text=r.query["echostr"])]

    assert await oa.verify_url()
    assert not await oa.verify_url()
    query = stage.hooks.calls[0][0]
    assert query["signature"] == sha1_sorted(TOKEN, query["timestamp"], query["nonce"])


# ---------------------------------------------------------------- tokens and uploads


@pytest.mark.parametrize("channel", ["wecom", "wecom_kf"])
async def test_corp_tokens_are_refused_when_wrong_unknown_or_expired(stage: Stage, channel: str) -> None:
    platform, api = await stage.start(channel)
    probe = "getcallbackip"

    assert (await get(api, "gettoken", corpid=CORP_ID, corpsecret="no"))["errcode"] == 40001
    assert (await get(api, "gettoken", corpid="no", corpsecret=SECRET))["errcode"] == 40013
    assert (await get(api, probe, access_token="made-up"))["errcode"] == 40014
    token = await corp_token(api)
    assert await corp_token(api) == token
    assert (await get(api, probe, access_token=token))["errcode"] == 0

    stage.world.advance(7200)
    assert (await get(api, probe, access_token=token))["errcode"] == 42001
    token = await corp_token(api)
    platform.expire_tokens()
    assert (await get(api, probe, access_token=token))["errcode"] == 42001
    assert (await get(api, probe, access_token=await corp_token(api)))["errcode"] == 0
    platform.expire_tokens(forever=True)
    assert (await get(api, probe, access_token=await corp_token(api)))["errcode"] == 42001
    assert platform.calls["gettoken"] == 7


async def test_stable_tokens_stay_until_forced_and_old_ones_die_at_each_fetch(stage: Stage) -> None:
    _, api = await stage.oa()
    old_way = {"grant_type": "client_credential", "appid": APP_ID, "secret": SECRET}

    stable = await stable_token(api)
    assert await stable_token(api) == stable
    first = (await get(api, "token", **old_way))["access_token"]
    second = (await get(api, "token", **old_way))["access_token"]
    assert (await get(api, "getcallbackip", access_token=first))["errcode"] == 42001
    assert (await get(api, "getcallbackip", access_token=second))["errcode"] == 0
    assert (await get(api, "getcallbackip", access_token=stable))["errcode"] == 0
    forced = await stable_token(api, force=True)
    assert (await get(api, "getcallbackip", access_token=stable))["errcode"] == 42001

    stage.world.advance(7200 - 200)
    renewed = await stable_token(api)
    assert renewed != forced
    assert (await get(api, "getcallbackip", access_token=forced))["errcode"] == 0
    assert (await get(api, "token", **(old_way | {"secret": "no"})))["errcode"] == 40001


async def test_media_comes_back_as_uploaded_for_three_days(stage: Stage, person: Persona) -> None:
    _, api = await stage.oa()
    token = await stable_token(api)
    form = FormData()
    form.add_field("media", b"\x89PNG-picture", filename="课表.png", content_type="image/png")

    async with api.post(
        "/cgi-bin/media/upload", params={"access_token": token, "type": "image"}, data=form
    ) as answer:
        media_id = (await answer.json())["media_id"]
    async with api.get("/cgi-bin/media/get", params={"access_token": token, "media_id": media_id}) as answer:
        assert (answer.content_type, await answer.read()) == ("image/png", b"\x89PNG-picture")
    await stage.world.say(person, "wechat_oa", "发我课表")
    image = {"touser": person.openid(APP_ID), "msgtype": "image", "image": {"media_id": media_id}}
    assert (await post(api, "message/custom/send", image, token))["errcode"] == 0
    assert stage.world.received(person)[-1].kind == "image"

    stage.world.advance(3 * 86400 + 1)
    token = await stable_token(api)
    assert (await get(api, "media/get", access_token=token, media_id=media_id))["errcode"] == 40007


async def test_scripted_faults_answer_once_each_and_unknown_paths_are_named(stage: Stage) -> None:
    wecom, api = await stage.wecom()
    token = await corp_token(api)
    wecom.fail("getcallbackip", 45009, -1)

    codes = [(await get(api, "getcallbackip", access_token=token))["errcode"] for _ in range(3)]

    assert codes == [45009, -1, 0]
    assert (await get(api, "no/such/api", access_token=token))["errcode"] == 40066
    async with api.post("/cgi-bin/externalcontact/get", data=b"[1") as answer:
        assert (await answer.json())["errcode"] == 47001


# ---------------------------------------------------------------- Official Account


async def test_a_message_opens_five_replies_for_48_hours(stage: Stage, person: Persona) -> None:
    _, api = await stage.oa()
    token = await stable_token(api)
    note = text_to(person.openid(APP_ID), "您好")

    async def send(access_token: str) -> int:
        return int((await post(api, "message/custom/send", note, access_token))["errcode"])

    assert await send(token) == 43004
    await stage.world.say(person, "wechat_oa", "你好")
    assert [await send(token) for _ in range(6)] == [0] * 5 + [45047]
    assert stage.world.delivered(person, "您好") == 5
    await stage.world.say(person, "wechat_oa", "还在吗")
    assert await send(token) == 0
    stage.world.advance(48 * 3600)
    assert await send(await stable_token(api)) == 45015


async def test_following_opens_three_replies_for_a_minute(stage: Stage, person: Persona) -> None:
    oa, api = await stage.oa()
    token = await stable_token(api)
    note = text_to(person.openid(APP_ID), "欢迎关注")

    await oa.meet(person, stage.world.staff[0])
    codes = [(await post(api, "message/custom/send", note, token))["errcode"] for _ in range(4)]
    await oa.click(person, "MENU")
    codes.append((await post(api, "message/custom/send", note, token))["errcode"])
    stage.world.advance(60)
    codes.append((await post(api, "message/custom/send", note, token))["errcode"])

    assert codes == [0, 0, 0, 45047, 0, 45015]


async def test_sending_to_nobody_or_to_one_who_refuses_fails(stage: Stage, person: Persona) -> None:
    _, api = await stage.oa()
    token = await stable_token(api)
    await stage.world.say(person, "wechat_oa", "你好")
    stage.world.refusing.add(person.unionid)

    refused = await post(api, "message/custom/send", text_to(person.openid(APP_ID), "您好"), token)
    nobody = await post(api, "message/custom/send", text_to("oNobody", "您好"), token)
    too_long = await post(api, "message/custom/send", text_to(person.openid(APP_ID), "好" * 683), token)

    assert [one["errcode"] for one in (refused, nobody, too_long)] == [48002, 40003, 45002]


async def test_only_followers_have_a_unionid(stage: Stage, person: Persona) -> None:
    oa, api = await stage.oa()
    token = await stable_token(api)
    ask = {"access_token": token, "openid": person.openid(APP_ID)}

    stranger = await get(api, "user/info", **ask)
    await oa.meet(person, stage.world.staff[0])
    follower = await get(api, "user/info", **ask)

    assert (stranger["subscribe"], "unionid" in stranger) == (0, False)
    assert (follower["subscribe"], follower["unionid"]) == (1, person.unionid)
