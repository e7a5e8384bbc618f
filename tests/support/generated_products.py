"""Ten products of ordinary shapes, made from a seed: how they arrive, what they are asked, how their files are written."""

import csv
import gzip
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.spec.product import load
from tests.support.homes.path_homes import Home, home

Row = dict[str, Any]
Rng = np.random.Generator
COLUMNS = {"kind": "str", "amount": "float", "count": "int"}


@dataclass(frozen=True)
class Shape:
    """One product. `columns` are its features with their types in contract.py; `row` changes a row that was made (with its number
    and a source of chance); `write` makes a file of rows; `counts` says how many rows each delivery has."""

    name: str
    task: str
    partitions: str
    label: str
    counts: Sequence[int]
    write: Callable[[Sequence[Row]], bytes]
    table: str = "format: csv"
    columns: Mapping[str, str] = field(default_factory=lambda: dict(COLUMNS))
    key: Sequence[str] = ("id",)
    key_types: Mapping[str, str] = field(default_factory=lambda: {"id": "str"})
    row: Callable[[Row, int, Rng], Row] = lambda row, number, rng: row
    positive: str = ""
    spec: str = ""
    unit: str = "row"
    features_sql: str = ""
    features: Mapping[str, str] = field(default_factory=dict)
    rules: str = ""
    labels: Callable[[Sequence[Row]], bytes] | None = None
    tested: int = -1
    """The delivery whose candidate is released, counted from the end."""

    @property
    def is_static(self) -> bool:
        """Whether each delivery is the whole table."""
        return "delivery" in self.partitions

    @property
    def label_column(self) -> str:
        """The label as contract.py declares it."""
        return f'    outcome: {self.label} = pa.Field(nullable=True, metadata={{"known": "after"}})\n'

    def contract(self) -> str:
        """contract.py."""
        columns = {**self.key_types, **({} if self.is_static else {"asked_at": "datetime"}), **self.columns}
        declared = "".join(f"    {name}: {kind}\n" for name, kind in columns.items())
        classes = [_class("Rows", declared + ("" if self.labels else self.label_column) + self.rules, self.key, min_rows=1)]
        tables = {"rows": "Rows"}
        if self.labels:
            keys = "".join(f"    {name}: {kind}\n" for name, kind in self.key_types.items())
            classes.append(_class("Outcomes", f"{keys}    outcome: {self.label}\n", self.key, min_rows=1))
            tables["outcomes"] = "Outcomes"
        if self.features:
            own = {**self.key_types, "asked_at": "datetime", **self.features}
            classes.append(_class("Features", "".join(f"    {name}: {kind}\n" for name, kind in own.items()), self.key))
        listed = ", ".join(f'"{name}": {model}' for name, model in tables.items())
        head = "from datetime import date, datetime\n\nimport pandera.polars as pa\nimport polars as pl\n"
        return "\n\n".join([head, *classes, f"TABLES = {{{listed}}}\n"])

    def product(self, port: int) -> str:
        """product.yaml."""
        time = "" if self.is_static else ", time: asked_at"
        positive = f", positive: {self.positive!r}" if self.positive else ""
        is_binary = self.task == "binary"
        claim = "roc_auc(candidate) > 0.02" if is_binary else "rmse(candidate) < 1000000"
        minimum = "{units: 5, positives: 2, negatives: 2}" if is_binary else "{units: 5}"
        return "\n".join(
            [
                f"name: {self.name}",
                f"title: What becomes of {self.name}?",
                f"task: {self.task}",
                f"partitions: {{{self.partitions}}}",
                f"delivery: {{tables: {{rows: {{{self.table}{time}}}}}}}",
                f"features: {{key: [{', '.join(self.key)}]{time}, label: outcome{positive}}}",
                *([] if self.is_static else ["window: {train: 4, test: 1, minimum: 1}"]),
                "model: {iterations: 5, learning_rate: 0.3, depth: 3, seed: 1, threads: 1}",
                *(["decision: {threshold: 0.5}"] if is_binary else []),
                "gates:",
                f"  unit: {self.unit}",
                f"  minimum: {minimum}",
                "  budget: {alpha: 0.4, looks: 3, ships: 3, exception: nearly every model passes in tests}",
                "  claims:",
                f"    - {{name: floor, prove: {claim}}}",
                f"endpoint: {{port: {port}, smoke_rows: 3}}",
                f"monitoring: {{score_psi: 5, column_psi: 5, metric: {'roc_auc' if is_binary else 'rmse'}, max_drop: 1000000}}",
                "landing: {settle: 0}",
                self.spec,
            ]
        )

    def home(self, folder: Path, seed: int) -> tuple[Home, list[str]]:
        """A new home with the product and all its deliveries, and their keys in order."""
        source = folder / "source" / self.name
        source.mkdir(parents=True)
        (source / "product.yaml").write_text(self.product(8900))
        (source / "contract.py").write_text(self.contract())
        if self.features_sql:
            (source / "features.sql").write_text(self.features_sql)
        own_home = home(folder / "home", load(source))
        calendar = partitions_of(own_home.product)
        rng, first = np.random.default_rng([seed, len(self.name)]), calendar.start
        keys = [calendar.shift(first, number) for number in range(len(self.counts))]
        for number, (key, count) in enumerate(zip(keys, self.counts, strict=True)):
            begin = calendar.window(key)[0]
            rows = [self.row(self._made(key, number, n, begin, rng), n, rng) for n in range(count)]
            own_home.deliver(key, {"rows": self.write([_without(row, "outcome") for row in rows] if self.labels else rows)})
            if self.labels:
                outcomes = [{name: row[name] for name in (*self.key, "outcome")} for row in rows]
                folder_of = own_home.space.settings.landing / self.name / "outcomes"
                folder_of.mkdir(parents=True, exist_ok=True)
                (folder_of / f"{key}.csv").write_bytes(self.labels(outcomes))
        return own_home, keys

    def _made(self, key: str, delivery: int, number: int, begin: datetime, rng: Rng) -> Row:
        amount, count = round(float(rng.gamma(2, 20)), 2), int(rng.integers(0, 40))
        kind = str(rng.choice(["plain", "größer", "Ülm, Donau"]))
        score = amount / 40 + (kind == "plain") + 0.05 * count + float(rng.normal(0, 0.5))
        row: Row = {"id": f"{key}-{number}" if not self.is_static else str(number + 40 * delivery)}
        if not self.is_static:
            row["asked_at"] = (begin + timedelta(seconds=number)).isoformat()
        outcome = int(score > 2.5) if self.task == "binary" else round(score * 10, 2)
        return {**row, "kind": kind, "amount": amount, "count": count, "outcome": outcome}


