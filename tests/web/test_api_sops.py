"""The API's SOPs: drafts, publishing, switching, runs with their steps; rehearsals that write nothing."""

from __future__ import annotations

from typing import Any

from scrm.app import TENANT
from scrm.playbook.sops.store import runs
from tests.web.office import Office, Reply, event, until

ADMIN = "machine-admin"
CONTENT: dict[str, Any] = {
    "code": "edu.test",
    "title": "跟进",
    "starts": [{"event": "event.subscribe"}],
    "goal": [{"stage": "trial"}],
    "steps": [
        {"id": "hi", "message": {"text": "您好，我是{{ company.name }}的顾问"}},
        {"id": "wait", "wait": {"days": 30}},
        {"id": "bye", "message": {"text": "再见"}},
    ],
}


async def post(desk: Office, path: str, body: Any, *, token: str = ADMIN) -> Reply:
    return await desk.api("POST", path, token=token, json=body)


async def published(desk: Office) -> None:
    assert (await post(desk, "/sops", {"trade": "education", "content": CONTENT})).status == 201
    assert (await post(desk, "/sops/publish", {"code": "edu.test", "version": 1})).json()["moved"] == 0
    assert (await post(desk, "/sops/state", {"code": "edu.test", "on": True})).json()["state"] == "on"


async def test_an_sop_is_drafted_published_switched_on_and_runs(desk: Office) -> None:
    await published(desk)
    await desk.callback("oa-a", event("anna", "subscribe"))

    async def running() -> bool:
        async with desk.service.house.db.read(TENANT) as conn:
            return [r.step for r in await runs.page(conn, "edu.test", limit=5)] == ["wait"]

    await until(running)
    found = (await desk.api("GET", "/sops/runs?code=edu.test", token=ADMIN)).json()["items"]
    (sop,) = [
        s for s in (await desk.api("GET", "/sops", token=ADMIN)).json()["items"] if s["code"] == "edu.test"
    ]
    stopped = await post(desk, "/sops/runs/stop", {"run": found[0]["id"], "why": "客户要求"})
    gone = (await desk.api("GET", "/sops/runs?code=edu.test&state=running", token=ADMIN)).json()["items"]

    assert [(s["step"], s["state"]) for s in found[0]["steps"]] == [("hi", "waiting")]
    assert (sop["title"], sop["live_version"], sop["runs"]["running"]) == ("跟进", 1, 1)
    assert (stopped.json()["state"], stopped.json()["why"]) == ("stopped", "客户要求")
    assert gone == []


async def test_what_cannot_work_is_refused_in_words(desk: Office) -> None:
    bad = CONTENT | {"steps": [{"id": "a", "message": {"script": "edu.nothing"}}]}
    refused = await post(desk, "/sops", {"trade": "education", "content": bad})
    nowhere = await post(desk, "/sops", {"trade": "fishing", "content": CONTENT})
    unknown = await post(desk, "/sops/publish", {"code": "edu.none", "version": 1})
    empty = await desk.api("GET", "/sops/versions?code=edu.none", token=ADMIN)

    assert (refused.status, nowhere.status, unknown.status, empty.status) == (400, 400, 404, 404)
    assert "话术库里没有“edu.nothing”" in refused.text


async def test_a_rehearsal_says_what_would_be_and_nothing_happens(desk: Office) -> None:
    await desk.hear("oa-a", "anna", "在吗")
    await desk.callback("oa-a", event("anna", "subscribe"))
    cid = await desk.cid("oa-a")
    tried = await post(desk, "/sops/simulate", {"content": CONTENT, "conversation": cid}, token="rep")
    hidden = await post(desk, "/sops/simulate", {"content": CONTENT, "conversation": cid}, token="other")

    async def counted() -> bool:
        made = await post(desk, "/sops/dry-run", {"content": CONTENT, "days": 7})
        return bool(made.json()["families"] == 1)

    await until(counted)
    for_machine = (await post(desk, "/sops/dry-run", {"content": CONTENT, "days": 7})).json()
    for_person = (await post(desk, "/sops/dry-run", {"content": CONTENT, "days": 7}, token="admin")).json()

    steps = [(s["step"], s["state"]) for s in tried.json()["steps"]]
    assert steps == [("hi", "waiting"), ("bye", "waiting")]
    assert "的顾问" in tried.json()["steps"][0]["text"]
    assert hidden.status == 404
    assert (for_machine["messages"], for_machine["tasks"]) == (0, 1)
    assert for_machine["shown"][0]["steps"][0]["text"]
    assert [s["text"] for s in for_person["shown"][0]["steps"]] == [""]
    async with desk.service.house.db.read(TENANT) as conn:
        assert await runs.page(conn, "edu.test", limit=5) == []


async def test_versions_show_what_may_not_be_meant_and_runs_go_over(desk: Office) -> None:
    await published(desk)
    odd = CONTENT | {"goal": []}
    await post(desk, "/sops", {"trade": "education", "content": odd, "note": "试试"})
    found = (await desk.api("GET", "/sops/versions?code=edu.test", token=ADMIN)).json()["items"]
    moved = await post(desk, "/sops/publish", {"code": "edu.test", "version": 2, "running": "migrate"})

    assert [(v["version"], v["state"], v["note"]) for v in found] == [(2, "draft", "试试"), (1, "live", "")]
    assert found[0]["warnings"] == ["没有写目标，走完之前客户已经成交也会继续"]
    assert moved.json() == {"code": "edu.test", "version": 2, "moved": 0}
