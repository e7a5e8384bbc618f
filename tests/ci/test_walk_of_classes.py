"""A walk of a product of several classes: its scores travel as arrays, and head is judged against base by them."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml_assets.core.changes.head_against_base import NotComparable, SideRows, judged
from ml_assets.core.changes.walk_protocol import SCORES, ReplacedGates, Walked
from ml_assets.services.review.protocol_files import read_walk, write_walk
from ml_assets.spec.gates import ClaimSpec
from ml_assets.spec.product import Product
from tests.support.gated import product as trains

CLASSES = ("early", "on time", "late")


def of_classes(folder: Path) -> Product:
    """The product of trains with a label of these classes, and one claim."""
    product = trains(folder)
    features = product.features.model_copy(update={"classes": CLASSES})
    claims = (ClaimSpec(name="not_worse", prove="log_loss(candidate) - log_loss(champion) < 0.05"),)
    gates = product.gates.model_copy(update={"claims": claims, "first_release": None, "unit": "row"})
    evaluation = product.evaluation.model_copy(update={"slices": ()})
    update = {"task": "multiclass", "features": features, "gates": gates, "decision": None, "evaluation": evaluation}
    return product.model_copy(update=update)


def side(product: Product, *, noise: float) -> SideRows:
    random, count = np.random.default_rng(4), 400
    y = random.integers(0, 3, count)
    odds = np.eye(3)[y] * 1.5 + np.random.default_rng(5).normal(0, 1, (count, 3)) * noise
    scores = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    times = [datetime(2013, 1, 1) + timedelta(hours=number) for number in range(count)]
    spec = product.features
    rows = pl.DataFrame({**{name: range(count) for name in spec.key}, spec.time: times, spec.label: y})
    windows = pl.Series(["2013-01"] * count)
    return SideRows(Walked(product=product.name, windows=()), rows, windows, pl.Series("score", scores))


def test_head_is_judged_against_base_by_the_scores_of_every_class(tmp_path: Path) -> None:
    product = of_classes(tmp_path / "product")
    base, head = side(product, noise=0.5), side(product, noise=2.0)
    read: list[SideRows] = []
    for name, rows in (("base", base), ("head", head)):
        write_walk(tmp_path / name, rows)
        read.append(read_walk(tmp_path / name))
        assert np.array_equal(read[-1].scores.to_numpy(), rows.scores.to_numpy())
    outcome = judged(read[0], read[1], product, ReplacedGates())
    assert outcome.verdict.decision == "REJECT"
    assert outcome.counts.scores_changed == outcome.counts.both == 400
    assert judged(read[0], read[0], product, ReplacedGates()).verdict.decision == "ACCEPT"


def test_scores_with_a_gap_in_an_array_are_refused(tmp_path: Path) -> None:
    product = of_classes(tmp_path / "product")
    write_walk(tmp_path / "base", side(product, noise=1.0))
    frame = pl.read_parquet(tmp_path / "base" / SCORES)
    texts = frame.with_columns(score=pl.col("score").cast(pl.Array(pl.String, 3)))
    texts.write_parquet(tmp_path / "base" / SCORES)
    with pytest.raises(NotComparable, match="score is not Float64 without gaps"):
        read_walk(tmp_path / "base")
