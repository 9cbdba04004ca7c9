"""The API against its own document, and what the document does not say: paging, repeats, masks, refusals."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate

from scrm import works
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.ledger import store as ledger
from scrm.web.api.endpoint import Endpoint
from scrm.web.api.openapi import document
from scrm.web.api.surface import ENDPOINTS
from tests.web import stock
from tests.web.office import Office, Reply, message

DOCUMENT = document()


@pytest.fixture
async def busy(desk: Office) -> dict[str, str]:
    """Something for every list; ids for the paths."""
    for number in range(3):
        await desk.hear("oa-a", f"oBusyOne{number:020}", f"第 {number} 位客户问：多少钱？")
    await desk.profile("wmBusy000001", "王女士", follower="RepUser")
    cid = await desk.cid("oa-a")
    assert (await desk.push("rep", cid, "您好")).status == 201
    assert (await desk.callback("oa-a", "<xml>")).status == 200  # verified, and not understood
    await desk.quiet()
    await desk.quarantined()
    for number in range(3):
        asked = {"conversation_id": cid, "state": "granted", "reason": f"第 {number} 次同意"}
        assert (await desk.api("POST", "/consents", token="machine-admin", json=asked)).status == 201
    async with desk.service.house.db.begin(TENANT) as conn:
        for _ in range(3):
            await works.start(conn, "replay", {"class": "nothing"}, now=utcnow())
    for number in range(3):
        wanted, once = {"account": "corp", "kind": "resigned.list"}, {"Idempotency-Key": f"busy-{number}"}
        made = await desk.api("POST", "/deeds", token="machine-admin", json=wanted, headers=once)
        assert made.status == 201
    await stock.sold(desk)
    await stock.sales(desk)
    owned = await stock.owned(desk) | await stock.playbook(desk, cid)
    await stock.merged(desk)
    talks = (await desk.api("GET", "/conversations", token="machine-admin")).json()["items"]
    person = next(t["person_id"] for t in talks if t["id"] == cid)
    other = next(t["person_id"] for t in talks if t["person_id"] != person)
    sales = (await desk.api("GET", "/opportunities", token="machine-admin")).json()["items"]
    owned["opportunity_id"] = sales[0]["id"]
    said = {"field": "city", "value": "杭州"}
    mended = await desk.api("POST", f"/persons/{person}/corrections", token="machine-admin", json=said)
    owned["correction_id"] = mended.json()["correction_id"]
    return {"conversation_id": cid, "id": person, "other_id": other, "q": "多少钱", **owned}


# -- the document ------------------------------------------------------------------------------------------
def test_the_document_is_valid_openapi_3_1() -> None:
    validate(DOCUMENT)

    assert DOCUMENT["openapi"].startswith("3.1")
    ids = [op["operationId"] for path in DOCUMENT["paths"].values() for op in path.values()]
    assert len(ids) == len(set(ids)) == len(ENDPOINTS)


async def test_the_document_is_served_to_everybody(desk: Office) -> None:
    answer = await desk.api("GET", "/openapi.json")

    assert (answer.status, answer.json()) == (200, DOCUMENT)


def schema_of(endpoint: Endpoint, status: str, kind: str = "application/json") -> Draft202012Validator:
    found = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]["responses"][status]
    whole = {**found["content"][kind]["schema"], "components": DOCUMENT["components"]}
    return Draft202012Validator(_closed(whole), format_checker=FormatChecker())


def _closed(node: Any) -> Any:
    """The schema with no room for fields it does not name."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {name: _closed(value) for name, value in node.items()}
    if node.get("type") == "object" and node.get("properties"):
        closed.setdefault("additionalProperties", False)
    return closed


