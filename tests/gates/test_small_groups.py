"""Groups and slices that are small: none is left out, labels are asked for where they count, columns can be crossed."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ml_assets.core.evaluation.snapshot import columns_of
from ml_assets.core.gates.panel import Panel, panel
from ml_assets.spec.claim_grammar import ClaimTextError, parse
from ml_assets.spec.gates import MinimumSpec
from tests.support.gated import arguments, claim, judged, outcome_again
from tests.support.gated import product as gated

ENOUGH = MinimumSpec(units=20, positives=50, negatives=50)


def by_line(line: Any, **changes: Any) -> Panel:
    given = arguments(champion=None)
    return panel(**given | {"columns": {"line": line(given)}} | changes)


def test_a_group_that_is_too_small_leaves_the_claim_open_and_is_named() -> None:
    rows = by_line(lambda given: np.where(given["unit"] == 3, "C", np.where(np.arange(6000) % 2, "A", "B")))
    verdict = judged("ratio(brier, by: line) > 0.1", rows, "veto", minimum=ENOUGH)
    assert verdict.outcome == "UNDECIDED"
    assert "too small to be judged: line=C: 1 units (at least 20)" in verdict.message
    assert outcome_again(verdict.to_dict(), level=0.01) == "UNDECIDED", "nor is it believed when it is read again"
    assert (
        judged("ratio(brier, by: line) > 0.1", by_line(lambda _: np.where(np.arange(6000) % 2, "A", "B")), "veto").outcome
        == "PASS"
    )


def with_a_small_slice(**changes: Any) -> tuple[Panel, Any]:
    """Lines A and B, and C with one row in a hundred: on all days, but with too few positives."""
    line = np.where(np.arange(6000) % 100 == 0, "C", np.where(np.arange(6000) % 3, "A", "B"))
    given = arguments()
    return panel(**given | {"columns": {"line": line}} | changes), line


@pytest.mark.parametrize("kind", ["prove", "veto"])
@pytest.mark.parametrize(
    "text",
    [
        "log_loss(candidate) - log_loss(champion) < 0.05",
        "roc_auc(candidate) - roc_auc(champion) > -0.2",
        "pr_auc(candidate) - pr_auc(champion) > -0.2",
        "tpr(candidate) > 0.05",
    ],
)
def test_a_slice_too_small_even_with_others_like_it_is_judged_with_the_smallest_that_is_not(text: str, kind: str) -> None:
    rows, _ = with_a_small_slice()
    parts = judged(text, rows, kind, for_each=["line"], minimum=ENOUGH).parts
    assert sorted(part.where for part in parts) == ["line=(the others): C, with B", "line=A", "line=B"]
    assert {part.where: part.rows for part in parts}["line=(the others): C, with B"] == 2040
    alone = judged(text, rows, kind, for_each=["line"], minimum=MinimumSpec(units=20, positives=1, negatives=1)).parts
    estimates = {part.where: part.estimate for part in alone}
    assert all(part.estimate == estimates[part.where] for part in parts if part.where in ("line=A", "line=B"))


def test_a_loss_in_a_slice_too_small_to_be_judged_alone_fails_the_claim() -> None:
    given = arguments()
    rows, line = with_a_small_slice()
    wrong = np.where(line == "C", np.where(given["y"] == 1, 1e-9, 1 - 1e-9), given["scores"]["candidate"])
    broken, _ = with_a_small_slice(scores=given["scores"] | {"candidate": wrong})
    text = "log_loss(candidate) - log_loss(champion) < 0.05"
    outcomes = [judged(text, p, "veto", for_each=["line"], minimum=ENOUGH).outcome for p in (rows, broken)]
    assert outcomes == ["PASS", "FAIL"]


@pytest.mark.parametrize("kind", ["prove", "veto"])
@pytest.mark.parametrize(
    "text", ["brier(candidate) < 0.9", "pr_auc(candidate) > 0.01", "disagreement(candidate, champion) < 0.99"]
)
def test_a_column_without_a_slice_that_is_large_enough_leaves_the_claim_open(text: str, kind: str) -> None:
    rows = by_line(lambda given: given["unit"].astype(str), scores=arguments()["scores"])
    few = MinimumSpec(units=31, positives=50, negatives=50)
    result = judged(text, rows, kind, for_each=["line"], minimum=few)
    assert result.outcome == "UNDECIDED"
    assert "30 units (at least 31)" in result.message
    assert outcome_again(result.to_dict(), level=0.01) == "UNDECIDED"


def test_what_needs_no_labels_needs_rows_and_no_positives() -> None:
    given = arguments(champion=None)
    line = np.where(np.arange(6000) % 10, "A", "B")
    few = given["y"] * (line == "A")  # no positive of line B
    verdict = {
        metric: judged(f"ratio({metric}, by: line) > 0.1", by_line(lambda _: line, y=few), "veto", minimum=ENOUGH)
        for metric in ("selection_rate", "brier")
    }
    assert verdict["selection_rate"].outcome == "PASS"
    assert verdict["brier"].outcome == "UNDECIDED"
    assert "line=B: 0 positives (at least 50)" in verdict["brier"].message


def test_columns_can_be_taken_together(tmp_path: Path) -> None:
    form = parse("ratio(selection_rate, by: [line, platform]) > 0.8")
    assert (form.measures[0].columns, str(form.measures[0])) == (
        ("line", "platform"), "ratio(selection_rate, candidate, by: [line, platform])",
    )  # fmt: skip
    assert parse(f"{form.measures[0]} > 0.8").terms == form.terms
    with pytest.raises(ClaimTextError, match="twice"):
        parse("ratio(selection_rate, by: [line, line]) > 0.8")
    with pytest.raises(ClaimTextError, match=r"\]"):
        parse("ratio(selection_rate, by: [line, platform > 0.8")


def test_what_neither_column_shows_alone_shows_in_both_together(tmp_path: Path) -> None:
    """Of either sex and of either line half are chosen; but of men on A and women on B all, of the others none."""
    gates = {
        "unit": "day",
        "claims": [
            {"name": "floor", "prove": "roc_auc(candidate) > 0.6"},
            {"name": "fair", "veto": "ratio(selection_rate, by: [line, sex]) > 0.8"},
        ],
    }
    product = gated(tmp_path, gates)
    assert product.gates.slices == ("line", "sex")
    given = arguments(champion=None)
    line, sex = np.where(np.arange(6000) % 2, "A", "B"), np.where(np.arange(6000) // 2 % 2, "m", "f")
    frame = pl.DataFrame({"line": line, "sex": sex})
    score = np.where((line == "A") == (sex == "m"), 0.5, 0.1) + 0.05 * np.random.default_rng(0).random(6000)
    rows = panel(**given | {"columns": columns_of(frame, product), "scores": {"candidate": score}})
    assert sorted(rows.groups["line, sex"]) == ["A, f", "A, m", "B, f", "B, m"]
    alone = [judged(f"ratio(selection_rate, by: {name}) > 0.8", rows, "veto").outcome for name in ("line", "sex")]
    both = judged(claim("ratio(selection_rate, by: [line, sex]) > 0.8", "veto").text, rows, "veto")
    assert alone == ["PASS", "PASS"]
    assert (both.outcome, len(both.parts)) in (("FAIL", 12), ("UNDECIDED", 12))
    assert both.outcome != "PASS"
