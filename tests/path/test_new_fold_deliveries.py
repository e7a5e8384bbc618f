"""A static table whose reserve folds are used up: new rows open folds, and without them a person decides, by name."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.core.lineage.facts import EvaluationFacts, FeaturesFacts, ReleaseFacts
from ml_assets.core.model.split import parts, rows_of
from ml_assets.services.automation.product_notices import causes
from ml_assets.services.folds import NothingToReopen, reopen
from ml_assets.services.next_window import next_window
from ml_assets.services.planning.plan import make_plan
from ml_assets.services.rederived_verdict import contradictions
from ml_assets.services.release_status import overrule
from ml_assets.services.review.trial_windows import retired_windows
from resources.ledger.decisions import DecisionRefused
from tests.support.homes.loans import KEYS, deliver, loans, rows
from tests.support.homes.path_homes import Home, Run, blank_pages

FIRST, SECOND, THIRD, FOURTH, FIFTH = KEYS
TWO_FOLDS = ("folds: 4", "folds: 2, new_fold: 20")
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, dict[str, Run]]]:
    """Two deliveries for the reserve folds, one with new rows, one without any, and one with new rows again."""
    home = loans(tmp_path_factory.mktemp("folds"), TWO_FOLDS)
    contents = {FIRST: rows(FIRST), SECOND: rows(SECOND), THIRD: rows(THIRD), FOURTH: rows(THIRD), FIFTH: rows(FIFTH)}
    runs = {}
    with blank_pages():
        for key, table in contents.items():
            deliver(home, key, table=table)
            runs[key] = home.run(key)
    yield home, runs
    home.close()


def keys_of(home: Home, partition: str) -> tuple[set[int], set[int]]:
    """The keys that the release as of a delivery says that it was trained on, and those that it was tested on."""
    facts = ReleaseFacts.of(home.get("release", partition))
    assert facts.split is not None
    frame = rows_of(home.space.lineage.handle(home.get("features", partition)), home.product)
    tested = home.space.snapshots.frame(home.get("evaluation", partition).snapshot, "scores.parquet")["loan_id"]
    return set(frame.filter(parts(frame, home.product).is_in(facts.split.parts))["loan_id"]), set(tested)


def test_new_rows_open_a_fold_and_go_down_the_path(ran: tuple[Home, dict[str, Run]]) -> None:
    home, runs = ran
    for key in (THIRD, FIFTH):
        assert runs[key].success, (key, runs[key].errors)
        assert runs[key].outcome is not None
        assert runs[key].outcome.kind == "promoted", (key, runs[key].outcome)
    assert home.serving() == home.get("release", FIFTH).facts["release"]


def test_no_row_is_tested_on_that_any_model_before_was_trained_or_tested_on(ran: tuple[Home, dict[str, Run]]) -> None:
    home, _ = ran
    known = {key: keys_of(home, key) for key in (FIRST, SECOND, THIRD, FIFTH)}
    for key, (_, tested) in known.items():
        assert len(tested) >= 20
        for other, (trained, tested_before) in known.items():
            if other <= key:
                assert not tested & trained, (key, other)
            if other < key:
                assert not tested & tested_before, (key, other)
    assert known[THIRD][1] & {row["loan_id"] for row in rows(FIFTH)} <= known[FIFTH][0]


def test_without_new_rows_the_state_says_what_is_lacking_and_the_data_go_on(ran: tuple[Home, dict[str, Run]]) -> None:
    home, runs = ran
    run = runs[FOURTH]
    assert run.success, run.errors
    assert {"features", "monitoring", "predictions"} <= run.computed
    assert "model" not in run.materialized
    assert run.outcome is not None
    assert run.outcome.kind == "no candidate"
    assert "a new fold opens with 20 new rows whose outcome is known, 0 are there" in run.outcome.reason
    assert "`ml-assets reopen loans --partition 0004`" in run.outcome.reason
    assert retired_windows(home.space.ledger, home.product) == [FIRST, SECOND, THIRD]
    assert [n.event for n in causes(home.space.lineage, home.space.landing, home.space.settings, home.product)].count(
        "waiting"
    ) == 0
    assert "no reserve fold is left" in next_window(home.space.ledger, home.product)


def test_the_plan_of_a_delivery_without_a_fold_has_nothing_to_train(ran: tuple[Home, dict[str, Run]]) -> None:
    home, _ = ran
    planned = make_plan(home.space.lineage, home.space.landing, home.product, cache=home.space.settings.cache)
    assert {item.stage for item in planned} <= {"report", "tracking"}, "Home.run leaves the leaves out"


def test_a_person_reopens_the_last_fold_and_overrides_what_it_shows_by_name(
    ran: tuple[Home, dict[str, Run]], tmp_path: Path
) -> None:
    home = ran[0].copy(tmp_path / "home")
    deliver(home, "0006", table=rows(FIFTH))
    with blank_pages():
        assert home.run("0006").outcome.kind == "no candidate"  # type: ignore[union-attr]
        serving = home.serving()
        reopen(home.space.ledger, home.product, "0006", by=" ana ", reason="no new customers")
        planned = make_plan(home.space.lineage, home.space.landing, home.product, cache=home.space.settings.cache)
        assert ("features", "0006") in {(item.stage, item.partition) for item in planned}
        run = home.run("0006")
        assert run.success, run.errors
        evaluation = home.get("evaluation", "0006")
        facts = EvaluationFacts.of(evaluation)
        assert facts.verdict.decision == "INCONCLUSIVE"
        assert "fold 5 was the test window of an earlier delivery, and a person reopened it" in facts.verdict.reasons[0]
        assert contradictions(home.space.lineage, home.product, evaluation) == []
        assert home.serving() == serving, "what it shows proves nothing"
        fold = FeaturesFacts.of(home.get("features", "0006")).fold
        assert fold is not None
        assert fold.reopened == 5
        overrule(home.space.lineage, home.product, "0006", by="ana", reason="I looked at it", via="cli")
        run = home.run("0006")
    assert run.success, run.errors
    release = ReleaseFacts.of(home.get("release", "0006"))
    assert home.serving() == release.release
    assert release.override is not None
    assert release.override.by == "ana"
    entries = [entry for entry in home.space.ledger.entries() if entry.kind == "reopening"]
    assert [(entry.body["by"], entry.body["reason"], entry.body["partition"]) for entry in entries] == [
        ("ana", "no new customers", "0006")
    ]
    assert "0006" not in retired_windows(home.space.ledger, home.product, most=9)


def test_what_needs_no_reopening_is_refused(ran: tuple[Home, dict[str, Run]]) -> None:
    home, _ = ran
    ledger, product = home.space.ledger, home.product
    for partition, words in (
        (FIRST, "has a reserve fold of its own"),
        (FOURTH, "only the newest delivery"),
        (FIFTH, "is tested on a fold of"),
        ("0009", "only the newest delivery.*`ml-assets run loans --partition 0005`"),
    ):
        with pytest.raises(NothingToReopen, match=words):
            reopen(ledger, product, partition, by="ana", reason="so")


def test_a_reopening_needs_a_name_and_a_reason(ran: tuple[Home, dict[str, Run]], tmp_path: Path) -> None:
    home = ran[0].copy(tmp_path / "home")
    deliver(home, "0006", table=rows(FIFTH))
    with blank_pages():
        home.run("0006")
    for by, reason in (("", "so"), ("ana", " ")):
        with pytest.raises(DecisionRefused):
            reopen(home.space.ledger, home.product, "0006", by=by, reason=reason)


def test_the_command_reopens_and_says_who_did(
    ran: tuple[Home, dict[str, Run]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = ran[0].copy(tmp_path / "home")
    monkeypatch.setenv("ML_ASSETS_HOME", str(home.folder))
    monkeypatch.setenv("ML_ASSETS_PRODUCTS", str(home.declared.parent))
    refused = CliRunner().invoke(cli, ["reopen", "loans", "-p", FIFTH, "--by", "ana", "--reason", "so"])
    assert refused.exit_code == 1
    assert "is tested on a fold of" in str(refused.exception)
    deliver(home, "0006", table=rows(FIFTH))
    with blank_pages():
        home.run("0006")
        result = CliRunner().invoke(cli, ["reopen", "loans", "-p", "0006", "--by", "ana", "--reason", "no new customers"])
    assert "loans 0006: the last fold is reopened by ana: no new customers" in result.output, result.output
    assert home.get("evaluation", "0006") is not None
