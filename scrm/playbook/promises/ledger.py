"""From what a message promises to entries of the ledger, and what becomes of older ones. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from scrm.desk.calendar.rules import ZONE
from scrm.playbook.promises.conflicts import MONEY, WHOLE, Offer, loss, same
from scrm.playbook.promises.extract import extract
from scrm.playbook.promises.values import Kind, Promise
from scrm.playbook.situation import Kept

#: A promise nobody dated is held against us so long; after that nobody expects it.
UNDATED = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One promise as the ledger keeps it; `share` in ten-thousandths, amounts in fen."""

    n: int
    kind: str
    share: int | None = None
    fen: int | None = None
    min_fen: int | None = None
    text: str = ""
    quote: str = ""
    product_code: str = ""
    product: str = ""
    until_at: datetime | None = None
    #: Where in the message it stands.
    span: tuple[int, int] = (0, 0)

    @property
    def offer(self) -> Offer:
        return Offer(
            kind=self.kind,
            share=self.share,
            fen=self.fen,
            min_fen=self.min_fen,
            text=self.text,
            product_code=self.product_code,
            product=self.product,
            until_at=self.until_at,
        )


def read(text: str, at: datetime, products: Mapping[str, str]) -> tuple[Entry, ...]:
    """What these words of ours promise; `products` = code by name."""
    found = extract(text, by="staff", at=at)
    return entries(text, found, products) if found else ()


def entries(text: str, found: Sequence[Promise], products: Mapping[str, str]) -> tuple[Entry, ...]:
    """What a message promises; `products` = code by name. A deadline dates the others, or stands alone."""
    ends = [p.date for p in found if p.kind is Kind.UNTIL and p.date is not None]
    offers = [p for p in found if p.kind is not Kind.UNTIL] or list(found)
    until = day_end(max(ends)) if ends else None
    name, code = _product(text, products)
    return tuple(
        Entry(
            n=n,
            kind=str(p.kind),
            share=round(p.value * WHOLE) if p.value is not None else None,
            fen=p.fen,
            min_fen=p.min_fen,
            text=p.text,
            quote=text[slice(*p.span)],
            product_code=code,
            product=name,
            span=p.span,
            until_at=day_end(p.date) if p.kind is Kind.UNTIL and p.date is not None else until,
        )
        for n, p in enumerate(offers)
    )


def beside(text: str, found: Sequence[Entry], coupons: Iterable[Kept]) -> tuple[Entry, ...]:
    """Without what coupons say that the text names by their codes: they are promises of their own."""
    named = [c for c in coupons if c.code and c.code in text]
    return (
        tuple(e for e in found if not any(_of_coupon(text, e, c) for c in named)) if named else tuple(found)
    )


def _of_coupon(text: str, entry: Entry, coupon: Kept) -> bool:
    """Its value, its last day, or only its name."""
    if entry.kind == "until":
        # Told as a day; a coupon may end at any hour of it.
        return (
            entry.until_at is not None
            and coupon.until_at is not None
            and (timedelta() <= entry.until_at - coupon.until_at < timedelta(days=1))
        )
    if entry.kind == coupon.kind and (entry.share, entry.fen) == (coupon.share, coupon.fen):
        return entry.min_fen in (None, coupon.min_fen)
    places = (m.span() for m in re.finditer(re.escape(coupon.text), text)) if coupon.text else ()
    return any(first <= entry.span[0] < last for first, last in places)


def day_end(day: date) -> datetime:
    """The first moment after a day in Shanghai."""
    return datetime.combine(day + timedelta(days=1), time(), ZONE).astimezone(UTC)


def _product(text: str, products: Mapping[str, str]) -> tuple[str, str]:
    """The product a message names: the longest name in it."""
    named = sorted((name for name in products if name and name in text), key=lambda n: (-len(n), n))
    return (named[0], products[named[0]]) if named else ("", "")


def replaced(standing: Sequence[Kept]) -> set[int]:
    """Of what stands towards one address, ids of those that a later one for the same thing keeps or betters.

    A worse one replaces nothing, nor does one that ends sooner. The same in whatever order they became known.
    """
    money = [kept for kept in standing if kept.kind in MONEY]
    return {old.promise_id for old in money if any(_betters(new, old) for new in money)}


def _betters(new: Kept, old: Kept) -> bool:
    if new.kind != old.kind or new.made_at <= old.made_at or not same(_offer(new), old):
        return False
    sooner = new.until_at is not None and old.until_at is not None and new.until_at < old.until_at
    # What is said of everything is not taken back by what is said of one thing.
    narrower = bool(new.product or new.product_code) and not (old.product or old.product_code)
    return loss(_offer(new), _offer(old)) <= 0 and not sooner and not narrower


def _offer(kept: Kept) -> Offer:
    return Offer(
        kind=kept.kind,
        share=kept.share,
        fen=kept.fen,
        min_fen=kept.min_fen,
        product_code=kept.product_code,
        product=kept.product,
    )


def stands(made_at: datetime, until_at: datetime | None, *, now: datetime) -> bool:
    """Whether anybody could still come and ask for it."""
    return now < (until_at or made_at + UNDATED)


#: A line of a transcript said by the customer: 00:09 客户：能便宜点吗.
_CUSTOMER = re.compile(
    r"^\s*(?:\d{1,3}:\d{2}(?::\d{2})?\s*)?(?:客户|顾客|家长|来电人|主叫|customer|client)\s*\d*\s*[:：]", re.I
)
_SPEAKER = re.compile(r"^\s*(?:\d{1,3}:\d{2}(?::\d{2})?\s*)?(?:[^:：\s]{1,12}[:：])?")


def ours(transcript: str) -> str:
    """What our side says in a call; who is not named as the customer may be us."""
    lines = [line for line in transcript.splitlines() if line.strip() and not _CUSTOMER.match(line)]
    return "\n".join(_SPEAKER.sub("", line, count=1).strip() for line in lines)
