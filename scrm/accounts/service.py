"""Accounts with their connectors, held in memory: found by slug for each callback, by id for each send."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from types import ModuleType

from scrm import facts
from scrm.accounts import rules, store
from scrm.accounts.pulse import Pulse
from scrm.accounts.store import State
from scrm.contract import Account, Connector, Sends, Visits
from scrm.db import Conn
from scrm.errors import BadConfig, Conflict, NotFound

#: Who gets new conversations of an account: the rules of the desk, or whoever answers first.
AUTO, MANUAL = "auto", "manual"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugged:
    """An account and the connector that serves it; powers are found by `isinstance(plug, Power)`."""

    account: Account
    plug: ModuleType
    team_id: int | None
    state: State = "running"

    @property
    def title(self) -> str:
        return str(self.plug.TITLE)

    @property
    def assigns(self) -> bool:
        """New conversations go to a rep by the rules of the desk, not to whoever answers first."""
        usual = AUTO if isinstance(self.plug, Visits) else MANUAL
        talks = isinstance(self.plug, Sends) and self.plug.TALKS
        return talks and (self.account.options.get("assign") or usual) == AUTO


def connector(channel: str) -> ModuleType:
    """The module of a channel. Raises `BadConfig` naming the channel."""
    if not rules.CHANNEL.fullmatch(channel):
        raise BadConfig(f"渠道名 {channel!r} 不合法。")
    try:
        module = import_module(f"connectors.{channel}")
    except ModuleNotFoundError:
        raise BadConfig(f"没有名为 {channel} 的渠道：connectors/ 下没有这个目录。") from None
    if not isinstance(module, Connector):
        raise BadConfig(f"connectors.{channel} 没有声明 NEEDS、TITLE 和 ICON。")
    return module


def channels() -> dict[str, ModuleType]:
    """Every channel that is there, by name."""
    found = {}
    for one in pkgutil.iter_modules(import_module("connectors").__path__):
        if one.ispkg and one.name != "kit":
            with suppress(BadConfig):  # a folder that is no connector
                found[one.name] = connector(one.name)
    return found


class Directory:
    """What is configured, as of the last `load`."""

    def __init__(self) -> None:
        #: How busy the accounts are, as far as this process knows.
        self.pulse = Pulse()
        self._by_slug: dict[str, Plugged] = {}
        self._by_id: dict[int, Plugged] = {}
        self.tenants: list[store.Tenant] = []
        self._asked = 0
        self._known: dict[int, int] = {}

    async def load(self, conn: Conn) -> None:
        """Read the tenant of `conn` afresh."""
        self._asked += 1
        mine = self._asked
        tenants = await store.tenants(conn)
        loaded = [
            Plugged(account=s.account, plug=connector(s.account.channel), team_id=s.team_id, state=s.state)
            for s in await store.accounts(conn)
        ]
        if mine < self._known.get(conn.tenant_id, 0):  # it would hide what was added after it looked
            return
        self._known[conn.tenant_id], self.tenants = mine, tenants
        kept = [p for p in self._by_id.values() if p.account.tenant_id != conn.tenant_id]
        self._by_id = {p.account.account_id: p for p in [*kept, *loaded]}
        self._by_slug = {p.account.slug: p for p in self._by_id.values()}

    def by_slug(self, slug: str) -> Plugged:
        """Raises `NotFound`."""
        if slug not in self._by_slug:
            raise NotFound("没有这个账号，请检查回调地址。")
        return self._by_slug[slug]

    def by_id(self, account_id: int) -> Plugged:
        """Raises `NotFound`."""
        if account_id not in self._by_id:
            raise NotFound("这个账号已经不在了。")
        return self._by_id[account_id]

    def plug_of(self, account_id: int) -> ModuleType | None:
        """The connector of an account that may be gone."""
        found = self._by_id.get(account_id)
        return found.plug if found else None

    def all(self, tenant_id: int) -> list[Plugged]:
        return [p for p in self._by_id.values() if p.account.tenant_id == tenant_id]

    def paused(self, tenant_id: int) -> list[int]:
        """Accounts whose rows wait where they are."""
        return [p.account.account_id for p in self.all(tenant_id) if p.state == "paused"]

    def resting(self, tenant_id: int) -> list[int]:
        """Accounts whose platform is asked nothing and told nothing: paused or on the way there."""
        return [p.account.account_id for p in self.all(tenant_id) if p.state != "running"]


async def add(conn: Conn, given: Mapping[str, object], *, now: datetime, team_id: int | None = None) -> int:
    """Store one account as written in TOML or on the command line. Raises `BadConfig` with every fault."""
    own = dict(given)
    slug, channel = str(own.pop("slug", "")), str(own.pop("channel", ""))
    name, max_age_s = str(own.pop("name", slug)), own.pop("max_age_s", 600)
    assign = str(own.pop("assign", ""))
    module = connector(channel)
    wrong = rules.faults(slug, module.NEEDS, own)
    if not isinstance(max_age_s, int) or max_age_s < 0:
        wrong += rules.faults(slug, module.NEEDS, {"max_age_s": max_age_s})
    if assign not in ("", AUTO, MANUAL):
        wrong.append(rules.error(f"账号 {slug}：assign 只能是 {AUTO} 或 {MANUAL}，现在是 {assign!r}。"))
    if wrong:
        raise BadConfig("\n".join(f.sentence for f in wrong))
    parts = rules.split(module.NEEDS, own)
    return await store.save(
        conn,
        slug=slug,
        channel=channel,
        name=name,
        max_age_s=int(str(max_age_s)),
        options=parts.options | ({"assign": assign} if assign else {}),
        secrets=parts.secrets,
        team_id=team_id,
        now=now,
    )


async def add_all(conn: Conn, given: Iterable[Mapping[str, object]], *, now: datetime) -> None:
    for one in given:
        await add(conn, one, now=now)


async def change(
    conn: Conn, plugged: Plugged, given: Mapping[str, str], *, name: str, max_age_s: int, now: datetime
) -> None:
    """New settings of an account; a secret that is not given stays. Raises `BadConfig` with every fault."""
    held, needs = plugged.account, plugged.plug.NEEDS
    secret = {n.name for n in needs if n.secret}
    kept = {k: v for k, v in held.secrets.items() if k in secret and not given.get(k)}
    own = {k: v for k, v in given.items() if v} | kept
    if wrong := rules.faults(held.slug, needs, own) + rules.carried_off(held.options, given, set(kept)):
        raise BadConfig("\n".join(f.sentence for f in wrong))
    parts = rules.split(needs, own)
    unasked = {k: v for k, v in held.options.items() if k not in {n.name for n in needs}}
    await store.save(
        conn,
        slug=held.slug,
        channel=held.channel,
        name=name or held.slug,
        max_age_s=max_age_s,
        options=unasked | parts.options,
        secrets=parts.secrets,
        team_id=plugged.team_id,
        now=now,
    )


#: Which states each order applies to, and what it leads to.
ORDERS: Mapping[str, tuple[frozenset[State], State]] = {
    "pause": (frozenset({"running", "draining"}), "paused"),
    "drain": (frozenset({"running"}), "draining"),
    "resume": (frozenset({"draining", "paused"}), "running"),
}


async def order(conn: Conn, plugged: Plugged, what: str) -> State:
    """Pause, drain or resume an account; the state it is in now. Raises `NotFound` or `Conflict`."""
    if what not in ORDERS:
        raise NotFound("没有这种操作。")
    was, state = ORDERS[what]
    if not await store.set_state(conn, plugged.account.account_id, state, was=was):
        raise Conflict("这个账号的状态刚刚变了，请刷新后再看。")
    return state


async def note_tokens(conn: Conn, tokens: Mapping[tuple[int, str], datetime], *, now: datetime) -> None:
    """Until when our tokens of the platforms last; the key of a token names a login and is not kept."""
    said = [
        facts.Said(
            account_id=account_id,
            kind="token",
            key=conn.vault.blind("token-key", key).hex()[:24],
            body={"until": until.isoformat()},
            rank=int(until.timestamp() * 1_000_000),
            at=now,
        )
        for (account_id, key), until in tokens.items()
    ]
    await facts.put_all(conn, said)


async def drained(conn: Conn, account_id: int) -> bool:
    """Nothing waits any more: the account that was draining is paused now."""
    return await store.set_state(conn, account_id, "paused", was={"draining"})
