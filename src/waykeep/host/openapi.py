"""The host's interface as an OpenAPI 3.1 document, made from the route table and the types that cross the wire."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from waykeep.formats import problem
from waykeep.host.answers import JSON
from waykeep.host.ports import Health

_PARAMETER = re.compile(r"\{([a-z]+)\}")
_PARTS = {
    "owner": ("The owner id.", "^[a-z2-7]{52}$"),
    "room": ("A folder of the owner's store.", "^[a-z-]+$"),
    "name": ("An object's name.", r"^[a-z0-9][a-z0-9-]{0,63}(\.age)?$"),
    "number": ("The number of a key list, ten digits.", "^[0-9]{10}$"),
    "digest": ("The digest of a bundle.", "^sha256:[0-9a-f]{64}$"),
    "after": ("List only what comes after this name.", "^.{1,80}$"),
}


@dataclass(frozen=True)
class Described:
    """What a caller needs to know of one route.

    Attributes:
        answers: Per status the type, or the media type of bytes.
        body: Media type of the body that the route takes, or empty.
        signed: Who must sign the request (RFC 9421), or empty.
        query: Names of query parameters.
    """

    method: str
    path: str
    summary: str
    answers: dict[int, type[msgspec.Struct] | str]
    body: str = ""
    signed: str = ""
    query: tuple[str, ...] = ()


def document(routes: Sequence[Described], version: str) -> dict[str, Any]:
    """The OpenAPI document of these routes."""
    kinds: list[type[msgspec.Struct]] = [problem.Problem, Health]
    for route in routes:
        kinds += [kind for kind in route.answers.values() if not isinstance(kind, str) and kind not in kinds]
    _, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Waykeep host",
            "version": version,
            "description": "Untrusted: keeps ciphertext and bundles, finds user clouds. Refusals follow RFC 9457.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Signature",
                    "description": "RFC 9421, Ed25519, tag 'waykeep': @method, @target-uri, content-digest of a body.",
                }
            },
        },
    }


def _operation(route: Described) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": route.summary,
        "operationId": re.sub(r"[^a-z0-9]+", "-", f"{route.method} {route.path}".lower()).strip("-"),
        "parameters": [_parameter(name, "path") for name in _PARAMETER.findall(route.path)]
        + [_parameter(name, "query") for name in route.query],
        "responses": {str(status): _response(kind) for status, kind in route.answers.items()}
        | {"default": _content("A refusal.", problem.MEDIA_TYPE, _schema(problem.Problem))},
    }
    if route.body:
        found["requestBody"] = {"required": True, "content": {route.body: {"schema": _octets(route.body)}}}
    if route.signed:
        found["security"] = [{"signature": []}]
        found["description"] = f"Signed by {route.signed}."
    return found


def _parameter(name: str, place: str) -> dict[str, Any]:
    description, pattern = _PARTS[name]
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": {"type": "string", "pattern": pattern},
    }


def _response(kind: type[msgspec.Struct] | str) -> dict[str, Any]:
    if isinstance(kind, str):
        return _content("The bytes.", kind, _octets(kind))
    return _content((kind.__doc__ or kind.__name__).splitlines()[0], JSON, _schema(kind))


def _content(description: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _octets(media_type: str) -> dict[str, Any]:
    if media_type == JSON:
        return {"type": "object"}
    return {"type": "string"} if media_type.startswith("text/") else {"type": "string", "format": "binary"}
