"""Tracking libraries as their authors published them: their events are on the right timeline, once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.clients.yard import APP, SENSE, WRITE_KEY, Forgetful, Yard

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Each test has users of its own.
DEVICE = "5f0c1f9e-2f0a-4f5d-9b1a-0000000000{n:02}"


def segment_calls(user: str, device: str) -> list[dict[str, Any]]:
    """One customer from an unknown device to a purchase, as both Segment libraries take it."""
    return [
        {"do": "page", "anonymous_id": device, "name": f"课程详情 {user}", "properties": {"path": "/c/12"}},
        {"do": "track", "anonymous_id": device, "event": "Trial Booked", "properties": {"course": "编程"}},
        {
            "do": "identify",
            "user_id": user,
            "anonymous_id": device,
            "traits": {"name": f"家长 {user}", "phone": f"+86139{user[1:]:>08}"},
        },
        {
            "do": "track",
            "user_id": user,
            "event": "Order Completed",
            "properties": {"order_id": f"S-{user}", "total": 1280},
        },
        {"do": "group", "user_id": user, "group_id": "class-3-2", "traits": {"name": "三年级二班"}},
        {"do": "screen", "user_id": user, "name": f"我的课程 {user}"},
        {"do": "alias", "previous_id": f"old-{user}", "user_id": user},
    ]


def in_node(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with the names of the Node library."""
    names = {
        "anonymous_id": "anonymousId",
        "user_id": "userId",
        "group_id": "groupId",
        "previous_id": "previousId",
    }
    return [{names.get(k, k): v for k, v in call.items()} for call in calls]


async def one_household_s_events(yard: Yard, user: str, device: str) -> None:
    """Device and user are one person, whose timeline says what they did and nothing twice."""
    person = await yard.person("app_user", user)
    assert {n["value"] for n in person["nodes"] if n["kind"] == "app_anon"} == {device, f"old-{user}"}
    assert person["name"] == f"家长 {user}"
    assert {n["kind"] for n in person["nodes"]} >= {"app_user", "app_anon", "phone"}
    assert sorted(await yard.timeline(person)) == sorted(
        ["预约试听（课程：编程）", f"完成订单（订单号：S-{user}，金额：1280）"]
    )
    assert yard.counted(f"浏览「课程详情 {user}」") == 1
    assert yard.counted(f"浏览「我的课程 {user}」") == 1
    kinds = Counter(
        e["kind"] for e in await yard.events(APP) if user in str(e["body"]) or device in str(e["body"])
    )
    assert kinds == Counter(
        {
            "event.app.track": 2,
            "event.app.page": 1,
            "event.app.screen": 1,
            "event.app.identify": 1,
            "event.app.group": 1,
            "event.app.alias": 1,
        }
    )
    assert yard.quarantined() == []


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
async def test_segment_s_python_library(grounds: Yard, gzip: bool) -> None:
    user, device = f"u{101 + gzip}", DEVICE.format(n=1 + gzip)
    given = {"write_key": WRITE_KEY, "host": f"{grounds.url}/hooks/{APP}", "gzip": gzip}

    await grounds.program("segment_python", given | {"calls": segment_calls(user, device)})

    await one_household_s_events(grounds, user, device)


async def test_segment_s_python_library_that_hears_no_answer_and_sends_again(grounds: Yard) -> None:
    user, device = "u103", DEVICE.format(n=3)
    async with Forgetful(grounds.server.port).running() as line:
        given = {"write_key": WRITE_KEY, "host": f"{line.url}/hooks/{APP}", "gzip": True}
        await grounds.program("segment_python", given | {"calls": segment_calls(user, device)})

    assert line.answers["lost"] == 1
    assert line.answers["kept"] >= 1
    await one_household_s_events(grounds, user, device)


async def test_segment_s_python_library_is_told_when_its_key_is_wrong(grounds: Yard) -> None:
    given = {"write_key": "wk-somebody-elses", "host": f"{grounds.url}/hooks/{APP}", "gzip": False}

    with pytest.raises(AssertionError, match="403"):
        await grounds.program("segment_python", given | {"calls": segment_calls("u104", DEVICE.format(n=4))})

    assert [e for e in await grounds.events(APP) if "u104" in str(e["body"])] == []


async def test_segment_s_node_library(grounds: Yard, node: Path) -> None:
    user, device = "u105", DEVICE.format(n=5)
    given = {"write_key": WRITE_KEY, "host": grounds.url, "path": f"/hooks/{APP}/v1/batch"}

    await grounds.program("segment_node", given | {"calls": in_node(segment_calls(user, device))}, node=node)

    await one_household_s_events(grounds, user, device)


async def test_segment_s_node_library_that_hears_no_answer_and_sends_again(grounds: Yard, node: Path) -> None:
    user, device = "u106", DEVICE.format(n=6)
    async with Forgetful(grounds.server.port).running() as line:
        given = {"write_key": WRITE_KEY, "host": line.url, "path": f"/hooks/{APP}/v1/batch"}
        calls = in_node(segment_calls(user, device))
        await grounds.program("segment_node", given | {"calls": calls}, node=node)

    assert line.answers["lost"] == 1
    assert line.answers["kept"] >= 1
    await one_household_s_events(grounds, user, device)


