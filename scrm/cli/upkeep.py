"""`scrm migrate`, `check`, `replay`, `bench` and `openapi`: looking after an installation."""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path

from scrm import bench, db, inbox, shapes, works
from scrm.app import TENANT, opened
from scrm.check import findings
from scrm.cli import households, labelled
from scrm.cli.line import Commands, add, say
from scrm.contract import Severity
from scrm.db import utcnow
from scrm.ledger.store import audit
from scrm.settings import Settings
from scrm.web.api.openapi import document


async def migrate(_args: argparse.Namespace, configured: Settings) -> int:
    before = db.revision(configured.db_url)
    after = await asyncio.to_thread(db.migrate, configured.db_url)
    say(f"schema {before or 'empty'} -> {after}")
    return 0


async def check(_args: argparse.Namespace, configured: Settings) -> int:
    """Say in sentences what is wrong; exit 1 when something must be mended."""
    worst = 0
    async for found in findings(configured):
        mark = {Severity.OK: "✓", Severity.WARN: "!", Severity.ERROR: "✗"}[found.severity]
        say(f"{mark} {found.sentence}")
        worst = max(worst, int(found.severity is Severity.ERROR))
    return worst


async def replay(args: argparse.Namespace, configured: Settings) -> int:
    async with opened(configured) as (base, _), base.begin(TENANT) as conn:
        ids = [base.vault.private("inbox", i) for i in args.id] or None
        moved = await inbox.replay(conn, inbox_ids=ids)
        await audit(conn, "cli", "inbox.replayed", now=utcnow())
    say(f"{moved} 条消息已放回队列，服务会重新处理。")
    return 0


async def list_jobs(_args: argparse.Namespace, configured: Settings) -> int:
    """The newest long jobs with their progress."""
    async with opened(configured) as (base, directory), base.read(TENANT) as conn:
        slugs = {p.account.account_id: p.account.slug for p in directory.all(TENANT)}
        for one in await works.page(conn, limit=50):
            of = f"/{one.total}" if one.total is not None else ""
            where = slugs.get(one.account_id or 0, "-")
            ident = base.vault.public("job", one.job_id)
            say(f"{ident}\t{one.kind}\t{where}\t{one.state}\t{one.done}{of}\t{one.error}")
    return 0


async def run_bench(args: argparse.Namespace, _configured: Settings) -> int:
    database = args.database or os.environ.get("SCRM_BENCH_DATABASE_URL", "")
    if households.asked(args):
        return await households.run(args, database)
    if labelled.asked(args):
        return await labelled.run(args)
    return await bench.run(args.names, Path(args.json) if args.json else None, database=database, say=say)


async def openapi(_args: argparse.Namespace, _configured: Settings) -> int:
    say(shapes.to_json(document()).decode())
    return 0


def commands(to: Commands) -> None:
    add(to, "migrate", migrate, "Bring the schema to this release")
    add(to, "check", check, "Diagnose configuration, connectors and queues, in sentences")
    one = add(to, "replay", replay, "Put quarantined rows back to the start")
    one.add_argument("--id", action="append", default=[], help="only these rows (ids as the API shows them)")
    add(to, "jobs", list_jobs, "List long jobs (sync, replay, import) with their progress")
    one = add(to, "bench", run_bench, "Measure; each bench prints a ratio to a bound of the same run")
    one.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(bench.NAMES)} (default: all)")
    one.add_argument("--json", metavar="FILE", help="also write the figures to FILE")
    one.add_argument(
        "--database",
        metavar="URL",
        help="an empty PostgreSQL database to measure on, empty again afterwards "
        "(or SCRM_BENCH_DATABASE_URL; default: SQLite)",
    )
    households.options(one)
    labelled.options(one)
    add(to, "openapi", openapi, "Print the OpenAPI document")
