"""Fixtures of the security tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.office import Office, office


@pytest.fixture
async def desk(tmp_path: Path, service_url: str) -> AsyncIterator[Office]:
    """A hired office: `rep` and `peer` in team A, `other` in team B, a lead, and those who do not talk."""
    async with office(tmp_path, database_url=service_url) as made:
        yield made
