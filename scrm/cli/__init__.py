"""The `scrm` command: every sub-command explains itself with --help and exits non-zero when it failed."""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections.abc import Awaitable, Sequence
from pathlib import Path

from scrm import settings
from scrm.cli import backups, calendar, identity, imports, keys, people, serving, upkeep
from scrm.cli.line import say
from scrm.errors import BadConfig, BadInput, ScrmError
from scrm.logs import open_logs
from scrm.settings import Settings

#: Objects made before circles of garbage are looked for: batches of rows and events are in none, and to look
#: through them at every 700, as Python does, takes a tenth to a quarter of the time of a batch.
_LOOK_FOR_CIRCLES = (50_000, 20, 50)


def main(argv: Sequence[str] | None = None) -> None:
    args = tree().parse_args(argv)
    if argv is None:  # a process of its own
        gc.freeze()
        gc.set_threshold(*_LOOK_FOR_CIRCLES)
    try:
        configured = _settings(args)
        open_logs(configured.log_level)
        code = _run(args.command(args, configured))
    except ScrmError as error:
        say(f"错误：{error.sentence}", error=True)
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


def tree() -> argparse.ArgumentParser:
    """Every command with its options."""
    parser = argparse.ArgumentParser(prog="scrm", description="SCRM：一个客户一条时间线，下一句说什么。")
    parser.add_argument("--config", help="TOML file over config/default.toml")
    parser.add_argument("--data-dir", dest="data_dir", help="where database and keys live (default ./var)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serving.commands(commands)
    people.commands(commands)
    upkeep.commands(commands)
    backups.commands(commands)
    keys.commands(commands)
    calendar.commands(commands)
    imports.commands(commands)
    identity.commands(commands)
    return parser
