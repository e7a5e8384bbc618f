"""The whole draft as one value, and the features that it derives: what the texts of the files are made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from ml_assets.core.draft.column_limits import ColumnLimits
from ml_assets.core.draft.column_roles import ColumnRoles
from ml_assets.core.draft.columns import PYTHON, SourceColumn, quoted
from ml_assets.core.draft.delivery_calendar import DeliveryHistory
from ml_assets.core.draft.label_leaks import ColumnSeparation
from ml_assets.core.draft.request import DraftRequest
from ml_assets.spec.delivery import ReferenceSpec
from ml_assets.spec.sources import SourceSpec

MOST_SLICES = 2
MOST_SLICE_LEVELS = 10
LEAST_SLICE_SHARE = 0.03


@dataclass(frozen=True)
class Feature:
    """A column of the model's input: name, Python type, SQL over the requests, whether it may be missing, a description."""

    name: str
    python: str
    sql: str
    nullable: bool
    about: str


@dataclass(frozen=True)
class Draft:
    """`table` is the delivered table's name, `spec` how its files are written; `limits` by delivered name. `quarantined` is the
    largest share of rows of a delivery of this history that the contract refuses. `left_out`: columns that no contract can have.
    `origin`: where the next deliveries are taken from, where that is known."""

    request: DraftRequest
    table: str
    spec: ReferenceSpec
    frame: pl.DataFrame
    columns: Mapping[str, SourceColumn]
    roles: ColumnRoles
    history: DeliveryHistory
    limits: Mapping[str, ColumnLimits]
    separations: tuple[ColumnSeparation, ...]
    suspicious: tuple[ColumnSeparation, ...] = ()
    quarantined: float = 0.0
    notes: tuple[str, ...] = field(default=())
    left_out: Mapping[str, pl.DataType] = field(default_factory=dict)
    origin: SourceSpec | None = None

    @property
    def name(self) -> str:
        """The product's name."""
        return self.request.name

    @property
    def class_name(self) -> str:
        """The table's class in contract.py."""
        own = "".join(word.capitalize() for word in self.table.split("_"))
        return f"{own}Table" if own in ("Request", "Features") else own

    @property
    def features(self) -> tuple[Feature, ...]:
        """The model's input without key and time, in order."""
        own, time = [_own(column, self.roles.time) for column in self.roles.inputs], self.roles.time
        if time is None:
            return tuple(own)
        taken = {feature.name for feature in own} | {time.field, self.roles.key.field, self.roles.label.field}
        return (*own, *(feature for feature in _of_time(time) if feature.name not in taken))

    @property
    def slices(self) -> tuple[SourceColumn, ...]:
        """Inputs with few levels, none of them rare: each level is measured on its own."""
        return tuple(c for c in self.roles.inputs if c.is_level and _divides(c))[:MOST_SLICES]

    def relation(self, part: str) -> str:
        """The name of a dbt model."""
        return f"{self.name}_{part}"


def _own(column: SourceColumn, time: SourceColumn | None) -> Feature:
    name, nullable = column.field, column.missing + column.misfits > 0
    if column.kind == "time" and time is not None:
        sql = f"(epoch({quoted(name)}) - epoch({quoted(time.field)})) / 86400.0"
        return Feature(f"{name}_days", "float", sql, nullable, f"Days from {time.field} to {name}.")
    if column.form:
        return Feature(
            name, "float", column.form.sql(quoted(name)), nullable, f"The number of a text such as {column.form.example}."
        )
    return Feature(name, PYTHON[column.kind], quoted(name), nullable, "As delivered.")


def _of_time(time: SourceColumn) -> list[Feature]:
    """Parts of the time that repeat within the history."""
    times, name = time.known, quoted(time.field)
    first, last = times.min(), times.max()
    days = (last - first).days  # type: ignore[operator, union-attr]
    features = []
    if times.dt.hour().n_unique() > 1 and days >= 2:
        features.append(Feature("hour", "int", f"hour({name})", False, f"Hour of {time.field}, UTC."))
    if days >= 28 and times.dt.weekday().n_unique() > 1:
        features.append(Feature("weekday", "int", f"isodow({name})", False, f"Day of the week of {time.field}; 1 is Monday."))
    if days >= 300:
        features.append(Feature("day_of_year", "int", f"dayofyear({name})", False, f"Day of the year of {time.field}."))
    return features


def _divides(column: SourceColumn) -> bool:
    counts = column.known.value_counts()["count"]
    share = float(counts.min() or 0) / max(column.rows, 1)  # type: ignore[arg-type]
    return 2 <= len(counts) <= MOST_SLICE_LEVELS and share >= LEAST_SLICE_SHARE and not column.missing
