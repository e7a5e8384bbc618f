"""endpoint: which release answers in staging and in production, since when and by whose decision."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.core.lineage.facts import EvaluationFacts, ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.errors import MlAssetsError
from ml_assets.services import shadow_trials as shadowing
from ml_assets.services.claims import staging_claims
from ml_assets.services.latency_evidence import latency_outdated
from ml_assets.services.notify_server import notify_server
from ml_assets.spec.product import Product
from resources.dagster_assets import asset_key, declaration
from resources.endpoints.moves import Endpoints, moves_of
from resources.lineage import Lineage
from resources.settings import Settings

if TYPE_CHECKING:
    from ml_assets.services.release_status import ReleaseStatus

KEPT = "kept"
"""How the told decision begins when nothing was moved."""


NOTHING = "nothing"
"""The data version of an endpoint while nothing answers."""


class PromotionRefused(MlAssetsError):
    """The record does not let this release answer."""


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The endpoint assets: staging, then production."""
    return [_staging(product), _production(product)]


def _staging(product: Product) -> dg.AssetsDefinition:
    description = "The release that answers in staging, where it is tried over HTTP."

    @dg.asset(**declaration(product, "endpoint/staging", description, after="release", kinds={"http"}))
    def endpoint_staging(
        context: dg.AssetExecutionContext, lineage: dg.ResourceParam[Lineage], endpoints: dg.ResourceParam[Endpoints]
    ) -> dg.MaterializeResult[Any]:
        release = released(context, lineage, product)
        before = endpoints.settle(product.name, "staging")
        untried = lineage.unproven(release, staging_claims(product))
        tried = not untried and not latency_outdated(lineage.ledger, product, release)
        if before is None or (before.bundle != release.snapshot and not tried):
            endpoints.move(
                "staging",
                release,
                environment="staging",
                by=f"dagster run {context.run.run_id}",
                reason=f"released as of {release.partition}",
                expected=before.bundle if before else None,
            )
        return _answering(endpoints, product, "staging", f"{KEPT}: tried before" if tried else "to be tried")

    return endpoint_staging


def _production(product: Product) -> dg.AssetsDefinition:
    description = "The release that answers in production."

    @dg.asset(**declaration(product, "endpoint/production", description, after="endpoint/staging", kinds={"http"}))
    def endpoint_production(
        context: dg.AssetExecutionContext,
        lineage: dg.ResourceParam[Lineage],
        endpoints: dg.ResourceParam[Endpoints],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult[Any]:
        release = released(context, lineage, product)
        endpoints.settle(product.name, "production")
        told = promote(lineage, endpoints, settings, product, release, run=context.run.run_id)
        context.log.info(f"{product.name} {ReleaseFacts.of(release).release}: {told}")
        return _answering(endpoints, product, "production", told)

    return endpoint_production


def released(context: dg.AssetExecutionContext, lineage: Lineage, product: Product) -> Manifest:
    """The release as of the run's partition; without one, the newest."""
    keys = lineage.ledger.partitions(product.name, "release")
    key = context.run.tags.get("dagster/partition") or (keys[-1] if keys else "")
    return lineage.current(product, "release", key)


def promote(lineage: Lineage, endpoints: Endpoints, settings: Settings, product: Product, release: Manifest, *, run: str) -> str:
    """Let the release answer in production if the record proves that it may; otherwise keep, or refuse with every reason."""
    from ml_assets.services.release_status import release_status

    found = release_status(lineage, product, release)
    decision = found.decision
    if decision.action == "refuse":
        body = {
            "product": product.name,
            "stage": "endpoint",
            "partition": release.partition,
            "release": release.snapshot,
        }
        lineage.ledger.append("refusal", {**body, "reasons": list(decision.reasons), "run": run})
        raise PromotionRefused(f"{product.name}: release {found.name} may not serve: {'; '.join(decision.reasons)}")
    moves = moves_of(lineage.ledger, product.name, "production")
    if decision.action == "keep":
        if moves and moves[-1].bundle == release.snapshot:
            notify_server(product, found.name)  # again: a run that was killed after its move told nobody
        return f"{KEPT}: {decision.reasons[0]}"
    if decision.action == "wait":
        return f"{KEPT}: {decision.reasons[0]}; `ml-assets approve {product.name} {found.name}`"
    if held := shadowing.held(lineage, endpoints, settings, product, release):
        return f"{KEPT}: {held}"
    by, reason = _whose(found, run=run)
    endpoints.move(
        "promotion",
        release,
        environment="production",
        by=by,
        reason=reason,
        expected=moves[-1].bundle if moves else None,
        is_proven=found.is_proven,
    )
    return f"promoted; {notify_server(product, found.name)}"


def _whose(found: "ReleaseStatus", *, run: str) -> tuple[str, str]:
    """By whose decision it answers, and why: the run's where nobody was asked."""
    release = found.release
    verdict = f"{EvaluationFacts.of(found.evaluation).verdict.decision} as of {release.partition}"
    override, consent = found.override, found.consent
    people = consent.by or ((override.by,) if override else ())
    if not people:
        return f"dagster run {run}", verdict
    because = f"override of {verdict} by {override.by}: {override.reason}" if override else verdict
    return " and ".join(people), "; ".join(filter(None, [because, consent.told, f"dagster run {run}"]))


def _answering(endpoints: Endpoints, product: Product, environment: str, told: str) -> dg.MaterializeResult[Any]:
    """What answers now, and what came of this run; nothing may answer yet while a first release waits."""
    pointer = endpoints.settle(product.name, environment)
    metadata: dict[str, Any] = {"release": "nothing answers", "decision": told}
    if pointer is not None:
        metadata |= {name: getattr(pointer, name) for name in ("release", "as_of", "since", "by")}
        metadata["lineage"] = dg.MetadataValue.md(f"`ml-assets lineage {pointer.bundle[:12]}`")
    if environment == "production":
        spec = product.endpoint
        metadata["url"] = dg.MetadataValue.url(f"http://{spec.host}:{spec.port}/version")
    return dg.MaterializeResult(
        asset_key=asset_key(product, f"endpoint/{environment}"),
        data_version=dg.DataVersion(pointer.bundle if pointer else NOTHING),
        metadata={**metadata, "reused": dg.MetadataValue.bool(told.startswith(KEPT))},
    )
