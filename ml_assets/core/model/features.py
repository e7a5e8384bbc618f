"""The features snapshot: what dbt built for one partition, checked against the contract and put in a fixed order."""

from collections.abc import Mapping, Sequence

import polars as pl

from ml_assets.core.frames import parquet_bytes
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.model.split import rows_of
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product


class FeaturesRefused(MlAssetsError):
    """The tables that dbt built do not fit together: keys that repeat, or that requests, labels and features do not share."""


def model_columns(product: Product) -> tuple[str, ...]:
    """The model's input columns: those of the Features contract without key and time, in its order."""
    identity = product.features.identity
    return tuple(name for name in product.contract.Features.to_schema().columns if name not in identity)


def stacked(features: Sequence[Handle], *, product: Product) -> pl.DataFrame:
    """The rows of these features, partition after partition. Raises FeaturesRefused where their columns differ: they were made by
    different SQL, and a cast would hide it."""
    frames = {handle.partition: rows_of(handle, product) for handle in features}
    first, *others = frames
    for key in others:
        if frames[key].schema != frames[first].schema:
            odd = sorted(dict(set(frames[key].schema.items()) ^ set(frames[first].schema.items())))
            raise FeaturesRefused(
                f"{product.name}: the features of {first} and {key} differ in {', '.join(odd) or 'the order of their columns'}: "
                f"they were made by different SQL; `ml-assets run {product.name} --partition {others[-1]}` rebuilds what is stale"
            )
    return pl.concat(frames.values())


def assemble(
    *,
    product: Product,
    requests: pl.DataFrame,
    labels: pl.DataFrame,
    features: pl.DataFrame,
    lookups: Mapping[str, pl.DataFrame],
    sql: str,
) -> Output:
    """The members of a features snapshot, each in key order. Lookups are ordered by all their columns."""
    key = list(product.features.key)
    for name, frame in (("requests", requests), ("labels", labels), ("features", features)):
        _refuse_unless_keyed(frame, requests, key=key, name=f"{product.name}_{name}")
    labels = numeric_label(labels, product)
    ordered = features.select(*product.features.identity, *model_columns(product)).sort(key)
    if absent := [name for name in product.features.labels if name not in labels.columns]:
        raise FeaturesRefused(f"{product.name}_labels: makes no column '{absent[0]}'; it has {', '.join(labels.columns)}")
    joined = ordered.join(labels.select(*key, *product.features.labels), on=key, how="left", maintain_order="left")
    files = {
        "features.parquet": parquet_bytes(joined),
        "requests.parquet": parquet_bytes(requests.sort(key)),
        "labels.parquet": parquet_bytes(labels.sort(key)),
        "features.sql": sql.encode(),
    }
    files |= {f"lookups/{name}.parquet": parquet_bytes(frame.sort(frame.columns)) for name, frame in lookups.items()}
    labelled = joined[product.features.label].is_not_null().sum()
    return Output(files, {"rows": joined.height, "labelled": int(labelled), "lookups": sorted(lookups)})


def numeric_label(labels: pl.DataFrame, product: Product) -> pl.DataFrame:
    """The labels as they are or, where the product names its positive one, as 1 for that, 0 for others and null for none; of
    several classes as the number of the class. Raises FeaturesRefused for a label that is none of them."""
    label, positive = product.features.label, product.features.positive
    if product.features.classes:
        return labels.with_columns(_class_numbers(labels[label], product))
    if positive is not None:
        return labels.with_columns((pl.col(label).cast(pl.String) == positive).cast(pl.Int64))
    if labels[label].dtype == pl.String:
        examples = ", ".join(repr(value) for value in labels[label].drop_nulls().unique().sort().head(3))
        raise FeaturesRefused(
            f"{product.name}_labels: the label {label!r} is text ({examples}); say in product.yaml which one is the positive: "
            f'features: {{positive: "…"}}'
        )
    return labels


def _class_numbers(labels: pl.Series, product: Product) -> pl.Series:
    """The number of each label's class, null where it is not known."""
    names, label = product.features.class_names, product.features.label
    whole = labels.cast(pl.Int64, strict=False) if labels.dtype.is_float() else labels
    texts = (whole if whole.null_count() == labels.null_count() and (whole == labels).all() else labels).cast(pl.String)
    if unknown := sorted(set(texts.drop_nulls().unique()) - set(names)):
        raise FeaturesRefused(
            f"{product.name}_labels: the label {label!r} is {unknown[0]!r}, which is none of the classes; allowed: "
            f"{', '.join(names)}; add it to features.classes, or refuse such rows: {label}: … = pa.Field(isin=[…]) in contract.py"
        )
    return texts.replace_strict({name: number for number, name in enumerate(names)}, return_dtype=pl.Int64).alias(label)


def _refuse_unless_keyed(frame: pl.DataFrame, requests: pl.DataFrame, *, key: list[str], name: str) -> None:
    repeated = frame.height - frame.select(key).n_unique()
    if repeated:
        raise FeaturesRefused(f"{name}: {repeated} rows repeat the key {', '.join(key)}; one row per key is allowed")
    if frame.height != requests.height or requests.join(frame, on=key, how="anti").height:
        raise FeaturesRefused(f"{name}: {frame.height} rows for {requests.height} requests; each request needs exactly one")