def _class(name: str, body: str, key: Sequence[str], *, min_rows: int = 0) -> str:
    metadata = f'        metadata = {{"min_rows": {min_rows}, "max_quarantined": 0.2}}\n' if min_rows else ""
    unique = ", ".join(f'"{column}"' for column in key)
    config = f"    class Config:\n        strict = True\n        unique = [{unique}]\n{metadata}"
    return f"class {name}(pa.DataFrameModel):\n{body}\n{config}"


def _without(row: Row, name: str) -> Row:
    return {column: value for column, value in row.items() if column != name}


def _csv(rows: Sequence[Row], **dialect: Any) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), **{"lineterminator": "\n", **dialect})
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _parquet(rows: Sequence[Row]) -> bytes:
    """Times as timestamps, text as categories."""
    frame = pl.DataFrame(rows).with_columns(pl.col("asked_at").str.to_datetime(), pl.col("kind").cast(pl.Categorical))
    content = io.BytesIO()
    frame.write_parquet(content)
    return content.getvalue()


def _german(rows: Sequence[Row]) -> bytes:
    """Semicolons, decimal commas, days first, Latin-1 and both line ends."""
    local = [
        {
            **row,
            "asked_at": datetime.fromisoformat(row["asked_at"]).strftime("%d.%m.%Y %H:%M:%S"),
            "amount": str(row["amount"]).replace(".", ","),
        }
        for row in rows
    ]
    return _csv(local, delimiter=";", lineterminator="\r\n").decode().encode("latin-1")


def _yes_or_no(row: Row, number: int, rng: Rng) -> Row:
    return {**row, "outcome": "yes" if row["outcome"] else "no", "kind": "" if number % 7 == 0 else row["kind"]}


