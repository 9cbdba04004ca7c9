"""The `scrm` command: every sub-command explains itself with --help and exits non-zero when it failed."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from scrm import bench, db, demo, inbox, seal, settings, shapes
from scrm.accounts import service as accounts
from scrm.accounts import store as account_store
from scrm.accounts.service import connector
from scrm.app import TENANT, listening, open_logs, opened, running
from scrm.check import findings
from scrm.contract import Severity
from scrm.db import utcnow
from scrm.errors import BadConfig, BadInput, ScrmError
from scrm.ledger.store import audit
from scrm.settings import Settings
from scrm.staff import service as staff
from scrm.staff import store as staff_store
from scrm.staff.rules import ROLES
from scrm.web.api.openapi import document

Command = Callable[[argparse.Namespace, Settings], Awaitable[int]]


def main(argv: Sequence[str] | None = None) -> None:
    args = _parser().parse_args(argv)
    try:
        configured = _settings(args)
        open_logs(configured.log_level)
        code = _run(args.command(args, configured))
    except ScrmError as error:
        _say(f"错误：{error.sentence}", error=True)
        code = 2 if isinstance(error, BadConfig | BadInput) else 1
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _run(command: Awaitable[int]) -> int:
    async def main_task() -> int:
        return await command

    if sys.platform != "win32":
        import uvloop

        return uvloop.run(main_task())
    return asyncio.run(main_task())


def _settings(args: argparse.Namespace) -> Settings:
    over = {name: getattr(args, name, None) for name in ("host", "port", "data_dir")}
    return settings.load(Path(args.config) if args.config else None, **over)


def _say(text: str, *, error: bool = False) -> None:
    print(text, file=sys.stderr if error else sys.stdout, flush=True)


# -- commands ----------------------------------------------------------------------------------------------
async def serve(args: argparse.Namespace, configured: Settings) -> int:
    """Web and worker in one process until SIGTERM or Ctrl-C."""
    if args.workers != 1:
        raise BadConfig("内嵌 SQLite 只能由一个进程写入：请用 --workers 1。")
    stop = _stop_event()
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(running(configured))
        port = await stack.enter_async_context(listening(service.app, configured.host, configured.port))
        _say(f"ready http://{configured.host}:{port}")
        await stop.wait()
    return 0


def _stop_event() -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def run_demo(args: argparse.Namespace, configured: Settings) -> int:
    return await demo.run(configured, pace_s=args.pace, seed=args.seed, stop=_stop_event(), say=_say)


async def migrate(_args: argparse.Namespace, configured: Settings) -> int:
    before = db.revision(configured.db_url)
    after = await asyncio.to_thread(db.migrate, configured.db_url)
    _say(f"schema {before or 'empty'} -> {after}")
    return 0


async def check(_args: argparse.Namespace, configured: Settings) -> int:
    """Say in sentences what is wrong; exit 1 when something must be mended."""
    worst = 0
    async for found in findings(configured):
        mark = {Severity.OK: "✓", Severity.WARN: "!", Severity.ERROR: "✗"}[found.severity]
        _say(f"{mark} {found.sentence}")
        worst = max(worst, int(found.severity is Severity.ERROR))
    return worst


async def token_create(args: argparse.Namespace, configured: Settings) -> int:
    async with opened(configured) as (base, _), base.begin(TENANT) as conn:
        token = await staff.new_token(conn, args.role, args.user or "", now=utcnow())
        await audit(conn, "cli", "token.created", now=utcnow(), subject=f"role:{args.role}")
    _say(token)
    return 0


async def staff_add(args: argparse.Namespace, configured: Settings) -> int:
    password = os.environ.get("SCRM_PASSWORD", "")
    async with opened(configured) as (base, directory), base.begin(TENANT) as conn:
        staff_id = await staff.add(
            conn,
            login=args.login,
            name=args.name or args.login,
            role=args.role,
            team=args.team or "",
            password=password,
            now=utcnow(),
        )
        for bind in args.bind:
            slug, _, userid = bind.partition(":")
            if not userid:
                raise BadInput("--bind 要写成 账号:企业微信 userid。")
            await staff_store.bind(conn, directory.by_slug(slug).account.realm, userid, staff_id)
        await audit(conn, "cli", "staff.added", now=utcnow(), subject=f"staff:{staff_id}")
    _say(f"{args.login} ({args.role}) 已添加" + ("" if password else "；没有设密码，只能用企业微信登录"))
    return 0


async def staff_list(_args: argparse.Namespace, configured: Settings) -> int:
    async with opened(configured) as (base, _), base.read(TENANT) as conn:
        for m in await staff_store.all_members(conn):
            _say(f"{m.login}\t{m.name}\t{m.role}\t{m.state}")
    return 0


async def account_add(args: argparse.Namespace, configured: Settings) -> int:
    given: dict[str, object] = {"slug": args.slug, "channel": args.channel, "name": args.name or args.slug}
    if args.max_age_s is not None:
        given["max_age_s"] = args.max_age_s
    given |= _pairs(args.set, secret={need.name for need in connector(args.channel).NEEDS if need.secret})
    if args.secrets_file:
        given |= shapes.read_toml(Path(args.secrets_file))
    async with opened(configured) as (base, _), base.begin(TENANT) as conn:
        team_id = await staff_store.team_id(conn, args.team) if args.team else None
        ident = await accounts.add(conn, given, now=utcnow(), team_id=team_id)
        await audit(
            conn, "cli", "account.saved", now=utcnow(), subject=f"account:{ident}", fields=sorted(given)
        )
    _say(f"账号 {args.slug} 已保存；回调地址 {configured.url}/hooks/{args.slug}")
    return 0


def _pairs(given: Sequence[str], *, secret: Collection[str]) -> dict[str, object]:
    """A secret on the command line would stay in the shell's history and be seen in the list of processes."""
    pairs: dict[str, object] = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign:
            raise BadInput("--set 要写成 名称=值。")
        if name in secret:
            raise BadInput(f"{name} 是密钥，请写进 --secrets-file 的文件里。")
        pairs[name] = value
    return pairs


