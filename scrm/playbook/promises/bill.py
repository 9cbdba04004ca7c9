"""What the money of a sentence adds up to: thresholds, totals, old prices that a new one replaces."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

from scrm.playbook.promises.figures import Figure
from scrm.playbook.promises.offer import Offer
from scrm.playbook.promises.reading import Reading
from scrm.playbook.promises.shares import paid
from scrm.playbook.promises.values import Kind

#: A deposit that counts for more.
THROUGH = re.compile(r"(?:可以|能|直接|就)?(?:抵扣?|当|膨胀到?|顶|变|换)")
_TOTAL = re.compile("合计|一共|总共|共计|加起来|总价|全部下来|总计|=")
_CUT = re.compile(r"打\S{0,3}折|折后|折下来|优惠(?:完|后|下来)|减(?:完|后)|抵完|抹掉")


def reached(reading: Reading, made: list[Offer], thresholds: list[Figure]) -> list[Offer]:
    """Give each 满 X to the amount off beside it: in its clause, else elsewhere in the sentence."""
    for one in thresholds:
        here = reading.clauses[reading.clause(one.start)]
        best: tuple[int, int] | None = None
        for at, offer in enumerate(made):
            there = reading.clauses[reading.clause(offer.start)]
            if offer.kind is not Kind.OFF or offer.min_fen is not None or there.sentence != here.sentence:
                continue
            distance = offer.start - one.end if offer.start > one.start else one.start - offer.end + 40
            distance += 0 if there is here else 100
            if distance < 170 and (best is None or distance < best[0]):
                best = (distance, at)
        if best is not None:
            made[best[1]] = replace(made[best[1]], min_fen=round(one.value * 100))
    return made


def settled(reading: Reading, made: list[Offer]) -> list[Offer]:
    """Put shares right, and drop the old price that a lower one of the sentence takes the place of."""
    by_start = {one.start: one for one in reading.figures}
    found = []
    for offer in made:
        figure = by_start[offer.start]
        if offer.kind is Kind.DISCOUNT and figure.kind == "share":
            offer = replace(offer, value=paid(reading.text, figure))
        found.append(offer)
    prices = [one for one in found if one.kind is Kind.PRICE]
    old = {
        id(one)
        for one, other in pairwise(prices)
        if other.strong
        and not one.strong
        and (other.fen or 0) < (one.fen or 0)
        and _one_sentence(reading, one, other)
    }
    return [one for one in found if id(one) not in old | _parts(reading, found)]


def _parts(reading: Reading, found: list[Offer]) -> set[int]:
    """Prices that are added up or cut: 软件 5 万，合计 7 万; 交 2 万，抵 8 万; 六千八，打九折六千一."""
    gone = set()
    for at, one in enumerate(found[:-1]):
        if one.kind is not Kind.PRICE:
            continue
        for other in found[at + 1 :]:
            gap = reading.text[one.end : other.start]
            if len(gap) > 30 or not _one_sentence(reading, one, other):
                break
            total = (
                other.kind is Kind.PRICE
                and _TOTAL.search(gap)
                and ("=" in gap or (other.fen or 0) > (one.fen or 0))
            )
            through = other.kind is Kind.OFF and THROUGH.search(gap[-4:])
            cut = other.kind is Kind.PRICE and (other.fen or 0) < (one.fen or 0) and _CUT.search(gap)
            if total or through or cut:
                gone.add(id(one))
    return gone


def _one_sentence(reading: Reading, one: Offer, other: Offer) -> bool:
    first, second = (reading.clauses[reading.clause(offer.start)] for offer in (one, other))
    return first.sentence == second.sentence