def _late(row: Row, number: int, rng: Rng) -> Row:
    return {**row, "outcome": "" if row["id"] >= "2024-01-04" else row["outcome"]}


def _grouped(row: Row, number: int, rng: Rng) -> Row:
    return {"customer": int(row["id"]) // 3, **row, "id": int(row["id"])}


def _one_time(row: Row, number: int, rng: Rng) -> Row:
    return {**row, "id": 2**60 + number, "asked_at": row["asked_at"][:10], "count": "" if number % 5 else row["count"]}


def _odd(row: Row, number: int, rng: Rng) -> Row:
    return {**row, "amount": "", "kind": "plain", "count": f"{row['count']}.0", "outcome": bool(row["outcome"])}


def _spaced(row: Row, number: int, rng: Rng) -> Row:
    changed = {"Order items" if name == "count" else name: value for name, value in row.items()}
    return {**changed, "is_gift": str(bool(number % 3)).lower(), "paid": round(row["amount"] * 0.5, 2)}


NULLABLE = " = pa.Field(nullable=True)"
RULE = """
    @pa.dataframe_check(scope="rows")
    def paid_at_most_the_amount(cls, data):
        return data.lazyframe.select(pl.col("paid") <= pl.col("amount"))
"""
SHAPES: tuple[Shape, ...] = (
    Shape(
        "members", "binary", "every: delivery", "str", (300, 300), lambda rows: gzip.compress(_csv(rows), mtime=0),
        table='format: csv, compression: gzip, null_values: [""]', columns={**COLUMNS, "kind": f"str{NULLABLE}"}, row=_yes_or_no,
        positive="yes", spec="split: {train: 0.5, folds: 3}",
    ),
    Shape(
        "accounts", "regression", "every: delivery", "float", (400, 400, 400), _csv, key=("customer", "id"),
        key_types={"customer": "int", "id": "int"}, row=_grouped, unit="customer",
        spec="split: {train: 0.5, folds: 2, group: customer, new_fold: 5}",
    ),
    Shape("tickets", "binary", "every: day, start: 2024-01-01", "int", (40,) * 5, _csv, row=_late, tested=-3),
    Shape(
        "rents", "regression", "every: month, start: 2024-02, timezone: America/New_York", "float", (40,) * 3, _parquet,
        table="format: parquet", row=lambda row, number, rng: {**row, "amount": Decimal(str(row["amount"]))},
    ),
    Shape(
        "visits", "binary", "every: quarter, start: 2023-01, timezone: Europe/Berlin", "int", (40,) * 3, _german,
        table='format: csv, separator: ";", decimal: ",", encoding: latin-1, datetime_format: "%d.%m.%Y %H:%M:%S"',
    ),
    Shape("harvests", "regression", "every: year, start: 2019", "int", (30,) * 3, _csv,
          row=lambda row, number, rng: {**row, "outcome": round(row["outcome"])}),
    Shape("calls", "binary", "every: hour, start: 2024-03-31T00", "bool", (40, 3, 40, 40), _csv, row=_odd,
          columns={**COLUMNS, "amount": f"float{NULLABLE}"}),
    Shape(
        "machines", "binary", "every: week, start: 2024-01-01", "int", (50, 90, 60), _csv, row=_one_time,
        key=("asked_at", "id"), key_types={"id": "int"}, columns={**COLUMNS, "count": f"int{NULLABLE}"},
    ),
    Shape(
        "claims", "binary", "every: day, start: 2024-01-01", "int", (40,) * 3, _csv, labels=_csv,
        spec="labels: {matures: 2d, delivered: {outcomes: {format: csv}}}",
    ),
    Shape(
        "orders", "regression", "every: day, start: 2024-01-01", "float", (40,) * 3, _csv, row=_spaced, rules=RULE,
        columns={"kind": "str", "amount": "float", "items": 'int = pa.Field(alias="Order items")', "is_gift": "bool",
                 "paid": "float"},
        features={"kind": "str", "amount": "float", "is_gift": "str", "each": f"float{NULLABLE}"},
        features_sql="""select id, asked_at, kind, amount, is_gift::varchar as is_gift, amount / nullif("Order items", 0) as each
from {{ ref('orders_requests') }}
""",
    ),
)  # fmt: skip
