"""A real server that can be killed, a platform that keeps a ledger of what was acked, and one judge."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from connectors.kit.codec import Codec
from connectors.kit.platform import xml
from tests.services import free_port

TOKEN, SECRET = "callbackToken", "app-secret"
AES_KEY = "q1Os1ZMe0nG28KUEx9lg3HjK7V5QyXvi212fzsgDqgW"
APP_ID, SLUG = "wx0123456789abcdef", "school-oa"
ROOT = Path(__file__).resolve().parents[2]
#: The real thing, as anybody starts it.
SCRM = ("-m", "scrm")
#: How a line begins that says a server takes connections.
READY = "ready http"
#: Longest wait for anything that must happen; a healthy run needs a fraction of it.
PATIENCE_S = 60.0
#: Nothing listens there: looking people up fails, which must not matter.
NOWHERE = "http://127.0.0.1:9"


def seed() -> int:
    """Of every random choice; SEED=... in the environment replays a run."""
    return int(os.environ.get("SEED", "20260302"))


async def until(so: Callable[[], bool], what: str) -> None:
    """Wait for a condition of this process."""
    deadline = time.monotonic() + PATIENCE_S
    while not so():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.005)


# -- the server --------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a server stands on: SQLite in its own folder, or services it shares with other processes."""

    database_url: str = ""
    redis_url: str = ""
    #: How the tests look into that database: past row-level security.
    owner_url: str = ""
    workers: int = 1

    @property
    def settings(self) -> dict[str, object]:
        given = {"database_url": self.database_url, "redis_url": self.redis_url}
        return {name: value for name, value in given.items() if value}

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--workers", str(self.workers)) if self.workers > 1 else ()


def account_of(slug: str, api_base: str, **more: object) -> dict[str, object]:
    """The settings of one Official Account whose vendor is at `api_base`."""
    return {
        "slug": slug,
        "channel": "wechat_oa",
        "name": "学堂",
        "app_id": APP_ID,
        "token": TOKEN,
        "aes_key": AES_KEY,
        "secret": SECRET,
        "api_base": api_base,
        "max_age_s": 600,
    } | more


