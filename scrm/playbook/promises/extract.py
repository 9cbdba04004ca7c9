"""Reads the promises out of one message or one stretch of a call: `extract`. Pure, and linear in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from scrm.playbook.promises.deadlines import deadlines
from scrm.playbook.promises.gifts import gifts
from scrm.playbook.promises.guarantees import guarantees
from scrm.playbook.promises.mend import mended
from scrm.playbook.promises.money import offers
from scrm.playbook.promises.normal import Normal, normal
from scrm.playbook.promises.offer import Offer
from scrm.playbook.promises.reading import Reading, read
from scrm.playbook.promises.stance import Stance
from scrm.playbook.promises.values import By, Kind, Promise

#: Where promises are dated.
ZONE = ZoneInfo("Asia/Shanghai")
#: Text is read in stretches of about so many characters, cut between sentences: cost grows with length only.
STRETCH = 400
#: So many numbers and days of one text are looked at: with more of them it is no message and no call.
MOST = 400
#: Nobody says more words of ours in one stretch; what is above counts like numbers.
DENSE = 120
#: A stretch offers so many things; a denser one is made to cost time.
CROWD = 40
_SIGNAL = re.compile(
    r"[0-9零一二两三四五六七八九十百千万半对壹贰叁肆伍陆柒捌玖送赠免搭保包退赚赔券前止末底涨稳必截卡费天周月年节旦诞晚季效亏]"
    r"|恢复|红包|肯定|绝对|确保|free|week|day"
)
_SENTENCE = re.compile(r"[。!?;\n]")


def extract(text: str, *, by: By, at: datetime) -> tuple[Promise, ...]:
    """The promises our side makes in `text`, in order, each once. A customer promises nothing."""
    if by != "staff":
        return ()
    form = normal(text)
    day = (at.astimezone(ZONE) if at.tzinfo else at).date()
    found: dict[tuple[object, ...], Promise] = {}
    seen = 0
    for start, end in _stretches(form.text):
        if not _SIGNAL.search(form.text, start, end):
            continue
        reading = read(form.text[start:end], day)
        for one in _promises(reading, day):
            promise = _promise(form, text, one, start)
            found.setdefault(_sameness(promise), promise)
        words = sum(len(clause.words) for clause in reading.clauses)
        seen += len(reading.figures) + len(reading.days) + max(0, words - DENSE)
        if seen >= MOST:
            break
    return tuple(found.values())


def _stretches(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while len(text) - start > STRETCH:
        end = start + STRETCH
        for mark in _SENTENCE.finditer(text, start + STRETCH // 3, end):
            end = mark.end()
        yield start, end
        start = end
    yield start, len(text)


Found = tuple[Offer, date | None, str]


def _promises(reading: Reading, at: date) -> list[Found]:
    """What stands in one stretch."""
    given = gifts(reading)
    vows = guarantees(reading)
    money = [one for one in offers(reading) if not _inside(one, [*given, *vows])]
    every = sorted([*given, *money, *vows], key=lambda one: (one.start, one.end))[:CROWD]
    spots = [(one.start, one.end) for one in every]
    stance = Stance(reading, spots)
    standing = mended(
        reading, [one for one in every if stance.stands(one.start, one.end, vow=one.kind is Kind.GUARANTEE)]
    )
    found: list[Found] = [(one, None, _condition(reading, one)) for one in standing]
    held = [(one.start, one.end) for one in standing]
    days = [day for day in deadlines(reading, held, at) if stance.holds(day.start, day.end)]
    found += [(Offer(Kind.UNTIL, day.start, day.end), day.date, "") for day in days]
    return sorted(found, key=lambda one: one[0].start)


def _inside(one: Offer, others: Sequence[Offer]) -> bool:
    """Money within a gift is its worth, within a guarantee its measure."""
    return any(gift.start <= one.start < gift.end for gift in others)


def _condition(reading: Reading, one: Offer) -> str:
    """What the customer must do for it: the words before the offer, in its clause or the one before."""
    at = reading.clause(one.start)
    here, previous = reading.clauses[at], reading.around(at)[0]
    head = reading.text[here.start : one.start]
    if any(word.tags & {"buy", "reach"} and word.end <= one.start for word in here.words):
        return head.strip()
    if previous is not None and previous.words and any("buy" in word.tags for word in previous.words):
        return reading.text[previous.start : previous.end].strip()
    return ""


def _promise(form: Normal, text: str, found: Found, offset: int) -> Promise:
    offer, day, condition = found
    span = form.span(offset + offer.start, offset + offer.end)
    said = text[slice(*span)] if offer.text else ""
    return Promise(
        kind=offer.kind,
        span=span,
        value=offer.value,
        fen=offer.fen,
        min_fen=offer.min_fen,
        text=said,
        date=day,
        condition=condition,
    )


def _sameness(one: Promise) -> tuple[object, ...]:
    return one.kind, one.value, one.fen, one.min_fen, one.text, one.date
