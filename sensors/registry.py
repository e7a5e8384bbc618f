"""Somebody moved the alias `production` in MLflow, or it lags behind: it shows again what the ledger says.

Moved to a release that waits for approval, that is an approval, unless the product declares `people`: MLflow doesn't say who
moved it. Moved to anything else, it is recorded as a refusal. The registry never decides: either way the alias is put back on the
release that serves, and follows when another one does.
"""

from typing import TYPE_CHECKING

import dagster as dg

from ml_assets.core.release.identity import not_permitted
from ml_assets.services.release_status import answer
from ml_assets.spec.product import Product
from resources.ledger.decisions import DecisionRefused
from resources.ledger.ledger import Ledger
from resources.lineage import Lineage
from resources.tracking import registry
from resources.tracking.mlflow_catalogue import Catalogue
from resources.tracking.registry import ShownInMlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient

TICK_SECONDS = 30
ALIAS = "production"
NAMELESS = "mlflow"
"""The person who moved an alias when the version does not say: MLflow keeps no record of that."""


def build(product: Product) -> dg.SensorDefinition:
    """The product's sensor. It launches nothing itself: an approval is taken up by the sensor of decisions."""

    @dg.sensor(
        name=f"{product.name}_registry",
        job_name=f"{product.name}_path",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="The alias `production` in MLflow, moved by hand or lagging behind.",
    )
    def registry_changes(
        context: dg.SensorEvaluationContext, lineage: dg.ResourceParam[Lineage], tracking: dg.ResourceParam[Catalogue]
    ) -> dg.SkipReason:
        message = reconcile(product, lineage, tracking)
        context.log.info(f"{product.name}: {message}")
        return dg.SkipReason(message)

    return registry_changes


def reconcile(product: Product, lineage: Lineage, tracking: Catalogue) -> str:
    """Record what a person did to the alias, and put it on the release that serves. Returns what was done, in words."""
    if not lineage.ledger.partitions(product.name, "release"):
        return "nothing is released yet"
    client = tracking.client()
    pointer = lineage.ledger.pointer(product.name, "production")
    serving = pointer.body.bundle if pointer else None
    now = registry.shown(client, product.name, ALIAS)
    if (now.bundle if now else None) == serving and (now is None or now.is_ours):
        return "the alias is on the release that serves"
    registered = registry.versions(client, product.name)
    if not registered:  # a release serves before its run has come to MLflow
        return "nothing is registered in MLflow yet"
    if now is None and pointer and not any(version.tags.get("bundle") == serving for version in registered):
        return f"{pointer.body.release} serves, and is not registered in MLflow yet"
    message = "the alias lagged behind"
    if now is not None and not now.is_ours and now.bundle != serving:
        message = _moved(product, lineage, client, now)
    registry.show(client, product.name, ALIAS, bundle=serving)
    return f"{message}; {pointer.body.release if pointer else 'nothing'} serves"


def _moved(product: Product, lineage: Lineage, client: "MlflowClient", now: ShownInMlflow) -> str:
    """Record a person's move of the alias as an approval or a refusal. Returns what was done, in words."""
    what = f"the alias was moved to version {now.version} ({now.release or 'no release of ours'})"
    try:
        if reason := _unfit(product, lineage, client, now):
            _refuse(product, lineage.ledger, now, reason)
            return f"{what}: {reason}"
        why = f"alias {ALIAS} moved to version {now.version} in MLflow"
        answer(lineage, product, now.bundle, decision="approved", by=now.person.strip() or NAMELESS, reason=why, via="mlflow")
    except DecisionRefused as error:  # recorded where it was refused
        return f"{what}: {error}"
    return f"{what}: approved"


def _unfit(product: Product, lineage: Lineage, client: "MlflowClient", now: ShownInMlflow) -> str:
    """Return why the version cannot be approved, whatever waits: MLflow doesn't know who moved an alias, so that it counts for
    nothing where people are declared; it isn't ours; or not what was registered."""
    if why := not_permitted(product, "approve", now.person):
        return f"an alias approves nothing here: {why}"
    known = [m for m in lineage.ledger.by_prefix(now.bundle) if m.recipe.stage == "release"] if len(now.bundle) == 64 else []
    if not any(m.snapshot == now.bundle and m.recipe.product == product.name for m in known):
        return "it is unknown: the ledger has no release with this version's bundle"
    if not lineage.snapshots.is_intact(now.bundle):
        return "its bundle in the store is missing or damaged"
    members = lineage.snapshots.open(now.bundle).members
    if damage := registry.damage(client, now, members):
        return damage
    if product.gates.four_eyes and not now.person.strip():
        return f"four eyes are required, and no one is named: set the version's tag {registry.APPROVED_BY!r} before moving it"
    return ""


def _refuse(product: Product, ledger: Ledger, now: ShownInMlflow, reason: str) -> None:
    body = {"product": product.name, "stage": "registry", "release": now.bundle, "version": now.version, "via": "mlflow"}
    ledger.append("refusal", {**body, "by": now.person or NAMELESS, "reasons": [reason]})
