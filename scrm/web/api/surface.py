"""Every operation of the API, in the order of its document."""

from __future__ import annotations

from collections.abc import Sequence

from scrm.web.api import deeds, finding, operating, operations, reaching, selling
from scrm.web.api.endpoint import Endpoint

ENDPOINTS: Sequence[Endpoint] = (
    *operations.ENDPOINTS,
    *operating.ENDPOINTS,
    *reaching.ENDPOINTS,
    *selling.ENDPOINTS,
    *deeds.ENDPOINTS,
    *finding.ENDPOINTS,
)
