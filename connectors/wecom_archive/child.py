"""The process that holds the native library: `python -m connectors.wecom_archive.child`, fed by its pipes.

A crash of the library ends this process and nothing else. It ends with its parent: when the pipe closes.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
from queue import SimpleQueue
from typing import BinaryIO

from connectors.wecom_archive.frames import SIZES, Head, head_of, packed, sizes
from connectors.wecom_archive.native import Code, Proxy, Sdk

Request = tuple[Head, bytes]


def main() -> None:
    """Answer one request after the other until the parent closes the pipe."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the secret and customers' words
    # Whatever the library prints must not get between our frames.
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    requests: SimpleQueue[Request] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True).start()
    serving = _Serving()
    while True:
        out.write(packed(*serving.answer(*requests.get())))


def _listen(pipe: BinaryIO, requests: SimpleQueue[Request]) -> None:
    """Its own thread, so that the end of the parent is seen even while the library hangs."""
    try:
        while start := pipe.read(SIZES.size):
            head, blob = sizes(start)
            requests.put((head_of(pipe.read(head)), pipe.read(blob)))
    finally:
        os._exit(0)


class _Serving:
    def __init__(self) -> None:
        self._sdk: Sdk | None = None

    def answer(self, head: Head, blob: bytes) -> tuple[Head, bytes]:
        try:
            return self._done(head, blob)
        except Code as failed:
            return {"code": failed.code}, b""
        except (OSError, AttributeError) as failed:
            return {"library": f"{type(failed).__name__}: {failed}"[:300]}, b""

    def _done(self, head: Head, blob: bytes) -> tuple[Head, bytes]:
        if head["do"] == "open":
            proxy = Proxy(url=head["proxy"].encode(), password=head["proxy_password"].encode())
            self._sdk = Sdk(head["library"], head["corp_id"], head["secret"], proxy)
            return {}, b""
        if self._sdk is None:
            raise Code(10003)
        if head["do"] == "pull":
            return {}, self._sdk.pull(head["seq"], head["limit"], head["timeout_s"])
        if head["do"] == "decrypt":
            return {}, self._sdk.decrypt(head["key"].encode("latin-1"), blob)
        data, following, last = self._sdk.media(
            head["index"].encode("latin-1"), head["file"].encode(), head["timeout_s"]
        )
        return {"index": following.decode("latin-1"), "last": last}, data


if __name__ == "__main__":
    main()
