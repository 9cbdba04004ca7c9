"""A family's sales over real wire formats: opened by a registration, won by an order, promised a price."""

from __future__ import annotations

from pathlib import Path

from scrm import situations
from scrm.app import TENANT
from scrm.campaigns.coupons import store as coupons
from scrm.contract import Handle
from scrm.db import utcnow
from scrm.demo import family, selling
from scrm.demo.stage import USERS, Stage, staged
from scrm.identity import service as identity
from scrm.sales import service as sales
from scrm.sales.opportunities import service as opportunities
from tests.web.office import configured, until

Sales = set[tuple[str, str, str, str]]


async def sold(stage: Stage, home: family.Family) -> Sales:
    async with stage.service.house.db.read(TENANT) as conn:
        node = await identity.find(conn, Handle(kind="app_user", scope=USERS, value=home.user))
        found = await opportunities.of_household(conn, node) if node else []
    return {(o.kind, o.product, o.stage, o.state) for o in found}


async def test_a_registration_opens_a_sale_an_order_wins_it_and_a_price_is_promised(
    tmp_path: Path, service_url: str
) -> None:
    settings = configured(tmp_path, database_url=service_url, opportunity_opens="registration,order")
    async with staged(settings, people=3) as stage:
        home = family.family(stage.world)
        await selling.stock(stage)
        chat = await family.live(stage, home)
        await selling.promised(stage, home, chat)

        async def all_of_it() -> bool:
            states = {state for *_, state in await sold(stage, home)}
            return states == {"won", "open"}

        await until(all_of_it)
        found = await sold(stage, home)
        async with stage.service.house.db.read(TENANT) as conn:
            price = await sales.official(conn, selling.YEAR, utcnow())
            batches = {b.code for b in await coupons.batches(conn)}
            node = await identity.find(conn, Handle(kind="app_user", scope=USERS, value=home.user))
            assert node is not None

        async def written_down() -> bool:
            async with stage.service.house.db.read(TENANT) as conn:
                theirs = await opportunities.family(conn, node)
                kept = await situations.promised(conn, theirs, utcnow())
            return {k.share for k in kept if k.kind == "discount"} == {8_500}

        await until(written_down)

    assert found == {
        ("new", family.PRODUCT["name"], "closing", "won"),
        ("renewal", selling.YEAR_NAME, "quotation", "open"),
    }
    assert price == selling.YEAR_FEN
    assert batches == {"EARLY-85", "OLD-300", "REFER-200"}
