"""Keys and what is made with them: sealed bytes, blind indexes, lanes, and ids that may leave the house."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from scrm.errors import NotFound, Unsealable
from scrm.keyring import KEY_BYTES, KeyFile, Keyring, derive, parse

_NONCE = 12
#: 2025-01-01T00:00:00Z in milliseconds: the zero of our ids.
_EPOCH_MS = 1_735_689_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DataKey:
    """One data key, unwrapped. Destroying its row makes everything sealed with it unreadable for ever."""

    key_id: int
    cipher: AESGCM = field(repr=False)


class Vault:
    """Everything made with the master key. Holds no state but the keys, and looks when their file changes."""

    def __init__(self, master: bytes | Keyring, file: KeyFile | None = None) -> None:
        self._file = file
        self._take(master if isinstance(master, Keyring) else Keyring(current=master))
        self._index = self._ring.stable_key(b"index")
        self._lane = self._ring.stable_key(b"lane")
        self._sign = self._ring.stable_key(b"sign")
        self._block = Cipher(algorithms.AES(self._ring.stable_key(b"public-id")[:16]), modes.ECB())

    def new_key(self, key_id: int, owner: str) -> tuple[DataKey, bytes]:
        """A fresh data key and its wrapped form, bound to its row and owner."""
        return self.new_keys({key_id: owner})[owner]

    def new_keys(self, owners: Mapping[int, str]) -> dict[str, tuple[DataKey, bytes]]:
        """Many of them, by owner; the file is looked at once."""
        self._look()
        found = {}
        for key_id, owner in owners.items():
            raw = secrets.token_bytes(KEY_BYTES)
            found[owner] = DataKey(key_id=key_id, cipher=AESGCM(raw)), self._wrap(raw, key_id, owner)
        return found

    def unwrap(self, key_id: int, owner: str, wrapped: bytes) -> DataKey:
        raw = self._opened(key_id, owner, wrapped)[0]
        return DataKey(key_id=key_id, cipher=AESGCM(raw))

    def rewrapped(self, key_id: int, owner: str, wrapped: bytes) -> bytes | None:
        """The same data key wrapped with the current master key; None when it already is."""
        self._look()
        raw, with_current = self._opened(key_id, owner, wrapped)
        return None if with_current else self._wrap(raw, key_id, owner)

    def _wrap(self, raw: bytes, key_id: int, owner: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._wraps[0].encrypt(nonce, raw, f"{key_id}|{owner}".encode())

    def _opened(self, key_id: int, owner: str, wrapped: bytes) -> tuple[bytes, bool]:
        """The data key, and whether the current master key wrapped it."""
        while True:
            for n, wrap in enumerate(self._wraps):
                with suppress(InvalidTag, ValueError):
                    raw = wrap.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], f"{key_id}|{owner}".encode())
                    return raw, n == 0
            # A rotation that began a moment ago may have wrapped it with a key we have not read yet.
            if not self._look():
                raise Unsealable("这把数据密钥不是用当前主密钥包的。")

    def _look(self) -> bool:
        """Whether the file brought other keys. One `stat`: nothing may be wrapped with a retired key."""
        news = self._file.news() if self._file else None
        if news is None or news == self._ring or not news.same_house(self._ring):
            return False
        self._take(news)
        return True

    def _take(self, ring: Keyring) -> None:
        self._ring = ring
        self._wraps = tuple(AESGCM(derive(key, b"wrap")) for key in ring.keys)

    def blind(self, *parts: str) -> bytes:
        """Keyed index for equality look-ups; says nothing without the key."""
        return hmac.digest(self._index, "\x1f".join(parts).encode(), "sha256")

    def lane(self, account_id: int, lane: str) -> bytes:
        """Short keyed name of a lane: the customer's id never reaches the queue's columns."""
        return hmac.digest(self._lane, f"{account_id}\x1f{lane}".encode(), "sha256")[:16]

    def sign(self, purpose: str, text: str) -> str:
        """Tag for small tokens that come back to us (form keys, OAuth state)."""
        mac = hmac.digest(self._sign, f"{purpose}\x1f{text}".encode(), "sha256")
        return base64.urlsafe_b64encode(mac[:18]).decode()

    def public(self, kind: str, ident: int) -> str:
        """The id the outside sees: one AES block over (kind, id), 22 characters, unguessable, no column."""
        block = self._block.encryptor().update(_tag(kind) + ident.to_bytes(8, "big"))
        return base64.urlsafe_b64encode(block).decode().rstrip("=")

    def private(self, kind: str, text: str) -> int:
        """The id behind `public`. Raises `NotFound` for anything we did not make for this kind."""
        try:
            block = base64.urlsafe_b64decode(text + "==")
        except ValueError:
            raise NotFound from None
        # One id has one spelling: the last character's spare bits must be as we write them.
        if len(block) != 16 or base64.urlsafe_b64encode(block).decode().rstrip("=") != text:
            raise NotFound
        plain = self._block.decryptor().update(block)
        if not hmac.compare_digest(plain[:8], _tag(kind)):
            raise NotFound
        return int.from_bytes(plain[8:], "big")


def close(key: DataKey, plain: bytes, *where: object) -> bytes:
    """Seal for exactly one place: `where` = table, row id, column; moved elsewhere it does not open."""
    nonce = os.urandom(_NONCE)
    return key.key_id.to_bytes(8, "big") + nonce + key.cipher.encrypt(nonce, plain, _aad(where))


def key_id_of(sealed: bytes) -> int:
    return int.from_bytes(sealed[:8], "big")


def open_sealed(key: DataKey, sealed: bytes, *where: object) -> bytes:
    """The plain bytes. Raises `Unsealable` when altered, moved, or closed with another key."""
    try:
        return key.cipher.decrypt(sealed[8 : 8 + _NONCE], sealed[8 + _NONCE :], _aad(where))
    except (InvalidTag, ValueError):
        raise Unsealable from None


def token_hash(token: str) -> bytes:
    """How bearer tokens and session ids are stored: they have full entropy, so a plain digest is enough."""
    return hashlib.sha256(token.encode()).digest()


def open_vault(path: Path, given: str = "") -> Vault:
    """The vault of this installation: the key of the environment, else of the file, made at the first start.

    Raises `BadConfig` when the file is readable by others or is not a key.
    """
    if given:
        return Vault(parse(given, "SCRM_MASTER_KEY"))
    file = KeyFile(path)
    return Vault(file.read(), file)


def master_key(path: Path, given: str = "") -> bytes:
    """The current master key, from where `open_vault` takes it."""
    return (parse(given, "SCRM_MASTER_KEY") if given else KeyFile(path).read()).current


def _tag(kind: str) -> bytes:
    return hashlib.sha256(kind.encode()).digest()[:8]


def _aad(where: tuple[object, ...]) -> bytes:
    return "|".join(map(str, where)).encode()


#: How many processes can tell their ids apart.
NODES = 256


class Ids:
    """63-bit ids, ordered by time and made before insert: 41 bits of milliseconds, 8 of node, 14 of count."""

    def __init__(self, node: int | None = None) -> None:
        self._node = (secrets.randbelow(NODES) if node is None else node) << 14
        self._last = 0
        self._lock = threading.Lock()

    @property
    def node(self) -> int:
        return self._node >> 14

    def use(self, node: int) -> None:
        """From now on, ids of this node only."""
        with self._lock:
            self._node = node << 14
            self._last = self._after()

    def new(self) -> int:
        with self._lock:
            tick = (time.time_ns() // 1_000_000 - _EPOCH_MS) << 22 | self._node
            # The count runs on inside one millisecond, and through a clock that steps back.
            full = self._last & 0x3FFF == 0x3FFF
            self._last = max(self._after() if full else self._last + 1, tick)
            return self._last

    def _after(self) -> int:
        """The first of the millisecond after the last one."""
        return ((self._last >> 22) + 1) << 22 | self._node


IDS = Ids()
new_id = IDS.new
