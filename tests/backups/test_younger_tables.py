"""Files, facts, deeds, works, orders and the words to find: backed up, moved, sealed anew, erased."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from scrm import facts, schema
from scrm.backups import rules
from scrm.keyring import KeyFile
from scrm.schema import metadata
from scrm.seal import Vault, key_id_of, open_sealed
from scrm.staff.rules import Scope
from scrm.timeline.store import media, search
from tests.backups.conftest import moved_in
from tests.backups.premises import TENANTS, Premises, run, stored
from tests.services import Cluster

#: What the restore itself changes: its entry in the trail, and leases that nobody holds any more.
CHANGED = {f"{tenant}.{table}" for tenant in TENANTS for table in ("audit_entry", "outbox", "due")}
YOUNGER = {
    "answer_leave", "appeal", "calendar_day", "check_rule", "claim", "clearance", "commission_entry",
    "consent_entry", "coupon", "coupon_batch", "deal", "deed", "enclosure", "event_media", "fact", "finding",
    "handover",
    "handover_customer", "hint", "job", "match_model", "opportunity", "order", "order_line", "outcome",
    "ownership_policy", "pack", "pool_entry", "pool_look", "price", "prior", "product", "promise",
    "proposal", "pulse", "reach", "refund", "relation", "role_assignment", "ruling", "script",
    "script_version", "search_doc", "sop", "sop_run", "sop_step", "sop_version", "stage_change", "tag",
    "tally", "task", "trial", "uploaded",
}  # fmt: skip


@pytest.fixture
def lived(premises: Premises) -> Premises:
    premises.live()
    return premises


def hits(premises: Premises, tenant_id: int, words: str) -> list[int]:
    async def look() -> list[int]:
        async with premises.opened() as db, db.read(tenant_id) as conn:
            found = await search.page(conn, words, scope=Scope(everything=True), limit=9)
            return [hit.event_id for hit in found]

    return run(look())


def found(premises: Premises) -> dict[int, list[int]]:
    """Where a word that is in a transcript and one that is in a message are found, by tenant."""
    return {t: hits(premises, t, "退课") + hits(premises, t, "贵不贵") for t in TENANTS}


def filled(premises: Premises) -> set[str]:
    return {name.partition(".")[2] for name, kept in premises.everything().items() if kept}


# -- there and back ----------------------------------------------------------------------------------------
def test_what_is_restored_has_every_younger_row_and_finds_the_same_words(
    lived: Premises, elsewhere: Premises, tmp_path: Path
) -> None:
    path = tmp_path / "lived.db"

    steps = [lived.run("backup", str(path)), elsewhere.run("restore", "--moved", str(path))]

    assert [ran.code for ran in steps] == [0, 0], [ran.err for ran in steps]
    before, after = lived.everything(), elsewhere.everything()
    assert {name for name, kept in before.items() if kept != after[name]} <= CHANGED
    assert YOUNGER <= filled(elsewhere)
    assert found(elsewhere) == found(lived)
    assert {len(ids) for ids in found(elsewhere).values()} == {2}


def test_the_other_engine_finds_the_same_words_after_a_move(
    lived: Premises, tmp_path: Path, cluster: Cluster, engine_name: str
) -> None:
    other = moved_in(lived, tmp_path / "other", cluster.new_database(None) if engine_name == "sqlite" else "")
    back = moved_in(lived, tmp_path / "back", "" if engine_name == "sqlite" else cluster.new_database(None))

    steps = [
        lived.run("backup", str(tmp_path / "1.db")),
        other.run("restore", "--moved", str(tmp_path / "1.db")),
        other.run("backup", str(tmp_path / "2.db")),
        back.run("restore", "--moved", str(tmp_path / "2.db")),
    ]

    assert [ran.code for ran in steps] == [0] * 4, [ran.err for ran in steps]
    assert found(lived) == found(other) == found(back)
    before, after = lived.everything(), back.everything()
    assert {name for name, kept in before.items() if kept != after[name]} <= CHANGED
    forget(back)
    assert set(map(len, found(back).values())) == {0, 2}  # the index still follows its table there


def forget(premises: Premises) -> None:
    async def work() -> None:
        async with premises.opened() as db, db.begin(1) as conn:
            docs = schema.search_doc.c
            rows = await conn.rows(sa.select(docs.event_id).where(docs.tenant_id == 1))
            await search.forget(conn, [r.event_id for r in rows])

    run(work())


# -- keys --------------------------------------------------------------------------------------------------
def opened(premises: Premises) -> Counter[tuple[str, str]]:
    """Every value of every sealed column, opened with the key file as it stands; how many of each."""
    vault = Vault(KeyFile(premises.key).read())
    keys = {r.key_id: vault.unwrap(r.key_id, r.owner, r.wrapped) for r in stored(premises, schema.data_key)}
    done: Counter[tuple[str, str]] = Counter()
    for name, (places, columns) in rules.SEALED.items():
        for row in stored(premises, metadata.tables[name]):
            place = [v.hex() if isinstance(v := getattr(row, p), bytes) else v for p in places]
            for column in columns:
                if (sealed := getattr(row, column)) is not None:
                    open_sealed(keys[key_id_of(sealed)], sealed, name, *place, column)
                    done[name, column] += 1
    return done


def test_after_a_rotation_every_sealed_column_opens_and_words_are_found(lived: Premises) -> None:
    before, words = opened(lived), found(lived)

    ran = lived.run("keys", "rotate")

    assert ran.code == 0, ran.err
    assert opened(lived) == before
    assert found(lived) == words
    younger = {(t, c) for t in YOUNGER if t in rules.SEALED for c in rules.SEALED[t][1]}
    assert younger <= set(before)


# -- erasing -----------------------------------------------------------------------------------------------
def erase(premises: Premises) -> None:
    """As erasing a customer will: the keys of all customers of the first tenant are destroyed."""

    async def work() -> None:
        async with premises.opened() as db, db.begin(1) as conn:
            c = schema.data_key.c
            await conn.run(sa.delete(schema.data_key).where(c.tenant_id == 1, c.owner.like("node:%")))

    run(work())


def test_with_a_customers_key_go_facts_files_and_transcripts(lived: Premises) -> None:
    (piece,) = [r for r in stored(lived, schema.event_media) if r.tenant_id == 1]
    erase(lived)

    async def left() -> tuple[list[facts.Known], list[str], list[str]]:
        async with lived.opened() as db, db.read(1) as conn:
            about = await facts.of_nodes(conn, [piece.node_id], ["follow"])
            ours = await facts.page(conn, piece.account_id, "tag")
            files = (await media.of_events(conn, [piece.event_id]))[piece.event_id]
            return about, [f.key for f in ours], [f.transcript for f in files]

    assert run(left()) == ([], ["t1"], [""])


def test_what_is_left_of_an_erased_customer_does_not_stop_the_index_being_filled(lived: Premises) -> None:
    erase(lived)

    async def fill() -> int:
        async with lived.opened() as db, db.begin(1) as conn:
            ids = await search.following(conn, after=0, limit=200)
            await search.index(conn, ids)
            return len(ids)

    assert run(fill()) > 1
    assert hits(lived, 1, "退课") == []