async def call(desk: Office, endpoint: Endpoint, values: dict[str, str]) -> Reply:
    queries = {q.name: values[q.name] for q in endpoint.queries if q.name in values}
    if endpoint.path == "/inbox":
        queries["state"] = "quarantined"
    asks: dict[str, dict[str, str]] = {
        "/nodes": {"kind": "app_user", "value": "merged1"},
        "/identity/why": {"a": values["id"]},
        "/sops/versions": {"code": stock.SOP},
        "/sops/runs": {"code": stock.SOP},
    }
    queries |= asks.get(endpoint.path, {})
    body: dict[str, Any] = {
        "/pushes": {"conversation_id": values["conversation_id"], "text": "再说一句"},
        "/inbox/replay": {"all": True},
        "/pushes/preview": {"conversation_id": values["conversation_id"], "text": "再说一句"},
        "/consents": {"conversation_id": values["conversation_id"], "state": "withdrawn"},
        "/calendar": {"first": "2026-03-04", "kind": "holiday", "name": "校庆"},
        "/accounts/{account}/state": {"order": "drain"},
        "/deeds": {"account": "corp", "kind": "resigned.list"},
        "/claims": {"phone": "138****1234", "name": "王", "claimant_kind": "channel", "claimant_id": "链家"},
        "/opportunities": {"conversation_id": values["conversation_id"], "kind": "renewal"},
        "/opportunities/move": {"opportunity_id": values.get("opportunity_id", ""), "stage": "trial"},
        "/coupons": {"conversation_id": values["conversation_id"], "batch": "C0"},
        "/tags": {"conversation_id": values["conversation_id"], "add": ["双职工"], "remove": []},
        "/appeals": {"ruling_id": values.get("ruling_id", ""), "text": "客户是我先接待的，有录音为证。"},
        "/rulings/decide": {
            "ruling_id": values.get("appealed_id", ""),
            "agree": False,
            "why": "录音里听不出是这位客户，维持原判。",
        },
        "/commission/pay": {"deal_id": values.get("deal_id", "")},
        "/identity/link": {"a": values["id"], "b": values["other_id"], "kind": "household"},
        "/identity/unlink": {"a": values["id"], "b": values["other_id"], "kind": "household"},
        "/persons/{id}/corrections": {"field": "grade", "value": "三年级", "why": "她说的"},
        **stock.asked(values),
    }.get(endpoint.path, {})
    more = {"json": body, "headers": {"Idempotency-Key": endpoint.path}} if endpoint.method == "POST" else {}
    path = endpoint.path.replace("{id}", values["id"]).replace("{account}", "oa-b")
    path = path.replace("{correction}", values.get("correction_id", "x")).replace("{script}", stock.SCRIPT)
    return await desk.api(endpoint.method, path, token="machine-admin", params=queries, **more)


async def test_answers_are_what_the_document_promises(desk: Office, busy: dict[str, str]) -> None:
    for endpoint in ENDPOINTS:
        answer = await call(desk, endpoint, busy)

        assert answer.status == endpoint.status, (endpoint.path, answer.text)
        assert answer.headers["Content-Type"] == "application/json"
        schema_of(endpoint, str(endpoint.status)).validate(answer.json())
        # An empty list would prove nothing.
        assert answer.json().get("items", ["not a list"]), endpoint.path


async def test_refusals_are_problem_details(desk: Office) -> None:
    for endpoint in ENDPOINTS:
        path = re.sub(r"\{(id|correction|script)\}", "x", endpoint.path).replace("{account}", "oa-b")
        problem = schema_of(endpoint, "default", "application/problem+json")
        answers = {
            401: await desk.api(endpoint.method, path),
            403: await desk.api(endpoint.method, path, token="marketing"),
            400: await desk.api(endpoint.method, path, token="machine-admin", params={"no_such": "1"}),
        }
        for status, answer in answers.items():
            assert (answer.status, answer.json()["status"]) == (status, status), (endpoint.path, status)
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json()["detail"]
            problem.validate(answer.json())


def test_the_contract_test_can_fail() -> None:
    endpoint = next(e for e in ENDPOINTS if e.path == "/persons/{id}")
    good = {"id": "x", "name": "", "avatar": "", "nodes": [], "evidence": []}

    assert schema_of(endpoint, "200").is_valid(good)
    assert not schema_of(endpoint, "200").is_valid(good | {"phone": "13800138000"})
    assert not schema_of(endpoint, "200").is_valid({**good, "id": 7})


async def test_every_time_carries_its_zone(desk: Office, busy: dict[str, str]) -> None:
    for endpoint in ENDPOINTS:
        answer = (await call(desk, endpoint, busy)).json()
        for name, value in _leaves(answer):
            if name.endswith(("_at", "_since")) or name == "at":
                assert value is None or datetime.fromisoformat(value).utcoffset() is not None, (name, value)


def _leaves(node: Any, name: str = "") -> list[tuple[str, Any]]:
    if isinstance(node, dict):
        return [leaf for key, value in node.items() for leaf in _leaves(value, key)]
    if isinstance(node, list):
        return [leaf for value in node for leaf in _leaves(value, name)]
    return [(name, node)]


# -- pages ---------------------------------------------------------------------------------------------------
PAGED = [e for e in ENDPOINTS if any(q.name == "cursor" for q in e.queries)]


