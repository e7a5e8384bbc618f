"""The simple models that a candidate has to beat, against independent implementations."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from ml_assets.core.model.baseline import RIDGE, BaselineRefused, baseline_scores
from ml_assets.spec.baselines import SimpleModelSpec
from ml_assets.spec.product import Product
from tests.support.gated import product as trains

LABEL = "is_late"


@pytest.fixture
def product(tmp_path: Path) -> Product:
    return trains(tmp_path)


def rows(count: int = 400, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    distance, stops = random.normal(100, 30, count), random.integers(1, 9, count)
    late = (random.random(count) < 1 / (1 + np.exp(-(distance - 100) / 20 - (stops - 4) / 3))).astype(int)
    first = datetime(2013, 1, 1)
    return pl.DataFrame(
        {
            "departs_at": [first + timedelta(hours=number) for number in random.permutation(count).tolist()],
            "line": random.choice(["A", "B", "C"], count),
            "distance": distance,
            "stops": stops,
            LABEL: late,
        }
    )


def scores(product: Product, trained: pl.DataFrame, tested: pl.DataFrame, **declared: Any) -> Any:
    return baseline_scores(SimpleModelSpec(**declared), trained, tested, product=product)


def test_prior_is_the_mean_label_of_the_training_rows(product: Product) -> None:
    trained, tested = rows(), rows(seed=1)
    assert scores(product, trained, tested, prior=True).tolist() == [trained[LABEL].mean()] * tested.height


def test_a_linear_model_is_ridge_or_logistic_regression_on_standardized_columns(product: Product) -> None:
    trained, tested, columns = rows(), rows(seed=1), ["distance", "stops"]
    scale = StandardScaler().fit(trained[columns].to_numpy())
    x, other = (scale.transform(frame[columns].to_numpy()) for frame in (trained, tested))
    logistic = LogisticRegression(C=1 / (RIDGE * trained.height), tol=1e-10).fit(x, trained[LABEL].to_numpy())
    assert scores(product, trained, tested, linear=columns) == pytest.approx(logistic.predict_proba(other)[:, 1], abs=1e-6)
    regression = product.model_copy(update={"task": "regression"})
    ridge = Ridge(alpha=RIDGE * trained.height).fit(x, trained[LABEL].to_numpy())
    assert scores(regression, trained, tested, linear=columns) == pytest.approx(ridge.predict(other))


def test_a_text_has_a_weight_for_each_level_and_a_missing_number_is_the_mean(product: Product) -> None:
    trained = rows().with_columns(line=pl.when(pl.col(LABEL) == 1).then(pl.lit("A")).otherwise(pl.lit("B")))
    tested = pl.DataFrame({"line": ["A", "B", "never seen", None], "distance": [100.0, 100.0, None, float("nan")]})
    late, early, unseen, missing = scores(product, trained, tested, linear=["line", "distance"])
    assert late > 0.9 > 0.1 > early
    assert unseen == missing
    assert early < unseen < late


def test_the_last_value_is_the_newest_label_of_the_group_and_else_the_mean(product: Product) -> None:
    trained = pl.DataFrame(
        {
            "departs_at": [datetime(2013, 1, day) for day in (3, 1, 2, 4)],
            "line": ["A", "A", "A", "B"],
            LABEL: [1, 0, 0, 0],
        }
    )
    tested = pl.DataFrame({"line": ["B", "A", "C", None]})
    assert scores(product, trained, tested, last_value=["line"]).tolist() == [0.0, 1.0, 0.25, 0.25]


def test_a_column_is_taken_as_it_is_and_else_the_mean(product: Product) -> None:
    trained, regression = rows(), product.model_copy(update={"task": "regression"})
    tested = pl.DataFrame({"distance": [3.0, None, float("nan")]})
    prior = trained[LABEL].mean()
    assert scores(regression, trained, tested, column="distance").tolist() == [3.0, prior, prior]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"column": "distance"}, "'distance' is not a probability (found 3 to 3, allowed: 0 to 1); `linear: [distance]`"),
        ({"column": "line"}, "'line' holds no numbers"),
        ({"linear": ["distanse"]}, "'distanse' is not a feature; did you mean 'distance'?"),
        ({"column": LABEL}, f"'{LABEL}' is not a feature"),
    ],
)
def test_what_makes_no_model_is_refused(product: Product, declared: dict[str, Any], message: str) -> None:
    tested = pl.DataFrame({"distance": [3.0], "line": ["A"]})
    with pytest.raises(BaselineRefused) as error:
        scores(product, rows(), tested, **declared)
    assert message in str(error.value)
    assert "trains: gates.baselines.baseline" in str(error.value)
