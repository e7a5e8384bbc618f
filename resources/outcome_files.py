"""Files of outcomes in the landing folder: `<landing>/<product>/<table>/<partition>.<anything>.<format>`.

A partition may have several, which count together: outcomes come in over weeks. They are delivered like any table.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ml_assets.core.digests import sha256
from ml_assets.core.lineage.partitions import PartitionKeyError, partitions_of
from ml_assets.spec.labels import LabelsSpec
from ml_assets.spec.product import Product
from resources.landing import UNFINISHED, Landing
from resources.landing_digests import FileDigests

SHOWN_DIGITS = 12
"""Digits of a file's digest in its name."""


def outcome_entries(landing: Landing, product: Product) -> dict[str, dict[str, os.DirEntry[str]]]:
    """The files of each partition that has some, by partition and by name, in order; the folder is listed once."""
    entries: dict[str, dict[str, os.DirEntry[str]]] = {}
    for key, entry in sorted(_entries(landing, product), key=lambda pair: (pair[0], pair[1].name)):
        entries.setdefault(key, {})[entry.name] = entry
    return entries


def outcome_digests(landing: Landing, product: Product, digests: FileDigests) -> dict[str, dict[str, str]]:
    """The digest of each file of outcomes, by partition and by name."""
    return {
        key: {name: digests.of(entry.path, entry.stat()) for name, entry in files.items()}
        for key, files in outcome_entries(landing, product).items()
    }


def put_outcomes(landing: Landing, product: Product, partition: str, content: bytes) -> Path | str:
    """Deliver a file of outcomes next to those that are there: written aside, then renamed. It is named by its digest, so that
    the same content is there once."""
    labels = product.labels
    assert labels is not None
    spec = labels.delivered[labels.outcomes_table]
    path = folder(landing, product, labels) / f"{partition}.{sha256(content)[:SHOWN_DIGITS]}.{spec.format}"
    return landing.write(path, content)


def source_file(landing: Landing, product: Product, partition: str) -> Path:
    """Where the declared source of the table of outcomes delivers a partition: what it has now, in the place of what it had."""
    labels = product.labels
    assert labels is not None
    return folder(landing, product, labels) / f"{partition}.source.{labels.delivered[labels.outcomes_table].format}"


def stray_outcomes(landing: Landing, product: Product) -> list[str]:
    """Names of files of the folder that are read as no partition's, in order."""
    labels = product.labels
    if labels is None or not labels.delivered or not (place := folder(landing, product, labels)).is_dir():
        return []
    read = {name for files in outcome_entries(landing, product).values() for name in files}
    names = sorted(entry.name for entry in os.scandir(place) if entry.is_file())
    return [name for name in names if name not in read and name[0] != "." and not name.endswith(UNFINISHED)]


def folder(landing: Landing, product: Product, labels: LabelsSpec) -> Path:
    """Where the table of outcomes is delivered."""
    return landing.folder(product) / labels.outcomes_table


def by_asset(product: Product, files: Mapping[str, str]) -> dict[str, str]:
    """Digests of files by what lineage calls them: `landing/<product>/<table>/<file>`."""
    table = product.labels.outcomes_table if product.labels else ""
    return {f"landing/{product.name}/{table}/{name}": digest for name, digest in files.items()}


def _entries(landing: Landing, product: Product) -> Iterator[tuple[str, os.DirEntry[str]]]:
    labels = product.labels
    if labels is None or not labels.delivered or not (place := folder(landing, product, labels)).is_dir():
        return
    calendar, suffix = partitions_of(product), f".{labels.delivered[labels.outcomes_table].format}"
    with os.scandir(place) as listing:
        for entry in listing:
            key = entry.name.partition(".")[0]
            if not entry.name.endswith(suffix) or not key or not entry.is_file():
                continue
            try:
                is_partition = calendar.contains(key)
            except PartitionKeyError:
                continue
            if is_partition:
                yield key, entry
