"""A CatBoost model's trees as numpy arrays: scores of many rows in a fraction of the time of CatBoost's Python interface.

For models of oblivious trees whose splits are a number above a border or a category equal to a value, and that give one value a
row. Scores are CatBoost's to the last bit: borders are compared in float32, leaves are summed in the order of the trees.
scorer.py tries it for each model before it is used.

What CatBoost takes a category for is asked of CatBoost itself, once for each text: which way a row with it goes at each split.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from scipy.special import expit

from ml_assets.core.model.scoring import ScoringError
from ml_assets.serving.features.values import CATEGORY, FeatureValues, Row

if TYPE_CHECKING:
    from catboost import CatBoost
    from numpy.typing import NDArray

MOST_LEAVES = 2**20
"""Larger models do not fit the processor's caches, and their JSON takes seconds to read."""
MOST_DEPTH = 16
MOST_TEXTS = 10_000
"""Texts of one category feature that are remembered."""
ROWS_AT_ONCE = 256
NO_CATEGORY = "a category is missing; the features' SQL says 'unknown' instead"
NEITHER = -1
"""The code of a category that no split asks for."""


class UnsupportedModel(Exception):
    """A model that is left to CatBoost."""


class _Split(msgspec.Struct, frozen=True):
    split_type: str
    border: float = 0.0
    float_feature_index: int = -1
    value: int = 0
    cat_feature_index: int = -1


class _Tree(msgspec.Struct, frozen=True):
    leaf_values: list[float]
    splits: list[_Split] | None = None


class _Feature(msgspec.Struct, frozen=True):
    feature_index: int
    flat_feature_index: int
    nan_value_treatment: str = "AsIs"


class _Features(msgspec.Struct, frozen=True):
    float_features: list[_Feature] = []
    categorical_features: list[_Feature] = []


class _Model(msgspec.Struct, frozen=True):
    features_info: _Features
    oblivious_trees: list[_Tree]
    scale_and_bias: tuple[float, list[float]]


