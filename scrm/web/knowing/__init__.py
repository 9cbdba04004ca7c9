"""Who is who, for those who answer for it: `/admin/identity` and the review queue `/compliance/identity`."""

from __future__ import annotations

from scrm.staff.rules import Policy
from scrm.web.knowing import policy, reverting, review, stats
from scrm.web.routes import Handler, Route


def _admin(method: str, path: str, handler: Handler) -> Route:
    return Route(method=method, path=f"/admin/identity{path}", handler=handler, policy=Policy.ADMIN)


ROUTES = (
    _admin("GET", "", policy.show),
    _admin("POST", "", policy.save),
    _admin("POST", "/versions/{version}", policy.restore),
    _admin("GET", "/stats", stats.show),
    _admin("POST", "/stats", stats.count),
    _admin("GET", "/revert", reverting.show),
    _admin("POST", "/revert", reverting.order),
    _admin("POST", "/revert/{job}", reverting.undo),
    Route(method="GET", path="/compliance/identity", handler=review.queue, policy=Policy.REVIEW),
    Route(method="GET", path="/compliance/identity/{proposal}", handler=review.show, policy=Policy.REVIEW),
    Route(method="POST", path="/compliance/identity/{proposal}", handler=review.decide, policy=Policy.REVIEW),
)
