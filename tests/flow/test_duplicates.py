"""Whatever a platform repeats is on the timeline once; whatever somebody tampered with leaves no trace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from connectors.kit.codec import Codec
from connectors.kit.platform import Letter, Platform, xml
from tests.chaos.harness import AES_KEY, APP_ID, TOKEN
from tests.flow.stage import CORP_ID, KF, NOWHERE, OA, WECOM, Stage

DAYS = 3 * 86_400 * 1_000_000


# -- repeats -----------------------------------------------------------------------------------------------
async def official_account(stage: Stage) -> list[str]:
    """Everything a follower does; the kinds it becomes."""
    oa, persona = stage.oa, stage.persona("wechat_oa")
    await oa.meet(persona, stage.world.staff[0])
    await stage.world.say(persona, OA, "你好")
    await stage.world.say(persona, OA, "media-1", kind="image")
    await oa.scan(persona, "spring")
    await oa.click(persona, "V1")
    await oa.event(persona, "brand_new_event")
    await oa.leave(persona, stage.world.staff[0])
    return [
        "event.subscribe", "message.text", "message.image", "event.scan", "event.menu.click",
        "event.unknown", "event.unsubscribe",
    ]  # fmt: skip


async def customer_service(stage: Stage) -> list[str]:
    """Notices; the words behind them are fetched from the platform's log."""
    kf, persona, member = stage.kf, stage.persona("wecom_kf"), stage.world.staff[0]
    await kf.meet(persona, member)
    await stage.world.say(persona, KF, "你好")
    await stage.world.say(persona, KF, "在吗")
    await kf.take_over(persona, member)
    await kf.human_says(persona, member, "我来了")
    await kf.leave(persona, member)
    greeting = "message.text"
    return [
        "event.session.entered", "message.text", "message.text", "event.session.changed", "message.text",
        "event.session.changed", greeting,
    ]  # fmt: skip


async def wecom(stage: Stage) -> list[str]:
    """Contact events in all three shapes, and a word of our own staff."""
    hub, persona, member = stage.wecom, stage.persona("wecom_kf"), stage.world.staff[0]
    await hub.add(persona, member)
    await hub.add(persona, stage.world.staff[1], form="isv")
    await hub.add(persona, stage.world.staff[2], form="json")
    await hub.edit(persona, member)
    await hub.staff_says(member, "打卡")
    await hub.contact_event(persona, member, "brand_new_change")
    await hub.drop(persona, member)
    # The profile names those who still follow; each of the three codes is good for one greeting.
    return ["event.contact.added"] * 3 + [
        "event.contact.edited", "message.text", "event.unknown", "event.contact.removed",
    ] + ["event.contact.followed"] * 2 + ["message.text"] * 3  # fmt: skip


async def kept(stage: Stage) -> list[tuple[object, ...]]:
    """Everything stored about what happened, without when we stored it."""
    return await stage.rows(
        "SELECT 'event', account_id, source_key, version, kind, text FROM event UNION ALL "
        "SELECT 'seen', account_id, source_key, 0, '', '' FROM seen UNION ALL "
        "SELECT 'inbox', account_id, source_key, 0, state, '' FROM inbox UNION ALL "
        "SELECT 'outbox', account_id, key, 0, kind, state FROM outbox ORDER BY 1, 2, 3, 4"
    )


async def let_days_pass(stage: Stage) -> None:
    """Move all we stored three days into the past: the callbacks come again, signed today."""
    for change in (
        f"UPDATE inbox SET received_at = received_at - {DAYS}, next_at = next_at - {DAYS}",
        f"UPDATE event SET stored_at = stored_at - {DAYS}",
        f"UPDATE outbox SET created_at = created_at - {DAYS}, updated_at = updated_at - {DAYS}",
    ):
        await stage.change(change)


@pytest.mark.parametrize(
    ("slug", "happens"), [(OA, official_account), (KF, customer_service), (WECOM, wecom)]
)
async def test_every_callback_three_times_at_once_and_again_days_later_is_one_row(
    stage: Stage, slug: str, happens: Callable[[Stage], Awaitable[list[str]]]
) -> None:
    platform = stage.platform(slug)
    ours, platform.hooks_url = platform.hooks_url, NOWHERE
    expected = await happens(stage)
    count = len(platform.deliveries)
    platform.hooks_url = ours

    at_once = await platform.resend(count, times=3, fresh_signature=False)
    await stage.quiet()
    first, rang = await kept(stage), len(stage.world.received(stage.persona("wecom_kf")))
    await let_days_pass(stage)
    later = await platform.resend(count, times=3)
    await stage.quiet()

    assert set(at_once) | set(later) == {200}
    assert sorted(await stage.kinds(slug)) == sorted(expected)
    assert await kept(stage) == first
    assert len(stage.world.received(stage.persona("wecom_kf"))) == rang


async def test_a_lost_cursor_reads_everything_again_and_adds_nothing(stage: Stage) -> None:
    await customer_service(stage)
    await stage.quiet()
    first = [row for row in await kept(stage) if row[0] != "seen"]
    await stage.change("UPDATE cursor SET cursor = ''")
    asked = stage.kf.calls["kf/sync_msg"]

    await stage.kf.notify()
    await stage.quiet()

    again = [row for row in await kept(stage) if row[0] != "seen"]
    assert stage.kf.calls["kf/sync_msg"] > asked
    assert [row for row in again if row[0] in {"event", "outbox"}] == [
        row for row in first if row[0] in {"event", "outbox"}
    ]
    assert len(again) == len(first) + 1  # the notice itself


