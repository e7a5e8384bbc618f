"""A candidate that does not beat a simple model is withheld; the simple model's scores are evidence like any other."""

from pathlib import Path

import polars as pl
import pytest

from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.services.rederived_verdict import contradictions
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, deliver, shop

DATA = ("raw", "dataset", "quarantine", "features")
PATH = (*DATA, "model", "evaluation", "release")
FIRST, SECOND = DAYS[:2]
FLOOR = r"    - \{name: floor.*\}"


def judged(folder: Path, declared: str, claim: str) -> Home:
    """The shop's second day, with a simple model and one more claim."""
    own_home = shop(
        folder,
        (FLOOR, f"    - {{name: floor, prove: roc_auc(candidate) > 0.05}}\n    - {{name: beats, prove: {claim}}}"),
        (r"  claims:", f"  baselines: {{baseline: {declared}}}\n  claims:"),
        (r"alpha: 0\.45", "alpha: 0.1"),
    )
    deliver(own_home, FIRST, SECOND)
    assert own_home.run(FIRST, only=DATA).success
    run = own_home.run(SECOND, only=PATH)
    assert not run.errors, run.errors
    return own_home


@pytest.fixture(scope="module")
def beaten(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Against the mean of the day before."""
    return judged(tmp_path_factory.mktemp("beaten"), "{prior: true}", "roc_auc(candidate) - roc_auc(baseline) > 0")


def test_a_first_release_has_to_beat_the_simple_model_too(beaten: Home) -> None:
    facts = EvaluationFacts.of(beaten.get("evaluation", SECOND))
    assert [claim.name for claim in facts.verdict.claims] == ["floor", "beats"]
    assert facts.verdict.decision == "ACCEPT"
    assert beaten.get("release", SECOND)
    features = beaten.space.snapshots.frame(beaten.get("features", FIRST).snapshot, "features.parquet")
    stored = beaten.space.snapshots.frame(beaten.get("evaluation", SECOND).snapshot, "scores.parquet")
    assert stored["baseline"].unique().to_list() == [features["came_back"].mean()]
    assert set(facts.metrics["roc_auc"]) == {"candidate", "baseline"}
    assert facts.metrics["roc_auc"]["baseline"].value == 0.5
    card = beaten.space.snapshots.read(beaten.get("release", SECOND).snapshot, "card.md").decode()
    assert "| baseline |" in card
    assert "roc_auc(candidate) - roc_auc(baseline) > 0" in card


def test_its_scores_are_judged_again_like_the_others(beaten: Home) -> None:
    evaluation, lineage = beaten.get("evaluation", SECOND), beaten.space.lineage
    assert contradictions(lineage, beaten.product, evaluation) == []
    read = lineage.snapshots.frame

    def harder(snapshot: str, name: str) -> pl.DataFrame:
        frame = read(snapshot, name)
        if name != "scores.parquet":
            return frame
        return frame.with_columns(baseline=pl.col("came_back").cast(pl.Float64))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(lineage.snapshots), "frame", lambda _, *arguments: harder(*arguments))
        (contradiction,) = contradictions(lineage, beaten.product, evaluation)
        assert contradiction.startswith("its stored scores give INCONCLUSIVE, not ACCEPT: beats: ")
        patch.setattr(type(lineage.snapshots), "frame", lambda _, *arguments: read(*arguments).drop("baseline", strict=False))
        assert contradictions(lineage, beaten.product, evaluation) == ["there are no stored scores of the baseline"]


def test_who_does_not_beat_it_is_withheld(tmp_path: Path) -> None:
    judged_home = judged(tmp_path, "{linear: [amount]}", "log_loss(candidate) - log_loss(baseline) < 0")
    verdict = EvaluationFacts.of(judged_home.get("evaluation", SECOND)).verdict
    assert verdict.decision != "ACCEPT"
    assert any(reason.startswith("beats: ") for reason in verdict.reasons)
    assert judged_home.current("release", SECOND) is None
