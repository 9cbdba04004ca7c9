"""The routes of the work board."""

from __future__ import annotations

from scrm.staff.rules import Policy
from scrm.web.routes import Route
from scrm.web.todo import acts, today

ROUTES = (
    Route(method="GET", path="/s/today", handler=today.mine, policy=Policy.TALK),
    Route(method="POST", path="/s/c/{cid}/tasks", handler=acts.add, policy=Policy.TALK),
    Route(method="POST", path="/s/tasks/{task}/done", handler=acts.done, policy=Policy.TALK),
    Route(method="POST", path="/s/tasks/{task}/later", handler=acts.later, policy=Policy.TALK),
    Route(method="GET", path="/lead/today", handler=today.team, policy=Policy.LEAD),
    Route(method="POST", path="/lead/today/{task}/give", handler=acts.give, policy=Policy.LEAD),
)