def sensors_calls(user: str, device: str) -> list[dict[str, Any]]:
    """From the device to a purchase, as the Python SDK takes it."""
    return [
        {"do": "track", "distinct_id": device, "event_name": "TrialBooked", "properties": {"course": "编程"}},
        {"do": "track", "distinct_id": device, "event_name": f"View_{user}", "properties": {}},
        {"do": "track_signup", "distinct_id": user, "original_id": device, "properties": {}},
        {
            "do": "track",
            "distinct_id": user,
            "event_name": "PayOrder",
            "properties": {"order_id": f"S-{user}", "amount": 1280},
            "is_login_id": True,
        },
        {
            "do": "profile_set",
            "distinct_id": user,
            "profiles": {"$name": f"家长 {user}", "phone": f"+86138{user[1:]:>08}"},
            "is_login_id": True,
        },
        {"do": "profile_increment", "distinct_id": user, "profiles": {"lessons": 1}, "is_login_id": True},
        {"do": "item_set", "item_type": "course", "item_id": f"c-{user}", "properties": {"name": "编程"}},
    ]


async def one_signed_up_customer(yard: Yard, user: str, device: str, *, items: int = 1) -> None:
    person = await yard.person("app_user", user)
    assert {n["value"] for n in person["nodes"] if n["kind"] == "app_anon"} == {device, user}
    assert sorted(await yard.timeline(person)) == sorted(
        ["TrialBooked（课程：编程）", "注册或登录", f"PayOrder（订单号：S-{user}，金额：1280）"]
    )
    assert person["name"] == f"家长 {user}"
    assert yard.counted(f"View_{user}") == 1
    kinds = Counter(
        e["kind"] for e in await yard.events(SENSE) if user in str(e["body"]) or device in str(e["body"])
    )
    assert kinds == Counter(
        {
            "event.app.track": 3,
            "event.app.signup": 1,
            "event.app.profile_set": 1,
            "event.app.profile_increment": 1,
            "event.unknown": items,
        }
    )
    assert yard.quarantined() == []


@pytest.mark.parametrize("batch", [False, True], ids=["one by one", "in batches"])
async def test_the_sensors_python_sdk(grounds: Yard, batch: bool) -> None:
    user, device = f"u{201 + batch}", f"5d2a91f0c44d7e{batch:02}"
    calls = sensors_calls(user, device)

    await grounds.program("sensors_python", {"url": grounds.sa_url(), "batch": batch, "calls": calls})

    await one_signed_up_customer(grounds, user, device)


async def test_the_sensors_python_sdk_that_hears_no_answer_and_sends_again(grounds: Yard) -> None:
    user, device = "u203", "5d2a91f0c44d7e03"
    async with Forgetful(grounds.server.port).running() as line:
        given = {"url": grounds.sa_url(line.url), "batch": True, "calls": sensors_calls(user, device)}
        await grounds.program("sensors_python", given)

    assert line.answers["lost"] == 1
    assert line.answers["kept"] >= 1
    await one_signed_up_customer(grounds, user, device)


async def test_the_sensors_python_sdk_is_told_when_its_token_is_wrong(grounds: Yard) -> None:
    given = {
        "url": grounds.sa_url().replace("token=", "token=x"),
        "batch": False,
        "calls": sensors_calls("u204", "d4"),
    }

    with pytest.raises(AssertionError, match="403"):
        await grounds.program("sensors_python", given)

    assert [e for e in await grounds.events(SENSE) if "u204" in str(e["body"])] == []


def sensors_calls_in_node(user: str, device: str) -> list[list[Any]]:
    """This SDK never says that an id is a login."""
    return [
        ["track", device, "TrialBooked", {"course": "编程"}],
        ["track", device, f"View_{user}", {}],
        ["trackSignup", user, device, {}],
        ["track", user, "PayOrder", {"order_id": f"S-{user}", "amount": 1280}],
        ["profileSet", user, {"$name": f"家长 {user}", "phone": f"+86137{user[1:]:>08}"}],
        ["profileIncrement", user, {"lessons": 1}],
        ["itemSet", "course", f"c-{user}", {"name": "编程"}],
    ]


async def test_the_sensors_node_sdk(grounds: Yard, node: Path) -> None:
    user, device = "u205", "5d2a91f0c44d7e05"
    calls, before = sensors_calls_in_node(user, device), grounds.taken()

    await grounds.program(
        "sensors_node",
        {"url": grounds.sa_url(), "calls": calls},
        node=node,
        done=lambda: grounds.taken() >= before + len(calls),
    )

    await one_signed_up_customer(grounds, user, device)


async def test_the_sensors_node_sdk_that_hears_no_answer_and_sends_again_from_its_cache(
    grounds: Yard, node: Path, tmp_path: Path
) -> None:
    user, device = "u206", "5d2a91f0c44d7e06"
    async with Forgetful(grounds.server.port).running() as line:
        given = {"url": grounds.sa_url(line.url), "cache": str(tmp_path)}
        calls, kept = sensors_calls_in_node(user, device), tmp_path / "salog.db"
        await grounds.program(
            "sensors_node",
            given | {"calls": calls},
            node=node,
            done=lambda: kept.exists() and user in kept.read_text("utf-8"),
        )
        # It looks into its cache once, two seconds after it starts.
        await grounds.program(
            "sensors_node", given | {"calls": []}, node=node, done=lambda: line.answers["kept"] >= 1
        )

    assert line.answers["lost"] == 1
    assert line.answers["kept"] >= 1
    await one_signed_up_customer(grounds, user, device)
