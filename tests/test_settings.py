"""Settings: default file, then a given file, then the environment, then flags; errors name the field."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from scrm.errors import BadConfig
from scrm.settings import Settings, load, shipped


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my.toml"
    path.write_text(text, "utf-8")
    return path


def test_the_shipped_defaults_run_as_they_are() -> None:
    settings = load(env={})

    assert settings.db_url == "sqlite:///var/scrm.db"
    assert settings.key_path == Path("var/master.key")
    assert settings.url == "http://127.0.0.1:8080"
    assert settings.library == shipped("scripts_library")
    assert settings.accounts == ()


def test_file_beats_default_environment_beats_file_and_flag_beats_environment(tmp_path: Path) -> None:
    path = _file(tmp_path, 'port = 1111\nhost = "10.0.0.1"\ncompany = "学堂"\n')

    settings = load(path, {"SCRM_PORT": "2222", "SCRM_HOST": "10.0.0.2"}, port=3333, host=None)

    assert settings.port == 3333  # the flag
    assert settings.host == "10.0.0.2"  # no flag given: the environment
    assert settings.company == "学堂"  # only in the file
    assert settings.max_attempts == load(env={}).max_attempts  # nowhere but the default


def test_every_setting_can_come_from_the_environment() -> None:
    values = {f"SCRM_{f.name.upper()}": "7" for f in fields(Settings) if f.name != "accounts"}

    settings = load(env=values)

    assert settings.port == 7
    assert settings.company == "7"
    assert settings.secure_cookies is False


@pytest.mark.parametrize(
    ("text", "on"), [("1", True), ("TRUE", True), ("yes", True), ("0", False), ("", False)]
)
def test_switches_are_read_from_words(text: str, on: bool) -> None:
    assert load(env={"SCRM_SECURE_COOKIES": text}).secure_cookies is on


def test_a_database_url_and_a_key_file_win_over_the_data_folder() -> None:
    given = {
        "SCRM_DATABASE_URL": "sqlite:////srv/x.db",
        "SCRM_MASTER_KEY_FILE": "/srv/k",
        "SCRM_DATA_DIR": "/d",
    }

    settings = load(env=given)

    assert settings.db_url == "sqlite:////srv/x.db"
    assert settings.key_path == Path("/srv/k")
    assert settings.sqlite_path == Path("/d/scrm.db")


def test_a_public_url_loses_its_last_slash() -> None:
    assert load(env={"SCRM_PUBLIC_URL": "https://crm.example/"}).url == "https://crm.example"


def test_secrets_do_not_show_in_a_repr() -> None:
    settings = load(env={"SCRM_MASTER_KEY": "hush-hush"}, accounts=({"slug": "a", "secret": "hush-hush"},))

    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('port = "many"', "port"),  # wrong type
        ("colour = 1", "colour"),  # unknown setting
        ("port = = 1", "my.toml"),  # no TOML
        ("[[accounts]]\nslug = 1\n[accounts]", "my.toml"),  # no TOML either
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_the_field(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadConfig, match=r"my\.toml") as refused:
        load(_file(tmp_path, text), {})

    assert sentence in refused.value.sentence


def test_a_missing_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"nowhere\.toml"):
        load(tmp_path / "nowhere.toml", {})


@pytest.mark.parametrize("text", ["many", "", "--5", "²", "1.5"])
def test_a_number_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadConfig, match="SCRM_PORT"):
        load(env={"SCRM_PORT": text})


def test_foreign_variables_of_the_environment_change_nothing() -> None:
    assert load(env={"PORT": "1", "SCRM_NO_SUCH": "1", "SCRM_ACCOUNTS": "x"}) == load(env={})
