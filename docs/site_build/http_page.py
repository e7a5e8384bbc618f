"""The reference of the endpoint's HTTP API: the OpenAPI document that it serves, for flights, and as tables."""

import datetime as dt
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from keys import in_words
from tables import block, cell, code, table

from ml_assets.core.contract.engine import request_fields
from ml_assets.serving.http.home_page import example
from ml_assets.serving.http.openapi import ROUTES, document
from ml_assets.serving.release.bundle import Card
from ml_assets.serving.requests.parser import RequestDecoder
from ml_assets.serving.requests.refusals import BadRequest
from ml_assets.spec.product import Product, load
from resources.settings import ROOT

LEAD = """# HTTP API

What an endpoint takes and answers. Fields and scores are those of the product, here flights; each server describes its own at
`/openapi.json`, and for a person at `/`. How requests are checked, scored and logged is in [serving](../serving.md).

This page as an OpenAPI 3.1 document: [openapi.json](openapi.json).

"""


def http_page() -> str:
    """The page: routes, the request, the answers."""
    described = _document()
    predict = described["paths"]["/predict"]["post"]
    schemas = described["components"]["schemas"]
    routes = [("POST /predict", predict["summary"])]
    routes += [(f"{verb.upper()} {path}", about) for path, (verb, about) in ROUTES.items()]
    routes.append(("GET /openapi.json", "This API as a document, from which clients are made"))
    fields = [(code(name), _allowed(schema)) for name, schema in schemas["Request"]["properties"].items()]
    return "".join(
        [
            LEAD,
            "## Routes\n\n",
            table(("route", ""), [(code(route), cell(about)) for route, about in routes]),
            "\nA key, where the server has any, is sent as `Authorization: Bearer KEY`: [API keys](../serving.md#api-keys).\n",
            "\n## A request to /predict\n\n",
            'One object with these fields, or `{"rows": [...]}` with up to ',
            f"{_decoder(_flights()).limits.rows:,} of them.\n\n",
            table(("field of flights", "allowed"), fields),
            "\n",
            block(json.dumps(example(_decoder(_flights()).fields, day=dt.date(2013, 12, 10)), indent=2), "json"),
            "\n## The answer\n\n",
            table(("field", "allowed"), [(code(name), _allowed(schema)) for name, schema in _fields_of(schemas["Answer"])]),
            "\n## When a request is refused\n\n",
            table(
                ("status", "reason"),
                [(code(s), cell(a["description"])) for s, a in predict["responses"].items() if s != "200"],
            ),
            "\nThe body names each mistake: `path`, `message` and, where a field is refused, what is `allowed`.\n\n",
            block(_refused(), "json"),
        ]
    )


def _refused() -> str:
    """What is answered to a request that lacks its time."""
    decoder = _decoder(_flights())
    body = example(decoder.fields, day=dt.date(2013, 12, 10))
    del body[_flights().features.time]
    try:
        decoder.decode(json.dumps(body).encode())
    except BadRequest as error:
        return json.dumps(json.loads(error.body()), indent=2)
    raise AssertionError("a request without its time is refused")


def openapi_json() -> str:
    """The document of flights."""
    return json.dumps(_document(), indent=1) + "\n"


def _document() -> dict[str, Any]:
    product = _flights()
    card = Card(
        product=product.name,
        task=product.task,
        release="2013-11.c0f93126",
        features=[],
        key=list(product.features.key),
        time=product.features.time,
        requests_relation="",
    )
    return document(_decoder(product), card)


@cache
def _flights() -> Product:
    return load(ROOT / "ml_assets" / "products" / "flights")


def _decoder(product: Product) -> RequestDecoder:
    content = json.dumps(request_fields(product.contract.Request)).encode()
    return RequestDecoder(content, key=product.features.key, time=product.features.time)


def _fields_of(schema: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Mapping[str, Any]]]:
    """The values of an object by their paths, through lists of objects."""
    fields: list[tuple[str, Mapping[str, Any]]] = []
    for name, part in schema["properties"].items():
        below = part.get("items", {})
        fields += _fields_of(below, f"{prefix}{name}[].") if "properties" in below else [(f"{prefix}{name}", part)]
    return fields


def _allowed(schema: Mapping[str, Any]) -> str:
    kinds = schema.get("type")
    if isinstance(kinds, list):
        own = {**schema, "type": next(kind for kind in kinds if kind != "null")}
        return f"{_allowed(own)}, or null"
    note = "time, ISO 8601" if schema.get("examples") and kinds == "string" else in_words(schema)
    return note.replace(" or none", ", or null")
