"""The entries in MLflow of an evaluation and its release. A catalogue for people: nothing reads it to decide anything."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ml_assets.core.lineage.facts import EvaluationFacts, TrackingFacts
from ml_assets.core.lineage.manifests import Manifest, Output
from ml_assets.core.lineage.source import commits
from ml_assets.services.judging.kept_candidate_text import pooled_windows
from ml_assets.spec.product import Product
from resources.lineage import Lineage
from resources.tracking import registry
from resources.tracking.mlflow_catalogue import TRAINING_VIEW, Catalogue
from resources.tracking.registered_version import Described
from resources.tracking.run_inputs import Dataset, log_inputs

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


def log(
    context: "dg.AssetExecutionContext", lineage: Lineage, tracking: Catalogue, product: Product, what: Tracked, *, ui: str
) -> Output:
    """One MLflow run of the evaluation and, with a release, a registered version. Returns where they are. `ui` is the address of
    MLflow's pages, for links."""
    from ml_assets.builders.tracking import Evaluated, build
    from resources.tracking.mlflow_catalogue import log as write

    handle = lineage.handle
    evaluated = Evaluated(handle(what.model), handle(what.evaluation), handle(what.report) if what.report else None)
    logged = build(evaluated, product, what.evaluation.partition)
    with tracking.run(context, product.name) as mlflow:
        place = write(mlflow, logged)
        version = _register(lineage, tracking, product, what.release, place["mlflow_run"]) if what.release else None
        mlflow.set_tags(run_tags(lineage, product, what, version=version, ui=ui, experiment=place["mlflow_experiment"]))
        log_inputs(tracking.client(), place["mlflow_run"], datasets(lineage, product, what))
    tracked = {**place, "version": version}
    return Output({"tracking.json": json.dumps(tracked, indent=1).encode()}, tracked)


def datasets(lineage: Lineage, product: Product, what: Tracked) -> list[Dataset]:
    """The partitions of features that the model was trained on, and those that it was tested on."""
    trained = {source.manifest: source for source in what.model.recipe.inputs if source.asset.endswith("/features")}
    tested = {source.manifest: source for source in what.evaluation.recipe.inputs if source.asset.endswith("/features")}
    uses = [("training", source) for source in trained.values()]
    uses += [("testing", source) for manifest, source in tested.items() if manifest not in trained]
    return [
        Dataset(
            name=f"{source.asset}:{source.partition}",
            digest=source.data_version,
            context=context,
            source={"data_version": source.data_version, "lineage": f"ml-assets lineage {(source.manifest or '')[:12]}"},
        )
        for context, source in uses
    ]


def run_tags(
    lineage: Lineage, product: Product, what: Tracked, *, version: str | None, ui: str, experiment: str
) -> dict[str, str]:
    """MLflow's own tags of a run: its description, as Markdown, and the commit that its evaluation was made from."""
    verdict = EvaluationFacts.of(what.evaluation).verdict
    lines = [f"**{verdict.decision}** for {product.name} as of {what.evaluation.partition}: {product.title}", ""]
    lines += [f"- {claim.name}: {claim.outcome}, {claim.message}" for claim in verdict.claims]
    lines += [f"- {reason}" for reason in verdict.reasons]
    lines += ["", f"What made it: `ml-assets lineage {what.evaluation.id[:12]}`"]
    if version:
        lines.append(
            f"Registered: [{product.name} version {version}]({ui}/#/models/{product.name}/versions/{version}{TRAINING_VIEW})"
        )
    lines.append(f"All evaluations of {product.name}: [the experiment]({ui}/#/experiments/{experiment}{TRAINING_VIEW})")
    tags = {"mlflow.note.content": "\n".join(lines), "mlflow.source.name": "ml-assets", "mlflow.source.type": "PROJECT"}
    made_from = commits(lineage.ledger.source(what.evaluation.id))
    return tags | ({"mlflow.source.git.commit": made_from[0]["commit"]} if made_from else {})


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
    described = _described(lineage, product, status.name, release, folder)
    return tracking.register(product.name, run_id=mlflow_run, folder=folder, described=described, tags=tags, description=card)


def _described(lineage: Lineage, product: Product, name: str, release: Manifest, folder: Path) -> Described:
    """The signature of a release, by the types of the features that it was trained on, and its first golden row as example."""
    from ml_assets.serving.release.bundle import Golden, load
    from ml_assets.serving.release.pyfunc_model import answers_of

    bundle = load(folder, is_compiled=False)
    golden = msgspec.json.decode((folder / "golden.json").read_bytes(), type=Golden)
    example = bundle.features_of(bundle.requests.convert(golden.requests[:1])).rows(bundle.card.features)
    card = bundle.card
    return Described(
        f"{product.name}-{name}".replace(".", "-"), _types(lineage, release, card.features), answers_of(card), example
    )


def _types(lineage: Lineage, release: Manifest, features: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """MLflow's types of the features. Whole numbers are of any type: where one is missing, pandas makes floats of them."""
    model = lineage.made_from(release)["model"]
    read = (lineage.ledger.manifest(source.manifest) for source in model.recipe.inputs if source.manifest)
    snapshot = next(manifest.snapshot for manifest in read if manifest is not None and manifest.recipe.stage == "features")
    kinds = lineage.snapshots.columns(snapshot, "features.parquet")
    return {feature["name"]: _type(str(kinds[feature["name"]])) for feature in features}


def _type(kind: str) -> str:
    """MLflow's name of a type of polars."""
    names = {"String": "string", "Categorical": "string", "Boolean": "boolean", "Float64": "double", "Float32": "double"}
    return names.get(kind, "any")


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
