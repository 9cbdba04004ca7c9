"""One server per module of clients; the Node packages are fetched once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.clients.yard import Yard, packages, yard


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grounds(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Yard]:
    async with yard(tmp_path_factory.mktemp("yard")) as made:
        yield made


@pytest.fixture(scope="session")
def node() -> Path:
    """The folder whose `node_modules` holds the Node clients."""
    return packages()
