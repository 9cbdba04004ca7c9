"""The imitation SDK compiled by gcc, and the folder that plays Tencent's cloud for it."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from scrm.contract import Account

SOURCE = Path(__file__).with_name("finance.c")
CORP_ID, SECRET = "ww9c2f1e7a60b84d35", "archive-secret"


@contextmanager
def compiled(*flags: str) -> Iterator[Path]:
    """The library; its folder is gone afterwards."""
    with TemporaryDirectory(prefix="finance") as folder:
        library = Path(folder) / "libWeWorkFinanceSdk_C.so"
        command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", *flags, str(SOURCE)]
        subprocess.run([*command, "-o", str(library)], check=True, timeout=60)
        yield library


@lru_cache(maxsize=4)
def private_key(version: int) -> rsa.RSAPrivateKey:
    """A key pair for each version, made once per run."""
    del version
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(*versions: int) -> str:
    """As an admin pastes them."""
    return "\n".join(
        f"version: {version}\n"
        + private_key(version).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        for version in versions
    )


@dataclass
class Cloud:
    """What the company's staff and customers said, sealed; and how the library misbehaves."""

    home: Path
    corp_id: str = CORP_ID
    seq: int = 0
    script: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "files").mkdir(parents=True)
        (self.folder / "login").write_text(SECRET)
        (self.folder / "items").touch()

    @property
    def folder(self) -> Path:
        return self.home / self.corp_id

    def account(self, library: Path | str, *versions: int, **options: str) -> Account:
        return Account(
            tenant_id=1,
            account_id=7,
            slug="archive",
            channel="wecom_archive",
            name="存档",
            options={"corp_id": self.corp_id, "library": str(library), **options},
            secrets={"secret": SECRET, "private_keys": pem(*(versions or (1,)))},
        )

    def say(self, message: Mapping[str, Any], *, version: int = 1, raw: bytes = b"") -> int:
        """One more message; its seq. `raw` is what the library decrypts to instead."""
        self.seq += 1
        key = hashlib.sha256(str(self.seq).encode()).hexdigest()[:32].encode()
        plain = raw or json.dumps(message, ensure_ascii=False).encode()
        sealed = bytes(byte ^ key[i % len(key)] for i, byte in enumerate(plain)).hex()
        return self.put(str(message.get("msgid", self.seq)), sealed, key=key, version=version)

    def put(self, msgid: str, sealed: str, *, key: bytes = b"k", version: int = 1) -> int:
        locked = private_key(version).public_key().encrypt(key, padding.PKCS1v15())
        item = {
            "seq": self.seq,
            "msgid": msgid,
            "publickey_ver": version,
            "encrypt_random_key": base64.b64encode(locked).decode(),
            "encrypt_chat_msg": sealed,
        }
        with (self.folder / "items").open("a") as items:
            items.write(f"{self.seq} {json.dumps(item)}\n")
        return self.seq

    def poison(self, msgid: str) -> int:
        """A message on which the library crashes whenever it opens it."""
        self.seq += 1
        return self.put(msgid, "deadbeef")

    def file(self, name: str, content: bytes, *, chunk: int = 512 * 1024) -> str:
        (self.folder / "files" / name).write_bytes(content)
        (self.folder / "chunk").write_text(str(chunk))
        return hashlib.md5(content, usedforsecurity=False).hexdigest()

    def misbehave(self, call: str, what: str, *, nth: int = 0, once: bool = False) -> None:
        """From now on; `once` over all processes."""
        if once:
            marker = self.folder / f"once{len(self.script)}"
            marker.touch()
            self.script.append(f"once {marker}")
        self.script.append(f"{call} {nth} {what}")
        (self.folder / "script").write_text("\n".join(self.script) + "\n")

    def pending(self) -> bool:
        """Whether something that should happen once has not happened yet."""
        return any(self.folder.glob("once*"))

    def behave(self) -> None:
        self.script.clear()
        (self.folder / "script").unlink(missing_ok=True)


def words(number: int, text: str = "", **more: Any) -> dict[str, Any]:
    """A text a customer writes to one of the staff."""
    customer = f"wmX7fLEQAAqk3Yp9Wc2Rt5Vb8Nz{number % 5:05d}"
    return {
        "msgid": f"{number}_1772414985_external",
        "action": "send",
        "from": customer,
        "tolist": ["LinXiaoYan"],
        "roomid": "",
        "msgtime": 1772414985000 + number,
        "msgtype": "text",
        "text": {"content": text or f"第 {number} 句"},
        **more,
    }
