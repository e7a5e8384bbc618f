"""Features of served requests next to those that were delivered: whether clients ask what the model was trained on."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ml_assets.core.drift.verdict import SPAN, DriftVerdict, lasting
from ml_assets.core.lineage.facts import ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.partition_numbers import ordinal
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.services.outcomes.served import asked_about, release_of_bundle
from ml_assets.services.watching.summaries import Summaries, features_before
from ml_assets.spec.product import Product
from resources.lineage import Lineage
from resources.settings import Settings

if TYPE_CHECKING:
    import polars as pl

    from ml_assets.core.drift.histograms import Histogram

NOT_SERVED = "nothing was asked about its time, as far as the log and this ledger tell"


@dataclass(frozen=True)
class Questions:
    """The requests (rows, fields) that production answered about the time of a partition, the last for each key, as far as one
    release answered them: the one that answered most."""

    features: Manifest
    requests: "pl.DataFrame"
    release: Manifest

    def histograms(self, lineage: Lineage, product: Product) -> "dict[str, Histogram]":
        """Those of the requests' features, by the release that answered them."""
        from ml_assets.core.drift.histograms import count
        from ml_assets.core.release.offline_bundle import own_features

        own = own_features(lineage.handle(self.release), self.requests, is_cast=False)
        return count(own.drop(product.features.key))


@dataclass(frozen=True)
class ServedTraffic:
    """The requests about a partition (`features`), and about the ones before it that an alarm looks at."""

    lineage: Lineage
    product: Product
    settings: Settings
    features: Manifest

    @cached_property
    def questions(self) -> list[Questions]:
        """By partition, in order, without those that nothing was asked about. Raises PredictionLogError."""
        calendar = partitions_of(self.product)
        first = ordinal(calendar, self.features.partition) - SPAN
        before = [
            m
            for m in features_before(self.lineage, self.product, self.features.partition)
            if ordinal(calendar, m.partition) >= first
        ]
        about = (_questions(self.lineage, self.product, self.settings, manifest) for manifest in (*before, self.features))
        return [questions for questions in about if questions is not None]

    @property
    def digest(self) -> str:
        """The settings that decide the verdict, besides the partitions that it is compared with."""
        from ml_assets.core.digests import digest_json

        return digest_json([[a.features.snapshot, a.release.snapshot, a.requests.rows()] for a in self.questions])

    def verdict(self, summaries: Summaries) -> DriftVerdict | None:
        """The verdict on what was asked about the partition, next to it and those before it: an alarm where the same column
        exceeds here and in one of the two before. None where nothing was asked, or the release is not in this ledger. How many
        requests came says nothing of skew, and is left out."""
        from ml_assets.services.watching.verdicts import of_others

        if not self.questions or self.questions[-1].features.partition != self.features.partition:
            return None
        *before, now = (
            of_others(
                summaries,
                questions.features,
                questions.histograms(self.lineage, self.product),
                rows=questions.requests.height,
                trained=frozenset(ReleaseFacts.of(questions.release).train),
            )
            for questions in self.questions
        )
        return lasting(now, before)


def served_verdict(lineage: Lineage, product: Product, settings: Settings, partition: str) -> DriftVerdict | None:
    """The verdict on what was asked about a partition until now."""
    features = lineage.current(product, "features", partition)
    return ServedTraffic(lineage, product, settings, features).verdict(Summaries.of(lineage, product, settings))


def _questions(lineage: Lineage, product: Product, settings: Settings, features: Manifest) -> Questions | None:
    import polars as pl

    log = asked_about(lineage, product, settings, features.partition)
    rows: dict[str, tuple[dict[str, Any], str]] = {}
    for text, bundle in log.select("request", "bundle").rows():
        request = json.loads(text)
        rows[json.dumps([request.get(name) for name in product.features.key])] = (request, bundle)
    if not rows:
        return None
    bundles = [bundle for _, bundle in rows.values()]
    most = max(dict.fromkeys(reversed(bundles)), key=bundles.count)
    release = release_of_bundle(lineage, product, most)
    if release is None:
        return None
    requests = pl.DataFrame([request for request, bundle in rows.values() if bundle == most], infer_schema_length=None)
    return Questions(features, requests, release)
