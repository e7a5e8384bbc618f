"""The logs of servers on other machines, by way of the store that they share: outcomes, drift and recalls see all of it.

A server ships its own files, and whoever reads the log fetches those of others first. Shipping twice does no harm: a prediction
is known by its id, and the reader counts each once. Where the store is the home's own, nobody else has one, and nothing is done.

The ledger knows which files there are, so that nobody asks the store in vain. Only a home that never read the log by this ledger,
and a server that begins, list the store: an earlier version may have shipped files that the ledger was not told of.
"""

import fcntl
import hashlib
import logging
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from ml_assets.errors import MlAssetsError
from ml_assets.serving.log.hour_files import hours_of_others, joined, own_files, own_hours
from ml_assets.serving.log.prediction_id import is_prediction_id
from ml_assets.serving.log.reader import find_in_any
from resources.endpoints.replicas import note_served_files, served_files
from resources.ledger.database import shown
from resources.ledger.ledger import Ledger
from resources.lineage import Lineage
from resources.settings import Settings
from resources.store.blobs import make_folder, write_atomically
from resources.store.served_logs import ServedLogs, served_logs
from resources.store.snapshots import Snapshots

SHIPPED = ".shipped"
LISTED, GONE = ".listed", ".gone"
LOGGER = logging.getLogger(__name__)
NEWEST_HOURS = 72


class NotReported(MlAssetsError):
    """The ledger was not told of files that are in the store."""


@dataclass
class SharedLog:
    """A log of this home (`folder`), the place that all machines share, the ledger that knows its files, and the name of this
    home there."""

    name: str
    folder: Path
    place: ServedLogs
    ledger: Ledger
    owner: str
    _is_reported: bool = False

    def ship(self) -> int:
        """Put what was logged here since the last time into the store, and tell the ledger; return the number of files. Raises
        OSError, what the store's driver raises, and NotReported: what the ledger was not told it is told the next time."""
        make_folder(self.folder)
        lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the other workers of this server log into the same folder
            shipped = list(filter(None, map(self._ship, own_hours(self.folder)[-NEWEST_HOURS:])))
            self._report(shipped)
            return len(shipped)
        except BlockingIOError:
            return 0
        finally:
            os.close(lock)

    def fetch(self) -> int:
        """Copy what others shipped next to the own log; return the number of files that are new. One that was deleted from the
        store, as what is old may be, is told once and asked for no more."""
        others, fetched = hours_of_others(self.folder), 0
        listed, ledger = others / LISTED, shown(self.ledger.url).encode()
        is_listed = listed.is_file() and listed.read_bytes() == ledger
        gone = set((others / GONE).read_text().splitlines()) if (others / GONE).is_file() else set()
        lost: list[str] = []
        for name in self._names(is_listed=is_listed):
            target = others / name.removeprefix(f"{self.name}/")
            if self._is_own(name) or name in gone or target.is_file():
                continue
            try:
                write_atomically(target, self.place.read(name), mode=0o640)
                fetched += 1
            except FileNotFoundError:
                lost.append(name)
        if lost:
            LOGGER.warning("%d files of the served log %s are no longer in the store, such as %s", len(lost), self.name, lost[0])
            write_atomically(others / GONE, "\n".join(sorted({*gone, *lost})).encode())
        if not is_listed:
            write_atomically(listed, ledger)
        return fetched

    def _names(self, *, is_listed: bool) -> Iterable[str]:
        """The files of the log: by the ledger, by the store for the first time or where the ledger cannot be asked."""
        if is_listed:
            try:
                return served_files(self.ledger.engine, self.name)
            except (DBAPIError, MlAssetsError) as error:
                LOGGER.warning("the store is asked for the served log %s, as the ledger cannot be: %s", self.name, _reason(error))
        return self.place.names(self.name)

    def _report(self, names: Sequence[str]) -> None:
        """Tell the ledger of new files, at the first time of all that this home has in the store."""
        if self._is_reported and not names:
            return
        own = names if self._is_reported else filter(self._is_own, self.place.names(self.name))
        self._is_reported = False
        try:
            note_served_files(self.ledger.engine, self.name, own)
        except (DBAPIError, MlAssetsError) as error:
            raise NotReported(
                f"the ledger cannot be told which files of the served log {self.name} are in the store: {_reason(error)}. Where "
                f"its role lacks the right, carry out what `ml-assets ledger grants ROLE` prints"
            ) from error
        self._is_reported = True

    def _is_own(self, name: str) -> bool:
        return name.rpartition("/")[2].startswith(f"{self.owner}-")

    def _ship(self, hour: Path) -> str:
        """Ship the files of an hour that were not shipped yet, as one; return its name, which is empty where there are none."""
        note = hour / SHIPPED
        shipped = set(note.read_text().split()) if note.is_file() else set()
        files = [path for path in own_files(hour) if path.name not in shipped]
        if not files:
            return ""
        import duckdb

        try:
            content = files[0].read_bytes() if len(files) == 1 else joined(files, hour)
        except (OSError, duckdb.Error):
            if all(path.exists() for path in files):
                raise
            return ""  # a compaction replaced them: the next time ships what it wrote
        name = self.place.put(self.name, f"{hour.parent.name}/{hour.name}", owner=self.owner, content=content)
        write_atomically(note, "\n".join(sorted({*shipped, *(path.name for path in files)})).encode())
        return name


def _reason(error: Exception) -> str:
    """The first line of a message, without the statement."""
    return str(error.orig if isinstance(error, DBAPIError) else error).strip().partition("\n")[0]


def shared_logs(settings: Settings, snapshots: Snapshots, ledger: Ledger, product: str) -> list[SharedLog]:
    """The logs of a product that machines share, of served predictions and of shadows; none where the store is the home's own."""
    place = served_logs(snapshots.blobs)
    if place is None or settings.store == (settings.home / "store").as_uri():
        return []
    owner = hashlib.sha256(f"{socket.gethostname()}:{settings.home}".encode()).hexdigest()[:8]
    folders = {"predictions": settings.predictions(product), "shadow": settings.shadow_predictions(product)}
    return [SharedLog(f"{kind}/{product}", folder, place, ledger, owner) for kind, folder in folders.items()]


def find_prediction(settings: Settings, lineage: Lineage, id: str) -> dict[str, Any] | None:
    """The record of a prediction of any product; None where it is in no log of this home, and no other machine shipped it."""
    folder = settings.home / "predictions"
    place = served_logs(lineage.snapshots.blobs)
    if (record := find_in_any(folder, id)) is None and place is not None and is_prediction_id(id):
        for product in place.products(folder.name):
            served_log(settings, lineage, product)
        record = find_in_any(folder, id)
    return record


def served_log(settings: Settings, lineage: Lineage, product: str) -> Path:
    """The folder of the product's served predictions, with those of other machines as far as they were shipped."""
    for log in shared_logs(settings, lineage.snapshots, lineage.ledger, product):
        log.fetch()
    return settings.predictions(product)