async def account_list(_args: argparse.Namespace, configured: Settings) -> int:
    async with opened(configured) as (base, _), base.read(TENANT) as conn:
        for s in await account_store.accounts(conn):
            a = s.account
            _say(f"{a.slug}\t{a.channel}\t{a.name}\t{configured.url}/hooks/{a.slug}")
    return 0


async def replay(args: argparse.Namespace, configured: Settings) -> int:
    async with opened(configured) as (base, _), base.begin(TENANT) as conn:
        ids = [base.vault.private("inbox", i) for i in args.id] or None
        moved = await inbox.replay(conn, now=utcnow(), inbox_ids=ids)
        await audit(conn, "cli", "inbox.replayed", now=utcnow())
    _say(f"{moved} 条消息已放回队列，服务会重新处理。")
    return 0


async def run_bench(args: argparse.Namespace, _configured: Settings) -> int:
    return await bench.run(args.names, Path(args.json) if args.json else None, say=_say)


async def openapi(_args: argparse.Namespace, _configured: Settings) -> int:
    _say(shapes.to_json(document()).decode())
    return 0


async def key_new(_args: argparse.Namespace, configured: Settings) -> int:
    """Make the master key if there is none; say where it is."""
    seal.master_key(configured.key_path, configured.master_key)
    _say(str(configured.key_path))
    return 0


# -- the command line --------------------------------------------------------------------------------------
def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scrm", description="SCRM：一个客户一条时间线，下一句说什么。")
    parser.add_argument("--config", help="TOML file over config/default.toml")
    parser.add_argument("--data-dir", dest="data_dir", help="where database and keys live (default ./var)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _serving(commands)
    _people(commands)
    _upkeep(commands)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, command: Command, about: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(command=command)
    # After the sub-command too; SUPPRESS keeps what was said before it.
    parser.add_argument("--config", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("--data-dir", dest="data_dir", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _serving(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = _add(commands, "serve", serve, "Run the service; prints `ready http://...` when it accepts")
    one.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    one.add_argument("--port", type=int, help="port to listen on (default 8080)")
    one.add_argument("--workers", type=int, default=1, help="processes; the embedded database takes one")
    one = _add(
        commands, "demo", run_demo, "A living team on simulated platforms: no account, no service needed"
    )
    one.add_argument("--port", type=int, help="port of the service (default 8080)")
    one.add_argument("--pace", type=float, default=6.0, help="seconds between customers' turns (default 6)")
    one.add_argument("--seed", type=int, default=7, help="seed of everything that varies")


def _people(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    group = commands.add_parser("token", help="API tokens").add_subparsers(required=True, metavar="ACTION")
    one = _add(group, "create", token_create, "Create an API token; printed alone on the last line")
    one.add_argument("--role", required=True, choices=ROLES)
    one.add_argument("--user", help="login of the member it belongs to; without it a machine's token")
    group = commands.add_parser("staff", help="our own people").add_subparsers(
        required=True, metavar="ACTION"
    )
    one = _add(group, "add", staff_add, "Add or change a member; a password is read from SCRM_PASSWORD")
    one.add_argument("login")
    one.add_argument("--name")
    one.add_argument("--role", default="rep", choices=ROLES)
    one.add_argument("--team")
    one.add_argument(
        "--bind", action="append", default=[], metavar="ACCOUNT:USERID", help="their WeCom user id"
    )
    _add(group, "list", staff_list, "List members")
    group = commands.add_parser("account", help="logins on channels").add_subparsers(
        required=True, metavar="ACTION"
    )
    one = _add(group, "add", account_add, "Add or change an account")
    one.add_argument("slug")
    one.add_argument("channel")
    one.add_argument("--name")
    one.add_argument("--team", help="the team that sees its unassigned conversations")
    one.add_argument("--max-age-s", dest="max_age_s", type=int)
    one.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting that is no secret"
    )
    one.add_argument(
        "--secrets-file", help="TOML file with token, aes_key, secret ...: secrets stay off this line"
    )
    _add(group, "list", account_list, "List accounts with their callback URLs")


def _upkeep(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _add(commands, "migrate", migrate, "Bring the schema to this release")
    _add(commands, "check", check, "Diagnose configuration, connectors and queues, in sentences")
    one = _add(commands, "replay", replay, "Put quarantined rows back to the start")
    one.add_argument("--id", action="append", default=[], help="only these rows (ids as the API shows them)")
    one = _add(commands, "bench", run_bench, "Measure; each bench prints a ratio to a bound of the same run")
    one.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(bench.NAMES)} (default: all)")
    one.add_argument("--json", metavar="FILE", help="also write the figures to FILE")
    _add(commands, "openapi", openapi, "Print the OpenAPI document")
    group = commands.add_parser("keys", help="the master key").add_subparsers(required=True, metavar="ACTION")
    _add(group, "new", key_new, "Make the master key if there is none, and say where it is")
