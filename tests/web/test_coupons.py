"""The merge sheet tells coupons that both sides used, and no others."""

from __future__ import annotations

from scrm.app import TENANT
from scrm.db import utcnow
from scrm.sales import store as sales
from scrm.seal import new_id
from tests.web.office import Office, Page
from tests.web.test_households import FATHER, MOTHER, home, node, openid, suggested, wrote

#: What is behind this screen is tested on both.
ENGINES = ["sqlite"]


async def _bought(desk: Office, who: str, number: str, coupon: str) -> None:
    now = utcnow()
    one = sales.Order(
        order_id=new_id(), account_id=1, number=number, version=1, at=now, status="paid", placed_at=now,
        business_line="", event_id=1, buyer_id=await node(desk, openid(who)), payer_id=None, learner_id=None,
        total=100, paid=100, coupon=coupon,
    )  # fmt: skip
    async with desk.service.house.db.begin(TENANT) as conn:
        await sales.put_order(conn, one, [])


async def test_the_sheet_tells_a_coupon_both_sides_used_and_no_other(desk: Office) -> None:
    await wrote(desk, "oa-a", MOTHER, "rep", "林女士")
    await wrote(desk, "oa-a", FATHER, "rep", "陈先生")
    await suggested(desk)
    path = f"{await home(desk, openid(MOTHER))}/match"
    before = Page((await desk.ask("GET", path, who="rep")).text).text
    for who, number, coupon in ((MOTHER, "1", "SPRING50"), (FATHER, "2", "SPRING50"), (FATHER, "3", "VIP")):
        await _bought(desk, who, number, coupon)

    after = Page((await desk.ask("GET", path, who="rep")).text).text

    assert "优惠券" not in before
    assert "两边都用过优惠券 SPRING50，合并后是一家用了两次。" in after
    assert "VIP" not in after
