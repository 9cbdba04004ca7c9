"""Whether what is about to be said fits what was promised, and what policy lets us promise. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from scrm.playbook.situation import Kept

#: A share is told in ten-thousandths of the price.
WHOLE = 10_000
#: Kinds that can be told in money.
MONEY = ("discount", "price", "off")
#: A promise that ends some hours earlier on its last day is no shorter.
_SHORTER = timedelta(days=1)
#: Fen: 8.5 折 of 6,799 is told as 5,779; whoever rounds to the yuan says the same.
ROUNDING = 100

Why = Literal["worse", "sooner", "too_good", "unofficial", "guarantee"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One promise in a draft or a message, as the ledger would keep it."""

    kind: str
    share: int | None = None
    fen: int | None = None
    min_fen: int | None = None
    text: str = ""
    product_code: str = ""
    product: str = ""
    until_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What may be promised without asking; 0 and () = nothing is said about it."""

    #: The least of the price that must be paid, in ten-thousandths.
    floor_share: int = 0
    max_off_fen: int = 0
    #: Words one of which a gift must contain.
    gifts: tuple[str, ...] = ()
    guarantees: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """`said` does not fit `kept` (worse, sooner), or what policy allows (the others)."""

    why: Why
    said: Offer
    kept: Kept | None = None


def conflicts(
    said: Sequence[Offer], live: Sequence[Kept], policy: Policy, *, list_fen: int | None = None
) -> tuple[Conflict, ...]:
    """What speaks against saying this, broken promises first; `list_fen` is today's official price."""
    promised = [kept for kept in live if kept.kind in MONEY]
    broken = [
        conflict
        for kept in promised
        if (conflict := _against(kept, [o for o in said if same(o, kept)], list_fen)) is not None
    ]
    beyond = [
        Conflict(why=why, said=offer)
        for offer in said
        if not any(same(offer, kept) and _repeats(offer, kept, list_fen) for kept in promised)
        if (why := _beyond(offer, policy, list_fen))
    ]
    return (*broken, *beyond)


def same(offer: Offer, kept: Kept) -> bool:
    """About one thing: equal codes or names, or one of the two names nothing."""
    if offer.product_code and kept.product_code:
        return offer.product_code == kept.product_code
    ours, theirs = offer.product.strip().casefold(), kept.product.strip().casefold()
    return not ours or not theirs or ours in theirs or theirs in ours


def _against(kept: Kept, said: Sequence[Offer], list_fen: int | None) -> Conflict | None:
    """The best of what is said, if it is less than what was promised."""
    promise = _of(kept)
    rivals = [offer for offer in said if _comparable(offer, promise, list_fen)]
    if not rivals:
        return None
    best_said = min(rivals, key=lambda offer: loss(offer, promise, list_fen))
    if loss(best_said, promise, list_fen) > 0:
        return Conflict(why="worse", said=best_said, kept=kept)
    ends = [offer.until_at for offer in rivals if offer.until_at is not None]
    if kept.until_at is not None and len(ends) == len(rivals) and max(ends) < kept.until_at - _SHORTER:
        return Conflict(why="sooner", said=best_said, kept=kept)
    return None


def _of(kept: Kept) -> Offer:
    return Offer(kind=kept.kind, share=kept.share, fen=kept.fen, min_fen=kept.min_fen)


def _comparable(offer: Offer, promise: Offer, list_fen: int | None) -> bool:
    """Of one kind, or both can be told in money."""
    return offer.kind in MONEY and (offer.kind == promise.kind or list_fen is not None)


def loss(offer: Offer, promise: Offer, list_fen: int | None = None) -> int:
    """By how much the customer is worse off than promised; below 0 = better off."""
    if offer.kind == promise.kind == "discount":
        return (offer.share or WHOLE) - (promise.share or WHOLE)
    if offer.kind == promise.kind == "price":
        return (offer.fen or 0) - (promise.fen or 0)
    if offer.kind == promise.kind:
        less = (promise.fen or 0) - (offer.fen or 0)
        return less or (offer.min_fen or 0) - (promise.min_fen or 0)
    assert list_fen is not None
    more = price(offer, list_fen) - price(promise, list_fen)
    return 0 if abs(more) <= ROUNDING else more


def price(offer: Offer, list_fen: int) -> int:
    """What is left to pay of the official price, in fen."""
    match offer.kind:
        case "discount":
            return round(list_fen * (offer.share or WHOLE) / WHOLE)
        case "price":
            return offer.fen or 0
        case _:
            reached = not offer.min_fen or list_fen >= offer.min_fen
            return list_fen - (offer.fen or 0) if reached else list_fen


def to_pay(kept: Kept, list_fen: int) -> int:
    """What a promise leaves to pay of the official price, in fen."""
    return price(_of(kept), list_fen)


def _repeats(offer: Offer, kept: Kept, list_fen: int | None) -> bool:
    """Says what was promised, maybe in other words."""
    promise = _of(kept)
    return _comparable(offer, promise, list_fen) and loss(offer, promise, list_fen) == 0


def _beyond(offer: Offer, policy: Policy, list_fen: int | None) -> Why | Literal[""]:
    if offer.kind == "guarantee":
        return "" if policy.guarantees else "guarantee"
    if offer.kind == "gift":
        return "too_good" if policy.gifts and not any(word in offer.text for word in policy.gifts) else ""
    if offer.kind == "off" and policy.max_off_fen and (offer.fen or 0) > policy.max_off_fen:
        return "too_good"
    share = _share(offer, list_fen)
    if share is not None and policy.floor_share and share < policy.floor_share:
        return "too_good"
    return "unofficial" if offer.kind == "price" and list_fen is not None and offer.fen != list_fen else ""


def _share(offer: Offer, list_fen: int | None) -> int | None:
    """Of the official price, in ten-thousandths; None when that cannot be told."""
    if offer.kind == "discount":
        return offer.share
    if list_fen and offer.kind in MONEY:
        return price(offer, list_fen) * WHOLE // list_fen
    return None


def best(live: Iterable[Kept], list_fen: int | None = None) -> Kept | None:
    """Of several promises about money the one to quote: the customer's best.

    Without a price only those of one kind can be compared: of the kind that was promised last.
    """
    money = [kept for kept in live if kept.kind in MONEY]
    if list_fen is not None:
        return min(money, key=lambda k: (price(_of(k), list_fen), -k.promise_id), default=None)
    last = max(money, key=lambda k: k.promise_id, default=None)
    if last is None:
        return None
    return min(
        (k for k in money if k.kind == last.kind),
        key=lambda k: (loss(_of(k), _of(last)), -k.promise_id),
    )
