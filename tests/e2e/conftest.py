"""Browser tests share one floor (service, platforms, Chromium) per module; each brings its own customers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.floor import Floor, floor


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def building(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Floor]:
    async with floor(tmp_path_factory.mktemp("floor")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def house(building: Floor) -> AsyncIterator[Floor]:
    """The floor with empty desks; afterwards no page may have complained."""
    yield building
    await building.close()
    complaints, building.complaints = building.complaints, []
    assert complaints == []
