"""No run mixes generations: what is stale is rebuilt before it is used, or the run refuses and says what to do."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ml_assets.cli.shared.progress import Progress
from ml_assets.core.lineage import stages
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.model.features import FeaturesRefused, stacked
from ml_assets.core.model.scoring import load_model, score_frame
from ml_assets.stages import release as release_asset
from tests.support.homes.path_homes import Home, Run
from tests.support.homes.shop import DAYS, deliver, shop

DATA = ("raw", "dataset", "quarantine", "features")
RELEASED = (*DATA, "model", "evaluation", "release")
PATH = (*RELEASED, "endpoint/staging", "endpoint/production")
OLD, NEW = DAYS[:3], DAYS[3]
Copies = Callable[[], Home]
pytestmark = pytest.mark.timeout(900)  # three days are taken to production first, on whatever machine


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Three days with the first SQL; the release of the third serves."""
    own_home = shop(tmp_path_factory.mktemp("old"), ("\nmonitoring:", "\nrebuild: {most: 0}\n\nmonitoring:"))
    deliver(own_home, *OLD)
    assert own_home.run(OLD[0], only=DATA).success
    for day, selected in ((OLD[1], RELEASED), (OLD[2], PATH)):
        run = own_home.run(day, only=selected)
        assert run.success, run.errors
    assert own_home.serving() is not None
    yield own_home
    own_home.close()


@pytest.fixture
def copies(old: Home, tmp_path: Path) -> Iterator[Copies]:
    """Copies of the three days, each in a home of its own."""
    homes: list[Home] = []

    def copy() -> Home:
        homes.append(old.copy(tmp_path / f"copy{len(homes)}"))
        return homes[-1]

    yield copy
    for source in homes:
        source.close()


@pytest.fixture
def copy(copies: Copies) -> Home:
    return copies()


def times_1000(own_home: Home) -> None:
    own_home.edit("dbt/shop_features.sql", ("amount, items", "amount * 1000 as amount, items"))


def frame(own_home: Home, manifest: Manifest, member: str = "features.parquet") -> pl.DataFrame:
    return own_home.space.lineage.handle(manifest).frame(member)


# --- rebuilt first


@pytest.fixture(scope="module")
def after(old: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Run, dict[str, int]]]:
    """A fourth day after a change of features.sql, its run, and how the ledger was before."""
    own_home = old.copy(tmp_path_factory.mktemp("after"))
    times_1000(own_home)
    deliver(own_home, NEW)
    before = own_home.counts()
    run = own_home.run(NEW, only=PATH)
    assert run.success, run.errors
    yield own_home, run, before
    own_home.close()


After = tuple[Home, Run, dict[str, int]]


def test_spam_features_changed_training_sees_what_serving_sees(old: Home, after: After) -> None:
    own_home, _, _ = after
    model = own_home.get("model", NEW)
    assert model.facts["train"] == list(OLD)
    for source in own_home.space.lineage.inputs(model):
        now, was = frame(own_home, source), frame(own_home, old.get("features", source.partition))
        assert source.id == own_home.get("features", source.partition).id
        assert np.allclose(now["amount"], 1000 * was["amount"], equal_nan=True)
        assert now["amount"].mean() > 10_000  # type: ignore[operator]
    shipped = own_home.space.snapshots.read(own_home.get("release", NEW).snapshot, "features.sql").decode()
    assert "* 1000" in shipped
    assert own_home.serving() == own_home.get("release", NEW).facts["release"]


def test_what_was_rebuilt_is_in_the_runs_events_with_the_results_of_its_checks(after: After) -> None:
    own_home, run, _ = after
    assert run.rebuilt == {("features", day): True for day in OLD}
    for day in OLD:
        claims = {claim for stage, key, claim in run.rebuilt_checks if (stage, key) == ("features", day)}
        assert claims >= {"no_leakage", "requests_are_unique"}
        evidence = own_home.space.ledger.evidence(own_home.get("features", day).id)
        assert claims <= evidence.keys()
    assert all(run.rebuilt_checks.values())


def test_older_evaluations_and_releases_stay_and_one_look_is_charged(old: Home, after: After) -> None:
    own_home, _, before = after
    for stage in ("evaluation", "release", "model"):
        for day in OLD[1:]:
            assert own_home.get(stage, day).id == old.get(stage, day).id
    assert own_home.counts()["look"] == before["look"] + 1


