"""A release's bundle used offline: features by its own SQL and lookups from requests, scores by its own model.

Every model is scored on the features that its own bundle computes: another release's SQL may mean something else by a name.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from ml_assets.core.lineage.facts import ReleaseFacts
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.metrics.score_columns import aligned
from ml_assets.core.model.scoring import load_model, score_frame
from ml_assets.core.release.feature_database import SQL_TYPES, FeatureSqlRefused, as_feature, connect, only_select
from ml_assets.errors import MlAssetsError

if TYPE_CHECKING:
    import duckdb
    import numpy as np

FEATURES_SQL, LOOKUPS = "features.sql", "lookups/"


class NotComputable(MlAssetsError):
    """The bundle's features cannot be computed from these requests."""


def own_scores(release: Handle, requests: pl.DataFrame) -> "np.ndarray":
    """Scores (n,) or (n, its classes) of the requests (n rows) by a release: its SQL, its lookups, its model. Raises
    NotComputable."""
    about = release.json("bundle.json")
    model = load_model(release.members["model.cbm"], task=about["task"])
    return score_frame(model, own_features(release, requests), about["features"])


def scores_of_classes(release: Handle, requests: pl.DataFrame, classes: Sequence[str]) -> "np.ndarray":
    """The same scores in the order of these classes, where a release may know others: (n, classes); (n,) without any."""
    return aligned(own_scores(release, requests), own=release.json("bundle.json").get("classes", ()), wanted=classes)


def own_features(release: Handle, requests: pl.DataFrame, *, is_cast: bool = True) -> pl.DataFrame:
    """Key and features of the requests, in their order, as the release's bundle computes them: as the model is given them, or
    (`is_cast` False) with the types of its SQL. Raises NotComputable."""
    name = ReleaseFacts.of(release.manifest).release
    about, fields = release.json("bundle.json"), release.json("request.json")
    return features_by(release, requests, about=about, fields=fields, named=f"release {name}", is_cast=is_cast)


def features_by(
    shipped: Handle,
    requests: pl.DataFrame,
    *,
    about: Mapping[str, Any],
    fields: Sequence[Mapping[str, Any]],
    named: str,
    is_cast: bool = True,
) -> pl.DataFrame:
    """The same by the SQL and the lookups of a snapshot, a release's or those features that a release would ship: `about` and
    `fields` are what a bundle says of itself and of requests, and `named` is how an error calls it. Raises NotComputable."""
    import duckdb

    if absent := [field["name"] for field in fields if field["name"] not in requests.columns]:
        raise NotComputable(f"{named} takes requests with {', '.join(absent)}, which today's requests do not have")
    connection = connect({_lookup(member): shipped.read(member) for member in shipped.members if member.startswith(LOOKUPS)})
    try:
        return _computed(
            connection, requests, sql=shipped.read(FEATURES_SQL).decode(), about=about, fields=fields, is_cast=is_cast
        )
    except (duckdb.Error, FeatureSqlRefused) as error:
        raise NotComputable(f"{named}: its features.sql fails on today's requests: {str(error).splitlines()[0]}") from error
    finally:
        connection.close()


def _computed(
    connection: "duckdb.DuckDBPyConnection",
    requests: pl.DataFrame,
    *,
    sql: str,
    about: Mapping[str, Any],
    fields: Sequence[Mapping[str, Any]],
    is_cast: bool,
) -> pl.DataFrame:
    key: list[str] = about["key"]
    columns = [f'CAST("{field["name"]}" AS {SQL_TYPES[field["type"]]}) AS "{field["name"]}"' for field in fields]
    columns += [f'"{name}"' for name in key if name not in {field["name"] for field in fields}]
    connection.register("arriving", requests.to_arrow())
    relation = f'features.main."{about["requests_relation"]}"'
    connection.execute(f"CREATE TABLE {relation} AS SELECT {', '.join(columns)} FROM arriving")
    selected = [f'"{name}"' for name in key]
    selected += [
        f'{as_feature(feature)} AS "{feature["name"]}"' if is_cast else f'"{feature["name"]}"' for feature in about["features"]
    ]
    query = only_select(connection, sql)
    rows: pl.DataFrame = connection.sql(f"SELECT {', '.join(selected)} FROM ({query}\n) AS computed").pl()
    if rows.height != requests.height or rows.select(key).n_unique() != rows.height:
        raise FeatureSqlRefused(f"it gives {rows.height} rows for {requests.height} requests")
    return requests.select(key).join(rows, on=key, how="left", maintain_order="left")


def _lookup(member: str) -> str:
    return member.removeprefix(LOOKUPS).removesuffix(".parquet")
