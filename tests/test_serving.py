"""`scrm serve --workers N`: what dies comes back, a renewal is not noticed, and nothing outlives the end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from scrm.app import running
from scrm.cli import supervisor
from scrm.cli.inherited import LINE
from scrm.cli.supervisor import Child, Kind, Place
from scrm.errors import BadConfig
from scrm.web.serving import bound, listening
from tests import services
from tests.chaos.harness import ROOT
from tests.services import Cluster, free_port
from tests.web.office import Office, configured, hire

#: The embedded profile, and the scaled one.
ENGINES = ["sqlite", "postgresql"]
PATIENCE_S = 60.0


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not so():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.02)


# -- a crew of real processes --------------------------------------------------------------------------------
@dataclass
class Crew:
    """A supervised service, seen from outside."""

    process: Process
    port: int
    size: int
    #: Where its log goes.
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def children(self) -> set[int]:
        """Ids of the processes that serve, start or stop now."""
        return {p.pid for p in psutil.Process(self.process.pid).children() if p.is_running()}

    def said(self) -> str:
        return self.log.read_text("utf-8")

    async def renewed(self, times: int) -> None:
        done = f'"processes": {self.size}, "of": {self.size}, "event": "renewed"'
        await until(lambda: self.said().count(done) >= times)


@asynccontextmanager
async def crew(folder: Path, url: str, size: int, *command: str) -> AsyncIterator[Crew]:
    """`scrm serve --workers N`, ready; no process of it stays."""
    port, log = free_port(), folder / "crew.log"
    argv = command or ("serve", "--port", str(port), "--workers", str(size))
    env = {name: value for name, value in os.environ.items() if not name.startswith("SCRM_")}
    env |= {"SCRM_DATABASE_URL": url, "SCRM_DATA_DIR": str(folder / "var")}
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "scrm", *argv, stdout=out, stderr=out, env=env
        )
    found = Crew(process, port, size, log)
    try:
        await until(lambda: "\nready " in f"\n{found.said()}" or process.returncode is not None)
        assert process.returncode is None, found.said()
        yield found
    finally:
        family = [] if process.returncode is not None else psutil.Process(process.pid).children()
        if process.returncode is None:
            process.kill()
        await process.wait()
        for child in family:
            with suppress(psutil.NoSuchProcess):
                child.kill()


@dataclass
class Caller:
    """Asks again and again, each time over a connection of its own, and counts what came of it."""

    url: str
    answers: int = 0
    failures: list[str] = field(default_factory=list)
    stopping: bool = False

    async def run(self) -> None:
        connector = TCPConnector(force_close=True)
        async with ClientSession(connector=connector, timeout=ClientTimeout(total=20)) as http:
            while not self.stopping:
                try:
                    async with http.get(f"{self.url}/readyz") as answer:
                        await answer.read()
                        if answer.status == 200:
                            self.answers += 1
                        else:
                            self.failures.append(str(answer.status))
                except (ClientError, TimeoutError) as error:
                    self.failures.append(repr(error))

    async def more(self, count: int) -> None:
        enough = self.answers + count
        await until(lambda: self.answers >= enough)


@asynccontextmanager
async def calling(url: str, callers: int = 4) -> AsyncIterator[Caller]:
    """Continuous requests from several callers at once, from here to the end of the block."""
    caller = Caller(url)
    tasks = [asyncio.create_task(caller.run()) for _ in range(callers)]
    try:
        yield caller
    finally:
        caller.stopping = True
        await asyncio.gather(*tasks)


def size_on(engine_name: str) -> int:
    """SQLite takes one process."""
    return 1 if engine_name == "sqlite" else 3


async def test_renewing_every_process_three_times_fails_no_request(
    tmp_path: Path, service_url: str, engine_name: str
) -> None:
    size = size_on(engine_name)
    async with crew(tmp_path, service_url, size) as it:
        before = it.children()
        async with calling(it.url) as caller:
            for number in range(3):
                await caller.more(20)
                it.process.send_signal(signal.SIGHUP)
                await it.renewed(number + 1)
            await caller.more(20)
        after = it.children()

    assert caller.failures == []
    assert (len(before), len(after), before & after) == (size, size, set())


async def test_a_killed_process_comes_back_and_the_others_go_on(
    tmp_path: Path, service_url: str, engine_name: str
) -> None:
    size = size_on(engine_name)
    async with crew(tmp_path, service_url, size) as it:
        before = it.children()
        killed = min(before)
        async with calling(it.url) as caller:
            await caller.more(20)
            os.kill(killed, signal.SIGKILL)
            await caller.more(20)
            await until(lambda: '"process serves"' in it.said())
            await caller.more(20)
        after = it.children()

    # Only what the dead one had in hand is lost: at most one request of each caller.
    assert len(caller.failures) <= 4
    assert not any("refused" in failure.lower() for failure in caller.failures)
    assert (len(after), before - after) == (size, {killed})
    assert f'"pid": {killed}' in it.said()


async def test_sigterm_ends_all_of_them_well(tmp_path: Path, service_url: str, engine_name: str) -> None:
    async with crew(tmp_path, service_url, size_on(engine_name)) as it:
        children = it.children()
        it.process.terminate()
        async with asyncio.timeout(10):
            code = await it.process.wait()

    assert code == 0
    assert not any(map(psutil.pid_exists, children))
    assert "Traceback" not in it.said()
    assert "did not stop in time" not in it.said()


async def test_no_process_outlives_a_killed_supervisor(
    tmp_path: Path, service_url: str, engine_name: str
) -> None:
    async with crew(tmp_path, service_url, size_on(engine_name)) as it:
        children = it.children()
        os.kill(it.process.pid, signal.SIGKILL)
        await it.process.wait()
        await until(lambda: not any(map(psutil.pid_exists, children)))

        with socket.create_server(("127.0.0.1", it.port)):
            pass  # the port is free again


async def test_counters_hold_for_all_processes_and_outlive_a_renewal(
    tmp_path: Path, service_url: str, engine_name: str
) -> None:
    async with crew(tmp_path, service_url, size_on(engine_name)) as it, ClientSession() as http:
        async with calling(it.url) as caller:
            await caller.more(100)
        counted = [await scraped(http, it.url)]
        it.process.send_signal(signal.SIGHUP)
        await it.renewed(1)
        counted += [await scraped(http, it.url) for _ in range(2 * size_on(engine_name))]

    # Every answer but those of the scrapes before: whoever of them is asked.
    assert counted == [caller.answers + n for n in range(len(counted))]


async def scraped(http: ClientSession, url: str) -> float:
    """How many public requests were answered so far, as `/metrics` tells it over a new connection."""
    async with http.get(f"{url}/metrics", headers={"Connection": "close"}) as answer:
        text = await answer.text()
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    assert [s.labels for s in samples if s.name == "scrm_live_screens"] == [{}]
    assert not any("pid" in s.labels for s in samples)
    return sum(s.value for s in samples if s.name == "scrm_requests_total" and s.labels["status"] == "200")


@pytest.fixture
def scaled_url(cluster: Cluster) -> Iterator[str]:
    """For what only the scaled profile does: a migrated PostgreSQL."""
    url = cluster.new_database(services.migrated)
    yield url
    cluster.drop(url)


async def test_workers_without_web_say_ready_are_renewed_and_stop(tmp_path: Path, scaled_url: str) -> None:
    async with crew(tmp_path, scaled_url, 2, "worker", "--processes", "2") as it:
        said, children = it.said(), it.children()
        it.process.send_signal(signal.SIGHUP)
        await it.renewed(1)
        renewed = it.children()
        it.process.terminate()
        code = await asyncio.wait_for(it.process.wait(), PATIENCE_S)

    assert said.splitlines()[-1] == "ready worker"
    assert (len(children), len(renewed), children & renewed, code) == (2, 2, set(), 0)


async def ran(folder: Path, *argv: str, **more: str) -> tuple[int | None, str]:
    """A command that ends by itself: its code and what it said."""
    env = os.environ | {"SCRM_DATA_DIR": str(folder / "var")} | more
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scrm", *argv, stdout=PIPE, stderr=STDOUT, env=env
    )
    said, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, said.decode()


async def test_the_embedded_database_takes_no_worker_besides_the_service(tmp_path: Path) -> None:
    code, said = await ran(tmp_path, "worker")

    assert (code, "scrm serve" in said) == (2, True)


async def test_what_keeps_the_first_process_from_starting_ends_the_command(tmp_path: Path) -> None:
    argv = ("serve", "--port", str(free_port()), "--workers", "1")

    code, said = await ran(tmp_path, *argv, SCRM_MASTER_KEY="short")

    assert (code, "SCRM_MASTER_KEY" in said, "Traceback" in said) == (2, True, False)


@pytest.mark.parametrize("number", ["0", "-1", "two"])
async def test_a_number_of_processes_that_is_none_is_refused(tmp_path: Path, number: str) -> None:
    code, said = await ran(tmp_path, "serve", f"--workers={number}")

    assert (code, "--workers" in said) == (2, True)


async def test_a_socket_that_systemd_holds_is_taken_over(tmp_path: Path) -> None:
    handed = (
        "import os, sys; os.dup2(int(sys.argv.pop(1)), 3);"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
        "from scrm.cli import main; main()"
    )
    with socket.create_server(("127.0.0.1", 0)) as held:
        fd, port = held.fileno(), held.getsockname()[1]
        argv = (sys.executable, "-c", handed, str(fd), "--data-dir", str(tmp_path), "serve")
        process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, pass_fds=[fd])
        try:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
            # We hold the socket too: without a server a request would wait in its queue.
            assert line.decode().strip() == f"ready http://127.0.0.1:{port}"
            async with ClientSession() as http, http.get(f"http://127.0.0.1:{port}/healthz") as answer:
                assert answer.status == 200
        finally:
            process.terminate()
            await process.communicate()
    assert process.returncode == 0


# -- one place, with programs that misbehave ----------------------------------------------------------------
SERVES = f"""
import os, signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
line = socket.socket(fileno=int(os.environ[{LINE!r}]))
line.sendall(b"warm\\n")
line.recv(1)
line.sendall(b"ready\\n")
"""
WAITS = "while True: signal.pause()"


def kind(folder: Path, program: str, *, overlap: bool = True) -> Kind:
    """The program is read anew at each start, like a release; every start leaves a mark."""
    path = folder / "program.py"
    mark = f"open({str(folder / 'starts')!r}, 'a').write('x')\n"
    path.write_text(mark + program)
    argv = [sys.executable, str(path)]
    return Kind(argv=argv, env=os.environ, listener=None, overlap=overlap, ended=lambda _pid: None)


def starts(folder: Path) -> int:
    return len((folder / "starts").read_text())


@pytest.mark.parametrize("overlap", [True, False])
async def test_a_renewed_place_has_another_process(tmp_path: Path, overlap: bool) -> None:
    place = Place(kind(tmp_path, SERVES + WAITS, overlap=overlap))
    try:
        assert await place.fill() is None

        assert await place.renew()

        assert starts(tmp_path) == 2
    finally:
        await place.close()


@pytest.mark.parametrize("overlap", [True, False])
async def test_a_release_that_does_not_start_leaves_the_old_process_where_it_is(
    tmp_path: Path, overlap: bool
) -> None:
    place = Place(kind(tmp_path, SERVES + WAITS, overlap=overlap))
    keeping = asyncio.create_task(place.keep()) if await place.fill() is None else None
    assert keeping is not None
    try:
        kind(tmp_path, "raise SystemExit(3)")

        renewed = await place.renew()

        assert (renewed, keeping.done(), starts(tmp_path)) == (False, False, 2)
        kind(tmp_path, SERVES + WAITS)
        assert await place.renew()
    finally:
        keeping.cancel()
        await place.close()


async def test_a_process_that_dies_again_and_again_is_started_again_and_again_ever_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_PAUSE_S", 0.01)
    with capture_logs() as said:
        place = Place(kind(tmp_path, SERVES + "sys.exit(7)"))
        assert await place.fill() is None
        keeping = asyncio.create_task(place.keep())
        try:
            await until(lambda: starts(tmp_path) > 4)
        finally:
            keeping.cancel()
            await place.close()

    pauses = [line["again_in_s"] for line in said if line["event"] == "process ended"]
    assert {line["code"] for line in said if "code" in line} == {7}
    assert pauses[:3] == [0.01, 0.02, 0.04]


def test_the_pause_between_starts_has_an_end() -> None:
    pauses = [0.0]
    while len(pauses) < 12:
        pauses.append(supervisor._longer(pauses[-1]))  # noqa: SLF001 - a rule of its own

    assert (pauses[1], pauses[-1]) == (0.5, 30.0)


async def test_a_process_that_will_not_stop_is_made_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STOP_S", 0.2)
    deaf = SERVES + "signal.signal(signal.SIGTERM, signal.SIG_IGN); line.sendall(b'deaf')\n" + WAITS
    child = await Child.start(kind(tmp_path, deaf))
    assert await child.warm()
    assert await child.serves()
    assert await asyncio.get_running_loop().sock_recv(child.line, 4) == b"deaf"

    assert await child.end() == -signal.SIGKILL


async def test_a_process_whose_loop_hangs_ends_with_its_supervisor(tmp_path: Path) -> None:
    hangs = (
        "import time; from scrm.cli.inherited import line_to_supervisor\n"
        "line = line_to_supervisor(); line.wait_for_go(); line.ready(); time.sleep(600)"
    )
    given = kind(tmp_path, hangs)
    child = await Child.start(replace(given, env=os.environ | {"PYTHONPATH": str(ROOT)}))
    assert await child.warm()
    assert await child.serves()

    child.line.close()

    assert await asyncio.wait_for(child.gone(), PATIENCE_S) == 1


# -- coming --------------------------------------------------------------------------------------------------
def test_an_address_that_is_taken_leaves_no_socket_behind() -> None:
    with closing(bound("127.0.0.1", 0)) as taken, pytest.raises(BadConfig):
        bound("127.0.0.1", taken.getsockname()[1])

    gc.collect()  # a socket that nobody closed says so, and that is an error here


# -- leaving gently ------------------------------------------------------------------------------------------
def greeter() -> web.Application:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    return app


async def asked_while_stopping(linger_s: float) -> bytes:
    """What a caller hears who was connected before the stop and asks after it began."""

    stopping = asyncio.Event()

    async def begin(_app: web.Application) -> None:
        stopping.set()

    app = greeter()
    app.on_shutdown.append(begin)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(listening(app, "127.0.0.1", 0, linger_s=linger_s))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        leaving = asyncio.create_task(stack.aclose())
        await stopping.wait()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ConnectionError):
            await writer.drain()
        heard = b""
        with suppress(ConnectionError):
            heard = await reader.read()
        await leaving
        writer.close()
    return heard


async def test_who_is_connected_when_we_stop_gets_a_last_answer() -> None:
    heard = await asked_while_stopping(30)

    assert heard.startswith(b"HTTP/1.1 200")
    assert b"Connection: close" in heard
    assert heard.endswith(b"hello")


async def test_without_that_time_the_same_caller_is_cut_off() -> None:
    assert await asked_while_stopping(0) == b""


async def heard_at_the_door(turns: int) -> list[bytes]:
    """What callers hear who came in just before we stopped: so many turns of the loop before."""
    ours = bound("127.0.0.1", 0)
    # Of the whole service: a neighbour answers whom we did not take.
    behind = ours.dup()
    callers = []
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(listening(greeter(), "", 0, sock=ours, linger_s=PATIENCE_S))
        for _ in range(8):
            caller = socket.create_connection(("127.0.0.1", port))
            caller.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            callers.append(caller)
        for _ in range(turns):
            await asyncio.sleep(0)
    async with listening(greeter(), "", 0, sock=behind):
        return list(await asyncio.gather(*(asyncio.to_thread(_all_of, caller) for caller in callers)))


def _all_of(caller: socket.socket) -> bytes:
    caller.settimeout(PATIENCE_S)
    with closing(caller), caller.makefile("rb") as answer, suppress(ConnectionError):
        return answer.read()
    return b""


@pytest.mark.parametrize("turns", range(7))
async def test_who_comes_in_while_we_stop_is_answered_by_us_or_by_a_neighbour(turns: int) -> None:
    for heard in await heard_at_the_door(turns):
        assert heard.endswith(b"hello")


async def test_open_screens_are_let_go_when_we_stop(tmp_path: Path) -> None:
    async with (
        running(configured(tmp_path)) as service,
        ClientSession() as http,
        AsyncExitStack() as doors,
    ):
        port = await doors.enter_async_context(listening(service.app, "127.0.0.1", 0, linger_s=PATIENCE_S))
        desk = Office(service=service, url=f"http://127.0.0.1:{port}", http=http, keys={})
        await hire(desk)
        headers = {"Cookie": f"scrm={desk.sessions['rep']}", "Connection": "close"}
        async with http.get(f"{desk.url}/live", headers=headers) as screen:
            assert await screen.content.readline() == b"event: fresh\n"
            stopping = asyncio.create_task(doors.aclose())

            # A clean end; a stream that is cut off raises.
            assert await asyncio.wait_for(screen.content.read(), PATIENCE_S / 2) == b"data: {}\n\n"
            await stopping
