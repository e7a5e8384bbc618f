"""Summaries of features snapshots: taken once for each content and kept in the cache, from where they can be taken again."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ml_assets.core.digests import digest_json
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.stages import closure
from ml_assets.core.metrics.units import units
from ml_assets.core.plausibility.summary import Summary, summarise
from ml_assets.spec.product import Product
from resources.ledger import recalls
from resources.lineage import Lineage
from resources.settings import Settings
from resources.store.blobs import write_atomically

ENTRY = "ml_assets.core.plausibility.summary:summarise"


def features_before(lineage: Lineage, product: Product, partition: str) -> Iterator[Manifest]:
    """The current features of each earlier partition that is not recalled, in order."""
    bad = recalls.derived(lineage.ledger, product.name)
    for key in sorted(key for key in lineage.ledger.partitions(product.name, "features") if key < partition):
        earlier = lineage.ledger.current(product.name, "features", key)
        if earlier is not None and earlier.id not in bad:
            yield earlier


def summary_of(rows: pl.DataFrame, product: Product) -> Summary:
    """The summary of a partition's requests and features together."""
    spec, unit = product.features, product.gates.unit
    of_rows = None if unit == "row" else units(rows, unit=unit, time=spec.time)
    return summarise(rows, key=spec.key, label=spec.label, ignored=product.monitoring.ignore, unit=of_rows)


@dataclass(frozen=True)
class Summaries:
    """The summaries of a product's partitions. `folder` may be emptied at any time."""

    lineage: Lineage
    product: Product
    folder: Path

    @classmethod
    def of(cls, lineage: Lineage, product: Product, settings: Settings) -> "Summaries":
        """Return the summaries of a product, cached below the home."""
        return cls(lineage, product, settings.cache / "summaries")

    @property
    def _made_by(self) -> str:
        """The digest of all that decides a summary apart from the content: the code, the columns whose relations are left out,
        and the unit."""
        product = self.product
        decides = [closure(ENTRY).digest, list(product.monitoring.ignore), product.gates.unit, product.features.time]
        return digest_json(decides)[:16]

    def before(self, features: Manifest) -> Iterator[tuple[Manifest, Summary]]:
        """The current features of each earlier partition that is not recalled, in order, with its summary."""
        for earlier in features_before(self.lineage, self.product, features.partition):
            yield earlier, self.summary(earlier)

    def summary(self, features: Manifest) -> Summary:
        """The summary of a features snapshot, of requests and features together."""
        file = self.folder / f"{features.snapshot}-{self._made_by}.json"
        with suppress(FileNotFoundError, ValueError, KeyError):  # a cache can be lost, or damaged: the summary is taken again
            return Summary.from_json(file.read_bytes())
        snapshots, spec = self.lineage.snapshots, self.product.features
        rows = snapshots.frame(features.snapshot, "features.parquet")
        requests = snapshots.frame(features.snapshot, "requests.parquet")
        missing = [name for name in requests.columns if name not in rows.columns]
        if missing:
            rows = rows.join(requests.select(*spec.key, *missing), on=list(spec.key), how="left", maintain_order="left")
        summary = summary_of(rows, self.product)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, summary.to_json())
        return summary
