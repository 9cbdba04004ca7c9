"""A rep at another rep's customers: nothing opens, nothing moves, and no word of theirs gets out."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import pytest

from scrm.app import TENANT
from scrm.timeline.store import conversations
from tests.web.office import Office, Reply, until

WORDS = "只说给自己顾问听的话"
OURS = "只回给自己客户的话"


@dataclass(frozen=True, slots=True, kw_only=True)
class Theirs:
    """Ids of the customer `rep` looks after."""

    cid: str
    person: str
    node_topic: str
    suggestion: str
    push_key: str


@pytest.fixture
async def theirs(desk: Office) -> Theirs:
    await desk.hear("oa-a", "oCustomerOfRep00000000000001", WORDS + "，多少钱？")
    cid = await desk.cid("oa-a")
    key = "key-of-rep-" + secrets.token_hex(8)
    sent = await desk.ask("POST", f"/s/c/{cid}/send", who="rep", data={"key": key, "text": OURS})
    assert sent.status == 303
    await desk.quiet()
    person = (await desk.api("GET", "/persons", token="rep")).json()["items"][0]["id"]
    offers = await desk.api("GET", f"/suggestions?conversation_id={cid}", token="rep")
    return Theirs(
        cid=cid,
        person=person,
        node_topic="node:" + desk.public("topic-node", await desk.node_of(cid)),
        suggestion=offers.json()["items"][0]["id"],
        push_key=key,
    )


def leaks(answer: Reply) -> bool:
    return WORDS in answer.text or OURS in answer.text


async def test_the_owner_finds_it_all_which_proves_the_paths_below_are_real(
    desk: Office, theirs: Theirs
) -> None:
    for path in pages(theirs):
        answer = await desk.ask("GET", path, who="rep")
        assert answer.status == 200, path
        assert leaks(answer) or path.endswith(theirs.cid), path
    for path in resources(theirs):
        assert (await desk.api("GET", path, token="rep")).status == 200, path


def pages(theirs: Theirs) -> list[str]:
    return [
        f"/inbox/{theirs.cid}",
        f"/inbox/{theirs.cid}/bubbles",
        f"/s/c/{theirs.cid}",
        f"/s/c/{theirs.cid}?tab=timeline",
        f"/s/c/{theirs.cid}/timeline",
    ]


def resources(theirs: Theirs) -> list[str]:
    return [
        f"/persons/{theirs.person}",
        f"/persons/{theirs.person}/timeline",
        f"/suggestions?conversation_id={theirs.cid}",
    ]


@pytest.mark.parametrize("who", ["peer", "other"])
async def test_another_rep_opens_no_page_of_it(desk: Office, theirs: Theirs, who: str) -> None:
    for path in pages(theirs):
        answer = await desk.ask("GET", path, who=who)
        assert (answer.status, leaks(answer)) == (404, False), path


async def test_another_token_reads_nothing_of_it(desk: Office, theirs: Theirs) -> None:
    for who in ("peer", "other", "machine-rep", "machine-lead", "admin", "compliance"):
        for path in resources(theirs):
            answer = await desk.api("GET", path, token=who)
            assert (answer.status, leaks(answer)) == (404, False), (path, who)
        for path in ("/events", "/persons", "/conversations", "/pushes"):
            answer = await desk.api("GET", path, token=who)
            assert (answer.status, answer.json()["items"]) == (200, []), (path, who)


@pytest.mark.parametrize("who", ["peer", "other"])
async def test_lists_of_another_rep_do_not_mention_it(desk: Office, theirs: Theirs, who: str) -> None:
    for path in ("/inbox", "/inbox/queue?filter=all", "/inbox/queue?filter=mine", "/s"):
        answer = await desk.ask("GET", path, who=who)
        assert answer.status == 200
        assert theirs.cid not in answer.text, path
        assert not leaks(answer), path


@pytest.mark.parametrize("who", ["peer", "other"])
async def test_another_rep_cannot_speak_in_it(desk: Office, theirs: Theirs, who: str) -> None:
    form = {"key": secrets.token_hex(12), "text": "越权的话"}

    sent = await desk.ask("POST", f"/s/c/{theirs.cid}/send", who=who, data=form)
    noted = await desk.ask("POST", f"/s/c/{theirs.cid}/sent", who=who, data=form | {"outcome": "sent"})
    pushed = await desk.push(who, theirs.cid, "越权的话")

    assert [a.status for a in (sent, noted, pushed)] == [404, 404, 404]
    line = await desk.api("GET", f"/persons/{theirs.person}/timeline", token="rep")
    assert "越权的话" not in line.text


async def test_anothers_send_key_neither_shows_nor_touches_what_it_sent(desk: Office, theirs: Theirs) -> None:
    await desk.hear("oa-b", "oCustomerOfOther000000000001", "你好")
    own = await desk.cid("oa-b")
    headers = {"HX-Request": "true"}

    for verb in ("send", "sent"):
        answer = await desk.ask(
            "POST",
            f"/s/c/{own}/{verb}",
            who="other",
            data={"key": theirs.push_key, "text": "x"},
            headers=headers,
        )
        assert (answer.status, leaks(answer)) == (409, False)


async def test_anothers_suggestion_is_not_marked_used(desk: Office, theirs: Theirs) -> None:
    await desk.hear("oa-b", "oCustomerOfOther000000000001", "你好")
    own = await desk.cid("oa-b")
    before = await state_of(desk, theirs)

    form = {"key": secrets.token_hex(12), "text": "您好", "suggestion": theirs.suggestion}
    assert (await desk.ask("POST", f"/s/c/{own}/send", who="other", data=form)).status == 303

    assert await state_of(desk, theirs) == before != "used"


async def state_of(desk: Office, theirs: Theirs) -> str:
    offers = await desk.api("GET", f"/suggestions?conversation_id={theirs.cid}", token="rep")
    return str(next(o for o in offers.json()["items"] if o["id"] == theirs.suggestion)["state"])


async def test_anothers_topics_cannot_be_followed(desk: Office, theirs: Theirs) -> None:
    rep = "rep:" + desk.public("topic-rep", desk.staff_ids["rep"])
    for topic in (theirs.node_topic, rep):
        headers = {"Cookie": f"scrm={desk.sessions['other']}"}
        async with desk.http.get(f"{desk.url}/live?topics={topic}", headers=headers) as answer:
            assert answer.status == 403
            assert await answer.text()


async def test_a_customer_the_app_claims_to_show_is_shown_only_to_who_follows_them(desk: Office) -> None:
    await desk.profile("wmOfRep0000001", "张三丰的名字", follower="RepUser")
    path = "/s/find?agent=corp&external_userid=wmOfRep0000001"

    mine, peers = await desk.ask("GET", path, who="rep"), await desk.ask("GET", path, who="peer")

    assert "张三丰的名字" in mine.text
    assert peers.status == 200
    assert "张三丰的名字" not in peers.text


async def test_a_lead_sees_the_team_and_no_other(desk: Office, theirs: Theirs) -> None:
    await desk.hear("oa-b", "oCustomerOfOther000000000001", "乙组的客户说的话")
    other = await desk.cid("oa-b")

    assert leaks(await desk.ask("GET", f"/inbox/{theirs.cid}", who="lead"))
    assert (await desk.ask("GET", f"/inbox/{other}", who="lead")).status == 404
    assert "乙组的客户说的话" not in (await desk.ask("GET", "/inbox", who="lead")).text


async def test_an_unassigned_conversation_belongs_to_the_team_until_somebody_answers(desk: Office) -> None:
    await desk.hear("oa-a", "oUnassigned0000000000000001", "有人吗")
    cid = await desk.cid("oa-a")

    before = [(await desk.ask("GET", f"/inbox/{cid}", who=who)).status for who in ("rep", "peer", "other")]
    assert (await desk.push("rep", cid, "在的")).status == 201
    after = [(await desk.ask("GET", f"/inbox/{cid}", who=who)).status for who in ("rep", "peer", "other")]

    assert before == [200, 200, 404]
    assert after == [200, 404, 404]


KINDS = ("event", "node", "person", "push", "inbox", "suggestion", "place", "topic-node", "topic-rep")
GARBAGE = (
    "0",
    "x" * 22,
    "x" * 23,
    "A" * 5000,
    "..%2F..%2Fetc%2Fpasswd",
    "%00",
    "%F0%9F%98%80" * 3,
    "' OR 1=1 --",
    "%ED%A0%80",
    "-1",
    "1e9",
    "null",
)


async def test_ids_of_another_kind_and_garbage_are_not_found(desk: Office, theirs: Theirs) -> None:
    ident = desk.private("conversation", theirs.cid)
    others = [desk.public(kind, ident) for kind in KINDS]
    others.append(desk.public("conversation", ident + 1))
    for bad in (*others, *GARBAGE):
        for path in (f"/inbox/{bad}", f"/inbox/{bad}/bubbles", f"/s/c/{bad}", f"/s/c/{bad}/timeline"):
            assert (await desk.ask("GET", path, who="rep")).status == 404, path
        form = {"key": secrets.token_hex(12), "text": "您好"}
        assert (await desk.ask("POST", f"/s/c/{bad}/send", who="rep", data=form)).status == 404, bad
        for path in (f"/persons/{bad}", f"/persons/{bad}/timeline", f"/suggestions?conversation_id={bad}"):
            assert (await desk.api("GET", path, token="machine-admin")).status == 404, path


async def test_cursors_we_did_not_make_are_refused_and_never_an_error_of_ours(
    desk: Office, theirs: Theirs
) -> None:
    page = await desk.api("GET", "/events?limit=1", token="machine-admin")
    at, seq, place = page.json()["next_cursor"].split(".")
    forged = [
        f"{at}.{'f' * 20}.{place}",
        f"{'f' * 40}.{seq}.{place}",
        f"{at}.{seq}.{place}x",
        "1.2.3",
        "²",
        ".",
    ]
    for cursor in (*forged, *GARBAGE):
        for path in ("/events", "/persons", "/conversations", "/pushes", "/inbox"):
            answer = await desk.api("GET", path, token="machine-admin", params={"cursor": cursor})
            assert answer.status == 404, (path, cursor)
        page = await desk.ask("GET", f"/inbox/{theirs.cid}", who="rep", params={"before": cursor})
        assert page.status == 404, cursor


async def test_topics_that_are_none_are_refused(desk: Office) -> None:
    for topic in ("node:x", "team:", "tenant:1", "rep", ":", "node:" + "A" * 22, "²:²"):
        answer = await desk.ask("GET", "/live", who="rep", params={"topics": topic})
        assert answer.status == 404, topic


async def test_a_customer_handed_over_vanishes_for_the_old_rep(desk: Office, theirs: Theirs) -> None:
    async with desk.service.house.db.begin(TENANT) as conn:
        talk = await conversations.of_id(conn, desk.private("conversation", theirs.cid))
        assert talk is not None
        changed = conversations.conversation.update().where(
            conversations.conversation.c.conversation_id == talk.conversation_id
        )
        await conn.run(changed.values(rep_id=desk.staff_ids["peer"]))

    assert (await desk.ask("GET", f"/inbox/{theirs.cid}", who="rep")).status == 404
    assert (await desk.ask("GET", f"/inbox/{theirs.cid}", who="peer")).status == 200


async def test_an_open_stream_ends_when_its_customer_is_handed_over(desk: Office, theirs: Theirs) -> None:
    headers = {"Cookie": f"scrm={desk.sessions['rep']}"}
    async with desk.http.get(f"{desk.url}/live?topics={theirs.node_topic}", headers=headers) as stream:
        assert stream.status == 200
        assert await stream.content.readline() == b"event: fresh\n"
        async with desk.service.house.db.begin(TENANT) as conn:
            table = conversations.conversation
            await conn.run(table.update().values(rep_id=desk.staff_ids["peer"]))

        async def ended() -> bool:
            return not await stream.content.readany()

        await until(ended)
