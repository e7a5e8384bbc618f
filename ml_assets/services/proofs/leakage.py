"""No leakage: features do not move when what was not known yet is erased and they are built again."""

import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.metrics.units import CALENDAR
from ml_assets.services.claims import NO_LEAKAGE as CLAIM
from ml_assets.services.evidence import Finding, Proof
from ml_assets.spec.product import Product
from resources.dbt.build import Dbt
from resources.lineage import Lineage

if TYPE_CHECKING:
    import polars as pl

LEAKAGE = Proof(
    "features", (CLAIM,), (f"{__name__}:_cut", f"{__name__}:_erase", f"{__name__}:_compare", "ml_assets.builders.features:build")
)


def no_leakage(lineage: Lineage, dbt: Dbt, product: Product, features: Manifest) -> Sequence[Finding]:
    """Erase every outcome from a day on, build the features again with the SQL that made them, and compare."""
    from ml_assets.builders.features import run_models, sources
    from ml_assets.core.lineage.stages import STAGES, stage_code

    if features.recipe.code != stage_code(product, STAGES["features"]):
        message = "made by other SQL or code than today's, which cannot build them again; `ml-assets run` makes them first"
        return [Finding(CLAIM, False, message, is_kept=False)]
    published = lineage.snapshots.frame(features.snapshot, "features.parquet")
    if published.is_empty():
        return [_nothing_to_compare("the partition has no rows", {"rows": 0})]
    cut, until = _span(product, published, features.partition)
    inputs = [lineage.handle(manifest) for manifest in lineage.inputs(features)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        erased, count = _erase(product, sources(inputs, product), cut, Path(folder))
        built = run_models(erased, product, features.partition, dbt)
    since = {} if product.partitions.is_static else {"cut": cut.isoformat()}
    return [_compare(product, published, built.features, until, {"erased_values": count, **since})]


def _span(product: Product, published: "pl.DataFrame", partition: str) -> tuple[datetime, datetime]:
    """From when on outcomes are erased, and until when features are compared. In a static table no row is before another one:
    every outcome is erased, and every row compared."""
    start, end = partitions_of(product).window(partition)
    if product.partitions.is_static:
        return start, end
    return _cut(product, published[product.features.time], start)


def _cut(product: Product, times: "pl.Series", start: datetime) -> tuple[datetime, datetime]:
    """The unit of the middle row, as far as it is in the partition: outcomes are erased from its start, features compared until
    its end."""
    import polars as pl

    unit = CALENDAR.get(product.gates.unit, "1d")
    middle = times.sort()[len(times) // 2]
    cut = max(pl.Series([middle], dtype=pl.Datetime("us")).dt.truncate(unit)[0], start)
    return cut, pl.Series([cut]).dt.offset_by(unit)[0]


def _erase(
    product: Product, deliveries: Mapping[str, Sequence[Path]], cut: datetime, folder: Path
) -> tuple[dict[str, list[Path]], int]:
    """Write the dataset's files again with every outcome from `cut` on set to null; how many values that were."""
    import polars as pl

    from ml_assets.core.contract.engine import columns_known_after

    written: dict[str, list[Path]] = {}
    count = 0
    for name, paths in deliveries.items():
        stage, table = name.split(".")
        if stage != "dataset":
            written[name] = list(paths)
            continue
        time = product.delivery.tables[table].time
        later = pl.col(time) >= cut if time else pl.lit(value=True)
        outcomes = columns_known_after(product.contract.TABLES[table])
        for number, path in enumerate(paths):
            frame = pl.read_parquet(path, glob=False)
            count += sum(frame.filter(later)[c].count() for c in outcomes)
            copy = folder / f"{table}-{number}.parquet"
            frame.with_columns(pl.when(~later).then(pl.col(c)).alias(c) for c in outcomes).write_parquet(copy)
            written.setdefault(name, []).append(copy)
    return written, count


def _compare(
    product: Product, published: "pl.DataFrame", rebuilt: "pl.DataFrame", until: datetime, details: dict[str, object]
) -> Finding:
    import polars as pl

    key, time = list(product.features.key), product.features.time
    columns = [name for name in published.columns if name not in product.features.labels]
    is_compared = pl.lit(value=True) if product.partitions.is_static else pl.col(time) < until
    before = published.filter(is_compared).select(columns).sort(key)
    after = rebuilt.filter(is_compared).select(columns).sort(key)
    details_with_rows = {**details, "rows": before.height}
    if not details["erased_values"]:
        since = "" if product.partitions.is_static else f" from {details['cut']} on"
        return _nothing_to_compare(f"no outcome is known{since}", details_with_rows)
    if before.height != after.height:
        return Finding(CLAIM, False, f"{before.height} rows became {after.height}", details=details_with_rows)
    moved = [c for c in columns if not before[c].equals(after[c], null_equal=True)]
    description = f"{', '.join(moved)} know {_told_later(product)}" if moved else f"{before.height} rows are unmoved"
    return Finding(CLAIM, not moved, description, details=details_with_rows)


def _told_later(product: Product) -> str:
    return "outcomes" if product.partitions.is_static else "what happens later"


def _nothing_to_compare(reason: str, details: dict[str, object]) -> Finding:
    """Neither for nor against: other partitions are made by the same SQL, and show it of that."""
    return Finding(CLAIM, False, f"nothing to compare: {reason}", "WARN", details=details)
