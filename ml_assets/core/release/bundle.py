"""The release bundle: everything that serves together and is rolled back together, as named files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ml_assets.core.contract.engine import request_fields
from ml_assets.core.contract.row_rules import field_rules, keeps, row_rules, without_field_rules
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.metrics.drift import profile
from ml_assets.core.metrics.score_columns import shown
from ml_assets.core.model.features import model_columns
from ml_assets.core.model.known_categories import Known, evenly_spaced
from ml_assets.core.model.training import feature_kinds
from ml_assets.core.release.approvals import Override
from ml_assets.spec.product import Product

GOLDEN_ROWS = 16
"""Requests whose scores are kept in the bundle, so that whoever loads it can check that it computes the same."""


@dataclass(frozen=True)
class Parts:
    """The parts of a bundle. `features` and `requests` are rows of one partition in the same order. `known` are the values
    trained on of those request columns that take no others."""

    model: bytes
    features_sql: bytes
    lookups: Mapping[str, bytes]
    features: pl.DataFrame
    requests: pl.DataFrame
    scores: np.ndarray
    trained: pl.DataFrame
    known: Known
    tested_scores: np.ndarray
    manifest: Manifest
    evaluation: Manifest
    card: str
    override: Override | None = None


def release_name(partition: str, key: str) -> str:
    """A release's name: its as-of partition and the first 8 digits of its recipe's key."""
    return f"{partition}.{key[:8]}"


def files(product: Product, parts: Parts, *, name: str) -> dict[str, bytes]:
    """The members of the bundle."""
    about = {
        "product": product.name,
        "task": product.task,
        "release": name,
        **computation(product, parts.features),
        "time": product.features.time,
        "threshold": product.decision.threshold if product.decision else None,
        **({"classes": list(product.features.class_names)} if product.features.classes else {}),
    }
    evidence = {"evaluation": parts.evaluation.id, **parts.evaluation.facts}
    if parts.override is not None:
        evidence["override"] = parts.override.facts
    members = {
        "model.cbm": parts.model,
        "features.sql": parts.features_sql,
        "bundle.json": _json(about),
        "request.json": _json(_fields(product, parts.known)),
        "profile.json": _json(profile(parts.trained.select(model_columns(product)), _profiled(product, parts.tested_scores))),
        "golden.json": _json(golden(product, parts.requests, parts.scores, known=parts.known)),
        "manifest.json": _json(parts.manifest.to_dict()),
        "evidence.json": _json(evidence),
        "card.md": parts.card.encode(),
    }
    if rules := [*field_rules(request_fields(product.contract.Request)), *row_rules(product.contract.Request)]:
        members["rules.json"] = _json([rule.entry for rule in rules])
    return members | {f"lookups/{lookup}.parquet": content for lookup, content in parts.lookups.items()}


def computation(product: Product, features: pl.DataFrame) -> dict[str, Any]:
    """How features are computed from requests by the bundle's SQL: their kinds, the key, and the relation of the requests."""
    return {
        "features": feature_kinds(features.select(model_columns(product))),
        "key": list(product.features.key),
        "requests_relation": f"{product.name}_requests",
    }


def _profiled(product: Product, scores: np.ndarray) -> pl.Series:
    return shown(scores, product.features.class_names)


def _fields(product: Product, known: Known) -> list[dict[str, Any]]:
    fields = map(without_field_rules, request_fields(product.contract.Request))
    return [field | ({"known": known[field["name"]]} if field["name"] in known else {}) for field in fields]


def golden(
    product: Product, requests: pl.DataFrame, scores: np.ndarray, *, known: Known, rows: int = GOLDEN_ROWS
) -> dict[str, Any]:
    """Evenly spaced requests that the endpoint takes, as a client would send them, with their offline scores."""
    chosen = evenly_spaced(product, requests, known=known, kept=keeps(product.contract.Request, requests), rows=rows)
    return {"requests": as_requests(product, requests[chosen]), "scores": [scores[i].tolist() for i in chosen]}


def as_requests(product: Product, requests: pl.DataFrame) -> list[dict[str, Any]]:
    """Request rows as JSON objects with the endpoint's fields; times in ISO 8601."""
    names: Sequence[str] = [field["name"] for field in request_fields(product.contract.Request)]
    return [
        {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
        for row in requests.select(names).iter_rows(named=True)
    ]


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode()
