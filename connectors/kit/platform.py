"""What every simulated platform does: tokens, uploads, encrypted callbacks - and the customers' phones."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from connectors.kit.codec import Codec
from connectors.kit.world import Outlet, World
from scrm.contract import Account

Shape = Literal["xml", "json"]
Answer = Mapping[str, Any] | web.Response

ATTEMPTS = 3
CALLBACK_TIMEOUT_S = 5.0
VERIFY_TIMEOUT_S = 1.0
TOKEN_LIFETIME_S = 7200
MEDIA_LIFETIME_S = 3 * 86400
KEPT_DELIVERIES = 50_000
MEDIA_KINDS = ("image", "voice", "video", "file", "thumb")
#: Said by the id of what was uploaded.
_NAMED = ("image", "voice", "video", "file")
#: These hand out tokens, so they need none.
OPEN = frozenset({"gettoken", "token", "stable_token"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    name: str
    mime: str
    content: bytes = field(repr=False)
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One call to the platform's API."""

    query: Mapping[str, str]
    body: Mapping[str, Any]
    upload: Upload | None = None

    def text(self, name: str) -> str:
        """A text field of the body. Raises `Fault` 40058 when it is missing or something else."""
        value = self.body.get(name)
        if not isinstance(value, str) or not value:
            raise Fault(40058, f"missing or bad parameter: {name}")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One sealed callback, ready to be posted."""

    plain: bytes
    shape: Shape
    receive_id: str
    extra: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of one callback; `status` 0 = no answer."""

    letter: Letter
    attempts: int
    status: int
    acked: bool


class Fault(Exception):
    """An errcode inside a 200."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Grants:
    """The access tokens a platform has handed out."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._until: dict[str, float] = {}
        self._current: dict[str, str] = {}
        #: Every token is refused from now on, new ones too.
        self.broken = False

    def issue(self, kind: str, *, early_s: float = 0, fresh: bool = False) -> dict[str, Any]:
        """The current token, or a new one when it has at most `early_s` left; `fresh` kills the old one."""
        now, token = self._world.time(), self._current.get(kind, "")
        if token and fresh:
            self._until[token] = 0
        if not token or self._until[token] - now <= early_s:
            token = self._current[kind] = self._world.secret()
            self._until[token] = now + TOKEN_LIFETIME_S
        return {"access_token": token, "expires_in": int(self._until[token] - now)}

    def check(self, token: str) -> None:
        if token not in self._until:
            raise Fault(40014, "invalid access_token")
        if self.broken or self._until[token] <= self._world.time():
            raise Fault(42001, "access_token expired")

    def expire(self, *, forever: bool = False) -> None:
        self._until = dict.fromkeys(self._until, 0.0)
        self.broken = forever


