"""Errors as the asker can use them: a page, a sentence for a fragment, or an RFC 9457 problem."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from urllib.parse import quote

import structlog
from aiohttp import web

from scrm import shapes
from scrm.errors import NotSignedIn, ScrmError
from scrm.web.house import actor_or_none, house
from scrm.web.pages import locale, page
from scrm.web.views import ErrorView

log = structlog.get_logger()
_SENTENCES = {
    404: "没有找到这个页面。",
    405: "这个地址不支持这种操作。",
    413: "内容太大了。",
    415: "不支持这种格式。",
}


def of_error(request: web.Request, error: Exception) -> web.Response:
    """Expected errors say their sentence; unexpected ones only an id that the log knows more about."""
    if isinstance(error, ScrmError):
        return _answer(
            request,
            error.status,
            _translated(request, error.sentence),
            signed_out=isinstance(error, NotSignedIn),
        )
    trace = secrets.token_hex(6)
    log.exception("request failed", trace=trace, route=_pattern(request))
    return _answer(request, 500, _translated(request, "服务器出了点问题，请稍后再试。"), trace=trace)


def of_http(request: web.Request, raised: web.HTTPException) -> web.StreamResponse:
    if raised.status < 400:
        return raised
    sentence = _translated(request, _SENTENCES.get(raised.status, HTTPStatus(raised.status).phrase))
    response = _answer(request, raised.status, sentence)
    if "Allow" in raised.headers:
        response.headers["Allow"] = raised.headers["Allow"]
    return response


def _translated(request: web.Request, sentence: str) -> str:
    """Sentences with values in them stay Chinese: they are not in the catalogue as they stand."""
    if "{" in sentence:
        return sentence
    return house(request).renderer.say(locale(actor_or_none(request)), sentence)


def _pattern(request: web.Request) -> str:
    """The route, never the path: paths carry ids."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""


def _answer(
    request: web.Request, status: int, sentence: str, *, trace: str = "", signed_out: bool = False
) -> web.Response:
    if request.path.startswith(("/api/", "/chat/")):
        return problem(status, sentence, trace)
    if request.path.startswith(("/hooks/", "/healthz", "/readyz", "/metrics")):
        return web.Response(status=status, text="")
    if request.headers.get("HX-Request"):
        response = page(request, "sidebar/problem.html", status=status, sentence=sentence)
        if signed_out:
            response.headers["HX-Redirect"] = "/login"
        return response
    if signed_out and request.method == "GET" and not request.path.startswith("/live"):
        where = request.path_qs if request.path_qs.startswith("/") else "/inbox"
        target = "/login?next=" + quote(where, safe="")
        return web.Response(status=303, headers={"Location": target})
    view = ErrorView(status=status, sentence=sentence, trace=trace)
    return page(request, "error.html", status=status, error=view)


def problem(status: int, sentence: str, trace: str = "") -> web.Response:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": sentence}
    if trace:
        body["instance"] = f"urn:scrm:trace:{trace}"
    return web.Response(status=status, body=shapes.to_json(body), content_type="application/problem+json")
