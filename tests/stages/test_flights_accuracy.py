"""The features of flights are good enough: trained January to September, tested October to December."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from ml_assets.core.contract.engine import audit, read_delivery
from ml_assets.core.evaluation.comparison import evaluate
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.metrics.units import units
from ml_assets.core.model.features import assemble, model_columns
from ml_assets.core.model.scoring import load_model, score_frame
from ml_assets.core.model.training import fit, labelled
from ml_assets.services.demo_flights import Year
from ml_assets.spec.product import Product
from resources.dbt.build import Dbt
from tests.support.homes.flights_days import flights

Tables = dict[str, pl.DataFrame]


def dataset(product: Product, delivered: dict[str, bytes], window: tuple[datetime, datetime] | None) -> Tables:
    """The rows of a delivery that keep the contract."""
    raw = {t: read_delivery(content, table=product.table(t), name=t) for t, content in delivered.items()}
    audited = audit(raw, product=product, partition_window=window)
    audited.raise_if_breached(product=product.name, partition=None)
    return {name: table.valid for name, table in audited.tables.items()}


def features_of_the_year(product: Product, folder: Path) -> dict[str, pl.DataFrame]:
    """Each month's features as the path assembles them, by dbt from the month and the one before."""
    dbt, year, calendar = Dbt(folder / "dbt"), Year.open(), partitions_of(product)
    files: dict[str, list[Path]] = {}
    frames_now = {}
    for name, frame in dataset(product, year.reference(), None).items():
        files[f"reference.{name}"] = [folder / f"{name}.parquet"]
        frame.write_parquet(files[f"reference.{name}"][0])
    for key in year.months:
        for name, frame in dataset(product, year.month(key), calendar.window(key)).items():
            frame.write_parquet(path := folder / f"{name}-{key}.parquet")
            files[f"dataset.{name}"] = [*files.get(f"dataset.{name}", [])[-product.features.lookback :], path]
        built = dbt.build(product, sources=files, partition=(key, *calendar.window(key)))
        frames = {"requests": built.requests, "labels": built.labels, "features": built.features}
        output = assemble(product=product, **frames, lookups=built.lookups, sql=built.features_sql)
        frames_now[key] = pl.read_parquet(output.files["features.parquet"])
    return frames_now


@pytest.mark.long
def test_trained_to_september_the_model_reaches_its_accuracy_on_the_rest_of_the_year(tmp_path: Path) -> None:
    product = flights()
    year = features_of_the_year(product, tmp_path)
    fitted = fit(pl.concat(list(year.values())[:9]), product=product, columns=model_columns(product))
    tested = labelled(pl.concat(list(year.values())[9:]), label=product.features.label)
    audited = evaluate(
        task=product.task,
        y=tested[product.features.label].cast(pl.Float64),
        scores={"candidate": score_frame(load_model(fitted.content, product.task), tested, fitted.features)},
        unit=units(tested, unit=product.gates.unit, time=product.features.time),
        slices={},
        threshold=product.decision.threshold if product.decision else None,
        level=0.95,
    )
    measured = audited.comparison("roc_auc")
    assert measured is not None
    assert product.model.iterations == 100
    assert (fitted.rows, tested.height) == (244_646, 82_616)
    assert measured.candidate.value >= 0.74
