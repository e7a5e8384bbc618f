"""A release in memory: its model, features, request schema and threshold; swapped and rolled back as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from ml_assets.core.model.scoring import ScoringError, check_features, load_model
from ml_assets.errors import MlAssetsError
from ml_assets.serving.features.compute import Features, features
from ml_assets.serving.features.values import FeatureValues
from ml_assets.serving.model.scorer import Scorer, scorer
from ml_assets.serving.release.bundle_files import BundleFiles, BundleRefused, lookup_name, read_members
from ml_assets.serving.release.observed_counts import Observed
from ml_assets.serving.requests.parser import Limits, RequestDecoder
from ml_assets.serving.requests.refusals import BadRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 1e-12


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """bundle.json."""

    product: str
    task: Literal["binary", "regression"]
    release: str
    features: list[dict[str, str]]
    key: list[str]
    time: str
    requests_relation: str
    threshold: float | None = None


class Golden(msgspec.Struct, frozen=True):
    """golden.json: requests and the scores that evaluation gave them."""

    requests: list[dict[str, Any]]
    scores: list[float]


@dataclass(frozen=True)
class Bundle:
    """Scores requests as its release does. Not for two threads at once."""

    card: Card
    requests: RequestDecoder
    features: Features
    scorer: Scorer
    observed: Observed

    @property
    def release(self) -> str:
        """The release's name."""
        return self.card.release

    def score(self, requests: Sequence[Mapping[str, Any]]) -> list[float]:
        """Scores of request objects (the fields of request.json), in their order."""
        scores: list[float] = self.score_structs(self.requests.convert(requests)).tolist()
        return scores

    def score_structs(self, rows: Sequence[msgspec.Struct]) -> "NDArray[np.float64]":
        """Scores of decoded requests, in their order."""
        return self.score_features(self.features_of(rows))

    def features_of(self, rows: Sequence[msgspec.Struct]) -> FeatureValues:
        """Feature values of decoded requests, in their order."""
        return self.features.compute(list(map(msgspec.structs.astuple, rows)))

    def score_features(self, values: FeatureValues) -> "NDArray[np.float64]":
        """Scores of rows of feature values, in their order."""
        scores = self.scorer.scores(values)
        if not np.isfinite(scores).all():
            raise ScoringError(f"{self.release}: the model gave a score that is not finite")
        return scores

    def decide(self, scores: Sequence[float]) -> list[bool | None]:
        """The decision for each score at the release's threshold; None where the product has none."""
        threshold = self.card.threshold
        return [None] * len(scores) if threshold is None else [score >= threshold for score in scores]


def load(folder: Path, *, digests: Mapping[str, str] | None = None, limits: Limits | None = None) -> Bundle:
    """The bundle in `folder`, its members checked against `digests`, its golden rows scored as recorded."""
    members = read_members(BundleFiles(folder, digests))
    try:
        golden = msgspec.json.decode(members["golden.json"], type=Golden)
        if not golden.requests or len(golden.requests) != len(golden.scores):
            raise BundleRefused(f"golden.json: {len(golden.requests)} requests, {len(golden.scores)} scores: nothing to prove")
        bundle = _assemble(members, golden, limits)
        _smoke_test(bundle, golden)
    except (MlAssetsError, BadRequest, msgspec.DecodeError) as error:
        raise BundleRefused(f"{folder}: {error}") from error
    return bundle


def _assemble(members: Mapping[str, bytes], golden: Golden, limits: Limits | None) -> Bundle:
    card = msgspec.json.decode(members["bundle.json"], type=Card)
    decoder = RequestDecoder(members["request.json"], limits=limits)
    if card.time not in {field.name for field in decoder.fields}:
        raise BundleRefused(f"request.json has no field {card.time!r}, the time of bundle.json: a request must say when")
    asked = [msgspec.structs.astuple(row) for row in decoder.convert(golden.requests)]
    computed = features(
        sql=members["features.sql"].decode(),
        relation=card.requests_relation,
        fields=decoder.fields,
        key=card.key,
        features=card.features,
        lookups={relation: content for name, content in members.items() if (relation := lookup_name(name))},
        golden=asked,
    )
    model = load_model(members["model.cbm"], card.task)
    check_features(model, card.features)
    observed = Observed(msgspec.json.decode(members.get("profile.json", b"{}"), type=dict[str, Any]), card.features)
    scores = scorer(model, card.features, computed.compute(asked), observed.levels)
    return Bundle(card=card, requests=decoder, features=computed, scorer=scores, observed=observed)


def _smoke_test(bundle: Bundle, golden: Golden) -> None:
    scores = bundle.score(golden.requests)
    for number, (score, recorded) in enumerate(zip(scores, golden.scores, strict=True)):
        if not abs(score - recorded) <= TOLERANCE:
            raise BundleRefused(f"golden row {number} scores {score!r}, recorded is {recorded!r}: not the model evaluated")
