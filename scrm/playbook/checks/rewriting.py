"""A draft put right, where somebody wrote down how: words replaced, figures as promised. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scrm.playbook.checks.lines import zhe
from scrm.playbook.checks.values import Hit
from scrm.playbook.promises.conflicts import MONEY, WHOLE, Conflict, Offer, loss, price, same
from scrm.playbook.promises.ledger import Entry
from scrm.playbook.situation import Kept

_FIGURE = re.compile(r"\d[\d,，]*(?:\.\d+)?|[零一二两三四五六七八九十百千万]+")
Edit = tuple[int, int, str]


def rewritten(
    text: str, words: Sequence[Hit], found: Sequence[Conflict], said: Sequence[Entry], list_fen: int | None
) -> str:
    """ "" when one of the faults has no known cure."""
    edits: list[Edit] = []
    for hit in words:
        if hit.level == "note":
            continue
        if hit.rewrite is None:
            return ""
        edits.append((hit.start, hit.end, hit.rewrite))
    for conflict in found:
        if conflict.why == "too_good":
            return ""
        if conflict.why != "worse" or conflict.kept is None:
            continue  # the rep reads it and decides
        cures = _as_promised(conflict.kept, said, list_fen)
        if cures is None:
            return ""
        edits += cures
    return _applied(text, edits) if edits else ""


def _applied(text: str, edits: Sequence[Edit]) -> str:
    done, reached = text, len(text)
    for start, end, instead in sorted(set(edits), key=lambda e: (-e[1], -e[0])):
        if end <= reached:
            done = done[:start] + _after(done[:start], instead) + done[end:]
            reached = start
    return done


def _after(before: str, instead: str) -> str:
    """我们 + 我们把每一步做扎实: what stands there already is not said twice."""
    longest = range(min(len(before), len(instead)), 1, -1)
    return next((instead[n:] for n in longest if before.endswith(instead[:n])), instead)


def _as_promised(kept: Kept, said: Sequence[Entry], list_fen: int | None) -> list[Edit] | None:
    """Every worse figure for the same thing as it was promised; None when one of them cannot be told."""
    promise = Offer(kind=kept.kind, share=kept.share, fen=kept.fen, min_fen=kept.min_fen)
    edits = []
    for entry in said:
        if entry.kind not in MONEY or not same(entry.offer, kept):
            continue
        if entry.kind != kept.kind and list_fen is None:
            return None
        if loss(entry.offer, promise, list_fen) <= 0:
            continue
        instead = _figure(entry, promise, list_fen)
        if not instead:
            return None
        edits.append((*entry.span, instead))
    return edits


def _figure(entry: Entry, promise: Offer, list_fen: int | None) -> str:
    """The promise in the way the draft puts it."""
    if entry.kind == "discount":
        return _discount(entry.quote, promise, list_fen)
    if entry.kind == promise.kind:
        fen = promise.fen
    elif list_fen is None:
        fen = None
    else:
        paid = price(promise, list_fen)
        fen = paid if entry.kind == "price" else list_fen - paid
    # What ends in 万 or w is told in yuan again.
    return _FIGURE.sub(_yuan(fen), _bare(entry.quote), count=1) if fen is not None else ""


def _bare(quote: str) -> str:
    return re.sub(r"(?<=[\d一二两三四五六七八九十])\s*[万wWkK]\s*(?:元|块)?", "元", quote)


def _yuan(fen: int) -> str:
    return f"{fen // 100}" if fen % 100 == 0 else f"{fen / 100:.2f}"


def _discount(quote: str, promise: Offer, list_fen: int | None) -> str:
    share = promise.share
    if share is None:
        if list_fen is None:
            return ""
        share = round(price(promise, list_fen) * WHOLE / list_fen)
        if share % 100:
            return f"{_yuan(price(promise, list_fen))}元"
    if "%" in quote:
        return re.sub(r"\d+(?:\.\d+)?\s*%", f"{100 - share / 100:g}%", quote, count=1)
    gap = " " if re.search(r"\s折", quote) else ""
    return f"{zhe(share)}{gap}折" if "折" in quote else ""