class Platform(Outlet):
    """One account as the vendor runs it. `calls`, `deliveries` and `media` are open for tests to read."""

    def __init__(self, world: World, account: Account, hooks_url: str, *, receive_id: str) -> None:
        self.world = world
        self.account = account
        self.channel = account.channel
        self.hooks_url = hooks_url
        self.receive_id = receive_id
        self.codec = Codec(account.get("token"), account.get("aes_key"), frozenset({receive_id}))
        self.grants = Grants(world)
        self.calls: Counter[str] = Counter()
        self.deliveries: list[Delivery] = []
        self.media: dict[str, Upload] = {}
        #: Pause between attempts of one callback.
        self.retry_s = 0.5
        self.apis: dict[str, Callable[[Ask], Answer]] = {
            "media/upload": self._upload,
            "media/get": self._download,
            "getcallbackip": lambda _: {"ip_list": ["127.0.0.1"]},
        }
        self._faults: dict[str, list[int]] = defaultdict(list)
        self._tasks: set[asyncio.Task[object]] = set()
        self._session: ClientSession | None = None

    # ------------------------------------------------------------ controls for tests and the demo

    def expire_tokens(self, *, forever: bool = False) -> None:
        """Every token answers 42001; with `forever` the ones handed out later do, too."""
        self.grants.expire(forever=forever)

    def fail(self, path: str, *errcodes: int) -> None:
        """The next calls of `path` answer these errcodes, one each."""
        self._faults[path].extend(errcodes)

    async def verify_url(self) -> bool:
        """Ask our URL to prove itself, as saving it in the admin console does."""
        query, expected = self.challenge()
        return await self._ask_us("GET", query, b"", VERIFY_TIMEOUT_S) == (200, expected.encode())

    async def resend(self, last: int = 1, times: int = 1, *, fresh_signature: bool = True) -> list[int]:
        """Post the last callbacks again, all at once; returns the statuses, 0 = no answer."""
        letters = [delivery.letter for delivery in self.deliveries[-last:]] * times
        if fresh_signature:
            letters = [self.seal(x.plain, x.shape, x.receive_id, x.extra) for x in letters]
        return [status for status, _ in await asyncio.gather(*map(self._post, letters))]

    # ------------------------------------------------------------ callbacks

    async def callback(
        self,
        plain: str,
        *,
        shape: Shape = "xml",
        receive_id: str = "",
        extra: Mapping[str, str] | None = None,
    ) -> bool:
        """Tell us; up to three attempts, each newly sealed. True when we acknowledged."""
        status, acked, attempts = 0, False, 0
        while not acked and attempts < ATTEMPTS:
            if attempts:
                await asyncio.sleep(self.retry_s)
            attempts += 1
            letter = self.seal(plain.encode(), shape, receive_id or self.receive_id, extra or {})
            status, answer = await self._post(letter)
            acked = self.accepts(status, answer)
        self.deliveries.append(Delivery(letter=letter, attempts=attempts, status=status, acked=acked))
        del self.deliveries[:-KEPT_DELIVERIES]
        return acked

    def accepts(self, status: int, answer: bytes) -> bool:
        """Whether this answer to a callback counts; WeCom looks at the status only."""
        del answer
        return status == 200

    def challenge(self) -> tuple[Mapping[str, str], str]:
        """The query of a URL verification and the body we must answer."""
        plain = str(self.world.serial())
        encrypt = self.encrypt(plain.encode(), self.receive_id)
        return {**self.sign(encrypt), "echostr": encrypt}, plain

    def seal(self, plain: bytes, shape: Shape, receive_id: str, extra: Mapping[str, str]) -> Letter:
        encrypt = self.encrypt(plain, receive_id)
        envelope = {"ToUserName": receive_id, "AgentID": self.account.get("agent_id"), "Encrypt": encrypt}
        body = json.dumps(envelope) if shape == "json" else xml(envelope)
        query = {**self.sign(encrypt), **extra}
        return Letter(
            plain=plain, shape=shape, receive_id=receive_id, extra=extra, query=query, body=body.encode()
        )

    def encrypt(self, plain: bytes, receive_id: str) -> str:
        return self.codec.encrypt(plain, receive_id=receive_id, salt=self.world.rng.randbytes(16))

    def sign(self, encrypt: str) -> dict[str, str]:
        stamp, nonce = str(int(self.world.time())), f"{self.world.rng.getrandbits(32):010d}"
        signature = self.codec.signature(stamp, nonce, encrypt)
        return {"msg_signature": signature, "timestamp": stamp, "nonce": nonce}

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Do this in the background, at the latest until the simulator stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post(self, letter: Letter) -> tuple[int, bytes]:
        return await self._ask_us("POST", letter.query, letter.body, CALLBACK_TIMEOUT_S)

    async def _ask_us(
        self, method: str, query: Mapping[str, str], body: bytes, timeout_s: float
    ) -> tuple[int, bytes]:
        if self._session is None:
            raise RuntimeError("the simulator is not running")
        kind = "application/json" if body.startswith(b"{") else "text/xml"
        try:
            async with self._session.request(
                method,
                self.hooks_url,
                params=query,
                data=body or None,
                headers={"Content-Type": kind},
                timeout=ClientTimeout(total=timeout_s),
                allow_redirects=False,
            ) as answer:
                return answer.status, await answer.read()
        except (ClientError, TimeoutError):
            return 0, b""

    # ------------------------------------------------------------ the API

    def app(self) -> web.Application:
        """The server of this platform; it is part of the world while it runs."""
        app = web.Application(client_max_size=12 * 1024 * 1024)
        app[PLATFORM] = self
        app.router.add_route("*", "/cgi-bin/{path:.+}", self._serve)
        app.cleanup_ctx.append(self._run)
        return app

    async def _run(self, app: web.Application) -> AsyncIterator[None]:
        del app
        async with ClientSession(trust_env=False) as self._session:
            self.world.outlets[self.account.slug] = self
            yield
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        self.calls[path] += 1
        try:
            answer = self._handle(path, await self._read(request))
        except Fault as fault:
            answer = {"errcode": fault.code, "errmsg": f"{fault}, hint: [{self.world.serial()}]"}
        if isinstance(answer, web.Response):
            return answer
        return web.json_response({"errcode": 0, "errmsg": "ok", **answer})

    def _handle(self, path: str, ask: Ask) -> Answer:
        if path not in self.apis:
            raise Fault(40066, "invalid url")
        if path not in OPEN:
            self.grants.check(ask.query.get("access_token", ""))
        if self._faults[path]:
            raise Fault(self._faults[path].pop(0), "scripted fault")
        return self.apis[path](ask)

    async def _read(self, request: web.Request) -> Ask:
        if request.content_type.startswith("multipart/"):
            part = (await request.post()).get("media")
            if not isinstance(part, web.FileField):
                raise Fault(41005, "missing multimedia file data")
            content = part.file.read()
            upload = Upload(name=part.filename, mime=part.content_type, content=content, at=self.world.time())
            return Ask(query=request.query, body={}, upload=upload)
        try:
            body = json.loads(await request.read() or b"{}")
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Fault(47001, "data format error")
        return Ask(query=request.query, body=body)

    def _upload(self, ask: Ask) -> Answer:
        kind = ask.query.get("type", "")
        if kind not in MEDIA_KINDS:
            raise Fault(40004, "invalid media type")
        if ask.upload is None or len(ask.upload.content) < 6:
            raise Fault(40006, "invalid media size")
        media_id = "3" + self.world.secret()
        self.media[media_id] = ask.upload
        return {"type": kind, "media_id": media_id, "created_at": str(int(ask.upload.at))}

    def _download(self, ask: Ask) -> Answer:
        stored = self.find_media(ask.query.get("media_id", ""))
        named = {
            "Content-Disposition": f'attachment; filename="{re.sub(r"[^0-9A-Za-z._-]", "_", stored.name)}"'
        }
        return web.Response(body=stored.content, content_type=stored.mime, headers=named)

    def find_media(self, media_id: object) -> Upload:
        """Raises `Fault` 40007 for an unknown or outdated id."""
        stored = self.media.get(media_id) if isinstance(media_id, str) else None
        if stored is None or self.world.time() - stored.at > MEDIA_LIFETIME_S:
            raise Fault(40007, "invalid media_id")
        return stored

    def read_message(self, body: Mapping[str, Any], limit: int) -> tuple[str, str]:
        """(text, kind) of an outgoing message of at most `limit` bytes; files must have been uploaded."""
        kind = body.get("msgtype")
        part = body.get(kind) if isinstance(kind, str) else None
        if not isinstance(kind, str) or not isinstance(part, dict):
            raise Fault(40008, "invalid message type")
        if kind in _NAMED:
            return self.find_media(part.get("media_id")).name, kind
        content = part.get("content")
        if kind != "text" or not isinstance(content, str) or not content:
            raise Fault(40008, "invalid message type")
        if len(content.encode()) > limit:
            raise Fault(45002, "content size out of limit")
        return content, kind


PLATFORM: web.AppKey[Platform] = web.AppKey("platform", Platform)


def issue_corp_token(platform: Platform, ask: Ask) -> Answer:
    """`cgi-bin/gettoken` of WeCom: the same token as long as it lives."""
    account = platform.account
    if ask.query.get("corpid") != account.get("corp_id"):
        raise Fault(40013, "invalid corpid")
    if ask.query.get("corpsecret") != account.get("secret"):
        raise Fault(40001, "invalid credential")
    return platform.grants.issue("corp")


def xml(fields: Mapping[str, Any], root: str = "xml") -> str:
    """Tencent's way of writing it: text in CDATA, numbers bare, lists as repeated elements."""
    return f"<{root}>{''.join(_element(name, value) for name, value in fields.items())}</{root}>"


def _element(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        return xml(value, name)
    if isinstance(value, list | tuple):
        return "".join(_element(name, item) for item in value)
    if isinstance(value, int):
        return f"<{name}>{value}</{name}>"
    # XML has no way to carry control characters; a phone cannot type them either.
    clean = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", str(value))
    return f"<{name}><![CDATA[{clean.replace(']]>', ']]]]><![CDATA[>')}]]></{name}>"
