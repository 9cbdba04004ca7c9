"""Official Account callbacks read by us and by wechatpy: who, what, and which event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from wechatpy import parse_message  # type: ignore[import-untyped]
from wechatpy.crypto import WeChatCrypto, WeChatWxaCrypto  # type: ignore[import-untyped]

from connectors import miniprogram, wechat_oa
from connectors.kit.official.userdata import open_user_data
from scrm.contract import Call, Envelope
from scrm.errors import Refused
from tests.connectors.support import AES_KEY, APP_ID, MINI_ID, NOW, TOKEN, account, context

FIXTURES = Path(__file__).resolve().parents[2] / "connectors/wechat_oa/fixtures"
CASES = [
    pytest.param(case["callback"], id=f"{name}-{case['name']}")
    for name in ("messages", "events", "cards")
    for case in json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))["cases"]
    if isinstance(case["callback"], str) and "<MsgType>" in case["callback"]
]


def ours(module: Any, channel: str, call: Call) -> Envelope:
    ctx = context(account(channel))
    (raw,) = module.receive(ctx, call).raws
    return next(one for one in module.translate(ctx, raw) if isinstance(one, Envelope))


def sealed(plain: str, app_id: str) -> Call:
    """Encrypted and signed by wechatpy alone."""
    stamp, nonce = str(int(NOW.timestamp())), "n0nce"
    body = WeChatCrypto(TOKEN, AES_KEY, app_id).encrypt_message(plain, nonce, stamp)
    signature = body.partition("<MsgSignature><![CDATA[")[2].partition("]]>")[0]
    query = {"msg_signature": signature, "timestamp": stamp, "nonce": nonce, "encrypt_type": "aes"}
    return Call(method="POST", tail="", query=query, headers={}, body=body.encode(), received_at=NOW)


@pytest.mark.parametrize("plain", CASES)
def test_wechatpy_s_callbacks_mean_the_same_to_both(plain: str) -> None:
    theirs, envelope = parse_message(plain), ours(wechat_oa, "wechat_oa", sealed(plain, APP_ID))

    if envelope.handles and "OpenID" not in envelope.body:
        assert envelope.handles[0].value == theirs.source
    assert int(envelope.at.timestamp()) == int(theirs.create_time.timestamp())
    if envelope.kind.startswith("message."):
        assert envelope.kind == f"message.{theirs.type}"
        assert envelope.body["MsgId"] == str(theirs.id)
    elif theirs.type == "event":
        event = envelope.body["Event"].lower()
        assert theirs.event in (event, f"{event}_scan")
    if envelope.kind == "message.text":
        assert envelope.text == theirs.content
    if envelope.pieces and envelope.kind != "message.miniprogrampage":
        assert envelope.pieces[0].ref == theirs.media_id


def test_a_mini_program_opens_what_wechatpy_sealed() -> None:
    plain = (
        "<xml><FromUserName>o1</FromUserName><CreateTime>1772415000</CreateTime><MsgType>text</MsgType>"
        "<Content>你好</Content><MsgId>abc-1</MsgId></xml>"
    )

    assert ours(miniprogram, "miniprogram", sealed(plain, MINI_ID)).text == "你好"
    with pytest.raises(Refused):
        ours(miniprogram, "miniprogram", sealed(plain, APP_ID))


#: The published sample of developers.weixin.qq.com (open-ability/signature).
SAMPLE = (
    "wx4f4bc4dec97d474b",
    "tiihtNczf5v6AKRyjwEUhQ==",
    "r7BXXKkLb8qrSNn05n0qiA==",
    "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+3hVbJSRgv+4lGOETKUQz6OYStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COxFvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3g0gfRK4PC7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns/8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T8yO5hzuyDb/XcxxmK01EpqOyuxINew==",
)


def test_user_data_is_opened_as_wechatpy_and_the_published_sample_have_it() -> None:
    app_id, key, iv, data = SAMPLE

    fields = open_user_data(key, iv, data, app_id)

    assert fields == WeChatWxaCrypto(key, iv, app_id).decrypt_message(data)
    assert fields["nickName"] == "Band"


@pytest.mark.parametrize("at", [0, 1, 2])
def test_user_data_with_another_key_or_for_another_app_is_refused(at: int) -> None:
    app_id, *given = SAMPLE
    with pytest.raises(Refused):
        open_user_data(*given, "wx0000000000000000")
    given[at] = ("B" if given[at][0] == "A" else "A") + given[at][1:]

    with pytest.raises(Refused):
        open_user_data(*given, app_id)


@pytest.mark.parametrize("broken", ["", "===", "QUJD", "é"])
def test_user_data_that_is_no_user_data_is_refused(broken: str) -> None:
    app_id, key, iv, _ = SAMPLE

    with pytest.raises(Refused):
        open_user_data(key, iv, broken, app_id)
