"""features: the product's dbt models on DuckDB, for one partition."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.lineage.reads import is_beyond_folds
from ml_assets.core.model.features import assemble
from ml_assets.core.model.new_folds import with_folds
from ml_assets.spec.product import Product
from resources.dbt.build import Built, Dbt


def build(inputs: Sequence[Handle], product: Product, partition: str, dbt: Dbt, *, is_reopened: bool = False) -> Output:
    """The features of one partition from these datasets and reference tables; `dbt` runs the product's models. Of a static table
    whose reserve folds are used up, also the folds that new keys open, by the features of earlier deliveries; or the last fold
    once more, where a person reopened it."""
    relations = run_models(sources(inputs, product), product, partition, dbt)
    built = assemble(
        product=product,
        requests=relations.requests,
        labels=relations.labels,
        features=relations.features,
        lookups=relations.lookups,
        sql=relations.features_sql,
    )
    if not is_beyond_folds(product, partition):
        return built
    earlier = [handle for handle in inputs if handle.manifest.recipe.stage == "features"]
    return with_folds(built, earlier, product, partition, is_reopened=is_reopened)


def run_models(files: Mapping[str, Sequence[Path]], product: Product, partition: str, dbt: Dbt) -> Built:
    """The relations of one partition from the Parquet files of each dbt source."""
    start, end = partitions_of(product).window(partition)
    return dbt.build(product, sources=files, partition=(partition, start, end))


def sources(inputs: Sequence[Handle], product: Product) -> dict[str, list[Path]]:
    """The Parquet files of each dbt source ("dataset.<table>", "reference.<table>"), in the order of the inputs."""
    files: dict[str, list[Path]] = {}
    for handle in inputs:
        stage = handle.manifest.recipe.stage
        if stage == "features":  # of earlier deliveries: they say which keys are new, and dbt does not see them
            continue
        for table in product.delivery.reference if stage == "reference" else product.delivery.tables:
            files.setdefault(f"{stage}.{table}", []).append(handle.members[f"{table}.parquet"])
    return files
