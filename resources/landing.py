"""The landing folder: where sources deliver files, one per table and partition, and whole reference tables.

`<landing>/<product>/<table>/<partition>.<format>` and `<landing>/<product>/<table>.<format>`. Deliver under a
name that starts with a dot, then rename: names with a leading dot are not looked at.
"""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ml_assets.core.lineage.partition_numbers import ordinal, ordinals
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

    def listing(self, product: Product) -> "Listing":
        """The deliveries that are there now: each folder is listed once, no file is opened."""
        folder = self.folder(product)
        return Listing(product, {table: _files(folder / table) for table in product.delivery.tables})

    def delivered(self, product: Product) -> list[str]:
        """The partitions whose every table has a file, in order; files named for no partition are left alone."""
        return [*self.listing(product).partitions]

    def put(self, product: Product, table: str, partition: str, content: bytes) -> Path | str:
        """Deliver a file: written aside, then renamed, or in one request, so that no one sees half of it. Its path or URL."""
        return self.write(self.file(product, table, partition), content)

    def write(self, path: Path, content: bytes) -> Path | str:
        """Deliver a file at a path below `root`; the path, or the URL where deliveries lie in an object store."""
        if self.objects is not None:
            return self.objects.put(path.relative_to(self.root).as_posix(), content)
        write_atomically(path, content)
        return path

    def _all_there(self, product: Product, files: Mapping[str, Path]) -> dict[str, Path]:
        if missing := [str(path) for path in files.values() if not path.is_file()]:
            raise NotDelivered(f"{product.name}: not delivered: {', '.join(missing)}")
        return dict(files)


def open_landing(folder: Path, url: str = "") -> Landing:
    """The landing folder, or where a URL is given the deliveries below it with `folder` as their copy. Raises StoreRefused."""
    return Landing(folder, open_deliveries(url) if url else None)


@dataclass(frozen=True)
class Listing:
    """The files of a product's tables at one moment: files by table and name, those with a leading dot left out."""

    product: Product
    files: Mapping[str, Mapping[str, os.DirEntry[str]]]

    @cached_property
    def complete(self) -> list[str]:
        """The partitions that are over and whose every table has a file, in order."""
        return sorted(set.intersection(*(set(keys) for keys in self.tables.values())))

    @cached_property
    def partitions(self) -> dict[str, dict[str, os.DirEntry[str]]]:
        """The file of each table, per partition that is over and whose every table has one, in order."""
        tables = self.tables.items()
        return {key: {table: keys[key] for table, keys in tables} for key in self.complete}

    def keys(self, table: str) -> list[str]:
        """The partitions of which this table is delivered, whether the others are there or not."""
        return sorted(self.tables[table])

    @property
    def stray(self) -> dict[str, str]:
        """The reason why files are read as no partition of the product, by `<table>/<name>`, in order."""
        why = {}
        for table, files in self.files.items():
            suffix, keys = self._suffix(table), self.tables[table]
            for name in files if len(files) > len(keys) else ():
                key = name.removesuffix(suffix)
                if name.endswith(UNFINISHED):
                    continue
                if key == name:
                    why[f"{table}/{name}"] = _no_format(name, suffix)
                elif key not in keys:
                    why[f"{table}/{name}"] = _no_partition(self.product, key)
        return dict(sorted(why.items()))

    @cached_property
    def tables(self) -> dict[str, dict[str, os.DirEntry[str]]]:
        """The files by table and partition, as far as the calendar has it and it is over."""
        tables = {}
        for table, files in self.files.items():
            suffix = self._suffix(table)
            named = {name.removesuffix(suffix): entry for name, entry in files.items() if name.endswith(suffix)}
            keys = _partitions(self.product, named)
            tables[table] = named if len(keys) == len(named) else {key: named[key] for key in keys}
        return tables

    def _suffix(self, table: str) -> str:
        return f".{self.product.delivery.tables[table].format}"


def _files(folder: Path) -> dict[str, os.DirEntry[str]]:
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        return {entry.name: entry for entry in entries if entry.name[0] != "." and entry.is_file()}


def _partitions(product: Product, keys: Iterable[str]) -> list[str]:
    """Those of the keys that the product's calendar has, and that are over."""
    calendar = partitions_of(product)
    first, end = calendar.ordinal(calendar.start), calendar.ordinal(calendar.end) if calendar.end else math.inf
    if not calendar.is_static:
        end = min(end, calendar.running(utc_now()))
    return [key for key, number in ordinals(calendar, keys) if first <= number < end]


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
