"""Accounts: complete or refused with every fault in words, secrets sealed, found by slug and by id."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import sqlalchemy as sa

from scrm import schema
from scrm.accounts import rules, service, store
from scrm.accounts.service import Directory
from scrm.contract import Need, Severity
from scrm.db import Conn, Database
from scrm.errors import BadConfig, NotFound
from tests.ground import CHANNEL, NOW, Channel, installed

SHOP: dict[str, object] = {"slug": "shop", "channel": CHANNEL, "name": "店", "token": "hush-hush"}


@pytest.fixture(autouse=True)
def channel(monkeypatch: pytest.MonkeyPatch) -> Channel:
    made = Channel()
    installed(monkeypatch, made)
    return made


async def add(conn: Conn, **changes: object) -> int:
    return await service.add(conn, SHOP | changes, now=NOW)


async def test_an_account_comes_back_opened_with_its_connector(database: Database, channel: Channel) -> None:
    directory = Directory()
    async with database.begin(1) as conn:
        await store.add_tenant(conn, "t", "本公司", now=NOW)
        ident = await add(conn, max_age_s=30)
        await directory.load(conn)

    found = directory.by_slug("shop")
    assert found is directory.by_id(ident)
    assert found.plug is channel
    assert found.title == "测试渠道"
    assert (found.account.get("token"), found.account.get("corp_id"), found.account.max_age_s) == (
        "hush-hush",
        "corp",
        30,
    )
    assert directory.all(1) == [found]
    assert directory.all(2) == []
    assert [t.name for t in directory.tenants] == ["本公司"]


async def test_secrets_lie_sealed_and_do_not_show(database: Database) -> None:
    async with database.begin(1) as conn:
        await add(conn)
        row = await conn.row(sa.select(schema.account))
        (stored,) = await store.accounts(conn)

    assert "hush-hush" not in repr(row)
    assert "hush-hush" not in repr(stored)


async def test_saving_again_changes_the_account_and_keeps_its_id(database: Database) -> None:
    async with database.begin(1) as conn:
        first = await add(conn)
        second = await add(conn, name="新店", token="new-secret")
        (stored,) = await store.accounts(conn)

    assert first == second == stored.account.account_id
    assert (stored.account.name, stored.account.get("token")) == ("新店", "new-secret")


async def test_a_later_load_takes_over_changes_and_forgets_what_is_gone(database: Database) -> None:
    directory = Directory()
    async with database.begin(1) as conn:
        await add(conn)
        await directory.load(conn)
        await conn.run(sa.delete(schema.account))
        await add(conn, slug="other")
        await directory.load(conn)

    assert directory.by_slug("other")
    with pytest.raises(NotFound):
        directory.by_slug("shop")
    with pytest.raises(NotFound):
        directory.by_id(1)


async def test_loading_one_tenant_leaves_the_others(database: Database) -> None:
    directory = Directory()
    for tenant in (1, 2):
        async with database.begin(tenant) as conn:
            await add(conn, slug=f"shop-{tenant}")
            await directory.load(conn)

    assert [p.account.slug for t in (1, 2) for p in directory.all(t)] == ["shop-1", "shop-2"]


@dataclass
class Dawdling:
    """A connection whose answers take until `go`."""

    conn: Conn
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.conn, name)

    async def rows(self, stmt: sa.Executable) -> Any:
        found = await self.conn.rows(stmt)
        self.looked.set()
        await self.go.wait()
        return found


async def test_an_older_look_that_takes_longer_does_not_hide_what_was_added_meanwhile(
    database: Database,
) -> None:
    directory = Directory()
    async with database.read(1) as before:
        slow = Dawdling(before)
        older = asyncio.create_task(directory.load(cast(Conn, slow)))
        await slow.looked.wait()
        async with database.begin(1) as conn:
            await add(conn)
        async with database.read(1) as conn:
            await directory.load(conn)
        slow.go.set()
        await older

    assert directory.by_slug("shop")


async def test_a_slug_belongs_to_one_tenant(database: Database) -> None:
    async with database.begin(1) as conn:
        await add(conn)
    with pytest.raises(sa.exc.IntegrityError):
        async with database.begin(2) as conn:
            await add(conn)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"token": ""}, "缺少“token”"),
        ({"tokne": "x"}, "不认识设置“tokne”"),
        ({"slug": "Shop!"}, "slug"),
        ({"slug": "a" * 64}, "slug"),
        ({"max_age_s": -1}, "max_age_s"),
        ({"max_age_s": "soon"}, "max_age_s"),
        ({"channel": "../etc"}, "不合法"),
        ({"channel": "no_such"}, "no_such"),
    ],
)
async def test_what_is_wrong_with_an_account_is_said(
    database: Database, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(BadConfig, match=sentence):
        async with database.begin(1) as conn:
            await add(conn, **changes)
    async with database.read(1) as conn:
        assert await store.accounts(conn) == []


async def test_one_bad_account_of_several_stores_none(database: Database) -> None:
    with pytest.raises(BadConfig):
        async with database.begin(1) as conn:
            await service.add_all(conn, [SHOP, SHOP | {"slug": "b", "token": ""}], now=NOW)
    async with database.read(1) as conn:
        assert await store.accounts(conn) == []


async def test_a_package_that_is_no_connector_is_refused(
    monkeypatch: pytest.MonkeyPatch, channel: Channel
) -> None:
    monkeypatch.setattr(type(channel), "TITLE", None)
    monkeypatch.delattr(type(channel), "TITLE")

    with pytest.raises(BadConfig, match="TITLE"):
        service.connector(CHANNEL)


async def test_the_tenant_is_added_once_and_its_name_taken_over(database: Database) -> None:
    async with database.begin(1) as conn:
        await store.add_tenant(conn, "t", "旧名", now=NOW)
        await store.add_tenant(conn, "t", "新名", now=NOW)

        assert [(t.tenant_id, t.slug, t.name) for t in await store.tenants(conn)] == [(1, "t", "新名")]


NEEDS = (
    Need(name="app_id", help="AppID", pattern=r"wx\w{4}"),
    Need(name="secret", help="密钥", secret=True),
    Need(name="mode", help="模式", required=False, default="secure"),
)


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ({"app_id": "wx1234", "secret": "s"}, 0),
        ({"app_id": "wx12345", "secret": "s"}, 1),  # the pattern fits the whole value or not at all
        ({"app_id": "bad", "colour": "red"}, 3),  # misshapen, unknown, missing: all at once
    ],
)
def test_every_fault_is_listed(given: dict[str, Any], number: int) -> None:
    found = rules.faults("shop", NEEDS, given)

    assert len(found) == number
    assert {f.severity for f in found} <= {Severity.ERROR}


def test_secrets_are_kept_apart_and_defaults_filled_in() -> None:
    split = rules.split(NEEDS, {"app_id": "wx1234", "secret": "s"})

    assert (split.options, split.secrets) == ({"app_id": "wx1234", "mode": "secure"}, {"secret": "s"})
