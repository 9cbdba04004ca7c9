"""How sure a share is, which of two versions does better, what harms and what is dead. Pure."""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

#: Two-sided 95 %.
_Z = 1.959964
#: Evidence against "both are alike" beyond which a trial may end: under it, it is passed by 5 % at most.
DECIDES = 20.0
#: What a version is thought to be before anybody used it: Beta(0.18, 0.18), as Turner et al. advise.
_BEFORE = 0.18
#: A script is only called harmful or dead once there was something to see.
_SEEN, _DEAD = 20, timedelta(days=60)
#: Characters; the time it takes grows with their square.
_COMPARED = 600

#: A reply, a step forward and a deal count for what was said so long before.
REPLY, STAGE, DEAL = timedelta(hours=2), timedelta(days=7), timedelta(days=30)
#: What nobody took for so long was ignored.
OPEN = timedelta(hours=24)
#: Changed by no more than this it was sent as it was; what was typed by hand is thought to come from a
#: suggestion up to the second, unless it is shorter than anything can be told by.
AS_IT_WAS, NEAR, _TELLING = 20, 400, 6

Arm = Literal["a", "b"]
Goal = Literal["reply", "stage", "deal"]
GOALS: dict[Goal, timedelta] = {"reply": REPLY, "stage": STAGE, "deal": DEAL}
Flag = Literal["", "harmful", "dead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`hits` of `of`, with the interval the true share lies in (Wilson, 95 %); all of it 0..1."""

    hits: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.hits / self.of if self.of else 0.0


def share(hits: int, of: int) -> Share:
    if of == 0:
        return Share(hits=0, of=0, low=0.0, high=1.0)
    value, z2 = hits / of, _Z * _Z
    middle = (value + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z / (1 + z2 / of) * math.sqrt(value * (1 - value) / of + z2 / (4 * of * of))
    return Share(hits=hits, of=of, low=max(0.0, middle - half), high=min(1.0, middle + half))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One use of one arm, and whether the goal was reached."""

    arm: Arm
    hit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a trial stands. Looking at `evidence` after every use makes a chance finding no likelier."""

    a: Share
    b: Share
    evidence: float
    #: The better arm once the evidence has passed `DECIDES`, even if it sank again; "" = nobody can say.
    verdict: Arm | Literal[""]


def trial(seen: Iterable[Seen]) -> Standing:
    """A sequential test of two shares, valid at every look; `seen` in the order of time.

    A safe test of a 2x2 table (Turner, Ly, Gruenwald 2024): uses are taken in pairs of one of each arm, and
    each pair multiplies the evidence by how much better it is told by what both arms did before than by one
    share for both. If the arms are alike its expectation never exceeds 1, so it passes 20 with at most 5 %.
    """
    waiting: dict[Arm, deque[bool]] = {"a": deque(), "b": deque()}
    hits: dict[Arm, int] = {"a": 0, "b": 0}
    counted: dict[Arm, int] = {"a": 0, "b": 0}
    paired, pair_hits = 0, {"a": 0, "b": 0}
    log_evidence, decided = 0.0, False
    for one in seen:
        counted[one.arm] += 1
        hits[one.arm] += one.hit
        waiting[one.arm].append(one.hit)
        if not (waiting["a"] and waiting["b"]):
            continue
        a, b = waiting["a"].popleft(), waiting["b"].popleft()
        of_a = (pair_hits["a"] + _BEFORE) / (paired + 2 * _BEFORE)
        of_b = (pair_hits["b"] + _BEFORE) / (paired + 2 * _BEFORE)
        both = (of_a + of_b) / 2
        log_evidence += _log(of_a, a) + _log(of_b, b) - _log(both, a) - _log(both, b)
        decided = decided or log_evidence >= math.log(DECIDES)
        paired, pair_hits["a"], pair_hits["b"] = paired + 1, pair_hits["a"] + a, pair_hits["b"] + b
    a_share, b_share = share(hits["a"], counted["a"]), share(hits["b"], counted["b"])
    better: Arm = "a" if a_share.value >= b_share.value else "b"
    return Standing(
        a=a_share,
        b=b_share,
        evidence=math.exp(min(log_evidence, 700.0)),
        verdict=better if decided else "",
    )


def _log(chance: float, hit: bool) -> float:
    return math.log(chance if hit else 1 - chance)


def flag(used: Share, base: Share, last_used_at: datetime | None, shown: int, *, now: datetime) -> Flag:
    """`used`: the share of uses that reached the goal; `base`: of all others at the same stage."""
    if used.of >= _SEEN and base.of >= _SEEN and used.high < base.low:
        return "harmful"
    stale = last_used_at is None or now - last_used_at > _DEAD
    return "dead" if stale and shown >= _SEEN else ""


def distance(offered: str, sent: str) -> int:
    """How far the words sent are from those offered: 0 = the same, 1000 = nothing is left of them.

    Edits (insert, delete, replace a character) over the longer length, of the first `_COMPARED` characters.
    """
    one, other = offered[:_COMPARED], sent[:_COMPARED]
    if one == other:
        return 0
    return min(1000, round(1000 * _edits(one, other) / max(len(one), len(other))))


def _edits(one: str, other: str) -> int:
    """Levenshtein, by rows."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        corner, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            corner, row[j] = row[j], min(corner + (a != b), row[j] + 1, row[j - 1] + 1)
    return row[-1]


# -- adoption ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A suggestion that may be what was sent; `claimed`: the rep sent it from its card."""

    suggestion_id: int
    text: str
    claimed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    suggestion_id: int
    distance: int

    @property
    def state(self) -> Literal["used", "edited"]:
        return "used" if self.distance <= AS_IT_WAS else "edited"


def adopted(offered: Sequence[Offered], sent: str) -> Adopted | None:
    """Which suggestion these words are, if any: the one claimed, else the one nearest to them."""
    said = sent.strip()
    claimed = [one for one in offered if one.claimed]
    near = [
        Adopted(suggestion_id=one.suggestion_id, distance=distance(one.text.strip(), said))
        for one in claimed or offered
    ]
    best = min(near, key=lambda one: (one.distance, one.suggestion_id), default=None)
    if best is None or claimed:
        return best
    return best if best.distance <= NEAR and len(said) >= _TELLING else None


def arm_of(trial_id: int, home: int) -> Arm:
    """Which version a household gets: the same one every time, and another draw for each trial."""
    return "b" if hashlib.sha256(f"{trial_id}:{home}".encode()).digest()[0] & 1 else "a"
