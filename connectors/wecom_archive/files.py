"""Files of archived messages: piece by piece, on from where it broke off, checked at the end."""

from __future__ import annotations

import hashlib

from connectors.wecom_archive.hub import library
from connectors.wecom_archive.native import Code
from connectors.wecom_archive.pieces import Ref, read_ref
from connectors.wecom_archive.plug import Chunk, Library, Unusable, error_of
from scrm.contract import Context, Media
from scrm.errors import NotSent, Rejected, TooLarge

#: Tencent's largest file is 100 MB; what a rep sends and a browser shows is far smaller.
LIMIT = 48 * 1024 * 1024
#: How often a broken transfer goes on from its last piece before it starts anew later.
_TRIES = 3


async def media(ctx: Context, ref: str) -> Media:
    """Raises `Rejected` (gone, no such file), `NotSent` (again later) or `TooLarge`."""
    wanted = read_ref(ref)
    if wanted is None:
        raise Rejected("文件编号无法读取。", code="ref")
    if wanted.size > LIMIT:
        raise TooLarge
    content = await _content(library(ctx), wanted)
    if wanted.md5 and hashlib.md5(content, usedforsecurity=False).hexdigest() != wanted.md5:
        raise NotSent("文件传输有误（校验和不符），稍后重新下载。", code="md5")
    return Media(name=wanted.name, mime=wanted.mime, content=content)


async def _content(source: Library, wanted: Ref) -> bytes:
    content, index, tries = bytearray(), "", _TRIES
    while True:
        try:
            chunk = await source.media(index, wanted.file_id)
        except (NotSent, Code, Unusable) as failed:
            error = failed if isinstance(failed, NotSent) else error_of(failed)
            tries -= 1
            if not isinstance(error, NotSent) or tries <= 0:
                raise error from failed
            continue
        content += chunk.data
        if len(content) > LIMIT:
            raise TooLarge
        if chunk.last:
            return bytes(content)
        index, tries = _following(chunk, index), _TRIES


def _following(chunk: Chunk, index: str) -> str:
    """Raises `NotSent` when the library would go round in circles."""
    if not chunk.index or chunk.index == index:
        raise NotSent("文件没有传完，稍后重新下载。", code="index")
    return chunk.index
