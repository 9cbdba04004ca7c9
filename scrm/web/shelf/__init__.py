"""`/admin/scripts` and `/s/me/scripts`: what is said, written by those who sell, tried before it goes out."""

from __future__ import annotations

from scrm.staff.rules import Policy
from scrm.web.routes import Handler, Route
from scrm.web.shelf import acts, automatic, enclosing, finding, moving, show
from scrm.web.shelf.room import OFFICE, OWN


def _office(method: str, path: str, handler: Handler) -> Route:
    return Route(method=method, path=f"{OFFICE}{path}", handler=handler, policy=Policy.SCRIPTS)


def _own(method: str, path: str, handler: Handler) -> Route:
    return Route(method=method, path=f"{OWN}{path}", handler=handler, policy=Policy.TALK)


ROUTES = (
    _office("GET", "", show.home),
    _office("POST", "", acts.create),
    _office("GET", "/new", show.new),
    _office("POST", "/preview", acts.try_out),
    _office("POST", "/packs", moving.choose),
    _office("GET", "/export", moving.export),
    _office("GET", "/import", moving.bring),
    _office("POST", "/import", moving.take),
    _office("GET", "/auto", automatic.show),
    _office("POST", "/auto", automatic.switch),
    _office("GET", "/files/{file}", enclosing.open_file),
    _office("GET", "/{script}", show.one),
    _office("POST", "/{script}", acts.write),
    _office("GET", "/{script}/versions", show.compare),
    _office("POST", "/{script}/versions/{number}", acts.decide),
    _own("GET", "", show.home),
    _own("POST", "", acts.create),
    _own("GET", "/new", show.new),
    _own("POST", "/preview", acts.try_out),
    _own("GET", "/files/{file}", enclosing.open_file),
    _own("GET", "/{script}", show.one),
    _own("POST", "/{script}", acts.write),
    _own("GET", "/{script}/versions", show.compare),
    _own("POST", "/{script}/versions/{number}", acts.decide),
    Route(method="GET", path="/s/c/{cid}/find", handler=finding.find, policy=Policy.TALK),
)
