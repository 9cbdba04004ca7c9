"""Who may knock at which door: every route of the product times everybody who may come."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from scrm.app import ROUTES, TENANT
from scrm.db import utcnow
from scrm.errors import BadConfig
from scrm.seal import token_hash
from scrm.staff import service as staff
from scrm.staff import store as staff_store
from scrm.staff.rules import Policy
from scrm.web.routes import Route, mount, verify
from tests.web.behind import customer_of_rep
from tests.web.office import Office, Reply, office

#: Doors are the same on both; what is behind them is tested on both.
ENGINES = ["sqlite"]

#: Whom each route is for. A new route needs its line here, thought about by somebody.
AUDIENCE = {
    "GET /hooks/{account}": "anyone",  # the vendor's signature is its own policy
    "POST /hooks/{account}": "anyone",
    "GET /hooks/{account}/{tail:.+}": "anyone",
    "POST /hooks/{account}/{tail:.+}": "anyone",
    "GET /login": "anyone",
    "POST /login": "anyone",
    "GET /auth/{account}/door": "anyone",
    "GET /auth/{account}/back": "anyone",
    "GET /": "anyone",
    "GET /healthz": "anyone",
    "GET /readyz": "anyone",
    "GET /metrics": "anyone",
    "GET /static/dist/{name}": "anyone",
    "GET /api/v1/openapi.json": "anyone",
    # Visitors of a website: the page's origin and the visitor's own token are their policy.
    "GET /chat/{account}/widget.js": "anyone",
    "OPTIONS /chat/{account}/{tail:.+}": "anyone",
    "POST /chat/{account}/session": "anyone",
    "POST /chat/{account}/identify": "anyone",
    "POST /chat/{account}/messages": "anyone",
    "GET /chat/{account}/history": "anyone",
    "POST /chat/{account}/read": "anyone",
    "POST /chat/{account}/typing": "anyone",
    "GET /chat/{account}/stream": "anyone",
    "POST /chat/{account}/files": "anyone",
    "GET /chat/{account}/files/{id}": "anyone",
    "GET /me/prefs": "staff",
    "POST /me/prefs": "staff",
    "POST /logout": "staff",
    "GET /dev/ui": "staff",
    "GET /s": "talk",
    "GET /s/find": "talk",
    "GET /inbox/ringing": "talk",
    "GET /s/today": "talk",
    "POST /s/c/{cid}/tasks": "talk",
    "POST /s/tasks/{task}/done": "talk",
    "POST /s/tasks/{task}/later": "talk",
    "GET /lead/today": "leads",
    "POST /lead/today/{task}/give": "leads",
    "GET /s/c/{cid}": "talk",
    "GET /s/c/{cid}/timeline": "talk",
    "POST /s/c/{cid}/check": "talk",
    "GET /s/c/{cid}/clearance": "talk",
    "POST /s/c/{cid}/clearance": "talk",
    "GET /s/c/{cid}/promises/{promise}": "talk",
    "GET /lead/alerts": "leads",
    "GET /lead/alerts/{alert}": "leads",
    "POST /lead/alerts/{alert}": "leads",
    "GET /compliance/alerts": "reviews",
    "GET /compliance/alerts/{alert}": "reviews",
    "POST /compliance/alerts/{alert}": "reviews",
    "POST /lead/promises/{promise}": "leads",
    "GET /admin/rules": "admin",
    "POST /admin/rules": "admin",
    "GET /households/{id}": "talk",
    "GET /households/{id}/match": "talk",
    "POST /households/{id}/match": "talk",
    "GET /households/{id}/roles": "talk",
    "POST /households/{id}/roles": "talk",
    "POST /households/{id}/evidence": "talk",
    "GET /households/{id}/fields": "talk",
    "POST /households/{id}/fields": "talk",
    "POST /households/undo": "talk",
    "POST /s/c/{cid}/send": "talk",
    "POST /s/c/{cid}/sent": "talk",
    "POST /s/c/{cid}/fill": "talk",
    "POST /s/c/{cid}/unfit": "talk",
    "POST /s/c/{cid}/unsend": "talk",
    "POST /s/c/{cid}/consent": "talk",
    "POST /s/c/{cid}/remark": "talk",
    "POST /s/c/{cid}/tags": "talk",
    "GET /s/g/{chat}": "talk",
    "GET /inbox": "talk",
    "GET /inbox/queue": "talk",
    "GET /inbox/{cid}": "talk",
    "GET /inbox/{cid}/bubbles": "talk",
    "POST /inbox/presence": "talk",
    "POST /inbox/{cid}/take": "talk",
    "POST /inbox/{cid}/hand": "talk",
    "POST /inbox/{cid}/release": "talk",
    "POST /inbox/{cid}/snooze": "talk",
    "POST /inbox/{cid}/close": "talk",
    "POST /inbox/{cid}/reopen": "talk",
    "POST /inbox/{cid}/typing": "talk",
    "GET /s/c/{cid}/sale": "talk",
    "POST /s/c/{cid}/sale": "talk",
    "POST /s/c/{cid}/label": "talk",
    "GET /s/c/{cid}/coupons": "talk",
    "POST /s/c/{cid}/coupons": "talk",
    "GET /mkt/coupons": "sells",
    "POST /mkt/coupons": "sells",
    "POST /mkt/coupons/{batch}": "sells",
    "GET /catalog": "staff",
    "POST /catalog/products": "sells",
    "POST /catalog/{code}/prices": "sells",
    "GET /media/{mid}": "talk",
    "POST /media/again": "talk",
    "GET /search": "talk",
    "GET /live": "talk",
    # Those who look after channels: nothing of a customer is shown there.
    "GET /admin": "admin",
    "GET /admin/connectors": "admin",
    "GET /admin/connectors/new": "admin",
    "POST /admin/connectors/new": "admin",
    "GET /admin/connectors/{account}": "admin",
    "POST /admin/connectors/{account}": "admin",
    "POST /admin/connectors/{account}/state": "admin",
    "POST /admin/connectors/{account}/test": "admin",
    "POST /admin/connectors/{account}/sync": "admin",
    "GET /admin/connectors/{account}/deeds": "admin",
    "POST /admin/connectors/{account}/deeds": "admin",
    "GET /admin/connectors/{account}/import": "admin",
    "POST /admin/connectors/{account}/import": "admin",
    "GET /admin/calendar": "admin",
    "POST /admin/calendar": "admin",
    "GET /admin/dead": "admin",
    "GET /admin/dead/{id}": "admin",
    "POST /admin/dead/{id}/replay": "admin",
    "POST /admin/dead/{id}/discard": "admin",
    "GET /admin/letters/{id}": "admin",
    "POST /admin/letters/{id}/mend": "admin",
    "POST /admin/letters/{id}/replay": "admin",
    "POST /admin/letters/{id}/discard": "admin",
    "GET /admin/unsent": "admin",
    "POST /admin/unsent/{id}": "admin",
    "GET /admin/jobs": "admin",
    "POST /admin/jobs/{id}": "admin",
    # What is said: written, reviewed; everybody who talks has a folder of their own.
    "GET /admin/scripts/effect": "writes",
    "POST /admin/scripts/effect": "writes",
    "POST /admin/scripts/effect/{trial}/stop": "writes",
    "GET /admin/scripts": "writes",
    "POST /admin/scripts": "writes",
    "GET /admin/scripts/new": "writes",
    "POST /admin/scripts/preview": "writes",
    "POST /admin/scripts/packs": "runs",
    "GET /admin/scripts/export": "runs",
    "GET /admin/scripts/import": "runs",
    "POST /admin/scripts/import": "runs",
    "GET /admin/scripts/auto": "writes",
    "POST /admin/scripts/auto": "runs",
    "GET /admin/scripts/files/{file}": "writes",
    "GET /admin/scripts/{script}": "writes",
    "POST /admin/scripts/{script}": "writes",
    "GET /admin/scripts/{script}/versions": "writes",
    "POST /admin/scripts/{script}/versions/{number}": "writes",
    "GET /admin/sops": "writes",
    "POST /admin/sops": "runs",
    "GET /admin/sops/new": "runs",
    "POST /admin/sops/try": "writes",
    "GET /admin/sops/{sop}": "writes",
    "POST /admin/sops/{sop}": "runs",
    "GET /admin/sops/{sop}/versions": "writes",
    "GET /admin/sops/{sop}/runs": "writes",
    "POST /admin/sops/{sop}/runs": "writes",
    "GET /s/me/scripts": "talk",
    "POST /s/me/scripts": "talk",
    "GET /s/me/scripts/new": "talk",
    "POST /s/me/scripts/preview": "talk",
    "GET /s/me/scripts/files/{file}": "talk",
    "GET /s/me/scripts/{script}": "talk",
    "POST /s/me/scripts/{script}": "talk",
    "GET /s/me/scripts/{script}/versions": "talk",
    "POST /s/me/scripts/{script}/versions/{number}": "talk",
    "GET /s/c/{cid}/find": "talk",
    # Whose a deal is: those who decide, and those it is about.
    "GET /pool": "talk",
    "GET /pool/{entry}": "talk",
    "POST /pool/{entry}/take": "talk",
    "POST /pool/c/{cid}/give": "talk",
    "GET /lead/handover": "leads",
    "POST /lead/handover": "leads",
    "GET /lead/handover/{handover}": "leads",
    "POST /lead/handover/{handover}": "leads",
    "GET /lead/ownership": "judges",
    "GET /lead/ownership/{deal}": "judges",
    "POST /lead/ownership/{deal}": "judges",
    "GET /rulings": "talk",
    "GET /rulings/{deal}": "talk",
    "POST /rulings/{deal}": "talk",
    # Who is who: figures and rules for admins, questions about people for compliance officers.
    "GET /admin/identity": "admin",
    "POST /admin/identity": "admin",
    "POST /admin/identity/versions/{version}": "admin",
    "GET /admin/identity/stats": "admin",
    "POST /admin/identity/stats": "admin",
    "GET /admin/identity/revert": "admin",
    "POST /admin/identity/revert": "admin",
    "POST /admin/identity/revert/{job}": "admin",
    "GET /compliance/identity": "reviews",
    "GET /compliance/identity/{proposal}": "reviews",
    "POST /compliance/identity/{proposal}": "reviews",
    "GET /api/v1/events": "data",
    "GET /api/v1/persons": "data",
    "GET /api/v1/persons/{id}": "data",
    "GET /api/v1/persons/{id}/timeline": "data",
    "GET /api/v1/conversations": "data",
    "GET /api/v1/suggestions": "data",
    "GET /api/v1/pushes": "data",
    "POST /api/v1/pushes": "say",
    "POST /api/v1/pushes/preview": "say",
    "GET /api/v1/consents": "data",
    "POST /api/v1/consents": "say",
    "GET /api/v1/calendar": "operate",
    "POST /api/v1/calendar": "operate",
    "GET /api/v1/inbox": "operate",
    "POST /api/v1/inbox/replay": "operate",
    "GET /api/v1/accounts": "operate",
    "GET /api/v1/deeds": "operate",
    "POST /api/v1/deeds": "operate",
    "POST /api/v1/accounts/{account}/state": "operate",
    "GET /api/v1/jobs": "operate",
    "GET /api/v1/products": "data",
    "GET /api/v1/scripts": "data",
    "GET /api/v1/scripts/{script}": "data",
    "POST /api/v1/scripts": "operate",
    "POST /api/v1/scripts/publish": "operate",
    "GET /api/v1/households/{id}": "data",
    "GET /api/v1/households/{id}/timeline": "data",
    "GET /api/v1/nodes": "data",
    "GET /api/v1/identity/why": "data",
    "POST /api/v1/identity/link": "say",
    "POST /api/v1/persons/{id}/corrections": "say",
    "POST /api/v1/corrections/{correction}/undo": "say",
    "POST /api/v1/identity/unlink": "say",
    "GET /api/v1/identity/changes": "operate",
    "GET /api/v1/search": "data",
    "GET /api/v1/orders": "data",
    "GET /api/v1/opportunities": "data",
    "POST /api/v1/opportunities": "say",
    "POST /api/v1/opportunities/move": "say",
    "GET /api/v1/coupons": "data",
    "POST /api/v1/coupons": "say",
    "GET /api/v1/tags": "data",
    "POST /api/v1/tags": "say",
    "POST /api/v1/checks": "say",
    "GET /api/v1/promises": "data",
    "POST /api/v1/promises/withdraw": "judge",
    "POST /api/v1/promises/correct": "judge",
    "GET /api/v1/findings": "data",
    "GET /api/v1/tasks": "data",
    "POST /api/v1/tasks": "say",
    "POST /api/v1/tasks/done": "say",
    "POST /api/v1/tasks/postpone": "say",
    "GET /api/v1/sops": "operate",
    "POST /api/v1/sops": "operate",
    "GET /api/v1/sops/versions": "operate",
    "POST /api/v1/sops/publish": "operate",
    "POST /api/v1/sops/state": "operate",
    "GET /api/v1/sops/runs": "operate",
    "POST /api/v1/sops/runs/stop": "operate",
    "POST /api/v1/sops/dry-run": "operate",
    "POST /api/v1/sops/simulate": "data",
    "GET /api/v1/claims": "data",
    "POST /api/v1/claims": "say",
    "GET /api/v1/rulings": "data",
    "POST /api/v1/rulings/decide": "judge",
    "GET /api/v1/appeals": "judge",
    "POST /api/v1/appeals": "say",
    "GET /api/v1/commission": "judge",
    "POST /api/v1/commission/pay": "judge",
}
EVERYBODY = ("rep", "peer", "other", "lead", "marketing", "compliance", "admin")
MACHINES = tuple(f"machine-{role}" for role in ("rep", "lead", "marketing", "compliance", "admin"))
#: By session for pages, by token for the API.
LET_IN = {
    "staff": set(EVERYBODY),
    "talk": {"rep", "peer", "other", "lead"},
    "admin": {"admin"},
    "judges": {"lead", "compliance"},
    "leads": {"lead"},
    "reviews": {"compliance"},
    "sells": {"marketing", "admin"},
    "writes": {"lead", "marketing", "admin"},
    "runs": {"marketing", "admin"},
    "data": {*EVERYBODY, *MACHINES} - {"marketing", "machine-marketing"},
    "say": {*EVERYBODY, *MACHINES} - {"marketing", "machine-marketing", "compliance", "machine-compliance"},
    "judge": {f"{by}{role}" for by in ("", "machine-") for role in ("lead", "compliance", "admin")},
    "operate": {"admin", "machine-admin"},
}
#: Who finds the customer that `rep` looks after; to everybody else there is no such thing.
SEES_THE_CUSTOMER = {"rep", "lead", "machine-compliance", "machine-admin"}


def named(routes: Iterable[Route]) -> set[str]:
    return {f"{r.method} {r.path}" for r in routes}


def test_every_route_is_in_the_table_and_the_table_names_no_other() -> None:
    assert named(ROUTES) == set(AUDIENCE)


def test_a_new_route_is_noticed_by_the_comparison_with_the_table() -> None:
    async def nothing(_request: web.Request) -> web.Response:
        return web.Response()

    new = Route(method="GET", path="/export", handler=nothing, policy=Policy.PUBLIC)

    assert named([*ROUTES, new]) - set(AUDIENCE) == {"GET /export"}


def test_a_route_without_a_policy_stops_the_start() -> None:
    async def nothing(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    mount(app, ROUTES)
    verify(app)
    app.router.add_get("/forgotten", nothing)

    with pytest.raises(BadConfig, match="/forgotten"):
        verify(app)


def fill(path: str, values: dict[str, str]) -> str:
    for brace, value in values.items():
        path = path.replace(brace, value)
    more = {
        "/api/v1/suggestions": f"?conversation_id={values['{cid}']}",
        "/api/v1/tags": f"?conversation_id={values['{cid}']}",
        "/s/find": "?agent=corp&external_userid=wmNobody",
    }
    return path + more.get(path, "")


def outcome(answer: Reply) -> str:
    if answer.status == 303 and answer.where.startswith("/login?next="):
        return "sign in"
    return {401: "sign in", 403: "forbidden", 404: "hidden"}.get(answer.status, "in")


def expected(route: Route, who: str, audience: str) -> str:
    if who not in LET_IN[audience]:
        return "forbidden"
    named = ("{cid}", "{chat}", "{id}", "{mid}", "{deal}", "{correction}", "/suggestions")
    named = (*named, "/s/tasks/{task}", *(["/v1/tags"] if route.method == "GET" else []))
    every_case = audience == "judges" and who == "compliance"
    personal = any(name in route.path for name in named) and not every_case
    return "hidden" if personal and who not in SEES_THE_CUSTOMER else "in"


async def knock(desk: Office, route: Route, path: str, who: str, by: str) -> Reply:
    if route.path == "/live":
        return await _knock_at_stream(desk, path, who)
    if by == "token":
        return await desk.api(route.method, path.removeprefix("/api/v1"), token=who)
    form = (
        {"data": {"key": f"key-of-{who or 'nobody'}", "text": "您好"}}
        if "/send" in path or "/sent" in path
        else {}
    )
    return await desk.ask(route.method, path, who=who, **form)


async def _knock_at_stream(desk: Office, path: str, who: str) -> Reply:
    """An open stream has no end to wait for."""
    headers = {"Cookie": f"scrm={desk.sessions[who]}"} if who else {}
    async with desk.http.get(desk.url + path, headers=headers, allow_redirects=False) as answer:
        return Reply(status=answer.status, headers=answer.headers.copy(), cookies=answer.cookies, text="")


async def test_each_route_lets_in_its_audience_and_nobody_else(tmp_path: Path) -> None:
    async with office(tmp_path, dev_pages=True) as desk:
        values = await customer_of_rep(desk)
        wrong = []
        # Signing out comes last: it ends the session the others are tried with.
        for route in sorted(ROUTES, key=lambda r: r.path == "/logout"):
            audience = AUDIENCE[f"{route.method} {route.path}"]
            if audience == "anyone":
                continue
            by = "token" if audience in ("data", "say", "judge", "operate") else "session"
            for who in (*EVERYBODY, *(MACHINES if by == "token" else ())):
                answer = await knock(desk, route, fill(route.path, values), who, by)
                want = expected(route, who, audience)
                if outcome(answer) != want or answer.status >= 500:
                    wrong.append(f"{route.method} {route.path} {who}: {answer.status}, should be {want}")

        assert not wrong, "\n".join(wrong)


async def test_sessions_that_are_no_session_are_asked_to_sign_in(tmp_path: Path) -> None:
    async with office(tmp_path, dev_pages=True) as desk:
        values = await customer_of_rep(desk)
        await _spoil_sessions(desk)
        wrong = []
        for route in ROUTES:
            audience = AUDIENCE[f"{route.method} {route.path}"]
            if audience == "anyone":
                continue
            by = "token" if audience in ("data", "say", "judge", "operate") else "session"
            for who in ("", "expired", "ended", "swapped", "forged", "elsewhere"):
                answer = await knock(desk, route, fill(route.path, values), who, by)
                if outcome(answer) != "sign in":
                    wrong.append(f"{route.method} {route.path} {who or 'nobody'}: {answer.status}")

        assert not wrong, "\n".join(wrong)


async def _spoil_sessions(desk: Office) -> None:
    """Sessions and tokens that once were, or never were, good for `rep`'s customer."""
    now, rep = utcnow(), desk.staff_ids["rep"]
    async with desk.service.house.db.begin(TENANT) as conn:
        desk.sessions["expired"] = await staff.open_session(conn, rep, now=now - timedelta(hours=9), hours=8)
        desk.sessions["ended"] = await staff.open_session(conn, rep, now=now, hours=8)
        await staff_store.end_session(conn, token_hash(desk.sessions["ended"]), now=now)
    async with desk.service.house.db.begin(2) as conn:
        # A person and a machine of another tenant: their rows exist, but not here.
        abroad = await staff.add(conn, login="rep", name="别家", role="admin", now=now)
        desk.sessions["elsewhere"] = await staff.open_session(conn, abroad, now=now, hours=8)
        desk.tokens["elsewhere"] = await staff.new_token(conn, "admin", "", now=now)
    desk.sessions["elsewhere"] = "1." + desk.sessions["elsewhere"].partition(".")[2]
    desk.tokens["elsewhere"] = desk.tokens["elsewhere"].replace("scrm_2_", "scrm_1_")
    desk.sessions["forged"] = "1.forged-forged-forged-forged-forged"
    desk.tokens["forged"] = "scrm_1_forged-forged-forged-forged"
    # A session's secret is no API token and the other way round, whatever is put around it.
    for name, session in (("expired", "expired"), ("ended", "ended"), ("swapped", "rep")):
        desk.tokens[name] = "scrm_1_" + desk.sessions[session].partition(".")[2]
    desk.sessions["swapped"] = "1." + desk.tokens["machine-admin"].split("_", 2)[2]


