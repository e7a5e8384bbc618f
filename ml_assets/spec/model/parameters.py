"""Which of CatBoost's parameters `model.params` takes: those of the task that neither the project nor another key sets."""

from typing import Any

from pydantic import ValidationInfo

from ml_assets.spec.model.catboost_parameters import CLASSIFIER, SHARED
from ml_assets.spec.yaml_file import nearest

_MODEL_KEYS = {
    "iterations", "n_estimators", "num_boost_round", "num_trees", "learning_rate", "eta", "depth", "max_depth",
    "random_seed", "random_state", "seed", "thread_count", "threads",
}  # fmt: skip
_PROJECT_KEYS = {
    "allow_writing_files", "callback", "cat_features", "embedding_features", "logging_level", "save_snapshot", "silent",
    "snapshot_file", "snapshot_interval", "text_features", "train_dir", "verbose",
}  # fmt: skip
_OF_FEATURES = "follows from features.classes; leave it out"
_NOT_OF_CLASSES = {
    "class_names": _OF_FEATURES,
    "classes_count": _OF_FEATURES,
    "scale_pos_weight": "weighs the yes of a binary label; write class_weights, one number for each of features.classes",
}
"""Parameters that a model of several classes does not take, with what to do."""

IN_PARAMS = {name: f"write it as `params: {{{name}: …}}`" for name in (SHARED | CLASSIFIER) - _MODEL_KEYS - _PROJECT_KEYS}
"""Parameters of CatBoost that people write next to iterations and depth, with what to do."""


def written_task(info: ValidationInfo) -> Any:
    """The value of `task` in product.yaml, valid or not."""
    content = (info.context or {}).get("content")
    return content.get("task") if isinstance(content, dict) else None


def parameter_of_task(name: str, info: ValidationInfo) -> str:
    """The name, if `model.params` may have it. Raises ValueError."""
    if name in _MODEL_KEYS:
        raise ValueError("set this as iterations, learning_rate, depth, seed or threads of model")
    if name in _PROJECT_KEYS:
        raise ValueError("the project sets this itself; leave it out")
    if name == "objective":
        raise ValueError("write it as loss_function")
    task = written_task(info)
    kind, names = ("CatBoostRegressor", SHARED) if task == "regression" else ("CatBoostClassifier", SHARED | CLASSIFIER)
    if task == "multiclass" and (advice := _NOT_OF_CLASSES.get(name)):
        raise ValueError(advice)
    if name not in names:
        hint = nearest(name, names - _MODEL_KEYS - _PROJECT_KEYS) or "its documentation lists them"
        raise ValueError(f"is not a parameter of {kind}; {hint.strip()}")
    return name
