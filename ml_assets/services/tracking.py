"""What MLflow shows of an evaluation and its release. A catalogue for people: nothing reads it to decide anything."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_assets.core.manifests import Manifest, Output
from ml_assets.product import Product
from resources import registry
from resources.workspace import Workspace

if TYPE_CHECKING:
    import dagster as dg

    from resources.standing import Standing

PRODUCTION = "production"


@dataclass(frozen=True)
class Tracked:
    """`release` and `report` are None where there are none."""

    model: Manifest
    evaluation: Manifest
    release: Manifest | None
    report: Manifest | None


def tracked(space: Workspace, product: Product, partition: str) -> Tracked:
    """The current evaluation of a partition, its model, and the release and report that were made of it."""
    evaluation = space.lineage.current(product, "evaluation", partition)
    model = space.lineage.made_from(evaluation)["model"]

    def of_this(stage: str) -> Manifest | None:
        found = space.ledger.current(product.name, stage, partition)
        return found if found is not None and space.lineage.made_from(found).get("evaluation") == evaluation else None

    return Tracked(model, evaluation, of_this("release"), of_this("report"))


def log(context: "dg.AssetExecutionContext", space: Workspace, product: Product, what: Tracked) -> Output:
    """One MLflow run with parameters, dataset digests, curves, metrics, verdict and pictures; and, with a release, a registered
    version. Returns where they are."""
    from resources.mlflow import log_curve, run_facts

    about = json.loads(space.snapshots.read(what.model.snapshot, "model.json"))
    facts = what.evaluation.facts
    with space.catalogue.run(context, product.name) as mlflow:
        place = run_facts(mlflow)
        mlflow.log_params(_parameters(product, what.model))
        mlflow.log_dict({i.partition: i.data_version for i in what.model.recipe.inputs}, "inputs/features.json")
        mlflow.log_dict(dict(about["importance"]), "feature_importance.json")
        mlflow.set_tags(
            {**_tags(facts), "fingerprint": what.model.data_version, "product": product.name, "as_of": what.model.partition}
        )
        mlflow.log_metrics(_metrics(what.model, about, facts))
        log_curve(mlflow.tracking_client, place["mlflow_run"], f"train_{about['loss']}", about["learning_curve"])
        mlflow.log_text(space.snapshots.read(what.evaluation.snapshot, "summary.md").decode(), "evaluation/summary.md")
        for name in space.snapshots.open(what.report.snapshot).members if what.report else ():
            mlflow.log_text(space.snapshots.read(what.report.snapshot, name).decode(), f"evaluation/{name}")  # type: ignore[union-attr]
        version = _register(space, product, what.release, place["mlflow_run"]) if what.release else None
    found = {**place, "version": version}
    return Output({"tracking.json": json.dumps(found, indent=1).encode()}, found)


def _parameters(product: Product, model: Manifest) -> dict[str, Any]:
    from ml_assets.core.training import parameters

    trained = model.facts["train"]
    return {**parameters(product), "train_first": trained[0], "train_last": trained[-1]}


def _metrics(model: Manifest, about: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, float]:
    values = {f"{role}/{m}": e["value"] for m, by_role in facts["metrics"].items() for role, e in by_role.items()}
    known = {name: value for name, value in values.items() if value is not None}
    return {"train_rows": model.facts["rows"], **{f"importance/{n}": v for n, v in about["importance"]}, **known}


def _tags(facts: Mapping[str, Any]) -> dict[str, str]:
    """The verdict as MLflow tags: the decision, each claim's outcome, and which look it was."""
    verdict = facts["verdict"]
    shown = {"verdict": verdict["decision"], "gates": verdict["gate"], "level": f"{verdict['level']:g}"}
    shown |= {f"claim/{claim['name']}": claim["outcome"] for claim in verdict["claims"]}
    return shown | {"look": f"{facts['look']['number']} of {verdict['looks']}"}


def _register(space: Workspace, product: Product, release: Manifest, mlflow_run: str) -> str:
    """A version of the registered model, with what a person needs there to decide; the same release once."""
    from resources.standing import standing

    found = standing(space, product, release)
    verdict = found.evaluation.facts["verdict"]
    tags = {
        "bundle": release.snapshot,
        "release": release.facts["release"],
        "manifest": release.id,
        "verdict": verdict["decision"],
        "gates": verdict["gate"],
        "approval": _approval(found),
        "as_of": release.partition,
    }
    if found.override:
        tags["override"] = f"by {found.override.by}: {found.override.reason}"
    card = space.snapshots.read(release.snapshot, "card.md").decode()
    folder = space.snapshots.checkout(release.snapshot)
    return space.catalogue.register(product.name, run_id=mlflow_run, folder=folder, tags=tags, description=card)


def _approval(found: "Standing") -> str:
    return ": ".join(filter(None, [found.consent.state, found.consent.told]))


def show(space: Workspace, product: Product, release: Manifest | None) -> None:
    """Let MLflow show where the release stands with people, and which version serves in production."""
    from resources.standing import standing

    if release is not None and (found := standing(space, product, release)).consent.state != "not asked":
        space.catalogue.tag(product.name, {"approval": _approval(found)}, bundle=release.snapshot)
    pointer = space.ledger.pointer(product.name, PRODUCTION)
    if pointer is not None:
        registry.show(space.catalogue.client(), product.name, PRODUCTION, bundle=pointer.body["release"])
