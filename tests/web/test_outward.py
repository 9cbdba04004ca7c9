"""Out again as people see it: the sentence under the box, a better time, taking back, opting out and in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from scrm.db import utcnow
from scrm.desk.calendar.rules import ZONE
from tests.web.office import Office, office

_ANNA = "oAnna0000000000000000000001"


def around(now: datetime) -> str:
    """Quiet hours that hold now and for two hours more."""
    local = now.astimezone(ZONE)
    return f"{local - timedelta(hours=1):%H:%M}-{local + timedelta(hours=2):%H:%M}"


@pytest.fixture
async def night(tmp_path: Path) -> AsyncIterator[Office]:
    """An office in whose quiet hours we are."""
    async with office(tmp_path, quiet_hours=around(utcnow())) as made:
        yield made


@pytest.fixture
async def day(tmp_path: Path) -> AsyncIterator[Office]:
    """An office that has no quiet hours."""
    async with office(tmp_path, quiet_hours="") as made:
        yield made


async def asked(desk: Office, *more: str) -> str:
    for text in ("你们的课多少钱？", *more):
        await desk.hear("oa-a", _ANNA, text)
    await desk.quiet()
    return await desk.cid("oa-a")


async def shown(desk: Office, cid: str, who: str = "rep") -> str:
    return (await desk.ask("GET", f"/s/c/{cid}", who=who)).text


async def test_the_composer_says_how_the_next_answer_goes_out(day: Office) -> None:
    cid = await asked(day)

    page = (await day.ask("GET", f"/inbox/{cid}", who="rep")).text

    assert "将通过 公众号 发出。平台还允许 5 条。" in page
    assert "今天还可营销 1 次。" in page
    assert "改为" not in (await day.ask("GET", f"/inbox/{cid}/bubbles", who="rep")).text


async def test_at_night_the_morning_is_offered_unless_the_customer_waits(night: Office) -> None:
    cid = await asked(night)
    assert "改为" not in (await night.ask("GET", f"/inbox/{cid}/bubbles", who="rep")).text

    assert (await night.push("rep", cid, "您好")).status == 201
    page = (await night.ask("GET", f"/inbox/{cid}/bubbles", who="rep")).text

    assert "改为" in page
    assert "现在是免打扰时段，客户没有在等回复" in page


async def test_what_is_sent_later_waits_and_is_taken_back(night: Office) -> None:
    cid = await asked(night)
    later = (utcnow() + timedelta(hours=2)).isoformat()
    form = {"key": "later-key-1", "text": "明早联系您", "at": later}
    assert (await night.ask("POST", f"/s/c/{cid}/send", who="rep", data=form)).status == 303

    page = (await night.ask("GET", f"/inbox/{cid}/bubbles", who="rep")).text
    assert "取消发送" in page
    assert 'data-state="queued"' in page
    pushes = (await night.api("GET", "/pushes", token="machine-admin")).json()["items"]
    assert pushes[0]["planned_at"] is not None

    timeline = (await night.ask("GET", f"/s/c/{cid}/timeline", who="rep")).text
    local, today = pushes[0]["planned_at"], utcnow().astimezone(ZONE).date()
    moment = datetime.fromisoformat(local).astimezone(ZONE)
    word = "今天" if moment.date() == today else "明天"
    for shown_ in (page, timeline):
        assert f"{word} {moment:%H:%M} 发出" in shown_
        assert "取消发送" in shown_

    event = pushes[0]["event_id"]
    unsend = f"/s/c/{cid}/unsend"
    assert (await night.ask("POST", unsend, who="peer", data={"event": event})).status == 404
    assert (await night.ask("POST", unsend, who="rep", data={"event": event})).status == 303
    assert (await night.ask("POST", unsend, who="rep", data={"event": event})).status == 409
    pushes = (await night.api("GET", "/pushes", token="machine-admin")).json()["items"]
    assert (pushes[0]["state"], pushes[0]["code"]) == ("dead", "called_off")
    assert "取消发送" not in (await night.ask("GET", f"/inbox/{cid}/bubbles", who="rep")).text


@pytest.mark.parametrize("at", ["yesterday", "2026-11-22T08:30", "2020-01-01T08:30:00+08:00"])
async def test_a_time_that_cannot_be_is_refused(day: Office, at: str) -> None:
    cid = await asked(day)
    form = {"key": "later-key-1", "text": "您好", "at": at}

    assert (await day.ask("POST", f"/s/c/{cid}/send", who="rep", data=form)).status == 400


async def test_who_opted_out_is_shown_and_only_a_lead_lets_them_in_again(day: Office) -> None:
    cid = await asked(day)
    assert (await day.push("rep", cid, "您好")).status == 201
    await day.hear("oa-a", _ANNA, "退订")
    await day.quiet()
    consent, again = f"/s/c/{cid}/consent", {"state": "granted"}

    page = await shown(day, cid)
    assert "已退订营销" in page
    assert "客户发送“退订”" in page
    assert "恢复营销消息" not in page
    assert (await day.ask("POST", consent, who="rep", data=again)).status == 403
    assert "恢复营销消息" in await shown(day, cid, "lead")
    assert (await day.ask("POST", consent, who="lead", data=again)).status == 303

    assert "已退订营销" not in await shown(day, cid)
    assert (await day.ask("POST", consent, who="rep", data={"state": "withdrawn"})).status == 303
    assert "同事登记" in await shown(day, cid)


# -- the API -----------------------------------------------------------------------------------------------
async def preview(desk: Office, **body: object) -> dict[str, object]:
    answer = await desk.api("POST", "/pushes/preview", token="machine-admin", json=body)
    assert answer.status == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


async def test_the_preview_is_what_sending_does(day: Office) -> None:
    cid = await asked(day)
    talks = (await day.api("GET", "/conversations", token="machine-admin")).json()["items"]
    person = next(t["person_id"] for t in talks if t["id"] == cid)
    ad = {"person_id": person, "text": "春季班", "purpose": "marketing"}

    first = await preview(day, **ad)
    assert (first["sends"], first["wait_until"], first["conversation_id"]) == (True, None, cid)
    sent = await day.api(
        "POST", "/pushes", token="machine-admin", json=ad, headers={"Idempotency-Key": "ad-1"}
    )
    assert sent.status == 201
    assert sent.json()["planned_at"] is None

    second = await preview(day, **ad)
    planned = await day.api(
        "POST", "/pushes", token="machine-admin", json=ad, headers={"Idempotency-Key": "ad-2"}
    )
    wait = datetime.fromisoformat(str(second["wait_until"]))
    assert datetime.fromisoformat(planned.json()["planned_at"]) == wait

    await day.api(
        "POST", "/consents", token="machine-admin", json={"person_id": person, "state": "withdrawn"}
    )
    third = await preview(day, **ad)
    refused = await day.api(
        "POST", "/pushes", token="machine-admin", json=ad, headers={"Idempotency-Key": "ad-3"}
    )
    assert (third["sends"], third["code"]) == (False, "consent")
    assert (refused.status, refused.json()["detail"]) == (409, third["why"])


async def test_a_card_is_previewed_as_what_the_channel_makes_of_it(day: Office) -> None:
    cid = await asked(day)
    card = {"title": "课程表", "description": "春季班", "url": "https://a.cn/k"}

    found = await preview(day, conversation_id=cid, card=card)

    assert found["sends"]
    template = await preview(day, conversation_id=cid, card={"template_id": "t"}, form="template")
    assert found["pieces"]
    assert isinstance(template["rules"], list)


@pytest.mark.parametrize("body", [{}, {"conversation_id": "x", "person_id": "y"}])
async def test_a_push_goes_to_one_conversation_or_one_person(day: Office, body: dict[str, str]) -> None:
    answer = await day.api("POST", "/pushes/preview", token="machine-admin", json=body | {"text": "x"})

    assert answer.status == 400


async def test_a_rep_reaches_only_whom_they_may_see(day: Office) -> None:
    cid = await asked(day)
    assert (await day.push("rep", cid, "您好")).status == 201
    talks = (await day.api("GET", "/conversations", token="machine-admin")).json()["items"]
    person = next(t["person_id"] for t in talks if t["id"] == cid)
    body = {"person_id": person, "text": "x"}

    assert (await day.api("POST", "/pushes/preview", token="rep", json=body)).status == 200
    assert (await day.api("POST", "/pushes/preview", token="peer", json=body)).status == 404
    asked_out = {"person_id": person, "state": "withdrawn"}
    assert (await day.api("POST", "/consents", token="rep", json=asked_out)).status == 201
    assert (await day.api("GET", "/consents", token="rep")).json()["items"]
    assert (await day.api("GET", "/consents", token="peer")).json()["items"] == []
    of_person = {"person_id": person}
    assert (await day.api("GET", "/consents", token="peer", params=of_person)).status == 404


async def test_the_calendar_is_read_and_written(day: Office) -> None:
    body = {"first": "2026-12-24", "last": "2026-12-25", "kind": "holiday", "name": "圣诞"}
    assert (await day.api("POST", "/calendar", token="machine-admin", json=body)).status == 201

    found = (await day.api("GET", "/calendar", token="machine-admin", params={"first": "2026-12-01"})).json()

    days = {d["day"]: d for d in found["days"]}
    assert (days["2026-12-25"]["name"], days["2026-12-25"]["ours"]) == ("圣诞", True)
    assert days["2027-01-01"]["ours"] is False
    wrong = await day.api("GET", "/calendar", token="machine-admin", params={"first": "soon"})
    assert wrong.status == 400
    usual = body | {"kind": "usual"}
    assert (await day.api("POST", "/calendar", token="machine-admin", json=usual)).status == 201
    after = (await day.api("GET", "/calendar", token="machine-admin", params={"first": "2026-12-01"})).json()
    assert "2026-12-25" not in {d["day"] for d in after["days"]}


async def test_copies_of_a_push_sent_at_once_are_one(day: Office) -> None:
    cid = await asked(day)
    body = {"conversation_id": cid, "text": "好", "purpose": "service"}
    answers = await asyncio.gather(
        *(
            day.api("POST", "/pushes", token="machine-admin", json=body, headers={"Idempotency-Key": "same"})
            for _ in range(4)
        )
    )

    assert {a.json()["id"] for a in answers} == {answers[0].json()["id"]}
