"""Who is who over the API: households by old and new ids, decisions and their undoing, masks, who may ask."""

from __future__ import annotations

from typing import Any

import pytest

from scrm.app import TENANT
from scrm.contract import Handle, Link
from scrm.db import utcnow
from scrm.identity import service as identity
from scrm.identity import store
from scrm.identity.service import Sighting
from scrm.identity.survivorship import service as survivorship
from scrm.ledger import store as ledger
from scrm.seal import new_id
from scrm.timeline.erasing import erase
from tests.web.office import APP_ID, Office, Reply

#: What is behind these doors is tested on both engines.
ENGINES = ["sqlite"]
MOTHER, FATHER = "oMother000000000000000000001", "oFather000000000000000000002"
NUMBER = "+8613912345678"
PHONE = Handle(kind="phone", scope="e164", value=NUMBER)


def openid(value: str) -> Handle:
    return Handle(kind="wechat_openid", scope=APP_ID, value=value)


async def told(desk: Office, *links: Link) -> None:
    async with desk.service.house.db.begin(TENANT) as conn:
        ident = new_id()
        handles = tuple({h.value: h for link in links for h in (link.a, link.b)}.values())
        one = Sighting(event_id=ident, at=utcnow(), key=f"k{ident}", handles=handles, links=links)
        await identity.resolve(conn, [one], utcnow())


async def node(desk: Office, handle: Handle) -> int:
    async with desk.service.house.db.read(TENANT) as conn:
        found = await identity.find(conn, handle)
    assert found is not None
    return found


async def person(desk: Office, handle: Handle) -> str:
    async with desk.service.house.db.read(TENANT) as conn:
        ident = (await store.persons_of(conn, [await node(desk, handle)])).popitem()[1]
    return desk.public("person", ident)


@pytest.fixture
async def pair(desk: Office) -> tuple[str, str]:
    """A mother with her telephone, and a father, who both wrote to us; public ids of these persons."""
    await desk.hear("oa-a", MOTHER, "你好")
    await desk.hear("oa-a", FATHER, "在吗")
    await told(desk, Link(a=openid(MOTHER), b=PHONE, rule="app_phone", strength=75))
    return await person(desk, openid(MOTHER)), await person(desk, openid(FATHER))


async def decide(desk: Office, verb: str, who: str, **body: Any) -> Reply:
    return await desk.api("POST", f"/identity/{verb}", token=who, json=body)


async def why(desk: Office, who: str, a: str, b: str = "") -> dict[str, Any]:
    answer = await desk.api("GET", "/identity/why", token=who, params={"a": a} | ({"b": b} if b else {}))
    assert answer.status == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_household_answers_to_its_own_id_and_to_that_of_any_member(
    desk: Office, pair: tuple[str, str]
) -> None:
    mother, father = pair
    made = await decide(desk, "link", "lead", a=mother, b=father, kind="household", why="孩子爸爸")
    home = (await desk.api("GET", f"/households/{father}", token="rep")).json()
    again = (await desk.api("GET", f"/households/{home['id']}", token="rep")).json()
    events = (await desk.api("GET", f"/households/{home['id']}/timeline", token="rep")).json()["items"]
    single = (await desk.api("GET", f"/persons/{mother}", token="rep")).json()

    assert made.status == 201
    assert made.json()["evidence_ids"]
    assert {m["id"] for m in home["members"]} == {mother, father}
    assert again["id"] == home["id"] not in (mother, father)
    assert {m["id"] for m in again["members"]} == {mother, father}
    assert {e["household_id"] for e in events} == {home["id"]}
    assert any("孩子" in e["sentence"] or "一家人" in e["sentence"] for e in home["evidence"])
    assert [f["shown"]["value"] for f in single["fields"] if f["name"] == "phone"] == ["+86****5678"]


async def test_a_link_is_explained_and_an_unlink_says_who_and_why(
    desk: Office, pair: tuple[str, str]
) -> None:
    mother, father = pair
    before = await why(desk, "lead", mother, father)
    await decide(desk, "link", "lead", a=mother, b=father, why="同一个人换了微信")
    one = await why(desk, "lead", await person(desk, openid(MOTHER)))
    a, b = [desk.public("node", await node(desk, openid(v))) for v in (MOTHER, FATHER)]
    await decide(desk, "unlink", "lead", a=a, b=b, why="电话里说是她先生")
    after = await why(desk, "lead", a, b)

    assert before["tie"] == "apart"
    assert [s["rule"] for s in one["steps"] if s["origin"] == "rep"] == ["human.link"]
    assert "员工lead说" in "".join(s["sentence"] for s in one["steps"])
    assert after["tie"] == "apart"
    assert after["why_not"][0].startswith("员工lead ")
    assert after["why_not"][0].endswith("说不是同一个人：电话里说是她先生")
    assert await person(desk, openid(FATHER)) == father  # the original id is back


async def test_identifiers_are_looked_up_by_value_and_shown_masked(
    desk: Office, pair: tuple[str, str]
) -> None:
    asked = {"kind": "phone", "value": "139 1234 5678"}
    for who, shown in (("rep", "+86****5678"), ("machine-admin", NUMBER)):
        (found,) = (await desk.api("GET", "/nodes", token=who, params=asked)).json()["items"]
        assert (found["value"], found["person_id"], found["state"]) == (shown, pair[0], "active")
    nobody = await desk.api("GET", "/nodes", token="other", params=asked)
    never = await desk.api("GET", "/nodes", token="rep", params=asked | {"value": "13900000000"})

    assert nobody.json()["items"] == never.json()["items"] == []


