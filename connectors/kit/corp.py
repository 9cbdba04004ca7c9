"""Files for WeCom: given once, named by an id for three days, by every app of the corp."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.kit import api
from connectors.kit.profiles import word
from scrm.contract import Context, Media

_MEDIA_LIFE = timedelta(days=3)


async def upload(ctx: Context, media: Media) -> tuple[str, datetime]:
    """A temporary `media_id` and until when it works."""
    main = media.mime.partition("/")[0]
    kind = {"image": "image", "audio": "voice", "video": "video"}.get(main, "file")
    answer = await api.upload(
        ctx, "cgi-bin/media/upload", grant=api.WECOM, media=media, params={"type": kind}
    )
    return api.field(answer, "media_id"), _made(answer, ctx.now) + _MEDIA_LIFE


def _made(answer: dict[str, Any], now: datetime) -> datetime:
    made = word(answer, "created_at")
    return datetime.fromtimestamp(int(made), UTC) if made.isdigit() and len(made) <= 11 else now
