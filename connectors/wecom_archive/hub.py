"""Which library an account speaks to: the native one in its child, or a simulator by HTTP."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from connectors.kit import api
from connectors.kit.errcodes import code_of, raise_for
from connectors.wecom_archive.native import Code
from connectors.wecom_archive.plug import Chunk, Library, Unusable
from connectors.wecom_archive.remote import remote
from scrm.contract import Context
from scrm.errors import NotSent, Unknown

#: The setting `library` of demo and tests: nothing native, the simulator at `api_base` does it.
SIMULATOR = "simulator"
_SDK = range(10000, 10012)


def library(ctx: Context) -> Library:
    """What pulls and opens for this account."""
    return _OverHttp(ctx) if ctx.account.get("library") == SIMULATOR else remote(ctx.account)


@dataclass(frozen=True, slots=True)
class _OverHttp:
    _ctx: Context

    async def pull(self, seq: int, limit: int) -> bytes:
        return base64.b64decode((await self._ask("pull", seq=seq, limit=limit))["data"])

    async def decrypt(self, key: bytes, message: bytes) -> bytes:
        asked = {"key": base64.b64encode(key).decode(), "message": message.decode("latin-1")}
        return base64.b64decode((await self._ask("decrypt", **asked))["data"])

    async def media(self, index: str, file_id: str) -> Chunk:
        found = await self._ask("media", index=index, file=file_id)
        return Chunk(
            data=base64.b64decode(found["data"]), index=str(found["index"]), last=bool(found["last"])
        )

    async def close(self) -> None:
        """Nothing is held."""

    async def _ask(self, what: str, **body: object) -> dict[str, Any]:
        url = f"{api.base(self._ctx.account, api.WECOM)}/cgi-bin/archive/{what}"
        login = {name: self._ctx.account.get(name) for name in ("corp_id", "secret")}
        try:
            answer = await self._ctx.http.json("POST", url, body=login | body, timeout_s=10.0)
        except Unknown as unclear:
            raise NotSent("会话存档没有给出明确答复，稍后自动重试。", code="unclear") from unclear
        code = code_of(answer)
        if code is not None and code in _SDK:
            raise Code(code)
        raise_for(answer, sent=False)
        if not isinstance(answer.get("data"), str):
            raise Unusable("the simulator's answer has no data")
        return answer
