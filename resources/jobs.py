"""The jobs of a product: the whole path for one partition, and its checks alone."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from ml_assets.product import Product
from resources.assets import asset_key
from resources.claims import REPRODUCIBLE


def path_job(product: Product) -> UnresolvedAssetJobDefinition:
    """`<product>_path`: everything of the product, raw to monitoring, for one partition, with its checks; without the one
    that fits the model a second time, on which nothing waits."""
    again = dg.AssetSelection.checks(dg.AssetCheckKey(asset_key(product, "release"), REPRODUCIBLE))
    return dg.define_asset_job(
        f"{product.name}_path",
        selection=dg.AssetSelection.groups(product.name) - again,
        description=f"Raw to endpoint and monitoring, for one {product.partitions.every}.",
        tags={"product": product.name},
    )


def checks_job(product: Product) -> UnresolvedAssetJobDefinition:
    """`<product>_checks`: every asset check of the product alone; the tag `dagster/partition` says of which partition."""
    assets = dg.AssetSelection.groups(product.name)
    return dg.define_asset_job(
        f"{product.name}_checks",
        selection=assets - assets.without_checks(),
        description="The asset checks alone, on what stands now.",
        tags={"product": product.name},
    )
