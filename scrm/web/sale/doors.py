"""Doors of the sale: the sheet, tags, coupons; and the batches."""

from __future__ import annotations

from scrm.staff.rules import Policy
from scrm.web.routes import Route
from scrm.web.sale import batches, sheet, tab

ROUTES = (
    Route(method="GET", path="/s/c/{cid}/sale", handler=sheet.sheet, policy=Policy.TALK),
    Route(method="POST", path="/s/c/{cid}/sale", handler=sheet.act, policy=Policy.TALK),
    Route(method="POST", path="/s/c/{cid}/label", handler=sheet.label, policy=Policy.TALK),
    Route(method="GET", path="/s/c/{cid}/coupons", handler=tab.show, policy=Policy.TALK),
    Route(method="POST", path="/s/c/{cid}/coupons", handler=tab.give, policy=Policy.TALK),
    Route(method="GET", path="/mkt/coupons", handler=batches.show, policy=Policy.CATALOG),
    Route(method="POST", path="/mkt/coupons", handler=batches.save, policy=Policy.CATALOG),
    Route(method="POST", path="/mkt/coupons/{batch}", handler=batches.turn, policy=Policy.CATALOG),
)

__all__ = ["ROUTES"]
