"""Something for every list of the API, by the ways things come about."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from connectors.kit.signed import SIGNATURE, TIMESTAMP, signature
from scrm.accounts import service as accounts
from scrm.app import TENANT
from scrm.contract import Handle, Link
from scrm.db import utcnow
from scrm.identity import service as identity
from scrm.identity.service import Sighting
from scrm.playbook.checks.store import findings
from scrm.playbook.sops.store import runs
from scrm.seal import new_id
from tests.web.office import Office, event, until

SPOKEN = {
    "title": "觉得贵",
    "stage": "objection",
    "role": "any",
    "delivery": "confirm",
    "triggers": ["太贵"],
    "text": "您好，我来介绍课程",
    "examples": [{"given": {}, "expect": "您好，我来介绍课程"}],
}
SOP, SCRIPT, REVIEWED = "edu.test", "edu.price-objection", "edu.ours"
WRITTEN = {"code": REVIEWED, "trade": "education", "content": SPOKEN, "submit": True}
UNTIL = "2099-01-01"
PLAN: dict[str, Any] = {
    "code": SOP,
    "title": "跟进",
    "starts": [{"event": "event.subscribe"}],
    "goal": [{"stage": "trial"}],
    "steps": [
        {"id": "wait", "wait": {"days": 30}},
        {"id": "bye", "message": {"text": "再见"}},
    ],
}


async def merged(desk: Office) -> None:
    """Accounts and addresses that turn out to be the same persons."""
    async with desk.service.house.db.begin(TENANT) as conn:
        for number in range(3):
            user = Handle(kind="app_user", scope="mall", value=f"merged{number}")
            mail = Handle(kind="email", scope="rfc5322", value=f"merged{number}@example.com")
            one = Link(a=user, b=mail, rule="app_email", strength=70)
            for handles, links in (((user,), ()), ((mail,), ()), ((user, mail), (one,))):
                ident = new_id()
                told = Sighting(event_id=ident, at=utcnow(), key=f"k{ident}", handles=handles, links=links)
                await identity.resolve(conn, [told], utcnow())


async def owned(desk: Office) -> dict[str, str]:
    """Claims, and appeals against all rulings but the newest."""
    why = "客户是我先接待的，有通话录音为证。"
    for number in range(3):
        wanted = {"phone": f"1391234567{number}", "name": "王", "claimant_kind": "own"}
        once = {"Idempotency-Key": f"claim-{number}"}
        made = await desk.api("POST", "/claims", token="machine-admin", json=wanted, headers=once)
        assert made.status == 201, made.text
    judged = (await desk.api("GET", "/rulings", token="machine-admin")).json()["items"]
    newest, *others = [r["id"] for r in judged]
    for ident in others:
        told = {"ruling_id": ident, "text": why}
        assert (await desk.api("POST", "/appeals", token="machine-admin", json=told)).status == 201
    won = [{"claimant_kind": "channel", "claimant_id": who, "share": 5000} for who in ("链家", "贝壳")]
    wanted = {"ruling_id": others[1], "agree": True, "why": why, "winners": won}
    decided = await desk.api("POST", "/rulings/decide", token="machine-admin", json=wanted)
    assert decided.status == 200, decided.text
    return {"ruling_id": newest, "appealed_id": others[0], "deal_id": judged[2]["deal_id"]}


async def sold(desk: Office) -> None:
    """Products and orders, as the order system tells them."""
    secret = "orders-secret-0123456789abcdef-0123"
    house = desk.service.house
    async with house.db.begin(TENANT) as conn:
        await accounts.add(conn, {"slug": "mall", "channel": "orders", "secret": secret}, now=utcnow())
    async with house.db.read(TENANT) as conn:
        await house.directory.load(conn)
    items: list[dict[str, Any]] = []
    for number in range(4):
        common = {"id": f"p{number}", "at": "2026-03-02T01:30:00Z"}
        line = {"product": f"p{number}", "amount": 100}
        items += [
            {"type": "product", "name": "课", **common},
            {
                "type": "price",
                "product": f"p{number}",
                "amount": 100,
                "starts": "2026-03-01T00:00:00Z",
                **common,
            },
            {
                "type": "order",
                "status": "paid",
                "buyer": {"app_user": "u1"},
                "items": [line],
                "total": 100,
                **common,
            },
        ]
    body, now = json.dumps({"items": items}).encode(), str(int(utcnow().timestamp()))
    headers = {TIMESTAMP: now, SIGNATURE: signature(secret, now, body)}
    assert (await desk.bare("POST", "/hooks/mall", data=body, headers=headers)).status == 202
    await desk.quiet()


async def sales(desk: Office) -> None:
    """An opportunity of each customer, batches of coupons, tags of the newest."""
    talks = (await desk.api("GET", "/conversations", token="machine-admin")).json()["items"]
    for talk in talks[:3]:
        wanted = {"conversation_id": talk["id"], "product": "p1"}
        opened = await desk.api("POST", "/opportunities", token="machine-admin", json=wanted)
        tags = {"conversation_id": talk["id"], "add": ["高意向"], "remove": []}
        tagged = await desk.api("POST", "/tags", token="machine-admin", json=tags)
        assert (opened.status, tagged.status) == (201, 200)
    for number in range(3):
        form = {"code": f"C{number}", "name": "早鸟券", "value": "300", "ends": "2099-01-01T00:00"}
        assert (await desk.ask("POST", "/mkt/coupons", who="admin", data=form)).status == 303


async def playbook(desk: Office, cid: str) -> dict[str, str]:
    """Promises to one customer, what was said and should not have been, things to do, runs of an SOP."""
    said = "课程给您 9 折，再送您两节体验课，一次性付清再减 300 元"
    assert (await desk.push("rep", cid, said)).status == 201
    await findings_of(desk, 3)
    for number in range(3):
        assert (await posted(desk, "/tasks", task(cid, f"第 {number} 件事"))) == 201
    assert (await posted(desk, "/scripts", WRITTEN, token="admin")) == 201
    assert (await posted(desk, "/sops", {"trade": "education", "content": PLAN})) == 201
    assert (await posted(desk, "/sops/publish", {"code": SOP, "version": 1})) == 200
    assert (await posted(desk, "/sops/state", {"code": SOP, "on": True})) == 200
    for number in range(3):
        await desk.callback("oa-a", event(f"oOnTheWay{number:019}", "subscribe"))
    await until(lambda: _on_the_way(desk))
    found = {}
    for path in ("promises", "tasks", f"sops/runs?code={SOP}"):
        items = (await desk.api("GET", f"/{path}", token="machine-admin")).json()["items"]
        found[path.partition("?")[0]] = [item["id"] for item in items]
    (one, other, *_), (done, later, *_), (run, *_) = found.values()
    return {"promise": one, "other_promise": other, "done": done, "later": later, "run": run}


def task(cid: str, title: str) -> dict[str, str]:
    due = (utcnow() + timedelta(hours=2)).isoformat()
    return {"conversation_id": cid, "kind": "other", "title": title, "due_at": due}


async def posted(desk: Office, path: str, body: Any, *, token: str = "machine-admin") -> int:
    answer = await desk.api("POST", path, token=token, json=body)
    assert answer.status < 300, answer.text
    return answer.status


async def _on_the_way(desk: Office) -> bool:
    async with desk.service.house.db.read(TENANT) as conn:
        return len(await runs.page(conn, SOP, limit=5)) == 3


async def findings_of(desk: Office, many: int) -> None:
    async with desk.service.house.db.begin(TENANT) as conn:
        made = [
            findings.Finding(
                finding_id=new_id(), key=f"f{n}", kind="words", rule="edu.guarantee", level="warn",
                event_id=None, conversation_id=None, node_id=None, staff_id=None, team_id=None,
                promise_id=None, facts={}, at=utcnow(),
            )
            for n in range(many)
        ]  # fmt: skip
        await findings.add(conn, made)


def asked(values: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What is posted to each address of the playbook."""
    cid = values["conversation_id"]
    why = "说错了，已和客户说明。"
    return {
        "/scripts": {"code": SCRIPT, "content": SPOKEN},
        "/scripts/publish": {"code": REVIEWED, "version": 1},
        "/checks": {"conversation_id": cid, "text": "课程给您 9.5 折"},
        "/promises/withdraw": {"promise_id": values.get("promise", ""), "why": why},
        "/promises/correct": {
            "promise_id": values.get("other_promise", ""),
            "why": why,
            "until": "2099-01-01",
        },
        "/tasks": task(cid, "整理资料"),
        "/tasks/done": {"id": values.get("done", ""), "why": "做完了"},
        "/tasks/postpone": {
            "id": values.get("later", ""),
            "until": (utcnow() + timedelta(days=1)).isoformat(),
            "why": "客户明天有空",
        },
        "/sops": {"trade": "education", "content": PLAN | {"title": "再跟进"}},
        "/sops/publish": {"code": SOP, "version": 2},
        "/sops/state": {"code": SOP, "on": True},
        "/sops/runs/stop": {"run": values.get("run", ""), "why": "客户要求"},
        "/sops/dry-run": {"code": SOP},
        "/sops/simulate": {"code": SOP, "conversation": cid},
    }
