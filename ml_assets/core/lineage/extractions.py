"""The ledger's record of what a declared source was asked for, and what it delivered. Pure."""

from collections.abc import Mapping

import msgspec


class ExtractionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The source of `table` answered with a delivery of these bytes: `content` is their digest. `partition` is "" for a reference
    table. `asked` is the digest of the query, or the URL of the files; `state` that of what tells that the source has other rows
    now, "" where nothing does; `files` the digest of each file that the delivery was put together from, by URL."""

    product: str
    table: str
    partition: str
    content: str
    rows: int
    asked: str
    state: str
    files: Mapping[str, str]
