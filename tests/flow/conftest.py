"""A stage per test: fresh platforms, phones, service and database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flow.stage import Stage, staged


@pytest.fixture
async def stage(tmp_path: Path, service_url: str) -> AsyncIterator[Stage]:
    async with staged(tmp_path, service_url) as made:
        yield made
