"""A real server that can be killed, a platform that keeps a ledger of what was acked, and one judge."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

from connectors.kit.codec import Codec
from connectors.kit.platform import xml

TOKEN, SECRET = "callbackToken", "app-secret"
AES_KEY = "q1Os1ZMe0nG28KUEx9lg3HjK7V5QyXvi212fzsgDqgW"
APP_ID, SLUG = "wx0123456789abcdef", "school-oa"
ROOT = Path(__file__).resolve().parents[2]
#: The real thing, as anybody starts it.
SCRM = ("-m", "scrm")
#: Longest wait for anything that must happen; a healthy run needs a fraction of it.
PATIENCE_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def until(so: Callable[[], bool], what: str) -> None:
    """Wait for a condition of this process."""
    deadline = time.monotonic() + PATIENCE_S
    while not so():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.005)


# -- the server --------------------------------------------------------------------------------------------
@dataclass
class Server:
    """One `scrm serve` on a folder of its own; `program` may be a deliberately wrong one."""

    folder: Path
    program: Sequence[str] = SCRM
    port: int = field(default_factory=free_port)
    #: Seconds from spawning to `ready`, one per start.
    starts: list[float] = field(default_factory=list)
    _process: Process | None = field(default=None, init=False)

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

    def configure(self, api_base: str) -> None:
        """One Official Account whose vendor is at `api_base`."""
        account = {
            "slug": SLUG,
            "channel": "wechat_oa",
            "name": "学堂",
            "app_id": APP_ID,
            "token": TOKEN,
            "aes_key": AES_KEY,
            "secret": SECRET,
            "api_base": api_base,
        }
        lines = [f"{name} = {json.dumps(value)}" for name, value in account.items()]
        text = "\n".join(["[[accounts]]", *lines, "max_age_s = 600", ""])
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "scrm.toml").write_text(text)

    async def start(self) -> None:
        began = time.monotonic()
        self._process = await self._spawn("serve", "--port", str(self.port))
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = await self._process.stdout.readline()
        assert line.startswith(b"ready "), (self.folder / "server.log").read_text()[-3000:]
        self.starts.append(time.monotonic() - began)

    async def kill(self) -> None:
        """`kill -9`: nothing is flushed, closed or said."""
        assert self._process is not None
        self._process.kill()
        await self._process.communicate()

    async def stop(self) -> float:
        """SIGTERM; the seconds it took to end well."""
        assert self._process is not None
        began = time.monotonic()
        self._process.terminate()
        async with asyncio.timeout(PATIENCE_S):
            await self._process.communicate()
        assert self._process.returncode == 0, (self.folder / "server.log").read_text()[-3000:]
        return time.monotonic() - began

    async def end(self) -> None:
        """Whatever happened before: no process stays."""
        if self._process is not None and self._process.returncode is None:
            await self.kill()

    async def new_token(self) -> str:
        """An admin machine's token, made by the command line."""
        process = await self._spawn("token", "create", "--role", "admin", program=SCRM)
        said, _ = await process.communicate()
        assert process.returncode == 0
        return said.decode().split()[-1]

    async def _spawn(self, *args: str, program: Sequence[str] = ()) -> Process:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(self.folder)}
        where = ("--config", "scrm.toml", "--data-dir", "data")
        with (self.folder / "server.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, *(program or self.program), *args, *where,
                cwd=self.folder, env=env, stdout=PIPE, stderr=log,
            )  # fmt: skip

    # -- what the file says while nobody has it open -------------------------------------------------------
    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as raw:
            return raw.execute(sql).fetchall()

    def outlive_leases(self) -> None:
        """As if the server had stayed away for longer than any lease: only then may anybody judge them."""
        with closing(sqlite3.connect(self.database)) as raw, raw:
            raw.execute("UPDATE outbox SET lease_until = lease_until - 3600000000")
            raw.execute("UPDATE due SET lease_until = lease_until - 3600000000")


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

    tried: dict[str, Word] = field(default_factory=dict)
    acked: set[str] = field(default_factory=set)
    #: Tries that got no answer or a bad one.
    failures: int = 0

    def save(self, path: Path) -> Path:
        tried = [asdict(w) | {"acked": w.text in self.acked} for w in self.tried.values()]
        path.write_text(json.dumps(tried, ensure_ascii=False, indent=0))
        return path


@dataclass
class Load:
    """Customers who never stop writing, over several connections; each try is sealed anew, three at most."""

    url: str
    rng: random.Random
    ledger: Ledger = field(default_factory=Ledger)
    lanes: int = 40
    clients: int = 12
    tries: int = 3
    retry_s: float = 0.4
    stopping: bool = False
    _serial: int = 0

    def __post_init__(self) -> None:
        self._codec = Codec(TOKEN, AES_KEY, frozenset({APP_ID}))
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
        async with ClientSession(timeout=ClientTimeout(total=5), trust_env=False) as http:
            while not self.stopping:
                # The platform's own workers overtake each other: delivered in any order.
                few = [self._next(rng) for _ in range(rng.randint(1, 5))]
                rng.shuffle(few)
                for word in few:
                    await self._deliver(http, word, rng)

    def _next(self, rng: random.Random) -> Word:
        self._serial += 1
        number = self._serial - (1 << 60)
        openid = f"o-customer-{rng.randrange(self.lanes):03d}"
        text = f"第 {number} 句：周末有试听课吗？"
        word = Word(msg_id=self._serial, openid=openid, at=int(time.time()), text=text)
        self.ledger.tried[text] = word
        return word

    async def _deliver(self, http: ClientSession, word: Word, rng: random.Random) -> None:
        for attempt in range(self.tries):
            if attempt:
                await asyncio.sleep(self.retry_s)
            query, body = self._sealed(word, rng)
            try:
                url = f"{self.url}/hooks/{SLUG}"
                async with http.post(url, params=query, data=body) as answer:
                    if answer.status == 200 and await answer.read() == b"success":
                        self.ledger.acked.add(word.text)
                        return
            except (ClientError, TimeoutError):
                pass
            self.ledger.failures += 1

    def _sealed(self, word: Word, rng: random.Random) -> tuple[Mapping[str, str], bytes]:
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
        encrypt = self._codec.encrypt(plain.encode(), receive_id=APP_ID, salt=rng.randbytes(16))
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
