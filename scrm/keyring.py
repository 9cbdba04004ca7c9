"""The master key and its file: one key is current; while it is being changed the file holds two.

The file's first line is the current key. A line `next`, `previous` or `stable` may follow: see `Keyring`.
"""

from __future__ import annotations

import base64
import os
import secrets
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from scrm.errors import BadConfig, Conflict

KEY_BYTES = 32
#: What must stay as it is when the master key changes, or nothing stored would be found again.
_STABLE = (b"index", b"lane", b"sign", b"public-id")
_LINES = ("next", "previous", "stable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """Which master keys there are. Every step of a rotation is a new ring, written before it is used."""

    #: Wraps every new data key.
    current: bytes = field(repr=False)
    #: Known to every process before it becomes current; wraps nothing yet.
    next: bytes = field(default=b"", repr=False)
    #: Was current before; opens what has not been wrapped anew yet.
    previous: bytes = field(default=b"", repr=False)
    #: Keys of indexes, lanes, tokens and public ids, as the first master key gave them.
    stable: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if any(len(key) != KEY_BYTES for key in self.keys) or len(self._stable()) != KEY_BYTES * len(_STABLE):
            raise BadConfig("主密钥必须是 32 字节（base64 编码后 44 个字符）。")

    @property
    def keys(self) -> tuple[bytes, ...]:
        """Every key that may open a data key, the likeliest first."""
        return tuple(dict.fromkeys((self.current, *filter(None, (self.previous, self.next)))))

    def stable_key(self, purpose: bytes) -> bytes:
        at = _STABLE.index(purpose) * KEY_BYTES
        return self._stable()[at : at + KEY_BYTES]

    def same_house(self, other: Keyring) -> bool:
        """Whether both find the same rows: another installation's key file is never taken over."""
        return self._stable() == other._stable()

    def prepared(self) -> Keyring:
        """With a fresh key for every process to learn, before anything is wrapped with it."""
        if self.previous or self.next:
            raise Conflict("主密钥正在轮换，请先用 scrm keys rotate 完成，或用 --back 退回。")
        return replace(self, next=secrets.token_bytes(KEY_BYTES), stable=self._stable())

    def switched(self) -> Keyring:
        """From now on the prepared key wraps."""
        if not self.next:
            raise Conflict("还没有准备好的新主密钥。")
        return replace(self, current=self.next, next=b"", previous=self.current)

    def turned_back(self) -> Keyring:
        """The old key wraps again; the new one still opens what it wrapped."""
        if self.previous:
            return replace(self, current=self.previous, previous=self.current)
        if self.next:
            return replace(self, next=b"")
        raise Conflict("没有进行中的轮换，无须退回。")

    def remembering(self, old: Keyring) -> Keyring:
        """With a retired key once more, to open what was wrapped with it behind our back."""
        if self.previous or self.next:
            raise Conflict("主密钥正在轮换，请先用 scrm keys rotate 完成，或用 --back 退回。")
        if not self.same_house(old):
            raise BadConfig("那不是这套系统退役的主密钥。")
        return replace(self, previous=old.current)

    def retired(self) -> Keyring:
        """The current key alone: only once nothing is wrapped with the other."""
        return replace(self, previous=b"")

    def text(self) -> str:
        more = [f"{name} {_encode(key)}\n" for name in _LINES if (key := getattr(self, name))]
        return f"{_encode(self.current)}\n" + "".join(more)

    def _stable(self) -> bytes:
        return self.stable or b"".join(derive(self.current, purpose) for purpose in _STABLE)


def derive(master: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=b"scrm/1", info=purpose).derive(master)


def parse(text: str, where: str) -> Keyring:
    """A key file's text as a ring. Raises `BadConfig`, which never quotes what it read."""
    first, *lines = text.strip().splitlines() or [""]
    found = {}
    for line in lines:
        name, _, value = line.strip().partition(" ")
        if name not in _LINES or name in found:
            raise BadConfig(f"{where} 不是有效的主密钥文件：第二行起只能是 {'、'.join(_LINES)}。")
        found[name] = _decode(value, where, KEY_BYTES * (len(_STABLE) if name == "stable" else 1))
    return Keyring(current=_decode(first.strip(), where, KEY_BYTES), **found)


class KeyFile:
    """A private file with the ring, made at the first start; notices when another process replaced it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] = ()

    def read(self) -> Keyring:
        """Raises `BadConfig` when the file is readable by others or is not a key."""
        if not self.path.exists():
            self._make()
        there = self.path.stat()
        if there.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BadConfig(f"{self.path} 对其他用户可读，请执行 chmod 600 后再启动。")
        ring = parse(self.path.read_text(), str(self.path))
        self._seen = _mark(there)
        return ring

    def news(self) -> Keyring | None:
        """The ring, when the file is not the one last read; None as long as it is, or cannot be read."""
        try:
            return self.read() if _mark(self.path.stat()) != self._seen else None
        except (OSError, BadConfig):
            return None

    def write(self, ring: Keyring) -> None:
        """Whole or not at all, also when the power goes: a lost key is lost data."""
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            new.unlink(missing_ok=True)
            _private(new, ring.text())
            # The administrator rotates, the service's own user reads.
            owner = self.path.stat()
            os.chown(new, owner.st_uid, owner.st_gid, follow_symlinks=False)
            new.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise BadConfig(f"{self.path} 写不了（{error.strerror}），主密钥没有改变。") from None

    def keep(self, ring: Keyring, day: str) -> Path:
        """Lay a ring beside the file for good: old backups need it. The path it got."""
        tries = ("", *(f".{n}" for n in range(1, 1000)))
        for kept in (self.path.with_name(f"{self.path.name}.retired-{day}{more}") for more in tries):
            try:
                _private(kept, ring.text())
            except FileExistsError:
                continue
            sync_folder(kept.parent)
            return kept
        raise BadConfig(f"{self.path.parent} 里退役的主密钥太多了，请移走一些。")

    def _make(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _private(self.path, Keyring(current=secrets.token_bytes(KEY_BYTES)).text())
        except FileExistsError:  # another process of ours was first
            return
        sync_folder(self.path.parent)


def sync_folder(folder: Path) -> None:
    """A new or renamed file survives a power cut only once its folder is on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _private(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())


def _mark(there: os.stat_result) -> tuple[int, ...]:
    return there.st_ino, there.st_mtime_ns, there.st_size


def _encode(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _decode(text: str, where: str, size: int) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != size or len(set(key)) < 8:
        raise BadConfig(f"{where} 不是有效的主密钥：应为 {size} 个随机字节的 base64。")
    return key
