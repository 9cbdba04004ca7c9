"""Errors as the asker can use them: a page, a sentence for a fragment, or an RFC 9457 problem."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from urllib.parse import quote

import structlog
from aiohttp import web

from scrm import shapes
from scrm.db import utcnow
from scrm.errors import NotSignedIn, ScrmError
from scrm.web.house import actor_or_none, house
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
        return _answer(request, error.status, error.sentence, signed_out=isinstance(error, NotSignedIn))
    trace = secrets.token_hex(6)
    log.exception("request failed", trace=trace, path=request.match_info.route.resource and _pattern(request))
    return _answer(request, 500, "服务器出了点问题，请稍后再试。", trace=trace)


def of_http(request: web.Request, raised: web.HTTPException) -> web.StreamResponse:
    if raised.status < 400:
        return raised
    sentence = _SENTENCES.get(raised.status, HTTPStatus(raised.status).phrase)
    response = _answer(request, raised.status, sentence)
    if "Allow" in raised.headers:
        response.headers["Allow"] = raised.headers["Allow"]
    return response


def _pattern(request: web.Request) -> str:
    """The route, never the path: paths carry ids."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""


def _answer(
    request: web.Request, status: int, sentence: str, *, trace: str = "", signed_out: bool = False
) -> web.Response:
    if request.path.startswith("/api/"):
        return problem(status, sentence, trace)
    if request.path.startswith(("/hooks/", "/healthz", "/readyz", "/metrics")):
        return web.Response(status=status, text="")
    if request.headers.get("HX-Request"):
        response = _page(request, "sidebar/problem.html", status, sentence=sentence)
        if signed_out:
            response.headers["HX-Redirect"] = "/login"
        return response
    if signed_out and request.method == "GET" and not request.path.startswith("/live"):
        where = request.path_qs if request.path_qs.startswith("/") else "/inbox"
        target = "/login?next=" + quote(where, safe="")
        return web.Response(status=303, headers={"Location": target})
    return _page(
        request, "error.html", status, error=ErrorView(status=status, sentence=sentence, trace=trace)
    )


def problem(status: int, sentence: str, trace: str = "") -> web.Response:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": sentence}
    if trace:
        body["instance"] = f"urn:scrm:trace:{trace}"
    return web.Response(status=status, body=shapes.to_json(body), content_type="application/problem+json")


def _page(request: web.Request, template: str, status: int, **views: object) -> web.Response:
    found = actor_or_none(request)
    text = house(request).renderer.render(
        template,
        locale="en" if found and found.locale == "en" else "zh_CN",
        theme="dark"
        if found and found.theme == "dark"
        else "light"
        if found and found.theme == "light"
        else "auto",
        now=utcnow(),
        **views,
    )
    return web.Response(status=status, text=text, content_type="text/html")
