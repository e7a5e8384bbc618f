"""The report for review, and that no value in it, whoever chose it, has power over the page that shows it."""

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.core.evaluation.markdown_report import MOST_SLICES, review
from ml_assets.core.lineage.manifests import Manifest, Output, Recipe
from ml_assets.core.markdown import LONGEST, MANY_LINES, MOST_LINES, code, in_full, prose, table, text
from tests.support import command_line

HOSTILE = [
    "a|b",
    "a\\|b",
    "`x` ``y``",
    "@everyone",
    "<img src=x onerror=alert(1)>",
    "[click](https://evil.example)",
    "![p](../../.git/config)",
    "https://evil.example",
    "www.evil.example",
    "o/r#1 GH-2",
    "line\nbreak\r\n# title",
    "\u202egnp.exe",
    "&#64;everyone",
    "```mermaid",
    "",
    " ",
    "x" * 5000,
]
LIVE = re.compile(r"(?<!\\)<\w|@\w|(?<!\\)\]\(|https?://|www\.|#\d|GH-\d|(?<!\\)&#|^\s*```|\u202e", re.MULTILINE)


def estimate(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "units": 31, "rows": 100, "note": "" if value is not None else "one class"}


def compared(difference: tuple[float, float, float] = (0.01, -0.01, 0.03)) -> dict[str, Any]:
    roles = {"candidate": estimate(0.7, 0.6, 0.8), "champion": estimate(0.69, 0.6, 0.8)}
    return {"metric": "roc_auc", **roles, "difference": estimate(*difference)}


def measured(levels: list[str], **change: Any) -> dict[str, Any]:
    slices = [{"column": "carrier", "level": name, "rows": 9, "positives": 1, "comparisons": [compared()]} for name in levels]
    return {"level": 0.95, "rows": 1000, "units": 31, "positives": 200, "overall": [compared()], "slices": slices} | change


def manifest(*, reasons: list[str] | None = None, champion: str | None = "2013-02.aa") -> Manifest:
    claims = [
        {
            "name": "floor",
            "kind": "prove",
            "text": "roc_auc(candidate) > 0.6",
            "outcome": "FAIL" if reasons else "PASS",
            "message": (reasons or ["ok"])[0],
        },
    ]
    verdict = {"decision": "REJECT" if reasons else "ACCEPT", "reasons": reasons or [], "claims": claims, "guarantee": "If."}
    facts = {"verdict": verdict, "candidate": "c" * 64, "tested": ["2013-03"]}
    facts["champion"] = {"release": champion, "bundle": "b" * 64} if champion else None
    recipe = Recipe(
        product="flights",
        stage="evaluation",
        partition="2013-03",
        code="c0de" * 16,
        config="c0f1" * 16,
        environment="e" * 64,
        seed=None,
        threads=None,
        inputs=(),
        details={"environment": {"python": "3.11"}},
    )
    return Manifest(recipe=recipe, data_version="d" * 64, snapshot="5" * 64, facts=facts)


def test_the_verdict_comes_first_and_every_reason_after_it() -> None:
    shown = review(manifest(reasons=["roc_auc is 0.5, must be at least 0.6", "brier: worse"]), measured([]), [])
    assert shown.startswith("## ❌ flights 2013-03: REJECT\n")
    assert "- roc\\_auc is 0.5, must be at least 0.6\n- brier: worse\n" in shown
    assert "| `floor` | prove `roc_auc(candidate) > 0.6` | **disproven** |" in shown
    order = [shown.index(title) for title in ("REJECT", "### Claims", "### Metrics", "### Reproduce")]
    assert order == sorted(order)


def test_a_window_that_decided_nothing_shows_no_empty_table_of_claims() -> None:
    undecided = manifest(reasons=["the test window holds too little to decide"])
    undecided.facts["verdict"]["claims"] = []
    shown = review(undecided, measured([]), [])
    assert "### Claims\n\nNone was judged, for the reason above.\n" in shown


def test_numbers_have_their_intervals_and_a_clear_change_is_named() -> None:
    shown = review(manifest(), measured([], overall=[compared((-0.02, -0.03, -0.01))]), [])
    assert "| 0.7000 [0.6000, 0.8000] | 0.6900 [0.6000, 0.8000] | -0.0200 [-0.0300, -0.0100] **worse** |" in shown


def test_what_is_undefined_says_why() -> None:
    shown = review(manifest(champion=None), measured([], overall=[{"metric": "roc_auc", "candidate": estimate(None)}]), [])
    assert "| undefined (one class) |" in shown
    assert "no champion: a first release" in shown


def test_plots_are_shown_by_relative_path_and_commands_make_it_again() -> None:
    shown = review(manifest(), measured([]), ["roc.svg", "score_distribution.svg"])
    assert "![roc](./roc.svg)\n![score distribution](./score_distribution.svg)" in shown
    assert "`ml-assets run flights --partition 2013-03`" in shown
    assert f"`ml-assets lineage {manifest().id[:12]}`" in shown


def test_a_slice_that_got_worse_is_never_left_out() -> None:
    evaluation = measured([f"level {n}" for n in range(MOST_SLICES + 20)])
    evaluation["slices"][-1]["comparisons"] = [compared((-0.2, -0.3, -0.1))]
    shown = review(manifest(), evaluation, [])
    assert f"`level {MOST_SLICES + 19}`" in shown
    assert f"`level {MOST_SLICES + 18}`" not in shown
    assert "19 more slices are in the evaluation." in shown


