"""realised: served predictions of a partition next to their outcomes, by release and by way of serving."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from ml_assets.core.evaluation.snapshot import panel_of
from ml_assets.core.frames import parquet_bytes
from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.metrics.score_columns import of_columns
from ml_assets.core.model.split import rows_of, unseen_labels
from ml_assets.core.outcomes.promise import kept, promises
from ml_assets.core.outcomes.realised import RealisedLine, Tested, line, served_scores
from ml_assets.core.outcomes.served import ROW, by_release, last_answers
from ml_assets.core.plots.figures import plots
from ml_assets.core.release.offline_bundle import NotComputable, scores_of_classes
from ml_assets.spec.product import Product

MEMBER = "realised.json"


@dataclass(frozen=True)
class ServedRelease:
    """A release that served, the evaluation that let it and, where it is held to what it promised, the release it `replaced`."""

    release: Handle
    evaluation: Handle
    replaced: Handle | None = None


@dataclass(frozen=True)
class Answered:
    """`outcomes` of the partition, the predictions about it by way of serving (`core.outcomes.served`), and the releases that
    gave them, by bundle."""

    outcomes: Handle
    predictions: Mapping[str, pl.DataFrame]
    releases: Mapping[str, ServedRelease]


def build(inputs: Answered, product: Product, partition: str) -> Output:
    """A line for each release and way of serving: rows, outcomes known, metrics, and what is estimated without labels."""
    rows = rows_of(inputs.outcomes, product)
    lines: list[RealisedLine] = []
    for bundle, source, served in by_release(inputs.predictions):
        released = inputs.releases.get(bundle)
        if released is None:  # of another ledger: nothing says how it was tested
            continue
        labelled = unseen_labels(rows, product, partition=partition, release=released.release.partition)
        lines.append(line(labelled, served, _tested(released, product), source=source, bundle=bundle, product=product))
    files = {MEMBER: json.dumps([entry.about for entry in lines], indent=1, sort_keys=True, allow_nan=False).encode()}
    files |= {f"served/{source}.parquet": parquet_bytes(frame) for source, frame in inputs.predictions.items()}
    asked_again = {
        bundle: promised
        for bundle, released in inputs.releases.items()
        if released.replaced is not None and (promised := _promises(inputs, rows, bundle, released, product))
    }
    drawn = next((entry.evaluation for entry in lines if entry.evaluation is not None), None)
    files |= {f"plots/{name}.svg": svg for name, svg in plots(drawn).items()} if drawn else {}
    return Output(files, {"lines": [dict(entry.about) for entry in lines], "promises": asked_again})


def _promises(
    inputs: Answered, rows: pl.DataFrame, bundle: str, released: ServedRelease, product: Product
) -> list[dict[str, Any]]:
    """The promises of the release when it replaced another, on the rows with an outcome that it served: each row once, with the
    score that was served and the one that the replaced release would have given."""
    last = last_answers(inputs.predictions, bundle)
    questions = rows[last[ROW].to_list()]
    is_known = questions[product.features.label].is_not_null()
    known, scores = questions.filter(is_known), served_scores(last.filter(is_known), product.features.class_names)
    claims = EvaluationFacts.of(released.evaluation.manifest).verdict.claims
    if known.is_empty() or released.replaced is None or not any(True for _ in promises(claims)):
        return []
    requests = inputs.outcomes.frame("requests.parquet")
    own = known.select(product.features.key).join(requests, on=list(product.features.key), how="left", maintain_order="left")
    try:
        before = scores_of_classes(released.replaced, own, product.features.class_names)
    except NotComputable as error:
        return [
            {"name": c.name, "text": c.text, "sign": f.sign, "limit": f.constant, "note": str(error)} for c, f in promises(claims)
        ]
    return kept(claims, panel_of(known, {"candidate": scores, "champion": before}, product=product))


def _tested(released: ServedRelease, product: Product) -> Tested:
    """The release on its own test window, as its evaluation kept it."""
    about, kept = released.release.json("bundle.json"), released.evaluation.frame("scores.parquet")
    promised = released.release.json("evidence.json")["metrics"]
    return Tested(
        about["release"],
        of_columns(kept, "candidate", product.features.class_names),
        kept[product.features.label].cast(pl.Float64).to_numpy(),
        {name: by_role["candidate"]["value"] for name, by_role in promised.items()},
        about["threshold"],
    )
