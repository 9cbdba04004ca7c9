"""What was sent is recognised however it was sent, what came of it is kept once, counts come from facts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from scrm.db import Conn, Database
from scrm.errors import BadInput, Conflict, NotFound
from scrm.playbook import store as suggestions
from scrm.playbook.effect import service, store
from scrm.playbook.effect.rules import Goal, arm_of
from scrm.playbook.effect.service import Priors, Reached, Sent
from scrm.playbook.effect.store import trials
from scrm.playbook.ranking import Suggestion
from scrm.playbook.store import Made, Offer
from tests.ground import NOW, later

TALK, OTHER, MOTHER, FATHER = 6, 7, 71, 72
TEXTS = {
    "edu.a": "周六下午三点的试听给您留好了，到了找前台就行。",
    "edu.b": "年课现在有 8.5 折，要不要我算给您看？",
}


def text_of(offer: Offer) -> str:
    return TEXTS.get(offer.script_id, "说点别的什么吧，和上面都不一样")


async def offer(
    conn: Conn, event_id: int, *ids: str, talk: int = TALK, node: int = MOTHER, **more: object
) -> dict[str, int]:
    """By script, the suggestion."""
    ranked = [Suggestion(script_id=i, version=1, score=1.0, reason="因为") for i in ids]
    made = Made(
        conversation_id=talk, event_id=event_id, ranked=ranked, stage="trial", role="buyer", node_id=node,
        **more,  # type: ignore[arg-type]
    )  # fmt: skip
    await suggestions.save_all(conn, [made], now=NOW)
    return {o.script_id: o.suggestion_id for o in await suggestions.latest(conn, talk)}


def said(text: str, *, at_s: float = 60, event_id: int = 900, talk: int = TALK) -> Sent:
    return Sent(event_id=event_id, conversation_id=talk, at=later(at_s), text=text, staff_id=3)


async def states(conn: Conn) -> dict[str, tuple[str, int | None]]:
    offers = await suggestions.page(conn, conversation_id=None, before=None, limit=99)
    return {o.script_id: (o.state, o.distance) for o in offers}


# -- adoption ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "a", "b"),
    [
        # typed as suggested, with a word changed, made something else of, and something else altogether
        (TEXTS["edu.a"], ("used", 0), ("ignored", None)),
        ("周六下午四点的试听给您留好了，到了找前台就行。", ("edited", 43), ("ignored", None)),
        ("在的，您说", ("ignored", None), ("ignored", None)),
        ("好的", ("ignored", None), ("ignored", None)),
    ],
)
async def test_what_was_typed_by_hand_is_recognised_by_its_words(
    database: Database, words: str, a: tuple[str, int | None], b: tuple[str, int | None]
) -> None:
    async with database.begin(1) as conn:
        await offer(conn, 1, "edu.a", "edu.b")
        for _ in range(2):  # a replay changes nothing
            await service.heed(conn, [said(words)], text_of)

        assert await states(conn) == {"edu.a": a, "edu.b": b}


async def test_what_was_sent_from_its_card_is_that_one_however_much_was_changed(database: Database) -> None:
    async with database.begin(1) as conn:
        made = await offer(conn, 1, "edu.a", "edu.b")
        await suggestions.mark_used(conn, made["edu.b"], event_id=900, staff_id=3, now=later(60))
        await service.heed(conn, [said(TEXTS["edu.a"])], text_of)

        found = await states(conn)
        assert found["edu.a"] == ("ignored", None)
        assert found["edu.b"][0] == "edited"
        assert (found["edu.b"][1] or 0) > 500


async def test_a_word_in_between_does_not_hide_what_is_sent_next(database: Database) -> None:
    async with database.begin(1) as conn:
        await offer(conn, 1, "edu.a", "edu.b")
        await service.heed(conn, [said("稍等，我看看时间表", event_id=900)], text_of)
        await service.heed(conn, [said(TEXTS["edu.a"], at_s=90, event_id=901)], text_of)

        assert await states(conn) == {"edu.a": ("used", 0), "edu.b": ("ignored", None)}


async def test_what_was_said_elsewhere_or_before_or_much_later_is_no_adoption(database: Database) -> None:
    async with database.begin(1) as conn:
        await offer(conn, 1, "edu.a")
        await service.heed(
            conn,
            [
                said(TEXTS["edu.a"], talk=OTHER),
                said(TEXTS["edu.a"], at_s=-60, event_id=901),
                said(TEXTS["edu.a"], at_s=90_000, event_id=902),
            ],
            text_of,
        )

        assert await states(conn) == {"edu.a": ("shown", None)}


async def test_what_nobody_took_for_a_day_was_ignored(database: Database) -> None:
    async with database.begin(1) as conn:
        await offer(conn, 1, "edu.a", "edu.b")
        early = await store.run_out(conn, after=0, before=NOW, limit=9)
        first = await store.run_out(conn, after=0, before=later(1), limit=1)
        second = await store.run_out(conn, after=first[1], before=later(1), limit=1)

        assert (early[0], first[0], second[0]) == (0, 1, 1)
        assert {s for s, _ in (await states(conn)).values()} == {"ignored"}


# -- outcomes ----------------------------------------------------------------------------------------------
async def taken(conn: Conn, event_id: int = 1, **more: object) -> int:
    made = await offer(conn, event_id, "edu.a", **more)  # type: ignore[arg-type]
    await service.heed(conn, [said(TEXTS["edu.a"], event_id=800 + event_id)], text_of)
    return made["edu.a"]


def told(goal: Goal, at_s: float, *, nodes: Sequence[int] = (MOTHER, FATHER), event_id: int = 5) -> Reached:
    return Reached(goal=goal, nodes=nodes, at=later(at_s), event_id=event_id)


@pytest.mark.parametrize(
    ("goal", "at_s", "counts"),
    [
        ("reply", 120, 1),
        ("reply", 30, 0),  # before it was said
        ("reply", 60 + 7201, 0),  # more than two hours after
        ("stage", 6 * 86_400, 1),
        ("stage", 8 * 86_400, 0),
        ("deal", 29 * 86_400, 1),
        ("deal", 31 * 86_400, 0),
    ],
)
async def test_an_outcome_counts_for_what_was_said_shortly_before(
    database: Database, goal: Goal, at_s: float, counts: int
) -> None:
    async with database.begin(1) as conn:
        await taken(conn)

        first = await service.reached(conn, [told(goal, at_s)])
        again = await service.reached(conn, [told(goal, at_s)])

        assert (first, again) == (counts, 0)


async def test_anybody_of_the_family_may_answer_and_nobody_else(database: Database) -> None:
    async with database.begin(1) as conn:
        await taken(conn)

        assert await service.reached(conn, [told("reply", 120, nodes=[99])]) == 0
        assert await service.reached(conn, [told("reply", 120, nodes=[FATHER, MOTHER])]) == 1


# -- the prior ---------------------------------------------------------------------------------------------
async def test_the_prior_is_counted_anew_from_what_happened(database: Database) -> None:
    async with database.begin(1) as conn:
        for n in range(1, 5):
            await taken(conn, n)
            await offer(conn, 100 + n, "edu.b")
        await service.reached(conn, [told("reply", 120)])
        for _ in range(2):
            cells = await service.recount(conn, now=later(86_400))
        known = {c.script_id: c for c in await store.cells(conn)}

    assert cells == 2
    a, b = known["edu.a"], known["edu.b"]
    assert (a.stage, a.role, a.lately_used, a.lately_replied) == ("trial", "buyer", 4, 4)
    assert (b.lately_used, b.counts.used) == (0, 0.0)
    assert a.counts.shown == pytest.approx(4, rel=0.05)  # a day or two old: faded a little
    assert a.counts.shown < 4


async def test_what_was_taken_and_answered_is_ranked_up_and_told_why(database: Database) -> None:
    async with database.begin(1) as conn:
        for n in range(1, 9):
            await taken(conn, n)
            await offer(conn, 100 + n, "edu.b")
        await service.reached(conn, [told("reply", 120)])
        await service.recount(conn, now=later(3600))
        prior = await Priors().of(conn, now=later(3600))

    liked, passed = prior.effect("edu.a", "trial", "buyer"), prior.effect("edu.b", "trial", "buyer")
    assert liked.factor > 1 > passed.factor
    assert liked.sentence == "近 30 天您团队用了 8 次，8 次客户 2 小时内回复"


async def test_a_rep_who_says_it_does_not_fit_counts_more_than_one_who_passes_by(database: Database) -> None:
    async with database.begin(1) as conn:
        for n in range(1, 9):
            await taken(conn, n)
            made = await offer(conn, 100 + n, "edu.b", "edu.c")
            await suggestions.mark_unfit(conn, made["edu.b"], staff_id=3)
        await service.recount(conn, now=later(3600))
        prior = await service.prior(conn, now=later(3600))

    factors = [prior.effect(f"edu.{x}", "trial", "buyer").factor for x in "abc"]
    assert factors[0] > factors[2] > factors[1]


async def test_counts_in_memory_are_read_again_after_a_while(database: Database) -> None:
    priors = Priors()
    async with database.begin(1) as conn:
        before = await priors.of(conn, now=NOW)
        assert await priors.of(conn, now=later(60)) is before
        assert await priors.of(conn, now=later(600)) is not before


# -- trials ------------------------------------------------------------------------------------------------
def test_half_of_the_households_get_each_version_and_always_the_same() -> None:
    arms = [arm_of(17, home) for home in range(2000)]

    assert arms == [arm_of(17, home) for home in range(2000)]
    assert 900 < arms.count("a") < 1100
    assert arms != [arm_of(18, home) for home in range(2000)]


async def test_a_trial_counts_the_uses_whose_time_is_over_in_their_order(database: Database) -> None:
    async with database.begin(1) as conn:
        trial = await service.begin(conn, "edu.a", 1, 2, "reply", by=None, now=NOW)
        for n in range(1, 41):
            arm = "ab"[n % 2]
            await taken(conn, n, arms={"edu.a": arm}, talk=n, node=n)
            await service.heed(conn, [said(TEXTS["edu.a"], event_id=800 + n, talk=n, at_s=60 + n)], text_of)
            if arm == "b":
                await service.reached(conn, [told("reply", 200, nodes=[n])])
        early = await service.stands(conn, trial, now=later(3600))
        standing = await service.stands(conn, trial, now=later(9000))
        await service.stop(conn, trial.trial_id, now=later(9000))
        (stopped,) = await trials.page(conn)

        assert (early.a.of, early.b.of) == (0, 0)
        assert (standing.a.hits, standing.a.of, standing.b.hits, standing.b.of) == (0, 20, 20, 20)
        assert (stopped.state, stopped.verdict) == ("stopped", "b")
        await service.stop(conn, trial.trial_id, now=later(9001))
        assert await trials.page(conn) == [stopped]
        with pytest.raises(NotFound):
            await service.stop(conn, 1, now=later(9001))


async def test_one_trial_a_script_at_a_time_and_of_two_versions(database: Database) -> None:
    async with database.begin(1) as conn:
        await service.begin(conn, "edu.a", 1, 2, "reply", by=None, now=NOW)
        with pytest.raises(Conflict):
            await service.begin(conn, "edu.a", 1, 3, "reply", by=None, now=NOW)
        with pytest.raises(BadInput):
            await service.begin(conn, "edu.b", 1, 1, "reply", by=None, now=NOW)
        with pytest.raises(BadInput):
            await service.begin(conn, "edu.b", 1, 2, "fame", by=None, now=NOW)


# -- the best ----------------------------------------------------------------------------------------------
async def test_what_those_say_whose_talks_end_in_deals(database: Database) -> None:
    async with database.begin(1) as conn:
        for n in range(1, 4):
            await taken(conn, n)
        await service.reached(conn, [told("deal", 86_400)])
        since = NOW - timedelta(days=90)

        assert await store.closers(conn, [3, 4], since=since, limit=3) == [3]
        assert await store.said_by(conn, [3], "trial", since=since, least=3) == {"edu.a"}
        assert await store.said_by(conn, [3], "trial", since=since, least=4) == set()
        assert await store.said_by(conn, [3], "closing", since=since, least=1) == set()
        assert await store.closers(conn, [], since=since, limit=3) == []
