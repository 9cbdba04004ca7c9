"""The four things we ask of the archive library, whatever stands behind them; and what its codes mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from connectors.wecom_archive.native import Code
from scrm.errors import NotSent, Rejected, ScrmError


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a file, and where the next one begins."""

    data: bytes = field(repr=False)
    index: str
    last: bool


class Library(Protocol):
    """Every call may raise `NotSent` (the library is gone, again later), `Code` or `Unusable`."""

    async def pull(self, seq: int, limit: int) -> bytes:
        """At most `limit` sealed messages after `seq`, as the vendor's JSON."""
        ...

    async def decrypt(self, key: bytes, message: bytes) -> bytes:
        """One message opened, JSON."""
        ...

    async def media(self, index: str, file_id: str) -> Chunk:
        """The piece of a file that begins at `index`, "" = the first."""
        ...

    async def close(self) -> None: ...


class Unusable(Exception):
    """The library cannot be loaded here; says why in the loader's words."""


#: Return codes of the SDK (path 91774); only the first three are worth another try.
_AGAIN: Mapping[int, str] = MappingProxyType(
    {
        10001: "会话存档：网络不通，稍后自动重试。",
        10002: "会话存档：返回的数据无法解析，稍后自动重试。",
        10003: "会话存档：系统繁忙，稍后自动重试。",
    }
)
_NEVER: Mapping[int, str] = MappingProxyType(
    {
        10000: "会话存档：参数有误，请核对企业 ID、Secret 与代理设置。",
        10004: "会话存档：解密用的密钥有误。",
        10005: "会话存档：文件编号无效或文件已过期。",
        10006: "会话存档：内容无法解密。",
        10007: "会话存档：没有这个版本的密钥，请把对应版本的私钥加到账号设置里。",
        10008: "会话存档：随机密钥无法解开，请核对私钥与版本号是否对应。",
        10009: "会话存档：本机 IP 不在可信列表里，请到管理后台“会话内容存档”里加入服务器的出口 IP。",
        10010: "会话存档：数据已过期，平台只保留最近几天。",
        10011: "会话存档：证书有误，请检查服务器的系统时间与根证书。",
    }
)


def error_of(failed: Code | Unusable) -> ScrmError:
    """As everybody else knows errors: `NotSent` or `Rejected`, with a sentence."""
    if isinstance(failed, Unusable):
        return Rejected(f"无法加载会话存档组件：{_why(str(failed))}", code="library")
    code = str(failed.code)
    if failed.code in _AGAIN:
        return NotSent(_AGAIN[failed.code], retry_after_s=5.0, code=code)
    return Rejected(_NEVER.get(failed.code, f"会话存档：组件返回错误码 {failed.code}。"), code=code)


def _why(said: str) -> str:
    if "No such file" in said or "cannot open shared object" in said:
        return "文件不存在，或缺少它依赖的库，请核对 library 的路径。"
    if "wrong ELF class" in said or "invalid ELF header" in said or "cannot execute" in said:
        return "文件与本机的处理器架构不符，请下载对应架构的 SDK（x86 或 ARM）。"
    if "file too short" in said:
        return "文件不完整，请重新下载。"
    if "version `" in said:
        return "本机的系统库版本太旧，请换用另一个版本的 SDK，或升级系统。"
    if "AttributeError" in said or "undefined symbol" in said:
        return "文件不是会话存档 SDK，或版本不对。"
    return said
