"""`scrm identity`: explanations, figures and replays as somebody at the machine runs them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from scrm.app import TENANT, opened
from scrm.contract import Handle, Link
from scrm.db import utcnow
from scrm.identity import service as identity
from scrm.identity.service import Sighting
from scrm.seal import new_id
from scrm.settings import load
from tests.test_cli import Shell

USER = Handle(kind="app_user", scope="app", value="u-10012345", name="王女士")
PHONE = Handle(kind="phone", scope="e164", value="+8613912345678")
OTHER = Handle(kind="app_user", scope="app", value="u-99912345")


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("SCRM_LOG_LEVEL", "error")
    made = Shell(folder=tmp_path, capsys=capsys)
    assert made.run("migrate").code == 0
    asyncio.run(_families(tmp_path))
    return made


async def _families(folder: Path) -> None:
    configured = load(env={}, data_dir=str(folder / "var"))
    async with opened(configured) as (base, _), base.begin(TENANT) as conn:
        for a, b in ((USER, PHONE), (OTHER, OTHER)):
            ident = new_id()
            links = (Link(a=a, b=b, rule="app_phone", strength=60),)
            told = Sighting(event_id=ident, at=utcnow(), key=f"k{ident}", handles=(a, b), links=links)
            await identity.resolve(conn, [told], utcnow())


def test_why_says_which_evidence_and_masks_what_it_names(shell: Shell) -> None:
    ran = shell.run("identity", "why", "phone:139 1234 5678", "app_user:app:u-10012345")

    assert ran.code == 0
    assert "手机 139****5678 是 会员号 u-1****2345（王女士） 在应用里登记的手机" in ran.out
    assert "13912345678" not in ran.out + ran.err


def test_why_not_is_an_exit_code_and_a_sentence(shell: Shell) -> None:
    ran = shell.run("identity", "why", "app_user:u-10012345", "app_user:u-99912345")

    assert ran.code == 3
    assert "没有共同的证据" in ran.out
    assert "两边的会员号不同" in ran.out


def test_how_tells_the_steps_in_order(shell: Shell) -> None:
    ran = shell.run("identity", "how", "phone:13912345678")

    assert ran.code == 0
    assert [line[:2] for line in ran.out.splitlines()] == ["1.", "2.", "3."]
    assert "合成一个人，共 2 个标识" in ran.out


def test_what_nobody_has_met_is_said_in_a_sentence(shell: Shell) -> None:
    for typed in ("phone:13900000001", "person:nonsense", "nonsense"):
        ran = shell.run("identity", "why", typed)
        assert (ran.code, ran.err.startswith("错误：")) == (1, True), typed


def test_stats_count_are_kept_and_written(shell: Shell, tmp_path: Path) -> None:
    ran = shell.run("identity", "stats", "--json", str(tmp_path / "stats.json"))
    again = shell.run("identity", "stats")

    written = json.loads((tmp_path / "stats.json").read_text("utf-8"))
    assert (ran.code, again.code) == (0, 0)
    assert {k["kind"]: k["values"] for k in written["kinds"]} == {"app_user": 2, "phone": 1}
    assert "2 个人，最大的一个人有 2 个标识" in ran.out


def test_replay_finds_nothing_to_change_and_says_so(shell: Shell) -> None:
    ran = shell.run("identity", "replay")

    assert (ran.code, ran.out.strip()) == (0, "没有变化。")
    assert "已核对 3 个标识" in ran.err


def test_a_stricter_policy_is_tried_without_writing_and_then_repairs(shell: Shell, tmp_path: Path) -> None:
    strict = tmp_path / "strict.yaml"
    shipped = Path("config/identity.yaml").read_text("utf-8")
    strict.write_text(shipped.replace("household_cap: 8", "household_cap: 8\nrules: {app_phone: 0}"), "utf-8")

    tried = shell.run("identity", "replay", "--policy", str(strict), "--dry-run")
    still = shell.run("identity", "why", "phone:13912345678", "app_user:app:u-10012345")
    applied = shell.run("identity", "replay", "--policy", str(strict), "--note", "登记手机不可信")
    after = shell.run("identity", "why", "phone:13912345678", "app_user:app:u-10012345")

    assert (tried.code, "拆分" in tried.out, "没有写入" in tried.out) == (0, True, True)
    assert still.code == 0
    assert (applied.code, "拆分" in applied.out) == (0, True)
    assert after.code == 3


def test_a_policy_with_a_mistake_says_where(shell: Shell, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("version: 1\nkinds: {phone: {strenght: 7}}\n", "utf-8")

    ran = shell.run("identity", "replay", "--policy", str(wrong), "--dry-run")

    assert ran.code == 2
    assert "strenght" in ran.err
