"""Claims and rulings over the API: who may claim for whom, who may decide, what a rep gets to see."""

from __future__ import annotations

from tests.web.office import Office

ME = {"phone": "13912345678", "name": "王伟"}


async def claim(desk: Office, who: str, key: str, **more: str) -> tuple[int, dict[str, object]]:
    once = {"Idempotency-Key": key}
    answer = await desk.api("POST", "/claims", token=who, json=ME | more, headers=once)
    return answer.status, answer.json()


async def test_a_rep_claims_for_themselves_and_once(desk: Office) -> None:
    status, made = await claim(desk, "rep", "k1")
    again, same = await claim(desk, "rep", "k1")
    bare = await desk.api("POST", "/claims", token="rep", json=ME)

    assert (status, again, bare.status) == (201, 201, 400)
    assert made["id"] == same["id"]
    assert made["claimant"]["kind"] == "rep"  # type: ignore[index]
    listed = (await desk.api("GET", "/claims", token="rep")).json()["items"]
    assert [c["id"] for c in listed] == [made["id"]]


async def test_a_rep_claims_for_nobody_else(desk: Office) -> None:
    status, problem = await claim(desk, "rep", "k2", claimant_kind="channel", claimant_id="链家")

    assert status == 400
    assert "自己" in str(problem["detail"])
    assert (await claim(desk, "lead", "k3", claimant_kind="channel", claimant_id="链家"))[0] == 201


async def test_a_rep_sees_nothing_of_another_team_s_claims(desk: Office) -> None:
    await claim(desk, "rep", "k4")

    seen = {who: (await desk.api("GET", "/claims", token=who)).json()["items"] for who in ("other", "rep")}

    assert seen["other"] == []
    assert len(seen["rep"]) == 1


async def test_a_number_that_is_none_is_refused_in_words(desk: Office) -> None:
    status, problem = await claim(desk, "lead", "k5", phone="138****12", claimant_kind="own")

    assert status == 400
    assert "138****1234" in str(problem["detail"])


async def test_deciding_is_not_a_rep_s(desk: Office) -> None:
    wanted = {"ruling_id": "x", "agree": True, "why": "我觉得应该判给我，理由如下。"}

    answers = {
        who: (await desk.api("POST", "/rulings/decide", token=who, json=wanted)).status
        for who in ("rep", "marketing", "lead", "compliance")
    }

    assert answers == {"rep": 403, "marketing": 403, "lead": 404, "compliance": 404}
