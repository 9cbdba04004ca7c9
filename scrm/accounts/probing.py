"""Set-up self-test: what is wrong with an account, in sentences somebody can act on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from scrm.accounts.health import REFUSALS, Health
from scrm.accounts.service import Plugged
from scrm.contract import Context, Finding, Polls, Probes, Receives, Severity
from scrm.errors import ScrmError

log = structlog.get_logger()

#: A platform that says nothing for so long is not reachable.
PROBE_S = 15.0


async def findings(plugged: Plugged, ctx: Context, health: Health, url: str) -> list[Finding]:
    """What the platform says, then what we can see from here."""
    return [*await _asked(plugged, ctx), *_seen(plugged, health, url)]


async def _asked(plugged: Plugged, ctx: Context) -> Sequence[Finding]:
    plug = plugged.plug
    if not isinstance(plug, Probes):
        return [_ok("这个渠道不需要我们主动访问平台，只检查了设置和回调。")]
    try:
        async with asyncio.timeout(PROBE_S):
            return list(await plug.probe(ctx))
    except TimeoutError:
        return [_error("平台 15 秒没有答复：请检查这台机器的网络、代理和 api_base。")]
    except ScrmError as error:
        return [_error(error.sentence)]
    except Exception as error:
        log.exception("probe failed", account=plugged.account.slug)
        return [_error(f"自检时出错：{type(error).__name__}，详情见日志。")]


def _seen(plugged: Plugged, health: Health, url: str) -> list[Finding]:
    made = []
    if plugged.account.get("api_base"):
        made.append(_warn("设置了 api_base：请求不会发到平台的正式地址，只应在模拟器或代理时使用。"))
    if isinstance(plugged.plug, Receives):
        made += _callbacks(health, url)
    elif isinstance(plugged.plug, Polls) and not health.cursors:
        made.append(_warn("还没有拉到过任何内容：保存设置后一分钟内会第一次拉取。"))
    if plugged.state != "running":
        made.append(_warn("这个账号现在没有运行：不会主动拉取，也不会发送。"))
    return made


def _callbacks(health: Health, url: str) -> list[Finding]:
    made = []
    if health.refused_1h >= REFUSALS:
        made.append(_error("最近一小时拒绝了很多回调：Token、密钥和平台不一致，或这台机器的时间不准。"))
    elif health.refused_1h:
        made.append(_warn("最近一小时拒绝过回调：如果刚改过 Token 或密钥，请在平台和这里填成一样的。"))
    if health.reached_at is not None:
        return [*made, _ok("平台的回调能到达这里，签名正确。")]
    if url.startswith(("http://127.", "http://localhost")):
        made.append(_warn("public_url 是本机地址，平台访问不到：请设置成公网的 https 地址。"))
    made.append(_warn("最近两天没有收到过有效回调：请在平台填写上面的回调地址并点保存（验证 URL）。"))
    return made


def _ok(sentence: str) -> Finding:
    return Finding(severity=Severity.OK, sentence=sentence)


def _warn(sentence: str) -> Finding:
    return Finding(severity=Severity.WARN, sentence=sentence)


def _error(sentence: str) -> Finding:
    return Finding(severity=Severity.ERROR, sentence=sentence)
