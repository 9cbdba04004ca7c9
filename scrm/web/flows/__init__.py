"""`/admin/sops`: how customers are followed up, written step by step and tried before it begins."""

from __future__ import annotations

from scrm.staff.rules import Policy
from scrm.web.flows import acts, running, show
from scrm.web.routes import Handler, Route

BASE = "/admin/sops"


def _read(method: str, path: str, handler: Handler) -> Route:
    return Route(method=method, path=f"{BASE}{path}", handler=handler, policy=Policy.SOPS)


def _write(method: str, path: str, handler: Handler) -> Route:
    return Route(method=method, path=f"{BASE}{path}", handler=handler, policy=Policy.SOPS_RUN)


ROUTES = (
    _read("GET", "", show.home),
    _write("POST", "", acts.create),
    _write("GET", "/new", show.new),
    _read("POST", "/try", acts.try_out),
    _read("GET", "/{sop}", show.one),
    _write("POST", "/{sop}", acts.write),
    _read("GET", "/{sop}/versions", show.compare),
    _read("GET", "/{sop}/runs", running.show),
    _read("POST", "/{sop}/runs", running.stop),
)
