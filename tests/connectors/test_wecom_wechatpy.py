"""WeCom callbacks sealed by another implementation (wechatpy): the same raws as those we seal ourselves."""

from __future__ import annotations

from typing import Any

import pytest
from wechatpy.enterprise.crypto import WeChatCrypto  # type: ignore[import-untyped]

from connectors import wecom
from connectors.kit.xml import parse
from scrm.contract import Account, Call, Envelope
from scrm.errors import Refused
from tests.connectors.support import AES_KEY, CORP_ID, NOW, TOKEN, context
from tests.connectors.test_conformance import CALLBACKS, Case, plaintext

OURS = [param for param in CALLBACKS if param.values[0] == "wecom"]
NONCE = "1372623149"


def by_wechatpy(plain: bytes, to: str) -> Call:
    crypto = WeChatCrypto(TOKEN, AES_KEY, to)
    stamp = str(int(NOW.timestamp()))
    sealed = crypto.encrypt_message(plain.decode(), NONCE, stamp)
    fields: dict[str, Any] = parse(sealed.encode())
    body = f"<xml><ToUserName>{to}</ToUserName><Encrypt>{fields['Encrypt']}</Encrypt></xml>"
    query = {"msg_signature": str(fields["MsgSignature"]), "timestamp": stamp, "nonce": NONCE}
    return Call(method="POST", tail="", query=query, headers={}, body=body.encode(), received_at=NOW)


@pytest.mark.parametrize(("_channel", "settings", "case"), OURS)
def test_every_family_sealed_elsewhere_is_taken_and_understood_alike(
    _channel: str, settings: Account, case: Case
) -> None:
    ctx = context(settings)
    call = by_wechatpy(plaintext(case), str(case.get("receive_id", CORP_ID)))

    receipt = wecom.receive(ctx, call)

    assert receipt.status == 200
    assert [raw.source_key for raw in receipt.raws] == [raw["source_key"] for raw in case["raws"]]
    made = [one for raw in receipt.raws for one in wecom.translate(ctx, raw)]
    assert [one.kind for one in made if isinstance(one, Envelope)] == [
        one["kind"] for raw in case["raws"] for one in raw["expect"]
    ]


def test_one_sealed_for_another_company_is_refused() -> None:
    plain = plaintext(dict(OURS[0].values[2]))  # type: ignore[call-overload]

    with pytest.raises(Refused):
        wecom.receive(context(OURS[0].values[1]), by_wechatpy(plain, "ww-somebody-else"))  # type: ignore[arg-type]