@dataclass
class Server:
    """One `scrm serve` on a folder of its own; `program` may be a deliberately wrong one."""

    folder: Path
    program: Sequence[str] = SCRM
    profile: Profile = field(default_factory=Profile)
    #: Above the few variables every server gets.
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    #: Seconds from spawning to `ready`, one per start.
    starts: list[float] = field(default_factory=list)
    _process: Process | None = field(default=None, init=False)

    @property
    def command(self) -> Sequence[str]:
        return ("serve", "--port", str(self.port), *self.profile.flags)

    @property
    def ready(self) -> str:
        """How the line begins that says it goes."""
        return READY

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        return self.folder / "data" / "scrm.db"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def configure(self, *accounts: str | Mapping[str, object], **settings: object) -> None:
        """Official Accounts, each by its settings or by its vendor's address alone; and other settings."""
        given = self.profile.settings | settings
        lines = [f"{name} = {json.dumps(value)}" for name, value in given.items()]
        for one in accounts:
            account = account_of(SLUG, one) if isinstance(one, str) else one
            lines += ["[[accounts]]", *(f"{name} = {json.dumps(value)}" for name, value in account.items())]
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "scrm.toml").write_text("\n".join([*lines, ""]))

    async def start(self) -> None:
        """Ready when it says so; whatever it says goes to `server.log`, a pipe would fill up."""
        began, before = time.monotonic(), self.said().count(self.ready)
        process = self._process = await self._spawn(*self.command)
        await until(
            lambda: self.said().count(self.ready) > before or process.returncode is not None,
            "a ready server",
        )
        assert process.returncode is None, self.said()[-3000:]
        self.starts.append(time.monotonic() - began)

    async def kill(self) -> None:
        """`kill -9` of every process: nothing is flushed, closed or said."""
        assert self._process is not None
        children = self.children()
        self._process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        await self._process.wait()

    async def stop(self) -> float:
        """SIGTERM; the seconds it took to end well."""
        assert self._process is not None
        began = time.monotonic()
        self._process.terminate()
        async with asyncio.timeout(PATIENCE_S):
            await self._process.wait()
        assert self._process.returncode == 0, self.said()[-3000:]
        return time.monotonic() - began

    async def died(self) -> int:
        """Wait until it ends by itself; its exit status."""
        assert self._process is not None
        async with asyncio.timeout(PATIENCE_S):
            return await self._process.wait()

    async def end(self) -> None:
        """Whatever happened before: no process stays."""
        if self._process is not None and self._process.returncode is None:
            await self.kill()

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def children(self) -> list[psutil.Process]:
        """The processes under a supervisor; none where one process does it all."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def said(self) -> str:
        """Everything it said so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    async def new_token(self) -> str:
        """An admin machine's token, made by the command line."""
        process = await self._spawn("token", "create", "--role", "admin", program=SCRM, stdout=PIPE)
        said, _ = await process.communicate()
        assert process.returncode == 0, self.said()[-3000:]
        return said.decode().split()[-1]

    async def _spawn(self, *args: str, program: Sequence[str] = (), stdout: int | None = None) -> Process:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(self.folder)}
        env["SCRM_RESERVE_MB"] = "0"  # tests of a full disk lay their own limits
        where = ("--config", "scrm.toml", "--data-dir", "data")
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, *(program or self.program), *args, *where,
                cwd=self.folder, env={**env, **({} if program else self.env)},
                stdout=stdout or log, stderr=log,
            )  # fmt: skip

    # -- what the database says behind the server's back ---------------------------------------------------
    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        if self.profile.owner_url:
            with ThreadPoolExecutor(1) as aside:  # asyncpg needs a loop of its own
                return aside.submit(asyncio.run, self._asked(sql)).result()
        with closing(sqlite3.connect(self.database)) as raw, raw:
            return raw.execute(sql).fetchall()

    def spooled(self) -> int:
        """Rows this host still keeps because the database was slow for a moment: on their way."""
        spool = Path(self.database).with_name("spool.db")
        if not spool.exists():
            return 0
        with closing(sqlite3.connect(spool)) as raw:
            return int(raw.execute("SELECT count(*) FROM inbox WHERE state = 'new'").fetchone()[0])

    async def _asked(self, sql: str) -> list[tuple[Any, ...]]:
        conn = await asyncpg.connect(self.profile.owner_url, timeout=10, command_timeout=30)
        try:
            return [tuple(row) for row in await conn.fetch(sql)]
        finally:
            await conn.close(timeout=5)

    def outlive_leases(self) -> None:
        """As if the server had stayed away for longer than any lease: only then may anybody judge them."""
        for table in ("outbox", "due"):
            self.rows(f"UPDATE {table} SET lease_until = lease_until - 3600000000")

    def intact(self) -> bool:
        """Whether the engine itself finds nothing broken."""
        return bool(self.profile.owner_url) or self.rows("PRAGMA integrity_check") == [("ok",)]


@dataclass
class Web(Server):
    """Processes that only take in and show."""

    @property
    def command(self) -> Sequence[str]:
        return (*super().command, "--no-work")


@dataclass
class Workers(Server):
    """Processes that only work and send, beside a `Web` in the same folder."""

    @property
    def command(self) -> Sequence[str]:
        return ("worker", "--processes", str(self.profile.workers))

    @property
    def ready(self) -> str:
        return "ready worker"

    @property
    def log(self) -> Path:
        return self.folder / "worker.log"


