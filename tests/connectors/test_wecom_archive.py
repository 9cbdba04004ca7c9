"""The archive connector without its library: keys, hostile contents, consent, notices, and the simulator."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from connectors import wecom_archive
from connectors.kit.buckets import Buckets
from connectors.kit.http import Guard
from connectors.kit.platform import PLATFORM
from connectors.kit.tokens import MemoryTokens
from connectors.kit.world import World
from connectors.wecom_archive import keys, names, simulator
from connectors.wecom_archive.records import Collected
from scrm.contract import Account, Call, Context, Envelope, Handle, Pull, Raw
from scrm.errors import NotSent, Refused, Rejected, Untranslatable
from tests.connectors.support import CORP_ID, NOW, account, context
from tests.native.cloud import pem

MOTHER = "wmX7fLEQAAqk3Yp9Wc2Rt5Vb8Nz1Hd0A"


def raw_of(message: Any, *, at: Any = 1772414985000, seq: Any = 7) -> Raw:
    payload = json.dumps({"seq": seq, "at": at, "msg": message}).encode()
    return Raw(source_key="msg:1", lane="x", payload=payload)


def said(message: dict[str, Any]) -> Envelope:
    usual = {"msgid": "1", "action": "send", "from": MOTHER, "tolist": ["LinXiaoYan"], "msgtype": "text"}
    (made,) = wecom_archive.translate(context(account("wecom_archive")), raw_of(usual | message))
    assert isinstance(made, Envelope)
    return made


# -- keys --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("\n", " "),  # a form with one line
        ("\n", "\\n"),  # a careless export
        ("\n", "\r\n"),
        ("version: ", "Version："),
    ],
)
def test_keys_are_read_however_they_were_pasted(old: str, new: str) -> None:
    assert sorted(keys.parsed(pem(1, 3).replace(old, new) if old else pem(1, 3))) == [1, 3]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "version"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "version"),
        ("version: 1\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "版本 1 的私钥无法读取"),
        (f"{pem(1)}\nversion: 2\n-----BEGIN PRIVATE KEY-----\nAA", "多余"),
    ],
)
def test_keys_that_cannot_be_read_say_which(text: str, says: str) -> None:
    with pytest.raises(Rejected, match=says):
        keys.parsed(text)


# -- who is who --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("ident", "outside"),
    [
        (MOTHER, True),
        ("wo137MCgAAYW6pIiKKrDe5SlzEhSgwbA", True),
        ("wolf", False),  # a member may be called anything
        ("wmeng.li", False),
        ("LinXiaoYan", False),
        ("wbX7fLEQAAr2Ty5Uf8Hn1Jk4", False),
    ],
)
def test_customers_are_known_by_their_long_ids(ident: str, outside: bool) -> None:
    assert names.is_outside(ident) is outside


def test_what_a_member_says_in_a_group_hangs_on_the_group_alone() -> None:
    made = said({"from": "LinXiaoYan", "tolist": [MOTHER], "roomid": "wr1", "text": {"content": "大家好"}})

    assert [(h.kind, h.part) for h in made.handles] == [("wecom_chat", "about")]
    assert (made.direction, made.staff, made.thread, made.witness) == ("out", "LinXiaoYan", "wr1", False)


def test_only_what_a_member_says_to_a_customer_is_a_witness() -> None:
    to_customer = said({"from": "LinXiaoYan", "tolist": [MOTHER], "text": {"content": "好"}})
    to_colleague = said({"from": "LinXiaoYan", "tolist": ["ZhouHao"], "text": {"content": "好"}})

    assert [one.witness for one in (to_customer, to_colleague, said({"text": {"content": "好"}}))] == [
        True,
        False,
        False,
    ]


# -- contents that mean harm -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "message",
    [
        {},
        {"msgtype": "text"},
        {"msgtype": "text", "text": None},
        {"msgtype": "image", "image": {"sdkfileid": 5, "filesize": "much", "md5sum": ["x"]}},
        {"msgtype": "voice", "voice": {"sdkfileid": "f", "play_length": -1, "voice_size": 1 << 80}},
        {"msgtype": "chatrecord", "chatrecord": {"item": [None, 5, {"content": "{"}, {"type": 7}]}},
        {"msgtype": "mixed", "mixed": {"item": {"not": "a list"}}},
        {"msgtype": "redpacket", "redpacket": {"totalamount": "all"}},
        {"msgtype": "news", "info": {"item": [1, {"title": None}]}},
        {"from": None, "tolist": "everybody", "roomid": 5, "msgtype": "text", "text": {"content": "x"}},
        {"from": ["a"], "tolist": [None, {}, MOTHER]},
        {"action": "recall", "msgtype": "revoke", "revoke": "?"},
        {"action": "recall"},
        {"action": "switch", "user": {}},
        {"msgtype": "agree", "agree": []},
        {"msgtype": "disagree", "from": "LinXiaoYan"},
        {"msgtype": {"a": 1}},
        {"msgtype": "meeting_voice_call", "meeting_voice_call": {"sdkfileid": "f", "endtime": "soon"}},
        {"msgtype": "text", "text": {"content": "a\u0000b"}},
    ],
)
def test_odd_messages_are_typed_or_unknown_and_never_break(message: dict[str, Any]) -> None:
    (made,) = wecom_archive.translate(context(account("wecom_archive")), raw_of(message))

    assert isinstance(made, Envelope)
    assert made.kind.startswith(("message.", "event."))


@pytest.mark.parametrize(
    "raw",
    [
        Raw(source_key="msg:1", lane="x", payload=b"{"),
        Raw(source_key="msg:1", lane="x", payload=b"[]"),
        raw_of("text"),
        raw_of({}, at="yesterday"),
        raw_of({}, at=1 << 70),
        raw_of({}, seq=None),
        Raw(source_key="sealed:1", lane="x", payload=b"nothing"),
        Raw(source_key="sealed:1", lane="x", payload=b'{"publickey_ver": [1]}'),
        Raw(source_key="consent:1", lane="x", payload=b"{}"),
        Raw(source_key="sha256:1", lane="x", payload=b"<xml></xml>"),
    ],
)
def test_what_cannot_be_read_is_quarantined_with_a_reason(raw: Raw) -> None:
    with pytest.raises(Untranslatable):
        wecom_archive.translate(context(account("wecom_archive")), raw)


def test_records_in_records_have_a_bottom() -> None:
    item: dict[str, Any] = {"type": "ChatRecordText", "content": json.dumps({"content": "ganz unten"})}
    for _ in range(50):
        item = {"type": "ChatRecord", "content": json.dumps({"title": "t", "item": [item] * 3})}

        if len(json.dumps(item)) > 200_000:
            break
    collected = Collected()

    collected.take([item] * 5_000)

    assert len(collected.lines) <= 2_000


def test_a_merged_record_keeps_every_file_with_its_line() -> None:
    file = {"sdkfileid": "F", "filename": "卷子.pdf", "filesize": 9, "md5sum": "AB" * 16}
    items = [
        {"type": "ChatRecordText", "msgtime": 1, "content": json.dumps({"content": "看"})},
        {"type": "ChatRecordFile", "msgtime": 2, "content": json.dumps(file)},
    ]

    made = said({"msgtype": "chatrecord", "chatrecord": {"title": "群聊", "item": items}})

    assert made.text == "[聊天记录] 群聊\n看\n[文件] 卷子.pdf"
    assert made.body["records"][1] == {"type": "file", "text": "[文件] 卷子.pdf", "at": 2, "n": 0}
    assert (made.pieces[0].name, made.pieces[0].md5) == ("卷子.pdf", "ab" * 16)


# -- the callback ------------------------------------------------------------------------------------------
def test_without_a_token_no_callback_is_taken() -> None:
    closed = replace(account("wecom_archive"), secrets={"secret": "s"})

    with pytest.raises(Refused, match="Token"):
        wecom_archive.receive(context(closed), Call(
            method="POST", tail="", query={}, headers={}, body=b"<xml/>", received_at=NOW,
        ))  # fmt: skip


# -- the simulator, over HTTP ------------------------------------------------------------------------------
class Playing:
    """A simulated archive and an account that speaks to it by the guarded client."""

    def __init__(self, archive: simulator.Archive, ctx: Context) -> None:
        self.archive = archive
        self.ctx = ctx
        self.mother = archive.world.personas[0]
        self.lin = archive.world.staff[0]

    async def texts(self, cursor: str = "") -> tuple[list[str], str]:
        page = await wecom_archive.poll(self.ctx, "archive", cursor, "")
        made = [one for raw in page.raws for one in wecom_archive.translate(self.ctx, raw)]
        return [one.text for one in made if isinstance(one, Envelope)], page.cursor


@pytest.fixture
async def playing() -> AsyncIterator[Playing]:
    given = Account(
        tenant_id=1, account_id=7, slug="archive", channel="wecom_archive", name="存档",
        options={"corp_id": CORP_ID, "library": "simulator"},
        secrets={"secret": "s", "private_keys": pem(1)},
    )  # fmt: skip
    app = simulator.simulate(World(random.Random(7)), given, "http://127.0.0.1:9/hooks/archive")
    async with TestServer(app, host="127.0.0.1") as server, Guard(buckets=Buckets()) as guard:
        base = str(server.make_url("")).rstrip("/")
        ours = replace(given, options={**given.options, "api_base": base})
        ctx = Context(account=ours, http=guard.http(ours), tokens=MemoryTokens(), now=NOW)
        archive = app[PLATFORM]
        assert isinstance(archive, simulator.Archive)
        yield Playing(archive, ctx)


async def test_what_people_say_in_the_simulator_comes_out_opened(playing: Playing) -> None:
    await playing.archive.tell(playing.mother, playing.lin, "在吗？")
    await playing.archive.staff_says(playing.lin, playing.mother, "在的")

    found, cursor = await playing.texts()

    assert (found, cursor) == (["在吗？", "在的"], "2")
    assert await playing.texts("2") == ([], "2")


async def test_the_simulator_hands_out_files_and_refuses_like_the_library(playing: Playing) -> None:
    content = bytes(range(256)) * 5000
    await playing.archive.show(playing.mother, playing.lin, "作业.jpg", content)
    page = await wecom_archive.poll(playing.ctx, "archive", "", "")
    (made,) = wecom_archive.translate(playing.ctx, page.raws[0])
    assert isinstance(made, Envelope)

    assert (await wecom_archive.media(playing.ctx, made.pieces[0].ref)).content == content
    with pytest.raises(Rejected, match="文件编号无效"):
        await wecom_archive.media(playing.ctx, '["other", "", "", 0, ""]')
    playing.archive.fail("archive/pull", 10001, 10009, 301053)
    with pytest.raises(NotSent):
        await playing.texts()
    for says in ("IP", "未开启"):
        with pytest.raises(Rejected, match=says):
            await playing.texts()


async def test_consent_is_looked_up_for_every_archived_member(playing: Playing) -> None:
    playing.archive.declined.add(playing.mother.unionid)
    who = Handle(kind="wecom_external", scope=CORP_ID, value=playing.mother.external_userid(CORP_ID))

    (raw,) = await wecom_archive.enrich(playing.ctx, who)

    (made,) = wecom_archive.translate(playing.ctx, raw)
    assert isinstance(made, Envelope)
    assert {fact.body["status"] for fact in made.facts} == {"Disagree"}
    assert len(made.facts) == len(playing.archive.world.staff)
    assert made.quiet


async def test_a_notice_asks_for_the_archive() -> None:
    payload = b"<xml><Event>msgaudit_notify</Event><CreateTime>1772414990</CreateTime></xml>"

    assert wecom_archive.translate(
        context(account("wecom_archive")), Raw(source_key="sha256:x", lane="-", payload=payload)
    ) == [Pull(stream="archive")]
