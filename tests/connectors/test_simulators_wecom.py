"""The simulated WeCom and Customer Service against plain HTTP and wechatpy: as Tencent says."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest
from wechatpy.enterprise.crypto import WeChatCrypto as CorpCrypto  # type: ignore[import-untyped]

from connectors.kit.world import Persona
from connectors.wecom_kf import simulator as kf_simulator
from tests.connectors.stage import (
    AES_KEY,
    CORP_ID,
    TOKEN,
    Stage,
    answer_by_api,
    corp_token,
    door,
    get,
    opened,
    post,
    signed_in,
    staged,
    state_of,
    sync,
    trans,
)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as running:
        yield running


@pytest.fixture
def person(stage: Stage) -> Persona:
    return stage.world.personas[0]


# ---------------------------------------------------------------- Customer Service


async def test_the_notification_leads_to_the_message(stage: Stage, person: Persona) -> None:
    kf, api = await stage.kf()

    bubble = await stage.world.say(person, "wecom_kf", "周末有没有试听？")

    query, body = stage.hooks.calls[0]
    crypto = CorpCrypto(TOKEN, AES_KEY, CORP_ID)
    plain = crypto.decrypt_message(body, query["msg_signature"], query["timestamp"], query["nonce"])
    hint = plain.partition("<Token><![CDATA[")[2].partition("]]>")[0]
    page = await sync(kf, api, token=hint)
    assert (page["has_more"], len(page["msg_list"])) == (0, 1)
    message = page["msg_list"][0]
    assert (message["msgid"], message["origin"], message["msgtype"]) == (bubble.id, 3, "text")
    assert message["text"] == {"content": "周末有没有试听？"}
    assert message["external_userid"] == person.external_userid(CORP_ID)


async def test_paging_is_complete_and_in_order_through_empty_pages(stage: Stage) -> None:
    kf, api = await stage.kf()
    kf.hiccups = 0.4
    said = [
        (await stage.world.say(stage.world.personas[n % 5], "wecom_kf", f"第{n}句")).id for n in range(57)
    ]

    pages, cursor, more = [], "", True
    while more:
        page = await sync(kf, api, cursor=cursor, limit=10)
        pages.append(page["msg_list"])
        cursor, more = page["next_cursor"], page["has_more"] == 1

    assert [message["msgid"] for page in pages for message in page] == said
    assert [] in pages[:-1]
    assert all(len(page) <= 10 for page in pages)
    assert len(cursor.encode()) <= 64


async def test_reading_with_a_bad_hint_cursor_or_limit_is_refused(stage: Stage) -> None:
    kf, api = await stage.kf()

    assert (await sync(kf, api, token="made-up"))["errcode"] == 95007
    assert (await sync(kf, api, cursor="made-up"))["errcode"] == 40058
    assert (await sync(kf, api, limit=1001))["errcode"] == 40058
    assert (await sync(kf, api, open_kfid="wkOther"))["errcode"] == 95000


async def test_reading_without_a_hint_is_throttled_for_the_minute(stage: Stage, person: Persona) -> None:
    kf, api = await stage.kf()
    await stage.world.say(person, "wecom_kf", "你好")
    hint = opened(stage, CORP_ID).decode().partition("<Token><![CDATA[")[2].partition("]]>")[0]

    codes = [(await sync(kf, api))["errcode"] for _ in range(61)]

    assert codes == [0] * 60 + [45009]
    assert (await sync(kf, api, token=hint))["errcode"] == 0
    stage.world.advance(60)
    assert (await sync(kf, api))["errcode"] == 0


async def test_the_log_forgets_after_three_days(stage: Stage, person: Persona) -> None:
    kf, api = await stage.kf()
    await stage.world.say(person, "wecom_kf", "旧的")
    stage.world.advance(3 * 86400 + 1)
    await stage.world.say(person, "wecom_kf", "新的")

    page = await sync(kf, api)

    assert [message["text"]["content"] for message in page["msg_list"]] == ["新的"]


async def test_an_answer_arrives_under_its_own_id_is_not_read_back_and_not_deduplicated(
    stage: Stage, person: Persona
) -> None:
    kf, api = await stage.kf()
    await stage.world.say(person, "wecom_kf", "你好")

    first = await answer_by_api(kf, api, person, msgid="push_1")
    again = await answer_by_api(kf, api, person, msgid="push_1")
    odd = await answer_by_api(kf, api, person, msgid="x" * 33)

    assert (first["msgid"], again["msgid"], odd["errcode"]) == ("push_1", "push_1", 40058)
    assert [bubble.id for bubble in stage.world.received(person)] == ["push_1", "push_1"]
    assert len((await sync(kf, api))["msg_list"]) == 1


async def test_five_answers_within_48_hours(stage: Stage, person: Persona) -> None:
    kf, api = await stage.kf()

    assert (await answer_by_api(kf, api, person))["errcode"] == 95002
    await stage.world.say(person, "wecom_kf", "你好")
    assert [(await answer_by_api(kf, api, person))["errcode"] for _ in range(6)] == [0] * 5 + [95001]
    stage.world.advance(48 * 3600 + 1)
    assert (await answer_by_api(kf, api, person))["errcode"] == 95002


async def test_session_states_move_only_as_documented(stage: Stage, person: Persona) -> None:
    kf, api = await stage.kf()
    servicer = stage.world.staff[0]

    assert (await state_of(kf, api, person))["service_state"] == kf_simulator.ENDED
    assert (await trans(kf, api, person, kf_simulator.ROBOT))["errcode"] == 95016
    await stage.world.say(person, "wecom_kf", "你好")
    assert (await state_of(kf, api, person))["service_state"] == kf_simulator.NEW
    assert (await trans(kf, api, person, kf_simulator.ROBOT))["errcode"] == 0
    assert (await answer_by_api(kf, api, person))["errcode"] == 0
    assert (await trans(kf, api, person, kf_simulator.NEW))["errcode"] == 95016
    assert (await trans(kf, api, person, kf_simulator.HUMAN, "nobody"))["errcode"] == 95017
    moved = await trans(kf, api, person, kf_simulator.HUMAN, servicer.userid)
    assert moved["msg_code"]
    assert (await state_of(kf, api, person))["servicer_userid"] == servicer.userid
    assert (await answer_by_api(kf, api, person))["errcode"] == 95018
    assert (await trans(kf, api, person, kf_simulator.ENDED))["errcode"] == 0
    assert (await answer_by_api(kf, api, person))["errcode"] == 95013


async def test_a_human_take_over_shows_in_the_log_and_shuts_the_api_out(
    stage: Stage, person: Persona
) -> None:
    kf, api = await stage.kf()
    servicer = stage.world.staff[2]
    await stage.world.say(person, "wecom_kf", "你好")

    await kf.take_over(person, servicer)
    await kf.human_says(person, servicer, "我是思琪老师")
    refused = await answer_by_api(kf, api, person)
    await kf.leave(person, servicer)
    await stage.world.say(person, "wecom_kf", "再问一句")

    log = (await sync(kf, api))["msg_list"]
    assert refused["errcode"] == 95018
    assert [entry["origin"] for entry in log] == [3, 4, 5, 4, 3]
    assert log[1]["event"]["event_type"] == "session_status_change"
    assert [log[i]["event"]["change_type"] for i in (1, 3)] == [1, 3]
    assert log[2]["servicer_userid"] == servicer.userid
    assert stage.world.received(person)[-1].by == servicer.userid
    assert (await state_of(kf, api, person))["service_state"] == kf_simulator.NEW


async def test_a_welcome_code_works_once_within_20_seconds(stage: Stage, person: Persona) -> None:
    kf, api = await stage.kf()
    token = await corp_token(api)

    async def welcome() -> list[int]:
        await kf.meet(person, stage.world.staff[0])
        code = kf.log[-1]["event"]["welcome_code"]
        stage.world.advance(wait_s)
        note = {"code": code, "msgtype": "text", "text": {"content": "欢迎"}}
        return [(await post(api, "kf/send_msg_on_event", note, token))["errcode"] for _ in range(2)]

    wait_s = 0
    assert await welcome() == [0, 95007]
    wait_s = 21
    assert await welcome() == [95007, 95007]
    assert stage.world.delivered(person, "欢迎") == 1


async def test_a_recall_names_the_message_and_marks_the_phone(stage: Stage, person: Persona) -> None:
    kf, _ = await stage.kf()
    bubble = await stage.world.say(person, "wecom_kf", "发错了")

    await kf.recall(person, bubble.id)

    assert kf.log[-1]["event"]["event_type"] == "user_recall_msg"
    assert kf.log[-1]["event"]["recall_msgid"] == bubble.id
    assert stage.world.phone(person)[0].state == "recalled"


async def test_a_customer_who_refuses_lets_the_push_fail_afterwards(stage: Stage, person: Persona) -> None:
    kf, api = await stage.kf()
    await stage.world.say(person, "wecom_kf", "别再发了")
    stage.world.refusing.add(person.unionid)

    taken = await answer_by_api(kf, api, person, msgid="push_9")
    await stage.hooks.until(lambda: len(stage.hooks.calls) == 2)

    assert taken["errcode"] == 0
    assert kf.log[-1]["event"]["event_type"] == "msg_send_fail"
    assert (kf.log[-1]["event"]["fail_msgid"], kf.log[-1]["event"]["fail_type"]) == ("push_9", 10)
    assert stage.world.received(person) == ()


async def test_customers_are_looked_up_in_batches(stage: Stage, person: Persona) -> None:
    _, api = await stage.kf()
    wanted = [person.external_userid(CORP_ID), "wmNobody"]

    found = await post(api, "kf/customer/batchget", {"external_userid_list": wanted}, await corp_token(api))

    assert [one["unionid"] for one in found["customer_list"]] == [person.unionid]
    assert found["customer_list"][0]["nickname"] == person.name
    assert found["invalid_external_userid"] == ["wmNobody"]


# ---------------------------------------------------------------- WeCom


async def test_the_welcome_message_goes_out_once_in_time_and_before_the_chat(
    stage: Stage, person: Persona
) -> None:
    wecom, api = await stage.wecom()
    token, member = await corp_token(api), stage.world.staff[0]

    async def welcome(text: str) -> int:
        plain = wecom.deliveries[-1].letter.plain.decode()
        code = plain.partition("<WelcomeCode><![CDATA[")[2].partition("]]>")[0]
        note = {"welcome_code": code, "text": {"content": text}}
        return int((await post(api, "externalcontact/send_welcome_msg", note, token))["errcode"])

    await wecom.add(person, member)
    assert [await welcome("你好"), await welcome("你好")] == [0, 41050]
    await wecom.add(person, member)
    stage.world.advance(21)
    assert await welcome("来晚了") == 41050
    await wecom.add(person, member)
    wecom.chat(person, member, "我先打个招呼")
    assert await welcome("又来晚了") == 41051
    assert [bubble.text for bubble in stage.world.received(person)] == ["你好", "我先打个招呼"]


async def test_a_contact_is_known_while_somebody_has_them(stage: Stage, person: Persona) -> None:
    wecom, api = await stage.wecom()
    ask = {"access_token": await corp_token(api), "external_userid": person.external_userid(CORP_ID)}

    before = await get(api, "externalcontact/get", **ask)
    await wecom.meet(person, stage.world.staff[0])
    known = await get(api, "externalcontact/get", **ask)
    await wecom.leave(person, stage.world.staff[0])
    after = await get(api, "externalcontact/get", **ask)

    assert (before["errcode"], after["errcode"]) == (84061, 84061)
    assert known["external_contact"]["unionid"] == person.unionid
    assert [one["userid"] for one in known["follow_user"]] == [stage.world.staff[0].userid]


async def test_staff_choose_who_they_are_and_the_code_works_once(stage: Stage) -> None:
    _, api = await stage.wecom()
    token, member = await corp_token(api), stage.world.staff[1]
    ask = door()

    async with api.get("/connect/oauth2/authorize", params=ask) as page:
        assert f">{member.name}</a>" in await page.text()
    back = await signed_in(api, ask | {"auto": member.userid})
    assert (back.query["state"], back.query["keep"]) == ("s1", "1")
    asked = {"access_token": token, "code": back.query["code"]}
    first, second = [await get(api, "auth/getuserinfo", **asked) for _ in range(2)]
    assert (first["userid"], second["errcode"]) == (member.userid, 40029)
    late = await signed_in(api, ask | {"auto": member.userid})
    stage.world.advance(301)
    assert (await get(api, "auth/getuserinfo", access_token=token, code=late.query["code"]))[
        "errcode"
    ] == 40029


async def test_a_customer_who_signs_in_is_no_member(stage: Stage, person: Persona) -> None:
    _, api = await stage.wecom()

    back = await signed_in(api, door() | {"auto": f"customer:{person.number}"})
    who = await get(api, "auth/getuserinfo", access_token=await corp_token(api), code=back.query["code"])

    assert "userid" not in who
    assert who["external_userid"] == person.external_userid(CORP_ID)


@pytest.mark.parametrize(
    "wrong",
    [
        {"appid": "wwOther"},
        {"response_type": "token"},
        {"redirect_uri": "https://evil.example/auth"},
        {"redirect_uri": "javascript:alert(1)"},
        {"auto": "nobody"},
    ],
)
async def test_the_sign_in_page_sends_nobody_elsewhere(stage: Stage, wrong: dict[str, str]) -> None:
    _, api = await stage.wecom()

    async with api.get("/connect/oauth2/authorize", params=door() | wrong, allow_redirects=False) as answer:
        assert answer.status == 400


async def test_page_signatures_are_checked_with_the_ticket_of_their_scope(stage: Stage) -> None:
    _, api = await stage.wecom()
    token = await corp_token(api)
    corp = (await get(api, "get_jsapi_ticket", access_token=token))["ticket"]
    agent = (await get(api, "ticket/get", access_token=token, type="agent_config"))["ticket"]
    url = "http://127.0.0.1:8080/s?x=1"

    async def verify(scope: str, ticket: str, page: str) -> bool:
        text = f"jsapi_ticket={ticket}&noncestr=abc&timestamp=1700000000&url={url}"
        given = {"scope": scope, "url": page, "timestamp": 1700000000, "nonceStr": "abc"}
        signature = hashlib.sha1(text.encode()).hexdigest()
        async with api.post("/sim/verify", json=given | {"signature": signature}) as answer:
            return bool((await answer.json())["ok"])

    assert corp != agent
    assert await verify("corp", corp, url + "#part")
    assert await verify("agent", agent, url)
    assert not await verify("agent", corp, url)
    assert not await verify("corp", corp, url + "&y=2")
    assert (await get(api, "ticket/get", access_token=token, type="jsapi"))["errcode"] == 91040


async def test_a_message_sent_from_the_sidebar_reaches_the_phone(stage: Stage, person: Persona) -> None:
    _, api = await stage.wecom()
    note = {
        "external_userid": person.external_userid(CORP_ID),
        "userid": stage.world.staff[0].userid,
        "text": "话术一",
    }

    async with api.post("/sim/chat", json=note) as answer:
        assert (await answer.json())["msgid"]

    assert stage.world.delivered(person, "话术一") == 1
    assert stage.hooks.calls == []
