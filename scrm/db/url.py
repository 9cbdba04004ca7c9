"""The database's address as it was configured; it may hold a password, so nothing ever quotes it."""

from __future__ import annotations

import sqlalchemy as sa

from scrm.errors import BadConfig


def url_of(text: str) -> sa.URL:
    """Raises `BadConfig` for an address that is none."""
    try:
        return sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise BadConfig(
            "database_url 不是有效的数据库地址：请写 postgresql://用户:密码@主机:端口/库名；"
            "密码里的 / : @ # ? % 要写成 %2F %3A %40 %23 %3F %25。"
        ) from None