def test_the_champion_is_scored_on_the_features_of_its_own_sql(old: Home, after: After) -> None:
    own_home, _, _ = after
    evaluation = own_home.get("evaluation", NEW)
    champion = own_home.space.lineage.handle(old.get("release", OLD[-1]))
    assert evaluation.facts["champion"]["release"] == champion.manifest.facts["release"]
    requests = frame(own_home, own_home.get("features", NEW), "requests.parquet")
    own = requests.with_columns(hour=pl.col("placed_at").dt.hour().cast(pl.Int64))
    expected = score_frame(
        load_model(champion.members["model.cbm"], task="binary"), own, champion.json("bundle.json")["features"]
    )
    scored = requests.select("id").join(frame(own_home, evaluation, "scores.parquet"), on="id", how="left", maintain_order="left")
    assert scored["champion"].to_numpy().tolist() == expected.tolist()
    assert len(set(expected)) > 3
    assert evaluation.facts["metrics"]["roc_auc"]["champion"]["value"] > 0.6


def test_count_and_cost_of_many_rebuilds_are_told_before_they_begin(after: After) -> None:
    _, run, _ = after
    log = [line for line in run.log if "rebuil" in line]
    assert "3 stale snapshots of 3 partitions are rebuilt first" in log[0]
    assert "more than rebuild.most (0): 3 snapshots, about" in log[1]
    assert "CPU seconds by recorded times" in log[1]
    assert "rebuilding 1 of 3: features 2024-03-01 (code of features changed: dbt/shop_features.sql)" in log[2]
    assert len(log) == 5


def test_the_command_line_shows_a_rebuild_and_does_not_count_it_as_this_partitions_stages(
    after: After, capsys: pytest.CaptureFixture[str]
) -> None:
    _, run, _ = after
    progress = Progress("shop", partition=NEW)
    for entry in run.entries:
        progress(entry)
    progress.close()
    shown = capsys.readouterr().out
    assert "3 stale snapshots of 3 partitions are rebuilt first\n" in shown
    assert "rebuilding 3 of 3: features 2024-03-03 (" in shown
    assert "more than rebuild.most (0)" in shown
    assert list(progress.stages) == list(run.materialized)
    assert f"{len(PATH)} made, 0 reused, 3 rebuilt" in shown


# --- what is not rebuilt is refused


@pytest.mark.parametrize("stage", ["model", "evaluation", "release"])
def test_a_stage_that_is_picked_alone_refuses_stale_inputs_by_name(copy: Home, stage: str) -> None:
    times_1000(copy)
    before = copy.counts()
    run = copy.run(OLD[-1], only=[stage])
    assert run.materialized == {}
    assert f"shop/{stage} 2024-03-03 reads what is stale: features 2024-03-01" in run.errors[stage]
    assert "dbt/shop_features.sql" in run.errors[stage]
    assert "`ml-assets run shop --partition 2024-03-03` rebuilds it first" in run.errors[stage]
    assert copy.counts() == before


