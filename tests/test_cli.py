"""The `scrm` command as a person or a unit file runs it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import socket
import sqlite3
import sys
import time
import urllib.request
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from scrm import db
from scrm.cli import main
from tests.services import free_port

AES_KEY = "kWxPEV2UEDyxWpmPBKZKLmtXhV5cHLTDQFkgBmrMkn0"
SECRETS = {"token": "QDG6eK3kf7Vq9bXz", "aes_key": AES_KEY, "secret": "a-secret-of-the-app"}
COMMANDS = (
    (),
    ("serve",),
    ("worker",),
    ("demo",),
    ("token",),
    ("token", "create"),
    ("staff",),
    ("staff", "add"),
    ("staff", "list"),
    ("account",),
    ("account", "add"),
    ("account", "list"),
    ("migrate",),
    ("check",),
    ("replay",),
    ("jobs",),
    ("calendar",),
    ("calendar", "list"),
    ("calendar", "set"),
    ("import",),
    ("import", "calls"),
    ("identity",),
    ("identity", "why"),
    ("identity", "how"),
    ("identity", "stats"),
    ("identity", "replay"),
    ("identity", "propose"),
    ("bench",),
    ("openapi",),
    ("keys",),
    ("keys", "new"),
    ("keys", "status"),
    ("keys", "rotate"),
    ("backup",),
    ("restore",),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """Runs the command in this process, on a folder of its own."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *argv: str) -> Ran:
        with pytest.raises(SystemExit) as ended:
            main(["--data-dir", str(self.folder / "var"), *argv])
        out, err = self.capsys.readouterr()
        code = ended.value.code
        return Ran(code=code if isinstance(code, int) else int(bool(code)), out=out, err=err)

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text, "utf-8")
        return str(path)

    def secrets(self) -> str:
        return self.write("secrets.toml", "\n".join(f'{k} = "{v}"' for k, v in SECRETS.items()))


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    before, handlers = structlog.get_config(), list(logging.getLogger().handlers)
    yield Shell(folder=tmp_path, capsys=capsys)
    structlog.configure(**before)
    for handler in set(logging.getLogger().handlers) - set(handlers):
        logging.getLogger().removeHandler(handler)


# -- help and failure ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(shell: Shell, command: tuple[str, ...]) -> None:
    ran = shell.run(*command, "--help")

    assert ran.code == 0
    assert "usage: scrm" in ran.out


def test_the_list_of_commands_above_is_whole(shell: Shell) -> None:
    listed = {w for c in COMMANDS for w in c[:1]}

    offered = re.findall(r"^    (\w+)  ", shell.run("--help").out, re.MULTILINE)

    assert set(offered) == listed


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("no-such-command",),
        ("token",),
        ("token", "create"),
        ("token", "create", "--role", "king"),
        ("token", "create", "--role", "rep", "--user", "nobody"),
        ("staff", "add", "x", "--role", "king"),
        ("staff", "add", "x", "--bind", "nowhere:x"),
        ("staff", "add", "x", "--bind", "nowhere"),
        ("account", "add", "x", "no_such_channel"),
        ("account", "add", "x", "../../etc"),
        ("account", "add", "school", "wechat_oa"),
        ("account", "add", "school", "wechat_oa", "--set", "app_id"),
        ("account", "add", "school", "wechat_oa", "--secrets-file", "/no/such/file"),
        ("replay", "--id", "made-up"),
        ("bench", "no-such-bench"),
        ("--config", "/no/such/file.toml", "check"),
        ("serve", "--port", "x"),
    ],
    ids=" ".join,
)
def test_what_fails_exits_non_zero_and_says_why_without_a_traceback(
    shell: Shell, argv: tuple[str, ...]
) -> None:
    ran = shell.run(*argv)

    assert ran.code != 0
    assert ran.err.strip() or ran.out.strip()
    assert "Traceback" not in ran.err + ran.out


# -- people and tokens ---------------------------------------------------------------------------------------
def test_a_token_is_printed_alone_on_the_last_line(shell: Shell) -> None:
    shell.run("staff", "add", "lin", "--name", "林晓燕", "--team", "一组")

    machine = shell.run("token", "create", "--role", "admin")
    member = shell.run("token", "create", "--role", "rep", "--user", "lin")

    for ran in (machine, member):
        assert ran.code == 0
        assert re.fullmatch(r"scrm_1_[\w-]{40,}", ran.out.splitlines()[-1])


