"""Every operation of the API, in the order of its document."""

from __future__ import annotations

from collections.abc import Sequence

from scrm.web.api import (
    correcting,
    deciding,
    deeds,
    earning,
    finding,
    identity,
    operating,
    operations,
    owning,
    reaching,
    sale,
    scripts,
    selling,
    sops,
    tasks,
    vetting,
)
from scrm.web.api.endpoint import Endpoint

ENDPOINTS: Sequence[Endpoint] = (
    *operations.ENDPOINTS,
    *operating.ENDPOINTS,
    *reaching.ENDPOINTS,
    *scripts.ENDPOINTS,
    *selling.ENDPOINTS,
    *sale.ENDPOINTS,
    *owning.ENDPOINTS,
    *earning.ENDPOINTS,
    *deeds.ENDPOINTS,
    *finding.ENDPOINTS,
    *identity.ENDPOINTS,
    *deciding.ENDPOINTS,
    *vetting.ENDPOINTS,
    *tasks.ENDPOINTS,
    *sops.ENDPOINTS,
    *correcting.ENDPOINTS,
)