def _contract(own_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    own_home.edit("contract.py", ('max_quarantined": 0.2', 'max_quarantined": 0.3'))


def _section(own_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    own_home.edit("product.yaml", ("lookback: 0", "lookback: 1"))


def _library(own_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    version = stages._version
    monkeypatch.setattr(stages, "_version", lambda name: "99" if name == "duckdb" else version(name))


def _both(*names: str) -> set[tuple[str, str]]:
    return {(name, day) for name in names for day in OLD[:2]}


CHANGES: dict[str, tuple[Callable[[Home, pytest.MonkeyPatch], None], set[tuple[str, str]]]] = {
    "contract.py": (_contract, _both("dataset", "quarantine", "features")),
    "a section of product.yaml": (_section, _both("features")),
    "a library": (_library, _both("features")),
}


@pytest.mark.long
@pytest.mark.parametrize("what", CHANGES)
def test_every_kind_of_change_is_rebuilt_before_training(copy: Home, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change, expected = CHANGES[what]
    change(copy, monkeypatch)
    run = copy.run(OLD[-1], only=(*DATA, "model"))
    assert run.success, run.errors
    assert set(run.rebuilt) == expected
    assert all(run.rebuilt_checks.values())
    assert run.materialized["model"] is (what != "a library"), "equal features of another library are no other input"


@pytest.mark.long
def test_a_rebuild_that_comes_out_equal_changes_nothing_downstream(copy: Home) -> None:
    copy.edit("dbt/shop_requests.sql", ("amount, items", "amount * 1 as amount, items"))
    before = copy.counts()
    run = copy.run(OLD[-1], only=RELEASED)
    assert run.success, run.errors
    assert set(run.rebuilt) == _both("features")
    assert run.computed <= {"features"}
    assert copy.counts()["look"] == before["look"]


# --- raw


@pytest.mark.long
def test_raw_whose_delivery_is_gone_is_read_again_from_the_bytes_that_the_store_keeps(copy: Home) -> None:
    copy.edit("product.yaml", (r"null_values: \[NA\]", "null_values: [NA, none]"))
    was = copy.get("raw", OLD[0])
    _forget_delivery(copy, OLD[0])
    run = copy.run(OLD[1], only=(*DATA, "model"))
    assert run.success, run.errors
    now = copy.get("raw", OLD[0])
    assert ("raw", OLD[0]) in run.rebuilt
    assert (now.id != was.id, now.data_version, now.recipe.inputs) == (True, was.data_version, was.recipe.inputs)


def test_raw_whose_bytes_are_gone_everywhere_is_refused_by_name(copy: Home) -> None:
    copy.edit("product.yaml", (r"null_values: \[NA\]", "null_values: [NA, none]"))
    raw = copy.get("raw", OLD[0])
    member = copy.space.snapshots.open(raw.snapshot).members["delivered/orders.csv"]
    _forget_delivery(copy, OLD[0])
    next(path for path in copy.folder.rglob(getattr(member, "digest", member)) if path.is_file()).unlink()
    run = copy.run(OLD[1], only=(*DATA, "model"))
    assert "shop/raw 2024-03-01 is stale and cannot be rebuilt" in run.errors["features"]
    assert "deliver it again: `ml-assets deliver shop TABLE FILE --partition 2024-03-01`" in run.errors["features"]
    assert "model" not in run.materialized


def _forget_delivery(own_home: Home, day: str) -> None:
    for path in own_home.space.landing.partition_files(own_home.product, day).values():
        path.unlink()


# --- the lock


def _another(own_home: Home, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Publish other features of a day that was trained on, after the evaluation; and let nobody notice before the lock."""
    features = own_home.get("features", OLD[0])
    recipe = replace(features.recipe, **{k: v for k, v in changes.items() if k in ("code", "config", "environment")})
    version = changes.get("data_version", features.data_version)
    own_home.space.ledger.publish(replace(features, recipe=recipe, data_version=version), run="another")
    monkeypatch.setattr(release_asset, "refuse_stale", lambda *_: None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data_version": "f" * 64}, "it used features of 2024-03-01 that are not the current ones"),
        ({"code": "c" * 64}, "the features of 2024-03-01 were made by another definition than the one that it ships"),
        ({"config": "c" * 64}, "the features of 2024-03-01 were made by another definition than the one that it ships"),
        ({"environment": "c" * 64}, "the features of 2024-03-01 were made by another definition than the one that it ships"),
    ],
)
def test_a_release_is_refused_whose_model_is_of_another_generation(
    copy: Home, changes: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _another(copy, monkeypatch, **changes)
    before = copy.counts()
    run = copy.run(OLD[-1], only=["release"])
    assert "release" not in run.materialized
    assert reason in run.errors["release"]
    assert "`ml-assets run shop --partition 2024-03-03`" in run.errors["release"]
    assert copy.counts()["refusal"] == before.get("refusal", 0) + 1


def test_a_release_is_refused_that_would_ship_sql_which_is_not_todays(copy: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_asset, "refuse_stale", lambda *_: None)
    times_1000(copy)
    run = copy.run(OLD[-1], only=["release"])
    assert "whose SQL it would ship, were made by other code than today's" in run.errors["release"]


def test_an_evaluation_of_features_of_two_definitions_is_refused(copy: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from ml_assets.stages import evaluation

    _another(copy, monkeypatch, code="c" * 64, data_version="f" * 64)
    monkeypatch.setattr(evaluation, "refuse_stale", lambda *_: None)
    model = copy.get("model", OLD[-1])
    features = copy.get("features", OLD[0])
    inputs = tuple(features.as_input() if source.partition == OLD[0] else source for source in model.recipe.inputs)
    copy.space.ledger.publish(replace(model, recipe=replace(model.recipe, inputs=inputs)), run="another")
    run = copy.run(OLD[-1], only=["evaluation"])
    assert "were made by another definition than those of 2024-03-01" in run.errors["evaluation"]


def test_frames_of_different_schemas_are_refused_with_their_partitions(old: Home, tmp_path: Path) -> None:
    handles = [old.space.lineage.handle(old.get("features", day)) for day in OLD]
    assert stacked(handles, product=old.product).height == 120
    other = tmp_path / "features.parquet"
    frame(old, handles[1].manifest).with_columns(pl.col("amount").cast(pl.String)).write_parquet(other)
    mixed = [handles[0], Handle(handles[1].manifest, {"features.parquet": other}), handles[2]]
    with pytest.raises(FeaturesRefused, match="the features of 2024-03-01 and 2024-03-02 differ in amount") as refused:
        stacked(mixed, product=old.product)
    assert "`ml-assets run shop --partition 2024-03-03`" in str(refused.value)
