"""`scrm token`, `scrm staff` and `scrm account`: who works here, with what, on which channels."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from scrm import shapes
from scrm.accounts import service as accounts
from scrm.accounts import store as account_store
from scrm.accounts.service import connector
from scrm.app import TENANT, opened
from scrm.cli.line import Commands, add, say
from scrm.db import utcnow
from scrm.errors import BadInput
from scrm.ledger.store import audit
from scrm.settings import Settings
from scrm.staff import service as staff
from scrm.staff import store as staff_store
from scrm.staff.rules import ROLES


async def token_create(args: argparse.Namespace, configured: Settings) -> int:
    async with opened(configured) as (base, _), base.begin(TENANT) as conn:
        token = await staff.new_token(conn, args.role, args.user or "", now=utcnow())
        await audit(conn, "cli", "token.created", now=utcnow(), subject=f"role:{args.role}")
    say(token)
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
            capacity=args.capacity,
            now=utcnow(),
        )
        for bind in args.bind:
            slug, _, userid = bind.partition(":")
            if not userid:
                raise BadInput("--bind 要写成 账号:企业微信 userid。")
            await staff_store.bind(conn, directory.by_slug(slug).account.realm, userid, staff_id)
        await audit(conn, "cli", "staff.added", now=utcnow(), subject=f"staff:{staff_id}")
    say(f"{args.login} ({args.role}) 已添加" + ("" if password else "；没有设密码，只能用企业微信登录"))
    return 0


async def staff_list(_args: argparse.Namespace, configured: Settings) -> int:
    async with opened(configured) as (base, _), base.read(TENANT) as conn:
        for m in await staff_store.all_members(conn):
            say(f"{m.login}\t{m.name}\t{m.role}\t{m.state}")
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
    say(f"账号 {args.slug} 已保存；回调地址 {configured.url}/hooks/{args.slug}")
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
            say(f"{a.slug}\t{a.channel}\t{a.name}\t{configured.url}/hooks/{a.slug}")
    return 0


def commands(to: Commands) -> None:
    group = to.add_parser("token", help="API tokens").add_subparsers(required=True, metavar="ACTION")
    one = add(group, "create", token_create, "Create an API token; printed alone on the last line")
    one.add_argument("--role", required=True, choices=ROLES)
    one.add_argument("--user", help="login of the member it belongs to; without it a machine's token")
    group = to.add_parser("staff", help="our own people").add_subparsers(required=True, metavar="ACTION")
    one = add(group, "add", staff_add, "Add or change a member; a password is read from SCRM_PASSWORD")
    one.add_argument("login")
    one.add_argument("--name")
    one.add_argument("--role", default="rep", choices=ROLES)
    one.add_argument("--team")
    one.add_argument(
        "--capacity", type=int, help="conversations at the same time (default 8; 0 = none by rule)"
    )
    one.add_argument(
        "--bind", action="append", default=[], metavar="ACCOUNT:USERID", help="their WeCom user id"
    )
    add(group, "list", staff_list, "List members")
    group = to.add_parser("account", help="logins on channels").add_subparsers(
        required=True, metavar="ACTION"
    )
    one = add(group, "add", account_add, "Add or change an account")
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
    add(group, "list", account_list, "List accounts with their callback URLs")
