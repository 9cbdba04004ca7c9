"""`scrm check`: what is wrong with a configuration, in sentences somebody can act on, and an exit code."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from scrm.check import findings
from scrm.cli import main
from scrm.contract import Severity
from tests.web.office import configured, given


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    before, handlers = structlog.get_config(), list(logging.getLogger().handlers)
    yield
    structlog.configure(**before)
    for handler in set(logging.getLogger().handlers) - set(handlers):
        logging.getLogger().removeHandler(handler)


def check(folder: Path, capsys: pytest.CaptureFixture[str], text: str) -> tuple[int, str]:
    """Exit code and words of `scrm check` on a configuration with this in it."""
    path = folder / "scrm.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["--config", str(path), "--data-dir", str(folder / "var"), "check"])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return int(str(ended.value.code)), out + err


def account(**change: object) -> str:
    written, _ = given("oa-a")
    written |= change
    lines = [
        f'{k} = "{v}"' if isinstance(v, str) else f"{k} = {v}" for k, v in written.items() if v is not None
    ]
    return "[[accounts]]\n" + "\n".join(lines)


def test_a_fresh_configuration_is_fine_and_says_what_to_do_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = check(tmp_path, capsys, "")

    assert code == 0
    assert "话术库" in said
    assert "还没有配置任何账号" in said


#: What is written -> what must be in the sentence.
BROKEN = {
    "an account without its token": (account(token=None), "token"),
    "an AES key that is too short": (account(aes_key="short"), "aes_key"),
    "a channel there is none of": (account(channel="telegramm"), "telegramm"),
    "a channel that climbs": (account(channel="../etc"), "../etc"),
    "a misspelt setting": (account(tokken="x"), "tokken"),
    "a slug that is no slug": (account(slug="Oa A"), "slug"),
    "two accounts, the second one bad": (account() + "\n" + account(slug="oa-b", app_id=None), "oa-b"),
    "a library that is not there": ('scripts_dir = "/no/such/library"', "/no/such/library"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_must_be_mended_is_said_and_ends_with_1(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, word = BROKEN[name]

    code, said = check(tmp_path, capsys, text)

    assert (code, word in said, "✗" in said) == (1, True, True), said


#: Not even settings: which file, which field.
UNREADABLE = {
    "a wrong type": ('port = "eighty"', "port"),
    "an unknown field": ("prot = 80", "prot"),
    "no TOML": ("port = = 80", "scrm.toml"),
    "an account that is no table": ('accounts = ["x"]', "accounts"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_settings_that_cannot_be_read_name_the_file_and_the_field(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, word = UNREADABLE[name]

    code, said = check(tmp_path, capsys, text)

    assert code != 0
    assert "scrm.toml" in said
    assert word in said


def test_no_secret_is_repeated_in_what_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = check(tmp_path, capsys, account(aes_key="hush-hush", token="hush hush", secret="hush"))

    assert code == 1
    assert "hush" not in said


def test_a_platform_that_cannot_be_reached_is_said_with_the_account(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = check(tmp_path, capsys, account())

    assert code == 1
    assert "账号 oa-a" in said
    assert "/hooks/oa-a" in said


@pytest.mark.parametrize(
    ("over", "word"),
    [
        ({"public_url": "http://scrm.example"}, "https"),
        ({"public_url": "https://scrm.example"}, "secure_cookies"),
    ],
)
async def test_an_unsafe_public_address_is_warned_about(
    over: dict[str, object], word: str, tmp_path: Path
) -> None:
    found = [f async for f in findings(configured(tmp_path, **over))]

    assert any(f.severity is Severity.WARN and word in f.sentence for f in found)


async def test_a_safe_public_address_is_not(tmp_path: Path) -> None:
    safe = configured(tmp_path, public_url="https://scrm.example", secure_cookies=True)

    found = [f.sentence async for f in findings(safe)]

    assert not any("https" in sentence for sentence in found)
