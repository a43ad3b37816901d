"""The OpenAPI document, made from the calls that stand beside their handlers. ``python -m tailrace.openapi`` prints it.

The page's types are generated from it, so whatever the page asks or is answered has to be a call.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any

import msgspec

import tailrace
from tailrace.api import FRAMES, NDJSON, PROBLEM, SSE, WEBSOCKET, Call, Problem


def document(calls: Iterable[Call]) -> dict[str, Any]:
    """Return the document (OpenAPI 3.1) that describes these calls."""
    calls = list(calls)
    kinds: list[Any] = [Problem, *FRAMES.values()]
    for call in calls:
        kinds += [kind for media, kind in call.gives.items() if kind is not str and media not in (SSE, WEBSOCKET)]
        kinds += [call.hears, *call.gives[WEBSOCKET].values()] if call.hears else []
        kinds += [field.type for field in msgspec.structs.fields(call.takes)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    of_kind = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call, of_kind)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tailrace",
            "version": tailrace.__version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(call: Call, of_kind: dict[int, Any]) -> dict[str, Any]:
    in_path = re.findall(r"\{(\w+)\}", call.path)
    path = re.sub(r"[/.{}]+", "_", call.path.removeprefix("/api/v1").strip("/{}"))
    content = {media: _content(media, call, of_kind) for media in call.gives if media != WEBSOCKET}
    responses: dict[str, Any] = {"200": {"description": "OK", "content": content}}
    if call.hears:
        events = {event: of_kind[id(kind)] for event, kind in call.gives[WEBSOCKET].items()}
        said = {"x-events": events, "x-messages": of_kind[id(call.hears)]}
        responses = {"101": {"description": "A WebSocket; its messages are JSON, with their event", **said}}
    responses["default"] = {"description": "What went wrong", "content": {PROBLEM: {"schema": of_kind[id(Problem)]}}}
    operation: dict[str, Any] = {
        "operationId": f"{call.method.lower()}_{path}" if call.method != "GET" else path or "page",
        "summary": call.summary,
        "responses": responses,
    }
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "description": "In the path.", "required": True, "schema": {"type": "string"}}
        for name in in_path
    ]
    parameters += [_parameter(field, of_kind[id(field.type)]) for field in msgspec.structs.fields(call.takes)]
    if call.any_parameters:
        labels = {"type": "object", "additionalProperties": {"type": "string"}}
        parameters.append({"name": "labels", "in": "query", "style": "form", "explode": True, "schema": labels})
    if parameters:
        operation["parameters"] = parameters
    if call.body:
        operation["requestBody"] = {"required": True, "content": {media: {"schema": {}} for media in call.body}}
    return operation


def _content(media: str, call: Call, of_kind: dict[int, Any]) -> dict[str, Any]:
    if media == SSE:
        frames = {event: of_kind[id(kind)] for event, kind in FRAMES.items()}
        return {"schema": {"type": "string"}, "x-events": frames}
    kind = call.gives[media]
    schema = {"type": "string"} if kind is str else of_kind[id(kind)]
    return {"schema": schema, "x-each-line": True} if media == NDJSON else {"schema": schema}


def _parameter(field: msgspec.structs.FieldInfo, schema: dict[str, Any]) -> dict[str, Any]:
    shown = dict(schema)
    parameter = {"name": field.encode_name, "in": "query", "description": shown.pop("description", "")}
    if field.required:
        parameter["required"] = True
    elif field.default is not None:
        shown["default"] = field.default
    return {**parameter, "schema": shown}


def main() -> int:
    """Print the document of the server."""
    from tailrace.server import CALLS

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document(CALLS)), indent=2).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
