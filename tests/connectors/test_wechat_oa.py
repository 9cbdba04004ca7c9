"""The Official Account beyond its fixtures: modes, verification, and every way a push can end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from connectors import wechat_oa
from connectors.kit.codec import plain_signature
from connectors.kit.http import Guard, Http
from connectors.kit.tokens import MemoryTokens
from scrm.contract import Account, Call, Context, Envelope, Handle, Media, Push, Severity
from scrm.errors import NotSent, Refused, Rejected, ScrmError, Unknown, Untranslatable
from tests.connectors.support import APP_ID, NOW, TOKEN, account, asked, context, sealed_call
from tests.connectors.vendor import Reply, Vendor, page

OPENID = "oJ8Kx5mPq2Rt7Vw9Yz3Bc6Df1GhA"
HANDLE = Handle(kind="wechat_openid", scope=APP_ID, value=OPENID)
TEXT = (
    "<xml><ToUserName>gh_1</ToUserName><FromUserName>{sender}</FromUserName><CreateTime>1772415000</CreateTime>"
    "<MsgType>text</MsgType><Content>{content}</Content><MsgId>{msg_id}</MsgId></xml>"
)
SEND = "message/custom/send"


def text(content: str = "你好", *, sender: str = OPENID, msg_id: int = 1) -> bytes:
    return TEXT.format(sender=sender, content=content, msg_id=msg_id).encode()


def verification(token: str = TOKEN, **query: str) -> Call:
    seconds = str(int(NOW.timestamp()))
    signed = {
        "signature": plain_signature(token, seconds, "n0nce"),
        "timestamp": seconds,
        "nonce": "n0nce",
        "echostr": "8123456789012345678",
    }
    return Call(method="GET", tail="", query=signed | query, headers={}, body=b"", received_at=NOW)


def test_the_verification_is_answered_with_the_echostr() -> None:
    receipt = wechat_oa.receive(context(account("wechat_oa")), verification())

    assert (receipt.status, receipt.body, receipt.raws) == (200, b"8123456789012345678", ())


@pytest.mark.parametrize(
    "call",
    [
        verification(token="wrong"),
        verification(timestamp="1"),
        verification(echostr=""),
        verification(echostr="<script>"),
        verification(echostr="x" * 257),
    ],
)
def test_a_bad_verification_is_refused(call: Call) -> None:
    with pytest.raises(Refused):
        wechat_oa.receive(context(account("wechat_oa")), call)


def test_a_message_is_answered_with_success() -> None:
    receipt = wechat_oa.receive(context(account("wechat_oa")), sealed_call(text(), to=APP_ID))

    assert (receipt.status, receipt.body) == (200, b"success")


@pytest.mark.parametrize("mode", ["", "secure", "compatible"])
def test_a_plain_body_is_refused_although_its_url_is_signed(mode: str) -> None:
    ctx = context(account("wechat_oa", mode=mode))

    with pytest.raises(Refused):
        wechat_oa.receive(ctx, sealed_call(text(), to=APP_ID, envelope="plain"))


def test_compatible_mode_believes_the_sealed_words_and_not_the_plain_ones() -> None:
    ctx = context(account("wechat_oa", mode="compatible"))
    call = sealed_call(text("真的"), to=APP_ID, envelope="compatible")
    forged = Call(
        method="POST",
        tail="",
        query=call.query,
        headers={},
        body=call.body.replace("真的".encode(), "假的".encode()),
        received_at=NOW,
    )

    (raw,) = wechat_oa.receive(ctx, forged).raws

    (envelope,) = wechat_oa.translate(ctx, raw)
    assert envelope.text == "真的"


def test_plain_mode_is_refused_outside_this_machine() -> None:
    call = sealed_call(text(), to=APP_ID, envelope="plain")

    for base in ("", "https://api.weixin.qq.com", "http://127.0.0.1.evil.example"):
        with pytest.raises(Refused):
            wechat_oa.receive(context(account("wechat_oa", mode="plain", api_base=base)), call)


def test_a_signed_payload_that_cannot_be_read_is_kept_and_quarantined() -> None:
    ctx = context(account("wechat_oa"))
    twice = text().replace(b"<MsgType>", b"<FromUserName>other</FromUserName><MsgType>")

    for payload in (twice, b"not xml", b"<xml><MsgType>text</MsgType></xml>", b"{}", b"<!DOCTYPE a><xml/>"):
        (raw,) = wechat_oa.receive(ctx, sealed_call(payload, to=APP_ID)).raws
        assert raw.payload == payload
        assert raw.lane == "-"
        with pytest.raises(Untranslatable):
            wechat_oa.translate(ctx, raw)


def test_two_events_in_one_second_are_two_and_a_repeat_is_one() -> None:
    ctx = context(account("wechat_oa"))
    event = (
        "<xml><FromUserName>o1</FromUserName><CreateTime>1772415000</CreateTime><MsgType>event</MsgType>"
        "<Event>CLICK</Event><EventKey>{key}</EventKey></xml>"
    )
    keys = [
        wechat_oa.receive(ctx, sealed_call(event.format(key=key).encode(), to=APP_ID, salt=salt))
        .raws[0]
        .source_key
        for key, salt in (("A", b"0" * 16), ("B", b"0" * 16), ("A", b"1" * 16))
    ]

    assert keys[0] != keys[1]
    assert keys[0] == keys[2]


def test_only_what_opens_a_window_at_the_platform_opens_one_here() -> None:
    user, menu, paid = wechat_oa.WINDOWS

    assert (user.seconds, user.count) == (48 * 3600, 5)
    assert (paid.seconds, paid.opens) == (48 * 3600, ("event.shop.paid",))
    assert (menu.seconds, menu.count) == (60, 3)
    assert not any("event.menu.view".startswith(window.opens) for window in wechat_oa.WINDOWS)
    assert not any("event.notice.popup".startswith(window.opens) for window in wechat_oa.WINDOWS)


def push(kind: str = "text", **change: Any) -> Push:
    fields: dict[str, Any] = {"push_id": "p0001", "handle": HANDLE, "kind": kind, "text": "您好，欢迎咨询😀"}
    return Push(**fields | change)


async def test_text_goes_out_as_the_platform_wants_it() -> None:
    ctx = context(account("wechat_oa"), {SEND: {"errcode": 0, "errmsg": "ok"}})

    assert await wechat_oa.send(ctx, push()) == "p0001"

    assert asked(ctx).calls[-1] == (
        SEND,
        {"access_token": "T"},
        {"touser": OPENID, "msgtype": "text", "text": {"content": "您好，欢迎咨询😀"}},
    )


async def test_an_image_is_uploaded_first() -> None:
    ctx = context(account("wechat_oa"), {SEND: {"errcode": 0}, "media/upload": {"media_id": "M1"}})
    media = Media(name="a.png", mime="image/png", content=b"\x89PNG")

    await wechat_oa.send(ctx, push("image", media=media))

    assert asked(ctx).paths() == ["media/upload", SEND]
    assert asked(ctx).calls[-1][2] == {"touser": OPENID, "msgtype": "image", "image": {"media_id": "M1"}}


async def test_an_upload_tells_how_long_it_lives() -> None:
    ctx = context(account("wechat_oa"), {"media/upload": {"media_id": "M1"}})

    assert await wechat_oa.upload(ctx, Media(name="a", mime="image/png", content=b"x")) == (
        "M1",
        NOW + timedelta(days=3),
    )


@pytest.mark.parametrize(
    "bad",
    [
        push("welcome", code="C"),
        push("image"),
        push(handle=Handle(kind="wechat_openid", scope="wx-other", value=OPENID)),
        push(handle=Handle(kind="wecom_external", scope=APP_ID, value=OPENID)),
    ],
)
async def test_what_this_account_cannot_send_is_rejected_without_a_call(bad: Push) -> None:
    ctx = context(account("wechat_oa"))

    with pytest.raises(Rejected):
        await wechat_oa.send(ctx, bad)


class Hasty:
    """The real client, impatient."""

    def __init__(self, patient: Http) -> None:
        self._patient = patient
        self.upload = patient.upload

    async def json(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        timeout_s: float = 5.0,
    ) -> dict[str, Any]:
        return await self._patient.json(method, url, params=params, body=body, timeout_s=min(timeout_s, 0.4))


def live(guard: Guard, vendor: Vendor) -> Context:
    of: Account = account("wechat_oa", api_base=vendor.base)
    return Context(account=of, http=Hasty(guard.http(of)), tokens=MemoryTokens(), now=NOW)


#: How the platform ends a send -> our error, its code, how many sends it saw.
ENDS: dict[str, tuple[list[Reply], type[ScrmError] | None, str, int]] = {
    "ok": ([{"errcode": 0, "errmsg": "ok"}], None, "", 1),
    "busy": ([{"errcode": -1}], NotSent, "-1", 1),
    "throttled": ([{"errcode": 45009, "errmsg": "reach max api daily quota limit"}], NotSent, "45009", 1),
    "out of window": ([{"errcode": 45015}], Rejected, "45015", 1),
    "too many": ([{"errcode": 45047}], Rejected, "45047", 1),
    "unsubscribed": ([{"errcode": 43004}], Rejected, "43004", 1),
    "not our follower": ([{"errcode": 40003}], Rejected, "40003", 1),
    "spam": ([{"errcode": 87014}], Rejected, "87014", 1),
    "expired once": ([{"errcode": 42001}, {"errcode": 0}], None, "", 2),
    "expired for ever": ([{"errcode": 42001}], NotSent, "42001", 2),
    "misleading errmsg": ([{"errcode": 0, "errmsg": "Warning: wrong json format"}], None, "", 1),
    "html": ([page("200 OK", b"<html>")], Unknown, "", 1),
    "gateway": ([page("502 Bad Gateway", b"<html>")], Unknown, "", 1),
    "truncated": ([page("200 OK", b'{"errcode"')], Unknown, "", 1),
    "no errcode": ([{"ok": True}], Unknown, "", 1),
    "reset": (["reset"], Unknown, "", 1),
    "closed": (["close"], Unknown, "", 1),
    "hang": (["hang"], Unknown, "", 1),
    "drip": (["drip"], Unknown, "", 1),
}


@pytest.mark.parametrize(("replies", "error", "code", "sends"), ENDS.values(), ids=list(ENDS))
async def test_every_end_of_a_send_is_told_apart(
    replies: list[Reply], error: type[ScrmError] | None, code: str, sends: int
) -> None:
    async with Vendor({SEND: replies}).running() as vendor, Guard() as guard:
        ctx = live(guard, vendor)
        if error is None:
            assert await wechat_oa.send(ctx, push()) == "p0001"
        else:
            with pytest.raises(error) as failed:
                await wechat_oa.send(ctx, push())
            assert getattr(failed.value, "code", "") == code

        assert vendor.calls[SEND] == sends
        assert vendor.calls["stable_token"] <= 2


async def test_a_throttled_account_waits_a_minute_without_asking_again() -> None:
    async with Vendor({SEND: [{"errcode": 45009}]}).running() as vendor, Guard() as guard:
        ctx = live(guard, vendor)
        for _ in range(3):
            with pytest.raises(NotSent) as failed:
                await wechat_oa.send(ctx, push())
            assert failed.value.retry_after_s is not None
            assert failed.value.retry_after_s > 50

        assert vendor.calls[SEND] == 1


async def test_a_profile_repeats_itself_until_it_changes() -> None:
    first = {"subscribe": 1, "openid": OPENID, "unionid": "oU1"}
    ctx = context(account("wechat_oa"), {"user/info": [first, dict(first), {**first, "unionid": "oU2"}]})

    (one,) = await wechat_oa.enrich(ctx, HANDLE)
    (same,) = await wechat_oa.enrich(ctx, HANDLE)
    (other,) = await wechat_oa.enrich(ctx, HANDLE)

    assert one == same
    assert one.source_key != other.source_key


async def test_the_probe_speaks_plainly() -> None:
    good = await wechat_oa.probe(context(account("wechat_oa"), {}))
    bad = await wechat_oa.probe(context(account("wechat_oa"), {"stable_token": {"errcode": 40125}}))
    unsafe = await wechat_oa.probe(context(account("wechat_oa", mode="plain"), {}))
    middling = await wechat_oa.probe(context(account("wechat_oa", mode="compatible"), {}))

    assert [finding.severity for finding in good] == [Severity.OK]
    assert [finding.severity for finding in bad] == [Severity.ERROR]
    assert "AppSecret" in bad[0].sentence
    assert [finding.severity for finding in unsafe] == [Severity.ERROR, Severity.OK]
    assert [finding.severity for finding in middling] == [Severity.WARN, Severity.OK]


def test_envelopes_belong_to_the_app_that_received_them() -> None:
    ctx = context(account("wechat_oa"))
    (raw,) = wechat_oa.receive(ctx, sealed_call(text(), to=APP_ID)).raws

    (envelope,) = wechat_oa.translate(ctx, raw)

    assert isinstance(envelope, Envelope)
    assert envelope.handles == (HANDLE,)
