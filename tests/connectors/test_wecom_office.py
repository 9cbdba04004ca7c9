"""WeCom's API in full against its simulator: first sync, groups, tags, contact ways, sends, transfers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from connectors import wecom
from connectors.kit.http import Guard
from connectors.kit.world import Persona
from connectors.wecom.simulator import WeCom
from scrm.contract import Done, Envelope, Fact, Handle, Raw
from scrm.errors import NotSent, Rejected
from tests.connectors.stage import CORP_ID, Stage, staged
from tests.connectors.test_simulators_agree import Ours, meet


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as running:
        yield running


@pytest.fixture
async def met(stage: Stage) -> AsyncIterator[tuple[Ours, WeCom]]:
    async with Guard() as guard:
        yield await meet(stage, guard, "wecom")


def ident(person: Persona) -> str:
    return person.external_userid(CORP_ID)


def meant(ours: Ours, raws: tuple[Raw, ...] | list[Raw]) -> list[Envelope]:
    return [e for raw in raws for e in wecom.translate(ours.ctx, raw) if isinstance(e, Envelope)]


def facts(ours: Ours, raws: tuple[Raw, ...] | list[Raw], kind: str) -> dict[str, Fact]:
    return {f.key: f for e in meant(ours, raws) for f in e.facts if f.kind == kind}


async def do(ours: Ours, deed: str, **fields: Any) -> Done:
    return await wecom.do(ours.ctx, deed, fields)


async def walk(ours: Ours, stream: str, cursor: str = "") -> tuple[list[Raw], list[str]]:
    """Every raw of a stock from `cursor` on, and the cursors on the way."""
    raws, cursors, more = [], [], True
    while more:
        page = await wecom.poll(ours.ctx, stream, cursor, "")
        raws += page.raws
        cursor, more = page.cursor, page.more
        cursors.append(cursor)
    return raws, cursors


# -- first sync --------------------------------------------------------------------------------------------
async def test_every_customer_of_every_member_is_listed_once_and_again_adds_nothing(
    stage: Stage, met: tuple[Ours, WeCom]
) -> None:
    ours, corp = met
    for n, person in enumerate(stage.world.personas[:6]):
        await corp.add(person, stage.world.staff[n % 4], state="open-day")
    await corp.add(stage.world.personas[0], stage.world.staff[1])
    corp.office.crowd = 230

    raws, cursors = await walk(ours, "customers")
    again, _ = await walk(ours, "customers")

    assert len(raws) == len({r.source_key for r in raws}) == 237
    assert {r.source_key for r in again} == {r.source_key for r in raws}
    assert cursors[-1] == ""
    follow = facts(ours, raws, "follow")[f"{ident(stage.world.personas[1])}|ZhouHao"]
    assert (follow.body["state"], follow.body["source"]) == ("open-day", "扫描二维码")


async def test_a_walk_goes_on_from_any_cursor_without_a_gap(met: tuple[Ours, WeCom]) -> None:
    ours, corp = met
    corp.office.crowd = 450
    whole, cursors = await walk(ours, "customers")
    keys = [r.source_key for r in whole]

    for n, cursor in enumerate(cursors[:-1], 1):
        rest, _ = await walk(ours, "customers", cursor)
        assert [r.source_key for r in rest] == keys[100 * n :]


async def test_a_page_of_fifty_thousand_costs_no_more_than_any_other(met: tuple[Ours, WeCom]) -> None:
    ours, corp = met
    corp.office.crowd = 50_000

    raws = (await wecom.poll(ours.ctx, "customers", '["", "ZhouHao", "49900", false]', "")).raws

    assert len(raws) == 100
    assert corp.calls["externalcontact/batch/get_by_user"] == 1
    assert not any(r.urgent for r in raws)


async def test_members_without_customers_and_an_empty_company_end_the_walk(met: tuple[Ours, WeCom]) -> None:
    ours, corp = met
    corp.fail("externalcontact/batch/get_by_user", 84061)

    for stream in ("customers", "groups", "tags", "contact_ways", "unheard-of"):
        assert await walk(ours, stream) == ([], [""])


async def test_groups_are_listed_member_by_member_where_the_company_is_too_wide(
    stage: Stage, met: tuple[Ours, WeCom]
) -> None:
    ours, corp = met
    for n in range(3):
        await corp.office.open_chat(f"群{n}", stage.world.staff[n], stage.world.personas[:2])
    usual, _ = await walk(ours, "groups")

    corp.fail("externalcontact/groupchat/list", 81017)
    split, _ = await walk(ours, "groups")

    assert {r.source_key for r in split} == {r.source_key for r in usual}
    assert set(facts(ours, usual, "chat")) == set(corp.office.chats)


@pytest.mark.parametrize("cursor", ["nonsense", '["a"]', "[1, 2, 3, 4]", "{}", "7"])
async def test_a_cursor_we_did_not_write_begins_anew(met: tuple[Ours, WeCom], cursor: str) -> None:
    ours, corp = met
    corp.office.crowd = 5

    assert len((await walk(ours, "customers", cursor))[0]) == 5


# -- groups ------------------------------------------------------------------------------------------------
async def test_a_group_tells_its_members_and_a_late_answer_loses_to_a_newer_one(
    stage: Stage, met: tuple[Ours, WeCom]
) -> None:
    ours, corp = met
    mother, father = stage.world.personas[:2]
    chat = await corp.office.open_chat("三年级家长群", stage.world.staff[0], [mother])
    place = Handle(kind="wecom_chat", scope=CORP_ID, value=chat.chat_id)
    early = facts(ours, await wecom.enrich(ours.ctx, place), "chat")[chat.chat_id]
    stage.world.advance(5)
    await corp.office.join(chat, father)

    changed = ours.said()[-1]
    late = facts(ours, await wecom.enrich(ours.ctx, place), "chat")[chat.chat_id]

    assert changed.asks
    assert changed.facts[0].body["last"] == early.body["version"]
    assert changed.facts[0].body["current"] == late.body["version"]
    assert [m["userid"] for m in late.body["members"]] == ["LinXiaoYan", ident(mother), ident(father)]
    assert (late.rank or 0) > (early.rank or 0)


async def test_a_group_keeps_no_customers_name_with_the_group(stage: Stage, met: tuple[Ours, WeCom]) -> None:
    ours, corp = met
    person = stage.world.personas[0]
    chat = await corp.office.open_chat("群", stage.world.staff[0], [person])
    place = Handle(kind="wecom_chat", scope=CORP_ID, value=chat.chat_id)

    raws = await wecom.enrich(ours.ctx, place)

    assert person.name not in str(facts(ours, raws, "chat")[chat.chat_id].body)
    member = facts(ours, raws, "chat_member")[f"{chat.chat_id}|{ident(person)}"]
    assert (member.body["name"], member.handle and member.handle.value) == (person.name, ident(person))


async def test_who_leaves_and_what_is_dismissed_is_gone(stage: Stage, met: tuple[Ours, WeCom]) -> None:
    ours, corp = met
    person = stage.world.personas[0]
    chat = await corp.office.open_chat("群", stage.world.staff[0], [person])
    await corp.office.quit(chat, person)
    left = ours.said()[-1]
    await corp.office.dismiss(chat)
    dismissed = ours.said()[-1]

    assert [(f.kind, f.gone) for f in left.facts] == [("chat_version", False), ("chat_member", True)]
    assert [(f.kind, f.gone) for f in dismissed.facts] == [("chat", True)]
    place = Handle(kind="wecom_chat", scope=CORP_ID, value=chat.chat_id)
    assert facts(ours, await wecom.enrich(ours.ctx, place), "chat")[chat.chat_id].gone


# -- what a member says of a customer ----------------------------------------------------------------------
async def test_remark_and_tags_are_written_down_because_nobody_calls_back(
    stage: Stage, met: tuple[Ours, WeCom]
) -> None:
    ours, corp = met
    person, member = stage.world.personas[0], stage.world.staff[0]
    await corp.add(person, member)
    told = len(corp.deliveries)
    made = await do(ours, "tag.add", group="年级", names=["三年级", "四年级"])
    third = next(k for k, f in facts(ours, made.raws, "tag").items() if f.body["name"] == "三年级")
    who = {"userid": member.userid, "external_userid": ident(person)}

    await do(ours, "remark", **who, remark="子涵妈妈", mobiles=["13800138000"])
    done = await do(ours, "mark_tag", **who, add=[third])

    follow = facts(ours, done.raws, "follow")[f"{ident(person)}|{member.userid}"]
    assert (follow.body["remark"], follow.body["tags"][0]["name"]) == ("子涵妈妈", "三年级")
    phone = [link for e in meant(ours, done.raws) for link in e.links if link.rule == "wecom_remark_phone"]
    assert [(link.b.value, link.strength) for link in phone] == [("+8613800138000", 45)]
    assert len(corp.deliveries) == told


async def test_going_back_to_what_was_is_news_too(stage: Stage, met: tuple[Ours, WeCom]) -> None:
    ours, corp = met
    person, member = stage.world.personas[0], stage.world.staff[0]
    await corp.add(person, member)
    who = {"userid": member.userid, "external_userid": ident(person)}

    keys = []
    for remark in ("一", "二", "一"):
        stage.world.advance(1)
        keys += [raw.source_key for raw in (await do(ours, "remark", **who, remark=remark)).raws]

    assert len(set(keys)) == 3


async def test_tags_are_renamed_and_deleted_with_their_group(stage: Stage, met: tuple[Ours, WeCom]) -> None:
    ours, corp = met
    person = stage.world.personas[0]
    await corp.add(person, stage.world.staff[1])
    made = await do(ours, "tag.add", group="年级", names=["三年级", "四年级"])
    tags = facts(ours, made.raws, "tag")
    one = next(iter(tags))

    renamed = await do(ours, "tag.edit", id=one, name="五年级")
    deleted = await do(ours, "tag.delete", groups=[made.item])

    assert facts(ours, renamed.raws, "tag")[one].body["name"] == "五年级"
    assert {k for k, f in facts(ours, deleted.raws, "tag").items() if f.gone} == set(tags)
    with pytest.raises(Rejected, match="标签不存在"):
        await do(ours, "mark_tag", userid="ZhouHao", external_userid=ident(person), add=[one])


async def test_a_customer_who_left_has_no_followers_any_more(stage: Stage, met: tuple[Ours, WeCom]) -> None:
    ours, corp = met
    person, member = stage.world.personas[0], stage.world.staff[0]
    await corp.add(person, member, state="autumn")
    added = ours.said()[-1]
    await corp.leave(person, member)
    left = ours.said()[-1]
    handle = Handle(kind="wecom_external", scope=CORP_ID, value=ident(person))

    (contact,) = facts(ours, await wecom.enrich(ours.ctx, handle), "contact").values()

    assert (added.counts, added.asks, added.facts[0].body["state"]) == ("contact_way:autumn", True, "autumn")
    assert [(f.kind, f.gone) for f in left.facts] == [("follow", True)]
    assert (left.facts[0].rank or 0) > (added.facts[0].rank or 0)
    assert contact.gone


# -- contact ways ------------------------------------------------------------------------------------------
async def test_a_contact_way_is_made_changed_listed_and_deleted(met: tuple[Ours, WeCom]) -> None:
    ours, _ = met
    made = await do(ours, "way.add", users=["ZhouHao", "ZhaoMin"], state="autumn", remark="开学季")
    listed, _ = await walk(ours, "contact_ways")
    changed = await do(ours, "way.update", config_id=made.item, users=["ZhouHao"], state="winter")
    gone = await do(ours, "way.delete", config_id=made.item)
    again = await do(ours, "way.delete", config_id=made.item)

    assert made.body["qr_code"].startswith("https://")
    assert facts(ours, listed, "contact_way")[made.item].body["state"] == "autumn"
    assert facts(ours, changed.raws, "contact_way")[made.item].body["state"] == "winter"
    assert facts(ours, gone.raws, "contact_way")[made.item].gone
    assert again.item == made.item


# -- group sends -------------------------------------------------------------------------------------------
async def test_a_group_send_is_followed_until_every_member_has_sent_it(
    stage: Stage, met: tuple[Ours, WeCom]
) -> None:
    ours, corp = met
    first, second, stranger = stage.world.personas[:3]
    lin, zhou = stage.world.staff[:2]
    await corp.add(first, lin)
    await corp.add(second, zhou)
    fields = {"text": "周末公开课", "customers": [ident(first), ident(second), ident(stranger)]}

    asked = await do(ours, "group_send", **fields)
    waiting = await wecom.outcome(ours.ctx, "group_send", asked.item, fields)
    corp.office.sends.confirm(asked.item, lin)
    half = await wecom.outcome(ours.ctx, "group_send", asked.item, fields)
    corp.office.sends.confirm(asked.item, zhou)
    done = await wecom.outcome(ours.ctx, "group_send", asked.item, fields)

    assert asked.body["fail_list"] == list(asked.missed) == [ident(stranger)]
    assert (waiting.raws, waiting.again_s is None) == ((), False)
    assert (half.body["waiting"], half.again_s is None) == (["ZhouHao"], False)
    assert (done.body["waiting"], done.again_s) == ([], None)
    assert {r.source_key for r in half.raws} < {r.source_key for r in done.raws}
    (said, _) = meant(ours, done.raws)
    assert (said.kind, said.text, said.direction) == ("event.broadcast.sent", "群发：周末公开课", "none")
    assert stage.world.delivered(first, "周末公开课") == 1


async def test_a_group_send_is_reminded_of_and_cancelled(stage: Stage, met: tuple[Ours, WeCom]) -> None:
    ours, corp = met
    await corp.add(stage.world.personas[0], stage.world.staff[0])
    asked = await do(ours, "group_send", text="您好", customers=[ident(stage.world.personas[0])])

    for _ in range(3):
        await do(ours, "group_send.remind", msgid=asked.item)
    with pytest.raises(NotSent):
        await do(ours, "group_send.remind", msgid=asked.item)
    await do(ours, "group_send.cancel", msgid=asked.item)
    after = await wecom.outcome(ours.ctx, "group_send", asked.item, {"text": "您好"})

    assert (after.body, after.again_s) == ({"cancelled": True}, None)


# -- transfers ---------------------------------------------------------------------------------------------
async def test_a_transfer_moves_nobody_before_its_day_is_over(stage: Stage, met: tuple[Ours, WeCom]) -> None:
    ours, corp = met
    willing, refusing, other = stage.world.personas[:3]
    lin, zhou = stage.world.staff[:2]
    await corp.add(willing, lin)
    await corp.add(refusing, lin)
    corp.office.transfers.refusing.add(refusing.number)
    fields = {
        "handover": lin.userid,
        "takeover": zhou.userid,
        "customers": [ident(willing), ident(refusing), ident(other)],
    }

    asked = await do(ours, "transfer", **fields)
    early = await wecom.outcome(ours.ctx, "transfer", asked.item, fields)
    stage.world.advance(24 * 3600 + 1)
    late = await wecom.outcome(ours.ctx, "transfer", asked.item, fields)
    again = await wecom.outcome(ours.ctx, "transfer", asked.item, fields)

    assert asked.body["customers"][ident(other)] == "该成员不是这位客户的跟进人。"
    assert (early.raws, early.again_s is None) == ((), False)
    assert late.body["customers"] == {
        ident(willing): "已转接",
        ident(refusing): "客户拒绝",
        ident(other): "没有转接记录",
    }
    (moved,) = meant(ours, late.raws)
    assert (moved.kind, moved.staff, moved.follows, moved.asks) == (
        "event.contact.transferred",
        zhou.userid,
        True,
        True,
    )
    assert [(f.key, f.gone) for f in moved.facts] == [(f"{ident(willing)}|{lin.userid}", True)]
    assert [r.source_key for r in again.raws] == [r.source_key for r in late.raws]


async def test_what_a_member_leaves_behind_is_listed_and_given_away(
    stage: Stage, met: tuple[Ours, WeCom]
) -> None:
    ours, corp = met
    person, lin, zhou = stage.world.personas[0], stage.world.staff[0], stage.world.staff[1]
    await corp.add(person, lin)
    chat = await corp.office.open_chat("群", lin, [person])
    fields = {"handover": lin.userid, "takeover": zhou.userid, "customers": [ident(person)]}
    with pytest.raises(Rejected, match="还没有离职"):
        await do(ours, "resigned.transfer", **fields)
    early = await do(ours, "groupchat.transfer", chats=[chat.chat_id], takeover=zhou.userid)
    corp.office.resigned[lin.userid] = int(stage.world.time())

    listed = await do(ours, "resigned.list")
    asked = await do(ours, "resigned.transfer", **fields)
    groups = await do(ours, "groupchat.transfer", chats=[chat.chat_id, "wrNone"], takeover=zhou.userid)
    stage.world.advance(24 * 3600 + 1)
    done = await wecom.outcome(ours.ctx, "resigned.transfer", asked.item, fields)

    assert early.body["failed"] == {chat.chat_id: "群主还没有离职，请使用在职群转接。"}
    assert [one["external_userid"] for one in listed.body["unassigned"]] == [ident(person)]
    assert groups.body == {"failed": {"wrNone": "这个群不是客户群。"}, "moved": 1}
    assert [(e.kind, e.asks) for e in meant(ours, groups.raws)] == [("event.chat.transferred", True)]
    assert done.body["customers"] == {ident(person): "已转接"}


# -- unionid -----------------------------------------------------------------------------------------------
async def test_a_unionid_names_a_contact_or_somebody_who_may_become_one(
    stage: Stage, met: tuple[Ours, WeCom]
) -> None:
    ours, corp = met
    friend, stranger = stage.world.personas[:2]
    await corp.add(friend, stage.world.staff[0])

    known = await do(ours, "unionid.convert", unionid=friend.unionid, openid="o1")
    pending = await do(ours, "unionid.convert", unionid=stranger.unionid, openid="o2")

    kinds = [
        [(link.a.kind, link.b.kind) for e in meant(ours, d.raws) for link in e.links]
        for d in (known, pending)
    ]
    assert kinds == [[("wecom_external", "wechat_unionid")], [("wecom_pending", "wechat_unionid")]]
    assert all(e.quiet for e in meant(ours, pending.raws))


# -- limits ------------------------------------------------------------------------------------------------
WHO: Mapping[str, Any] = {"userid": "ZhouHao", "external_userid": "wm1"}
PAIR: Mapping[str, Any] = {"handover": "ZhouHao", "takeover": "ZhaoMin"}


@pytest.mark.parametrize(
    ("deed", "fields"),
    [
        ("remark", {**WHO, "remark": "长" * 21}),
        ("remark", {**WHO, "description": "长" * 151}),
        ("remark", WHO),
        ("mark_tag", WHO),
        ("mark_tag", {**WHO, "add": [str(n) for n in range(3001)]}),
        ("tag.add", {"group": "年级", "names": ["长" * 31]}),
        ("tag.add", {"group": "", "names": ["三年级"]}),
        ("tag.edit", {"id": "et1", "name": "长" * 31}),
        ("tag.delete", {}),
        ("way.add", {"users": ["ZhouHao"], "state": "x" * 31}),
        ("way.add", {"users": ["ZhouHao"], "remark": "长" * 31}),
        ("way.add", {"users": [f"u{n}" for n in range(101)]}),
        ("way.add", {"users": []}),
        ("group_send", {"text": "长" * 1334, "customers": ["wm1"]}),
        ("group_send", {"text": "您好", "customers": [f"wm{n}" for n in range(10_001)]}),
        ("group_send", {"text": "您好", "chats": [f"wr{n}" for n in range(2_001)], "sender": "ZhouHao"}),
        ("group_send", {"text": "您好", "chats": ["wr1"]}),
        ("group_send", {"text": "您好"}),
        ("group_send", {"text": "您好", "customers": ["wm1"], "chats": ["wr1"]}),
        ("transfer", {**PAIR, "customers": [f"wm{n}" for n in range(101)]}),
        ("transfer", {**PAIR, "takeover": "ZhouHao", "customers": ["wm1"]}),
        ("transfer", {**PAIR, "customers": ["wm1"], "words": "长" * 201}),
        ("groupchat.transfer", {"chats": [f"wr{n}" for n in range(101)], "takeover": "ZhaoMin"}),
        ("unionid.convert", {"unionid": "", "openid": "o1"}),
        ("no.such.deed", {}),
    ],
)
async def test_what_the_platform_would_refuse_is_refused_before_it_is_asked(
    met: tuple[Ours, WeCom], deed: str, fields: dict[str, Any]
) -> None:
    ours, corp = met

    with pytest.raises(Rejected) as refused:
        await wecom.do(ours.ctx, deed, fields)

    assert refused.value.sentence.endswith("。")
    assert not [path for path in corp.calls if path != "gettoken"]


def test_every_deed_says_what_it_takes() -> None:
    kinds = [deed.kind for deed in wecom.DEEDS]

    assert len(kinds) == len(set(kinds)) == 17
    assert all(deed.title and all(f.title for f in deed.fields) for deed in wecom.DEEDS)