async def test_explanations_are_masked_for_whoever_asks(desk: Office, pair: tuple[str, str]) -> None:
    phone = desk.public("node", await node(desk, PHONE))

    for who, clear in (("rep", False), ("machine-compliance", False), ("machine-admin", True)):
        answer = repr(await why(desk, who, phone, pair[0]))
        assert (NUMBER[3:] in answer) is clear, who
        assert "在应用里登记的手机" in answer


async def test_what_somebody_may_not_see_they_neither_read_nor_decide(
    desk: Office, pair: tuple[str, str]
) -> None:
    mother, father = pair
    phone = desk.public("node", await node(desk, PHONE))

    for what in (mother, phone):
        answer = await desk.api("GET", "/identity/why", token="other", params={"a": what})
        assert answer.status == 404
    assert (await desk.api("GET", f"/households/{mother}", token="other")).status == 404
    assert (await decide(desk, "link", "other", a=mother, b=father)).status == 404
    assert (await decide(desk, "link", "compliance", a=mother, b=father)).status == 403
    assert (await decide(desk, "link", "rep", a=mother, b=mother)).status == 400
    assert (await decide(desk, "link", "rep", a="nonsense", b=mother)).status == 404
    assert await person(desk, openid(FATHER)) == father


@pytest.mark.parametrize("verb", ["link", "unlink"])
async def test_of_a_family_a_colleague_has_part_in_one_rep_decides_nothing(desk: Office, verb: str) -> None:
    await desk.hear("oa-a", MOTHER, "你好")
    assert (await desk.push("rep", await desk.cid("oa-a"), "您好")).status == 201
    await desk.hear("oa-b", FATHER, "在吗")
    assert (await desk.push("other", await desk.cid("oa-b"), "在的")).status == 201
    mother, father = await person(desk, openid(MOTHER)), await person(desk, openid(FATHER))
    assert (await decide(desk, "link", "machine-admin", a=mother, b=father, kind="household")).status == 201
    assert (await desk.api("GET", f"/households/{father}/timeline", token="rep")).status == 200

    refused = [(await decide(desk, verb, who, a=mother, b=father)).status for who in ("rep", "other")]

    assert refused == [403, 403]
    assert await person(desk, openid(MOTHER)) != await person(desk, openid(FATHER))
    assert (await decide(desk, verb, "machine-admin", a=mother, b=father)).status == 201


async def test_the_log_is_read_on_by_cursor_and_names_nothing_in_the_clear(
    desk: Office, pair: tuple[str, str]
) -> None:
    mother, father = pair
    await decide(desk, "link", "lead", a=mother, b=father)
    first = (await desk.api("GET", "/identity/changes?limit=1", token="machine-admin")).json()
    rest = (
        await desk.api("GET", f"/identity/changes?cursor={first['next_cursor']}", token="machine-admin")
    ).json()

    assert len(first["items"]) == 1
    merges = [c for c in [*first["items"], *rest["items"]] if c["op"] == "merge"]
    assert {mother, father} <= set(merges[-1]["body"]["before"])
    assert not any(v in repr([first, rest]) for v in (MOTHER, NUMBER[3:]))


async def test_deciding_and_reading_are_in_the_audit_trail(desk: Office, pair: tuple[str, str]) -> None:
    await decide(desk, "link", "lead", a=pair[0], b=pair[1])
    await why(desk, "rep", pair[0])

    async with desk.service.house.db.read(TENANT) as conn:
        entries = await ledger.entries(conn, limit=50)
    found = {(e.actor, e.action) for e in entries}
    assert (f"staff:{desk.staff_ids['rep']}", "api.identity.why") in found
    assert any(a == f"staff:{desk.staff_ids['lead']}" and "identity." in act for a, act in found)


async def test_somebody_erased_is_shown_as_erased(desk: Office, pair: tuple[str, str]) -> None:
    mother, _ = pair
    async with desk.service.house.db.begin(TENANT) as conn:
        one = desk.private("person", mother)
        await survivorship.correct(conn, one, "name", "王莉", by="staff:1", staff_id=1, now=utcnow())
        await erase(conn, one, by="staff:1", now=utcnow())
    shown = (await desk.api("GET", f"/persons/{mother}", token="machine-admin")).json()
    explained = await why(desk, "machine-admin", mother)

    assert {(n["value"], n["erased"]) for n in shown["nodes"]} == {("", True)}
    assert shown["fields"] == []
    assert "已清除的手机" in explained["sentence"]
    assert NUMBER[3:] not in repr([shown, explained])


async def test_a_correction_over_the_api_is_what_shows_until_it_is_taken_back(
    desk: Office, pair: tuple[str, str]
) -> None:
    mother, _ = pair
    said = {"field": "city", "value": "杭州", "why": "13912345678 打来说的"}
    made = await desk.api("POST", f"/persons/{mother}/corrections", token="rep", json=said)
    shown = (await desk.api("GET", f"/persons/{mother}", token="rep")).json()["fields"]
    strange = await desk.api("POST", f"/persons/{mother}/corrections", token="other", json=said)
    wrong = await desk.api(
        "POST", f"/persons/{mother}/corrections", token="rep", json={**said, "field": "shoe_size"}
    )
    ident = made.json()["correction_id"]
    theirs = await desk.api("POST", f"/corrections/{ident}/undo", token="other")
    machine = await desk.api("POST", f"/corrections/{ident}/undo", token="machine-admin")
    after = (await desk.api("GET", f"/persons/{mother}", token="rep")).json()["fields"]

    (city,) = [f["shown"] for f in shown if f["name"] == "city"]
    assert (made.status, made.json()["person_id"]) == (201, mother)
    assert (city["value"], city["source"], city["correction_id"]) == ("杭州", "human", ident)
    assert city["why"] == "139****5678 打来说的"
    assert [strange.status, wrong.status, theirs.status, machine.status] == [404, 400, 404, 200]
    assert [f for f in after if f["name"] == "city"] == []
