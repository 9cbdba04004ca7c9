"""One family over real wire formats - app, web chat, WeCom, archive, telephone, order - on one timeline."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from scrm.app import TENANT
from scrm.db import utcnow
from scrm.demo import family
from scrm.demo.stage import Stage, staged
from scrm.identity import store as nodes
from scrm.staff import service as staff
from tests.web.office import configured, until

STORY = [
    ("school-app", "event.app.track"),
    ("hotline", "message.call"),
    ("mall", "event.order.paid"),
    ("mall", "event.lesson.attended"),
    ("shop", "event.visitor.identified"),
    ("shop", "message.text"),
    *[("school", "event.contact.added")] * 2,
    *[("school", "message.text")] * 2,
    *[("archive", "message.text")] * 2,
    ("archive", "message.card"),
]


class Program:
    """What a program with an admin's token reads."""

    def __init__(self, stage: Stage, http: ClientSession, token: str) -> None:
        self._url, self._http = f"{stage.url}/api/v1", http
        self._headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, **query: str) -> Any:
        async with self._http.get(f"{self._url}{path}", params=query, headers=self._headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def all(self, path: str, **query: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.get(path, limit="200", **query))["items"]
        return items

    async def named(self, name: str) -> str:
        """The person of this name, once the vendor has said it."""
        found: list[str] = []

        async def known() -> bool:
            found[:] = [p["id"] for p in await self.all("/persons") if p["name"] == name]
            return len(found) == 1

        await until(known)
        return found[0]


async def told(program: Program, mother: str, events: int) -> list[dict[str, Any]]:
    """The household's timeline, oldest first, once so much of the story has arrived."""
    found: list[dict[str, Any]] = []

    async def arrived() -> bool:
        found[:] = await program.all(f"/households/{mother}/timeline")
        return len(found) >= events

    await until(arrived)
    return found[::-1]


async def understood(stage: Stage, home: family.Family) -> set[tuple[str, str]]:
    """Who plays which part, by name, once all of it is known."""
    found: set[tuple[str, str]] = set()

    async def known() -> bool:
        async with stage.service.house.db.read(TENANT) as conn:
            parts = await family.parts(conn, home)
            names = await nodes.shown(conn, {p.person_id for p in parts})
        found.clear()
        found.update((names[p.person_id].name, p.role) for p in parts)
        return {role for _, role in found} >= {"registrant", "payer", "user", "decision_maker"}

    await until(known)
    return found


async def test_the_familys_story_is_one_timeline_made_of_many_wire_formats(
    tmp_path: Path, service_url: str
) -> None:
    async with (
        staged(configured(tmp_path, database_url=service_url), people=3) as stage,
        ClientSession(trust_env=False) as http,
    ):
        async with stage.service.house.db.begin(TENANT) as conn:
            token = await staff.new_token(conn, "admin", "", now=utcnow())
        program, home = Program(stage, http, token), family.family(stage.world)

        await family.live(stage, home)
        mother = await program.named(home.mother.name)
        father = await program.named(home.father.name)
        story = await told(program, mother, len(STORY))
        members = (await program.get(f"/households/{father}"))["members"]
        alone = await program.all(f"/persons/{father}/timeline")
        parts = await understood(stage, home)
        words = await family.in_words(stage, home)

    # Every sender said it twice.
    assert Counter((e["account"], e["kind"]) for e in story) == Counter(STORY)
    times = [datetime.fromisoformat(e["at"]) for e in story]
    assert times == sorted(times)
    assert sorted(m["name"] for m in members) == sorted([home.mother.name, home.father.name, home.mother.kid])
    assert {e["person_id"] for e in story} <= {m["id"] for m in members}
    mother_, father_, child = home.mother.name, home.father.name, home.mother.kid
    assert parts == {
        (mother_, "registrant"),
        (mother_, "buyer"),
        (father_, "payer"),
        (father_, "decision_maker"),
        (child, "user"),
    }
    assert f"{father_}是决策人（付款" in words
    # The father's own timeline has his part, not his wife's talk.
    assert {e["account"] for e in alone} == {"school", "archive", "mall"}