@pytest.mark.parametrize("value", HOSTILE)
def test_a_level_is_one_inert_cell_whatever_its_name(value: str) -> None:
    lines = review(manifest(), measured([value]), []).splitlines()
    row = next(line for line in lines if line.startswith("| `carrier` |"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 7, "six cells"
    fence = re.match(r"\| `carrier` \| (`+)", row)
    assert fence
    assert fence[1] not in row.split(fence[1])[1], "no run of backticks inside is as long as the one around"
    assert len(row) < 600


@pytest.mark.parametrize("value", HOSTILE)
def test_a_message_is_one_inert_line_whatever_it_says(value: str) -> None:
    shown = review(manifest(reasons=[value]), measured([]), [])
    evaluation = [line for line in shown.splitlines() if line.startswith(("- ", "| `floor`")) and "ml-assets" not in line]
    assert len(evaluation) == 2
    assert not LIVE.search("\n".join(evaluation))
    assert len(re.findall(r"(?<!\\)\|", evaluation[1].replace("\\\\", ""))) == 5, "four cells"


def test_code_text_and_tables_show_what_they_are_given() -> None:
    assert (code("a"), code("`"), code("a``b")) == ("`a`", "`` ` ``", "```a``b```")
    assert text("p < 0.05 & *q*_") == r"p \< 0.05 \& \*q\*\_"


def test_a_few_sentences_are_shown_whole_and_a_flood_is_cut() -> None:
    message = "; ".join(
        ["carrier=VX: -0.0128, not disproven, the worst of 14 slices, 31 units worth 12.9 (r 0.42, lean 0.20)"] * 5
    )
    assert len(message) > 2 * LONGEST
    assert prose(message) == message
    flood = prose("word " * 10_000)
    assert flood.endswith("…")
    assert len(flood) <= MOST_LINES * (LONGEST + 1)
    assert in_full("word " * 1000).count("word") == 1000
    assert len(in_full("word " * 100_000)) <= MANY_LINES * (LONGEST + 1)
    assert "\n" not in prose("one\ntwo\r\nthree")
    assert table(["a"], [["x|y"]]) == "| a |\n| --- |\n| x\\|y |"


def test_the_command_writes_report_plots_and_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days = command_line.days_in(tmp_path)
    _environ(monkeypatch, days)
    space, spec = days.open(), days.flights
    files = {"metrics.json": json.dumps(measured(["UA"])).encode(), "plots/roc.svg": b"<svg/>", "report.html": b"<html>"}
    output_made = space.lineage.make(manifest().recipe, lambda: Output(files, manifest().facts), run="r")
    assert spec.name == output_made.manifest.recipe.product
    space.ledger.close()
    result = CliRunner().invoke(cli, ["report", "flights", "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".gitignore", "report.html", "report.md", "roc.svg"]
    warning, page = (tmp_path / "out" / "report.md").read_text().split("\n\n", 1)
    assert warning.startswith("> **no look was charged here for this evaluation")
    assert page.startswith("## ✅ flights 2013-03: ACCEPT")


def test_the_load_and_the_report_say_what_the_history_says_of_the_gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days = command_line.days_in(tmp_path)
    _environ(monkeypatch, days)
    space, spec = days.open(), days.flights
    claim = next(claim for claim in spec.gates.claims if claim.name == "not_worse")
    recorded = {
        "name": claim.name,
        "kind": claim.kind,
        "text": claim.text,
        "sign": ">",
        "limit": claim.form.constant,
        "units": 20,
    }
    for day in ("2013-01-03", "2013-01-04", "2013-01-05"):
        one, numbers = manifest(), {"estimate": 0.01, "standard_error": 0.02, "freedom": 15, "skewness": 0, "past_skewness": 0}
        facts = {**one.facts, "verdict": {**one.facts["verdict"], "unit": "hour", "claims": [{**recorded, **numbers}]}}
        files = {"metrics.json": json.dumps(measured(["UA"])).encode()}
        recipe = replace(one.recipe, partition=day)
        space.lineage.make(recipe, partial(Output, files, facts), run="r")
    space.ledger.close()
    sentence = "BEYOND HISTORY: not_worse allows 0.95, and none of 3 recorded comparisons left a difference of more than 0.05"
    assert f"flights: gates: {sentence}" in CliRunner().invoke(cli, ["plan", "flights"]).output
    assert CliRunner().invoke(cli, ["report", "flights", "--output", str(tmp_path / "out")]).exit_code == 0
    page = (tmp_path / "out" / "report.md").read_text().replace("\\", "")
    assert f"### What the history says of these gates\n\n- {sentence}" in page


def test_without_an_evaluation_the_command_says_what_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _environ(monkeypatch, command_line.days_in(tmp_path))
    result = CliRunner().invoke(cli, ["report", "flights"])
    assert (result.exit_code, result.output) == (
        1,
        "Error: flights: nothing is evaluated yet; `ml-assets run flights` runs the path\n",
    )


def test_help_says_what_is_written_and_what_the_exit_code_means() -> None:
    shown = " ".join(CliRunner().invoke(cli, ["report", "--help"]).output.split())
    assert all(word in shown for word in ("report.md", "report.html", "--partition", "--output", "Exit code 0 whatever"))


def _environ(monkeypatch: pytest.MonkeyPatch, days: command_line.Days) -> None:
    for name in ("ML_ASSETS_HOME", "ML_ASSETS_PRODUCTS"):
        monkeypatch.setenv(name, days.environ[name])
