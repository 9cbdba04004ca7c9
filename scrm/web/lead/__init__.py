"""`/lead/ownership` and `/rulings`: whose a deal is, for those who decide it and those it is about."""

from __future__ import annotations

from scrm.staff.rules import Policy
from scrm.web.lead import mine, ownership
from scrm.web.routes import Route

ROUTES = (
    Route(method="GET", path="/lead/ownership", handler=ownership.listed, policy=Policy.JUDGE),
    Route(method="GET", path="/lead/ownership/{deal}", handler=ownership.show, policy=Policy.JUDGE),
    Route(method="POST", path="/lead/ownership/{deal}", handler=ownership.decide, policy=Policy.JUDGE),
    Route(method="GET", path="/rulings", handler=mine.listed, policy=Policy.TALK),
    Route(method="GET", path="/rulings/{deal}", handler=mine.show, policy=Policy.TALK),
    Route(method="POST", path="/rulings/{deal}", handler=mine.appeal, policy=Policy.TALK),
)
