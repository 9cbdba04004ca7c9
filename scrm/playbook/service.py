"""The playbook at work: the library in memory, what to suggest on a message, and the cards a rep sees."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from scrm.db import Conn
from scrm.desk import stages
from scrm.errors import BadInput, NotFound
from scrm.playbook import store
from scrm.playbook.effect.store import trials
from scrm.playbook.library.rules import offered_to
from scrm.playbook.library.search import Finder
from scrm.playbook.library.values import Placed, Reader, script_of
from scrm.playbook.ranking import Index, Intent, Moment, Suggestion, read_intents
from scrm.playbook.scripts import USUAL_TRADES, Enclosed, Script, read_placed
from scrm.playbook.templates import Rendered, admit, render

#: So many cards at most.
_MOST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One suggestion, rendered for this customer and this rep."""

    suggestion_id: int
    script: Script
    stage: str
    reason: str
    rendered: Rendered
    #: What goes out after the words.
    files: tuple[Enclosed, ...] = ()


class Library:
    """Every script of every trade, checked. Indexed once for each set of trades that is asked for."""

    def __init__(
        self,
        scripts: Sequence[Script],
        intents: Sequence[Intent] = (),
        trades: Mapping[str, str] | None = None,
        owned: Mapping[str, Placed] | None = None,
        shipped: Mapping[str, Script] | None = None,
    ) -> None:
        """`trades`: script id -> trade; one without serves everybody. `owned`: whose the others are.

        `shipped`: what the folder says where these say something else.
        """
        self._by_id = {s.id: s for s in scripts}
        self._owned = owned or {}
        self._shipped = shipped or {}
        self._templates = {s.id: admit(s.text) for s in scripts}
        self._intents = tuple(intents)
        self._trades = trades or {}
        self._indexes: dict[frozenset[str], Index] = {}
        self._hints: dict[frozenset[str], Index] = {}
        self._shelves: dict[frozenset[str], Library] = {}
        self._finder: Finder | None = None

    @classmethod
    def load(cls, folder: Path) -> Library:
        """Raises `BadInput` naming the file and the script at fault."""
        if not folder.is_dir():
            raise BadInput(f"{folder}: 没有这个文件夹，请检查 scripts_dir。")
        # Several services of one process (tests, the demo) read the same files once.
        files = ((path.as_posix(), path.stat()) for path in sorted(folder.rglob("*.yaml")))
        return _read(folder, tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in files))

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(self._by_id)

    def get(self, script_id: str) -> Script | None:
        return self._by_id.get(script_id)

    def trade_of(self, script_id: str) -> str:
        """By whose words its stage is called; "" = by everybody's."""
        return self._trades.get(script_id, "")

    def version(self, script_id: str, number: int) -> Script | None:
        """The one in force or the folder's own, if that is the version."""
        known = (self._by_id.get(script_id), self._shipped.get(script_id))
        return next((s for s in known if s is not None and s.version == number), None)

    def advise(
        self,
        utterances: Sequence[str],
        *,
        channel: str,
        recently_sent: Collection[str] = (),
        trades: Collection[str] = USUAL_TRADES,
    ) -> tuple[Suggestion, ...]:
        """The best five for what the customer said, newest utterance first."""
        return self.suggest(
            Moment(utterances=utterances, channel=channel, recently_sent=recently_sent, trades=trades)
        )

    def suggest(self, moment: Moment, reader: Reader | None = None) -> tuple[Suggestion, ...]:
        """The best five for all that is known of this moment. `reader`: whose own scripts count besides."""
        if self._owned:
            moment = replace(moment, recently_sent={*moment.recently_sent, *self._hidden(reader)})
        # Each set of trades has its own index: how rare a word is depends on what it is looked up in.
        trades, alone = frozenset(moment.trades), replace(moment, trades=frozenset())
        ranked = self._index(trades).rank(alone)
        # Advice for the rep stands below what can be sent, and only where it surely belongs.
        hints = self._advice(trades).surely(alone) if moment.utterances else ()
        return (*ranked[: _MOST - len(hints)], *hints)

    def _hidden(self, reader: Reader | None) -> list[str]:
        return [code for code, place in self._owned.items() if not offered_to(place, reader)]

    def find(
        self,
        words: str,
        *,
        channel: str = "",
        reader: Reader | None = None,
        hints: bool = False,
        limit: int = 20,
    ) -> tuple[Script, ...]:
        """What answers to these words, or to how they sound, best first. `hints`: advice to reps too."""
        hidden = set(self._hidden(reader))
        fits = (s for s in self._found(words) if s.id not in hidden and (hints or s.delivery != "hint"))
        open_here = (s for s in fits if not channel or not s.channels or channel in s.channels)
        return tuple(islice(open_here, limit))

    def seen_by(self, reader: Reader | None) -> tuple[Script, ...]:
        """The company's scripts and the reader's own, by code."""
        hidden = set(self._hidden(reader))
        return tuple(self._by_id[code] for code in sorted(self._by_id) if code not in hidden)

    def _found(self, words: str) -> Iterator[Script]:
        if self._finder is None:
            self._finder = Finder(self._by_id.values())
        return iter(self._finder.find(words))

    def shelf(self, trades: Collection[str]) -> Library:
        """The scripts of these trades as a library of its own, made once."""
        wanted = frozenset(trades)
        if wanted not in self._shelves:
            mine = [s for s in self._by_id.values() if self._serves(s, wanted)]
            self._shelves[wanted] = Library(mine, self._intents)
        return self._shelves[wanted]

    def overlaid(self, scripts: Sequence[Script], owned: Mapping[str, Placed]) -> Library:
        """A library of exactly these scripts that listens as this one does."""
        return Library(scripts, self._intents, owned=owned, shipped=self._by_id)

    @property
    def files(self) -> Mapping[str, tuple[Script, str]]:
        """Every script with its trade, by code."""
        return {code: (script, self._trades.get(code, "")) for code, script in self._by_id.items()}

    def warm(self, trades: Collection[str] = USUAL_TRADES) -> None:
        """Index these packs now, so that no message waits for it; seconds with thousands of scripts."""
        self._index(frozenset(trades))
        self._advice(frozenset(trades))
        self._finder = self._finder or Finder(self._by_id.values())

    def _index(self, trades: frozenset[str]) -> Index:
        if not self._trades:
            trades = frozenset()  # a tenant's own shelf: all of it serves them
        if trades not in self._indexes:
            # Advice is read by the rep and never sent, so it is not ranked among what can be sent.
            scripts = [s for s in self._by_id.values() if s.delivery != "hint" and self._serves(s, trades)]
            self._indexes[trades] = Index(scripts, intents=self._intents)
        return self._indexes[trades]

    def _advice(self, trades: frozenset[str]) -> Index:
        if not self._trades:
            trades = frozenset()
        if trades not in self._hints:
            scripts = [s for s in self._by_id.values() if s.delivery == "hint" and self._serves(s, trades)]
            self._hints[trades] = Index(scripts)
        return self._hints[trades]

    def _serves(self, script: Script, trades: Collection[str]) -> bool:
        return not trades or self._trades.get(script.id, "") in ("", *trades)

    def rendered(self, script_id: str, facts: Mapping[str, object], text: str = "") -> Rendered:
        """`text`: of another version of it, which is on trial."""
        return render(admit(text) if text else self._templates[script_id], facts)

    def greeting(
        self, channel: str, facts: Mapping[str, object], trades: Collection[str] = USUAL_TRADES
    ) -> str | None:
        """What the service may say by itself to somebody new; None when no script is allowed to."""
        for script in self._greetings(channel, trades):
            rendered = self.rendered(script.id, facts)
            if not rendered.missing:
                return rendered.text
        return None

    def greeter(self, channel: str, trades: Collection[str] = USUAL_TRADES) -> str:
        """Code of the script that greets where only our own name is known; "" = none."""
        known = {"company": {"name": "…"}}
        found = self._greetings(channel, trades)
        return next((s.id for s in found if not self.rendered(s.id, known).missing), "")

    def _greetings(self, channel: str, trades: Collection[str]) -> Iterator[Script]:
        for script in sorted(self._by_id.values(), key=lambda s: s.id):
            fits = not script.channels or channel in script.channels
            fits = fits and self._serves(script, trades) and script.id not in self._owned
            if script.delivery == "auto" and script.stage == "first-contact" and fits:
                yield script


