"""The endpoint's status: GET /, /docs, /livez, /readyz, /version, /metrics, /openapi.json."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from ml_assets.serving.http.body_io import AsgiRequest, Reply, as_json
from ml_assets.serving.http.home_page import home_page
from ml_assets.serving.http.openapi import ROUTES, document
from ml_assets.serving.http.prometheus import joined, observed_families, render
from ml_assets.serving.http.shared_state import State

_API_ROUTES = {"/predict": ("post", "Score one request, or many"), "/openapi.json": ("get", "What clients are made from")}
_PAGE_POLICY = b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


def status_routes(state: State) -> dict[str, tuple[str, Callable[[AsgiRequest], Awaitable[Reply]]]]:
    """Return the routes that change nothing, by path: method and handler."""

    async def home(request: AsgiRequest) -> Reply:
        page = await asyncio.to_thread(home_page, state.serving().bundle, version(state), {**_API_ROUTES, **ROUTES})
        return Reply(200, page, kind=b"text/html; charset=utf-8", headers=((b"content-security-policy", _PAGE_POLICY),))

    async def livez(request: AsgiRequest) -> Reply:
        return as_json({"status": "alive"})

    async def readyz(request: AsgiRequest) -> Reply:
        serving = state.serving()
        if state.endpoint.is_draining:
            return as_json({"status": "stopping"}, status=503)
        trouble = {"instead_of": serving.instead_of} if serving.instead_of else {}
        away = state.followed.link if state.followed and state.followed.link.away_since else None
        cut_off = {"ledger": {"away_since": away.away_since, "why": away.why}} if away else {}
        return as_json({"status": "ready", "release": serving.bundle.release, **trouble, **cut_off})

    async def get_version(request: AsgiRequest) -> Reply:
        return as_json(version(state))

    async def openapi(request: AsgiRequest) -> Reply:
        bundle = state.serving().bundle
        return as_json(document(bundle.requests, bundle.card))

    async def metrics(request: AsgiRequest) -> Reply:
        text = metrics_text(state)
        if state.peers and not state.admission.is_peer(request):
            others = await asyncio.to_thread(state.peers.metrics)
            text = await asyncio.to_thread(joined, {state.peers.number: text, **others})
        return Reply(200, text.encode(), kind=CONTENT_TYPE_PLAIN_0_0_4.encode())

    handlers = {
        "/": home,
        "/docs": home,
        "/livez": livez,
        "/readyz": readyz,
        "/version": get_version,
        "/openapi.json": openapi,
        "/metrics": metrics,
    }
    return {path: ("GET", handler) for path, handler in handlers.items()}


def version(state: State) -> dict[str, Any]:
    """Return the release that serves, since when, by whose decision, and how it computes. Raises BadRequest with 503."""
    serving, endpoint = state.serving(), state.endpoint
    engines = serving.bundle.engines
    return {
        "product": endpoint.product,
        "environment": endpoint.environment,
        **msgspec.structs.asdict(serving.pointer),
        "features": {"engine": engines.features.engine, "why_not_compiled": engines.why_not_features},
        "model": {"engine": engines.scorer.engine, "why_not_compiled": engines.why_not_scorer},
        "instead_of": serving.instead_of,
        "shadow_trouble": endpoint.shadow_trouble or None,
        "refused": endpoint.refusal or None,
        "ledger": msgspec.to_builtins(state.followed.link) if state.followed else None,
        "kept_in_memory": endpoint.previous.bundle.release if endpoint.previous else None,
    }


def metrics_text(state: State) -> str:
    """Return all metrics of this process as Prometheus text."""
    serving = state.endpoint.serving
    shadow = state.shadow.counters() if state.shadow else {}
    counters = {
        **shadow,
        "batches": state.batcher.batches,
        "predictions_logged": state.log.written,
        "predictions_not_logged": state.log.lost,
        "prediction_log_compactions_failed": state.log.compactions_failed,
        "prediction_log_shipments_failed": state.failed_shipments,
    }
    gauges: dict[str, float] = {"waiting_rows": state.batcher.waiting_rows}
    if state.followed is not None:
        link = state.followed.link
        gauges |= {"ledger_away": float(link.away_since is not None), "break_glass": float(link.break_glass is not None)}
    if serving is None:
        return render(state.metrics.families(release=None, counters=counters, gauges=gauges))
    engines = serving.bundle.engines
    counters["rows_left_to_duckdb"] = engines.features.left_to_duckdb
    gauges |= {
        "features_compiled": float(engines.features.engine == "compiled"),
        "model_compiled": float(engines.scorer.engine == "compiled"),
        "serves_instead_of_pointer": float(serving.instead_of is not None),
        "load_seconds": serving.loaded_seconds,
    }
    release, product = serving.bundle.release, state.endpoint.product
    own = state.metrics.families(release=release, counters=counters, gauges=gauges)
    return render([*own, *observed_families(serving.bundle.observed, product=product, release=release)])