async def test_another_message_with_the_same_words_is_another_message(stage: Stage) -> None:
    persona = stage.persona("wechat_oa")

    await stage.world.say(persona, OA, "在吗")
    await stage.world.say(persona, OA, "在吗")
    await stage.quiet()

    assert await stage.kinds(OA) == ["message.text", "message.text"]


# -- tampering ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Forged:
    name: str
    query: Mapping[str, str]
    body: bytes


def flipped(text: str, place: int) -> str:
    """One bit of one character changed, still printable."""
    return text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]


def flips(letter: Letter) -> Iterator[Forged]:
    """One bit of everything the signature covers."""
    for field in ("msg_signature", "timestamp", "nonce"):
        value = letter.query[field]
        for place in range(len(value)):
            query = {**letter.query, field: flipped(value, place)}
            yield Forged(name=f"{field}[{place}]", query=query, body=letter.body)
    start = letter.body.index(b"CDATA[", letter.body.index(b"<Encrypt>")) + 6
    end = letter.body.index(b"]]>", start)
    for place in range(start, end, 5):
        body = letter.body[:place] + bytes([letter.body[place] ^ 1]) + letter.body[place + 1 :]
        yield Forged(name=f"body[{place - start}]", query=letter.query, body=body)


def forgeries(platform: Platform, letter: Letter) -> Iterator[Forged]:
    """What somebody without our token and key can send, having seen one real callback."""
    for field in letter.query.keys() & {"msg_signature", "timestamp"}:
        rest = {k: v for k, v in letter.query.items() if k != field}
        yield Forged(name=f"no {field}", query=rest, body=letter.body)
        yield Forged(name=f"empty {field}", query={**rest, field: ""}, body=letter.body)
    other = platform.seal(letter.plain + b" ", "xml", letter.receive_id, letter.extra)
    yield Forged(name="another's signature", query=letter.query, body=other.body)
    yield Forged(name="not encrypted", query=letter.query, body=letter.plain)
    yield Forged(name="nothing", query={}, body=b"")
    for name, codec, to in (
        ("another token", Codec("guessed", AES_KEY, frozenset({"x"})), letter.receive_id),
        ("another receiver", Codec(TOKEN, AES_KEY, frozenset({"x"})), "wx-somebody-else"),
        ("another key", Codec(TOKEN, "A" * 43, frozenset({"x"})), letter.receive_id),
    ):
        encrypt = codec.encrypt(letter.plain, receive_id=to, salt=b"0123456789abcdef")
        signature = codec.signature(letter.query["timestamp"], letter.query["nonce"], encrypt)
        query = {**letter.query, "msg_signature": signature}
        yield Forged(name=name, query=query, body=xml({"ToUserName": to, "Encrypt": encrypt}).encode())


def untimely(stage: Stage, platform: Platform, letter: Letter) -> Iterator[Forged]:
    """Rightly signed, but long ago or far ahead."""
    for ahead_s in (-86_400, -660, 660, 86_400):
        stage.world.advance(ahead_s)
        old = platform.seal(letter.plain, "xml", letter.receive_id, letter.extra)
        stage.world.advance(-ahead_s)
        yield Forged(name=f"{ahead_s} s", query=old.query, body=old.body)


def real(stage: Stage, slug: str) -> tuple[Platform, Letter]:
    """One callback of each channel, not yet delivered."""
    platform = stage.platform(slug)
    now = int(stage.world.time())
    common = {"ToUserName": "us", "FromUserName": "o-somebody", "CreateTime": now}
    fields = {
        OA: {**common, "MsgType": "text", "Content": "你好", "MsgId": 1},
        KF: {**common, "MsgType": "event", "Event": "kf_msg_or_event", "OpenKfId": stage.kf.open_kfid},
        WECOM: {**common, "MsgType": "event", "Event": "change_external_contact", "ChangeType": "x"},
    }[slug]
    letter = platform.seal(xml(fields).encode(), "xml", APP_ID if slug == OA else CORP_ID, {})
    return platform, letter


async def status_of(stage: Stage, slug: str, call: Forged) -> int:
    url = f"{stage.api.url}/hooks/{slug}"
    async with stage.api.http.post(url, params=call.query, data=call.body) as answer:
        return answer.status


@pytest.mark.parametrize("slug", [OA, KF, WECOM])
async def test_a_forged_altered_or_untimely_callback_is_refused_and_leaves_no_row(
    stage: Stage, slug: str
) -> None:
    platform, letter = real(stage, slug)
    bad = [*flips(letter), *forgeries(platform, letter), *untimely(stage, platform, letter)]

    answers = {call.name: await status_of(stage, slug, call) for call in bad}
    rows = await stage.rows("SELECT count(*) FROM seen UNION ALL SELECT count(*) FROM inbox")
    good = await status_of(stage, slug, Forged(name="good", query=letter.query, body=letter.body))
    await stage.quiet()

    assert len(answers) == len(bad) > 100
    assert {name: status for name, status in answers.items() if status not in {400, 403}} == {}
    assert rows == [(0,), (0,)]
    assert good == 200  # the very callback all of these were made from
    assert await stage.rows("SELECT count(*) FROM seen") == [(1,)]


async def test_the_very_same_bytes_again_are_welcome_and_add_nothing(stage: Stage) -> None:
    _, letter = real(stage, OA)
    same = Forged(name="same", query=letter.query, body=letter.body)

    statuses = [await status_of(stage, OA, same) for _ in range(3)]
    await stage.quiet()

    assert statuses == [200, 200, 200]
    assert await stage.kinds(OA) == ["message.text"]
    assert await stage.rows("SELECT count(*) FROM seen WHERE source_key = 'msg:1'") == [(1,)]