# -- the API -----------------------------------------------------------------------------------------------
@dataclass
class Api:
    """The JSON API with an admin machine's token."""

    url: str
    token: str
    http: ClientSession

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        async with self.http.get(f"{self.url}/api/v1/{path}", params=query, headers=self._headers) as answer:
            assert answer.status == 200, await answer.text()
            body: dict[str, Any] = await answer.json()
            return body

    async def all(self, path: str, **query: str) -> list[dict[str, Any]]:
        """Every item over all pages."""
        found: list[dict[str, Any]] = []
        page = await self.get(path, limit="200", **query)
        while True:
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            page = await self.get(path, limit="200", cursor=page["next_cursor"], **query)

    async def post(self, path: str, body: object, key: str) -> tuple[int, dict[str, Any]]:
        """The same `key`, any text, asks for the same thing again."""
        headers = self._headers | {"Idempotency-Key": sha256(key.encode()).hexdigest()}
        async with self.http.post(f"{self.url}/api/v1/{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def until(self, so: Callable[[], Any], what: str) -> Any:
        """The first true answer of an asynchronous question."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := await so()):
            assert time.monotonic() < deadline, f"waited in vain: {what}"
            await asyncio.sleep(0.03)
        return found

    async def drained(self) -> None:
        """Nothing waits in the inbox, and nothing is on its way out."""
        deadline = time.monotonic() + PATIENCE_S
        while waiting := await self._waiting():
            assert time.monotonic() < deadline, f"the queues do not run empty: {waiting}"
            await asyncio.sleep(0.03)

    async def _waiting(self) -> list[object]:
        counts = (await self.get("inbox", limit="1"))["counts"]
        pushes = [await self.get("pushes", limit="1", state=s) for s in ("queued", "sending", "retry")]
        found: list[object] = [counts] if counts["new"] or counts["settled"] else []
        return found + [item for page in pushes for item in page["items"]]

    async def timelines(self) -> dict[str, list[str]]:
        """What each customer said, oldest first, as the API tells it person by person."""
        found: dict[str, list[str]] = {}
        for person in await self.all("persons"):
            openid = next(n["value"] for n in person["nodes"] if n["kind"] == "wechat_openid")
            events = await self.all(f"persons/{person['id']}/timeline")
            found[openid] = [e["text"] for e in reversed(events) if e["direction"] == "in"]
        return found


# -- the platform ------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One message of one customer; `msg_id` is the vendor's order within a second."""

    msg_id: int
    openid: str
    at: int
    text: str


@dataclass
class Ledger:
    """What the platform knows: everything it tried to deliver, and what we took responsibility for."""

    tried: dict[str, Word] = field(default_factory=dict, repr=False)
    acked: set[str] = field(default_factory=set, repr=False)
    #: Why tries got no ack: a status, or what went wrong with the connection.
    refusals: Counter[str] = field(default_factory=Counter)
    #: How long each acked try took.
    waits_s: list[float] = field(default_factory=list, repr=False)

    @property
    def failures(self) -> int:
        """Tries that got no answer or a bad one."""
        return self.refusals.total()

    def p99_ms(self, since: int = 0) -> float:
        """Of the acks after the first `since` ones."""
        waits = sorted(self.waits_s[since:])
        return waits[int(len(waits) * 0.99)] * 1000

    def save(self, path: Path) -> Path:
        tried = [asdict(w) | {"acked": w.text in self.acked} for w in self.tried.values()]
        path.write_text(json.dumps(tried, ensure_ascii=False, indent=0))
        return path


@dataclass
class Load:
    """Customers who never stop writing, over several connections; each try is sealed anew, three at most."""

    url: str
    rng: random.Random
    slug: str = SLUG
    app_id: str = APP_ID
    ledger: Ledger = field(default_factory=Ledger)
    lanes: int = 40
    clients: int = 12
    tries: int = 3
    retry_s: float = 0.4
    #: Each try over a connection of its own, as most platforms do; it meets the listening socket each time.
    fresh: bool = False
    #: Seconds a client rests between two words.
    rest_s: float = 0.0
    stopping: bool = False
    _serial: int = 0

    def __post_init__(self) -> None:
        self._codec = Codec(TOKEN, AES_KEY, frozenset({self.app_id}))
        self._serial = 1 << 60

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self.clients):
                group.create_task(self._client(random.Random(self.rng.getrandbits(64))))

    async def more(self, count: int) -> None:
        """Wait for so many more acks."""
        enough = len(self.ledger.acked) + count
        await until(lambda: len(self.ledger.acked) >= enough, f"{count} more acks")

    async def _client(self, rng: random.Random) -> None:
        own = TCPConnector(force_close=self.fresh)
        async with ClientSession(connector=own, timeout=ClientTimeout(total=5), trust_env=False) as http:
            while not self.stopping:
                # The platform's own workers overtake each other: delivered in any order.
                few = [self.next(rng) for _ in range(rng.randint(1, 5))]
                rng.shuffle(few)
                for word in few:
                    await self._deliver(http, word, rng)
                    await asyncio.sleep(self.rest_s)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        """Under way from here on; at the end each client finishes what it has in hand."""
        task = asyncio.create_task(self.run())
        try:
            yield self
        finally:
            self.stopping = True
            await task

    def next(self, rng: random.Random) -> Word:
        """A new word of some customer, on the ledger as tried."""
        self._serial += 1
        number = self._serial - (1 << 60)
        openid = f"o-{self.slug}-{rng.randrange(self.lanes):03d}"
        text = f"第 {number} 句（{self.slug}）：周末有试听课吗？"
        word = Word(msg_id=self._serial, openid=openid, at=int(time.time()), text=text)
        self.ledger.tried[text] = word
        return word

    async def _deliver(self, http: ClientSession, word: Word, rng: random.Random) -> None:
        for attempt in range(self.tries):
            if attempt:
                await asyncio.sleep(self.retry_s)
            query, body = self.sealed(word, rng)
            began = time.monotonic()
            try:
                url = f"{self.url}/hooks/{self.slug}"
                async with http.post(url, params=query, data=body) as answer:
                    if answer.status == 200 and await answer.read() == b"success":
                        self.ledger.acked.add(word.text)
                        self.ledger.waits_s.append(time.monotonic() - began)
                        return
                    why = str(answer.status)
            except (ClientError, TimeoutError) as error:
                why = type(error).__name__
            self.ledger.refusals[why] += 1

    def sealed(self, word: Word, rng: random.Random) -> tuple[Mapping[str, str], bytes]:
        """Query and body of its callback, signed now."""
        plain = xml(
            {
                "ToUserName": "gh_school",
                "FromUserName": word.openid,
                "CreateTime": word.at,
                "MsgType": "text",
                "Content": word.text,
                "MsgId": word.msg_id,
            }
        )
        encrypt = self._codec.encrypt(plain.encode(), receive_id=self.app_id, salt=rng.randbytes(16))
        stamp, nonce = str(int(time.time())), str(rng.getrandbits(32))
        signature = self._codec.signature(stamp, nonce, encrypt)
        query = {"msg_signature": signature, "timestamp": stamp, "nonce": nonce, "encrypt_type": "aes"}
        return query, xml({"ToUserName": "gh_school", "Encrypt": encrypt}).encode()


