"""The entries in MLflow of an evaluation and its release. A catalogue for people: nothing reads it to decide anything."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_assets.core.lineage.facts import EvaluationFacts, TrackingFacts
from ml_assets.core.lineage.manifests import Manifest, Output
from ml_assets.services.judging.kept_words import pooled_windows
from ml_assets.spec.product import Product
from resources.lineage import Lineage
from resources.tracking import registry
from resources.tracking.mlflow_catalogue import Catalogue

if TYPE_CHECKING:
    import dagster as dg

    from ml_assets.services.release_status import ReleaseStatus

PRODUCTION = "production"


@dataclass(frozen=True)
class Tracked:
    """`release` and `report` are None where there are none."""

    model: Manifest
    evaluation: Manifest
    release: Manifest | None
    report: Manifest | None


def tracked(lineage: Lineage, product: Product, partition: str) -> Tracked:
    """The current evaluation of a partition, its model, and the release and report that were made of it."""
    evaluation = lineage.current(product, "evaluation", partition)
    model = lineage.made_from(evaluation)["model"]

    def of_this(stage: str) -> Manifest | None:
        manifest = lineage.ledger.current(product.name, stage, partition)
        return manifest if manifest is not None and lineage.made_from(manifest).get("evaluation") == evaluation else None

    return Tracked(model, evaluation, of_this("release"), of_this("report"))


def log(context: "dg.AssetExecutionContext", lineage: Lineage, tracking: Catalogue, product: Product, what: Tracked) -> Output:
    """One MLflow run of the evaluation and, with a release, a registered version. Returns where they are."""
    from ml_assets.builders.tracking import Evaluated, build
    from resources.tracking.mlflow_catalogue import log as write

    handle = lineage.handle
    evaluated = Evaluated(handle(what.model), handle(what.evaluation), handle(what.report) if what.report else None)
    logged = build(evaluated, product, what.evaluation.partition)
    with tracking.run(context, product.name) as mlflow:
        place = write(mlflow, logged)
        version = _register(lineage, tracking, product, what.release, place["mlflow_run"]) if what.release else None
    tracked = {**place, "version": version}
    return Output({"tracking.json": json.dumps(tracked, indent=1).encode()}, tracked)


def kept_release(lineage: Lineage, product: Product, partition: str) -> Manifest | None:
    """The partition's release where it is of a candidate that was kept and let through by pooled windows; else None."""
    release = lineage.ledger.current(product.name, "release", partition)
    if release is None:
        return None
    return release if EvaluationFacts.of(lineage.made_from(release)["evaluation"]).kept_since else None


def register_kept(lineage: Lineage, tracking: Catalogue, product: Product, release: Manifest, *, mlflow_run: str) -> str:
    """A registered version of a candidate that was kept, with the MLflow run in which it was new; with this one where that was
    not tracked."""
    since = EvaluationFacts.of(lineage.made_from(release)["evaluation"]).kept_since
    tracked_then = lineage.ledger.current(product.name, "tracking", since)
    run = TrackingFacts.of(tracked_then).mlflow_run if tracked_then else mlflow_run
    return _register(lineage, tracking, product, release, run)


def _register(lineage: Lineage, tracking: Catalogue, product: Product, release: Manifest, mlflow_run: str) -> str:
    """A version of the registered model, with what a person needs there to decide; the same release once."""
    from ml_assets.services.release_status import release_status

    status = release_status(lineage, product, release)
    facts = EvaluationFacts.of(status.evaluation)
    verdict = facts.verdict
    tags = {
        "bundle": release.snapshot,
        "release": status.name,
        "manifest": release.id,
        "verdict": verdict.decision,
        "gates": verdict.gate,
        "approval": _approval(status),
        "as_of": release.partition,
    }
    if facts.kept_since:
        tags["kept"] = f"since {facts.kept_since}, asked again on {pooled_windows(facts.tested)}"
    if status.override:
        tags["override"] = f"by {status.override.by}: {status.override.reason}"
    card = lineage.snapshots.read(release.snapshot, "card.md").decode()
    folder = lineage.snapshots.checkout(release.snapshot)
    return tracking.register(product.name, run_id=mlflow_run, folder=folder, tags=tags, description=card)


def _approval(status: "ReleaseStatus") -> str:
    return ": ".join(filter(None, [status.approvals.state, status.approvals.message]))


def show(lineage: Lineage, tracking: Catalogue, product: Product, release: Manifest | None) -> None:
    """Let MLflow show what people decided about the release, and which version serves in production."""
    from ml_assets.services.release_status import release_status

    if release is not None and (status := release_status(lineage, product, release)).approvals.state != "not asked":
        tracking.tag(product.name, {"approval": _approval(status)}, bundle=release.snapshot)
    pointer = lineage.ledger.pointer(product.name, PRODUCTION)
    if pointer is not None:
        registry.show(tracking.client(), product.name, PRODUCTION, bundle=pointer.body.bundle)