class CompiledModel:
    """Scores rows; raises UnsupportedModel for a model that it cannot hold. `example` is any row that the model takes."""

    def __init__(self, model: "CatBoost", features: Sequence[Mapping[str, str]], example: Row) -> None:
        from catboost import CatBoostClassifier

        read = _read(model)
        self._model, self._example = model, example
        self._is_binary = isinstance(model, CatBoostClassifier)
        self._scale, (self._bias,) = read.scale_and_bias
        depth = max(len(tree.splits or ()) for tree in read.oblivious_trees)
        numbers = [position for position, feature in enumerate(features) if feature["kind"] != CATEGORY]
        texts = [position for position, feature in enumerate(features) if feature["kind"] == CATEGORY]
        flat = {each.feature_index: each.flat_feature_index for each in read.features_info.float_features}
        self._take_borders(read, {index: numbers.index(position) for index, position in flat.items()})
        flat = {each.feature_index: each.flat_feature_index for each in read.features_info.categorical_features}
        self._take_values(read, {index: texts.index(position) for index, position in flat.items()}, texts)
        none = len(self._border) + len(self._value)
        rows = [[self._row(split) for split in tree.splits or ()] for tree in read.oblivious_trees]
        self._planes = [np.array([tree[d] if d < len(tree) else none for tree in rows], dtype=np.intp) for d in range(depth)]
        self._leaves = np.concatenate([tree.leaf_values for tree in read.oblivious_trees])
        starts = np.cumsum([0, *(len(tree.leaf_values) for tree in read.oblivious_trees)])
        self._starts = starts[:-1, None].astype(np.int32)
        self._index_type = np.uint8 if depth <= 8 else np.uint16

    def _take_borders(self, read: _Model, row_of: Mapping[int, int]) -> None:
        asked = {(s.float_feature_index, s.border) for tree in read.oblivious_trees for s in tree.splits or () if _is_border(s)}
        self._borders = {split: row for row, split in enumerate(sorted(asked))}
        self._border_feature = np.array([row_of[feature] for feature, _ in self._borders], dtype=np.intp)
        border = np.array([border for _, border in self._borders], dtype=np.float32)[:, None]
        self._border = np.repeat(border, ROWS_AT_ONCE, axis=1)  # a third of the time that comparing with one column takes
        numbers = read.features_info.float_features
        self._above_all = [row_of[each.feature_index] for each in numbers if each.nan_value_treatment == "AsTrue"]

    def _take_values(self, read: _Model, column_of: Mapping[int, int], positions: Sequence[int]) -> None:
        """Number the values that each category is compared with, and remember one split that compares it."""
        self._witness: dict[int, list[tuple[int, int]]] = {}
        codes: dict[tuple[int, int], int] = {}
        for number, tree in enumerate(read.oblivious_trees):
            for level, split in enumerate(tree.splits or ()):
                asked = (split.cat_feature_index, split.value)
                if not _is_border(split) and asked not in codes:
                    witnesses = self._witness.setdefault(column_of[split.cat_feature_index], [])
                    codes[asked] = len(witnesses)
                    witnesses.append((number, level))
        self._values = {asked: row for row, asked in enumerate(codes)}
        self._columns = sorted(self._witness)
        self._value_feature = np.array([self._columns.index(column_of[feature]) for feature, _ in codes], dtype=np.intp)
        self._value = np.array(list(codes.values()), dtype=np.int32)[:, None]
        self._position = {column: positions[column] for column in self._columns}
        self._known: dict[int, dict[str, int]] = {column: {} for column in self._columns}

    def _row(self, split: _Split) -> int:
        if _is_border(split):
            return self._borders[split.float_feature_index, split.border]
        return len(self._borders) + self._values[split.cat_feature_index, split.value]

    @property
    def borders(self) -> dict[int, "NDArray[np.float64]"]:
        """What numbers are compared with, by their row in `FeatureValues.numbers`."""
        rows = set(self._border_feature.tolist())
        return {row: self._border[self._border_feature == row, 0].astype(np.float64) for row in rows}

    def scores(self, values: FeatureValues) -> "NDArray[np.float64]":
        """Probability of the positive class, or the value, of each row. Not for two threads at once."""
        codes = self._codes(values)
        with np.errstate(over="ignore"):  # infinite in float32, and so above every border
            numbers = values.numbers.astype(np.float32)
        for row in self._above_all:
            numbers[row][np.isnan(numbers[row])] = np.inf
        found = np.empty(values.count)
        for first in range(0, values.count, ROWS_AT_ONCE):
            part = slice(first, first + ROWS_AT_ONCE)
            found[part] = self._raw(numbers[:, part], codes[:, part])
        return expit(found) if self._is_binary else found

    def _raw(self, numbers: "NDArray[np.float32]", codes: "NDArray[np.int32]") -> "NDArray[np.float64]":
        borders = len(self._border)
        holds = np.empty((borders + len(self._value) + 1, numbers.shape[1]), dtype=np.bool_)
        border = self._border[:, : numbers.shape[1]]
        np.greater(numbers.take(self._border_feature, axis=0), border, out=holds[:borders])
        np.equal(codes.take(self._value_feature, axis=0), self._value, out=holds[borders:-1])
        holds[-1] = False
        bits = holds.view(np.uint8) if self._index_type is np.uint8 else holds.astype(self._index_type)
        leaf = np.zeros((len(self._starts), numbers.shape[1]), dtype=self._index_type)
        for plane in reversed(self._planes):
            leaf += leaf
            leaf |= bits.take(plane, axis=0)
        values = self._leaves.take(self._starts + leaf)
        # Tree after tree, as CatBoost does. `reduce` is faster, but adds the values of a single row in pairs.
        is_alone = numbers.shape[1] == 1
        summed: NDArray[np.float64] = np.add.accumulate(values)[-1] if is_alone else np.add.reduce(values)
        return summed * self._scale + self._bias

    def _codes(self, values: FeatureValues) -> "NDArray[np.int32]":
        found = np.empty((len(self._columns), values.count), dtype=np.int32)
        for row, column in enumerate(self._columns):
            known, texts = self._known[column], values.categories[column]
            try:
                codes = pack(f"={values.count}i", *map(known.__getitem__, texts))
            except KeyError:
                codes = pack(f"={values.count}i", *map(self._learned(column, texts).__getitem__, texts))
            found[row] = np.frombuffer(codes, dtype=np.int32)
        return found

    def _learned(self, column: int, texts: Sequence[str]) -> dict[str, int]:
        """The codes of these texts among others."""
        if None in texts:
            raise ScoringError(NO_CATEGORY)
        known = self._known[column]
        if len(known) + len(texts) > MOST_TEXTS:
            known.clear()
        new = list(dict.fromkeys(text for text in texts if text not in known))
        position = self._position[column]
        rows = [(*self._example[:position], text, *self._example[position + 1 :]) for text in new]
        leaves = self._model.calc_leaf_indexes(np.array(rows, dtype=object), thread_count=1)
        for text, leaf in zip(new, leaves.tolist(), strict=True):
            equal = [code for code, (tree, level) in enumerate(self._witness[column]) if leaf[tree] >> level & 1]
            known[text] = equal[0] if equal else NEITHER
        return known


def _is_border(split: _Split) -> bool:
    return split.split_type == "FloatFeature"


def _read(model: "CatBoost") -> _Model:
    """The model as CatBoost's JSON says it."""
    if model.get_tree_leaf_counts().sum() > MOST_LEAVES:
        raise UnsupportedModel(f"over {MOST_LEAVES} leaves")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        content = path.read_bytes()
    try:
        read = msgspec.json.decode(content, type=_Model)
    except msgspec.ValidationError as error:
        raise UnsupportedModel(f"trees that are not oblivious, or of another kind: {error}") from error
    if not read.oblivious_trees:
        raise UnsupportedModel("no trees")
    kinds = {split.split_type for tree in read.oblivious_trees for split in tree.splits or ()} - {"FloatFeature", "OneHotFeature"}
    if kinds:
        raise UnsupportedModel(f"splits by {', '.join(sorted(kinds))}")
    if any(len(tree.leaf_values) != 2 ** len(tree.splits or ()) for tree in read.oblivious_trees):
        raise UnsupportedModel("several values a row")
    if max(len(tree.splits or ()) for tree in read.oblivious_trees) > MOST_DEPTH:
        raise UnsupportedModel(f"trees deeper than {MOST_DEPTH}")
    return read
