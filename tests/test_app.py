"""The composition root: a service starts whole or not at all, and stops in good order."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from scrm.app import TENANT, opened, running, web_app
from scrm.errors import BadConfig, ScrmError
from scrm.settings import load
from scrm.web.serving import listening
from tests.web.office import configured, given, message, office


async def test_a_service_starts_on_an_empty_folder_and_again_on_what_it_left(tmp_path: Path) -> None:
    for _ in range(2):
        async with running(configured(tmp_path)) as service:
            async with service.house.db.read(TENANT) as conn:
                assert conn.tenant_id == TENANT


async def test_accounts_of_the_settings_are_there_from_the_start(tmp_path: Path) -> None:
    written, _ = given("oa-a")

    async with running(configured(tmp_path, accounts=(written,))) as service:
        found = service.house.directory.by_slug("oa-a").account

    assert (found.channel, found.get("secret")) == ("wechat_oa", written["secret"])
    assert str(written["secret"]) not in repr(found)
    assert str(written["secret"]) not in repr(configured(tmp_path, accounts=(written,)))


async def test_an_account_that_cannot_work_stops_the_start(tmp_path: Path) -> None:
    written, _ = given("oa-a")

    with pytest.raises(BadConfig, match="token"):
        async with running(configured(tmp_path, accounts=({**written, "token": ""},))):
            pass


async def test_another_master_key_does_not_open_the_data(tmp_path: Path) -> None:
    written, _ = given("oa-a")
    async with running(configured(tmp_path, accounts=(written,))):
        pass
    (tmp_path / "master.key").unlink()

    with pytest.raises(ScrmError, match="主密钥"):
        async with running(configured(tmp_path)):
            pass


async def test_every_route_of_the_app_has_its_policy(tmp_path: Path) -> None:
    async with running(configured(tmp_path), work=False) as service:
        again = web_app(service.house)

    assert len(again.router.routes()) == len(service.app.router.routes()) > 30


async def test_open_streams_end_when_the_service_stops(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        headers = {"Cookie": f"scrm={desk.sessions['rep']}"}
        stream = await desk.http.get(f"{desk.url}/live", headers=headers)
        assert await stream.content.readline() == b"event: fresh\n"

        desk.service.house.live.close()

        async with asyncio.timeout(20):
            await stream.content.read()
        assert stream.content.at_eof()


async def test_what_was_acknowledged_before_a_stop_is_there_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    async with office(folder) as desk:
        answer = await desk.callback("oa-a", message("oStops00000000000000000000001", "text", Content="在吗"))
        assert answer.status == 200
        token = desk.tokens["machine-admin"]

    async with office(folder, people=False) as desk:
        await desk.quiet()
        items = (await desk.api("GET", "/events", token=token)).json()["items"]

    assert [e["text"] for e in items] == ["在吗"]


async def test_a_port_is_chosen_when_none_is_asked_for_and_given_back() -> None:
    async with listening(web.Application(), "127.0.0.1", 0) as port:
        assert port > 0
    async with listening(web.Application(), "127.0.0.1", port) as again:
        assert again == port


async def test_commands_open_the_database_without_the_web(tmp_path: Path) -> None:
    async with opened(configured(tmp_path)) as (base, directory):
        async with base.read(TENANT) as conn:
            assert conn.tenant_id == TENANT
        assert [t.slug for t in directory.tenants] == ["default"]


def test_the_environment_wins_over_the_file_and_flags_over_both(tmp_path: Path) -> None:
    path = tmp_path / "scrm.toml"
    path.write_text('port = 1\nhost = "file"\ncompany = "文件"\n', "utf-8")
    env = {"SCRM_HOST": "env", "SCRM_PORT": "2"}

    found = load(path, env, port=3)

    assert (found.port, found.host, found.company, found.tenant) == (3, "env", "文件", "default")


@pytest.mark.parametrize("text", ["x", "", "1.5", "--5", "²"])
def test_a_number_in_the_environment_that_is_none_is_named(text: str) -> None:
    with pytest.raises(BadConfig, match="SCRM_PORT"):
        load(None, {"SCRM_PORT": text})


def test_settings_errors_name_the_file_and_the_field(tmp_path: Path) -> None:
    path = tmp_path / "scrm.toml"
    for text, field in (
        ('port = "x"', "port"),
        ("tenent = 'x'", "tenent"),
        ("secure_cookies = 1", "secure_cookies"),
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(BadConfig) as wrong:
            load(path, {})
        assert str(path) in wrong.value.sentence
        assert field in wrong.value.sentence


def test_the_master_key_is_not_shown_with_the_settings() -> None:
    assert "hush-hush" not in repr(load(None, {"SCRM_MASTER_KEY": "hush-hush"}))
