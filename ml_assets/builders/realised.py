"""realised: served predictions of a partition beside their outcomes, by release and by way of serving."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from ml_assets.core.frames import parquet_bytes
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.model.split import unseen_labels
from ml_assets.core.outcomes.realised import Line, Tested, line
from ml_assets.core.outcomes.served import by_release
from ml_assets.core.plots.figures import plots
from ml_assets.spec.product import Product

MEMBER = "realised.json"


@dataclass(frozen=True)
class Released:
    """A release that served, and the evaluation that let it."""

    release: Handle
    evaluation: Handle


@dataclass(frozen=True)
class Answered:
    """`outcomes` of the partition, the predictions about it by way of serving (`core.outcomes.served`), and the releases that
    gave them, by bundle."""

    outcomes: Handle
    predictions: Mapping[str, pl.DataFrame]
    releases: Mapping[str, Released]


def build(inputs: Answered, product: Product, partition: str) -> Output:
    """A line for each release and way of serving: rows, outcomes known, metrics, and what is estimated without labels."""
    rows = inputs.outcomes.frame("features.parquet")
    lines: list[Line] = []
    for bundle, source, served in by_release(inputs.predictions):
        released = inputs.releases.get(bundle)
        if released is None:  # of another ledger: nothing says how it was tested
            continue
        labelled = unseen_labels(rows, product, partition=partition, release=released.release.partition)
        lines.append(line(labelled, served, _tested(released, product), source=source, bundle=bundle, product=product))
    files = {MEMBER: json.dumps([entry.about for entry in lines], indent=1, sort_keys=True, allow_nan=False).encode()}
    files |= {f"served/{source}.parquet": parquet_bytes(frame) for source, frame in inputs.predictions.items()}
    drawn = next((entry.evaluation for entry in lines if entry.evaluation is not None), None)
    files |= {f"plots/{name}.svg": svg for name, svg in plots(drawn).items()} if drawn else {}
    return Output(files, {"lines": [dict(entry.about) for entry in lines]})


def _tested(released: Released, product: Product) -> Tested:
    """The release on its own test window, as its evaluation kept it."""
    about, kept = released.release.json("bundle.json"), released.evaluation.frame("scores.parquet")
    promised = released.release.json("evidence.json")["metrics"]
    return Tested(
        about["release"],
        kept["candidate"].cast(pl.Float64).to_numpy(),
        kept[product.features.label].cast(pl.Float64).to_numpy(),
        {name: by_role["candidate"]["value"] for name, by_role in promised.items()},
        about["threshold"],
    )
