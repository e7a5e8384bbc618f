"""The history of a drafted product below its home: the deliveries that `demo` replays, the profile page and a request to try."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl

from ml_assets.core.draft.draft import Draft
from ml_assets.core.frames import parquet_bytes
from ml_assets.spec.delivery import ReferenceSpec
from ml_assets.spec.product import Product
from resources.store.blobs import write_atomically

FOLDER = "history"
PROFILE = "profile.html"
REQUEST = "request.json"


@dataclass(frozen=True)
class StoredHistory:
    """`<home>/history/<product>`: `<table>/<partition>.<format>` as the source would deliver it."""

    folder: Path

    @classmethod
    def of(cls, home: Path, product: str) -> "StoredHistory":
        """Return the history of a product in a home; it may not exist yet."""
        return cls(home / FOLDER / product)

    @property
    def profile(self) -> Path:
        """The page that describes the columns."""
        return self.folder / PROFILE

    @property
    def request(self) -> Path:
        """A request of the newest delivery, for `curl -d @FILE`."""
        return self.folder / REQUEST

    def keys(self, product: Product) -> list[str]:
        """The partitions that are kept of every table, in order."""
        kept = [
            {file.name.removesuffix(f".{spec.format}") for file in (self.folder / table).glob(f"*.{spec.format}")}
            for table, spec in product.delivery.tables.items()
        ]
        return sorted(set.intersection(*kept)) if kept else []

    def delivery(self, product: Product, key: str) -> dict[str, bytes]:
        """The file of each table of a partition."""
        return {
            table: (self.folder / table / f"{key}.{spec.format}").read_bytes() for table, spec in product.delivery.tables.items()
        }

    def write(self, draft: Draft) -> None:
        """Cut the rows into deliveries, each in the form of the source."""
        for key, content in deliveries(draft):
            write_atomically(self.folder / draft.table / f"{key}.{draft.spec.format}", content)


def deliveries(draft: Draft) -> Iterator[tuple[str, bytes]]:
    """The bytes of each partition of the history, in order; its rows in the order of the source."""
    for key in draft.history.keys:
        yield key, delivered_bytes(draft.frame.filter(draft.history.rows_of(key)), draft.spec)


def delivered_bytes(frame: pl.DataFrame, spec: ReferenceSpec) -> bytes:
    """A frame as a source would deliver it: Parquet, or CSV in the declared dialect."""
    if spec.format == "parquet":
        return parquet_bytes(frame)
    style: Literal["necessary", "never"] = "necessary" if spec.quote else "never"
    text = frame.write_csv(separator=spec.separator, quote_char=spec.quote or '"', quote_style=style)
    content = text.encode(spec.encoding)
    if spec.compression == "zstd":
        import pyarrow as pa

        return bytes(pa.compress(content, codec="zstd", asbytes=True))
    return gzip.compress(content, mtime=0) if spec.compression == "gzip" else content


def request_of(requests: pl.DataFrame) -> bytes:
    """The last row of a frame of requests as JSON."""
    return (json.dumps(requests.tail(1).to_dicts()[0], default=_plain, ensure_ascii=False, indent=1) + "\n").encode()


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
