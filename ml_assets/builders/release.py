"""release: the bundle of an accepted or overridden candidate, with its evidence."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import polars as pl

from ml_assets.core.lineage.facts import FeaturesFacts, ModelFacts
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.metrics.score_columns import of_columns
from ml_assets.core.model.features import stacked
from ml_assets.core.model.known_categories import known_values
from ml_assets.core.model.scoring import load_model, score_frame
from ml_assets.core.model.split import rows_of, trained_on
from ml_assets.core.release.bundle import Parts, files
from ml_assets.core.release.card import About, card
from ml_assets.spec.product import Product


@dataclass(frozen=True)
class ReleaseInputs:
    """`features`: of the release's own partition; `trained`: those that the model was fitted on; `about`: what the card says."""

    name: str
    model: Handle
    evaluation: Handle
    features: Handle
    trained: Sequence[Handle]
    about: About


def build(inputs: ReleaseInputs, product: Product, partition: str) -> Output:
    """The bundle's members."""
    rows, about = inputs.features.frame("features.parquet"), inputs.model.json("model.json")
    fitted = load_model(inputs.model.members["model.cbm"], task=product.task)
    parts = Parts(
        model=inputs.model.read("model.cbm"),
        features_sql=inputs.features.read("features.sql"),
        lookups={
            name: inputs.features.read(f"lookups/{name}.parquet") for name in FeaturesFacts.of(inputs.features.manifest).lookups
        },
        features=rows,
        requests=inputs.features.frame("requests.parquet"),
        scores=score_frame(fitted, rows, about["features"]),
        trained=trained_on(stacked(inputs.trained, product=product), product, partition=partition),
        known=known(inputs.trained, product, product.endpoint.refused_categories),
        tested_scores=of_columns(inputs.evaluation.frame("scores.parquet"), "candidate", product.features.class_names),
        manifest=inputs.model.manifest,
        evaluation=inputs.evaluation.manifest,
        card=card(product, inputs.about),
        override=inputs.about.override,
    )
    fitted_on = ModelFacts.of(inputs.model.manifest)
    facts: dict[str, object] = {"release": inputs.name, "train": list(fitted_on.train)}
    facts |= {"split": msgspec.to_builtins(fitted_on.split)} if fitted_on.split else {}
    facts |= {"override": inputs.about.override.facts} if inputs.about.override else {}
    return Output(files(product, parts, name=inputs.name), facts)


def known(trained: Sequence[Handle], product: Product, columns: Sequence[str]) -> dict[str, list[object]]:
    """The values of these request columns in the training rows, by column."""

    def both(handle: Handle) -> tuple[pl.DataFrame, pl.DataFrame]:
        return trained_on(rows_of(handle, product), product, partition=handle.partition), handle.frame("requests.parquet")

    return known_values(product, columns, (both(handle) for handle in trained))
