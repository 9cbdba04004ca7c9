"""The playbook at work: the library in memory, what to suggest on a message, and the cards a rep sees."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scrm.db import Conn
from scrm.errors import BadInput, NotFound
from scrm.playbook import store
from scrm.playbook.ranking import Index, Suggestion
from scrm.playbook.scripts import STAGES, Script, read_library
from scrm.playbook.templates import Rendered, admit, render


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One suggestion, rendered for this customer and this rep."""

    suggestion_id: int
    script: Script
    stage: str
    reason: str
    rendered: Rendered


class Library:
    """Every script, checked and indexed. Built once at the start."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        self._by_id = {s.id: s for s in scripts}
        self._templates = {s.id: admit(s.text) for s in scripts}
        # Advice is read by the rep and never sent, so it is not ranked among what can be sent.
        self._index = Index([s for s in scripts if s.delivery != "hint"])

    @classmethod
    def load(cls, folder: Path) -> Library:
        """Raises `BadInput` naming the file and the script at fault."""
        if not folder.is_dir():
            raise BadInput(f"{folder}: 没有这个文件夹，请检查 scripts_dir。")
        return cls(read_library(folder))

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, script_id: str) -> Script | None:
        return self._by_id.get(script_id)

    def advise(
        self, utterances: Sequence[str], *, channel: str, recently_sent: Collection[str] = ()
    ) -> tuple[Suggestion, ...]:
        """The best five for what the customer said, newest utterance first."""
        return self._index.rank(
            utterances, stage=None, role=None, channel=channel, recently_sent=recently_sent
        )

    def rendered(self, script_id: str, facts: Mapping[str, object]) -> Rendered:
        return render(self._templates[script_id], facts)

    def greeting(self, channel: str, facts: Mapping[str, object]) -> str | None:
        """What the service may say by itself to somebody new; None when no script is allowed to."""
        for script in sorted(self._by_id.values(), key=lambda s: s.id):
            fits = not script.channels or channel in script.channels
            if script.delivery == "auto" and script.stage == "first-contact" and fits:
                rendered = self.rendered(script.id, facts)
                if not rendered.missing:
                    return rendered.text
        return None


async def cards(
    conn: Conn, library: Library, conversation_id: int, facts: Mapping[str, object]
) -> list[Card]:
    """What to say next in this conversation, best first, at most five."""
    found = []
    for offer in await store.latest(conn, conversation_id):
        script = library.get(offer.script_id)
        if script is None or offer.state == "used":
            continue
        found.append(
            Card(
                suggestion_id=offer.suggestion_id,
                script=script,
                stage=STAGES[script.stage],
                reason=offer.reason,
                rendered=library.rendered(script.id, facts),
            )
        )
    return found


async def use(conn: Conn, conversation_id: int, public: str) -> None:
    """Remember that the rep took this suggestion, if it was one of this conversation's."""
    if not public:
        return
    try:
        offer = await store.get(conn, conn.vault.private("suggestion", public))
    except NotFound:
        return
    if offer is not None and offer.conversation_id == conversation_id:
        await store.mark_used(conn, offer.suggestion_id)
