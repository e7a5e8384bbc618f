"""A label of several classes on its way to a model: numbers of classes, what is refused, simple models, classes without a row."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml_assets.core.model.baseline import BaselineRefused, baseline_scores
from ml_assets.core.model.features import FeaturesRefused, numeric_label
from ml_assets.core.model.scoring import load_model, score_frame
from ml_assets.core.model.training import TrainingRefused, fit, parameters
from ml_assets.core.outcomes.realised import served_scores
from ml_assets.spec.baselines import SimpleModelSpec
from ml_assets.spec.product import Product
from tests.support.gated import product as trains

CLASSES = ("early", "on time", "late")
LABEL = "is_late"


def of_classes(folder: Path, *classes: str | int) -> Product:
    """The product of trains with a label of these classes."""
    product = trains(folder)
    features = product.features.model_copy(update={"classes": classes or CLASSES})
    return product.model_copy(update={"task": "multiclass", "features": features})


def rows(count: int = 300, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    distance = random.normal(0, 1, count)
    number = np.digitize(distance + random.normal(0, 0.5, count), [-0.5, 0.8])
    return pl.DataFrame({"distance": distance, "line": random.choice(["A", "B"], count), LABEL: number})


def test_a_label_becomes_the_number_of_its_class_in_the_declared_order(tmp_path: Path) -> None:
    labels = pl.DataFrame({LABEL: ["late", None, "early", "on time"]})
    assert numeric_label(labels, of_classes(tmp_path))[LABEL].to_list() == [2, None, 0, 1]
    numbers = pl.DataFrame({LABEL: [30.0, 10.0, None]})
    assert numeric_label(numbers, of_classes(tmp_path / "numbers", 10, 20, 30))[LABEL].to_list() == [2, 0, None]


def test_a_label_that_is_none_of_the_classes_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FeaturesRefused, match="the label 'is_late' is 'lost', which is none of the classes"):
        numeric_label(pl.DataFrame({LABEL: ["late", "lost"]}), of_classes(tmp_path))
    with pytest.raises(FeaturesRefused, match=r"is '10\.5', which is none"):
        numeric_label(pl.DataFrame({LABEL: [10.5, 20.0]}), of_classes(tmp_path / "numbers", 10, 20, 30))


def test_a_class_without_a_training_row_has_a_score_close_to_0_and_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    product, frame = of_classes(tmp_path), rows()
    assert parameters(product)["loss_function"] == "MultiClass"
    fitted = fit(frame.filter(pl.col(LABEL) != 1), product=product, columns=["distance", "line"])
    scores = score_frame(load_model(fitted.content, "multiclass"), frame, fitted.features)
    assert fitted.untrained == ("on time",)
    assert scores.shape == (frame.height, 3)
    assert scores[:, 1].max() < 1e-6
    assert "Found only" not in "".join(capfd.readouterr())
    assert fit(frame, product=product, columns=["distance", "line"]).untrained == ()


def test_a_simple_model_of_several_classes_has_their_shares_or_one_model_against_the_rest(tmp_path: Path) -> None:
    product, trained, tested = of_classes(tmp_path), rows(), rows(seed=1)
    shares = np.bincount(trained[LABEL].to_numpy()) / trained.height
    prior = baseline_scores(SimpleModelSpec(prior=True), trained, tested, product=product)
    assert prior == pytest.approx(np.tile(shares, (tested.height, 1)))
    linear = baseline_scores(SimpleModelSpec(linear=("distance", "line")), trained, tested, product=product)
    assert linear.sum(axis=1) == pytest.approx(1)
    assert (linear.argmax(axis=1) == tested[LABEL].to_numpy()).mean() > (
        prior.argmax(axis=1) == tested[LABEL].to_numpy()
    ).mean() + 0.1
    without = baseline_scores(SimpleModelSpec(linear=("distance",)), trained.filter(pl.col(LABEL) != 2), tested, product=product)
    assert without[:, 2].max() == 0
    with pytest.raises(BaselineRefused, match="one column is no probability of several classes"):
        baseline_scores(SimpleModelSpec(column="distance"), trained, tested, product=product)


def test_served_scores_of_a_release_that_knew_fewer_classes_are_0_for_the_new_one() -> None:
    served = pl.DataFrame({"score": [0.9, 0.6], "score: early": [0.9, 0.4], "score: late": [0.1, None]})
    assert served_scores(served, CLASSES).tolist() == [[0.9, 0.0, 0.1], [0.4, 0.0, 0.0]]


def test_a_row_counts_in_training_by_its_weight(tmp_path: Path) -> None:
    product = of_classes(tmp_path)
    weighted = product.model_copy(update={"features": product.features.model_copy(update={"weight": "count"})})
    frame = rows().with_columns(count=pl.when(pl.col(LABEL) == 2).then(0).otherwise(1))
    heavy = fit(frame, product=weighted, columns=["distance", "line"])
    plain = fit(frame, product=product, columns=["distance", "line"])
    scores = [score_frame(load_model(f.content, "multiclass"), frame, f.features)[:, 2].mean() for f in (heavy, plain)]
    assert scores[0] < scores[1] - 0.05
    alike = fit(frame.with_columns(count=pl.lit(1.0)), product=weighted, columns=["distance", "line"])
    assert alike.fingerprint == plain.fingerprint
    for value in (-1.0, None, float("nan"), float("inf")):
        wrong = frame.with_columns(count=pl.when(pl.col("line") == "A").then(value).otherwise(1.0))
        with pytest.raises(TrainingRefused, match="training rows have a weight 'count' that is missing, negative or not finite"):
            fit(wrong, product=weighted, columns=["distance", "line"])
    with pytest.raises(TrainingRefused, match="the weight 'count' is 0 in all 300"):
        fit(frame.with_columns(count=pl.lit(0)), product=weighted, columns=["distance", "line"])


@pytest.mark.long
def test_a_weight_of_2_is_a_row_that_comes_twice(tmp_path: Path) -> None:
    product = of_classes(tmp_path)
    weighted = product.model_copy(update={"features": product.features.model_copy(update={"weight": "count"})})
    plain = {"bootstrap_type": "No", "leaf_estimation_method": "Gradient", "boosting_type": "Plain", "random_strength": 0}
    plain |= {"l2_leaf_reg": 0}  # CatBoost multiplies it by the mean weight of a row
    model = product.model.model_copy(update={"params": plain})
    once, twice = (p.model_copy(update={"model": model}) for p in (weighted, product))
    frame = rows().with_columns(count=pl.when(pl.col("distance") % 2 < 1).then(2.0).otherwise(1.0))
    doubled = pl.concat([frame, frame.filter(pl.col("count") == 2)])
    assert frame.height < doubled.height < 2 * frame.height
    fitted = fit(frame, product=once, columns=["distance"]), fit(doubled, product=twice, columns=["distance"])
    scores = [score_frame(load_model(f.content, "multiclass"), frame, f.features) for f in fitted]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    unweighted = fit(frame, product=twice, columns=["distance"])
    assert np.abs(score_frame(load_model(unweighted.content, "multiclass"), frame, unweighted.features) - scores[0]).max() > 1e-3


def test_classes_are_weighted_by_catboosts_own_parameters(tmp_path: Path) -> None:
    product, frame = of_classes(tmp_path), rows()
    model = product.model.model_copy(update={"params": {"class_weights": [1, 1, 20]}})
    scores = [
        score_frame(load_model(f.content, "multiclass"), frame, f.features)[:, 2].mean()
        for f in (fit(frame, product=p, columns=["distance"]) for p in (product, product.model_copy(update={"model": model})))
    ]
    assert scores[1] > scores[0] + 0.1
