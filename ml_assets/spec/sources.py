"""The section `sources` of product.yaml: where the rows of a delivered table are taken from, where nobody delivers files of them.

A source is asked once for each partition, and what it answered is a delivery like any other. Belongs here: what may be declared.
Does not: asking (resources.sources).
"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator, model_validator

from ml_assets.spec.base_section import Name, Section, span
from ml_assets.spec.delivery import DeliverySpec, TableSpec
from ml_assets.spec.labels import LabelsSpec
from ml_assets.spec.partitions import PartitionSpec

BOUNDS = ("start", "end")
PARTITION = "{partition}"
REFERENCES = ("env:", "file:")
_PARAMETER = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
"""Text that SQLAlchemy takes for a parameter of a query."""


class SourceSpec(Section):
    """A query on a database, or files by their URL. `database` names the database by reference, `env:NAME` or `file:PATH`, or is
    a URL without a password. `settle`: how long after its end a partition is asked for. `watch`: a query for one value; where it
    changes for one of the `watched` newest partitions, that partition is asked for again. `asset`: the key of an asset of the
    same Dagster, whose materialization says that the files of a partition are there."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)
    sql: str = ""
    database: str = ""
    watch: str = ""
    watched: int = Field(default=3, ge=1, le=100)
    uri: str = ""
    asset: tuple[str, ...] = ()
    settle: str = "0h"

    @field_validator("settle")
    @classmethod
    def _is_a_span(cls, written: str) -> str:
        span(written)
        return written

    @field_validator("database")
    @classmethod
    def _holds_no_password(cls, database: str) -> str:
        if database.startswith(REFERENCES):
            if not database.partition(":")[2].strip():
                raise ValueError("names nothing; write env:NAME, the variable that holds the URL, or file:PATH")
            return database
        if "://" not in database:
            raise ValueError("is not a database; write env:NAME, the variable that holds its URL, file:PATH, or the URL")
        _refuse_secrets(database, instead="write env:NAME, and set that variable to the URL where the project runs, or file:PATH")
        return database

    @field_validator("uri")
    @classmethod
    def _is_a_template(cls, uri: str) -> str:
        if "://" not in uri:
            raise ValueError("is not a URL; write one such as s3://bucket/orders/{partition}/*.parquet")
        _refuse_secrets(uri, instead="leave it out: the driver takes credentials from the environment")
        if odd := re.search(r"[?\[\]]|\*\*", uri):
            raise ValueError(f"has {odd.group()!r} in it; of patterns only * is taken, within one name")
        if others := sorted(set(re.findall(r"\{[^}]*\}?", uri)) - {PARTITION}):
            raise ValueError(f"has {others[0]} in it; the only place for a value is {PARTITION}")
        return uri

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if bool(self.sql) == bool(self.uri):
            raise ValueError("needs either sql, a query, or uri, the URL of files")
        if self.sql and not self.database:
            raise ValueError("sql asks a database; name it: `database: env:NAME`, the variable that holds its URL")
        for name in ("database", "watch") if self.uri else ("asset",):
            if getattr(self, name):
                raise ValueError(f"{name} goes with {'sql' if self.uri else 'uri'}; leave it out")
        return self

    @property
    def delay(self) -> timedelta:
        """How long after its end a partition is asked for."""
        return span(self.settle)


def sources_problem(sources: Mapping[Name, SourceSpec], before: Mapping[str, Any]) -> str:
    """The first mistake in the sources, given the sections before them that could be read; empty if there is none."""
    if not {"delivery", "partitions", "labels"} <= before.keys():
        return ""
    labels: LabelsSpec | None = before["labels"]
    outcomes = labels.delivered if labels else {}
    return next(_problems(sources, before["delivery"], outcomes, before["partitions"]), "")


def _problems(
    sources: Mapping[Name, SourceSpec], delivery: DeliverySpec, outcomes: Mapping[Name, TableSpec], partitions: PartitionSpec
) -> Iterator[str]:
    tables = {**delivery.tables, **delivery.reference, **outcomes}
    for name, source in sources.items():
        if name not in tables:
            yield f"{name}: is not a table of delivery or labels.delivered; allowed: {', '.join(tables)}"
            continue
        if source.sql and tables[name].format != "parquet":
            yield f"{name}.sql: rows of a query are delivered as Parquet; declare {name} with format: parquet"
        if partitions.is_static and name in delivery.tables and len(delivery.tables) > 1:
            yield f"{name}: a static table of several tables is delivered by hand: nothing says which of them belong together"
        is_whole = partitions.is_static or name in delivery.reference
        what = f"a table by {partitions.every}" if not is_whole else "a table that is delivered whole"
        for key, query in (("sql", source.sql), ("watch", source.watch)):
            if query and (problem := _bounds_problem(query, is_whole=is_whole)):
                yield f"{name}.{key}: {problem} ({what})"
        if source.uri and is_whole == (PARTITION in source.uri):
            yield f"{name}.uri: {what} {'has no' if is_whole else 'needs'} {PARTITION} in its URL"
        if source.delay and is_whole:
            yield f"{name}.settle: {what} has no end to wait after; leave it out"


def _bounds_problem(query: str, *, is_whole: bool) -> str:
    """The mistake in the parameters of a query; empty if there is none."""
    parameters = set(_PARAMETER.findall(query))
    if unknown := sorted(parameters - {*BOUNDS}):
        return (
            f"has the parameter :{unknown[0]}; allowed: :start and :end. Write cast(:start as date) instead of :start::date, and "
            r"\: for a colon that begins no parameter"
        )
    if is_whole and parameters:
        return "has bounds, and is asked for all rows; leave :start and :end out"
    if not is_whole and (missing := [f":{name}" for name in BOUNDS if name not in parameters]):
        return (
            f"has no {' and no '.join(missing)}; bound it by the partition's start and end: "
            "`where ordered_at >= :start and ordered_at < :end`"
        )
    return ""


def _refuse_secrets(url: str, *, instead: str) -> None:
    """Raise ValueError where a URL has a password, or a query that may hold one; the message repeats neither."""
    try:
        parts = urlsplit(url)
        has_password = parts.password is not None
    except ValueError:
        raise ValueError("is not a URL that can be read") from None
    if has_password or re.search(r"(?i)(password|passwd|pwd|secret|token|key|sig\w*)=", parts.query):
        raise ValueError(f"holds a password or a key, which a file in the repository must not; {instead}")
