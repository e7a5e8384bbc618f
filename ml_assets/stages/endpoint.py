"""endpoint: the release that serves in staging and in production, since when and by whose decision."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.core.lineage.facts import EvaluationFacts, ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.errors import MlAssetsError
from ml_assets.services import shadow_trials as shadowing
from ml_assets.services.automation.run_outcomes import PROMOTED
from ml_assets.services.claims import staging_claims
from ml_assets.services.promotion_policy import withheld_by_commit
from ml_assets.services.proofs.latency_evidence import latency_outdated
from ml_assets.services.replicas.notify import notify_server
from ml_assets.spec.product import Product
from resources.dagster_assets import asset_key, declaration
from resources.dagster_retries import retried
from resources.endpoints.moves import Endpoints, moves_of
from resources.lineage import Lineage
from resources.settings import Settings

if TYPE_CHECKING:
    from ml_assets.services.release_status import ReleaseStatus

KEPT = "kept"
"""The first word of a recorded decision when nothing was moved."""


NOTHING = "nothing"
"""The data version of an endpoint while nothing serves."""


class PromotionRefused(MlAssetsError):
    """The record does not allow this release to serve."""


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The endpoint assets: staging, then production."""
    return [_staging(product), _production(product)]


def _staging(product: Product) -> dg.AssetsDefinition:
    description = "The release that serves in staging, where it is tried over HTTP."

    @dg.asset(**declaration(product, "endpoint/staging", description, after="release", kinds={"http"}))
    @retried
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
        withheld = "".join(f"; {reason}" for reason in withheld_by_commit(lineage, product, release))
        return _result(endpoints, product, "staging", f"{KEPT}: tried before{withheld}" if tried else f"to be tried{withheld}")

    return endpoint_staging


def _production(product: Product) -> dg.AssetsDefinition:
    description = "The release that serves in production."

    @dg.asset(**declaration(product, "endpoint/production", description, after="endpoint/staging", kinds={"http"}))
    @retried
    def endpoint_production(
        context: dg.AssetExecutionContext,
        lineage: dg.ResourceParam[Lineage],
        endpoints: dg.ResourceParam[Endpoints],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult[Any]:
        release = released(context, lineage, product)
        endpoints.settle(product.name, "production")
        message = promote(lineage, endpoints, settings, product, release, run=context.run.run_id)
        context.log.info(f"{product.name} {ReleaseFacts.of(release).release}: {message}")
        return _result(endpoints, product, "production", message)

    return endpoint_production


def released(context: dg.AssetExecutionContext, lineage: Lineage, product: Product) -> Manifest:
    """The release as of the run's partition; without one, the newest."""
    keys = lineage.ledger.partitions(product.name, "release")
    key = context.run.tags.get("dagster/partition") or (keys[-1] if keys else "")
    return lineage.current(product, "release", key)


def promote(lineage: Lineage, endpoints: Endpoints, settings: Settings, product: Product, release: Manifest, *, run: str) -> str:
    """Let the release serve in production if the record proves that it may, else keep the one that does; return what was done.
    Raises PromotionRefused with every reason."""
    from ml_assets.core.release.promotion import Decision
    from ml_assets.services.rederived_verdict import contradictions
    from ml_assets.services.release_status import release_status

    status = release_status(lineage, product, release)
    decision = status.decision
    if decision.action == "promote" and (reasons := contradictions(lineage, product, status.evaluation)):
        decision = Decision("refuse", (*reasons, "`ml-assets verify` says what was changed"))
    if decision.action == "refuse":
        body = {
            "product": product.name,
            "stage": "endpoint",
            "partition": release.partition,
            "release": release.snapshot,
        }
        lineage.ledger.append("refusal", {**body, "reasons": list(decision.reasons), "run": run})
        raise PromotionRefused(f"{product.name}: release {status.name} may not serve: {'; '.join(decision.reasons)}")
    moves = moves_of(lineage.ledger, product.name, "production")
    if decision.action == "keep":
        if moves and moves[-1].bundle == release.snapshot:
            notify_server(lineage.ledger, product, status.name)  # again: a run that was killed after its move did not
        return f"{KEPT}: {decision.reasons[0]}"
    if decision.action == "wait":
        return f"{KEPT}: {decision.reasons[0]}; `ml-assets approve {product.name} {status.name}`"
    if hold := shadowing.hold_reason(lineage, endpoints, settings, product, release):
        return f"{KEPT}: {hold}"
    by, reason = _whose(status, run=run)
    endpoints.move(
        "promotion",
        release,
        environment="production",
        by=by,
        reason=reason,
        expected=moves[-1].bundle if moves else None,
        is_proven=status.is_proven,
    )
    return f"{PROMOTED}{notify_server(lineage.ledger, product, status.name)}"


def _whose(status: "ReleaseStatus", *, run: str) -> tuple[str, str]:
    """Return by whose decision it serves, and why: the run's if no person decided."""
    release = status.release
    verdict = f"{EvaluationFacts.of(status.evaluation).verdict.decision} as of {release.partition}"
    override, approvals = status.override, status.approvals
    people = approvals.by or ((override.by,) if override else ())
    if not people:
        return f"dagster run {run}", verdict
    because = f"override of {verdict} by {override.by}: {override.reason}" if override else verdict
    return " and ".join(people), "; ".join(filter(None, [because, approvals.message, f"dagster run {run}"]))


def _result(endpoints: Endpoints, product: Product, environment: str, message: str) -> dg.MaterializeResult[Any]:
    """The release that serves now, and the decision of this run; nothing serves yet while a first release waits."""
    pointer = endpoints.settle(product.name, environment)
    metadata: dict[str, Any] = {"release": "nothing serves", "decision": message}
    if pointer is not None:
        metadata |= {name: getattr(pointer, name) for name in ("release", "as_of", "since", "by")}
        metadata["lineage"] = dg.MetadataValue.md(f"`ml-assets lineage {pointer.bundle[:12]}`")
    if environment == "production":
        spec = product.endpoint
        metadata["url"] = dg.MetadataValue.url(f"http://{spec.host}:{spec.port}/version")
    return dg.MaterializeResult(
        asset_key=asset_key(product, f"endpoint/{environment}"),
        data_version=dg.DataVersion(pointer.bundle if pointer else NOTHING),
        metadata={**metadata, "reused": dg.MetadataValue.bool(message.startswith(KEPT))},
    )
