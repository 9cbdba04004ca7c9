"""The site's own login: what its server signed is believed, and nothing else; one person on one timeline."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import time
from typing import Any

import pytest

from connectors.kit.profiles import profile_raw
from connectors.webchat.login import signed
from scrm.db import utcnow
from tests.web.office import Office
from tests.web.visiting import SECRET, Visitor, events_of, open_site, shop

NOW = int(time())


@pytest.fixture
async def desk(tmp_path: Path, service_url: str) -> AsyncIterator[Office]:
    async with shop(tmp_path, service_url) as made:
        yield made


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "u1", "iat": int(time()), "exp": int(time()) + 600, **more}


def packed(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def unsigned(head: object) -> str:
    return f"{packed(head)}.{packed(claims())}."


REFUSED: dict[str, Callable[[], str]] = {
    "another secret": lambda: signed(SECRET + "x", claims()),
    "no signature": lambda: signed(SECRET, claims()).rpartition(".")[0] + ".",
    "alg none": lambda: unsigned({"alg": "none"}),
    "another algorithm, rightly signed": lambda: _other_algorithm(),
    "altered claims": lambda: _altered(),
    "expired": lambda: signed(SECRET, claims(exp=int(time()) - 1)),
    "longer than a day": lambda: signed(SECRET, claims(exp=int(time()) + 90_000)),
    "from the future": lambda: signed(SECRET, claims(iat=int(time()) + 3600, exp=int(time()) + 7200)),
    "no exp": lambda: signed(SECRET, {"sub": "u1", "iat": int(time())}),
    "exp as text": lambda: signed(SECRET, claims(exp="9999999999")),
    "no sub": lambda: signed(SECRET, claims(sub="")),
    "sub is a number": lambda: signed(SECRET, claims(sub=7)),
    "sub too long": lambda: signed(SECRET, claims(sub="x" * 200)),
    "not three parts": lambda: "a.b",
    "not base64": lambda: "a.b.c",
    "not ascii": lambda: "é.é.é",
    "huge": lambda: "a" * 9000 + ".b.c",
    "empty": lambda: "",
}


def _other_algorithm() -> str:
    text = f"{packed({'alg': 'HS512'})}.{packed(claims())}"
    mac = hmac.digest(SECRET.encode(), text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def _altered() -> str:
    head, _, tag = signed(SECRET, claims()).split(".")
    return f"{head}.{packed(claims(sub='u2'))}.{tag}"


async def test_a_login_that_does_not_hold_leaves_the_visitor_nobody(desk: Office) -> None:
    for what, made in REFUSED.items():
        visitor = await Visitor(desk).come()
        answer = await visitor.ask("POST", "identify", json={"identity": made()})
        assert (answer.status, bool(answer.json()["detail"])) == (403, True), what

    assert await events_of(desk) == []
    assert (await visitor.says("我还是能说话")).status == 201


async def test_a_good_login_is_evidence_and_its_repeat_changes_nothing(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    await visitor.says("你好")

    first = await visitor.signs_in("u1", name="王女士", phone="136 0001 0003")
    again = await visitor.signs_in("u1", name="王女士", phone="136 0001 0003")
    found = await events_of(desk)

    assert (first.status, again.status) == (200, 200)
    assert [e["kind"] for e in found] == ["message.text", "event.visitor.identified"]
    persons = (await desk.api("GET", "/persons", token="machine-admin")).json()["items"]
    assert [p["name"] for p in persons] == ["王女士"]


async def test_a_visitor_and_the_same_persons_wechat_stand_on_one_timeline(desk: Office) -> None:
    house = desk.service.house
    account = house.directory.by_slug("oa-a").account
    answer = {
        "openid": "oWeChat0000000000000000000001",
        "subscribe": 1,
        "nickname": "子涵妈妈",
        "unionid": "oU-one",
    }
    raw = profile_raw("oWeChat0000000000000000000001", "lane", answer, utcnow())
    await house.inbox.accept(account, (raw,), received_at=utcnow())
    await desk.hear("oa-a", "oWeChat0000000000000000000001", "公众号里问的")

    visitor = await Visitor(desk).come()
    await visitor.says("网站上问的")
    await visitor.signs_in("u1", unionid="oU-one")
    await desk.quiet()
    page = (await desk.ask("GET", f"/inbox/{await desk.cid('shop')}", who="rep")).text

    assert "公众号里问的" in page
    assert "网站上问的" in page
    assert "子涵妈妈" in page
    # The visitor's own page shows this site's talk alone.
    assert [i["text"] for i in await visitor.reads()] == ["网站上问的"]


async def test_somebody_else_on_the_same_device_gets_a_talk_of_their_own(desk: Office) -> None:
    browser = await Visitor(desk).come()
    await browser.says("我是甲")
    await browser.signs_in("u1", name="甲")

    answer = await browser.signs_in("u2", name="乙")
    await desk.quiet()
    read = await browser.reads()
    await browser.says("我是乙")
    await desk.quiet()
    persons = (await desk.api("GET", "/persons", token="machine-admin")).json()["items"]

    assert answer.json()["changed"]
    assert read == []
    assert sorted(p["name"] for p in persons) == ["乙", "甲"]


async def test_two_devices_of_one_login_are_one_person(desk: Office) -> None:
    phone, laptop = await Visitor(desk).come(), await Visitor(desk).come()
    await phone.says("手机上说的")
    await laptop.says("电脑上说的")

    await phone.signs_in("u1", name="王女士")
    await laptop.signs_in("u1", name="王女士")
    await desk.quiet()

    persons = (await desk.api("GET", "/persons", token="machine-admin")).json()["items"]
    assert [p["name"] for p in persons] == ["王女士"]


async def test_a_login_signed_for_one_site_is_no_login_on_another(desk: Office) -> None:
    await open_site(desk, "outlet", secret="another-secret-that-is-long-enough-too")
    visitor = await Visitor(desk, slug="outlet").come()

    assert (await visitor.signs_in("u1")).status == 403
    assert (await visitor.signs_in("u1", slug_secret="another-secret-that-is-long-enough-too")).status == 200


async def test_the_same_user_number_on_two_sites_is_two_people_unless_they_share_members(
    desk: Office,
) -> None:
    await open_site(desk, "outlet")
    one, two = await Visitor(desk).come(), await Visitor(desk, slug="outlet").come()
    await one.signs_in("u1", name="甲")
    await two.signs_in("u1", name="乙")
    await desk.quiet()

    persons = (await desk.api("GET", "/persons", token="machine-admin")).json()["items"]
    assert sorted(p["name"] for p in persons) == ["乙", "甲"]


async def test_a_name_that_is_markup_is_only_text(desk: Office) -> None:
    visitor = await Visitor(desk).come()
    await visitor.says("你好")
    await visitor.signs_in("u1", name='<script>alert(1)</script>"')
    await desk.quiet()

    html = (await desk.ask("GET", f"/inbox/{await desk.cid('shop')}", who="rep")).text

    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