@lru_cache(maxsize=4)
def _read(folder: Path, _state: tuple[tuple[str, int, int], ...]) -> Library:
    placed = read_placed(folder)
    trades = {script.id: trade for script, trade in placed if trade}
    library = Library([script for script, _ in placed], read_intents(folder), trades)
    library.warm()
    return library


async def cards(
    conn: Conn, library: Library, conversation_id: int, facts: Mapping[str, object]
) -> list[Card]:
    """What to say next in this conversation, best first, at most five."""
    found = []
    offers = await store.latest(conn, conversation_id)
    tried = await variants(conn, library, offers)
    for offer in offers:
        other = tried.get(offer.suggestion_id)
        script = other or library.get(offer.script_id)
        if script is None or offer.state in (*store.SENT, "unfit"):
            continue
        found.append(
            Card(
                suggestion_id=offer.suggestion_id,
                script=script,
                stage=stages.name(script.stage, library.trade_of(script.id)),
                reason=offer.reason,
                rendered=library.rendered(script.id, facts, other.text if other else ""),
                files=script.files,
            )
        )
    return found


async def variants(conn: Conn, library: Library, offers: Sequence[store.Offer]) -> dict[int, Script]:
    """By suggestion, the version it was made with, for those on trial."""
    arms = [o for o in offers if o.arm and library.get(o.script_id) is not None]
    known = await trials.contents(conn, {(o.script_id, o.script_version) for o in arms})
    found = {}
    for one in arms:
        content = known.get((one.script_id, one.script_version))
        script = _sound(one, content) if content else library.version(one.script_id, one.script_version)
        if script is not None:
            found[one.suggestion_id] = script
    return found


def _sound(offer: store.Offer, content: Mapping[str, Any]) -> Script | None:
    """None for what an older release let pass and this one does not."""
    try:
        script = script_of(offer.script_id, offer.script_version, content)
        admit(script.text)
    except BadInput:
        return None
    return script


async def use(
    conn: Conn,
    conversation_id: int,
    public: str,
    *,
    event_id: int | None = None,
    staff_id: int | None = None,
    now: datetime | None = None,
) -> None:
    """Remember that the rep took this suggestion, if it was one of this conversation's."""
    offer = await _theirs(conn, conversation_id, public)
    if offer is not None:
        await store.mark_used(conn, offer.suggestion_id, event_id=event_id, staff_id=staff_id, now=now)


async def unfit(conn: Conn, conversation_id: int, public: str, *, staff_id: int | None) -> bool:
    """The rep said that this suggestion does not fit here; False when there is no such one."""
    offer = await _theirs(conn, conversation_id, public)
    return offer is not None and await store.mark_unfit(conn, offer.suggestion_id, staff_id=staff_id)


async def _theirs(conn: Conn, conversation_id: int, public: str) -> store.Offer | None:
    try:
        offer = await store.get(conn, conn.vault.private("suggestion", public)) if public else None
    except NotFound:
        return None
    return offer if offer is not None and offer.conversation_id == conversation_id else None
