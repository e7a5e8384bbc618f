"""Which files of the prediction log may hold questions about a span of time: the first and the last moment that the questions of
each file are about, kept in a cache, as a file never changes.

When a question is asked says nothing of when it is about: history may be asked today, and next month's flights, too.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from ml_assets.core.duckdb_session import connect, literal
from resources.store.blobs import write_atomically

MARGIN = timedelta(days=1)
"""Files and rows are read this far beyond the span, so that whoever reads them parses the moments."""
Span = tuple[int, int] | None
"""The first and the last moment in microseconds since 1970; None where some question has none that can be read."""


@dataclass(frozen=True)
class QuestionTimes:
    """The questions of a log (`folder`) about the moments from `start` up to `end` (naive UTC), by the `field` of their requests
    that says so. `cache` may be emptied at any time."""

    folder: Path
    field: str
    start: datetime
    end: datetime
    cache: Path

    def chosen(self, files: Sequence[Path]) -> set[Path]:
        """Those of the files that may hold such questions. Raises duckdb.Error for a file that cannot be read."""
        known = self._known()
        spans = {path: known[self._name(path)] for path in files if self._name(path) in known}
        if fresh := [path for path in files if path not in spans]:
            spans |= self._spans(fresh)
            kept = {self._name(path): span for path, span in spans.items()}
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file, json.dumps(kept).encode())
        first, last = self._bounds
        return {path for path, span in spans.items() if span is None or (span[0] < last and span[1] >= first)}

    @property
    def condition(self) -> str:
        """An SQL condition on rows of the log that such questions meet, and hardly any other."""
        first, last = self._bounds
        return f"coalesce({self._moment} >= {first} AND {self._moment} < {last}, true)"

    @property
    def _bounds(self) -> tuple[int, int]:
        return _microseconds(self.start, -MARGIN), _microseconds(self.end, MARGIN)

    @property
    def _moment(self) -> str:
        path = f"$.{json.dumps(self.field)}".replace("'", "''")
        return f"epoch_us(try_cast(json_extract_string(request, '{path}') AS TIMESTAMPTZ))"

    @property
    def _file(self) -> Path:
        return self.cache / "question-times" / f"{sha256(f'{self.folder} {self.field}'.encode()).hexdigest()[:16]}.json"

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder))

    def _known(self) -> dict[str, Span]:
        try:
            known = json.loads(self._file.read_bytes())
        except (FileNotFoundError, ValueError):  # a cache can be lost, or damaged: the files are asked again
            return {}
        return {name: tuple(span) if span else None for name, span in known.items()}

    def _spans(self, files: Sequence[Path]) -> dict[Path, Span]:
        names = ", ".join("'" + literal(path).replace("'", "''") + "'" for path in files)
        rows = f"SELECT filename, {self._moment} AS moment FROM read_parquet([{names}], union_by_name = true, filename = true)"
        with connect() as connection:
            counted = connection.sql(
                f"SELECT filename, min(moment), max(moment), count(*) FILTER (moment IS NULL) FROM ({rows}) GROUP BY filename"
            ).fetchall()
        spans: dict[Path, Span] = dict.fromkeys(files)
        return spans | {Path(name): None if unknown else (first, last) for name, first, last, unknown in counted}


def _microseconds(moment: datetime, further: timedelta) -> int:
    """A moment (naive UTC) moved, in microseconds since 1970."""
    return (moment - datetime(1970, 1, 1) + further) // timedelta(microseconds=1)
