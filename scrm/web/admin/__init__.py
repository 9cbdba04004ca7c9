"""`/admin`: those who look after channels see how they do, and pause, mend, replay; no customer is shown."""

from __future__ import annotations

from scrm.staff.rules import Policy
from scrm.web.admin import calendar, cards, connector, dead, jobs, lists
from scrm.web.routes import Handler, Route


def _route(method: str, path: str, handler: Handler) -> Route:
    return Route(method=method, path=f"/admin{path}", handler=handler, policy=Policy.ADMIN)


ROUTES = (
    _route("GET", "", cards.home),
    _route("GET", "/connectors", cards.connectors),
    _route("GET", "/connectors/new", connector.new),
    _route("POST", "/connectors/new", connector.add),
    _route("GET", "/connectors/{account}", connector.show),
    _route("POST", "/connectors/{account}", connector.save),
    _route("POST", "/connectors/{account}/state", connector.order),
    _route("POST", "/connectors/{account}/test", connector.test),
    _route("POST", "/connectors/{account}/sync", connector.sync),
    _route("GET", "/connectors/{account}/import", lists.show),
    _route("POST", "/connectors/{account}/import", lists.take),
    _route("GET", "/calendar", calendar.show),
    _route("POST", "/calendar", calendar.save),
    _route("GET", "/dead", dead.classes),
    _route("GET", "/dead/{id}", dead.one_class),
    _route("POST", "/dead/{id}/replay", dead.replay_class),
    _route("POST", "/dead/{id}/discard", dead.discard_class),
    _route("GET", "/letters/{id}", dead.letter),
    _route("POST", "/letters/{id}/mend", dead.mend),
    _route("POST", "/letters/{id}/replay", dead.replay),
    _route("POST", "/letters/{id}/discard", dead.discard),
    _route("GET", "/unsent", dead.unsent),
    _route("POST", "/unsent/{id}", dead.judge),
    _route("GET", "/jobs", jobs.jobs),
    _route("POST", "/jobs/{id}", jobs.order),
)
