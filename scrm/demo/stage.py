"""The demo's stage: simulated platforms, a whole service pointed at them, and a team that can sign in."""

from __future__ import annotations

import base64
import random
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from connectors.kit.phones import phones
from connectors.kit.world import STAFF, Staff, World
from scrm.accounts import service as accounts
from scrm.app import TENANT, Service, running
from scrm.contract import Account
from scrm.db import Conn, utcnow
from scrm.settings import Settings
from scrm.staff import service as staff
from scrm.staff import store as staff_store
from scrm.web.serving import listening

COMPANY = "小橡树"
TEAM = "课程一组"
APP_ID, CORP_ID = "wxdemo00000000001", "wwdemo00000000001"
#: The app, the site and the order system share their members.
USERS = "oak"
#: (slug, channel, name, own settings); those with a simulator run on a loopback port of their own.
CAST: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("school-oa", "wechat_oa", "小橡树课堂", {"app_id": APP_ID}),
    ("school-kf", "wecom_kf", "小橡树客服", {"corp_id": CORP_ID}),
    ("school", "wecom", "小橡树教育", {"corp_id": CORP_ID, "agent_id": "1000002"}),
    ("archive", "wecom_archive", "会话存档", {"corp_id": CORP_ID, "library": "simulator"}),
    ("shop", "webchat", "小橡树网校", {"users": USERS}),
    ("school-app", "segment", "小橡树 App", {"users": USERS}),
    ("hotline", "calls", "招生热线", {"corp_id": CORP_ID}),
    ("mall", "orders", "教务系统", {"users": USERS}),
)
ROLES = ("rep", "rep", "rep", "lead", "admin", "compliance")
#: They look after the channels and the rules; the others talk with customers.
ADMIN = Staff(userid="GuanLiYuan", name="管理员", sells=False)
COMPLIANCE = Staff(userid="HeGui", name="合规专员", sells=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    world: World
    service: Service
    url: str
    phones_url: str
    #: Base URL of each simulated platform by account slug.
    platforms: dict[str, str]
    #: Every account with its secrets, by slug.
    accounts: dict[str, Account]
    #: Vendor user id -> staff id, in the order of `world.staff`.
    team: dict[str, int]


@asynccontextmanager
async def staged(settings: Settings, *, seed: int = 7, people: int = 24) -> AsyncIterator[Stage]:
    """Everything on loopback, started and stopped together. Port 0 in the settings takes any free one."""
    settings = replace(settings, host="127.0.0.1", port=_port(settings.port), company=COMPANY)
    world = World(random.Random(seed), people=people, staff=(*STAFF, ADMIN, COMPLIANCE))
    async with AsyncExitStack() as stack:
        platforms, given, made = {}, [], {}
        for slug, channel, name, own in CAST:
            simulator = _simulator(channel)
            made[slug] = one = _secrets(slug, channel, name, own, simulator)
            base = await _platform(stack, world, one, simulator, f"{settings.url}/hooks/{slug}")
            if base:
                platforms[slug] = base
            given.append(_settings_of(one, base))
        phones_port = await stack.enter_async_context(listening(phones(world), "127.0.0.1", 0))
        service = await stack.enter_async_context(running(settings))
        team = await _hire(service, world, given)
        await stack.enter_async_context(listening(service.app, "127.0.0.1", settings.port))
        yield Stage(
            world=world,
            service=service,
            url=settings.url,
            phones_url=f"http://127.0.0.1:{phones_port}/phones",
            platforms=platforms,
            accounts=made,
            team=team,
        )


def _simulator(channel: str) -> ModuleType | None:
    """None for a channel of which nothing needs to be simulated: whoever calls it is part of the play."""
    name = f"connectors.{channel}.simulator"
    return import_module(name) if find_spec(name) else None


def _secrets(
    slug: str, channel: str, name: str, own: dict[str, str], simulator: ModuleType | None
) -> Account:
    """Fresh secrets at every start: nothing of the demo is worth stealing, or known beforehand."""
    keys = {
        "token": secrets.token_hex(12),
        "aes_key": base64.b64encode(secrets.token_bytes(32)).decode().rstrip("="),
        "secret": secrets.token_hex(16),
        "write_key": secrets.token_hex(16),
    }
    if simulator is not None and hasattr(simulator, "fresh_keys"):
        keys["private_keys"] = simulator.fresh_keys()
    return Account(
        tenant_id=TENANT, account_id=0, slug=slug, channel=channel, name=name, options=own, secrets=keys
    )


async def _platform(
    stack: AsyncExitStack, world: World, account: Account, simulator: ModuleType | None, hooks_url: str
) -> str:
    """Where the platform of this account is simulated; "" when nothing of it is."""
    if simulator is None:
        return ""
    app = simulator.simulate(world, account, hooks_url)
    return f"http://127.0.0.1:{await stack.enter_async_context(listening(app, '127.0.0.1', 0))}"


def _settings_of(account: Account, base: str) -> dict[str, object]:
    """As an admin would write them, with the simulated platform in the place of the real one."""
    own = {**account.options, **account.secrets, "api_base": base, "oauth_base": base, "origins": base}
    own["recordings_base"] = base
    needed = {need.name for need in accounts.connector(account.channel).NEEDS}
    kept = {name: value for name, value in own.items() if name in needed}
    return {"slug": account.slug, "channel": account.channel, "name": account.name, **kept}


async def _hire(service: Service, world: World, given: list[dict[str, object]]) -> dict[str, int]:
    """The team and its accounts: reps and those behind them, known to WeCom by the simulator's ids."""
    house, now, team = service.house, utcnow(), {}
    async with house.db.begin(TENANT) as conn:
        team_id = await staff_store.team_id(conn, TEAM)
        for one in given:
            await accounts.add(conn, one, now=now, team_id=team_id)
        for member, role in zip(world.staff, ROLES, strict=False):
            team[member.userid] = await _member(conn, member.userid, member.name, role)
    async with house.db.read(TENANT) as conn:
        await house.directory.load(conn)
    return team


async def _member(conn: Conn, userid: str, name: str, role: str) -> int:
    staff_id = await staff.add(conn, login=userid.lower(), name=name, role=role, team=TEAM, now=utcnow())
    await staff_store.bind(conn, CORP_ID, userid, staff_id)
    return staff_id


def _port(wanted: int) -> int:
    """The wanted port if free, else any: the callbacks' address must be known before anything listens."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
