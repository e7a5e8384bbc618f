"""The jobs of a product: the whole path for one partition, its three parts (data, train, release), and its checks alone."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from ml_assets.services.claims import REPRODUCIBLE, ROLLBACK_DRILL, WINDOW_OPEN
from ml_assets.spec.product import Product
from resources.dagster_assets import asset_key

JUDGED = ("evaluation", "report", "tracking", "release", "endpoint/staging", "endpoint/production")
"""From the verdict to the endpoint."""


def path_job(product: Product) -> UnresolvedAssetJobDefinition:
    """`<product>_path`: everything of the product, raw to monitoring, for one partition, with its checks; without those
    that fit the model a second time or try a rollback, because nothing waits for them."""
    return dg.define_asset_job(
        f"{product.name}_path",
        selection=dg.AssetSelection.groups(product.name) - _slow_checks(product),
        description=f"Raw to endpoint and monitoring, for one {product.partitions.every}.",
        tags={"product": product.name},
    )


def data_job(product: Product) -> UnresolvedAssetJobDefinition:
    """`<product>_data`: a delivery down to its features, what serves watched on it and asked for predictions; no candidate."""
    stages = ("raw", *(["reference"] if product.delivery.reference else []), "dataset", "quarantine", "features")
    followed = ("outcomes", "realised") if product.labels else ()
    keys = [asset_key(product, stage) for stage in (*stages, "monitoring", "predictions", *followed)]
    return dg.define_asset_job(
        f"{product.name}_data",
        selection=dg.AssetSelection.assets(*keys),
        description=f"Raw to features, monitoring and predictions, for one {product.partitions.every}: nothing is trained.",
        tags={"product": product.name},
    )


def train_job(product: Product) -> UnresolvedAssetJobDefinition:
    """`<product>_train`: a candidate of data that are there, judged, and released where the gates let it through. The features
    are in it because they bring every input up to date first."""
    stages = ("features", "model", *JUDGED)
    return dg.define_asset_job(
        f"{product.name}_train",
        selection=dg.AssetSelection.assets(*(asset_key(product, stage) for stage in stages)) - _slow_checks(product),
        description=f"Model to endpoint, on the data as of one {product.partitions.every}.",
        tags={"product": product.name},
    )


def outcomes_job(product: Product) -> UnresolvedAssetJobDefinition:
    """`<product>_outcomes`: outcomes that came for a partition, held against what served it. No feature or model is made."""
    keys = [asset_key(product, stage) for stage in ("outcomes", "realised")]
    return dg.define_asset_job(
        f"{product.name}_outcomes",
        selection=dg.AssetSelection.assets(*keys),
        description=f"Outcomes of one {product.partitions.every}, and what served it next to them.",
        tags={"product": product.name},
    )


def release_job(product: Product) -> UnresolvedAssetJobDefinition:
    """`<product>_release`: evaluation to endpoint of a candidate that is there, for what people decided and what a shadow or a
    canary showed. Nothing is fitted."""
    return dg.define_asset_job(
        f"{product.name}_release",
        selection=dg.AssetSelection.assets(*(asset_key(product, stage) for stage in JUDGED)) - _slow_checks(product),
        description=f"Evaluation to endpoint, for the candidate of one {product.partitions.every}: nothing is trained.",
        tags={"product": product.name},
    )


def _slow_checks(product: Product) -> dg.AssetSelection:
    slow = {"release": REPRODUCIBLE, "endpoint/production": ROLLBACK_DRILL}
    return dg.AssetSelection.checks(*(dg.AssetCheckKey(asset_key(product, stage), claim) for stage, claim in slow.items()))


def checks_job(product: Product) -> UnresolvedAssetJobDefinition:
    """`<product>_checks`: every asset check of the product alone, but for the one by which an evaluation says that it was asked;
    the tag `dagster/partition` says of which partition."""
    assets = dg.AssetSelection.groups(product.name)
    asking = dg.AssetSelection.checks(dg.AssetCheckKey(asset_key(product, "evaluation"), WINDOW_OPEN))
    return dg.define_asset_job(
        f"{product.name}_checks",
        selection=assets - assets.without_checks() - asking,
        description="The asset checks alone, on the current snapshots.",
        tags={"product": product.name},
    )
