"""Scripts in a tenant's life: written, reviewed, published, refused, taken out, brought from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scrm.db import Conn, utcnow
from scrm.playbook.answers import store as leaves
from scrm.playbook.checks.values import Hit
from scrm.playbook.enclosures import rules
from scrm.playbook.enclosures import service as enclosures
from scrm.playbook.enclosures import store as files
from scrm.playbook.enclosures.store import Held
from scrm.playbook.library import importing, service, store
from scrm.playbook.library.importing import Manner
from scrm.playbook.library.service import Wanted
from scrm.playbook.library.values import Editor, content_of
from scrm.playbook.service import Library
from scrm.push import store as media
from tests.ground import script
from tests.playbook.enclosures import PNG

WRITER, LEAD = Editor(role="marketing", staff_id=1), Editor(role="lead", staff_id=2, team_id=1)


def silent(_text: str) -> Sequence[Hit]:
    return ()


async def as_writer(conn: Conn) -> None:
    """Everything that can be done to a talk-track."""
    now, one = utcnow(), script("life")
    base = Library([one], trades={one.id: "education"})
    wanted = Wanted(code=one.id, content=content_of(replace(one, title="改过")), trade="education")
    await service.begin(conn, "education, auto", now=now)
    await service.choose(conn, ["education"], now=now)
    for refused in (True, False):
        made = await service.draft(conn, base, wanted, WRITER, now=now)
        made = await service.draft(conn, base, wanted, WRITER, now=now)
        await service.submit(conn, made.code, made.version, WRITER, scan=silent, review=True, now=now)
        assert await store.waiting(conn)
        if refused:
            await service.refuse(conn, made.code, made.version, LEAD, "太硬", now=now)
        else:
            await service.publish(conn, made.code, made.version, LEAD, scan=silent, review=True, now=now)
    assert (await service.load(conn, base, now=now)).get(one.id) == made.script
    newer = Library([replace(one, version=9, title="文件新版")], trades={one.id: "education"})
    (row,) = await importing.news(conn, newer, now=now)
    how = Manner(trade="education", review=False)
    await importing.settle(conn, newer, one.id, WRITER, keep=False, how=how, scan=silent, now=now)
    assert await importing.plan(conn, base, [row.script], WRITER, scan=silent, now=now)
    assert await importing.everything(conn, base, now=now)
    await service.standing(conn, base, one.id, WRITER, now=now)
    await service.restore(conn, base, one.id, made.version, WRITER, now=now)
    assert (await store.versions(conn, one.id, before=99, limit=1))[0].version > 9, "above the file"
    await service.take_out(conn, base, one.id, WRITER, now=now)
    await service.put_back(conn, base, one.id, WRITER, now=now)


async def with_files(conn: Conn, account_id: int) -> None:
    """A file is attached, held by a vendor and refused by it; an account is switched on."""
    now = utcnow()
    named = await enclosures.keep(conn, [rules.admitted("课表.png", PNG)], author_id=1, now=now)
    assert await enclosures.lacking(conn, [replace(script("life"), files=named)]) == frozenset()
    (file,) = await enclosures.of_script(conn, named)
    assert await enclosures.of_ids(conn, [file.media_id]) == (file,)
    await enclosures.ask(conn, now=now)
    held = Held(account_id=account_id, media_id=file.media_id, name="v", until_at=now, tried_at=now)
    await files.hold(conn, held)
    await files.hold(conn, replace(held, media_id=1))
    await files.refused(conn, account_id, file.media_id, "不收", now=now)
    await files.forget(conn, [(account_id, 1)])
    assert [one.error for one in (await files.held(conn, [file.media_id])).values()] == ["不收"]
    assert await media.uploaded_as(conn, account_id, file.media_id, now=now) == ""
    await leaves.decide(conn, account_id, "faq", on=True, by_id=None, now=now)
    await leaves.decide(conn, account_id, "first", on=True, by_id=1, now=now)
    await leaves.decide(conn, account_id, "faq", on=None, by_id=None, now=now)
    assert list((await leaves.decided(conn))[account_id]) == ["first"]
    await leaves.gone(conn, limit=9)
