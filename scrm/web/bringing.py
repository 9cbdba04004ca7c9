"""What goes out with a talk-track, as cards show it and forms name it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from scrm.contract import Sends, Uploads
from scrm.db import Conn
from scrm.errors import BadInput, NotFound
from scrm.playbook.enclosures import rules, service, store
from scrm.playbook.enclosures.store import Held
from scrm.playbook.scripts import Enclosed
from scrm.push.words import Enclosure
from scrm.shapes import to_json
from scrm.timeline.rules import Talk
from scrm.web.attached import size_of
from scrm.web.cards import Brought, ScriptCard
from scrm.web.reading import Reading
from scrm.web.views import Via

NOT_HERE = "这个渠道发不了这类文件，请用别的方式发。"
NOT_YET = "平台还没有收下这个附件，过一会儿再发，或者下载后自己发。"
COPIED = "复制不带附件，请下载后自己发。"
SENTENCES = (NOT_HERE, NOT_YET, COPIED)
_IDS = 400


async def read(conn: Conn, text: str) -> tuple[Enclosure, ...]:
    """The files a form names, comma by comma. Raises `BadInput`."""
    named = [part for part in text[:_IDS].split(",") if part]
    try:
        idents = [conn.vault.private("media", part) for part in named]
    except NotFound:
        raise BadInput(service.GONE) from None
    return await service.of_ids(conn, idents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How files leave from this page: by us, by the rep in the vendor's app, or not at all."""

    via: Via
    kinds: Collection[str] = ()
    #: The vendor's ids, by file.
    named: Mapping[int, str]

    def why_not(self, one: Enclosure) -> str:
        """Why it does not go out from here; "" = it does."""
        if self.via == "copy":
            return COPIED
        if self.via == "api":
            return "" if one.form in self.kinds else NOT_HERE
        if one.form not in rules.IN_APP:
            return NOT_HERE
        return "" if one.media_id in self.named else NOT_YET


async def onto(
    desk: Reading,
    talk: Talk,
    cards: Sequence[ScriptCard],
    files: Mapping[str, Sequence[Enclosed]],
    *,
    via: Via,
) -> tuple[ScriptCard, ...]:
    """Cards with what goes along, by the card's id."""
    known = await store.of_digests(desk.conn, {one.digest for of in files.values() for one in of})
    if not known:
        return tuple(cards)
    way = await _way(desk, talk, [one.media_id for one in known.values()], via)
    made = []
    for card in cards:
        mine = [service.sent(known[one.digest]) for one in files.get(card.id, ()) if one.digest in known]
        made.append(_with(desk, card, mine, way) if mine else card)
    return tuple(made)


async def _way(desk: Reading, talk: Talk, media_ids: Collection[int], via: Via) -> Way:
    plugged = desk.plugged(talk)
    kinds: Collection[str] = plugged.plug.KINDS if isinstance(plugged.plug, Sends) else ()
    if via != "jssdk":
        return Way(via=via, kinds=kinds, named={})
    # What one of a company's apps was given serves the others.
    ours = {
        p.account.account_id
        for p in desk.house.directory.all(desk.actor.tenant_id)
        if p.account.realm == plugged.account.realm and isinstance(p.plug, Uploads)
    }
    held = (await store.held(desk.conn, media_ids)).values()
    return Way(via=via, kinds=kinds, named={h.media_id: h.name for h in held if _is_good(desk, h, ours)})


def _is_good(desk: Reading, one: Held, accounts: Collection[int]) -> bool:
    return bool(one.name) and one.account_id in accounts and rules.usable(one.until_at, desk.now)


def _with(desk: Reading, card: ScriptCard, files: Sequence[Enclosure], way: Way) -> ScriptCard:
    shown = [brought(desk.conn, one) for one in files]
    whys = [way.why_not(one) for one in files]
    handed = [
        {"id": view.id, "name": one.name, "form": one.form, "media": way.named[one.media_id], "n": n}
        for n, (one, view, why) in enumerate(zip(files, shown, whys, strict=True), 1)
        if not why and way.via == "jssdk"
    ]
    return replace(
        card,
        files=tuple(
            replace(view, why=desk.say(why) if why else "") for view, why in zip(shown, whys, strict=True)
        ),
        by_hand=to_json(handed).decode() if handed else "",
    )


def brought(
    conn: Conn, one: Enclosure, *, base: str = "/media", digest: str = "", state: str = ""
) -> Brought:
    public = conn.vault.public("media", one.media_id)
    return Brought(
        id=public,
        name=one.name,
        href=f"{base}/{public}",
        form=str(one.form),
        size=size_of(one.size),
        digest=digest,
        state=state,
    )
