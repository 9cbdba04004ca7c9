"""Keys and what is made with them: sealed bytes, blind indexes, lanes, and ids that may leave the house."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import stat
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from scrm.errors import BadConfig, NotFound, Unsealable

_NONCE = 12
#: 2025-01-01T00:00:00Z in milliseconds: the zero of our ids.
_EPOCH_MS = 1_735_689_600_000
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class DataKey:
    """One data key, unwrapped. Destroying its row makes everything sealed with it unreadable for ever."""

    key_id: int
    cipher: AESGCM = field(repr=False)


class Vault:
    """Everything derived from the master key. Holds no state but the keys."""

    def __init__(self, master: bytes) -> None:
        if len(master) != _KEY_BYTES:
            raise BadConfig("主密钥必须是 32 字节（base64 编码后 44 个字符）。")
        self._wrap = AESGCM(_derive(master, b"wrap"))
        self._index = _derive(master, b"index")
        self._lane = _derive(master, b"lane")
        self._sign = _derive(master, b"sign")
        block = Cipher(algorithms.AES(_derive(master, b"public-id")[:16]), modes.ECB())
        self._block = block

    def new_key(self, key_id: int, owner: str) -> tuple[DataKey, bytes]:
        """A fresh data key and its wrapped form, bound to its row and owner."""
        raw = secrets.token_bytes(_KEY_BYTES)
        nonce = os.urandom(_NONCE)
        wrapped = nonce + self._wrap.encrypt(nonce, raw, f"{key_id}|{owner}".encode())
        return DataKey(key_id=key_id, cipher=AESGCM(raw)), wrapped

    def unwrap(self, key_id: int, owner: str, wrapped: bytes) -> DataKey:
        try:
            raw = self._wrap.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], f"{key_id}|{owner}".encode())
        except InvalidTag:
            raise Unsealable("这把数据密钥不是用当前主密钥包的。") from None
        return DataKey(key_id=key_id, cipher=AESGCM(raw))

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


def master_key(path: Path, given: str = "") -> bytes:
    """The master key from the environment or a private file, made at the first start.

    Raises `BadConfig` when the file is readable by others or is not a key.
    """
    if given:
        return _decode(given, "SCRM_MASTER_KEY")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as out:
            out.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadConfig(f"{path} 对其他用户可读，请执行 chmod 600 后再启动。")
    return _decode(path.read_text().strip(), str(path))


def _decode(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES or len(set(key)) < 8:
        raise BadConfig(f"{where} 不是有效的主密钥：应为 32 个随机字节的 base64。")
    return key


def _derive(master: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=b"scrm/1", info=purpose).derive(master)


def _tag(kind: str) -> bytes:
    return hashlib.sha256(kind.encode()).digest()[:8]


def _aad(where: tuple[object, ...]) -> bytes:
    return "|".join(map(str, where)).encode()


class Ids:
    """63-bit ids, ordered by time and made before insert: 41 bits of milliseconds, 8 of node, 14 of count."""

    def __init__(self, node: int | None = None) -> None:
        self._node = (secrets.randbelow(256) if node is None else node) << 14
        self._last = 0
        self._lock = threading.Lock()

    def new(self) -> int:
        with self._lock:
            tick = (time.time_ns() // 1_000_000 - _EPOCH_MS) << 22 | self._node
            # The count runs on inside one millisecond, and through a clock that steps back.
            full = self._last & 0x3FFF == 0x3FFF
            after = ((self._last >> 22) + 1) << 22 | self._node if full else self._last + 1
            self._last = max(after, tick)
            return self._last


new_id = Ids().new