async def test_pages_join_without_gap_or_double(desk: Office, busy: dict[str, str]) -> None:
    for number in range(4):  # several in the same second, of one customer and of others
        answers = await asyncio.gather(
            *(
                desk.callback("oa-a", message(f"oBusyOne{n:020}", "text", Content=f"{number} 多少钱"))
                for n in range(3)
            )
        )
        assert {a.status for a in answers} == {200}
    await desk.quiet()
    for text in ("一", "二", "三"):
        assert (await desk.push("rep", busy["conversation_id"], text)).status == 201

    for endpoint in PAGED:
        joined, whole = await in_pages(desk, endpoint, busy)
        assert joined == whole, endpoint.path
        assert len(joined) == len(set(joined)) > 2, endpoint.path


async def in_pages(desk: Office, endpoint: Endpoint, values: dict[str, str]) -> tuple[list[str], list[str]]:
    """Ids of a list read two by two, and read at once."""
    path = endpoint.path.replace("{id}", values["id"])
    fixed = {q.name: values[q.name] for q in endpoint.queries if q.name in values}
    # What is sought in scripts comes on one page, the best first.
    fixed = {} if endpoint.path == "/scripts" else fixed
    fixed |= {"code": stock.SOP} if endpoint.path == "/sops/runs" else {}
    fixed |= {"state": "done"} if endpoint.path == "/inbox" else {}
    whole = (await desk.api("GET", path, token="machine-admin", params=fixed | {"limit": "200"})).json()
    joined, cursor = [], ""
    while cursor is not None:
        asked = fixed | {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await desk.api("GET", path, token="machine-admin", params=asked)).json()
        assert len(page["items"]) <= 2
        joined += [_name(item) for item in page["items"]]
        cursor = page["next_cursor"]
    return joined, [_name(item) for item in whole["items"]]


def _name(item: dict[str, str]) -> str:
    return item.get("id") or item["code"]


LIMITS = ("0", "201", "-1", "1.5", "1e2", "", " 5", "²", "٣", "9" * 5000, "x")


async def test_a_limit_out_of_bounds_is_refused(desk: Office) -> None:
    for path in ("/events", "/persons", "/conversations", "/pushes", "/inbox"):
        for limit in LIMITS:
            answer = await desk.api("GET", path, token="machine-admin", params={"limit": limit})
            assert answer.status == 400, (path, limit)


async def test_a_required_parameter_is_asked_for(desk: Office) -> None:
    answer = await desk.api("GET", "/suggestions", token="rep")

    assert (answer.status, "conversation_id" in answer.json()["detail"]) == (400, True)


async def test_bodies_that_are_not_as_declared_are_refused(desk: Office) -> None:
    bodies = (
        b"",
        b"[]",
        b"null",
        b"{",
        b"[" * 50_000,
        b'{"conversation_id": 1, "text": "x"}',
        b'{"conversation_id": "x"}',
        b'{"conversation_id": "x", "text": "x", "as_staff": "admin"}',
        b'{"conversation_id": "x", "text": "\\ud800"}',
        b"\xff\xfe",
    )
    for body in bodies:
        answer = await desk.api("POST", "/pushes", token="rep", data=body, headers={"Idempotency-Key": "k"})
        assert answer.status == 400, body[:40]


# -- repeats -------------------------------------------------------------------------------------------------
async def pushes_of(desk: Office, cid: str) -> list[str]:
    items = (await desk.api("GET", "/pushes?limit=200", token="machine-admin")).json()["items"]
    return [p["id"] for p in items if p["conversation_id"] == cid]


async def test_a_repeat_gets_the_first_answer_and_says_nothing_twice(desk: Office) -> None:
    await desk.hear("oa-a", "oRepeats000000000000000000001", "你好")
    cid = await desk.cid("oa-a")

    first = await desk.push("rep", cid, "您好", key="same")
    again = await desk.push("rep", cid, "您好", key="same")

    assert (first.status, again.status, again.text) == (201, 201, first.text)
    assert len(await pushes_of(desk, cid)) == 1


async def test_the_key_of_another_request_is_refused(desk: Office) -> None:
    await desk.hear("oa-a", "oRepeats000000000000000000001", "你好")
    cid = await desk.cid("oa-a")
    await desk.push("rep", cid, "您好", key="same")

    other = await desk.push("rep", cid, "别的话", key="same")

    assert other.status == 422
    assert other.headers["Content-Type"] == "application/problem+json"
    assert len(await pushes_of(desk, cid)) == 1


