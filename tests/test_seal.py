"""Keys: what is sealed opens only where it belongs, ids run in order, public ids cannot be made up."""

from __future__ import annotations

import base64
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.errors import BadConfig, Conflict, NotFound, Unsealable
from scrm.keyring import KeyFile, Keyring
from scrm.seal import Ids, Vault, close, key_id_of, master_key, new_id, open_sealed, open_vault, token_hash

MASTER = bytes(range(32))
VAULT = Vault(MASTER)
KEY, WRAPPED = VAULT.new_key(7, "node:1")
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.binary(max_size=300))
def test_what_was_closed_opens_where_it_belongs(plain: bytes) -> None:
    sealed = close(KEY, plain, "node", 1, "value")

    assert open_sealed(KEY, sealed, "node", 1, "value") == plain
    assert key_id_of(sealed) == 7


@pytest.mark.parametrize(
    "where",
    [
        ("node", 2, "value"),  # another row
        ("node", 1, "name"),  # another column
        ("event", 1, "value"),  # another table
        (),  # nowhere
    ],
)
def test_a_value_moved_elsewhere_does_not_open(where: tuple[object, ...]) -> None:
    sealed = close(KEY, b"13800001234", "node", 1, "value")

    with pytest.raises(Unsealable):
        open_sealed(KEY, sealed, *where)


