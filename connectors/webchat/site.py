"""What a website's chat looks like and when somebody answers, from the account's settings."""

from __future__ import annotations

from connectors.webchat.hours import open_at
from scrm.contract import Context, Site

_LIGHT, _DARK = "#FFFFFF", "#16202E"
_MB = 1024 * 1024


def site(ctx: Context) -> Site:
    """Everything the widget is told; nothing of it is secret."""
    account = ctx.account
    colour = account.get("colour") or "#1557C8"
    is_open, back_at = open_at(account.get("hours"), account.get("zone") or "Asia/Shanghai", ctx.now)
    return Site(
        name=account.get("site_name") or account.name,
        origins=frozenset(o.lower() for o in account.get("origins").split()),
        greeting=account.get("greeting"),
        colour=colour,
        ink=_readable(colour),
        upload_max=int(account.get("upload_mb") or 5) * _MB,
        open=is_open,
        back_at=back_at,
    )


def _readable(colour: str) -> str:
    """White or dark words, whichever stand out more (WCAG 2 contrast)."""
    shade = _luminance(colour)
    on_white = 1.05 / (shade + 0.05)
    on_dark = (shade + 0.05) / (_luminance(_DARK) + 0.05)
    return _LIGHT if on_white >= min(4.5, on_dark) else _DARK


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)
