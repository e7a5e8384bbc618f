"""A ledger with all that an auditor asks about: two months from delivered bytes to answers, a champion, and predictions."""

import datetime as dt

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.digests import sha256
from ml_assets.core.lineage.manifests import Input, Manifest, Recipe
from ml_assets.core.lineage.source import NOT_VERSIONED, Source
from ml_assets.serving.log.prediction_id import ID_LENGTH
from tests.support.logged import log, predicted
from tests.support.records import serves

SOURCE: Source = {"code": {"commit": "c0ffee" * 6 + "beef", "is_dirty": True}, "product": NOT_VERSIONED}
DETAILS = {"config": {"model": {"depth": 8}}, "environment": {"polars": "2.1.0"}}
NASTY = "<script>alert(1)</script>&\"'"


def delivered(table: str, partition: str = "") -> Input:
    return Input(f"landing/trains/{table}", partition, sha256(f"{table} {partition}".encode()))


def record(space: Workspace, stage: str, partition: str, inputs: list[Input], **facts: str) -> Manifest:
    """A published manifest with one passing check."""
    decided = {name: sha256(f"{stage} {name}".encode()) for name in ("code", "config", "environment")}
    recipe = Recipe("trains", stage, partition, **decided, inputs=tuple(inputs), seed=7, threads=1, details=DETAILS)
    digest = sha256(f"{stage} {partition} {len(inputs)}".encode())
    manifest = Manifest(recipe, digest, digest, facts)
    space.ledger.publish(manifest, run="run-1", source=SOURCE)
    values = {"rows": 5, "told": NASTY}
    details = {"description": f"{stage} holds", "severity": "ERROR", "values": values}
    space.ledger.add_evidence(subject=manifest.id, claim="holds", passed=stage != "dataset", details=details, run="run-1")
    return manifest


def fill(space: Workspace) -> dict[str, Manifest]:
    """Every manifest by "<stage> <partition>"."""
    manifests: dict[str, Manifest] = {"reference ": record(space, "reference", "", [delivered("stops")])}
    features: list[Input] = []
    champion: list[Input] = []
    for month in ("2013-01", "2013-02", "2013-03"):
        raw = record(space, "raw", month, [delivered("trips", month)])
        dataset = record(space, "dataset", month, [raw.as_input()])
        feature = record(space, "features", month, [dataset.as_input(), manifests["reference "].as_input()])
        features.append(feature.as_input())
        manifests |= {f"{m.recipe.stage} {month}": m for m in (raw, dataset, feature)}
        if month == "2013-01":
            continue
        model = record(space, "model", month, features[:-1])
        evaluation = record(space, "evaluation", month, [model.as_input(), feature.as_input(), *champion])
        inputs = [model.as_input(), evaluation.as_input(), feature.as_input()]
        release = record(space, "release", month, inputs, release=f"{month}.aaaaaaaa")
        champion = [release.as_input()]
        serves(space, release)
        manifests |= {f"{m.recipe.stage} {month}": m for m in (model, evaluation, release)}
    return manifests


def predict(space: Workspace, release: str, *, times: int, environment: str = "production") -> str:
    """Log predictions of a release; the last one's id."""
    moment = dt.datetime(2013, 4, 1)
    logged = predicted(*[1] * times, moment=moment, release=release, environment=environment, product="trains")
    log(space.settings.predictions("trains"), logged)
    return logged.ids[-ID_LENGTH:]
