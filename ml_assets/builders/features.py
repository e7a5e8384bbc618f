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
    relations = run_models(sources(inputs, product), product, partition, dbt)
    return assemble(
        product=product,
        requests=relations.requests,
        labels=relations.labels,
        features=relations.features,
        lookups=relations.lookups,
        sql=relations.features_sql,
    )


def run_models(files: Mapping[str, Sequence[Path]], product: Product, partition: str, dbt: Dbt) -> Built:
    """The relations of one partition from the Parquet files of each dbt source."""
    start, end = partitions_of(product).window(partition)
    return dbt.build(product, sources=files, partition=(partition, start, end))


def sources(inputs: Sequence[Handle], product: Product) -> dict[str, list[Path]]:
    """The Parquet files of each dbt source ("dataset.<table>", "reference.<table>"), in the order of the inputs."""
    files: dict[str, list[Path]] = {}
    for handle in inputs:
        stage = handle.manifest.recipe.stage
        for table in product.delivery.reference if stage == "reference" else product.delivery.tables:
            files.setdefault(f"{stage}.{table}", []).append(handle.members[f"{table}.parquet"])
    return files
