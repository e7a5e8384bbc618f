"""Files that a source of deliveries has at a URL with a place for the partition, through any driver that fsspec has."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from ml_assets.spec.sources import PARTITION
from resources.delivered_objects import mark
from resources.landing import UNFINISHED
from resources.store.remote_blobs import open_filesystem
from resources.store.remote_faults import RemotePlace, place_of

_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")
"""The names that drivers have for the time of an object's last change."""


@dataclass(frozen=True)
class SourceFile:
    """An object: its name with the driver, what tells that its bytes are others, when it changed last if the driver says so."""

    name: str
    mark: str
    changed: datetime | None


@dataclass(frozen=True)
class SourceFiles:
    """The files of a URL with `{partition}` and `*` in it. `setting`: what errors call the URL."""

    uri: str
    setting: str

    @cached_property
    def _driver(self) -> tuple[Any, str]:
        """The driver and the path in it. Both kinds of places would be taken for a pattern, so the driver sees their folder."""
        filesystem, folder = open_filesystem(self._folder_url, setting=self.setting)
        return filesystem, folder

    @property
    def _place(self) -> RemotePlace:
        return place_of(*self._driver, setting=self.setting)

    @property
    def _folder_url(self) -> str:
        fixed = re.split(r"\{|\*", self.uri, maxsplit=1)[0]
        return fixed.rpartition("/")[0]

    def listed(self) -> dict[str, list[SourceFile]]:
        """The files that are there now, by what stands for the partition in their names ("" where nothing does), in the order of
        their names. Raises StoreAway and StoreRefused."""
        filesystem, folder = self._driver
        entries = self._place.find(filesystem, folder)
        below, files = folder.strip("/"), dict[str, list[SourceFile]]()
        for name, entry in sorted(entries.items()):
            is_whole = not name.rpartition("/")[2].startswith(".") and not name.endswith(UNFINISHED)
            if is_whole and (match := self._pattern.fullmatch(name.strip("/").removeprefix(below).strip("/"))):
                text = match.groupdict().get("partition", "")
                files.setdefault(text, []).append(SourceFile(name, mark(entry), _changed(entry)))
        return files

    def read(self, file: SourceFile) -> bytes:
        """The bytes of a file. Raises FileNotFoundError where it is gone, StoreAway and StoreRefused."""
        content: bytes = self._place.ask("read", file.name, lambda: self._driver[0].cat_file(file.name))
        return content

    @property
    def _pattern(self) -> re.Pattern[str]:
        """Names below the folder: each `*` and the partition are within one part of a path; the partition is the same in all
        its places."""
        written = self.uri[len(self._folder_url) :].strip("/")
        parts, seen = [], False
        for part in re.split(r"(\{partition\}|\*)", written):
            if part == PARTITION:
                parts.append("(?P=partition)" if seen else "(?P<partition>[^/]+?)")
                seen = True
            else:
                parts.append("[^/]*" if part == "*" else re.escape(part))
        return re.compile("".join(parts))


def _changed(entry: Mapping[str, Any]) -> datetime | None:
    """When an object changed last, naive UTC."""
    moment = next((entry[name] for name in _TIMES if entry.get(name) is not None), None)
    if isinstance(moment, int | float):
        return datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return None
    if not isinstance(moment, datetime):
        return None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
