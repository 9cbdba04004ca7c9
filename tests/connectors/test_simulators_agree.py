"""Our connectors and the simulated platforms understand each other, through the contract alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import import_module
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from connectors.kit.http import Guard
from connectors.kit.tokens import MemoryTokens
from connectors.kit.world import Persona
from scrm.contract import Account, Call, Context, Envelope, Handle, Media, Pull, Push, Raw
from scrm.errors import Refused, Rejected
from tests.connectors.stage import APP_ID, CORP_ID, Stage, account, signed_in, staged


@dataclass
class Ours:
    """Our end of one account: takes callbacks as the hooks page does, and calls the platform."""

    connector: Any
    account: Account
    guard: Guard
    now: Callable[[], datetime]
    tokens: MemoryTokens = field(default_factory=MemoryTokens)
    raws: list[Raw] = field(default_factory=list)

    @property
    def ctx(self) -> Context:
        return Context(
            account=self.account, http=self.guard.http(self.account), tokens=self.tokens, now=self.now()
        )

    async def take(self, request: web.Request) -> web.Response:
        call = Call(
            method=request.method,
            tail="",
            query=dict(request.query),
            headers=dict(request.headers),
            body=await request.read(),
            received_at=self.now(),
        )
        try:
            receipt = self.connector.receive(self.ctx, call)
        except Refused as refused:
            return web.Response(status=refused.status)
        self.raws.extend(receipt.raws)
        return web.Response(status=receipt.status, body=receipt.body)

    def said(self) -> list[Envelope]:
        """What the stored raws mean, without the requests to poll."""
        found = [one for raw in self.raws for one in self.connector.translate(self.ctx, raw)]
        return [one for one in found if isinstance(one, Envelope)]

    async def pull(self) -> None:
        """Read the log as the last notice asks."""
        [wanted] = self.connector.translate(self.ctx, self.raws.pop())
        assert isinstance(wanted, Pull)
        cursor, more = "", True
        while more:
            page = await self.connector.poll(self.ctx, wanted.stream, cursor, wanted.hint)
            cursor, more = page.cursor, page.more
            self.raws.extend(page.raws)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as running:
        yield running


@pytest.fixture
def person(stage: Stage) -> Persona:
    return stage.world.personas[0]


@pytest.fixture
async def guard() -> AsyncIterator[Guard]:
    async with Guard() as opened:
        yield opened


async def meet(stage: Stage, guard: Guard, channel: str) -> tuple[Ours, Any]:
    """Our end of `channel`, wired to its simulator; and the simulator."""
    platform, client = await stage.start(channel)
    base = str(client.make_url("")).rstrip("/")
    options = {**account(channel).options, "api_base": base, "oauth_base": base}
    configured = replace(account(channel), options=options)
    ours = Ours(import_module(f"connectors.{channel}"), configured, guard, stage.world.now)
    stage.hooks.take_by = ours.take
    return ours, platform


def push(person: Persona, address: str, value: str, **fields: object) -> Push:
    scope = APP_ID if address == "wechat_openid" else CORP_ID
    handle = Handle(kind=address, scope=scope, value=value, name=person.name)
    usual: dict[str, Any] = {"push_id": "p1", "handle": handle, "kind": "text", "text": "您好"}
    return Push(**(usual | fields))


@pytest.mark.parametrize("channel", ["wechat_oa", "wecom_kf", "wecom"])
async def test_every_connector_proves_its_url_and_passes_its_own_probe(
    stage: Stage, guard: Guard, channel: str
) -> None:
    ours, platform = await meet(stage, guard, channel)

    assert await platform.verify_url()
    findings = await ours.connector.probe(ours.ctx)
    assert [one.severity for one in findings if one.severity == "error"] == []


async def test_an_official_account_talk_goes_both_ways(stage: Stage, person: Persona, guard: Guard) -> None:
    ours, oa = await meet(stage, guard, "wechat_oa")
    openid = person.openid(APP_ID)

    bubble = await stage.world.say(person, "wechat_oa", "多少钱？")
    await ours.connector.send(ours.ctx, push(person, "wechat_openid", openid))
    picture = Media(name="课表.png", mime="image/png", content=b"\x89PNG-picture")
    await ours.connector.send(ours.ctx, push(person, "wechat_openid", openid, kind="image", media=picture))
    oa.expire_tokens()
    await ours.connector.send(ours.ctx, push(person, "wechat_openid", openid))
    again = await ours.connector.enrich(ours.ctx, Handle(kind="wechat_openid", scope=APP_ID, value=openid))

    [message] = ours.said()
    assert (bubble.state, message.kind, message.text) == ("sent", "message.text", "多少钱？")
    assert message.handles[0].value == openid
    assert [b.kind for b in stage.world.received(person)] == ["text", "image", "text"]
    assert oa.calls["stable_token"] == 2
    [profile] = ours.connector.translate(ours.ctx, again[0])
    assert {person.unionid, openid} == {profile.links[0].a.value, profile.links[0].b.value}


async def test_resent_and_stale_callbacks_are_the_same_thing_or_refused(
    stage: Stage, person: Persona, guard: Guard
) -> None:
    ours, oa = await meet(stage, guard, "wechat_oa")
    await stage.world.say(person, "wechat_oa", "你好")

    fresh = await oa.resend(times=3)
    stage.world.advance(3 * 86400)
    late = await oa.resend()
    stage.world.advance(3600)
    stale = await oa.resend(fresh_signature=False)

    assert (fresh, late, stale) == ([200] * 3, [200], [403])
    assert len({raw.source_key for raw in ours.raws}) == 1


async def test_a_customer_service_talk_is_read_page_by_page_and_answered(
    stage: Stage, person: Persona, guard: Guard
) -> None:
    ours, kf = await meet(stage, guard, "wecom_kf")
    kf.hiccups = 0.5
    external = person.external_userid(CORP_ID)

    for text in ("在吗", "想试听", "周末有课吗"):
        await stage.world.say(person, "wecom_kf", text)
    await ours.pull()
    said = [one for one in ours.said() if one.kind == "message.text"]
    thread = said[-1].thread
    await ours.connector.send(ours.ctx, push(person, "wecom_external", external, thread=thread))
    await kf.take_over(person, stage.world.staff[0])

    assert [one.text for one in said] == ["在吗", "想试听", "周末有课吗"]
    assert [b.id for b in stage.world.received(person)] == ["p1"]
    with pytest.raises(Rejected):
        await ours.connector.send(ours.ctx, push(person, "wecom_external", external, thread=thread))
    found = await ours.connector.enrich(
        ours.ctx, Handle(kind="wecom_external", scope=CORP_ID, value=external)
    )
    [profile] = ours.connector.translate(ours.ctx, found[0])
    assert profile.handles[0].name == person.name


async def test_session_events_are_understood(stage: Stage, person: Persona, guard: Guard) -> None:
    ours, kf = await meet(stage, guard, "wecom_kf")
    member = stage.world.staff[1]

    await kf.meet(person, member)
    bubble = await stage.world.say(person, "wecom_kf", "发错了")
    await kf.recall(person, bubble.id)
    await kf.take_over(person, member)
    await kf.human_says(person, member, "我来接待您")
    await kf.leave(person, member)
    last = ours.raws[-1]
    ours.raws = [last]
    await ours.pull()

    entered, message, recall, taken, human, ended = ours.said()
    welcome = push(person, "wecom_external", "", kind="welcome", code=entered.welcome, text="欢迎")
    await ours.connector.send(ours.ctx, welcome)
    assert stage.world.delivered(person, "欢迎") == 1
    assert recall.recalls == f"kf:{bubble.id}"
    assert (message.direction, human.direction, human.staff) == ("in", "out", member.userid)
    assert (taken.session, ended.session) == ("human", "ended")


@pytest.mark.parametrize("form", ["xml", "isv", "json"])
async def test_a_new_friend_is_greeted_and_looked_up_in_every_shape(
    stage: Stage, person: Persona, guard: Guard, form: str
) -> None:
    ours, wecom = await meet(stage, guard, "wecom")
    external, member = person.external_userid(CORP_ID), stage.world.staff[0]

    assert await wecom.add(person, member, form=form)
    [added] = ours.said()
    welcome = push(person, "wecom_external", external, kind="welcome", code=added.welcome, text="欢迎")
    await ours.connector.send(ours.ctx, welcome)
    found = await ours.connector.enrich(
        ours.ctx, Handle(kind="wecom_external", scope=CORP_ID, value=external)
    )

    assert (added.follows, added.staff) == (True, member.userid)
    assert stage.world.delivered(person, "欢迎") == 1
    envelopes = [one for raw in found for one in ours.connector.translate(ours.ctx, raw)]
    assert person.unionid in {link.a.value for e in envelopes for link in e.links} | {
        link.b.value for e in envelopes for link in e.links
    }


async def test_staff_sign_in_and_pages_are_signed(stage: Stage, guard: Guard) -> None:
    ours, wecom = await meet(stage, guard, "wecom")
    door = ours.connector.door(ours.ctx, "http://127.0.0.1:8080/auth", "s1")
    query = dict(URL(door).query)

    back = await signed_in(stage.clients[0], query | {"auto": stage.world.staff[0].userid})
    visitor = await ours.connector.who(ours.ctx, back.query["code"])
    signatures = await ours.connector.page(ours.ctx, "http://127.0.0.1:8080/s#top")

    assert visitor.staff == stage.world.staff[0].userid
    with pytest.raises(Refused):
        await ours.connector.who(ours.ctx, back.query["code"])
    assert {one.scope for one in signatures} == {"corp", "agent"}
    for one in signatures:
        page = ("http://127.0.0.1:8080/s", str(one.timestamp), one.nonce, one.signature)
        assert wecom.signed_well(one.scope, *page)


async def test_two_hundred_cold_calls_fetch_one_token(stage: Stage, person: Persona, guard: Guard) -> None:
    ours, oa = await meet(stage, guard, "wechat_oa")
    handle = Handle(kind="wechat_openid", scope=APP_ID, value=person.openid(APP_ID))

    await asyncio.gather(*(ours.connector.enrich(ours.ctx, handle) for _ in range(200)))

    assert oa.calls["stable_token"] == 1
    assert oa.calls["user/info"] == 200
