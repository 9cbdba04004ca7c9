"""`scrm identity`: why two are one, how a person came to be, figures, proposals, and replaying a policy."""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from scrm import shapes
from scrm.accounts.service import Directory
from scrm.app import TENANT, opened
from scrm.cli.line import Commands, add, say
from scrm.db import Conn, utcnow
from scrm.errors import BadInput
from scrm.identity import looking, policies, rebuild, stats, versions
from scrm.identity import store as identity
from scrm.identity.explain import catalogue
from scrm.identity.explain import service as explain
from scrm.identity.explain.words import Known, Teller
from scrm.identity.reworking import kind_of
from scrm.identity.store.log import Deed
from scrm.ledger.store import audit
from scrm.settings import Settings
from scrm.staff.rules import Actor, masked
from scrm.worker import proposing

#: Whoever stands at the machine sees what a person sees: never a whole number.
_READER = Actor(tenant_id=TENANT, role="compliance", staff_id=0)
_BAR = 30


def _masked(value: str) -> str:
    return masked(_READER, value)


def _teller(directory: Directory, known: Known) -> Teller:
    titles = {p.account.account_id: p.title for p in directory.all(TENANT)}
    return Teller(
        known=known, masked=_masked, channel=lambda account_id: titles.get(account_id, ""), now=utcnow()
    )


async def why(args: argparse.Namespace, configured: Settings) -> int:
    """0 = they are one person or household, 3 = they are not."""
    async with opened(configured) as (base, directory), base.begin(TENANT) as conn:
        a = await looking.typed(conn, args.a)
        b = await looking.typed(conn, args.b) if args.b else None
        found = await explain.why(conn, a, b)
        await audit(conn, "cli", "identity.why", now=utcnow())
    told = _teller(directory, found.known)
    say({"person": "同一个人", "household": "同一家人", "apart": "不是同一个人"}[found.tie])
    for n, piece in enumerate(found.steps, 1):
        say(f"{n}. {told.piece(piece)}")
    for block in found.blocks:
        say(f"- {told.block(block)}")
    if not found.steps and not found.blocks:
        say(told.sum_up(found.tie, (), (), origin=found.origin, pair=b is not None))
    return 3 if found.tie == "apart" else 0


async def how(args: argparse.Namespace, configured: Settings) -> int:
    async with opened(configured) as (base, directory), base.begin(TENANT) as conn:
        subject = await looking.typed(conn, args.person)
        ident = subject.ident
        if subject.kind == "node":
            owner = (await identity.persons_of(conn, [ident])).get(ident)
            if owner is None:
                raise BadInput("这个标识不属于某一个人。")
            ident = owner
        found = await explain.how(conn, ident)
        await audit(conn, "cli", "identity.how", now=utcnow())
    told = _teller(directory, found.known)
    for n, moment in enumerate(found.moments, 1):
        say(f"{n}. {told.moment(moment)}")
    return 0


async def figures(args: argparse.Namespace, configured: Settings) -> int:
    """0 = nothing drifted, 3 = an alarm."""
    async with opened(configured) as (base, _):
        async with base.read(TENANT) as conn:
            report = await stats.measure(conn, utcnow(), top=args.top)
            shown = await _shared(conn, report)
        async with base.begin(TENANT) as conn:
            await stats.keep(conn, report)
            await audit(conn, "cli", "identity.stats", now=utcnow())
    if args.json:
        await asyncio.to_thread(Path(args.json).write_bytes, shapes.to_json(report))
    _tell(report, shown, say)
    return 3 if report.alarms else 0


async def _shared(conn: Conn, report: stats.Report) -> dict[int, str]:
    found = await stats.opened(conn, report)
    return {n: "已清除" if o.value is None else _masked(o.value) for n, o in found.items()}


def _tell(report: stats.Report, shown: dict[int, str], line: Callable[[str], None]) -> None:
    line(f"{report.persons} 个人，最大的一个人有 {report.biggest} 个标识")
    line("标识\t值\t人\t每人平均\t每人最多\t多人共用\t通用\t屏蔽")
    for k in report.kinds:
        named = catalogue.KINDS.get(k.kind, k.kind)
        cells = (named, k.values, k.persons, f"{k.per_person:.2f}", k.most_per_person, k.shared, k.generic)
        line("\t".join(map(str, (*cells, k.blocked))))
        for one in k.top:
            mark = "（通用，只作参考）" if one.state == "generic" else ""
            line(f"\t{shown.get(one.node_id, '')}\t{one.persons} 个人{mark}")
    _histogram("每人标识数", report.sizes, line)
    _histogram("每家人数", report.households, line)
    for standing, n in report.standings.items():
        line(f"证据 {standing}\t{n}")
    line(f"撤回的证据\t{report.retracted}")
    for alarm in report.alarms:
        line(f"! {alarm}")


def _histogram(title: str, counts: object, line: Callable[[str], None]) -> None:
    found = {int(k): int(n) for k, n in dict(counts).items()}  # type: ignore[call-overload]
    most = max(found.values(), default=1)
    line(title)
    for size, n in sorted(found.items()):
        line(f"\t{size}\t{n}\t{'█' * max(1, round(_BAR * n / most))}")