def test_members_are_listed_without_their_passwords(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRM_PASSWORD", "a-long-enough-password")
    assert shell.run("staff", "add", "lin", "--name", "林晓燕", "--role", "lead").code == 0

    ran = shell.run("staff", "list")

    assert ran.out.split("\n")[0].split("\t") == ["lin", "林晓燕", "lead", "active"]
    assert "argon2" not in ran.out


def test_a_short_password_is_refused(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRM_PASSWORD", "short")

    ran = shell.run("staff", "add", "lin")

    assert (ran.code, "10" in ran.err) == (2, True)
    assert "short" not in ran.err


# -- accounts ------------------------------------------------------------------------------------------------
def test_accounts_are_added_and_listed_and_their_secrets_never_shown(shell: Shell) -> None:
    argv = ("account", "add", "school", "wechat_oa", "--name", "学堂", "--set", "app_id=wx12345678")

    added = shell.run(*argv, "--secrets-file", shell.secrets())
    listed = shell.run("account", "list")

    assert (added.code, listed.code) == (0, 0)
    assert listed.out.splitlines()[-1].split("\t")[:3] == ["school", "wechat_oa", "学堂"]
    assert "/hooks/school" in added.out
    shown = added.out + added.err + listed.out + listed.err
    assert not any(value in shown for value in SECRETS.values())
    stored = b"".join(path.read_bytes() for path in (shell.folder / "var").glob("scrm.db*"))
    assert b"wx12345678" in stored
    assert not any(value.encode() in stored for value in SECRETS.values())


def test_a_secret_on_the_command_line_is_refused(shell: Shell) -> None:
    ran = shell.run(
        "account", "add", "school", "wechat_oa", "--set", "app_id=wx1", "--set", "secret=hush-hush"
    )

    assert (ran.code, "--secrets-file" in ran.err) == (2, True)
    assert "hush-hush" not in ran.err


def test_an_incomplete_account_is_refused_with_each_missing_setting(shell: Shell) -> None:
    ran = shell.run("account", "add", "school", "wechat_oa", "--set", "app_id=wx12345678")

    assert ran.code == 2
    assert all(f"“{name}”" in ran.err for name in SECRETS)


# -- upkeep --------------------------------------------------------------------------------------------------
def test_migrate_brings_an_empty_folder_to_this_release_and_may_be_repeated(shell: Shell) -> None:
    first, again = shell.run("migrate"), shell.run("migrate")

    assert first.out.strip() == f"schema empty -> {db.head()}"
    assert again.out.strip() == f"schema {db.head()} -> {db.head()}"


def test_replay_says_how_many_rows_it_moved(shell: Shell) -> None:
    ran = shell.run("replay")

    assert (ran.code, ran.out[0]) == (0, "0")


def test_openapi_prints_the_document(shell: Shell) -> None:
    ran = shell.run("openapi")

    assert json.loads(ran.out)["openapi"].startswith("3.1")


def test_the_master_key_is_made_once_and_stays(shell: Shell) -> None:
    path = Path(shell.run("keys", "new").out.strip())
    made = path.read_text()

    shell.run("keys", "new")

    assert path.read_text() == made
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_master_key_others_can_read_stops_the_start(shell: Shell) -> None:
    path = Path(shell.run("keys", "new").out.strip())
    path.chmod(0o644)

    ran = shell.run("migrate"), shell.run("account", "list")

    assert ran[1].code == 2
    assert str(path) in ran[1].err
    assert "chmod 600" in ran[1].err
    assert path.read_text().strip() not in ran[1].err


@pytest.mark.parametrize("key", ["short", "A" * 44, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="])
def test_a_master_key_that_is_no_key_stops_the_start(
    shell: Shell, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRM_MASTER_KEY", key)

    ran = shell.run("account", "list")

    assert (ran.code, "SCRM_MASTER_KEY" in ran.err, key in ran.err) == (2, True, False)


# -- serving -------------------------------------------------------------------------------------------------
@asynccontextmanager
async def serving(folder: Path, *more: str) -> AsyncIterator[tuple[Process, str]]:
    """`scrm serve` on a free port: the process and the line it printed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SCRM_")}
    argv = (sys.executable, "-m", "scrm", "--data-dir", str(folder), "serve", *more)
    process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=PIPE, env=clean)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            line = ""
            while not line.startswith("ready ") and not process.stdout.at_eof():
                line = (await process.stdout.readline()).decode().strip()
        yield process, line
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_serve_prints_one_ready_line_answers_and_stops_on_sigterm(
    tmp_path: Path, unused_port: int
) -> None:
    async with serving(tmp_path / "var", "--port", str(unused_port)) as (process, line):
        assert line == f"ready http://127.0.0.1:{unused_port}"
        assert await asyncio.to_thread(_get, f"http://127.0.0.1:{unused_port}/readyz") == "ready\n"

        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 0, err
    assert time.monotonic() - began < 10
    assert b"ready" not in out
    assert b"Traceback" not in err


async def test_serve_stops_in_time_while_a_screen_and_a_slow_caller_hold_on(
    tmp_path: Path, unused_port: int
) -> None:
    async with serving(tmp_path / "var", "--port", str(unused_port)) as (process, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", unused_port)
        writer.write(b"POST /login HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n")
        writer.write(b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nname=")
        await writer.drain()

        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), 30)
        writer.close()
        await reader.read()

    assert process.returncode == 0
    assert time.monotonic() - began < 10


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


@pytest.fixture
def unused_port() -> int:
    return free_port()


def test_a_port_that_is_taken_is_said_in_a_sentence(shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        ran = shell.run("serve", "--port", str(port))

    assert ran.code != 0
    assert str(port) in ran.err
    assert "Traceback" not in ran.err


def test_the_embedded_database_takes_one_process_and_says_so(shell: Shell) -> None:
    ran = shell.run("serve", "--workers", "2")

    assert ran.code == 2
    assert "--workers 1" in ran.err


def test_commands_work_on_what_the_service_wrote(shell: Shell) -> None:
    shell.run("staff", "add", "lin")

    with sqlite3.connect(shell.folder / "var" / "scrm.db") as direct:
        rows = direct.execute("SELECT action, actor FROM audit_entry").fetchall()
    direct.close()

    assert rows == [("staff.added", "cli")]
