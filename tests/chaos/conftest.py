"""Servers for the chaos tests: each on a folder of its own, none left behind."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientTimeout

from tests.chaos.harness import SCRM, Profile, Server

NewServer = Callable[..., Server]
Tell = Callable[[str], None]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Says the figures of a run aloud, passed or failed."""

    def aloud(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}\n")

    return aloud


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession(timeout=ClientTimeout(total=10), trust_env=False) as session:
        yield session


@pytest.fixture
async def new_server(tmp_path: Path) -> AsyncIterator[NewServer]:
    """Makes servers that end with the test, whatever happens in it."""
    made: list[Server] = []

    def make(program: Sequence[str] = SCRM, profile: Profile | None = None, **env: str) -> Server:
        made.append(Server(tmp_path / "server", program, profile or Profile(), env))
        return made[-1]

    yield make
    for server in made:
        await server.end()
