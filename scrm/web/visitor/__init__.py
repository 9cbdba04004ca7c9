"""`/chat`: what visitors of a website reach: widget, session, messages, stream, files. Never with cookies."""

from __future__ import annotations

from scrm.web.visitor import files, stream, talk

ROUTES = (*talk.ROUTES, *stream.ROUTES, *files.ROUTES)
