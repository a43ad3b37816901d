"""An error as an HTTP answer: which status each has, and what is said of it (RFC 9457)."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tailrace import errors
from tailrace.api import PROBLEM, Problem

STATUS: list[tuple[type[errors.TailraceError], int, str]] = [
    (errors.QueryError, 400, "Query not understood"),
    (errors.TooLarge, 413, "Too large"),
    (errors.Unsupported, 415, "Not supported"),
    (errors.BadInput, 400, "Bad request"),
    (errors.OverQuota, 429, "Over the quota"),
    (errors.Busy, 429, "Too busy"),
    (errors.Refused, 403, "Refused"),
    (errors.Gone, 410, "No longer there"),
    (errors.Changed, 409, "Changed meanwhile"),
    (errors.Away, 503, "Something that is needed does not answer"),
    (errors.OriginTaken, 409, "This key was used for another body"),
    (errors.Closed, 503, "Stopping"),
    (errors.DiskFull, 507, "No room on the disk"),
    (errors.TailraceError, 500, "Failed"),
]


def problem(_: Request, error: Exception) -> Response:
    """Answer an error: what the world did wrong is said; a fault of the program goes to stderr only."""
    headers: dict[str, str] = {}
    position = cure = None
    if isinstance(error, errors.TailraceError):
        status, title = next((status, title) for kind, status, title in STATUS if isinstance(error, kind))
        detail, cure = error.message, error.cure or None
        position = error.position if isinstance(error, errors.QueryError) else None
        if isinstance(error, errors.Busy):
            headers["retry-after"] = str(max(1, math.ceil(error.retry_s)))
    elif isinstance(error, HTTPException):
        status, title, detail = error.status_code, error.detail, f"{error.detail}: see /openapi.json"
        headers.update(error.headers or {})
    else:
        status, title, detail = 500, "Internal error", "the server failed; its log says why"
    body = Problem(f"/problems/{title.lower().replace(' ', '-')}", title, status, detail, position, cure)
    if isinstance(error, errors.OverQuota):
        body.limit, body.used, body.allowed = error.limit, error.used, error.allowed
        until = datetime.now(UTC) + timedelta(seconds=error.retry_s)
        body.until = until.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Response(msgspec.json.encode(body), status, headers, PROBLEM)
