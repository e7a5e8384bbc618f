"""Where the next deliveries of a product come from that is drafted from a database: its query, bounded by a partition, and
tried on the newest one."""

from dataclasses import replace

import polars as pl
from pydantic import ValidationError

from ml_assets.core.draft.draft import Draft
from ml_assets.core.draft.request import DraftRefused
from ml_assets.core.lineage.partitions import Partitions
from ml_assets.errors import MlAssetsError
from ml_assets.services.new_product.sources import SourceQuery
from ml_assets.spec.sources import REFERENCES, SourceSpec
from resources.sources.databases import Database, database_of, without_password


def with_origin(draft: Draft, source: SourceQuery | None) -> Draft:
    """The draft with the source of its next deliveries; with a note instead where the query cannot be bounded by the time."""
    if source is None:
        return draft
    database, notes = database_of(source.database), list(draft.notes)
    try:
        sql = _bounded(draft, source.query, database)
        origin = SourceSpec(database=_reference(draft, source, notes), sql=sql)
        _try(draft, database, sql)
    except (DraftRefused, ValidationError, MlAssetsError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        note = f"the next deliveries are not taken from the database: {why}; declare `sources` in product.yaml, or deliver files"
        return replace(draft, notes=(*draft.notes, note))
    return replace(draft, origin=origin, notes=tuple(notes))


def _bounded(draft: Draft, query: str, database: Database) -> str:
    """The query for the rows of one partition. Raises DraftRefused where the time is none to the database."""
    whole, time = query.strip().rstrip(";").rstrip(), draft.roles.time
    if time is None:
        return whole
    dtype, column = draft.frame[time.name].dtype, database.quoted(time.name)
    if database.dialect == "sqlite" and dtype == pl.String:  # SQLite keeps times as texts, in several forms
        column = f"datetime({column})"
    elif not isinstance(dtype, pl.Datetime | pl.Date):
        raise DraftRefused(f"{time.name} is {dtype} there, and cannot be compared with the bounds of a partition")
    return f"select * from (\n{whole}\n) as delivered\nwhere {column} >= :start and {column} < :end"


def _reference(draft: Draft, source: SourceQuery, notes: list[str]) -> str:
    """The database as product.yaml may name it: never with a password."""
    if source.database.startswith(REFERENCES) or source.database == without_password(source.database):
        return source.database
    variable = f"{draft.name.upper()}_DATABASE"
    notes.append(f"product.yaml names the database by the variable {variable}: set it to the URL wherever the project runs")
    return f"env:{variable}"


def _try(draft: Draft, database: Database, sql: str) -> None:
    """Ask for the newest partition. Raises DraftRefused where that gives other rows than the history has, and what the database
    raises."""
    if draft.roles.time is None:
        return
    key = draft.history.keys[-1]
    start, end = Partitions(every=draft.history.every, start=draft.history.keys[0]).window(key)
    rows, expected = database.rows(sql, {"start": start, "end": end}).height, draft.history.rows[key]
    if rows != expected:
        raise DraftRefused(
            f"bounded by {draft.roles.time.name} the query gives {rows:,} rows of {key}, where the history has {expected:,}"
        )
