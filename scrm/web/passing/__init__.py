"""`/pool` and `/lead/handover`: customers who pass from one rep to another."""

from __future__ import annotations

from scrm.staff.rules import Policy
from scrm.web.passing import handover, pool
from scrm.web.routes import Route

ROUTES = (
    Route(method="GET", path="/pool", handler=pool.listed, policy=Policy.TALK),
    Route(method="GET", path="/pool/{entry}", handler=pool.show, policy=Policy.TALK),
    Route(method="POST", path="/pool/{entry}/take", handler=pool.take, policy=Policy.TALK),
    Route(method="POST", path="/pool/c/{cid}/give", handler=pool.give, policy=Policy.TALK),
    Route(method="GET", path="/lead/handover", handler=handover.listed, policy=Policy.LEAD),
    Route(method="POST", path="/lead/handover", handler=handover.draft, policy=Policy.LEAD),
    Route(method="GET", path="/lead/handover/{handover}", handler=handover.show, policy=Policy.LEAD),
    Route(method="POST", path="/lead/handover/{handover}", handler=handover.act, policy=Policy.LEAD),
)
