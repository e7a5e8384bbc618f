"""The endpoint gives the scores that were computed offline, fast enough, and serves the release that the ledger names."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from checks.evidence import check_spec, proven_of, result
from checks.latency import prove_latency
from checks.staging_server import StagingServer, staging_server
from ml_assets.core.lineage.facts import ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.release.records import MoveRecord
from ml_assets.services.claims import ANSWERS_EQUAL_OFFLINE as SMOKE
from ml_assets.services.claims import LATENCY_HOLDS
from ml_assets.services.evidence import Finding, Proof
from ml_assets.spec.product import Product
from resources.dagster_retries import retried
from resources.endpoints.moves import Endpoints, as_pointer
from resources.endpoints.replicas import replicas
from resources.ledger.following import identity_of
from resources.ledger.records import Record
from resources.lineage import Lineage
from resources.settings import Settings

RECORDED = "answers_as_recorded"


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """The checks of the staging and the production endpoint."""
    return [_tried_in_staging(product), _answers_as_recorded(product)]


def _tried_in_staging(product: Product) -> dg.AssetChecksDefinition:
    """Both checks in one step, so that both ask the same server process."""
    about = "A real server process answers requests of the test window with exactly the offline scores."
    specs = [check_spec(product, "endpoint/staging", SMOKE, about, blocking=True)]
    if product.staging is not None:
        about = (
            f"One row takes at most {product.staging.p99_ratio:g} times as long as from the release that serves (p99, over HTTP)."
        )
        specs.append(check_spec(product, "endpoint/staging", LATENCY_HOLDS, about, blocking=True))

    @dg.multi_asset_check(name=f"{product.name}__tried_in_staging", specs=specs, can_subset=True)
    @retried
    def tried_in_staging(
        context: dg.AssetCheckExecutionContext, lineage: dg.ResourceParam[Lineage], settings: dg.ResourceParam[Settings]
    ) -> Iterator[dg.AssetCheckResult]:
        staged = lineage.ledger.pointer(product.name, "staging")
        selected = {key.name for key in context.selected_asset_check_keys}
        with staging_server(settings, product) as server:
            if SMOKE in selected:
                yield from _prove_answers(context, server, lineage=lineage, product=product, staged=staged)
            if LATENCY_HOLDS in selected:
                yield from prove_latency(context, server, lineage=lineage, product=product, staged=staged)

    return tried_in_staging


def _prove_answers(
    context: dg.AssetCheckExecutionContext,
    server: StagingServer,
    *,
    lineage: Lineage,
    product: Product,
    staged: Record[MoveRecord] | None,
) -> Iterator[dg.AssetCheckResult]:
    from ml_assets.serving.client.http_client import EndpointError
    from ml_assets.serving.client.server_process import ServerDied

    def find(release: Manifest) -> list[Finding]:
        assert staged
        try:
            server.serve(as_pointer(staged))
            return [_compare(lineage, product, release, server.base_url)]
        except (EndpointError, ServerDied) as error:
            server.stop()  # the release that is tried next gets a process that this one can't have harmed
            return [Finding(SMOKE, False, f"{staged.body.release} cannot be served: {error}")]

    release = lineage.ledger.manifest(staged.body.manifest) if staged else None
    proof = Proof("endpoint/staging", (SMOKE,), (f"{__name__}:_compare",))
    yield from proven_of(context, lineage.ledger, product, proof, manifest=release, find=find)


def _compare(lineage: Lineage, product: Product, release: Manifest, base_url: str) -> Finding:
    """Ask a staging server, in its own process, for evenly spaced requests that it takes, and compare with the offline scores."""
    import numpy as np

    from ml_assets.core.contract.row_rules import keeps
    from ml_assets.core.model.known_categories import evenly_spaced, recorded_known
    from ml_assets.core.release.bundle import as_requests
    from ml_assets.serving.client import http_client as client

    offline, requests = _offline(lineage, product, release)
    known = recorded_known(lineage.snapshots.read(release.snapshot, "request.json"))
    kept = keeps(product.contract.Request, requests)
    chosen = evenly_spaced(product, requests, known=known, kept=kept, rows=product.endpoint.smoke_rows)
    answer = client.predict(base_url, as_requests(product, requests[chosen]), key="")
    served = np.array([_score(prediction, product) for prediction in answer["predictions"]])
    details = {"rows": len(chosen), "release": answer["release"]}
    if answer["release"] != (name := ReleaseFacts.of(release).release):
        return Finding(SMOKE, False, f"{answer['release']} serves in staging, not {name}", details=details)
    if not np.array_equal(served, offline[chosen]):
        furthest = float(np.abs(served - offline[chosen]).max()) if len(served) == len(chosen) else float("inf")
        return Finding(SMOKE, False, f"{len(chosen)} answers differ from offline by up to {furthest:g}", details=details)
    return Finding(SMOKE, True, f"{len(chosen)} answers over HTTP equal the offline scores", details=details)


def _score(prediction: Mapping[str, Any], product: Product) -> Any:
    """The score of an answered row: one number, or of several classes the number of each."""
    if product.features.classes:
        return [prediction["probabilities"][name] for name in product.features.class_names]
    return prediction["probability" if product.task == "binary" else "value"]


def _offline(lineage: Lineage, product: Product, release: Manifest) -> tuple[Any, Any]:
    """Scores computed offline from the stored features of the release's partition, and the requests in the same order."""
    import json

    from ml_assets.core.model.scoring import load_model, score_frame

    used = lineage.made_from(release)
    frame = lineage.snapshots.frame(used["features"].snapshot, "features.parquet")
    requests = lineage.snapshots.frame(used["features"].snapshot, "requests.parquet")
    about = json.loads(lineage.snapshots.read(used["model"].snapshot, "model.json"))
    model = load_model(lineage.snapshots.path(used["model"].snapshot, "model.cbm"), task=product.task)
    return score_frame(model, frame, about["features"]), requests


