"""Answers: JSON of the frozen types, bytes as they lie in the store, and problem documents."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from waykeep.errors import WaykeepError
from waykeep.formats import problem
from waykeep.formats.wire import encode_json

OCTETS = "application/octet-stream"
JSON = "application/json"


def answer(value: msgspec.Struct, status: int = 200) -> Response:
    return Response(encode_json(value), status_code=status, media_type=JSON)


def octets(data: bytes) -> Response:
    """Stored bytes, which come from strangers: no browser shall guess what they are."""
    return Response(data, media_type=OCTETS, headers={"x-content-type-options": "nosniff"})


def refusal(error: WaykeepError, *, close: bool = False, allow: str = "") -> Response:
    """A problem document (RFC 9457); every 503 says when to come again."""
    response = Response(problem.encode(error), status_code=error.status, media_type=problem.MEDIA_TYPE)
    if error.status == 503:
        response.headers["retry-after"] = "1"
    if close:
        response.headers["connection"] = "close"
    if allow:
        response.headers["allow"] = allow
    return response
