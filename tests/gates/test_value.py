"""What decisions and errors are worth, in claims; and claims that compare by a factor."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.metrics import confusion_matrix

from ml_assets.core.evaluation.snapshot import judge_candidate
from ml_assets.core.gates.panel import panel
from ml_assets.core.gates.verdict import gate_digest
from ml_assets.core.lineage.stages import STAGES, stage_config
from ml_assets.spec.monitoring import ValueSpec
from ml_assets.spec.product import Product, ProductError, load
from tests.support.gated import GATES, arguments, judged, outcome_again
from tests.support.gated import product as trains

WORTH = {"true_positive": 10, "false_positive": -2}
BETTER = {"name": "worth_more", "prove": "value(candidate) - value(champion) > 0"}
CLAIMS = [*GATES["claims"][:3], BETTER]


def with_value(folder: Path, value: dict[str, Any] | None, claims: list[dict[str, Any]], *, is_decided: bool = True) -> Product:
    """The trains whose decisions have a worth."""
    folder_ = trains(folder).folder
    spec = yaml.safe_load((folder_ / "product.yaml").read_text())
    spec["gates"]["claims"] = claims
    spec["monitoring"] |= {"value": value} if value else {}
    if not is_decided:
        del spec["decision"]
    (folder_ / "product.yaml").write_text(json.dumps(spec), encoding="utf-8")
    return load(folder_)


def panel_worth(worth: ValueSpec, **changes: Any) -> Any:
    return panel(**(arguments() | {"worth": worth} | changes))


def test_a_candidate_that_is_worth_more_passes_and_one_that_is_worth_less_fails() -> None:
    rows = panel_worth(ValueSpec(**WORTH))
    claim = judged(BETTER["prove"], rows)
    scores = rows.scores["candidate"], rows.scores["champion"]
    means = [np.where(s >= 0.3, np.where(rows.y == 1, 10, -2), 0).mean() for s in scores]
    assert claim.estimate == pytest.approx(means[0] - means[1])
    assert (claim.outcome, claim.low > 0) == ("PASS", True)
    assert outcome_again(claim.to_dict(), level=0.01) == "PASS"
    alone = judged("value(candidate) > 0.1", rows)
    assert 0.1 < alone.low < alone.estimate < alone.high
    cheap = panel_worth(ValueSpec(true_positive=0.01, false_positive=-1, true_negative=1))
    assert judged("value(candidate) - value(champion) > 5", cheap).outcome == "FAIL"


def test_the_value_of_a_regression_is_that_of_its_errors() -> None:
    random = np.random.default_rng(0)
    y = random.normal(0, 1, 600)
    scores = {"candidate": y + random.normal(0, 1, 600), "champion": y + random.normal(0, 2, 600)}
    rows = panel(task="regression", y=y, scores=scores, unit=np.repeat(np.arange(30), 20), columns={}, worth=ValueSpec(error=-5))
    claim = judged(BETTER["prove"], rows)
    assert claim.estimate == pytest.approx(-5 * (np.abs(scores["candidate"] - y) - np.abs(scores["champion"] - y)).mean())
    assert claim.outcome == "PASS"


def test_the_value_of_several_classes_is_that_of_the_cells_of_the_confusion_matrix() -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 900).astype(float)
    truth = np.eye(3)[y.astype(int)]
    scores = {name: truth * sure + random.dirichlet([1, 1, 1], 900) for name, sure in (("candidate", 0.6), ("champion", 0.2))}
    scores = {name: values / values.sum(axis=1, keepdims=True) for name, values in scores.items()}
    cells = ((1.0, -1.0, -2.0), (0.0, 1.0, -1.0), (-9.0, -1.0, 1.0))
    worth = ValueSpec(matrix=cells)
    rows = panel(task="multiclass", y=y, scores=scores, unit=np.repeat(np.arange(30), 30), columns={}, worth=worth)
    claim = judged(BETTER["prove"], rows)
    counts = {name: confusion_matrix(y, values.argmax(axis=1)) for name, values in scores.items()}
    means = {name: (count * np.array(cells)).sum() / 900 for name, count in counts.items()}
    assert claim.estimate == pytest.approx(means["candidate"] - means["champion"], abs=1e-12)
    assert (claim.outcome, outcome_again(claim.to_dict(), level=0.01)) == ("PASS", "PASS")


@pytest.mark.parametrize(("factor", "outcome"), [(1.05, "PASS"), (0.5, "FAIL"), (0.862, "UNDECIDED")])
def test_a_claim_may_compare_by_a_factor(factor: float, outcome: str) -> None:
    rows = panel(**arguments())
    text = f"brier(candidate) < {factor} * brier(champion)"
    claim = judged(text, rows)
    assert claim.outcome == outcome, claim.message
    briers = [((rows.scores[model] - rows.y) ** 2).mean() for model in ("candidate", "champion")]
    assert claim.estimate == pytest.approx(briers[0] - factor * briers[1])
    assert (claim.limit, outcome_again(claim.to_dict(), level=0.01)) == (0, outcome)


def test_a_verdict_by_factor_says_what_it_promises(tmp_path: Path) -> None:
    product = trains(tmp_path, claims=[{"name": "near", "prove": "brier(candidate) < 1.05 * brier(champion)"}, *CLAIMS[2:3]])
    rows = arguments()
    judgement = judge_candidate(_frame(rows), rows["scores"], product=product)
    assert judgement.verdict.guarantee.startswith(
        "If brier of this candidate were 1.05 times that of the champion or more on days"
    )


def test_the_value_is_reported_where_it_is_declared(tmp_path: Path) -> None:
    product, rows = with_value(tmp_path, WORTH, CLAIMS), arguments()
    judgement = judge_candidate(_frame(rows), rows["scores"], product=product)
    claim = judgement.evaluation.comparison("value")
    assert claim is not None
    assert claim.difference is not None
    assert claim.difference.value == pytest.approx(judgement.verdict.claims[-1].estimate)


def _frame(rows: dict[str, Any]) -> Any:
    import polars as pl

    days = pl.Series(rows["unit"]).cast(pl.Int64)
    first = pl.datetime(2013, 1, 1)
    frame = pl.DataFrame({"is_late": rows["y"], "line": rows["columns"]["line"], "day": days})
    return frame.with_columns(departs_at=first + pl.duration(days=pl.col("day")))


def test_another_worth_is_another_question_only_where_a_claim_asks_about_it(tmp_path: Path) -> None:
    def digests(claims: list[dict[str, Any]], name: str) -> list[str]:
        given = (WORTH, {**WORTH, "false_positive": -3})
        return [gate_digest(with_value(tmp_path / f"{name}{number}", value, claims)) for number, value in enumerate(given)]

    with_value_digests, unasked = digests(CLAIMS, "asked"), digests(CLAIMS[:3], "unasked")
    assert with_value_digests[0] != with_value_digests[1]
    assert unasked[0] == unasked[1] == gate_digest(trains(tmp_path / "none", claims=CLAIMS[:3]))


def test_without_a_worth_no_recipe_mentions_it(tmp_path: Path) -> None:
    product = trains(tmp_path)
    assert "monitoring" not in stage_config(product, STAGES["evaluation"])
    assert "value" not in str(stage_config(product, STAGES["monitoring"])["monitoring"])


@pytest.mark.parametrize(
    ("value", "claims", "words"),
    [
        (None, CLAIMS, "claim 'worth_more' is about value; declare it: `value: {true_positive: 10, false_positive: -1}`"),
        ({"true_positive": 0}, CLAIMS, "every decision is worth the same"),
        ({"error": -1}, CLAIMS, "of a binary task say true_positive"),
        ({"error": 1}, CLAIMS, "monitoring.value.error"),
        ({"error": -1, "true_positive": 2}, CLAIMS, "not both"),
    ],
)
def test_a_worth_that_says_nothing_is_refused(
    tmp_path: Path, value: dict[str, Any] | None, claims: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(ProductError) as error:
        with_value(tmp_path, value, claims)
    assert words in str(error.value)


def test_decisions_have_no_worth_where_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="there are none without `decision:"):
        with_value(tmp_path, WORTH, CLAIMS[:3], is_decided=False)
