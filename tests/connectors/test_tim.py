"""Tencent IM beyond its fixtures: the signed door, UserSig, every way a push can end, what is whose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import tim
from connectors.kit.http import Guard, Http
from connectors.kit.tokens import MemoryTokens
from connectors.tim.codes import TABLE
from connectors.tim.sig import user_sig
from scrm.contract import Call, Context, Envelope, Handle, Media, Push, Raw, Severity
from scrm.errors import NotSent, Refused, Rejected, ScrmError, Unknown, Untranslatable
from tests.connectors.support import NOW, SDK_APP_ID, TOKEN, account, asked, context
from tests.connectors.vendor import Reply, Vendor, page

SEND, GROUP, PORTRAIT = (
    "/v4/openim/sendmsg",
    "/v4/group_open_http_svc/send_group_msg",
    "/v4/profile/portrait_get",
)
CUSTOMER = Handle(kind="app_user", scope="school", value="u10086")
CHAT = Handle(kind="tim_group", scope=SDK_APP_ID, value="@TGS#2J4SZEAEL")
OK = {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "MsgKey": "1_2_3", "MsgTime": 1772415000}


def sign(stamp: str, token: str = TOKEN) -> str:
    return hashlib.sha256(f"{token}{stamp}".encode()).hexdigest()


def call(
    body: Any, *, away: timedelta = timedelta(), command: str = "C2C.CallbackAfterSendMsg", **query: str
) -> Call:
    stamp = str(int((NOW + away).timestamp()))
    usual = {"SdkAppid": SDK_APP_ID, "CallbackCommand": command, "Sign": sign(stamp), "RequestTime": stamp}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Call(method="POST", tail="", query=usual | query, headers={}, body=content, received_at=NOW)


def message(**more: Any) -> dict[str, Any]:
    return {
        "CallbackCommand": "C2C.CallbackAfterSendMsg",
        "From_Account": "u10086",
        "To_Account": "kf_lin",
        "MsgSeq": 5,
        "MsgRandom": 6,
        "MsgTime": 1772415000,
        "MsgKey": "5_6_1772415000",
        "MsgBody": [{"MsgType": "TIMTextElem", "MsgContent": {"Text": "你好"}}],
        **more,
    }


def read(body: Any, **own: str) -> Envelope:
    ctx = context(account("tim", **own))
    (raw,) = tim.receive(ctx, call(body)).raws
    return tim.translate(ctx, raw)[0]


# ---------------------------------------------------------------- the door


def test_the_documented_signature_is_ours() -> None:
    assert (
        sign("1669872112", "xxxxyyyy") == "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061"
    )


def test_a_callback_is_answered_as_the_platform_wants() -> None:
    receipt = tim.receive(context(account("tim")), call(message()))

    assert json.loads(receipt.body) == {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0}
    assert (receipt.status, receipt.mime, len(receipt.raws)) == (200, "application/json", 1)


@pytest.mark.parametrize(
    "command",
    ["C2C.CallbackBeforeSendMsg", "Group.CallbackBeforeSendMsg", "Group.CallbackBeforeApplyJoinGroup"],
)
def test_who_asks_for_leave_is_given_it_and_nothing_is_kept(command: str) -> None:
    receipt = tim.receive(context(account("tim")), call(message(), command=command))

    assert (json.loads(receipt.body)["ErrorCode"], receipt.raws) == (0, ())


@pytest.mark.parametrize(
    "bad",
    [
        call(message(), away=timedelta(seconds=-61)),
        call(message(), away=timedelta(seconds=61)),
        call(message(), Sign=""),
        call(message(), Sign=sign("1", "other")),
        call(message(), RequestTime=""),
        call(message(), RequestTime="x", Sign=sign("x")),
        call(message(), SdkAppid="1400999999"),
        replace(call(message()), method="GET"),
    ],
)
def test_an_unsigned_stale_or_foreign_callback_is_refused(bad: Call) -> None:
    with pytest.raises(Refused):
        tim.receive(context(account("tim")), bad)


def test_age_is_not_asked_when_it_is_switched_off_and_never_widened() -> None:
    old = call(message(), away=timedelta(days=-7))

    assert tim.receive(context(account("tim", max_age_s=0)), old).raws
    with pytest.raises(Refused):
        tim.receive(context(account("tim", max_age_s=3600)), call(message(), away=timedelta(seconds=-90)))


@given(
    body=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*message(), "GroupId", "EventTime", "Info", "MsgSeqList", "MsgType", "MsgContent", "Text"]
            ),
            inner,
            max_size=6,
        ),
        max_leaves=12,
    ),
    command=st.sampled_from(
        [
            "C2C.CallbackAfterSendMsg", "Group.CallbackAfterSendMsg", "C2C.CallbackAfterMsgWithDraw",
            "Group.CallbackAfterRecallMsg", "C2C.CallbackAfterModifyMsg", "C2C.CallbackAfterMsgReport",
            "State.StateChange", "Profile.CallbackPortraitSet", "Group.CallbackAfterNewMemberJoin", "?",
        ]
    ),
)  # fmt: skip
def test_whatever_is_signed_is_stored_and_understood_or_quarantined(body: Any, command: str) -> None:
    ctx = context(account("tim"))
    if isinstance(body, dict):
        body = {**body, "CallbackCommand": command}

    (raw,) = tim.receive(ctx, call(body)).raws

    assert raw.lane
    try:
        made = tim.translate(ctx, raw)
    except Untranslatable:
        return
    for one in made:
        assert json.loads(json.dumps(one.body, ensure_ascii=False).encode()) == one.body


def test_a_body_nested_without_end_is_quarantined() -> None:
    ctx = context(account("tim"))
    (raw,) = tim.receive(ctx, call(b'{"a":' * 900 + b"1" + b"}" * 900)).raws

    with pytest.raises(Untranslatable):
        tim.translate(ctx, raw)


# ---------------------------------------------------------------- what is whose


def test_messages_of_two_conversations_with_the_same_numbers_are_two() -> None:
    ctx = context(account("tim"))
    keys = {
        tim.receive(ctx, call(message(From_Account=sender))).raws[0].source_key for sender in ("u1", "u2")
    }

    assert len(keys) == 2


def test_a_repeated_callback_is_the_same_message() -> None:
    ctx = context(account("tim"))
    first, again = (tim.receive(ctx, call(message(UnreadMsgNum=n))).raws[0] for n in (1, 2))

    assert first.source_key == again.source_key
    assert (first.urgent, first.lane) == (True, "u10086")


def test_both_directions_share_a_lane_and_are_told_apart_by_the_names_of_our_people() -> None:
    ctx = context(account("tim"))
    back = message(From_Account="kf_lin", To_Account="u10086")

    assert tim.receive(ctx, call(back)).raws[0].lane == "u10086"
    assert (read(message()).direction, read(message()).staff, read(message()).thread) == (
        "in",
        "kf_lin",
        "kf_lin",
    )
    assert (read(back).direction, read(back).staff) == ("out", "kf_lin")
    assert read(back).handles == (replace(CUSTOMER, part="other"),)
    assert read(back, agents="teacher_*").direction == "in"


def test_what_is_taken_back_or_edited_names_the_message() -> None:
    ctx = context(account("tim"))
    key = tim.receive(ctx, call(message())).raws[0].source_key
    ends = {"From_Account": "u10086", "To_Account": "kf_lin", "MsgKey": "5_6_1772415000"}

    gone = read({"CallbackCommand": "C2C.CallbackAfterMsgWithDraw", **ends})
    other = read(message(CallbackCommand="C2C.CallbackAfterModifyMsg", EventTime=1772415060000))

    assert gone.recalls == key
    assert other.edits == key
    assert (other.at - read(message()).at).total_seconds() == 60


def test_a_group_message_taken_back_names_the_message_in_its_topic() -> None:
    ctx = context(account("tim"))
    told = message(CallbackCommand="Group.CallbackAfterSendMsg", GroupId="g1", TopicId="t1", MsgSeq=130)
    key = tim.receive(ctx, call(told)).raws[0].source_key
    back = {"CallbackCommand": "Group.CallbackAfterRecallMsg", "GroupId": "g1", "TopicId": "t1"}

    assert read({**back, "MsgSeqList": [{"MsgSeq": 130}]}).recalls == key


def test_files_are_named_by_where_they_lie_and_nothing_else_is_fetched() -> None:
    def sound(url: str) -> dict[str, Any]:
        return message(MsgBody=[{"MsgType": "TIMSoundElem", "MsgContent": {"Url": url, "Second": 6}}])

    (piece,) = read(sound("https://cos.example/v")).pieces
    assert (piece.ref, piece.kind, piece.seconds) == ("https://cos.example/v", "voice", 6)
    assert read(sound("http://cos.example/v")).pieces == (piece,)
    for url in ("", "file:///etc/passwd", "javascript:alert(1)"):
        assert read(sound(url)).pieces == ()


async def test_a_file_comes_from_its_address_through_the_guarded_client() -> None:
    file = Media(name="v.aac", mime="audio/aac", content=b"x")
    ctx = context(account("tim"), {"/v": file})

    assert await tim.media(ctx, "https://cos.example/v") == file

    async with Guard() as guard:
        with pytest.raises(NotSent, match="内网"):
            await tim.media(replace(ctx, http=guard.http(account("tim"))), "https://127.0.0.1/v")


# ---------------------------------------------------------------- UserSig

#: Made by PyPI tls-sig-api-v2 1.1 with its clock at 1772415000.
VECTORS = (
    (
        1400000000,
        "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e",
        "xiaojun",
        15552000,
        "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkKjIT87NK82CSxSnZiQUFmSlAKUMTAyiAyqVWFGQWpYJkTE1NjRDiJZm5YFFzcyMTQ1OEeHFmOsiGjKis7NJAgwhH75IwtyingKgQ92BXn-KC0PD8LO9yk4jAyJAsF-0kI5dQX1ulWgAmsjOM",
    ),
    (
        1400123456,
        "k",
        "管理员",
        60,
        "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkYkrNkxINgaSJgVlMqamJqQVMXXFKdmJBQWYKUJWhiYGBoZGxiakZVC61oiCzKBUoY2YAFSnJzAXxDc3NjUwMTQ0MYOLFmekgawLMUsLyg0Nz89MDTExCS4ITy30MnFOjvJ0KsiKNcnKKqwzTqgoKPTKDojxtlWoB*h41eg__",
    ),
    (
        20000001,
        "key with spaces",
        "administrator",
        86400,
        "eJw9zdEKgjAYBeBXkV2HbUtzBF1FBGFUtB5gsOl*dDa2IWb07qlZ5-I7B84L8fwWt8qhTYRojNEimgSkagIU8C2ENNCAD06Eh-tNvKyEtSCHAcVTyNyozoJTg7N1gvGMAcxIJMtoQlL8dw-leJHSe3sxrGfV8qzz596bVJS7K9erY6*ZdXVed15rfqCnLXp-APZENZs_",
    ),
)


@pytest.mark.parametrize(("app", "key", "who", "life", "sig"), VECTORS)
def test_a_user_sig_is_the_one_the_vendor_s_library_makes(
    app: int, key: str, who: str, life: int, sig: str
) -> None:
    assert user_sig(sdk_app_id=app, key=key, identifier=who, at=1772415000, lifetime_s=life) == sig


# ---------------------------------------------------------------- out


def push(**change: Any) -> Push:
    fields: dict[str, Any] = {"push_id": "p0001", "handle": CUSTOMER, "kind": "text", "text": "您好"}
    return Push(**fields | change)


async def test_words_go_out_in_the_name_of_whom_the_customer_spoke_to() -> None:
    ctx = context(account("tim", sender="kf_main"), {SEND: OK})

    assert await tim.send(ctx, push(thread="kf_lin")) == "1_2_3"
    await tim.send(ctx, push())

    (_, query, first), (_, _, second) = asked(ctx).calls
    assert (first["From_Account"], second["From_Account"]) == ("kf_lin", "kf_main")
    assert first["To_Account"] == "u10086"
    assert first["MsgBody"] == [{"MsgType": "TIMTextElem", "MsgContent": {"Text": "您好"}}]
    assert first["ForbidCallbackControl"] == ["ForbidAfterSendMsgCallback"]
    assert (query["sdkappid"], query["identifier"], query["contenttype"]) == (
        SDK_APP_ID,
        "administrator",
        "json",
    )


async def test_the_same_push_has_the_same_numbers_and_another_one_others() -> None:
    ctx = context(account("tim"), {SEND: OK})
    for ident in ("p1", "p1", "p2"):
        await tim.send(ctx, push(push_id=ident))

    numbers = [(body["MsgRandom"], body["MsgSeq"]) for _, _, body in asked(ctx).calls]
    assert numbers[0] == numbers[1] != numbers[2]
    assert all(0 <= number < 2**32 for pair in numbers for number in pair)


async def test_a_group_is_answered_in_the_group() -> None:
    ctx = context(account("tim"), {GROUP: {**OK, "MsgSeq": 9}})

    assert await tim.send(ctx, push(handle=CHAT)) == "9"
    assert asked(ctx).calls[0][2]["GroupId"] == CHAT.value


@pytest.mark.parametrize(
    "bad",
    [
        push(kind="image", media=Media(name="a", mime="image/png", content=b"x")),
        push(handle=replace(CUSTOMER, scope="other")),
        push(handle=replace(CHAT, scope="1400999999")),
        push(handle=Handle(kind="wechat_openid", scope="school", value="o")),
    ],
)
async def test_what_this_app_cannot_send_is_rejected_without_a_call(bad: Push) -> None:
    with pytest.raises(Rejected):
        await tim.send(context(account("tim")), bad)


class Hasty:
    """The real client, impatient."""

    def __init__(self, patient: Http) -> None:
        self._patient = patient

    async def json(self, method: str, url: str, **asked: Any) -> dict[str, Any]:
        return await self._patient.json(method, url, **asked, timeout_s=0.4)


def failed(code: object) -> Mapping[str, Any]:
    return {"ActionStatus": "FAIL", "ErrorInfo": "no", "ErrorCode": code}


#: How the platform ends a send -> our error and its code.
ENDS: dict[str, tuple[Reply, type[ScrmError] | None, str]] = {
    "ok": (OK, None, ""),
    "busy": (failed(91000), NotSent, "91000"),
    "too often": (failed(60007), NotSent, "60007"),
    "wrong key": (failed(70009), Rejected, "70009"),
    "no administrator": (failed(90009), Rejected, "90009"),
    "stranger": (failed(70107), Rejected, "70107"),
    "blocked": (failed(20007), Rejected, "20007"),
    "dirty": (failed(80001), Rejected, "80001"),
    "unheard of": (failed(123456), Rejected, "123456"),
    "no code": ({"ActionStatus": "OK"}, Unknown, ""),
    "worded code": (failed("0"), Unknown, ""),
    "gateway": (page("502 Bad Gateway", b"<html>"), Unknown, ""),
    "reset": ("reset", Unknown, ""),
    "hang": ("hang", Unknown, ""),
}


@pytest.mark.parametrize(("reply", "error", "code"), ENDS.values(), ids=list(ENDS))
async def test_every_end_of_a_send_is_told_apart(
    reply: Reply, error: type[ScrmError] | None, code: str
) -> None:
    async with Vendor({SEND: [reply]}).running() as vendor, Guard() as guard:
        of = account("tim", api_base=vendor.base)
        http: Any = Hasty(guard.http(of))
        ctx = Context(account=of, http=http, tokens=MemoryTokens(), now=NOW)
        if error is None:
            assert await tim.send(ctx, push()) == "1_2_3"
        else:
            with pytest.raises(error) as ended:
                await tim.send(ctx, push())
            assert getattr(ended.value, "code", "") == code
        assert vendor.calls[SEND] == 1


@pytest.mark.parametrize(
    ("code", "effect"),
    [(20007, "opted_out"), (60007, "quota"), (70009, "config"), (80001, "content"), (1, "")],
)
async def test_what_a_refusal_means_beyond_the_one_push(code: int, effect: str) -> None:
    with pytest.raises((NotSent, Rejected)) as refused:
        await tim.send(context(account("tim"), {SEND: failed(code)}), push())

    assert getattr(refused.value, "effect", None) == effect


def test_every_code_has_a_sentence_for_somebody() -> None:
    assert all(found.sentence.endswith("。") for found in TABLE.values())


async def test_the_probe_speaks_plainly() -> None:
    good = await tim.probe(context(account("tim"), {PORTRAIT: OK}))
    nobody = await tim.probe(context(account("tim", agents=""), {PORTRAIT: OK}))
    wrong = await tim.probe(context(account("tim"), {PORTRAIT: failed(70009)}))
    unclear = await tim.probe(context(account("tim"), {PORTRAIT: Unknown()}))

    assert [one.severity for one in good] == [Severity.OK]
    assert [one.severity for one in nobody] == [Severity.OK, Severity.WARN]
    assert [one.severity for one in (*wrong, *unclear)] == [Severity.ERROR] * 2
    assert "密钥" in wrong[0].sentence


def test_a_stored_profile_of_nobody_is_quarantined() -> None:
    payload = json.dumps({"at": 1772415000, "answer": {}}).encode()

    with pytest.raises(Untranslatable):
        tim.translate(context(account("tim")), Raw(source_key="profile:x", lane="-", payload=payload))