def _answers_as_recorded(product: Product) -> dg.AssetChecksDefinition:
    about = "The pointer file, and every production server that reports, name the release that the ledger does."
    spec = check_spec(product, "endpoint/production", RECORDED, about, blocking=False)

    @dg.multi_asset_check(name=f"{product.name}__answers_as_recorded", specs=[spec])
    @retried
    def answers_as_recorded(
        context: dg.AssetCheckExecutionContext, endpoints: dg.ResourceParam[Endpoints]
    ) -> Iterator[dg.AssetCheckResult]:
        yield result(product, "endpoint/production", _recorded(endpoints, product))

    return answers_as_recorded


def _recorded(endpoints: Endpoints, product: Product) -> Finding:
    from ml_assets.serving.client import http_client as client
    from resources.endpoints import pointer

    entry = endpoints.ledger.pointer(product.name, "production")
    if entry is None:
        return Finding(RECORDED, False, "no release was promoted yet", "WARN")
    expected = entry.body.release
    written = pointer.read(endpoints.file(product.name, "production"))
    if written is None or written.bundle != entry.body.bundle:
        return Finding(
            RECORDED, False, f"the pointer file names {written.release if written else 'nothing'}, the ledger {expected}"
        )
    servers = replicas(endpoints.ledger.engine, product.name)
    if wrong := [seen.sentence() for seen in servers if seen.is_silent or seen.replica.bundle != entry.body.bundle]:
        return Finding(RECORDED, False, f"{expected} is recorded; {'; '.join(wrong)}")
    if servers:
        places = ", ".join(seen.replica.address for seen in servers)
        return Finding(RECORDED, True, f"{expected} is recorded, and serves on {len(servers)} servers: {places}")
    url = f"http://{product.endpoint.host}:{product.endpoint.port}"
    try:
        version = client.release(url)
    except client.EndpointUnreachable:
        return Finding(RECORDED, True, f"{expected} is recorded and pointed to; no server runs at {url}")
    if stranger := client.stranger(version, identity_of(endpoints.ledger)):
        return Finding(RECORDED, False, f"the server at {url} {stranger}")
    served = version["release"]
    return Finding(RECORDED, served == expected, f"{served} serves at {url}, {expected} is recorded")
