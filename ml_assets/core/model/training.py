"""Fit a CatBoost model so that equal rows, parameters, seed and thread count give equal bytes."""

import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ml_assets.core.digests import digest_json
from ml_assets.core.model.scoring import MISSING_CATEGORY
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product
from ml_assets.spec.tasks import TASKS

if TYPE_CHECKING:
    from catboost import CatBoost

Progress = Callable[[int, int, float], None]
"""Called with (iterations done, iterations in all, training loss)."""

_VOLATILE = ("model_guid", "train_finish_time")


class TrainingRefused(MlAssetsError):
    """The rows cannot train a model: none, one class only, a label that is none, or features that tell nothing."""


@dataclass(frozen=True)
class Fitted:
    """A fitted model: its file's bytes, canonical fingerprint, training loss by iteration, and importance in percent.
    `untrained`: the classes that no training row is of."""

    content: bytes
    fingerprint: str
    loss_name: str
    learning_curve: tuple[float, ...]
    importance: tuple[tuple[str, float], ...]
    rows: int
    features: tuple[dict[str, str], ...]
    untrained: tuple[str, ...] = ()


def labelled(frame: pl.DataFrame, *, label: str) -> pl.DataFrame:
    """The rows whose label is known, in the order given."""
    return frame.filter(pl.col(label).is_not_null())


def fit(frame: pl.DataFrame, *, product: Product, columns: Sequence[str], progress: Progress | None = None) -> Fitted:
    """Fit on the rows of `frame` with a known label, in the frame's order, with the parameters of product.yaml."""
    from catboost import CatBoostError, Pool

    rows = labelled(frame, label=product.features.label)
    target = rows[product.features.label].cast(pl.Float64).to_numpy()
    _refuse_useless(target, product)
    features = feature_kinds(rows.select(columns))
    categories = [f["name"] for f in features if f["kind"] == "category"]
    model = _model(product)
    inputs = rows.select(pl.col(name).fill_null(MISSING_CATEGORY) if name in categories else pl.col(name) for name in columns)
    pool = Pool(inputs, label=target, cat_features=categories, weight=_weights(rows, product))
    untrained = _untrained(target, product.features.class_names)
    # CatBoost takes them for a fault of the data and prints so, without their names
    quiet = {"log_cerr": io.StringIO()} if untrained else {}
    try:
        model.fit(pool, callbacks=[_Reporter(product.model.iterations, progress)] if progress else None, **quiet)
    except CatBoostError as error:
        raise TrainingRefused(f"{product.name}: CatBoost cannot train on these rows: {_first_sentence(error)}") from error
    (loss_name, curve), *_ = model.get_evals_result()["learn"].items()
    importance = sorted(zip(columns, model.get_feature_importance(), strict=True), key=lambda pair: -pair[1])
    return Fitted(
        content=_canonical_bytes(model),
        fingerprint=fingerprint(model),
        loss_name=loss_name,
        learning_curve=tuple(float(v) for v in curve),
        importance=tuple((name, float(value)) for name, value in importance),
        rows=rows.height,
        features=tuple(features),
        untrained=untrained,
    )


def _untrained(target: np.ndarray, classes: Sequence[str]) -> tuple[str, ...]:
    present = set(target.astype(int).tolist()) if classes else set()
    return tuple(name for number, name in enumerate(classes) if number not in present)


def feature_kinds(frame: pl.DataFrame) -> list[dict[str, str]]:
    """Each column's name and kind: a string is a "category", a number or a boolean a "number". Raises TrainingRefused for any
    other: on a time or a list CatBoost ends the process."""
    for name, dtype in frame.schema.items():
        if not (dtype.is_numeric() or dtype in (pl.String, pl.Boolean, pl.Null)):
            raise TrainingRefused(
                f"feature '{name}' is {dtype}, and a model sees text, numbers and booleans; let the SQL of the features make "
                f"numbers of it, such as epoch(…) or hour(…)"
            )
    return [{"name": n, "kind": "category" if t == pl.String else "number"} for n, t in frame.schema.items()]


def parameters(product: Product) -> dict[str, Any]:
    """CatBoost's parameters for the product, seed and thread count among them."""
    spec = product.model
    loss, classes = TASKS[product.task].loss, len(product.features.classes)
    named = {"iterations": spec.iterations, "learning_rate": spec.learning_rate, "depth": spec.depth}
    fixed = {"random_seed": spec.seed, "thread_count": spec.threads, "allow_writing_files": False, "verbose": False}
    known = {"classes_count": classes} if classes else {}  # classes without a training row have a score of their own, too
    return {"loss_function": loss, **named, **spec.params, **known, **fixed}


def fingerprint(model: "CatBoost") -> str:
    """Digest of the model's JSON without `model_info`: the same for equal trees, whenever they were fitted."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        content = json.loads(path.read_text())
    content.pop("model_info", None)
    return digest_json(content)


def _model(product: Product) -> "CatBoost":
    from catboost import CatBoostClassifier, CatBoostRegressor

    kind = CatBoostClassifier if TASKS[product.task].is_classifier else CatBoostRegressor
    return kind(**parameters(product))


def _weights(rows: pl.DataFrame, product: Product) -> np.ndarray | None:
    """By how much each row counts (n,); None where all count alike. Raises TrainingRefused for what is no weight."""
    name = product.features.weight
    if name is None:
        return None
    weights = rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if wrong := int((~(np.isfinite(weights) & (weights >= 0))).sum()):
        raise TrainingRefused(
            f"{product.name}: {wrong} of {weights.size} training rows have a weight {name!r} that is missing, negative or not "
            f"finite; mend its SQL"
        )
    if not weights.any():
        raise TrainingRefused(f"{product.name}: the weight {name!r} is 0 in all {weights.size} training rows")
    return np.asarray(weights)


def _refuse_useless(target: np.ndarray, product: Product) -> None:
    label = product.features.label
    if target.size == 0:
        raise TrainingRefused(f"{product.name}: no row of the training window has a known label {label!r}")
    if not np.isfinite(target).all():
        raise TrainingRefused(f"{product.name}: label {label!r} has values that are not finite")
    if product.task == "binary" and (others := sorted({*target.tolist()} - {0.0, 1.0})):
        shown = ", ".join(f"{value:g}" for value in others[:3])
        raise TrainingRefused(f"{product.name}: label {label!r} of a binary task is 0 or 1, and has {shown}; mend its SQL")
    if np.unique(target).size == 1:
        raise TrainingRefused(f"{product.name}: label {label!r} is {target[0]:g} in all {target.size} training rows")


def _first_sentence(error: Exception) -> str:
    """CatBoost's words without the place in its own source that they begin with."""
    return str(error).splitlines()[0].rpartition(".cpp:")[2].partition(": ")[2] or str(error).splitlines()[0]


def _canonical_bytes(model: "CatBoost") -> bytes:
    metadata = model.get_metadata()
    for name in _VOLATILE:
        metadata[name] = ""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model.cbm"
        model.save_model(str(path))
        return path.read_bytes()


@dataclass(frozen=True)
class _Reporter:
    total: int
    progress: Progress

    def after_iteration(self, info: Any) -> bool:
        losses: Mapping[str, Sequence[float]] = info.metrics["learn"]
        self.progress(info.iteration, self.total, next(iter(losses.values()))[-1])
        return True
