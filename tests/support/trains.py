"""A small product for tests of the contract: trips, whose contract uses every kind of rule, and stops."""

from datetime import datetime
from pathlib import Path

import polars as pl

from ml_assets.core.contract.engine import DeliveryAudit, audit
from ml_assets.spec.product import Product, load

SPEC = """\
name: trains
title: Late trains
task: binary
partitions: {every: month, start: 2013-01}
delivery:
  tables:
    trips: {format: csv, null_values: [NA, ""], time: departs_at}
  reference:
    stops: {format: parquet}
features: {key: [trip], time: departs_at, label: is_late}
window: {train: 1, test: 1, minimum: 1}
model: {iterations: 5, learning_rate: 0.1, depth: 2, seed: 7, threads: 1}
gates: {unit: day, claims: [{name: floor, prove: roc_auc(candidate) > 0.6}]}
endpoint: {port: 8811}
monitoring: {score_psi: 0.25, column_psi: 0.25, metric: roc_auc, max_drop: 0.05}
landing: {settle: 0}
"""
CONTRACT = """\
from datetime import datetime
import pandera.polars as pa
import polars as pl

class Trips(pa.DataFrameModel):
    trip: int
    line: str = pa.Field(isin=["A", "B"])
    distance: float = pa.Field(ge=0, le=500)
    delay: float = pa.Field(nullable=True, metadata={"known": "after", "max_missing": 0.25})
    code: str = pa.Field(nullable=True, str_matches="^N[0-9]+$")
    is_express: bool
    departs_at: datetime

    @pa.check("trip")
    def odd(cls, data):
        return data.lazyframe.select(pl.col(data.key) % 2 == 1)

    @pa.dataframe_check(scope="rows")
    def express_is_far(cls, data):
        return data.lazyframe.select(~pl.col("is_express") | (pl.col("distance") > 10))

    class Config:
        strict = True
        unique = ["trip", "line"]
        metadata = {"min_rows": 2, "max_quarantined": 0.9}

class Stops(pa.DataFrameModel):
    stop: str = pa.Field(unique=True)
    zone: int = pa.Field(ge=1)
    height: float

class Request(pa.DataFrameModel):
    trip: int
    line: str = pa.Field(isin=["A", "B"])
    distance: float = pa.Field(ge=0, le=500, nullable=True)
    stops: int = pa.Field(gt=0, lt=100)
    is_express: bool
    departs_at: datetime = pa.Field(ge=datetime(2013, 1, 1))

TABLES = {"trips": Trips, "stops": Stops}
Features = Request
"""
JANUARY = (datetime(2013, 1, 1), datetime(2013, 2, 1))
GOOD = {
    "trip": "1",
    "line": "A",
    "distance": "12.5",
    "delay": "3",
    "code": "N1",
    "is_express": "true",
    "departs_at": "2013-01-05T10:00:00Z",
}


def product_in(folder: Path, *, old: str = "", new: str = "") -> Product:
    """The product in a new folder, with something else in its contract where asked for."""
    assert not old or CONTRACT.count(old) == 1
    (folder / "trains").mkdir()
    (folder / "trains" / "product.yaml").write_text(SPEC, encoding="utf-8")
    (folder / "trains" / "contract.py").write_text(CONTRACT.replace(old, new) if old else CONTRACT, encoding="utf-8")
    return load(folder / "trains")


def trips(*changes: dict[str, str]) -> pl.DataFrame:
    """Delivered trips that keep the contract, except for what is changed."""
    return pl.DataFrame([GOOD | {"trip": str(2 * i + 1)} | change for i, change in enumerate(changes)])


def audited(product: Product, frame: pl.DataFrame, *, table: str = "trips") -> DeliveryAudit:
    return audit({table: frame}, product=product, partition_window=JANUARY if table == "trips" else None)


def reasons(product: Product, *changes: dict[str, str]) -> list[tuple[int, str]]:
    """Row and reason of every refused one among the changed trips."""
    return audited(product, trips(*changes)).tables["trips"].refused.select("row", "reason").rows()
