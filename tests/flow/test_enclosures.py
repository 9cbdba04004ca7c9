"""Files of talk-tracks over real wire formats: platforms hold them ahead of time, customers get them once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from connectors.kit.world import Persona
from scrm import outbox
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.playbook.checks.values import Hit
from scrm.playbook.enclosures import rules, service, store
from scrm.playbook.enclosures.store import Held
from scrm.playbook.library import service as library
from scrm.playbook.library.service import Wanted
from scrm.playbook.library.values import Editor, content_of
from scrm.push import service as push
from scrm.push.service import Word
from scrm.timeline.store import conversations
from tests.flow.stage import KF, OA, WECOM, Stage
from tests.ground import script
from tests.playbook.enclosures import PDF, PNG
from tests.web.office import until

LEAD = Editor(role="lead", staff_id=2, team_id=1)


def silent(_text: str) -> Sequence[Hit]:
    return ()


async def published(stage: Stage, *files: tuple[str, bytes]) -> tuple[push.Enclosure, ...]:
    """A talk-track that carries these, in force from now on."""
    house, writer, now = stage.service.house, Editor(role="admin"), utcnow()
    async with house.db.begin(TENANT) as conn:
        named = await service.keep(
            conn, [rules.admitted(n, content) for n, content in files], author_id=None, now=now
        )
        content = content_of(replace(script("picture"), files=named))
        wanted = Wanted(code="edu.picture", content=content, trade="education")
        one = await library.draft(conn, house.library, wanted, writer, now=now)
        await library.submit(conn, one.code, one.version, writer, scan=silent, review=True, now=now)
        await library.publish(conn, one.code, one.version, LEAD, scan=silent, review=True, now=now)
        return await service.of_script(conn, named)


async def holds(stage: Stage) -> dict[str, list[Held]]:
    house = stage.service.house
    async with house.db.read(TENANT) as conn:
        found: dict[str, list[Held]] = {}
        for one in (await store.held(conn)).values():
            found.setdefault(house.directory.by_id(one.account_id).account.slug, []).append(one)
    return found


async def said(stage: Stage, talk: str, key: str, files: Sequence[push.Enclosure]) -> None:
    house = stage.service.house
    async with house.db.begin(TENANT) as conn:
        found = await conversations.of_id(conn, conn.vault.private("conversation", talk))
        assert found is not None
        word = Word(key=key, text="请看课表", files=tuple(files))
        await push.say(conn, house.directory.by_id(found.account_id), found, word, now=utcnow())
        conn.after_commit(house.wake_send)


def got(stage: Stage, persona: Persona) -> list[tuple[str, str]]:
    """What the phone shows of ours."""
    return [(b.kind, b.text) for b in stage.world.received(persona)]


@pytest.mark.parametrize("slug", [OA, KF])
async def test_a_picture_is_at_the_platform_before_anybody_sends_it_and_arrives_once(
    stage: Stage, slug: str
) -> None:
    persona = stage.persona("wechat_oa", "wecom_kf")
    talk = await stage.hear(persona, slug, "有课表吗")
    platform = stage.platform(slug)
    files = await published(stage, ("table.png", PNG))

    async def given() -> bool:
        return {OA, KF, WECOM} <= {s for s, of in (await holds(stage)).items() if all(o.name for o in of)}

    await until(given)
    before = set(platform.media)
    for _ in range(2):  # a repeat under the same key
        await said(stage, talk, "w1", files)
    await stage.quiet()

    assert got(stage, persona) == [("text", "请看课表"), ("image", "table.png")]
    assert set(platform.media) == before, "sent by the id it was given ahead of time"
    assert (await holds(stage))[slug][0].name in before


async def test_what_the_platform_forgot_is_uploaded_with_the_message(stage: Stage) -> None:
    persona = stage.persona("wechat_oa")
    talk = await stage.hear(persona, OA, "有课表吗")
    files = await published(stage, ("table.png", PNG))

    async def given() -> bool:
        return OA in await holds(stage)

    await until(given)
    await stage.quiet()
    stage.oa.media.clear()
    await said(stage, talk, "w1", files)
    await stage.quiet()

    assert got(stage, persona) == [("text", "请看课表"), ("image", "table.png")]
    assert len(stage.oa.media) == 1


async def test_what_a_channel_cannot_send_is_left_out_and_never_uploaded_there(stage: Stage) -> None:
    persona = stage.persona("wechat_oa", "wecom_kf")
    talk = await stage.hear(persona, OA, "有资料吗")
    files = await published(stage, ("资料.pdf", PDF), ("table.png", PNG))

    async def given() -> bool:
        return len((await holds(stage)).get(KF, [])) == 2 and OA in await holds(stage)

    await until(given)
    await said(stage, talk, "w1", files)
    await stage.quiet()
    async with stage.service.house.db.read(TENANT) as conn:
        rows = await outbox.page(conn, state="sent", before=None, limit=9)

    assert got(stage, persona) == [("text", "请看课表"), ("image", "table.png")]
    assert sorted(r.key for r in rows) == ["w1:0", "w1:1"]
    assert len((await holds(stage))[OA]) == 1