# -- replaying and proposing -------------------------------------------------------------------------------
async def replay(args: argparse.Namespace, configured: Settings) -> int:
    """Every identifier judged again, some thousands a transaction; may be broken off and begun again."""
    data = await asyncio.to_thread(shapes.read_yaml, Path(args.policy)) if args.policy else None
    policy = policies.parse(data, where=args.policy) if data is not None else None
    counted: Counter[str] = Counter()
    async with opened(configured) as (base, _):
        if data is not None and not args.dry_run:
            async with base.begin(TENANT) as conn:
                await versions.adopt(conn, data, by=None, note=args.note, now=utcnow())
                await audit(conn, "cli", "identity.policy_adopted", now=utcnow())
        async with base.read(TENANT) as conn:
            pieces = await rebuild.plan(conn)
        done = 0
        for ids in pieces:
            way = base.read if args.dry_run else base.begin
            async with way(TENANT) as conn:
                piece = await rebuild.these(
                    conn,
                    ids,
                    policy=policy if args.dry_run else None,
                    write=not args.dry_run,
                    now=utcnow(),
                )
            done += piece.nodes
            counted.update(_kinds(piece.deeds) if args.dry_run else (deed.op for deed in piece.deeds))
            say(f"已核对 {done} 个标识", error=True)
    for op, n in sorted(counted.items()):
        say(f"{_OPS.get(op, op)}\t{n}")
    if not counted:
        say("没有变化。")
    elif args.dry_run:
        say("以上只是预演，没有写入。")
    return 0


def _kinds(deeds: Iterable[Deed]) -> Iterator[str]:
    """What a trial would do to people."""
    return (op for deed in deeds if (op := kind_of(deed)))


_OPS = {
    "merge": "合并",
    "split": "拆分",
    "household": "家庭变化",
    "home_merge": "家庭合并",
    "home_split": "家庭拆开",
    "home_move": "家庭成员变动",
    "hold": "新的冲突搁置",
    "release": "不再搁置",
    "generic_on": "变为通用值",
    "generic_off": "不再是通用值",
    "recycled": "号码换了主人",
}


async def propose(args: argparse.Namespace, configured: Settings) -> int:
    """Questions for people only: nothing is merged unless `--accept-bits` says so."""

    def told(progress: proposing.Progress) -> None:
        of = f"/{progress.total}" if progress.total is not None else ""
        say(f"{_STEPS.get(progress.step, progress.step)} {progress.done}{of}", error=True)

    async with opened(configured) as (base, _):
        async with base.read(TENANT) as conn:
            policy = await versions.current(conn)
        done = await proposing.run(base, TENANT, policy, told, accept_bits=args.accept_bits)
        async with base.begin(TENANT) as conn:
            await audit(conn, "cli", "identity.proposed", now=utcnow())
    say(f"看了 {done.persons} 个人")
    for cls, n in sorted(done.proposed.items()):
        say(f"{_CLASSES.get(cls, cls)}\t{n}")
    say(f"其中新的\t{done.fresh}")
    say(f"不再成立\t{done.withdrawn}")
    say(f"自动采纳\t{done.accepted}")
    return 0


_STEPS = {
    "read": "读取",
    "same_person": "比对是否同一个人",
    "same_household": "比对是否一家人",
    "write": "写入",
    "accept": "采纳",
}
_CLASSES = {"same_person": "可能是同一个人", "same_household": "可能是一家人"}


def commands(top: Commands) -> None:
    within = top.add_parser("identity", help="who is who, and why").add_subparsers(
        required=True, metavar="COMMAND"
    )
    thing = "person:ID, node:ID, household:ID, or KIND:VALUE (phone:13912345678), KIND:SCOPE:VALUE"
    one = add(within, "why", why, "Why something is one person or household, or why two are not (exit 3)")
    one.add_argument("a", help=thing)
    one.add_argument("b", nargs="?", help="the same; what holds `a` together when not given")
    one = add(within, "how", how, "How a person came to be what it is, step by step")
    one.add_argument("person", help=thing)
    one = add(within, "stats", figures, "Figures by kind of identifier, most shared values, alarms (exit 3)")
    one.add_argument("--top", type=int, default=5, help="so many shared values of each kind (default 5)")
    one.add_argument("--json", metavar="FILE", help="also write the figures to FILE")
    one = add(within, "replay", replay, "Derive everything anew from the evidence, or by another policy")
    one.add_argument("--policy", metavar="FILE", help="a policy like config/identity.yaml; becomes a version")
    one.add_argument("--dry-run", action="store_true", help="only say what would merge, split and change")
    one.add_argument("--note", default="", help="why the policy changes")
    one = add(within, "propose", propose, "Look for the same people and families in the whole; only asks")
    one.add_argument(
        "--accept-bits",
        type=float,
        metavar="BITS",
        help="link by itself what weighs so much (default: never)",
    )
