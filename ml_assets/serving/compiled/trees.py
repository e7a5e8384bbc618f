"""A CatBoost model's trees as NumPy arrays: scores of many rows in a fraction of the time of CatBoost's Python interface.

For models of oblivious trees whose splits are a number above a border or a category equal to a value, and that give one value a
row. Scores are CatBoost's to the last bit: borders are compared in float32, leaves are summed in the order of the trees.
compiled/scorer.py compares each model's with CatBoost's before it is used.

How CatBoost hashes a category is left to CatBoost, once for each text: a row with it shows which way it goes at each split.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np
from scipy.special import expit

from ml_assets.serving.compiled.unsupported import Unsupported
from ml_assets.serving.plain.feature_values import CATEGORY, FeatureValues, Row

if TYPE_CHECKING:
    from catboost import CatBoost
    from numpy.typing import NDArray

MOST_LEAVES = 2**20
"""Larger models don't fit the processor's caches, and their JSON takes seconds to read."""
MOST_DEPTH = 16
MOST_TEXTS = 10_000
"""Texts of one category feature that are remembered."""
ROWS_AT_ONCE = 256
NO_SPLIT = -1
"""The code of a category that no split compares with."""


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


class _TreeModel(msgspec.Struct, frozen=True):
    features_info: _Features
    oblivious_trees: list[_Tree]
    scale_and_bias: tuple[float, list[float]]


class CompiledTrees:
    """Scores rows. `example` is any row that the model takes. Raises Unsupported for a model that it cannot hold."""

    engine: Literal["compiled"] = "compiled"

    def __init__(self, model: "CatBoost", features: Sequence[Mapping[str, str]], example: Row) -> None:
        """Take the model apart. `features` are those of the bundle, in the model's order."""
        from catboost import CatBoostClassifier

        dump = _dumped(model)
        self.model, self._example = model, example
        self._is_binary = isinstance(model, CatBoostClassifier)
        self._scale, (self._bias,) = dump.scale_and_bias
        depth = max(len(tree.splits or ()) for tree in dump.oblivious_trees)
        numbers = [position for position, feature in enumerate(features) if feature["kind"] != CATEGORY]
        texts = [position for position, feature in enumerate(features) if feature["kind"] == CATEGORY]
        flat = {feature.feature_index: feature.flat_feature_index for feature in dump.features_info.float_features}
        self._take_borders(dump, {index: numbers.index(position) for index, position in flat.items()})
        flat = {feature.feature_index: feature.flat_feature_index for feature in dump.features_info.categorical_features}
        self._take_values(dump, {index: texts.index(position) for index, position in flat.items()}, texts)
        none = len(self._border) + len(self._value)
        rows = [[self._row(split) for split in tree.splits or ()] for tree in dump.oblivious_trees]
        self._planes = [np.array([tree[d] if d < len(tree) else none for tree in rows], dtype=np.intp) for d in range(depth)]
        self._leaves = np.concatenate([tree.leaf_values for tree in dump.oblivious_trees])
        starts = np.cumsum([0, *(len(tree.leaf_values) for tree in dump.oblivious_trees)])
        self._starts = starts[:-1, None].astype(np.int32)
        self._index_type = np.uint8 if depth <= 8 else np.uint16

    def _take_borders(self, dump: _TreeModel, row_of: Mapping[int, int]) -> None:
        splits = {(s.float_feature_index, s.border) for tree in dump.oblivious_trees for s in tree.splits or () if _is_border(s)}
        self._borders = {split: row for row, split in enumerate(sorted(splits))}
        self._border_feature = np.array([row_of[feature] for feature, _ in self._borders], dtype=np.intp)
        border = np.array([border for _, border in self._borders], dtype=np.float32)[:, None]
        self._border = np.repeat(border, ROWS_AT_ONCE, axis=1)  # a third of the time that comparing with one column takes
        numbers = dump.features_info.float_features
        self._above_all = [row_of[number.feature_index] for number in numbers if number.nan_value_treatment == "AsTrue"]

    def _take_values(self, dump: _TreeModel, column_of: Mapping[int, int], positions: Sequence[int]) -> None:
        """Number the values that each category is compared with, and keep the first split of each: its tree and level."""
        self._first_splits: dict[int, list[tuple[int, int]]] = {}
        codes: dict[tuple[int, int], int] = {}
        for number, tree in enumerate(dump.oblivious_trees):
            for level, split in enumerate(tree.splits or ()):
                value = (split.cat_feature_index, split.value)
                if not _is_border(split) and value not in codes:
                    first_splits = self._first_splits.setdefault(column_of[split.cat_feature_index], [])
                    codes[value] = len(first_splits)
                    first_splits.append((number, level))
        self._values = {value: row for row, value in enumerate(codes)}
        self._columns = sorted(self._first_splits)
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
        """The borders that numbers are compared with, by their row in `FeatureValues.numbers`."""
        rows = set(self._border_feature.tolist())
        return {row: self._border[self._border_feature == row, 0].astype(np.float64) for row in rows}

    def scores(self, values: FeatureValues) -> "NDArray[np.float64]":
        """Return float64 scores of shape (rows,): probabilities of the positive class, or values. Not for two threads at once."""
        codes = self._codes(values)
        with np.errstate(over="ignore"):  # infinite in float32, and so above every border
            numbers = values.numbers.astype(np.float32)
        for row in self._above_all:
            numbers[row][np.isnan(numbers[row])] = np.inf
        scores = np.empty(values.count)
        for first in range(0, values.count, ROWS_AT_ONCE):
            part = slice(first, first + ROWS_AT_ONCE)
            scores[part] = self._raw(numbers[:, part], codes[:, part])
        return expit(scores) if self._is_binary else scores

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
        table = np.empty((len(self._columns), values.count), dtype=np.int32)
        for row, column in enumerate(self._columns):
            known, texts = self._known[column], values.categories[column]
            try:
                codes = pack(f"={values.count}i", *map(known.__getitem__, texts))
            except KeyError:
                codes = pack(f"={values.count}i", *map(self._learned(column, texts).__getitem__, texts))
            table[row] = np.frombuffer(codes, dtype=np.int32)
        return table

    def _learned(self, column: int, texts: Sequence[str]) -> dict[str, int]:
        """Return the codes by text, these texts among them."""
        known = self._known[column]
        if len(known) + len(texts) > MOST_TEXTS:
            known.clear()
        new = list(dict.fromkeys(text for text in texts if text not in known))
        position = self._position[column]
        rows = [(*self._example[:position], text, *self._example[position + 1 :]) for text in new]
        leaves = self.model.calc_leaf_indexes(np.array(rows, dtype=object), thread_count=1)
        for text, leaf in zip(new, leaves.tolist(), strict=True):
            codes = [code for code, (tree, level) in enumerate(self._first_splits[column]) if leaf[tree] >> level & 1]
            known[text] = codes[0] if codes else NO_SPLIT
        return known


def _is_border(split: _Split) -> bool:
    return split.split_type == "FloatFeature"


def _dumped(model: "CatBoost") -> _TreeModel:
    """The model as CatBoost's JSON has it. Raises Unsupported."""
    if model.get_tree_leaf_counts().sum() > MOST_LEAVES:
        raise Unsupported(f"over {MOST_LEAVES} leaves")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        content = path.read_bytes()
    try:
        dump = msgspec.json.decode(content, type=_TreeModel)
    except msgspec.ValidationError as error:
        raise Unsupported(f"trees that are not oblivious, or of another kind: {error}") from error
    if not dump.oblivious_trees:
        raise Unsupported("no trees")
    kinds = {split.split_type for tree in dump.oblivious_trees for split in tree.splits or ()} - {"FloatFeature", "OneHotFeature"}
    if kinds:
        raise Unsupported(f"splits by {', '.join(sorted(kinds))}")
    if any(len(tree.leaf_values) != 2 ** len(tree.splits or ()) for tree in dump.oblivious_trees):
        raise Unsupported("several values a row")
    if max(len(tree.splits or ()) for tree in dump.oblivious_trees) > MOST_DEPTH:
        raise Unsupported(f"trees deeper than {MOST_DEPTH}")
    return dump
