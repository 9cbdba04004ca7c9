"""WeCom's administration over the whole path: what is asked, what is so afterwards, and who may see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connectors.kit.world import Persona
from scrm import facts
from scrm.app import TENANT
from scrm.facts import Known
from tests.flow.stage import CORP_ID, WECOM, Stage


def ident(person: Persona) -> str:
    return person.external_userid(CORP_ID)


async def account_of(stage: Stage) -> int:
    return stage.service.house.directory.by_slug(WECOM).account.account_id


async def fact(stage: Stage, kind: str, key: str) -> Known | None:
    async with stage.service.house.db.read(TENANT) as conn:
        return await facts.get(conn, await account_of(stage), kind, key)


async def becomes(stage: Stage, kind: str, key: str, so: Callable[[Known], bool]) -> Known:
    """The fact, once it is so."""

    async def look() -> Known | None:
        found = await fact(stage, kind, key)
        return found if found is not None and so(found) else None

    found: Known = await stage.api.until(look, f"{kind} {key}")
    return found


async def deed(stage: Stage, kind: str, **fields: Any) -> dict[str, Any]:
    """Asked for, and ended or waiting for its outcome."""
    body = {"account": WECOM, "kind": kind, "fields": fields}
    status, made = await stage.api.post("deeds", body, f"{kind}-{fields}")
    assert status == 201, made
    return await _ended(stage, made["id"], {"done", "failed", "unknown", "waiting"})


async def _ended(stage: Stage, deed_id: str, states: set[str]) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = await stage.api.all("deeds", account=WECOM)
        return next((d for d in found if d["id"] == deed_id and d["state"] in states), None)

    found: dict[str, Any] = await stage.api.until(look, f"deed {deed_id} {states}")
    return found


async def due_now(stage: Stage) -> None:
    """Let what is due later be due at once."""
    await stage.change("UPDATE due SET at = 0 WHERE kind IN ('enrich', 'deed')")


async def test_a_customer_who_is_added_edited_and_lost_stays_told_as_they_are(stage: Stage) -> None:
    person, member = stage.world.personas[0], stage.world.staff[0]
    key = f"{ident(person)}|{member.userid}"
    await stage.wecom.add(person, member, state="autumn")
    added = await becomes(stage, "follow", key, lambda f: f.body.get("source") == "扫描二维码")

    stage.wecom.office.note(person, member.userid).remark = "子涵妈妈"
    await stage.wecom.edit(person, member)
    edited = await becomes(stage, "follow", key, lambda f: f.body["remark"] == "子涵妈妈")
    await stage.wecom.leave(person, member)
    left = await becomes(stage, "follow", key, lambda f: f.gone_at is not None)

    assert (added.body["state"], edited.node_id) == ("autumn", added.node_id)
    assert left.body["remark"] == "子涵妈妈"
    (way,) = await stage.rows("SELECT name, n FROM tally WHERE name LIKE 'contact_way:%'")
    assert way[0] == "contact_way:autumn"


async def test_deeds_by_the_api_change_the_platform_and_our_own_state(stage: Stage) -> None:
    person, member = stage.world.personas[0], stage.world.staff[0]
    await stage.wecom.add(person, member)
    await stage.quiet()
    who = {"userid": member.userid, "external_userid": ident(person)}

    tags = await deed(stage, "tag.add", group="年级", names=["三年级"])
    (tag,) = tags["result"]["tag_group"]["tag"]
    await deed(stage, "mark_tag", **who, add=[tag["id"]])
    follow = await becomes(
        stage, "follow", f"{ident(person)}|{member.userid}", lambda f: bool(f.body["tags"])
    )
    way = await deed(stage, "way.add", users=[member.userid], state="autumn")
    made = await becomes(stage, "contact_way", way["item"], lambda f: f.gone_at is None)
    refused = await deed(stage, "mark_tag", **who, add=["etNone"])

    assert follow.body["tags"][0]["name"] == "三年级"
    assert made.body["state"] == "autumn"
    assert (refused["state"], refused["code"], refused["error"]) == (
        "failed",
        "40068",
        "标签不存在，可能已被删除。",
    )
    assert stage.wecom.calls["externalcontact/mark_tag"] == 2


async def test_a_transfer_is_followed_over_its_day_and_the_customer_changes_hands(stage: Stage) -> None:
    person, (lin, zhou) = stage.world.personas[0], stage.world.staff[:2]
    await stage.wecom.add(person, lin)
    await stage.quiet()

    asked = await deed(
        stage, "transfer", handover=lin.userid, takeover=zhou.userid, customers=[ident(person)]
    )
    stage.wecom.office.transfers.takes_s = 0
    await due_now(stage)
    done = await _ended(stage, asked["id"], {"done"})
    await becomes(stage, "follow", f"{ident(person)}|{lin.userid}", lambda f: f.gone_at is not None)
    taken = await becomes(stage, "follow", f"{ident(person)}|{zhou.userid}", lambda f: f.gone_at is None)

    assert asked["state"] == "waiting"
    assert done["result"]["customers"] == {ident(person): "已转接"}
    assert taken.body["userid"] == zhou.userid
    assert "event.contact.transferred" in await stage.kinds(WECOM)


async def test_a_group_is_known_by_its_members_and_keeps_its_history_when_it_is_dismissed(
    stage: Stage,
) -> None:
    mother, father = stage.world.personas[:2]
    office = stage.wecom.office
    chat = await office.open_chat("三年级家长群", stage.world.staff[0], [mother])
    await becomes(stage, "chat", chat.chat_id, lambda f: len(f.body.get("members", ())) == 2)
    await office.join(chat, father)
    full = await becomes(stage, "chat", chat.chat_id, lambda f: len(f.body["members"]) == 3)
    await office.quit(chat, mother)
    await becomes(stage, "chat", chat.chat_id, lambda f: len(f.body["members"]) == 2)
    gone = await becomes(
        stage, "chat_member", f"{chat.chat_id}|{ident(mother)}", lambda f: f.gone_at is not None
    )
    await office.dismiss(chat)
    dismissed = await becomes(stage, "chat", chat.chat_id, lambda f: f.gone_at is not None)

    assert full.body["name"] == "三年级家长群"
    assert gone.node_id is not None
    assert dismissed.body["members"]
    assert [
        k for k in await stage.kinds(WECOM) if k.startswith("event.chat.") and k != "event.chat.known"
    ] == [
        "event.chat.created",
        "event.chat.updated",
        "event.chat.updated",
        "event.chat.dismissed",
    ]


@pytest.mark.parametrize("crowd", [250])
async def test_a_first_sync_never_asks_for_each_customer_and_again_adds_nothing(
    stage: Stage, crowd: int
) -> None:
    stage.wecom.office.crowd = crowd

    async def sync() -> int:
        from_ = stage.service.house
        plugged, cursor, more, fresh = from_.directory.by_slug(WECOM), "", True, 0
        while more:
            page = await plugged.plug.poll(from_.context(plugged, stage.world.now()), "customers", cursor, "")
            fresh += await from_.inbox.accept(
                plugged.account, page.raws, received_at=stage.world.now(), bulk=True
            )
            cursor, more = page.cursor, page.more
        return fresh

    first = await sync()
    await stage.quiet()
    before = stage.wecom.calls["externalcontact/get"]
    again = await sync()

    assert (first, again, before) == (crowd, 0, 0)
    ((persons,),) = await stage.rows("SELECT count(*) FROM fact WHERE kind = 'follow'")
    assert persons == crowd
