"""endpoint: which release answers in staging and in production, since when and by whose decision."""

from dataclasses import dataclass
from typing import Any

import dagster as dg

from ml_assets.core.manifests import Manifest
from ml_assets.errors import MlAssetsError
from ml_assets.product import Product
from resources.assets import asset_key, spec
from resources.claims import ANSWERS_EQUAL_OFFLINE, RELEASE_CLAIMS
from resources.workspace import Workspace

KEPT = "kept"
"""How the told decision begins when nothing was moved."""


class PromotionRefused(MlAssetsError):
    """The record does not let this release answer."""


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The endpoint assets: staging, then production."""
    return [_staging(product), _production(product)]


def _staging(product: Product) -> dg.AssetsDefinition:
    description = "The release that answers in staging, where it is tried over HTTP."
    deps = [asset_key(product, "release")]

    @dg.multi_asset(
        name=f"{product.name}__endpoint_staging",
        specs=[spec(product, "endpoint/staging", description, deps=deps, kinds={"http"})],
    )
    def endpoint_staging(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[Any]:
        release = released(context, workspace, product)
        before = workspace.endpoints.settle(product.name, "staging")
        tried = not workspace.lineage.unproven(release, [ANSWERS_EQUAL_OFFLINE])
        if before is None or (before.bundle != release.snapshot and not tried):
            workspace.endpoints.move(
                "staging",
                release,
                environment="staging",
                by=f"dagster run {context.run.run_id}",
                reason=f"released as of {release.partition}",
                expected=before.bundle if before else None,
            )
        return _answering(workspace, product, "staging", f"{KEPT}: tried before" if tried else "to be tried")

    return endpoint_staging


def _production(product: Product) -> dg.AssetsDefinition:
    description = "The release that answers in production."
    deps = [asset_key(product, "endpoint/staging")]

    @dg.multi_asset(
        name=f"{product.name}__endpoint_production",
        specs=[spec(product, "endpoint/production", description, deps=deps, kinds={"http"})],
    )
    def endpoint_production(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.MaterializeResult[Any]:
        release = released(context, workspace, product)
        workspace.endpoints.settle(product.name, "production")
        told = promote(workspace, product, release, run=context.run.run_id)
        context.log.info(f"{product.name} {release.facts['release']}: {told}")
        return _answering(workspace, product, "production", told)

    return endpoint_production


def released(context: dg.AssetExecutionContext, workspace: Workspace, product: Product) -> Manifest:
    """The release as of the run's partition; without one, the newest."""
    keys = workspace.ledger.partitions(product.name, "release")
    key = context.run.tags.get("dagster/partition") or (keys[-1] if keys else "")
    return workspace.lineage.current(product, "release", key)


def promote(workspace: Workspace, product: Product, release: Manifest, *, run: str) -> str:
    """Let the release answer in production if the record proves that it may; otherwise keep, or refuse with every reason."""
    from ml_assets.core.promotion import decide

    moves = workspace.endpoints.moves(product.name, "production")
    evidence = _evidence(workspace, product, release)
    decision = decide(
        bundle=release.snapshot,
        as_of=release.partition,
        champion=evidence.champion,
        moves=moves,
        unproven=[*evidence.reasons, *workspace.lineage.unproven(release, RELEASE_CLAIMS)],
        recalled=workspace.endpoints.recalled(product.name),
    )
    if decision.action == "refuse":
        body = {
            "product": product.name,
            "stage": "endpoint",
            "partition": release.partition,
            "release": release.snapshot,
        }
        workspace.ledger.append("refusal", {**body, "reasons": list(decision.reasons), "run": run})
        name = release.facts["release"]
        raise PromotionRefused(f"{product.name}: release {name} may not answer: {'; '.join(decision.reasons)}")
    if decision.action == "keep":
        return f"{KEPT}: {decision.reasons[0]}"
    reason = f"ACCEPT as of {release.partition}"
    answering = moves[-1].bundle if moves else None
    workspace.endpoints.move(
        "promotion",
        release,
        environment="production",
        by=f"dagster run {run}",
        reason=reason,
        expected=answering,
        is_proven=evidence.is_better,
    )
    workspace.catalogue.alias(product.name, "production", bundle=release.snapshot)
    return f"promoted; {tell_server(product, release.facts['release'])}"


def tell_server(product: Product, release: str) -> str:
    """Ask the production server, if one runs, to swap to what its pointer says now."""
    from ml_assets.serving import client

    spec = product.endpoint
    try:
        answered = client.reload(f"http://{spec.host}:{spec.port}")
    except client.EndpointUnreachable:
        return f"no server runs on port {spec.port}; it will read the pointer when it starts"
    if answered["release"] != release:
        return f"the server on port {spec.port} answers with {answered['release']}: does it serve another home?"
    return f"the server on port {spec.port} answers with {release}"


@dataclass(frozen=True)
class _Evidence:
    """What the ledger holds about a release: the verdict it came from, which must let exactly its model through."""

    champion: str | None
    is_better: bool
    reasons: tuple[str, ...]


def _evidence(workspace: Workspace, product: Product, release: Manifest) -> _Evidence:
    """Recompute from the record whether every required claim has a finite PASS for exactly these bytes. Who answers at this
    moment is compared by `decide`, and again in the ledger's transaction."""
    from ml_assets.core.gates.unproven import unproven

    produced = workspace.lineage.made_from(release)
    facts, model = produced["evaluation"].facts, produced["model"]
    reasons = unproven(product, facts["verdict"], has_champion=facts["champion"] is not None)
    if facts["candidate"] != model.data_version:
        reasons.append(f"the verdict is about model {facts['candidate'][:12]}, not {model.data_version[:12]}")
    champion = facts["champion"]["bundle"] if facts["champion"] else None
    return _Evidence(champion, facts["verdict"]["is_better"], tuple(reasons))


def _answering(workspace: Workspace, product: Product, environment: str, told: str) -> dg.MaterializeResult[Any]:
    pointer = workspace.endpoints.settle(product.name, environment)
    assert pointer is not None
    metadata: dict[str, Any] = {
        "release": pointer.release,
        "as_of": pointer.as_of,
        "since": pointer.since,
        "by": pointer.by,
        "decision": told,
    }
    if environment == "production":
        spec = product.endpoint
        metadata["url"] = dg.MetadataValue.url(f"http://{spec.host}:{spec.port}/release")
    return dg.MaterializeResult(
        asset_key=asset_key(product, f"endpoint/{environment}"),
        data_version=dg.DataVersion(pointer.bundle),
        metadata={
            **metadata,
            "reused": dg.MetadataValue.bool(told.startswith(KEPT)),
            "lineage": dg.MetadataValue.md(f"`ml-assets lineage {pointer.bundle[:12]}`"),
        },
    )
