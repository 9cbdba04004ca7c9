"""WeChat Customer Service beyond its fixtures: paging, whose session it is, sending, greeting."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors import wecom_kf
from connectors.kit.http import Guard
from connectors.kit.tokens import MemoryTokens
from scrm.contract import Account, Context, Envelope, Handle, Media, Pull, Push, Raw, Severity
from scrm.errors import NotSent, Refused, Rejected, ScrmError, Unknown, Untranslatable
from tests.connectors.support import CORP_ID, NOW, account, asked, context, echo_call, sealed_call
from tests.connectors.vendor import Reply, Vendor, page

KF = "wkAJ2GCAAASSm4"
CUSTOMER = "wmX7fLEQAAqk3Y"
HANDLE = Handle(kind="wecom_external", scope=CORP_ID, value=CUSTOMER)
STREAM = f"kf:{KF}"
SYNC, SEND, STATE, TRANS = "kf/sync_msg", "kf/send_msg", "kf/service_state/get", "kf/service_state/trans"


def message(msgid: str, **change: Any) -> dict[str, Any]:
    return {
        "msgid": msgid,
        "open_kfid": KF,
        "external_userid": CUSTOMER,
        "send_time": int(NOW.timestamp()),
        "origin": 3,
        "msgtype": "text",
        "text": {"content": msgid},
    } | change


def sync(*msgids: str, cursor: str, more: int = 0) -> dict[str, Any]:
    messages = [message(msgid) for msgid in msgids]
    return {"errcode": 0, "next_cursor": cursor, "has_more": more, "msg_list": messages}


def test_the_verification_is_answered_with_the_decrypted_echostr() -> None:
    receipt = wecom_kf.receive(context(account("wecom_kf")), echo_call("1616140317555161061", to=CORP_ID))

    assert (receipt.status, receipt.body, receipt.raws) == (200, b"1616140317555161061", ())


def test_a_verification_for_another_corp_is_refused() -> None:
    with pytest.raises(Refused):
        wecom_kf.receive(context(account("wecom_kf")), echo_call("1", to="ww-other"))


def test_a_notice_asks_for_the_stream_of_its_account() -> None:
    ctx = context(account("wecom_kf"))
    notice = (
        f"<xml><CreateTime>1772415000</CreateTime><MsgType>event</MsgType><Event>kf_msg_or_event</Event>"
        f"<Token>ENC</Token><OpenKfId>{KF}</OpenKfId></xml>"
    )

    (raw,) = wecom_kf.receive(ctx, sealed_call(notice.encode(), to=CORP_ID)).raws

    assert wecom_kf.translate(ctx, raw) == [Pull(stream=STREAM, hint="ENC")]
    assert raw.urgent


async def test_pages_follow_one_another_by_cursor_until_there_is_no_more() -> None:
    pages = [sync("m1", "m2", cursor="c1", more=1), sync(cursor="c2", more=1), sync("m3", cursor="c3")]
    ctx = context(account("wecom_kf"), {SYNC: pages})

    cursor, keys, more = "", [], True
    while more:
        polled = await wecom_kf.poll(ctx, STREAM, cursor, "ENC")
        cursor, more = polled.cursor, polled.more
        keys += [raw.source_key for raw in polled.raws]

    assert (keys, cursor) == (["kf:m1", "kf:m2", "kf:m3"], "c3")
    bodies = [body for path, _, body in asked(ctx).calls if path == SYNC]
    assert [body.get("cursor") for body in bodies] == [None, "c1", "c2"]
    assert bodies[0] == {"open_kfid": KF, "limit": 1000, "voice_format": 0, "token": "ENC"}


async def test_an_empty_page_whose_cursor_stands_still_is_asked_for_again() -> None:
    ctx = context(account("wecom_kf"), {SYNC: [sync(cursor="c1", more=1), sync("m1", cursor="c2")]})

    polled = await wecom_kf.poll(ctx, STREAM, "c1", "")

    assert [raw.source_key for raw in polled.raws] == ["kf:m1"]


async def test_a_cursor_that_never_moves_does_not_spin() -> None:
    ctx = context(account("wecom_kf"), {SYNC: sync(cursor="c1", more=1)})

    polled = await wecom_kf.poll(ctx, STREAM, "c1", "")

    assert (polled.raws, polled.more) == ((), False)
    assert len(asked(ctx).paths()) == 3


async def test_a_stale_hint_is_left_out() -> None:
    ctx = context(account("wecom_kf"), {SYNC: [{"errcode": 95007}, sync("m1", cursor="c1")]})

    polled = await wecom_kf.poll(ctx, STREAM, "", "OLD")

    assert [raw.source_key for raw in polled.raws] == ["kf:m1"]
    assert "token" not in asked(ctx).calls[-1][2]


async def test_other_refusals_of_a_page_are_told() -> None:
    with pytest.raises(Rejected):
        await wecom_kf.poll(context(account("wecom_kf"), {SYNC: {"errcode": 60020}}), STREAM, "", "ENC")
    with pytest.raises(NotSent):
        await wecom_kf.poll(context(account("wecom_kf"), {SYNC: Unknown()}), STREAM, "", "")


async def test_messages_of_one_second_keep_the_platforms_order() -> None:
    ctx = context(account("wecom_kf"), {SYNC: sync("z", "a", "m", cursor="c1")})

    polled = await wecom_kf.poll(ctx, STREAM, "", "")

    made = [one for raw in polled.raws for one in wecom_kf.translate(ctx, raw) if isinstance(one, Envelope)]
    assert [one.text for one in sorted(made, key=lambda one: (one.at, one.seq))] == ["z", "a", "m"]


async def test_pages_of_nonsense_are_stored_and_quarantined() -> None:
    odd: list[Any] = [
        None,
        5,
        "x",
        [],
        {},
        {"msgid": ["a"]},
        message("m", origin=[3]),
        message("n", msgtype={"a": 1}),
    ]
    ctx = context(account("wecom_kf"), {SYNC: {"errcode": 0, "has_more": "?", "msg_list": odd}})

    polled = await wecom_kf.poll(ctx, STREAM, "c0", "")

    assert len(polled.raws) == len(odd)
    assert polled.cursor == "c0"
    for raw in polled.raws:
        try:
            wecom_kf.translate(ctx, raw)
        except Untranslatable:
            continue


def test_a_raw_that_is_no_json_is_quarantined() -> None:
    with pytest.raises(Untranslatable):
        wecom_kf.translate(context(account("wecom_kf")), Raw(source_key="kf:1", lane="-", payload=b"\xff"))


def push(kind: str = "text", **change: Any) -> Push:
    fields: dict[str, Any] = {
        "push_id": "p0001", "handle": HANDLE, "kind": kind, "text": "您好", "thread": KF,
    }  # fmt: skip
    return Push(**fields | change)


def answers(state: int, **more: Any) -> dict[str, Any]:
    found = {STATE: {"errcode": 0, "service_state": state}, TRANS: {"errcode": 0}, SEND: {"errcode": 0}}
    return found | more


async def test_a_new_session_is_taken_before_the_first_word() -> None:
    ctx = context(account("wecom_kf"), answers(0, **{SEND: {"errcode": 0, "msgid": "p0001"}}))

    assert await wecom_kf.send(ctx, push()) == "p0001"

    assert asked(ctx).paths() == [STATE, TRANS, SEND]
    assert asked(ctx).calls[-2][2] == {"open_kfid": KF, "external_userid": CUSTOMER, "service_state": 1}
    assert asked(ctx).calls[-1][2] == {
        "touser": CUSTOMER,
        "open_kfid": KF,
        "msgid": "p0001",
        "msgtype": "text",
        "text": {"content": "您好"},
    }


async def test_a_session_of_ours_is_answered_at_once() -> None:
    ctx = context(account("wecom_kf"), answers(1))

    await wecom_kf.send(ctx, push())

    assert asked(ctx).paths() == [STATE, SEND]


@pytest.mark.parametrize(
    ("state", "code"), [(2, "session_human"), (3, "session_human"), (4, "session_ended")]
)
async def test_a_session_that_is_not_ours_is_left_alone(state: int, code: str) -> None:
    ctx = context(account("wecom_kf"), answers(state))

    with pytest.raises(Rejected) as refused:
        await wecom_kf.send(ctx, push())

    assert refused.value.code == code
    assert asked(ctx).paths() == [STATE]


async def test_a_state_nobody_knows_is_tried_again_later() -> None:
    with pytest.raises(NotSent):
        await wecom_kf.send(context(account("wecom_kf"), answers(7)), push())


async def test_two_pushes_that_take_the_session_at_once_both_go_out() -> None:
    states = [{"errcode": 0, "service_state": 0}, {"errcode": 0, "service_state": 1}]
    ctx = context(account("wecom_kf"), answers(0, **{STATE: states, TRANS: {"errcode": 95016}}))

    await wecom_kf.send(ctx, push())

    assert asked(ctx).paths() == [STATE, TRANS, STATE, SEND]


async def test_a_colleague_who_is_quicker_wins() -> None:
    states = [{"errcode": 0, "service_state": 0}, {"errcode": 0, "service_state": 3}]
    taken = context(account("wecom_kf"), answers(0, **{STATE: states, TRANS: {"errcode": 95016}}))
    meanwhile = context(account("wecom_kf"), answers(1, **{SEND: {"errcode": 95018}}))

    for ctx in (taken, meanwhile):
        with pytest.raises(Rejected) as refused:
            await wecom_kf.send(ctx, push())
        assert refused.value.code == "session_human"


async def test_an_image_is_uploaded_once_the_session_is_ours() -> None:
    upload = {"errcode": 0, "media_id": "M1", "created_at": "1772415000"}
    ctx = context(account("wecom_kf"), answers(1, **{"media/upload": upload}))

    await wecom_kf.send(ctx, push("image", media=Media(name="a.png", mime="image/png", content=b"x")))

    assert asked(ctx).paths() == [STATE, "media/upload", SEND]
    assert asked(ctx).calls[-1][2]["image"] == {"media_id": "M1"}


async def test_a_welcome_needs_only_its_code() -> None:
    ctx = context(account("wecom_kf"), {"kf/send_msg_on_event": {"errcode": 0, "msgid": "p0001"}})

    assert await wecom_kf.send(ctx, push("welcome", code="CODE", thread="")) == "p0001"

    assert asked(ctx).calls[-1][2] == {
        "code": "CODE",
        "msgid": "p0001",
        "msgtype": "text",
        "text": {"content": "您好"},
    }


@pytest.mark.parametrize(
    "bad",
    [
        push(thread=""),
        push(handle=Handle(kind="wecom_external", scope="ww-other", value=CUSTOMER)),
        push(handle=Handle(kind="wechat_openid", scope=CORP_ID, value=CUSTOMER)),
    ],
)
async def test_what_this_account_cannot_send_is_rejected_without_a_call(bad: Push) -> None:
    with pytest.raises(Rejected):
        await wecom_kf.send(context(account("wecom_kf")), bad)


async def test_an_image_without_a_file_is_rejected() -> None:
    with pytest.raises(Rejected):
        await wecom_kf.send(context(account("wecom_kf"), answers(1)), push("image"))


#: How `send_msg` ends -> our error and its code.
ENDS: dict[str, tuple[Reply, type[ScrmError], str]] = {
    "five already": ({"errcode": 95001}, Rejected, "95001"),
    "too late": ({"errcode": 95002}, Rejected, "95002"),
    "mode": ({"errcode": 95011}, Rejected, "95011"),
    "throttled": ({"errcode": 45009}, NotSent, "45009"),
    "expired for ever": ({"errcode": 42001}, NotSent, "42001"),
    "html": (page("200 OK", b"<html>"), Unknown, ""),
    "reset": ("reset", Unknown, ""),
    "truncated": (page("200 OK", b'{"errcode":'), Unknown, ""),
}


@pytest.mark.parametrize(("reply", "error", "code"), ENDS.values(), ids=list(ENDS))
async def test_every_end_of_a_send_is_told_apart(reply: Reply, error: type[ScrmError], code: str) -> None:
    script = {STATE: [{"errcode": 0, "service_state": 1}], SEND: [reply]}
    async with Vendor(script).running() as vendor, Guard() as guard:
        of: Account = account("wecom_kf", api_base=vendor.base)
        ctx = Context(account=of, http=guard.http(of), tokens=MemoryTokens(), now=NOW)

        with pytest.raises(error) as failed:
            await wecom_kf.send(ctx, push())

        assert getattr(failed.value, "code", "") == code
        assert vendor.calls["gettoken"] <= 2
        assert vendor.calls[SEND] <= 2


async def test_trouble_before_the_send_is_never_unclear() -> None:
    for path in (STATE, TRANS, "gettoken"):
        ctx = context(account("wecom_kf"), answers(0, **{path: Unknown()}))
        with pytest.raises(NotSent):
            await wecom_kf.send(ctx, push())


async def test_the_probe_counts_the_accounts() -> None:
    listed = {"kf/account/list": {"errcode": 0, "account_list": [{"open_kfid": KF}]}}

    found = await wecom_kf.probe(context(account("wecom_kf"), listed))
    none = await wecom_kf.probe(context(account("wecom_kf"), {"kf/account/list": {"errcode": 0}}))
    denied = await wecom_kf.probe(context(account("wecom_kf"), {"kf/account/list": {"errcode": 48002}}))
    wrong = await wecom_kf.probe(context(account("wecom_kf"), {"gettoken": {"errcode": 40001}}))

    assert [finding.severity for finding in found] == [Severity.OK, Severity.OK]
    assert [finding.severity for finding in none] == [Severity.OK, Severity.WARN]
    assert [finding.severity for finding in denied] == [Severity.OK, Severity.WARN]
    assert [finding.severity for finding in wrong] == [Severity.ERROR]


# -- refused later -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fail_type", "effect"),
    [
        (0, ""),
        (1, "config"),
        (2, "config"),
        (4, "out_of_window"),
        (5, "session_ended"),
        (6, "out_of_window"),
        (7, "config"),
        (10, "opted_out"),
        (99, ""),
    ],
)
def test_what_is_refused_later_means_what_the_same_refusal_means_at_once(fail_type: int, effect: str) -> None:
    event = {"event_type": "msg_send_fail", "fail_msgid": "push1", "fail_type": fail_type}
    told = {"msgid": "f1", "msgtype": "event", "send_time": 1772414990, "event": event}
    raw = Raw(source_key="kf:f1", lane="", payload=json.dumps({"msg": told, "order": 0}).encode())

    (found,) = wecom_kf.translate(context(account("wecom_kf")), raw)

    assert isinstance(found, Envelope)
    assert (found.failed_push, found.failed_effect) == ("push1", effect)
