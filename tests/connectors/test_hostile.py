"""Whatever arrives at a callback address: refused, or stored and either understood or quarantined."""

from __future__ import annotations

import json
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.contract import Call
from scrm.errors import Refused, Untranslatable
from tests.connectors.support import NOW, account, context, receive_id, sealed_call

CHANNELS = ("wechat_oa", "miniprogram", "wecom_kf", "wecom", "wecom_archive")
NAMES = st.sampled_from(
    [
        "ToUserName", "FromUserName", "CreateTime", "MsgType", "MsgId", "Content", "Event", "EventKey",
        "ChangeType", "InfoType", "TimeStamp", "SuiteId", "AuthCorpId", "UserID", "ExternalUserID", "ChatId",
        "WelcomeCode", "OpenKfId", "Token", "AgentID", "AuthAddOpenKfId", "List", "SubscribeMsgPopupEvent",
        "ScanCodeInfo", "KfAccount", "MsgID", "Status",
    ]
)  # fmt: skip
WORDS = st.sampled_from(
    [
        "event", "text", "image", "location", "subscribe", "SCAN", "CLICK", "scancode_push",
        "kf_msg_or_event", "kf_account_auth_change", "change_external_contact", "add_external_contact",
        "change_external_chat", "subscribe_msg_popup_event", "TEMPLATESENDJOBFINISH", "1772415000",
        "99999999999", "0", "", "sys", "o1",
    ]
) | st.text(max_size=12)  # fmt: skip
VALUES = st.recursive(
    WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
PAYLOADS = (
    st.dictionaries(NAMES, VALUES, max_size=9).map(lambda fields: json.dumps(fields).encode())
    | st.lists(st.tuples(NAMES, WORDS), max_size=9).map(
        lambda pairs: ("<xml>" + "".join(f"<{k}><![CDATA[{v}]]></{k}>" for k, v in pairs) + "</xml>").encode()
    )
    | st.binary(max_size=200)
)
QUERIES = st.dictionaries(
    st.sampled_from(["signature", "msg_signature", "timestamp", "nonce", "echostr", "encrypt_type"]),
    st.text(max_size=40),
)


@pytest.mark.parametrize("channel", CHANNELS)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
    query=QUERIES,
    body=PAYLOADS | st.binary(max_size=200).map(lambda raw: b"<xml><Encrypt>" + raw + b"</Encrypt></xml>"),
)
def test_an_unsigned_call_is_refused_whatever_it_holds(
    channel: str, method: str, query: dict[str, str], body: bytes
) -> None:
    call = Call(method=method, tail="", query=query, headers={}, body=body, received_at=NOW)

    with pytest.raises(Refused):
        import_module(f"connectors.{channel}").receive(context(account(channel)), call)


@pytest.mark.parametrize("channel", CHANNELS)
@given(payload=PAYLOADS)
def test_a_signed_call_is_stored_and_understood_or_quarantined(channel: str, payload: bytes) -> None:
    module, ctx = import_module(f"connectors.{channel}"), context(account(channel))

    (raw,) = module.receive(ctx, sealed_call(payload, to=receive_id(channel))).raws

    assert raw.payload == payload
    assert 0 < len(raw.lane.encode()) <= 3 * 2048
    try:
        made = module.translate(ctx, raw)
    except Untranslatable:
        return
    for one in made:
        json.dumps(getattr(one, "body", {}), ensure_ascii=False).encode()
        getattr(one, "text", "").encode()


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", ""])
def test_other_methods_are_refused(channel: str, method: str) -> None:
    good = sealed_call(b"<xml><A>1</A></xml>", to=receive_id(channel))
    call = Call(method=method, tail="", query=good.query, headers={}, body=good.body, received_at=NOW)

    with pytest.raises(Refused):
        import_module(f"connectors.{channel}").receive(context(account(channel)), call)


@pytest.mark.parametrize("channel", CHANNELS)
def test_an_oversized_body_is_refused(channel: str) -> None:
    call = sealed_call(b"x" * 70_000, to=receive_id(channel))

    with pytest.raises(Refused):
        import_module(f"connectors.{channel}").receive(context(account(channel)), call)
