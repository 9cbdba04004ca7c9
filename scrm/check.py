"""`scrm check`: what is wrong with a configuration, in sentences somebody can act on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from scrm import db, inbox, outbox
from scrm.accounts import probing, rules
from scrm.accounts.health import Health, healths
from scrm.accounts.service import connector
from scrm.app import TENANT, Service, running
from scrm.contract import Finding, Severity
from scrm.db import utcnow
from scrm.errors import ScrmError
from scrm.playbook.service import Library
from scrm.playbook.sops import files
from scrm.reserve import FULL, Reserve
from scrm.seal import open_vault
from scrm.settings import Settings
from scrm.spool.host import lying
from scrm.web.render import Renderer

#: Connecting takes milliseconds, or 250 ms to fail.
_REDIS_S = 2.0


async def findings(settings: Settings) -> AsyncIterator[Finding]:
    """From the outside in: files, accounts as written, the database, then each account's platform."""
    broken = False
    for found in (*_files(settings), *_accounts(settings)):
        broken |= found.severity is Severity.ERROR
        yield found
    if broken:
        yield Finding(severity=Severity.WARN, sentence="上面的问题改好以后，再检查数据库和平台连接。")
        return
    try:
        async for found in _host(settings):
            yield found
    except ScrmError as error:
        yield _error(error.sentence)
    async for found in _live(settings):
        yield found


def _files(settings: Settings) -> list[Finding]:
    made = []
    try:
        library = Library.load(settings.library)
        made.append(_ok(f"话术库：{len(library)} 条，全部通过检查。"))
        plans = files.read_packs(settings.library, library.ids)
        made.append(_ok(f"跟进流程：{sum(map(len, plans.values()))} 个，全部通过检查。"))
    except ScrmError as error:
        made.append(_error(f"话术库：{error.sentence}"))
    if Renderer().missing_assets:
        made.append(_warn("前端资源没有构建，页面能用但没有实时更新；请在能访问 npm 的环境重新安装。"))
    if not settings.url.startswith("https://") and not settings.url.startswith(
        ("http://127.", "http://localhost")
    ):
        made.append(_warn(f"public_url 是 {settings.url}：对外服务应使用 https，微信也只回调 80/443 端口。"))
    if settings.url.startswith("https://") and not settings.secure_cookies:
        made.append(_warn("public_url 已是 https，请把 secure_cookies 设为 true。"))
    return made


def _accounts(settings: Settings) -> list[Finding]:
    made = []
    for given in settings.accounts:
        own = {k: v for k, v in given.items() if k not in ("slug", "channel", "name", "max_age_s")}
        slug, channel = str(given.get("slug", "")), str(given.get("channel", ""))
        try:
            made += rules.faults(slug, connector(channel).NEEDS, own)
        except ScrmError as error:
            made.append(_error(f"账号 {slug}：{error.sentence}"))
    return made


async def _host(settings: Settings) -> AsyncIterator[Finding]:
    """What lies on this machine, whatever the database does."""
    folder = Path(settings.data_dir)
    if await asyncio.to_thread(folder.is_dir):
        used = Reserve(folder, 0).used
        if used >= FULL:
            yield _error(f"磁盘：{folder} 所在的磁盘已用 {used:.0%}，写满后消息就存不进来，请尽快清理。")
    if settings.embedded:
        return
    vault = open_vault(settings.key_path, settings.master_key)
    depth = await lying(folder, vault, [TENANT])
    if depth is None or not depth.rows:
        yield _ok("本机暂存区：没有等待转存的消息。")
        return
    if depth.waiting:
        yield _warn(f"本机暂存区：有 {depth.waiting} 条消息等待转存，数据库恢复后会自动写入。")
    if depth.stuck:
        yield _warn(f"本机暂存区：有 {depth.stuck} 条消息写不进数据库，每十分钟重试一次，原因见日志。")


async def _live(settings: Settings) -> AsyncIterator[Finding]:
    try:
        async with running(settings, work=False) as service:
            house = service.house
            yield _ok(f"数据库：结构版本 {db.revision(settings.db_url)}，可以读写。")
            if found := await _wires(settings, service):
                yield found
            async with house.db.read(TENANT) as conn:
                waiting, going = await inbox.counts(conn), await outbox.counts(conn)
                behind = await inbox.lags(conn, now=await conn.now())
            if waiting["quarantined"]:
                yield _warn(f"有 {waiting['quarantined']} 条消息没能处理，修好后用 scrm replay 重放。")
            if going["dead"] or going["unknown"]:
                yield _warn(f"有 {going['dead']} 条发送失败、{going['unknown']} 条结果不明，请在会话里查看。")
            for lag in (one for one in behind if one.behind >= timedelta(hours=settings.lag_alarm_h)):
                yield _error(f"账号 {_slug(service, lag.account_id)}：{lag.sentence}")
            async with house.db.read(TENANT) as conn:
                known = await healths(conn, house.directory.all(TENANT), now=utcnow())
            if not known:
                yield _warn("还没有配置任何账号：见 docs/quickstart.md，或运行 scrm demo。")
            for health in known:
                async for found in _account(service, health):
                    yield found
    except ScrmError as error:
        yield _error(error.sentence)


async def _account(service: Service, health: Health) -> AsyncIterator[Finding]:
    """What the card of the account shows, and its self-test."""
    house, plugged = service.house, health.plugged
    slug = plugged.account.slug
    yield _ok(f"账号 {slug}（{plugged.title}）：回调地址 {house.settings.url}/hooks/{slug}")
    for alarm in health.alarms:
        yield _error(f"账号 {slug}：{alarm.sentence}")
    for job in health.failing[:3]:
        yield _warn(f"账号 {slug}：试了 {job.attempts} 次还没成：{job.error}")
    ctx = house.context(plugged, utcnow())
    for found in await probing.findings(plugged, ctx, health, house.settings.url):
        yield Finding(severity=found.severity, sentence=f"账号 {slug}：{found.sentence}")


def _slug(service: Service, account_id: int) -> str:
    accounts = service.house.directory.all(TENANT)
    return next((p.account.slug for p in accounts if p.account.account_id == account_id), str(account_id))


async def _wires(settings: Settings, service: Service) -> Finding | None:
    """Whether Redis answers; None when none is configured."""
    if not settings.redis_url:
        return None
    if settings.embedded:
        return _warn("redis_url：内嵌数据库只有一个进程，用不到 Redis，这项设置被忽略。")
    with suppress(TimeoutError):
        async with asyncio.timeout(_REDIS_S):
            while not service.bus.wires["redis"]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            return _ok("Redis：可以连接，多进程之间的唤醒和实时更新走 Redis。")
    return _warn("Redis：连不上。服务照常工作，实时更新改走 PostgreSQL；请检查 redis_url 和 Redis。")


def _ok(sentence: str) -> Finding:
    return Finding(severity=Severity.OK, sentence=sentence)


def _warn(sentence: str) -> Finding:
    return Finding(severity=Severity.WARN, sentence=sentence)


def _error(sentence: str) -> Finding:
    return Finding(severity=Severity.ERROR, sentence=sentence)
