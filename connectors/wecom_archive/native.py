"""The documented C interface of Tencent's finance SDK, called by ctypes. Runs in the child process only."""

from __future__ import annotations

import ctypes
import time
from ctypes import CDLL, c_char_p, c_int, c_uint, c_ulonglong, c_void_p
from dataclasses import dataclass

#: Init is good for two hours.
_LIFETIME_S = 7200.0
_LONGEST = 64 * 1024 * 1024
_PARSE = 10002

#: name -> (result, arguments); without them ctypes cuts 64-bit pointers in half.
_SIGNATURES = {
    "NewSdk": (c_void_p, []),
    "Init": (c_int, [c_void_p, c_char_p, c_char_p]),
    "DestroySdk": (None, [c_void_p]),
    "GetChatData": (c_int, [c_void_p, c_ulonglong, c_uint, c_char_p, c_char_p, c_int, c_void_p]),
    "DecryptData": (c_int, [c_char_p, c_char_p, c_void_p]),
    "GetMediaData": (c_int, [c_void_p, c_char_p, c_char_p, c_char_p, c_char_p, c_int, c_void_p]),
    "NewSlice": (c_void_p, []),
    "FreeSlice": (None, [c_void_p]),
    "GetContentFromSlice": (c_void_p, [c_void_p]),
    "GetSliceLen": (c_int, [c_void_p]),
    "NewMediaData": (c_void_p, []),
    "FreeMediaData": (None, [c_void_p]),
    "GetOutIndexBuf": (c_void_p, [c_void_p]),
    "GetIndexLen": (c_int, [c_void_p]),
    "GetData": (c_void_p, [c_void_p]),
    "GetDataLen": (c_int, [c_void_p]),
    "IsMediaDataFinish": (c_int, [c_void_p]),
}


class Code(Exception):
    """A return code other than 0."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    url: bytes = b""
    password: bytes = b""


class Sdk:
    """One handle. Not for several threads: the child has one that calls."""

    def __init__(self, path: str, corp_id: str, secret: str, proxy: Proxy) -> None:
        """Raises `OSError` (no such library, wrong machine), `AttributeError` (not this SDK) or `Code`."""
        self._lib = CDLL(path)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(self._lib, name)
            function.restype, function.argtypes = result, arguments
        self._login = (corp_id.encode(), secret.encode())
        self._proxy = proxy
        self._handle: int | None = None
        self._since = 0.0
        self._fresh()

    def pull(self, seq: int, limit: int, timeout_s: int) -> bytes:
        """The page after `seq`, JSON."""
        handle, piece = self._fresh(), self._lib.NewSlice()
        try:
            p = self._proxy
            _demand(self._lib.GetChatData(handle, seq, limit, p.url, p.password, timeout_s, piece))
            return self._content(piece)
        finally:
            self._lib.FreeSlice(piece)

    def decrypt(self, key: bytes, message: bytes) -> bytes:
        piece = self._lib.NewSlice()
        try:
            _demand(self._lib.DecryptData(key, message, piece))
            return self._content(piece)
        finally:
            self._lib.FreeSlice(piece)

    def media(self, index: bytes, file_id: bytes, timeout_s: int) -> tuple[bytes, bytes, bool]:
        """(bytes, where the next piece begins, whether this was the last)."""
        handle, piece = self._fresh(), self._lib.NewMediaData()
        try:
            p = self._proxy
            _demand(self._lib.GetMediaData(handle, index, file_id, p.url, p.password, timeout_s, piece))
            data = _bytes(self._lib.GetData(piece), self._lib.GetDataLen(piece))
            following = _bytes(self._lib.GetOutIndexBuf(piece), self._lib.GetIndexLen(piece))
            return data, following, bool(self._lib.IsMediaDataFinish(piece))
        finally:
            self._lib.FreeMediaData(piece)

    def _content(self, piece: int) -> bytes:
        return _bytes(self._lib.GetContentFromSlice(piece), self._lib.GetSliceLen(piece))

    def _fresh(self) -> int:
        now = time.monotonic()
        if self._handle is not None and now - self._since < _LIFETIME_S:
            return self._handle
        if self._handle is not None:
            old, self._handle = self._handle, None
            self._lib.DestroySdk(old)
        handle: int = self._lib.NewSdk()
        code = self._lib.Init(handle, *self._login)
        if code:
            self._lib.DestroySdk(handle)
            raise Code(code)
        self._handle, self._since = handle, now
        return handle


def _demand(code: int) -> None:
    if code:
        raise Code(code)


def _bytes(pointer: int | None, length: int) -> bytes:
    """With its NULs: a C string would end at the first."""
    if not 0 <= length <= _LONGEST or (length and not pointer):
        raise Code(_PARSE)
    return ctypes.string_at(pointer, length) if pointer and length else b""
