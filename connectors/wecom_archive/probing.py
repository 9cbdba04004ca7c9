"""The set-up self-test: keys, library, login, address - one sentence each."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

from connectors.wecom_archive import keys
from connectors.wecom_archive.hub import SIMULATOR
from connectors.wecom_archive.stream import versions
from scrm.contract import Context, Finding, Severity
from scrm.errors import NotSent, Rejected


async def probe(ctx: Context) -> Sequence[Finding]:
    """Asks for the first message without opening or keeping it."""
    found = [_keys(ctx), _file(ctx)]
    if any(one.severity is Severity.ERROR for one in found):
        return found
    try:
        used = await versions(ctx)
    except (NotSent, Rejected) as failed:
        return [*found, Finding(severity=Severity.ERROR, sentence=failed.sentence)]
    found.append(Finding(severity=Severity.OK, sentence="会话存档可以拉取：组件、Secret 与 IP 都正常。"))
    for version in sorted(used - keys.parsed(ctx.account.get("private_keys")).keys()):
        sentence = f"平台上有用版本 {version} 的公钥加密的消息，但账号设置里没有这个版本的私钥，请补上。"
        found.append(Finding(severity=Severity.ERROR, sentence=sentence))
    return found


def _keys(ctx: Context) -> Finding:
    try:
        known = keys.parsed(ctx.account.get("private_keys"))
    except Rejected as bad:
        return Finding(severity=Severity.ERROR, sentence=bad.sentence)
    versions = "、".join(str(version) for version in sorted(known))
    return Finding(
        severity=Severity.OK,
        sentence=f"已有版本 {versions} 的私钥；换过密钥的企业要保留全部旧私钥。",
    )


def _file(ctx: Context) -> Finding:
    path = ctx.account.get("library")
    if path == SIMULATOR:
        return Finding(severity=Severity.OK, sentence="会话存档组件：使用模拟器。")
    if not Path(path).is_file():
        sentence = f"会话存档组件不存在：{path}。请从企业微信下载 SDK，并填写 .so 文件的绝对路径。"
        return Finding(severity=Severity.ERROR, sentence=sentence)
    if wrong := _unfit(Path(path)):
        return Finding(severity=Severity.ERROR, sentence=wrong)
    return Finding(severity=Severity.OK, sentence=f"会话存档组件：{path}。")


def _unfit(path: Path) -> str:
    """The loader calls a library for another processor "not found", so the header is read here."""
    with path.open("rb") as file:
        head = file.read(20)
    if len(head) < 20 or not head.startswith(b"\x7fELF"):
        return "会话存档组件不是 Linux 的 .so 文件，或没有下载完整，请重新下载。"
    machine = _MACHINES.get(int.from_bytes(head[18:20], "little"), "?")
    if machine != platform.machine():
        here = platform.machine()
        return f"会话存档组件是 {machine} 架构的，本机是 {here}：请下载对应架构的 SDK（x86 或 ARM）。"
    return ""


#: e_machine of an ELF file -> what the system calls it.
_MACHINES = {3: "i386", 62: "x86_64", 183: "aarch64"}