async def test_public_routes_answer_everybody_alike(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        values = await customer_of_rep(desk)
        for route in ROUTES:
            if AUDIENCE[f"{route.method} {route.path}"] != "anyone":
                continue
            path = fill(route.path, values)
            answers = {
                who: (await desk.ask(route.method, path, who=who)).status for who in ("", "rep", "admin")
            }
            assert len(set(answers.values())) == 1, (route.path, answers)


async def test_a_tenant_sees_nothing_of_another(desk: Office) -> None:
    values = await customer_of_rep(desk)
    async with desk.service.house.db.begin(2) as conn:
        desk.tokens["abroad"] = await staff.new_token(conn, "admin", "", now=utcnow())

    for path in ("/events", "/persons", "/conversations", "/pushes", "/inbox?state=done", "/accounts"):
        answer = await desk.api("GET", path, token="abroad")
        assert (answer.status, answer.json()["items"]) == (200, []), path
    for path in (
        f"/persons/{values['{id}']}",
        f"/suggestions?conversation_id={values['{cid}']}",
        "/events?account=oa-a",
    ):
        assert (await desk.api("GET", path, token="abroad")).status == 404, path


async def test_pages_take_no_token_and_the_api_takes_no_cookie(desk: Office) -> None:
    page = await desk.bare("GET", "/inbox", headers={"Authorization": f"Bearer {desk.tokens['rep']}"})
    api = await desk.bare("GET", "/api/v1/events", headers={"Cookie": f"scrm={desk.sessions['rep']}"})

    assert outcome(page) == "sign in"
    assert api.status == 401


async def test_a_dismissed_member_is_out_at_once_with_session_and_token(desk: Office) -> None:
    assert (await desk.ask("GET", "/inbox", who="rep")).status == 200
    assert (await desk.api("GET", "/events", token="rep")).status == 200

    await _set_state(desk, "rep", "left")

    assert outcome(await desk.ask("GET", "/inbox", who="rep")) == "sign in"
    assert (await desk.api("GET", "/events", token="rep")).status == 401


async def test_a_changed_role_asks_to_sign_in_again_at_the_next_request(desk: Office) -> None:
    async with desk.service.house.db.begin(TENANT) as conn:
        await staff.add(conn, login="rep", name="改岗", role="marketing", now=utcnow())

    answer = await desk.ask("GET", "/inbox", who="rep")
    assert (answer.status, answer.headers["Location"]) == (303, "/login?next=%2Finbox")
    assert (await desk.api("GET", "/events", token="rep")).status == 403


async def _set_state(desk: Office, login: str, state: str) -> None:
    async with desk.service.house.db.begin(TENANT) as conn:
        await conn.run(
            staff_store.staff.update()
            .where(staff_store.staff.c.login == login, staff_store.staff.c.tenant_id == TENANT)
            .values(state=state)
        )