@given(st.data())
def test_an_altered_value_does_not_open(data: st.DataObject) -> None:
    sealed = bytearray(close(KEY, b"13800001234", "node", 1, "value"))
    sealed[data.draw(st.integers(8, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))

    with pytest.raises(Unsealable):
        open_sealed(KEY, bytes(sealed), "node", 1, "value")


@pytest.mark.parametrize("cut", [0, 8, 12, 20, 30])
def test_a_truncated_value_does_not_open(cut: int) -> None:
    sealed = close(KEY, b"13800001234", "node", 1, "value")

    with pytest.raises(Unsealable):
        open_sealed(KEY, sealed[:cut], "node", 1, "value")


def test_another_key_does_not_open_it() -> None:
    other, _ = VAULT.new_key(8, "node:2")

    with pytest.raises(Unsealable):
        open_sealed(other, close(KEY, b"x", "node", 1, "value"), "node", 1, "value")


def test_the_same_text_is_never_sealed_to_the_same_bytes() -> None:
    assert len({close(KEY, b"same", "node", 1, "value") for _ in range(50)}) == 50


@pytest.mark.parametrize(
    ("master", "key_id", "owner"),
    [
        (bytes(32)[:31] + b"\x01", 7, "node:1"),  # another master key
        (MASTER, 8, "node:1"),  # the row of another key
        (MASTER, 7, "node:2"),  # another owner
    ],
)
def test_a_data_key_unwraps_only_for_its_row_owner_and_master(master: bytes, key_id: int, owner: str) -> None:
    sealed = close(VAULT.unwrap(7, "node:1", WRAPPED), b"x", "t")
    assert open_sealed(KEY, sealed, "t") == b"x"

    with pytest.raises(Unsealable):
        Vault(master).unwrap(key_id, owner, WRAPPED)


def test_keys_do_not_show_in_a_repr() -> None:
    assert "AESGCM" not in repr(KEY)


def test_blind_index_is_stable_keyed_and_keeps_its_parts_apart() -> None:
    other = Vault(bytes(range(1, 33)))

    assert VAULT.blind("1", "phone", "13800001234") == Vault(MASTER).blind("1", "phone", "13800001234")
    assert VAULT.blind("1", "phone", "13800001234") != other.blind("1", "phone", "13800001234")
    assert VAULT.blind("ab", "c") != VAULT.blind("a", "bc")
    assert VAULT.lane(1, "anna") != VAULT.lane(2, "anna")
    assert VAULT.sign("csrf", "a") != VAULT.sign("state", "a")


# -- ids that leave the house ------------------------------------------------------------------------------
@given(st.integers(0, 2**63 - 1), st.sampled_from(["event", "person", "conversation"]))
def test_public_ids_come_back_as_the_id_they_stand_for(ident: int, kind: str) -> None:
    public = VAULT.public(kind, ident)

    assert len(public) == 22
    assert VAULT.private(kind, public) == ident


@given(st.integers(0, 2**63 - 1))
def test_a_public_id_of_one_kind_is_none_of_another(ident: int) -> None:
    with pytest.raises(NotFound):
        VAULT.private("event", VAULT.public("person", ident))


@given(st.integers(0, 2**63 - 1), st.integers(0, 21), st.sampled_from(BASE64))
def test_a_changed_public_id_is_nobodys(ident: int, place: int, letter: str) -> None:
    public = VAULT.public("event", ident)
    changed = public[:place] + letter + public[place + 1 :]

    if changed != public:
        with pytest.raises(NotFound):
            VAULT.private("event", changed)


@given(st.one_of(st.text(max_size=40), st.text(BASE64, min_size=22, max_size=22)))
def test_made_up_public_ids_are_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        VAULT.private("event", text)


def test_neighbouring_ids_share_nothing_visible() -> None:
    first, second = (base64.urlsafe_b64decode(VAULT.public("event", n) + "==") for n in (1, 2))

    differing = sum((a ^ b).bit_count() for a, b in zip(first, second, strict=True))
    assert 30 < differing < 98  # of 128 bits


# -- ids ---------------------------------------------------------------------------------------------------
def test_ids_are_unique_rising_and_fit_63_bits() -> None:
    ids = Ids(node=3)

    made = [ids.new() for _ in range(100_000)]  # more than one millisecond's count of 16,384 in a burst

    assert all(a < b for a, b in pairwise(made))
    assert 0 < made[0]
    assert made[-1] < 2**63


def test_ids_stay_unique_across_threads() -> None:
    ids = Ids()

    with ThreadPoolExecutor(8) as pool:
        made = [i for group in pool.map(lambda _: [ids.new() for _ in range(5_000)], range(8)) for i in group]

    assert len(set(made)) == len(made)


def test_ids_keep_rising_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([1_800_000_000_000_000_000, 1_799_999_990_000_000_000, 1_799_999_990_001_000_000])
    monkeypatch.setattr("time.time_ns", lambda: next(ticks))
    ids = Ids(node=1)

    first, second, third = ids.new(), ids.new(), ids.new()

    assert first < second < third


@pytest.mark.parametrize("clock_back_s", [0, 3600])
def test_ids_of_another_number_go_on_rising_at_once(
    clock_back_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = Ids(node=200)
    before = ids.new()
    stopped = time.time_ns() - clock_back_s * 1_000_000_000
    monkeypatch.setattr("time.time_ns", lambda: stopped)

    ids.use(3)
    after = [ids.new() for _ in range(20_000)]

    assert before < after[0]
    assert after == sorted(set(after))
    assert {one >> 14 & 0xFF for one in after} == {3}
    assert ids.node == 3


def test_two_processes_nodes_never_make_the_same_id() -> None:
    one, two = Ids(node=1), Ids(node=2)

    assert not {one.new() for _ in range(20_000)} & {two.new() for _ in range(20_000)}
    assert new_id() < new_id()


# -- the master key ----------------------------------------------------------------------------------------
def test_the_master_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "master.key"

    made = master_key(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert master_key(path) == made
    assert len(made) == 32


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_master_key_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "master.key"
    master_key(path)
    path.chmod(mode)

    with pytest.raises(BadConfig, match="chmod 600"):
        master_key(path)


@pytest.mark.parametrize(
    "given_key",
    [
        "not base64!",  # not base64 at all
        base64.b64encode(bytes(16)).decode(),  # too short
        base64.b64encode(bytes(32)).decode(),  # all zero: a placeholder, no key
        base64.b64encode(b"changeme" * 4).decode()[:40],  # cut off
    ],
)
def test_a_master_key_that_is_none_is_refused(tmp_path: Path, given_key: str) -> None:
    with pytest.raises(BadConfig, match="SCRM_MASTER_KEY"):
        master_key(tmp_path / "unused", given_key)


def test_a_given_master_key_touches_no_file(tmp_path: Path) -> None:
    key = master_key(tmp_path / "unused", base64.b64encode(MASTER).decode())

    assert key == MASTER
    assert not list(tmp_path.iterdir())


def test_a_vault_wants_32_bytes() -> None:
    with pytest.raises(BadConfig):
        Vault(bytes(16))


def test_tokens_are_stored_as_digests() -> None:
    assert b"secret" not in token_hash("secret")
    assert token_hash("secret") == token_hash("secret") != token_hash("secreT")


# -- changing the master key -------------------------------------------------------------------------------
def test_a_vault_with_both_keys_opens_what_either_wrapped_and_wraps_with_the_current_one() -> None:
    old = Keyring(current=MASTER)
    new = old.prepared().switched()

    assert Vault(new).unwrap(7, "node:1", WRAPPED)
    wrapped = Vault(new).rewrapped(7, "node:1", WRAPPED)
    assert wrapped is not None
    assert Vault(new.retired()).unwrap(7, "node:1", wrapped)
    assert Vault(new.retired()).rewrapped(7, "node:1", wrapped) is None
    with pytest.raises(Unsealable):
        Vault(old).unwrap(7, "node:1", wrapped)
    with pytest.raises(Unsealable):
        Vault(new.retired()).unwrap(7, "node:1", WRAPPED)


def test_what_is_looked_up_does_not_follow_the_master_key() -> None:
    new = Vault(Keyring(current=MASTER).prepared().switched().retired())

    assert new.blind("1", "phone", "138") == VAULT.blind("1", "phone", "138")
    assert new.lane(1, "anna") == VAULT.lane(1, "anna")
    assert new.sign("csrf", "a") == VAULT.sign("csrf", "a")
    assert new.private("event", VAULT.public("event", 5)) == 5


def test_a_running_vault_learns_a_new_key_from_its_file(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "master.key")
    running, deaf = open_vault(file.path), Vault(file.read())

    file.write(file.read().prepared().switched())
    key, wrapped = open_vault(file.path).new_key(9, "node:9")

    sealed = close(key, b"x", "t")
    assert open_sealed(running.unwrap(9, "node:9", wrapped), sealed, "t") == b"x"
    with pytest.raises(Unsealable):  # what looking at the file is for
        deaf.unwrap(9, "node:9", wrapped)


def test_nothing_is_wrapped_with_a_key_that_is_being_replaced(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "master.key")
    running = open_vault(file.path)
    ring = file.read().prepared().switched()

    file.write(ring)
    _, wrapped = running.new_key(9, "node:9")

    assert Vault(ring.retired()).unwrap(9, "node:9", wrapped)


@pytest.mark.parametrize("change", ["stranger", "unreadable", "nonsense", "gone"])
def test_a_file_that_is_not_this_installations_changes_nothing(tmp_path: Path, change: str) -> None:
    path = tmp_path / "master.key"
    running = open_vault(path)
    _, wrapped = running.new_key(9, "node:9")

    if change == "stranger":
        KeyFile(path).write(Keyring(current=bytes(range(1, 33))))
    elif change == "unreadable":
        path.chmod(0o644)
    elif change == "nonsense":
        path.write_text("nonsense")
    else:
        path.unlink()
    _, later = running.new_key(10, "node:10")

    assert running.unwrap(9, "node:9", wrapped)
    assert running.unwrap(10, "node:10", later)


def test_a_key_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "master.key")
    first = file.read()
    rings = [first, first.prepared(), switched := first.prepared().switched(), switched.turned_back()]

    for ring in [*rings, switched.retired()]:
        file.write(ring)
        assert KeyFile(file.path).read() == ring
        assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["master.key"]


@pytest.mark.parametrize(
    "more",
    [
        "previous short",  # no key
        f"former {base64.b64encode(MASTER).decode()}",  # no such line
        f"stable {base64.b64encode(MASTER).decode()}",  # too short for what must stay
        f"next {base64.b64encode(MASTER).decode()}\nnext {base64.b64encode(MASTER).decode()}",  # twice
    ],
)
def test_a_key_file_with_a_wrong_line_is_refused_without_quoting_it(tmp_path: Path, more: str) -> None:
    path = tmp_path / "master.key"
    path.write_text(f"{base64.b64encode(MASTER).decode()}\n{more}\n")
    path.chmod(0o600)

    with pytest.raises(BadConfig) as refused:
        open_vault(path)

    assert base64.b64encode(MASTER).decode() not in refused.value.sentence


def test_steps_of_a_rotation_in_the_wrong_order_are_refused() -> None:
    ring = Keyring(current=MASTER)
    prepared = ring.prepared()

    for step in (ring.switched, ring.turned_back, prepared.prepared, prepared.switched().prepared):
        with pytest.raises(Conflict):
            step()


def test_retired_keys_are_never_overwritten(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "master.key")
    ring = file.read()

    kept = [file.keep(ring, "2026-03-02") for _ in range(3)]

    assert len(set(kept)) == 3
    assert all(KeyFile(path).read() == ring for path in kept)
