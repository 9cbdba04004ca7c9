"""`scrm bench identity` and its options: how right we are about who is who, and a stream from outside."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from scrm import bench
from scrm.bench.identity import command
from scrm.bench.identity.chances import SHAPES
from scrm.cli.line import say
from scrm.errors import BadInput
from scrm.shapes import to_json


def options(to: argparse.ArgumentParser) -> None:
    """What `bench identity` takes besides."""
    group = to.add_argument_group("bench identity alone")
    group.add_argument("--seeds", metavar="1-10", help="streams to generate (default: 1-10)")
    group.add_argument(
        "--dirt", metavar="0,1,3", help="how dirty, as multiples of the usual (default: 0,1,3)"
    )
    group.add_argument("--households", type=int, metavar="N", help="of each stream (default: 2000)")
    group.add_argument(
        "--shape",
        choices=[s.name for s in SHAPES],
        help="how a company writes its events down (default: in turn)",
    )
    group.add_argument(
        "--jobs", type=int, metavar="N", help="streams side by side (default: as many as cores)"
    )
    group.add_argument("--quick", action="store_true", help="two small streams")
    group.add_argument(
        "--events", metavar="FILE", help="decide these events (JSON lines) instead of generated ones"
    )
    group.add_argument("--truth", metavar="FILE", help="with --events: score it by this truth (JSON lines)")
    group.add_argument(
        "--assign", metavar="DIR", help="with --events: write events.jsonl and roles.jsonl there"
    )
    group.add_argument("--write", metavar="DIR", help="write the generated streams there and measure nothing")


def asked(args: argparse.Namespace) -> bool:
    """Whether it is this bench alone, by its own rules. Raises `BadInput` for its options on another one."""
    if args.names == ["identity"]:
        return True
    names = ("seeds", "dirt", "households", "shape", "jobs", "quick", "events", "truth", "assign", "write")
    if used := [f"--{name}" for name in names if getattr(args, name)]:
        raise BadInput(f"{'、'.join(used)} 只用于 `scrm bench identity`。")
    return False


async def run(args: argparse.Namespace, database: str) -> int:
    """The bench alone, by its own options."""
    if not args.events and (args.truth or args.assign):
        raise BadInput("--truth 和 --assign 要和 --events 一起用。")
    if args.events:
        found = await command.decided(
            Path(args.events), truth=_path(args.truth), assign=_path(args.assign), say=say
        )
    elif args.write:
        for path in await asyncio.to_thread(command.write, Path(args.write), _options(args)):
            say(str(path))
        return 0
    else:
        found = await command.run(replace(_options(args), database=database), say=say)
    await _save(_path(args.json), found, database)
    return 0


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _options(args: argparse.Namespace) -> command.Options:
    given: dict[str, Any] = {"shape": args.shape or ""}
    if args.seeds:
        given["seeds"] = command.numbers(args.seeds)
    if args.dirt:
        given["dirts"] = command.factors(args.dirt)
    for name in ("households", "jobs"):
        if (number := getattr(args, name)) is not None:
            if number < 1:
                raise BadInput(f"--{name} 至少为 1。")
            given[name] = number
    made = command.Options(**given)
    return made.quick() if args.quick else made


async def _save(out: Path | None, found: dict[str, Any], database: str) -> None:
    if out is not None:
        machine = await asyncio.to_thread(bench.machine, database)
        await asyncio.to_thread(out.write_bytes, to_json({"machine": machine, "identity": found}) + b"\n")
