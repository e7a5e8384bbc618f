"""The landing folder: where sources deliver files, one per table and partition, and whole reference tables.

`<landing>/<product>/<table>/<partition>.<format>` and `<landing>/<product>/<table>.<format>`. Deliver under a
name that starts with a dot, then rename: names with a leading dot are not looked at.
"""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_assets.core.digests import digest_file, digest_json
from ml_assets.core.lineage.partition_numbers import ordinal
from ml_assets.core.lineage.partitions import PartitionKeyError, partitions_of, utc_now
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product
from resources.delivered_objects import DeliveredObjects, open_deliveries
from resources.store.blobs import write_atomically

UNFINISHED = (".part", ".partial", ".tmp")
"""Endings under which programs write what they rename once it is whole."""


class NotDelivered(MlAssetsError):
    """A table of the product has no file in the landing folder."""


@dataclass(frozen=True)
class Landing:
    """The landing folder of all products. Where deliveries lie in an object store, `objects` are these, and `root` is the folder
    that holds the same: it is brought up to date when it is looked at."""

    root: Path
    objects: DeliveredObjects | None = None

    def folder(self, product: Product) -> Path:
        """The folder of the product's deliveries, as they are now. Raises StoreAway and StoreRefused."""
        folder = self.root / product.name
        if self.objects is not None:
            self.objects.mirror(folder, product.name)
        return folder

    def place(self, product: Product) -> str:
        """Where sources deliver for the product, as a person names it."""
        return f"{self.objects.url}/{product.name}" if self.objects else str(self.root / product.name)

    def file(self, product: Product, table: str, partition: str = "") -> Path:
        """The path at which the table of a partition (or a reference table, with partition "") is delivered."""
        folder = self.folder(product)
        if table in product.delivery.reference:
            return folder / f"{table}.{product.delivery.reference[table].format}"
        return folder / table / f"{partition}.{product.delivery.tables[table].format}"

    def partition_files(self, product: Product, partition: str) -> dict[str, Path]:
        """The delivered file of each partitioned table. Raises NotDelivered when one is missing."""
        return self._all_there(product, {t: self.file(product, t, partition) for t in product.delivery.tables})

    def reference_files(self, product: Product) -> dict[str, Path]:
        """The delivered file of each reference table. Raises NotDelivered when one is missing."""
        return self._all_there(product, {t: self.file(product, t) for t in product.delivery.reference})

    def delivered(self, product: Product) -> list[str]:
        """The partitions whose every table has a file, in order; files named for no partition are left alone."""
        return list(self.entries(product))

    def entries(self, product: Product) -> dict[str, dict[str, os.DirEntry[str]]]:
        """The file of each table, per delivered partition, in order: each folder is listed once, no file is opened."""
        tables = {table: self._entries(product, table) for table in product.delivery.tables}
        complete = set.intersection(*(set(files) for files in tables.values()))
        keys = sorted(_partitions(product, complete))
        return {key: {table: files[key] for table, files in tables.items()} for key in keys}

    def keys(self, product: Product, table: str) -> list[str]:
        """The partitions of which this table is delivered, whether the others are there or not."""
        return sorted(_partitions(product, self._entries(product, table)))

    def stray(self, product: Product) -> dict[str, str]:
        """The reason why files of the product's folders are read as no partition of it, by `<table>/<name>`, in order."""
        why = {f"{t}/{name}": reason for t in product.delivery.tables for name, reason in self._strays(product, t)}
        return dict(sorted(why.items()))

    def put(self, product: Product, table: str, partition: str, content: bytes) -> Path | str:
        """Deliver a file: written aside, then renamed, or in one request, so that no one sees half of it. Its path or URL."""
        return self.write(self.file(product, table, partition), content)

    def write(self, path: Path, content: bytes) -> Path | str:
        """Deliver a file at a path below `root`; the path, or the URL where deliveries lie in an object store."""
        if self.objects is not None:
            return self.objects.put(path.relative_to(self.root).as_posix(), content)
        write_atomically(path, content)
        return path

    def _entries(self, product: Product, table: str) -> dict[str, os.DirEntry[str]]:
        suffix = f".{product.delivery.tables[table].format}"
        folder = self.folder(product) / table
        if not folder.is_dir():
            return {}
        with os.scandir(folder) as listing:
            named = (entry for entry in listing if entry.name.endswith(suffix) and entry.name[0] != ".")
            return {entry.name.removesuffix(suffix): entry for entry in named if entry.is_file()}

    def _strays(self, product: Product, table: str) -> Iterator[tuple[str, str]]:
        folder = self.folder(product) / table
        names = [entry.name for entry in os.scandir(folder) if entry.is_file()] if folder.is_dir() else []
        suffix = f".{product.delivery.tables[table].format}"
        keys = {name.removesuffix(suffix) for name in names if name.endswith(suffix) and name[0] != "."}
        partitions = set(_partitions(product, keys))
        for name in names:
            key = name.removesuffix(suffix)
            if name[0] != "." and not name.endswith(UNFINISHED) and not (name.endswith(suffix) and key in partitions):
                yield name, _no_partition(product, key) if name.endswith(suffix) else _no_format(name, suffix)

    def _all_there(self, product: Product, files: Mapping[str, Path]) -> dict[str, Path]:
        if missing := [str(path) for path in files.values() if not path.is_file()]:
            raise NotDelivered(f"{product.name}: not delivered: {', '.join(missing)}")
        return dict(files)


def open_landing(folder: Path, url: str = "") -> Landing:
    """The landing folder, or where a URL is given the deliveries below it with `folder` as their copy. Raises StoreRefused."""
    return Landing(folder, open_deliveries(url) if url else None)


def _partitions(product: Product, keys: Iterable[str]) -> Iterator[str]:
    """Those of the keys that the product's calendar has, and that are over."""
    calendar = partitions_of(product)
    first, end = calendar.ordinal(calendar.start), calendar.ordinal(calendar.end) if calendar.end else math.inf
    if not calendar.is_static:
        end = min(end, calendar.running(utc_now()))
    for key in keys:
        try:
            if first <= ordinal(calendar, key) < end:
                yield key
        except PartitionKeyError:
            continue


def _no_partition(product: Product, key: str) -> str:
    """The reason why a name is not that of a partition."""
    spec, calendar = product.partitions, partitions_of(product)
    try:
        number = ordinal(calendar, key)
    except PartitionKeyError:
        return f"named for no {spec.every}: one is named like {calendar.start}"
    if number < calendar.ordinal(calendar.start):
        return f"before partitions.start, {calendar.start}"
    if why := calendar.contains(key) and calendar.unfinished(key, utc_now()):
        return why
    return f"not before partitions.end, {spec.end}"


def _no_format(name: str, suffix: str) -> str:
    """The reason why a file is not read, though it may hold a delivery."""
    if name.lower().endswith(suffix):
        return f"the ending is written {suffix}"
    if suffix in name.lower():
        return f"the name has to end in {suffix}; a compressed file is declared by `compression:` and named {suffix} too"
    return f"the table is read from {suffix} files"


def content_key(files: Mapping[str, Path]) -> str:
    """One digest over the bytes of the files, by table: equal content, equal key, whatever the times and names."""
    return digest_json({table: digest_file(path) for table, path in files.items()})
