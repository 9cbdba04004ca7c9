"""Other people's sealing code as the platform: what they send is on the customer's timeline, once."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from wechatpy.crypto import WeChatCrypto
from wechatpy.utils import WeChatSigner

from tests.chaos.harness import AES_KEY, APP_ID, TOKEN
from tests.clients.yard import CORP, CORP_ID, OA, PROGRAMS, Yard, node_program, ran

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPENID, CUSTOMER = "oClient-wechatpy-0001", "wmClientNodeCrypto0001"


def by_wechatpy(plain: str, to: str, nonce: str) -> tuple[dict[str, str], bytes]:
    """As a platform that runs on wechatpy would call us."""
    stamp = str(int(time.time()))
    body = WeChatCrypto(TOKEN, AES_KEY, to).encrypt_message(plain, nonce, stamp)
    encrypt = body.partition("<Encrypt><![CDATA[")[2].partition("]]>")[0]
    signer = WeChatSigner()
    signer.add_data(TOKEN, stamp, nonce, encrypt)
    query = {"msg_signature": signer.signature, "timestamp": stamp, "nonce": nonce, "encrypt_type": "aes"}
    return query, body.encode()


async def by_node(plain: str, nonce: str, node: Path) -> tuple[dict[str, str], str]:
    stamp = str(int(time.time()))
    asked = {
        "token": TOKEN,
        "key": AES_KEY,
        "to": CORP_ID,
        "timestamp": stamp,
        "nonce": nonce,
        "message": plain,
    }
    command = [*node_program(), str(PROGRAMS / "wecom_crypto.cjs"), str(node)]
    (told,) = json.loads(await ran(command, json.dumps([asked]).encode()))
    return {"msg_signature": told["signature"], "timestamp": stamp, "nonce": nonce}, told["encrypt"]


async def test_wechatpy_as_the_official_account_s_platform(grounds: Yard) -> None:
    plain = (
        f"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[{OPENID}]]></FromUserName>"
        f"<CreateTime>{int(time.time())}</CreateTime><MsgType><![CDATA[text]]></MsgType>"
        "<Content><![CDATA[请问春季班还有名额吗？]]></Content><MsgId>7310000000000000001</MsgId></xml>"
    )

    # Three tries, as the platform makes when it hears no answer; each is sealed anew.
    for nonce in ("one", "two", "three"):
        query, body = by_wechatpy(plain, APP_ID, nonce)
        assert await grounds.post(OA, query, body) == 200

    person = await grounds.person("wechat_openid", OPENID)
    assert await grounds.timeline(person) == ["请问春季班还有名额吗？"]


async def test_wecom_s_own_library_as_wecom(grounds: Yard, node: Path) -> None:
    plain = (
        f"<xml><ToUserName><![CDATA[{CORP_ID}]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName>"
        f"<CreateTime>{int(time.time())}</CreateTime><MsgType><![CDATA[event]]></MsgType>"
        "<Event><![CDATA[change_external_contact]]></Event>"
        "<ChangeType><![CDATA[add_external_contact]]></ChangeType><UserID><![CDATA[LinXiaoYan]]></UserID>"
        f"<ExternalUserID><![CDATA[{CUSTOMER}]]></ExternalUserID><State><![CDATA[autumn]]></State></xml>"
    )

    for nonce in ("one", "two"):
        query, encrypt = await by_node(plain, nonce, node)
        body = f"<xml><ToUserName>{CORP_ID}</ToUserName><Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>"
        assert await grounds.post(CORP, query, body.encode()) == 200

    person = await grounds.person("wecom_external", CUSTOMER)
    assert len(await grounds.timeline(person)) == 1


async def test_wecom_s_own_library_verifies_our_address(grounds: Yard, node: Path) -> None:
    query, echo = await by_node("8127364501928374650", "echo", node)

    url = f"{grounds.url}/hooks/{CORP}"
    async with grounds.http.get(url, params={**query, "echostr": echo}) as answer:
        assert answer.status == 200
        assert await answer.text() == "8127364501928374650"
