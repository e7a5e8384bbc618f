"""features: the product's dbt models on DuckDB, for one partition."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.model.features import assemble
from ml_assets.spec.product import Product
from resources.dbt.build import Built, Dbt


def build(inputs: Sequence[Handle], product: Product, partition: str, dbt: Dbt) -> Output:
    """The features of one partition from these datasets and reference tables; `dbt` runs the product's models."""
    made = run_models(sources(inputs, product), product, partition, dbt)
    return assemble(
        product=product,
        requests=made.requests,
        labels=made.labels,
        features=made.features,
        lookups=made.lookups,
        sql=made.features_sql,
    )


def run_models(found: Mapping[str, Sequence[Path]], product: Product, partition: str, dbt: Dbt) -> Built:
    """The relations of one partition from the Parquet files of each dbt source."""
    start, end = partitions_of(product).window(partition)
    return dbt.build(product, sources=found, partition=(partition, start, end))


def sources(inputs: Sequence[Handle], product: Product) -> dict[str, list[Path]]:
    """The Parquet files of each dbt source ("dataset.<table>", "reference.<table>"), in the order of the inputs."""
    found: dict[str, list[Path]] = {}
    for each in inputs:
        stage = each.manifest.recipe.stage
        for table in product.delivery.reference if stage == "reference" else product.delivery.tables:
            found.setdefault(f"{stage}.{table}", []).append(each.members[f"{table}.parquet"])
    return found