# -- the judge ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Texts, by what is wrong with them; all empty = the promise was kept."""

    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    #: On a timeline although nobody said it, or on somebody else's.
    strange: tuple[str, ...] = ()
    #: Shown before something that the vendor put in front of it.
    misplaced: tuple[str, ...] = ()


def judge(ledger: Ledger, timelines: Mapping[str, Sequence[str]]) -> Findings:
    """The ledger against what the customers' timelines show, oldest first."""
    shown = Counter(text for texts in timelines.values() for text in texts)
    strange, misplaced = [], []
    for openid, texts in timelines.items():
        words = [ledger.tried.get(text) for text in texts]
        strange += [t for t, w in zip(texts, words, strict=True) if w is None or w.openid != openid]
        known = [w for w in words if w is not None]
        misplaced += [b.text for a, b in pairwise(known) if (b.at, b.msg_id) < (a.at, a.msg_id)]
    return Findings(
        lost=tuple(sorted(ledger.acked - shown.keys())),
        doubled=tuple(t for t, n in shown.items() if n > 1),
        strange=tuple(strange),
        misplaced=tuple(misplaced),
    )


async def verdict(server: Server, load: Load, http: ClientSession) -> tuple[Findings, int]:
    """What the timelines show once everything is worked off, and how many words they hold."""
    api = Api(server.url, await server.new_token(), http)
    deadline = time.monotonic() + PATIENCE_S
    while server.spooled():
        assert time.monotonic() < deadline, "the spool does not run empty"
        await asyncio.sleep(0.05)
    await api.drained()
    timelines = await api.timelines()
    return judge(load.ledger, timelines), sum(map(len, timelines.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sendings:
    """What went wrong on the way out; all empty = the promise was kept."""

    twice: tuple[str, ...] = ()
    #: Recorded as sent, but the phone never got it.
    missing: tuple[str, ...] = ()
    #: On the phone although our record says it went nowhere.
    denied: tuple[str, ...] = ()
    #: Promised to the rep (201), but no row knows of it.
    forgotten: tuple[str, ...] = ()


def judge_sendings(
    promised: Sequence[str], states: Mapping[str, Sequence[str]], phones: Counter[str]
) -> Sendings:
    """`states`: what our outbox says about each text; `phones`: how often each text arrived."""
    certain = {t for t, found in states.items() if "sent" in found}
    doubtful = {t for t, found in states.items() if "unknown" in found}
    doubled_rows = {t for t, found in states.items() if len(found) > 1}
    return Sendings(
        twice=tuple(sorted(doubled_rows | {t for t, n in phones.items() if n > 1})),
        missing=tuple(sorted(certain - phones.keys())),
        denied=tuple(sorted(phones.keys() - certain - doubtful)),
        forgotten=tuple(sorted(set(promised) - states.keys())),
    )


async def states_of_pushes(api: Api) -> dict[str, list[str]]:
    """State of every push by its text."""
    events = {e["id"]: e["text"] for e in await api.all("events", account=SLUG) if e["direction"] == "out"}
    states: dict[str, list[str]] = defaultdict(list)
    for push in await api.all("pushes"):
        states[events[push["event_id"]]].append(push["state"])
    return dict(states)
