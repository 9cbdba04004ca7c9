"""The doors for apps of a running server: packed bodies, bombs, sizes, and browsers."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from tests.clients.yard import APP, OA, SENSE, WRITE_KEY, Yard

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = {"Authorization": "Basic " + base64.b64encode(f"{WRITE_KEY}:".encode()).decode()}


async def ask(yard: Yard, path: str, body: bytes, **headers: str) -> tuple[int, str, str]:
    url = f"{yard.url}/hooks/{path}"
    # A refusal may leave the body unread and end the connection.
    async with yard.http.post(url, data=body, headers={**KEY, "Connection": "close", **headers}) as answer:
        return answer.status, answer.headers.get("Content-Type", ""), await answer.text()


def track(number: int, **more: Any) -> bytes:
    event = {"userId": "d1", "event": "Order Completed", "messageId": f"door-{number}", **more}
    return json.dumps(event).encode()


async def test_an_answer_is_segment_s(grounds: Yard) -> None:
    answer = await ask(grounds, f"{APP}/v1/track", track(1))

    assert answer == (200, "application/json", '{"success":true}')


async def test_a_packed_body_is_taken_at_this_door_and_at_no_other(grounds: Yard) -> None:
    packed = gzip.compress(track(2))

    assert (await ask(grounds, f"{APP}/v1/track", packed, **{"Content-Encoding": "gzip"}))[0] == 200
    assert (await ask(grounds, f"{APP}/v1/track", packed, **{"Content-Encoding": "deflate"}))[0] == 415
    assert (await ask(grounds, OA, packed, **{"Content-Encoding": "gzip"}))[0] == 415


async def test_a_bomb_is_put_out_at_the_door(grounds: Yard) -> None:
    bomb = gzip.compress(b'{"userId":"' + b" " * (200 * 1024 * 1024) + b'"}')
    assert len(bomb) < 512 * 1024

    status, _, _ = await ask(grounds, f"{APP}/v1/track", bomb, **{"Content-Encoding": "gzip"})

    assert status == 413


async def test_what_is_packed_badly_is_no_reason_to_fail(grounds: Yard) -> None:
    bad = gzip.compress(track(3))[:-9] + b"garbage.."

    status, _, _ = await ask(grounds, f"{APP}/v1/track", bad, **{"Content-Encoding": "gzip"})

    assert 400 <= status < 500


async def test_a_batch_that_is_too_large_is_told_so_in_words(grounds: Yard) -> None:
    batch = [json.loads(track(n, type="track", x="y" * 30_000)) for n in range(100, 118)]

    status, kind, said = await ask(grounds, f"{APP}/v1/batch", json.dumps({"batch": batch}).encode())

    assert (status, kind.partition(";")[0]) == (400, "application/json")
    assert "500 KB" in json.loads(said)["message"]
    assert not any("door-100" in e["source_key"] for e in await grounds.events(APP))


async def test_an_image_in_a_page_reports_too(grounds: Yard) -> None:
    event = {"type": "track", "distinct_id": "pixel", "event": "PayOrder", "time": 1, "properties": {}}
    data = base64.b64encode(json.dumps(event).encode()).decode()
    url = grounds.sa_url().replace("/sa?", "/sa.gif?")

    async with grounds.http.get(url, params={"data": data}) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/gif")
        assert (await answer.read()).startswith(b"GIF89a")

    assert "PayOrder" in await grounds.timeline(await grounds.person("app_anon", "pixel"))
    assert "PayOrder" in [e["text"] for e in await grounds.events(SENSE)]
