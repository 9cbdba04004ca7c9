"""Logs: JSON lines on stderr without personal data, ours and the libraries'."""

from __future__ import annotations

import logging
import sys
import traceback
from contextlib import suppress
from pathlib import Path

import structlog
from structlog.typing import EventDict

log = structlog.get_logger()


def open_logs(level: str) -> None:
    """JSON lines without personal data: events name ids and kinds, never what somebody said."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_values,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # stdout is for what a command says: the line `ready`, a token, a document.
        logger_factory=lambda *_: _Lines(sys.stderr),
        cache_logger_on_first_use=False,
    )
    if not any(isinstance(handler, _Libraries) for handler in logging.getLogger().handlers):
        logging.getLogger().addHandler(_Libraries(logging.WARNING))
    # Access lines carry paths and addresses; our own counters say the rest.
    logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL)


class _Lines(structlog.PrintLogger):
    """A line that cannot be written, as on a full disk, is lost; the loop that wanted to say it goes on."""

    def msg(self, message: str) -> None:
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


class _Libraries(logging.Handler):
    """What libraries complain about: who and where. Their messages may quote a request, so they stay out."""

    def emit(self, record: logging.LogRecord) -> None:
        where = f"{record.module}:{record.lineno}"
        log.log(record.levelno, "library", logger=record.name, at=where, exc_info=record.exc_info)


def _without_values(_logger: object, _method: str, fields: EventDict) -> EventDict:
    """A traceback names files and lines; an exception's message may quote a customer, so it stays out."""
    if given := fields.pop("exc_info", None):
        kind, _, trace = given if isinstance(given, tuple) else sys.exc_info()
        fields["error"] = kind.__name__ if kind else ""
        frames = traceback.extract_tb(trace)[-8:]
        fields["where"] = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames]
    return fields
