"""The endpoint's OpenAPI document, derived from the bundle's request.json."""

from typing import Any

import msgspec

from ml_assets.serving.release.bundle import Card
from ml_assets.serving.requests.field import MOST_SHOWN, SHOWN, Field
from ml_assets.serving.requests.parser import RequestDecoder

_PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}

ROUTES = {
    "/": ("get", "This endpoint for a person: what serves, and an example request to try"),
    "/docs": ("get", "The same page"),
    "/livez": ("get", "The process lives"),
    "/readyz": ("get", "A release is loaded and the server is not stopping"),
    "/version": ("get", "The release that serves, since when, by whose decision"),
    "/metrics": ("get", "Prometheus metrics"),
    "/outcomes": ("post", "What questions turned out to be, by prediction id or key; needs an outcomes key"),
    "/reload": ("post", "Serve what the pointer names now; needs an admin key"),
    "/rollback": ("post", "Serve an earlier release; needs an admin key"),
}
"""Method and a sentence by path, of all but /predict and the document itself."""


def document(requests: RequestDecoder, card: Card) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a release: its card, and the requests that it takes."""
    (request,), components = msgspec.json.schema_components([requests.row_type], ref_template="#/components/schemas/{name}")
    row = components["Request"]
    for field in requests.fields:
        row["properties"][field.name] = _described(field, row["properties"][field.name])
    if rules := requests.rules:
        row["description"] = "Each row keeps: " + "; ".join(f"{rule.text} ({rule.name})" for rule in rules)
    schemas = {"Request": row, "Refusal": _refusal(), "Answer": _answer(card)}
    many = {"type": "array", "items": request, "minItems": 1, "maxItems": requests.limits.rows}
    rows = {"type": "object", "properties": {"rows": many}, "required": ["rows"], "additionalProperties": False}
    return {
        "openapi": "3.1.0",
        "info": {"title": card.product, "version": card.release},
        "paths": {"/predict": {"post": _predict({"oneOf": [request, rows]})}, **_plain_paths()},
        "components": {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"key": []}],
    }


def _described(field: Field, schema: dict[str, Any]) -> dict[str, Any]:
    if field.known is not None and len(known := field.listed or ()) > MOST_SHOWN:
        about = f"One of {len(known)} values that the training saw, such as {', '.join(map(str, known[:SHOWN]))}"
        return {"type": [field.type, "null"] if field.nullable else field.type, "description": about}
    if field.type == "timestamp":
        return {"type": ["string", "null"] if field.nullable else "string", "examples": ["2013-01-01T10:00:00"]}
    return schema


def _predict(body: dict[str, Any]) -> dict[str, Any]:
    refused = _json({"$ref": "#/components/schemas/Refusal"})
    scored = {"description": "Scores in the order of the rows", **_json({"$ref": "#/components/schemas/Answer"})}
    reasons = {
        "400": "Not JSON", "401": "No API key", "403": "The API key does not allow this", "408": "Took too long to arrive",
        "413": "Too large", "415": "The body is encoded", "422": "A field or a row is refused",
        "429": "Too many requests of this client",
        "503": "Not ready, or too busy",
    }  # fmt: skip
    return {
        "summary": "Score one request, or many",
        "requestBody": {"required": True, **_json(body)},
        "responses": {"200": scored, **{code: {"description": text, **refused} for code, text in reasons.items()}},
    }


def _plain_paths() -> dict[str, Any]:
    return {path: {verb: {"summary": text, "responses": {"200": {"description": text}}}} for path, (verb, text) in ROUTES.items()}


def _answer(card: Card) -> dict[str, Any]:
    score = {"id": {"type": "string", "format": "uuid"}, **_scores(card)}
    prediction = {"type": "object", "properties": score, "required": list(score)}
    properties = {"release": {"type": "string"}, "predictions": {"type": "array", "items": prediction}}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _scores(card: Card) -> dict[str, Any]:
    """The fields of a prediction by the release's task."""
    if classes := list(card.classes):
        probabilities = {"type": "object", "properties": dict.fromkeys(classes, _PROBABILITY), "required": classes}
        return {"class": {"type": "string", "enum": classes}, "probabilities": probabilities}
    if card.task == "binary":
        return {"probability": _PROBABILITY, "decision": {"type": ["boolean", "null"]}}
    return {"value": {"type": "number"}}


def _refusal() -> dict[str, Any]:
    reason = {"path": {"type": "string"}, "message": {"type": "string"}, "allowed": {}}
    detail = {"type": "array", "items": {"type": "object", "properties": reason, "required": ["path", "message"]}}
    return {"type": "object", "properties": {"detail": detail}, "required": ["detail"]}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}
