"""`scrm calendar`: holidays and working weekends, over those that ship with scrm."""

from __future__ import annotations

import argparse
from datetime import date, timedelta

from scrm.app import TENANT, opened
from scrm.cli.line import Commands, add, say
from scrm.db import utcnow
from scrm.desk.calendar import rules, service
from scrm.errors import BadInput
from scrm.ledger.store import audit
from scrm.settings import Settings

_WORDS = {"workday": "上班", "holiday": "放假"}


async def calendar_list(args: argparse.Namespace, configured: Settings) -> int:
    first = _date(args.first) if args.first else rules.day_of(utcnow())
    async with opened(configured) as (base, _), base.read(TENANT) as conn:
        for one in await service.listed(conn, first, first + timedelta(days=366)):
            mark = "自定" if one.ours else "内置"
            say(f"{one.day.day}\t{_WORDS[one.day.kind]}\t{one.day.name}\t{mark}")
    return 0


async def calendar_set(args: argparse.Namespace, configured: Settings) -> int:
    first = _date(args.day)
    last = _date(args.to) if args.to else first
    kind = None if args.kind == "usual" else args.kind
    async with opened(configured) as (base, _), base.begin(TENANT) as conn:
        await service.put(conn, first, last, kind, args.name, now=utcnow())
        await audit(conn, "cli", "calendar.changed", now=utcnow(), subject=f"day:{first}")
    say(f"{first} 至 {last}：{_WORDS.get(args.kind, '恢复内置日历')}")
    return 0


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"日期写法有误：{text!r}；例：2026-10-01。") from None


def commands(top: Commands) -> None:
    within = top.add_parser("calendar", help="holidays and working weekends").add_subparsers(
        required=True, metavar="COMMAND"
    )
    listing = add(within, "list", calendar_list, "days that are not what their weekday says")
    listing.add_argument("--first", help="from this date on, a year long; today when not given")
    setting = add(within, "set", calendar_set, "make days workdays or holidays; `usual` = as shipped")
    setting.add_argument("day", help="2026-10-01")
    setting.add_argument("kind", choices=("workday", "holiday", "usual"))
    setting.add_argument("--to", help="last day of a stretch")
    setting.add_argument("--name", default="", help="what it is called")
