"""`scrm bench suggest` and `scrm bench promises`: how often we are right, on our labels or on yours."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from scrm import bench
from scrm.bench import promises, suggest
from scrm.cli.line import say
from scrm.errors import BadInput
from scrm.shapes import to_json


def options(to: argparse.ArgumentParser) -> None:
    """What benches over labelled sentences take besides."""
    group = to.add_argument_group("bench suggest or promises alone")
    group.add_argument("--file", metavar="FILE", help="judge these labels (JSON lines) instead of ours")
    group.add_argument("--show", action="store_true", help="also list what was missed")


def asked(args: argparse.Namespace) -> bool:
    """Whether it is this bench alone. Raises `BadInput` for its options on another one."""
    if args.names in (["suggest"], ["promises"]):
        return True
    if args.file or args.show:
        raise BadInput("--file 和 --show 只用于 `scrm bench suggest` 和 `scrm bench promises`。")
    return False


async def run(args: argparse.Namespace) -> int:
    file = Path(args.file) if args.file else None
    return await (_promises if args.names == ["promises"] else _suggest)(args, file)


async def _promises(args: argparse.Namespace, file: Path | None) -> int:
    found = await asyncio.to_thread(promises.measure, file)
    for name, scores in found.items():
        told = scores.told()
        say(f"{name or 'all'}: {told['cases']} messages")
        for kind, score in [*told["by_kind"].items(), ("in all", told)]:
            say(f"  {kind:<12} precision {score['precision']:.4f}  recall {score['recall']:.4f}")
    # Of ours, what is held out stays unseen.
    for one in found["dev" if "dev" in found else ""].mistakes if args.show else ():
        wrong = [f"+{label.told()}" for label in one.extra] + [f"-{label.told()}" for label in one.missed]
        say(f"- {one.case.text} | {', '.join(wrong)}")
    if args.json:
        await asyncio.to_thread(Path(args.json).write_bytes, to_json(found[""].told()) + b"\n")
    return 0


async def _suggest(args: argparse.Namespace, file: Path | None) -> int:
    found, missed = await asyncio.to_thread(suggest.measure, file)
    for name, score in found["scores"].items():
        say(f"{name:<28} " + "  ".join(f"{figure} {value}" for figure, value in score.items()))
    for name, value in found["cost"].items():
        say(f"{name:<28} {value}")
    # What is held out stays unseen: who reads its mistakes tunes on it.
    for miss in (m for m in missed if m.case.half == "dev") if args.show else ():
        say(f"- {miss.case.text} | {' '.join(miss.case.accept)} | {' '.join(miss.got)}")
    if args.json:
        machine = await asyncio.to_thread(bench.machine)
        raw = to_json({"machine": machine, "suggest": found}) + b"\n"
        await asyncio.to_thread(Path(args.json).write_bytes, raw)
    return 0
