"""The OpenAPI 3.1 document, made from the operations themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from scrm import shapes
from scrm.staff.rules import Policy
from scrm.web.api import resources
from scrm.web.api.endpoint import Endpoint, reply
from scrm.web.api.surface import ENDPOINTS
from scrm.web.routes import Route

_REF = "#/components/schemas/{name}"
_PROBLEM = {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}}


def document(endpoints: Sequence[Endpoint] = ENDPOINTS) -> dict[str, Any]:
    types = [t for e in endpoints for t in (e.answer, e.body) if t is not None]
    refs, components = shapes.schemas([*types, resources.Problem], ref=_REF)
    found = dict(zip(map(str, types), refs, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for e in endpoints:
        paths.setdefault(e.path, {})[e.method.lower()] = _operation(e, found)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "scrm",
            "version": "1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": components,
        },
    }


def _operation(e: Endpoint, refs: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": e.handler.__name__,
        "summary": e.summary,
        "parameters": _parameters(e),
        "responses": {
            str(e.status): {
                "description": e.summary,
                "content": {"application/json": {"schema": refs[str(e.answer)]}},
            },
            "default": {"description": "What went wrong, in a sentence", "content": _PROBLEM},
        },
    }
    if e.body is not None:
        made["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": refs[str(e.body)]}},
        }
    return made


def _parameters(e: Endpoint) -> list[dict[str, Any]]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", e.path)
    ]
    query = [
        {
            "name": q.name,
            "in": "query",
            "description": q.about,
            "required": q.required,
            "schema": {"type": "integer", "minimum": 1, "maximum": 200} if q.integer else {"type": "string"},
        }
        for q in e.queries
    ]
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A repeat with the same key and body gets the first answer again",
        "required": e.path in ("/pushes", "/deeds"),
        "schema": {"type": "string", "maxLength": 128},
    }
    return [*path, *query, *([key] if e.method == "POST" else [])]


async def show(_request: web.Request) -> web.Response:
    return reply(document())


ROUTES = (
    *(e.route() for e in ENDPOINTS),
    Route(method="GET", path="/api/v1/openapi.json", handler=show, policy=Policy.PUBLIC),
)
