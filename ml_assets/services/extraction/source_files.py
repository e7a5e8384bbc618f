"""Files at a source's URL, and materializations of its upstream asset, by the partitions of the product."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ml_assets.core.digests import digest_json
from ml_assets.core.lineage.partitions import PartitionKeyError, Partitions
from ml_assets.spec.partitions import parse_key
from resources.sources.files import SourceFile, SourceFiles

if TYPE_CHECKING:
    from dagster import DagsterInstance

WHOLE = ""
"""In the place of a partition, of a table that is delivered whole."""
_OTHER_KEYS = ("%Y-%m-%d", "%Y-%m-%d-%H:%M")
"""How Dagster writes the keys of other assets by default, and often the names of files are."""


@dataclass(frozen=True)
class FilesByPartition:
    """The files of a URL. `calendar`: of the product; None for a table that is delivered whole."""

    files: SourceFiles
    calendar: Partitions | None

    def listed(self) -> dict[str, list[SourceFile]]:
        """The files that are there now, by partition. Raises StoreAway and StoreRefused."""
        listed = self.files.listed()
        return {own: listed[text] for own, text in own_keys(self.calendar, listed).items()}

    def states(self, still_since: datetime = datetime.max) -> dict[str, str]:
        """A digest that changes when the files of a partition do; without partitions of which one changed after a moment (naive
        UTC)."""
        return {
            key: digest_json({file.name: file.mark for file in files})
            for key, files in self.listed().items()
            if all(file.changed is None or file.changed <= still_since for file in files)
        }


def upstream_states(instance: "DagsterInstance", asset: tuple[str, ...], calendar: Partitions | None) -> dict[str, str]:
    """The newest materialization of an asset, by the product's partitions, as Dagster's storage numbers it."""
    from dagster import AssetKey, DagsterEventType

    key = AssetKey([*asset])
    if calendar is None:
        event = instance.get_latest_materialization_event(key)
        return {WHOLE: f"{event.run_id}:{event.timestamp:.6f}"} if event else {}
    numbers = instance.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION)
    return {own: str(numbers[text]) for own, text in own_keys(calendar, numbers).items()}


def own_keys(calendar: Partitions | None, texts: Mapping[str, object]) -> dict[str, str]:
    """The text that names each partition of the product elsewhere: its own key, before any other way to write its start."""
    if calendar is None:
        return {text: text for text in texts}
    own: dict[str, str] = {}
    for text in sorted(texts):
        if (key := _own_key(calendar, text)) and (key == text or key not in own):
            own[key] = text
    return own


def _own_key(calendar: Partitions, text: str) -> str:
    """The key of the partition that begins when a text says; "" where none does."""
    for fmt in (calendar.fmt, *_OTHER_KEYS):
        try:
            start = datetime.strptime(text, fmt)
            key = start.strftime(calendar.fmt)
            if parse_key(calendar.every, key) == start and calendar.contains(key):
                return key
        except (ValueError, PartitionKeyError):
            continue
    return ""
