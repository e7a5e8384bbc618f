"""A release in memory: its model, features, request schema and threshold; swapped and rolled back as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from ml_assets.core.model.scoring import ScoringError, check_features, class_count, load_model
from ml_assets.errors import MlAssetsError
from ml_assets.serving.compiled import Engines, compile_engines
from ml_assets.serving.plain.catboost_scorer import CatBoostScorer
from ml_assets.serving.plain.duckdb_features import DuckDbFeatures, FeatureQuery
from ml_assets.serving.plain.feature_values import FeatureValues
from ml_assets.serving.release.bundle_files import BundleFiles, BundleRefused, lookup_name, read_members
from ml_assets.serving.release.observed_counts import ObservedCounts
from ml_assets.serving.requests.parser import NO_RULES, Limits, RequestDecoder
from ml_assets.serving.requests.refusals import BadRequest
from ml_assets.spec.tasks import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 1e-12
SWITCHED_OFF = "ML_ASSETS_COMPILED is false"


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """bundle.json."""

    product: str
    task: Task
    release: str
    features: list[dict[str, str]]
    key: list[str]
    time: str
    requests_relation: str
    threshold: float | None = None
    classes: tuple[str, ...] = ()


class Golden(msgspec.Struct, frozen=True):
    """golden.json: requests and the scores that evaluation gave them."""

    requests: list[dict[str, Any]]
    scores: list[float | list[float]]


@dataclass(frozen=True)
class Bundle:
    """Scores requests as its release does. Not for two threads at once."""

    card: Card
    requests: RequestDecoder
    engines: Engines
    observed: ObservedCounts

    @property
    def release(self) -> str:
        """The release's name."""
        return self.card.release

    def score(self, requests: Sequence[Mapping[str, Any]]) -> list[float | list[float]]:
        """Return the scores of request objects (the fields of request.json), in order: of several classes a list of those of each
        class. Raises BadRequest."""
        scores: list[float | list[float]] = self.score_structs(self.requests.convert(requests)).tolist()
        return scores

    def score_structs(self, rows: Sequence[msgspec.Struct]) -> "NDArray[np.float64]":
        """Return float64 scores of decoded requests: (rows,) or, of several classes, (rows, classes)."""
        return self.score_features(self.features_of(rows))

    def features_of(self, rows: Sequence[msgspec.Struct]) -> FeatureValues:
        """Return the feature values of decoded requests, in order. Raises UncomputableRow."""
        return self.engines.features.compute(list(map(msgspec.structs.astuple, rows)))

    def score_features(self, values: FeatureValues) -> "NDArray[np.float64]":
        """Return float64 scores of feature values: (rows,) or, of several classes, (rows, classes). Raises ScoringError."""
        scores = self.engines.scorer.scores(values)
        if not np.isfinite(scores).all():
            raise ScoringError(f"{self.release}: the model gave a score that is not finite")
        return scores

    def decide(self, scores: Sequence[float]) -> list[bool | None]:
        """Return the decision for each score at the release's threshold, None where the product has none."""
        threshold = self.card.threshold
        return [None] * len(scores) if threshold is None else [score >= threshold for score in scores]


def load(
    folder: Path, *, digests: Mapping[str, str] | None = None, limits: Limits | None = None, is_compiled: bool = True
) -> Bundle:
    """Load the bundle in `folder`, its members checked against `digests`, its golden rows scored as recorded.

    `is_compiled` is for speed alone: features and scores are the same without it. Raises BundleRefused.
    """
    members = read_members(BundleFiles(folder, digests))
    try:
        golden = msgspec.json.decode(members["golden.json"], type=Golden)
        if not golden.requests or len(golden.requests) != len(golden.scores):
            raise BundleRefused(f"golden.json: {len(golden.requests)} requests, {len(golden.scores)} scores: nothing to prove")
        bundle = _assemble(members, golden, limits, is_compiled=is_compiled)
        _smoke_test(bundle, golden)
    except (MlAssetsError, BadRequest, msgspec.DecodeError) as error:
        raise BundleRefused(f"{folder}: {error}") from error
    return bundle


def _assemble(members: Mapping[str, bytes], golden: Golden, limits: Limits | None, *, is_compiled: bool) -> Bundle:
    card = msgspec.json.decode(members["bundle.json"], type=Card)
    rules = members.get("rules.json", NO_RULES)
    decoder = RequestDecoder(members["request.json"], limits=limits, key=card.key, time=card.time, rules=rules)
    if card.time and card.time not in {field.name for field in decoder.fields}:
        raise BundleRefused(f"request.json has no field {card.time!r}, the time of bundle.json: a request must say when")
    query = FeatureQuery(
        sql=members["features.sql"].decode(),
        relation=card.requests_relation,
        fields=decoder.fields,
        key=card.key,
        features=card.features,
        lookups={relation: content for name, content in members.items() if (relation := lookup_name(name))},
    )
    features, scorer = DuckDbFeatures(query), CatBoostScorer(load_model(members["model.cbm"], card.task), card.features)
    check_features(scorer.model, card.features)
    if (count := class_count(scorer.model)) != len(card.classes):
        raise BundleRefused(f"model.cbm gives scores of {count} classes, and bundle.json names {len(card.classes)}")
    profile = msgspec.json.decode(members.get("profile.json", b"{}"), type=dict[str, Any])
    observed = ObservedCounts(profile, card.features, classes=card.classes)
    engines = Engines(features, scorer, why_not_features=SWITCHED_OFF, why_not_scorer=SWITCHED_OFF)
    if is_compiled:
        rows = [msgspec.structs.astuple(row) for row in decoder.convert(golden.requests)]
        engines = compile_engines(query, features, scorer, golden=rows, levels=observed.levels)
    return Bundle(card=card, requests=decoder, engines=engines, observed=observed)


def _smoke_test(bundle: Bundle, golden: Golden) -> None:
    scores = bundle.score(golden.requests)
    for number, (score, recorded) in enumerate(zip(scores, golden.scores, strict=True)):
        if not np.shape(score) == np.shape(recorded) or not (np.abs(np.subtract(score, recorded)) <= TOLERANCE).all():
            raise BundleRefused(f"golden row {number} scores {score!r}, recorded is {recorded!r}: not the model evaluated")
