"""WeCom beyond its fixtures: whose key a call is sealed under, welcome, sign-in, page signatures."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connectors import wecom
from scrm.contract import Handle, Push, Severity, Visitor
from scrm.errors import BadInput, NotSent, Refused, Rejected, Unknown
from tests.connectors.support import CORP_ID, SUITE_ID, account, asked, context, echo_call, sealed_call

CUSTOMER = "wmX7fLEQAAqk3Y"
HANDLE = Handle(kind="wecom_external", scope=CORP_ID, value=CUSTOMER)
ISV = "<xml><SuiteId>x</SuiteId><InfoType>change_auth</InfoType><TimeStamp>1772415000</TimeStamp></xml>"
OWN = "<xml><FromUserName>sys</FromUserName><CreateTime>1772415000</CreateTime><MsgType>event</MsgType></xml>"


@pytest.mark.parametrize("to", [CORP_ID, SUITE_ID])
def test_the_verification_is_answered_with_the_decrypted_echostr(to: str) -> None:
    receipt = wecom.receive(context(account("wecom")), echo_call("1616140317555161061", to=to))

    assert (receipt.status, receipt.body, receipt.raws) == (200, b"1616140317555161061", ())


def test_a_message_of_the_corp_under_the_suites_key_is_refused() -> None:
    ctx = context(account("wecom"))

    assert wecom.receive(ctx, sealed_call(ISV.encode(), to=SUITE_ID)).raws
    assert wecom.receive(ctx, sealed_call(ISV.encode(), to=CORP_ID)).raws
    assert wecom.receive(ctx, sealed_call(OWN.encode(), to=CORP_ID)).raws
    with pytest.raises(Refused):
        wecom.receive(ctx, sealed_call(OWN.encode(), to=SUITE_ID))


def test_without_a_suite_its_key_is_nobodys() -> None:
    with pytest.raises(Refused):
        wecom.receive(context(account("wecom", suite_id="")), sealed_call(ISV.encode(), to=SUITE_ID))
    with pytest.raises(Refused):
        wecom.receive(context(account("wecom", suite_id="")), sealed_call(ISV.encode(), to=""))


def test_the_same_words_to_two_apps_are_two_messages() -> None:
    ctx = context(account("wecom"))
    words = (
        "<xml><FromUserName>li</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType>"
        "<Content>x</Content><MsgId>5</MsgId><AgentID>{agent}</AgentID></xml>"
    )

    keys = {
        wecom.receive(ctx, sealed_call(words.format(agent=agent).encode(), to=CORP_ID)).raws[0].source_key
        for agent in (1, 2)
    }

    assert keys == {"msg:1:5", "msg:2:5"}


def test_two_changes_of_one_second_are_two() -> None:
    ctx = context(account("wecom"))
    change = (
        "<xml><FromUserName>sys</FromUserName><CreateTime>1772415000</CreateTime><MsgType>event</MsgType>"
        "<Event>change_contact</Event><ChangeType>{kind}</ChangeType><UserID>li</UserID></xml>"
    )

    keys = {
        wecom.receive(ctx, sealed_call(change.format(kind=kind).encode(), to=CORP_ID)).raws[0].source_key
        for kind in ("create_user", "update_user")
    }

    assert len(keys) == 2


def push(kind: str = "welcome", **change: Any) -> Push:
    fields: dict[str, Any] = {
        "push_id": "p0001", "handle": HANDLE, "kind": kind, "text": "您好，我是李老师", "code": "CODE",
    }  # fmt: skip
    return Push(**fields | change)


WELCOME = "externalcontact/send_welcome_msg"


async def test_a_welcome_goes_out_by_its_code() -> None:
    ctx = context(account("wecom"), {WELCOME: {"errcode": 0}})

    assert await wecom.send(ctx, push()) == "p0001"

    assert asked(ctx).calls[-1][2] == {"welcome_code": "CODE", "text": {"content": "您好，我是李老师"}}


@pytest.mark.parametrize("bad", [push("text"), push("image"), push(code="")])
async def test_anything_but_a_welcome_is_for_the_sidebar(bad: Push) -> None:
    with pytest.raises(Rejected):
        await wecom.send(context(account("wecom")), bad)


async def test_a_late_welcome_is_final_and_a_busy_one_is_not() -> None:
    for code, error in ((41050, Rejected), (41051, Rejected), (41096, NotSent)):
        with pytest.raises(error):
            await wecom.send(context(account("wecom"), {WELCOME: {"errcode": code}}), push())
    with pytest.raises(Unknown):
        await wecom.send(context(account("wecom"), {WELCOME: Unknown()}), push())


def test_the_door_is_the_platforms_and_brings_back_the_state() -> None:
    url = wecom.door(context(account("wecom")), "https://crm.example/s?a=1&b=2", "st4te")

    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.path) == (
        "https",
        "open.weixin.qq.com",
        "/connect/oauth2/authorize",
    )
    assert parts.fragment == "wechat_redirect"
    assert {name: values[0] for name, values in parse_qs(parts.query).items()} == {
        "appid": CORP_ID,
        "redirect_uri": "https://crm.example/s?a=1&b=2",
        "response_type": "code",
        "scope": "snsapi_base",
        "state": "st4te",
        "agentid": "1000002",
    }


def test_the_door_can_lead_to_a_simulator() -> None:
    ctx = context(account("wecom", oauth_base="http://127.0.0.1:8802/"))

    assert wecom.door(ctx, "https://x", "s").startswith(
        "http://127.0.0.1:8802/connect/oauth2/authorize?appid="
    )


@pytest.mark.parametrize(
    ("answer", "visitor"),
    [
        ({"errcode": 0, "userid": "LiLaoShi", "user_ticket": "t"}, Visitor(staff="LiLaoShi")),
        ({"errcode": 0, "UserId": "LiLaoShi"}, Visitor(staff="LiLaoShi")),
        ({"errcode": 0, "openid": "o1", "external_userid": CUSTOMER}, Visitor(handle=HANDLE)),
        (
            {"errcode": 0, "openid": "o1"},
            Visitor(handle=Handle(kind="wecom_openid", scope=CORP_ID, value="o1")),
        ),
    ],
)
async def test_a_code_says_who_signs_in(answer: dict[str, Any], visitor: Visitor) -> None:
    ctx = context(account("wecom"), {"auth/getuserinfo": answer})

    assert await wecom.who(ctx, "CODE") == visitor

    assert asked(ctx).calls[-1][1]["code"] == "CODE"


@pytest.mark.parametrize("errcode", [40029, 42003, 40163])
async def test_a_used_or_bad_code_is_refused(errcode: int) -> None:
    with pytest.raises(Refused):
        await wecom.who(context(account("wecom"), {"auth/getuserinfo": {"errcode": errcode}}), "CODE")


@pytest.mark.parametrize("code", ["", "x" * 513])
async def test_a_code_that_cannot_be_one_is_refused_without_a_call(code: str) -> None:
    with pytest.raises(Refused):
        await wecom.who(context(account("wecom")), code)


async def test_an_answer_that_names_nobody_is_refused() -> None:
    with pytest.raises(Refused):
        await wecom.who(context(account("wecom"), {"auth/getuserinfo": {"errcode": 0}}), "CODE")


async def test_trouble_that_is_not_the_visitors_is_not_blamed_on_the_code() -> None:
    with pytest.raises(Rejected):
        await wecom.who(context(account("wecom"), {"auth/getuserinfo": {"errcode": 60020}}), "CODE")


TICKETS = {
    "get_jsapi_ticket": {"errcode": 0, "ticket": "CORP", "expires_in": 7200},
    "ticket/get": {"errcode": 0, "ticket": "AGENT", "expires_in": 7200},
}


async def test_a_page_gets_one_signature_for_the_corp_and_one_for_the_app() -> None:
    ctx = context(account("wecom"), TICKETS)

    corp, agent = await wecom.page(ctx, "https://crm.example/s?a=1#/timeline")

    for ticket, made in (("CORP", corp), ("AGENT", agent)):
        plain = (
            f"jsapi_ticket={ticket}&noncestr={made.nonce}&timestamp={made.timestamp}"
            "&url=https://crm.example/s?a=1"
        )
        assert made.signature == hashlib.sha1(plain.encode()).hexdigest()
        assert (made.app_id, made.agent_id) == (CORP_ID, "1000002")
    assert (corp.scope, agent.scope) == ("corp", "agent")
    assert asked(ctx).calls[-1][1]["type"] == "agent_config"


async def test_tickets_are_kept_by_corp_and_by_app() -> None:
    first = context(account("wecom"), TICKETS)
    await wecom.page(first, "https://crm.example/")
    second = type(first)(
        account=account("wecom", agent_id="1000003"), http=first.http, tokens=first.tokens, now=first.now
    )

    await wecom.page(first, "https://crm.example/")
    await wecom.page(second, "https://crm.example/")

    assert asked(first).paths() == ["get_jsapi_ticket", "ticket/get", "ticket/get"]


@pytest.mark.parametrize("url", ["", "javascript:alert(1)", "/s", "ftp://x"])
async def test_only_web_pages_are_signed(url: str) -> None:
    with pytest.raises(BadInput):
        await wecom.page(context(account("wecom")), url)


def test_the_sidebar_names_a_contact_of_this_corp() -> None:
    ctx = context(account("wecom"))

    assert wecom.shown(ctx, CUSTOMER) == HANDLE
    for odd in ("", "a b", "../x", "x" * 65, "客户"):
        with pytest.raises(BadInput):
            wecom.shown(ctx, odd)


async def test_looking_up_a_contact_reads_every_page_of_followers_and_ends() -> None:
    contact = {"external_userid": CUSTOMER, "name": "子涵妈妈"}
    page = {"errcode": 0, "external_contact": contact, "follow_user": [{"userid": "li"}], "next_cursor": "c"}
    ctx = context(account("wecom"), {"externalcontact/get": page})

    (raw,) = await wecom.enrich(ctx, HANDLE)

    assert len(asked(ctx).paths()) == 20
    assert len(wecom.translate(ctx, raw)) == 21


async def test_handles_of_others_are_not_looked_up() -> None:
    ctx = context(account("wecom"))

    for kind, scope in (("wecom_external", "ww-other"), ("wechat_openid", CORP_ID)):
        assert await wecom.enrich(ctx, Handle(kind=kind, scope=scope, value="x")) == ()


async def test_the_probe_tries_secret_and_tickets() -> None:
    good = await wecom.probe(context(account("wecom"), TICKETS))
    half = await wecom.probe(context(account("wecom"), {**TICKETS, "ticket/get": {"errcode": 60020}}))
    bad = await wecom.probe(context(account("wecom"), {"gettoken": {"errcode": 40013}}))

    assert [finding.severity for finding in good] == [Severity.OK, Severity.OK]
    assert [finding.severity for finding in half] == [Severity.OK, Severity.ERROR]
    assert [finding.severity for finding in bad] == [Severity.ERROR]
