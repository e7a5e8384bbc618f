"""The fast path from requests to scores: features.sql and the model's trees as NumPy, used only where they equal the plain path.

Outside of this package only this module is imported.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ml_assets.serving.compiled.features import CompiledFeatures, compile_features
from ml_assets.serving.compiled.scorer import compile_scorer
from ml_assets.serving.compiled.trees import CompiledTrees
from ml_assets.serving.compiled.unsupported import Unsupported
from ml_assets.serving.plain.catboost_scorer import CatBoostScorer
from ml_assets.serving.plain.duckdb_features import DuckDbFeatures, FeatureQuery
from ml_assets.serving.plain.feature_values import Row


@dataclass(frozen=True)
class Engines:
    """The engines of a release's features and scores; where that is the plain path, `why_not_…` says why, None otherwise."""

    features: DuckDbFeatures | CompiledFeatures
    scorer: CatBoostScorer | CompiledTrees
    why_not_features: str | None = None
    why_not_scorer: str | None = None


def compile_engines(
    query: FeatureQuery,
    features: DuckDbFeatures,
    scorer: CatBoostScorer,
    *,
    golden: Sequence[Row],
    levels: Sequence[Sequence[str]],
) -> Engines:
    """Compile `query` and the scorer's model, each only if it gives what `features` or `scorer` give, to the last bit.

    They are compared on the golden requests (at least one) and on rows at the edges of what requests and model distinguish.
    `levels` are known values of each category feature, in the order of the features.
    """
    why_not_features = why_not_scorer = None
    fast_features: DuckDbFeatures | CompiledFeatures = features
    fast_scorer: CatBoostScorer | CompiledTrees = scorer
    try:
        fast_features = compile_features(query, features, golden)
    except Unsupported as error:
        why_not_features = str(error)
    try:
        fast_scorer = compile_scorer(scorer, fast_features.compute(golden), levels)
    except Unsupported as error:
        why_not_scorer = str(error)
    return Engines(fast_features, fast_scorer, why_not_features, why_not_scorer)