async def test_one_key_sent_many_times_at_once_has_one_effect(desk: Office) -> None:
    await desk.hear("oa-a", "oRepeats000000000000000000001", "你好")
    cid = await desk.cid("oa-a")

    answers = await asyncio.gather(*(desk.push("rep", cid, "您好", key="same") for _ in range(8)))

    assert {(a.status, a.text) for a in answers} == {(201, answers[0].text)}
    assert len(await pushes_of(desk, cid)) == 1


async def test_keys_of_two_people_do_not_meet(desk: Office) -> None:
    await desk.hear("oa-a", "oRepeats000000000000000000001", "你好")
    cid = await desk.cid("oa-a")

    one = await desk.push("rep", cid, "您好", key="same")
    two = await desk.push("lead", cid, "您好", key="same")

    assert (one.status, two.status) == (201, 201)
    assert one.json()["id"] != two.json()["id"]


async def test_a_refused_request_does_not_use_up_its_key(desk: Office) -> None:
    await desk.hear("oa-a", "oRepeats000000000000000000001", "你好")
    cid = await desk.cid("oa-a")

    refused = await desk.push("rep", cid, " ", key="same")
    mended = await desk.push("rep", cid, "您好", key="same")

    assert (refused.status, mended.status) == (400, 201)


async def test_a_push_without_a_usable_key_is_refused(desk: Office) -> None:
    body = {"conversation_id": "x", "text": "您好"}
    for headers in ({}, {"Idempotency-Key": ""}, {"Idempotency-Key": "k" * 129}, {"Idempotency-Key": "é"}):
        answer = await desk.api("POST", "/pushes", token="rep", json=body, headers=headers)
        assert answer.status == 400, headers


# -- who sees what -------------------------------------------------------------------------------------------
OPENID = "oMasked0000000000000000000042"


@pytest.mark.parametrize(
    ("who", "clear"),
    [("rep", False), ("lead", False), ("machine-compliance", False), ("machine-admin", True)],
)
async def test_identifiers_are_in_the_clear_for_an_admin_machine_alone(
    desk: Office, who: str, clear: bool
) -> None:
    await desk.hear("oa-a", OPENID, "你好")
    await desk.callback("oa-a", message(OPENID, "odd_new_kind", Odd=OPENID))
    await desk.quiet()

    person = (await desk.api("GET", "/persons", token=who)).json()["items"][0]
    texts = [
        (await desk.api("GET", path, token=who)).text
        for path in ("/persons", f"/persons/{person['id']}", "/events", f"/persons/{person['id']}/timeline")
    ]

    assert [n["value"] for n in person["nodes"]] == [OPENID if clear else "oMa****0042"]
    assert all((OPENID in text) is clear for text in texts)


async def test_accounts_show_the_names_of_their_secrets_and_no_secret(desk: Office) -> None:
    answer = await desk.api("GET", "/accounts", token="machine-admin")

    assert answer.json()["items"][0]["secrets"] == ["aes_key", "secret", "token"]
    for keys in desk.keys.values():
        assert not any(value in answer.text for value in keys.values())


async def test_reading_customers_is_in_the_audit_trail_by_name_of_field_only(desk: Office) -> None:
    await desk.hear("oa-a", OPENID, "审计看不到的话")
    await desk.api("GET", "/events?account=oa-a", token="rep")
    await desk.push("rep", await desk.cid("oa-a"), "审计也看不到的话")

    async with desk.service.house.db.read(TENANT) as conn:
        entries = await ledger.entries(conn, limit=50)
    found = {(e.actor, e.action): e for e in entries}
    me = f"staff:{desk.staff_ids['rep']}"
    assert found[me, "api.events.read"].fields == ["account"]
    assert found[me, "push.queued"].subject.startswith("conversation:")
    assert not any(word in repr(entries) for word in ("看不到的话", OPENID, "oa-a"))


@pytest.mark.usefixtures("busy")
async def test_quarantined_rows_say_why_and_can_be_replayed(desk: Office) -> None:
    page = (await desk.api("GET", "/inbox", token="machine-admin")).json()
    row = page["items"][0]

    assert (row["state"], page["counts"]["quarantined"]) == ("quarantined", 1)
    assert row["error"]
    answer = await desk.api("POST", "/inbox/replay", token="machine-admin", json={"ids": [row["id"]]})
    assert (answer.status, answer.json()) == (200, {"rows": 1})
    await desk.quarantined()


async def test_replaying_nothing_in_particular_must_be_said_aloud(desk: Office) -> None:
    assert (await desk.api("POST", "/inbox/replay", token="machine-admin", json={})).status == 400
