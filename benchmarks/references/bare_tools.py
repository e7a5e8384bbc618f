"""What the tools that the path is built on take where each does the least: dbt's three commands of a month (run, test, and the
second run, against leakage) on the product's SQL, a Dagster run of as many steps as the path has, which do nothing, and an MLflow
run with a registered version. No model, no evaluation, no snapshot, no ledger, no server. Prints JSON: CPU seconds
by part; "data" is what they are given.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.references.parts import Parts
from benchmarks.references.plain_script import ROOT, read_year, start_of

FLIGHTS = ROOT / "ml_assets" / "products" / "flights"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def main() -> None:
    """Each tool after the other, on the months."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--months", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    arguments, parts = parser.parse_args(), Parts()
    with parts.part("data"):
        from ml_assets.spec.product import load

        product = load(FLIGHTS)
        months = _months(arguments.home, arguments.months)
    with parts.part("dbt"):
        for files, partition in months:
            _features(arguments.home, product, files, partition)
    with parts.part("Dagster"):
        _runs(arguments.home, arguments.steps, [partition[0] for _, partition in months])
    with parts.part("MLflow"):
        _tracked(arguments.home, product, len(months))
    json.dump({"parts": parts.seconds}, sys.stdout)


def _months(folder: Path, count: int) -> list[tuple[dict[str, list[Path]], tuple[str, datetime, datetime]]]:
    """For each month the Parquet files of dbt's sources, that of the month before included, and its partition."""
    import polars as pl

    delivered = read_year()
    planes = folder / "planes.parquet"
    delivered["planes"].write_parquet(planes)
    months = []
    for month in range(1, count + 1):
        files = {"reference.planes": [planes]}
        start, end, first = start_of(month), start_of(month + 1), start_of(max(month - 1, 1))
        for name in ("flights", "weather"):
            path = folder / f"{name}-{month}.parquet"
            delivered[name].filter(pl.col("time_hour").is_between(first, end, closed="left")).write_parquet(path)
            files[f"dataset.{name}"] = [path]
        months.append((files, (f"{start:%Y-%m}", start, end)))
    return months


def _features(folder: Path, product: Any, files: Mapping[str, Sequence[Path]], partition: tuple[str, datetime, datetime]) -> None:
    from resources.dbt.build import Dbt

    dbt = Dbt(folder / "dbt")
    built = dbt.build(product, sources=files, partition=partition)
    dbt.build(product, sources=files, partition=partition)
    relations = {f"{product.name}_{name}": getattr(built, name) for name in ("requests", "labels", "features")}
    paths = {name: folder / f"{name}.parquet" for name in (*relations, *built.lookups)}
    for name, rows in {**relations, **built.lookups}.items():
        rows.write_parquet(paths[name])
    dbt.test(product, paths)


def _runs(folder: Path, steps: int, keys: Sequence[str]) -> None:
    """A run for each month, of assets in a row, on an instance of SQLite."""
    import dagster as dg

    months = dg.StaticPartitionsDefinition(list(keys))
    assets = [_asset(place, months) for place in range(steps)]
    path = dg.define_asset_job("path", partitions_def=months)
    job = dg.Definitions(assets=assets, jobs=[path], executor=dg.in_process_executor).resolve_job_def("path")
    (folder / "dagster").mkdir()
    (folder / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(folder / "dagster")) as instance:
        for key in keys:
            job.execute_in_process(instance=instance, partition_key=key, run_config=QUIET)


def _asset(place: int, months: Any) -> Any:
    import dagster as dg

    @dg.asset(name=f"step_{place}", deps=[f"step_{place - 1}"] if place else [], partitions_def=months)
    def step() -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(metadata={"rows": 1})

    return step


def _tracked(folder: Path, product: Any, runs: int) -> None:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_experiment(product.name)
    client = mlflow.MlflowClient()
    client.create_registered_model(product.name)
    page = folder / "report.html"
    page.write_text("<html></html>")
    for _ in range(runs):
        with mlflow.start_run() as run:
            mlflow.log_params({"seed": 0})
            mlflow.log_metrics({f"metric_{place}": 0.5 for place in range(20)})
            mlflow.log_artifact(str(page))
            client.create_model_version(product.name, str(folder), run.info.run_id)


if __name__ == "__main__":
    main()
