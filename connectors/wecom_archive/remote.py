"""The native library behind a pipe: started when needed, killed when it hangs, restarted with a pause."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from weakref import WeakKeyDictionary

from connectors.wecom_archive import frames
from connectors.wecom_archive.frames import Head
from connectors.wecom_archive.native import Code
from connectors.wecom_archive.plug import Chunk, Unusable
from scrm.contract import Account
from scrm.errors import NotSent

#: Seconds: what the library may take for one call of the network, and when we stop waiting for it.
CALL_S, PATIENCE_S, OPEN_S, DECRYPT_S = 10, 20.0, 20.0, 5.0
#: After this many crashes on one message it is the message.
_POISON = 2
_PAUSES_S = (0.0, 1.0, 2.0, 5.0, 15.0, 60.0)
_IDLE_S = 900.0
_ROOT = str(Path(__file__).resolve().parents[2])
#: Nothing of ours: the environment of a server may hold its master key.
_PASSED = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE")

_SETTINGS = ("library", "corp_id", "secret", "proxy", "proxy_password")

_Answer = tuple[Head, bytes]
_Loop = asyncio.AbstractEventLoop
_REMOTES: WeakKeyDictionary[_Loop, dict[bytes, Remote]] = WeakKeyDictionary()


def remote(account: Account) -> Remote:
    """The one child of this process for this library and company."""
    settings = {name: account.get(name) for name in _SETTINGS}
    key = hashlib.sha256("\n".join(settings.values()).encode()).digest()
    mine = _REMOTES.setdefault(asyncio.get_running_loop(), {})
    if key not in mine:
        mine[key] = Remote(MappingProxyType(settings))
    return mine[key]


class Remote:
    """`plug.Library` in a process of its own. One request at a time; every one has its limit."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._losses = 0
        self._free_at = 0.0
        self._used_at = 0.0
        self._blamed: Counter[bytes] = Counter()

    @property
    def pid(self) -> int | None:
        """Of the child, while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def pull(self, seq: int, limit: int) -> bytes:
        head: Head = {"do": "pull", "seq": seq, "limit": limit, "timeout_s": CALL_S}
        return (await self._ask(head, b"", PATIENCE_S))[1]

    async def decrypt(self, key: bytes, message: bytes) -> bytes:
        """A message on which the library dies again and again is refused with `Code`, not tried for ever."""
        name = hashlib.sha256(message).digest()
        if self._blamed[name] >= _POISON:
            raise Code(10006)
        try:
            head: Head = {"do": "decrypt", "key": key.decode("latin-1")}
            return (await self._ask(head, message, DECRYPT_S, blame=name))[1]
        finally:
            if len(self._blamed) > 1000:
                self._blamed.clear()

    async def media(self, index: str, file_id: str) -> Chunk:
        head: Head = {"do": "media", "index": index, "file": file_id, "timeout_s": CALL_S}
        found, data = await self._ask(head, b"", PATIENCE_S)
        return Chunk(data=data, index=str(found.get("index", "")), last=bool(found.get("last")))

    async def close(self) -> None:
        async with self._turn:
            await self._end()

    async def _ask(self, head: Head, blob: bytes, limit_s: float, *, blame: bytes = b"") -> _Answer:
        async with self._turn:
            self._used_at = time.monotonic()
            process = await self._running()
            try:
                answer = await _exchange(process, head, blob, limit_s)
            except (TimeoutError, EOFError, OSError, ValueError) as lost:
                if blame:
                    self._blamed[blame] += 1
                raise await self._lost(lost) from lost
            except BaseException:
                await self._end()  # half an answer lies in the pipe: nobody can read on from there
                raise
            self._losses = 0
            return _good(answer)

    async def _running(self) -> Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        wait_s = self._free_at - time.monotonic()
        if wait_s > 0:
            raise NotSent("会话存档组件正在重启，稍后自动重试。", retry_after_s=wait_s, code="child")
        process = self._process = await _spawn()
        self._keeper = asyncio.create_task(self._keep(process), name="archive-child")
        try:
            _good(await _exchange(process, {"do": "open", **self._settings}, b"", OPEN_S))
        except (TimeoutError, EOFError, OSError, ValueError) as lost:
            raise await self._lost(lost) from lost
        except BaseException:
            await self._end()
            raise
        return process

    async def _keep(self, process: Process) -> None:
        """The child lives as long as it is used, and never longer than the loop that asks it."""
        try:
            while process.returncode is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_IDLE_S / 10):
                        await process.wait()
                if not self._turn.locked() and time.monotonic() - self._used_at > _IDLE_S:
                    return
        finally:
            await _killed(process)

    async def _lost(self, why: Exception) -> NotSent:
        self._losses += 1
        pause_s = _PAUSES_S[min(self._losses, len(_PAUSES_S)) - 1]
        self._free_at = time.monotonic() + pause_s
        await self._end()
        words = "没有及时答复" if isinstance(why, TimeoutError) else "意外退出"
        return NotSent(
            f"会话存档组件{words}，已重新启动，稍后自动重试。", retry_after_s=pause_s, code="child"
        )

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await _killed(process)
        if self._keeper is not None:
            await asyncio.wait([self._keeper])


def _good(answer: _Answer) -> _Answer:
    """Raises `Code` or `Unusable`: the child is well, the library said no."""
    head, _ = answer
    if "code" in head:
        raise Code(int(head["code"]))
    if "library" in head:
        raise Unusable(str(head["library"]))
    return answer


async def _spawn() -> Process:
    env = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "connectors.wecom_archive.child",
        stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True, cwd="/",
        env={**env, "PYTHONPATH": _ROOT, "PYTHONUTF8": "1"},
    )  # fmt: skip


async def _exchange(process: Process, head: Head, blob: bytes, limit_s: float) -> _Answer:
    if process.stdin is None or process.stdout is None:
        raise EOFError
    async with asyncio.timeout(limit_s):
        process.stdin.write(frames.packed(head, blob))
        await process.stdin.drain()
        length, rest = frames.sizes(await process.stdout.readexactly(frames.SIZES.size))
        written = frames.head_of(await process.stdout.readexactly(length))
        return written, await process.stdout.readexactly(rest)


async def _killed(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
    await process.wait()
