"""Pages about sales with everything on them, for tests of how pages are made."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from scrm.web import selling as s
from scrm.web import views as v
from scrm.web.views import Me
from tests.web.managing import BOSS, NOW

REP = Me(name="王强", role="rep")
CHIPS = (
    s.Choice(name="新购 · 年课", href="/s/c/c1/sale?o=o1", on=True),
    s.Choice(name="续费", href="/s/c/c1/sale?o=o2"),
)
SALE = s.SaleView(
    href="/s/c/c1/sale?o=o1",
    title="新购 · 年课",
    amount=578_000,
    stage="报价方案",
    part=3,
    due="18:00 前：发报价",
    due_tone="warn",
    others=CHIPS,
    twice=True,
)
LABELS = s.LabelsView(cid="c1", names=("高意向",), known=("双职工",), key="k" * 24)
SHEET = s.SheetView(
    cid="c1",
    back="/s/c/c1",
    key="k" * 24,
    id="o1",
    version=2,
    title="新购 · 年课",
    stages=(s.Choice(name="报价方案", key="quotation", on=True), s.Choice(name="报名成交", key="closing")),
    kinds=(s.Choice(name="新购", key="new"),),
    products=(s.Choice(name="年课 ¥6,800", key="year"),),
    product="year",
    amount="5780",
    others=CHIPS,
    moves=(s.MoveRow(at=NOW, text="报价方案：问了价格", who="王强"),),
)
COUPON = s.CouponRow(
    id="b1",
    name="早鸟券",
    worth="8.5 折",
    product="年课",
    least=300_000,
    until="11-23",
    left=126,
    limit=1,
    match="与答应过的一致",
    match_tone="ok",
    key="k" * 24,
)
COUPONS = s.CouponsView(
    cid="c1",
    name="陈先生",
    rows=(
        COUPON,
        replace(COUPON, id="b2", match_tone="warn"),
        replace(COUPON, id="b3", why_not="库存已发完。"),
    ),
    held=(
        s.HeldRow(
            code="ABCDEFGH23", name="早鸟券", worth="8.5 折", who="陈先生", state="未使用", tone="ok",
            until="11-23", text="早鸟券：8.5 折",
        ),
    ),
    topics=("node:x",),
)  # fmt: skip
BATCHES = s.BatchesView(
    rows=(
        s.BatchRow(
            id="b1", code="EARLY-85", name="早鸟券", worth="8.5 折", product="年课", starts_at=NOW,
            ends_at=NOW + timedelta(days=2), stock=126, limit=1, issued=3, redeemed=1, open=True,
            state="发放中", tone="ok",
        ),
    ),
    before="x",
    problem="券编号只用大写字母。",
    products=SHEET.products,
    today="2026-11-21T16:40",
    month_end="2026-11-30T23:59",
)  # fmt: skip


def _customer(**changes: Any) -> dict[str, Any]:
    made = v.CustomerView(cid="c1", name="陈先生", sale=SALE, labels=LABELS)
    return {"me": REP, "customer": replace(made, **changes)}


SELLING_PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "sale": ("sidebar/page.html", _customer()),
    "sale-over": ("sidebar/page.html", _customer(sale=replace(SALE, over="已成交", won=True, part=5))),
    "sale-none": ("sidebar/page.html", _customer(sale=s.SaleView(href="/s/c/c1/sale"))),
    "coupons": ("sidebar/page.html", _customer(tab="coupons", coupons=COUPONS)),
    "coupons-none": (
        "sidebar/page.html",
        _customer(tab="coupons", coupons=replace(COUPONS, rows=(), held=(), copies=True)),
    ),
    "sale-sheet": ("sidebar/sale_page.html", {"me": REP, "sheet": SHEET}),
    "sale-sheet-over": ("sidebar/sale_page.html", {"me": REP, "sheet": replace(SHEET, over="已放弃")}),
    "sale-new": ("sidebar/sale_page.html", {"me": REP, "sheet": replace(SHEET, id="", others=(), moves=())}),
    "coupon-batches": ("mkt/coupons.html", {"me": BOSS, "batches": BATCHES}),
    "coupon-batches-none": ("mkt/coupons.html", {"me": BOSS, "batches": s.BatchesView(rows=())}),
}
