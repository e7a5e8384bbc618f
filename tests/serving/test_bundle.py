"""A bundle gives the scores of evaluation, or it is refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml_assets.core.digests import digest_file
from ml_assets.core.model.scoring import ScoringError
from ml_assets.serving.plain.catboost_scorer import CatBoostScorer
from ml_assets.serving.plain.duckdb_features import DuckDbFeatures, FeatureQuery, UncomputableRow
from ml_assets.serving.release.bundle import Bundle, load
from ml_assets.serving.release.bundle_files import BundleRefused
from ml_assets.serving.requests.field import Field
from tests.support.serving_store import FEATURES, REQUEST, SQL, Release, lookups, payload, requests, train


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Release]:
    folder = tmp_path_factory.mktemp("bundle") / "r1"
    return folder, train(folder, name="r1", seed=1)


@pytest.fixture
def folder(original: tuple[Path, Release], tmp_path: Path) -> Path:
    return Path(shutil.copytree(original[0], tmp_path / "bundle"))


@pytest.fixture(scope="module")
def bundle(original: tuple[Path, Release]) -> Bundle:
    return load(original[0])


def edit(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("count", [1, 2, 5, 1000])
def test_served_scores_are_the_offline_scores_in_the_order_asked(
    bundle: Bundle, original: tuple[Path, Release], count: int
) -> None:
    frame = requests(count, seed=count)
    scores = bundle.score(payload(frame))
    assert scores == original[1].scores(frame)
    assert count < 5 or len(set(scores)) > 2


def test_earlier_requests_leave_no_trace(bundle: Bundle) -> None:
    rows = payload(requests(50, seed=8))
    alone = [bundle.score([row])[0] for row in rows]
    assert bundle.score(rows) == bundle.score(rows[::-1])[::-1] == alone
    assert bundle.score(rows + rows) == alone + alone


def test_a_regression_bundle_gives_values_and_no_decision(tmp_path: Path) -> None:
    release = train(tmp_path / "r", name="r", seed=3, task="regression")
    served = load(tmp_path / "r")
    frame = requests(40, seed=4)
    assert served.score(payload(frame)) == release.scores(frame)
    assert served.decide([3.0, 4.0]) == [None, None]


def test_a_score_that_is_not_finite_is_no_answer(tmp_path: Path) -> None:
    train(tmp_path / "r", name="r", seed=3, task="regression")
    served = load(tmp_path / "r")
    rows = payload(requests(50, seed=4))
    assert len(served.score(rows)) == 50
    served.engines.scorer.model.set_scale_and_bias(1.7e308, 1.7e308)  # each is finite, as CatBoost asks; their sum is not
    scorer = CatBoostScorer(served.engines.scorer.model, FEATURES)
    with pytest.raises(ScoringError, match="r: the model gave a score that is not finite"):
        replace(served, engines=replace(served.engines, scorer=scorer)).score(rows)


def test_the_threshold_belongs_to_the_positive_side(bundle: Bundle) -> None:
    assert bundle.decide([0.4999, 0.5, 0.6]) == [False, True, True]


def test_a_member_that_differs_from_its_digest_is_refused(folder: Path) -> None:
    digests = {p.relative_to(folder).as_posix(): digest_file(p) for p in folder.rglob("*") if p.is_file()}
    load(folder, digests=digests)
    for name in digests:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content + b" ")
        with pytest.raises(BundleRefused, match=f"{name} has digest"):
            load(folder, digests=digests)
        (folder / name).write_bytes(content)


def test_members_beside_the_listing_are_refused(folder: Path) -> None:
    digests = {p.relative_to(folder).as_posix(): digest_file(p) for p in folder.rglob("*") if p.is_file()}
    (folder / "lookups" / "more.parquet").write_bytes((folder / "lookups" / "planes.parquet").read_bytes())
    with pytest.raises(BundleRefused, match="more"):
        load(folder, digests=digests)


@pytest.mark.parametrize("name", ["loader.py", "lookups/x.csv", "lookups/a/b.parquet", "MLmodel", "lookups/a b.parquet"])
def test_a_member_of_an_unknown_name_is_refused(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("x")
    with pytest.raises(BundleRefused, match="no bundle may hold"):
        load(folder)


def test_a_symbolic_link_is_refused(folder: Path) -> None:
    target = folder.parent / "elsewhere.cbm"
    shutil.move(folder / "model.cbm", target)
    (folder / "model.cbm").symlink_to(target)
    with pytest.raises(BundleRefused, match="symbolic"):
        load(folder)


@pytest.mark.parametrize("name", ["model.cbm", "golden.json", "features.sql", "lookups/planes.parquet"])
def test_a_missing_member_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleRefused):
        load(folder)


def test_a_golden_score_that_is_not_met_is_refused(folder: Path) -> None:
    def change(golden: Any) -> None:
        golden["scores"][-1] += 1e-9

    edit(folder / "golden.json", change)
    with pytest.raises(BundleRefused, match="golden row 24"):
        load(folder)


@pytest.mark.parametrize("golden", [{"requests": [], "scores": []}, {"requests": [{}], "scores": []}, {"x": 1}])
def test_golden_rows_that_prove_nothing_are_refused(folder: Path, golden: Any) -> None:
    (folder / "golden.json").write_text(json.dumps(golden))
    with pytest.raises(BundleRefused):
        load(folder)


def test_another_model_in_the_bundle_is_refused(folder: Path) -> None:
    other = train(folder.parent / "other", name="other", seed=9)
    (folder / "model.cbm").write_bytes(other.model)
    with pytest.raises(BundleRefused, match="golden row"):
        load(folder)


def test_features_in_another_order_are_refused(folder: Path) -> None:
    edit(folder / "bundle.json", lambda card: card["features"].reverse())
    with pytest.raises(BundleRefused, match="was fitted on"):
        load(folder)


def test_requests_without_the_time_are_refused(folder: Path) -> None:
    edit(folder / "request.json", lambda fields: fields.pop(0))
    with pytest.raises(BundleRefused, match="scheduled_at"):
        load(folder)


@pytest.mark.parametrize(
    "sql",
    [
        "select 1; drop table features.main.planes",
        "drop table features.main.planes",
        "select * from read_csv('/etc/hostname')",
        "select * from '/etc/hostname'",
        "copy (select 1) to '/tmp/ml_assets_leak.csv'",
        "selec",
        "",
        SQL + " limit 3",
    ],
)
def test_sql_that_is_not_one_query_over_the_bundle_is_refused(folder: Path, sql: str) -> None:
    (folder / "features.sql").write_text(sql)
    with pytest.raises(BundleRefused, match=r"features\.sql"):
        load(folder)
    assert not Path("/tmp/ml_assets_leak.csv").exists()


def test_sql_has_no_way_to_a_file(folder: Path) -> None:
    (folder / "features.sql").write_text(f"select * from ({SQL}) where (select count(*) from read_text('/etc/hosts')) > 0")
    with pytest.raises(BundleRefused, match="Permission"):
        load(folder)


def test_a_damaged_lookup_is_refused(folder: Path) -> None:
    (folder / "lookups" / "planes.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(BundleRefused, match="planes"):
        load(folder)


def features_of(sql: str) -> DuckDbFeatures:
    fields = [Field("t", "timestamp"), Field("x", "integer")]
    return DuckDbFeatures(FeatureQuery(sql, "requests", fields, ["x"], [{"name": "y", "kind": "number"}], {}))


def test_rows_that_share_a_client_key_do_not_mix() -> None:
    features = features_of("select x, t, count(*) over (partition by x) + x as y from features.main.requests")
    at = requests(9, seed=1)["scheduled_at"].to_list()
    rows = [(at[0], 1), (at[1], 1), (at[2], 2), (at[0], 1), (at[3], 1)]
    assert features.compute_rows(rows) == [(2.0,), (2.0,), (3.0,), (2.0,), (2.0,)]


def test_an_overflow_in_the_features_is_the_requests_fault() -> None:
    features = features_of("select x, t, cast(x as tinyint) as y from features.main.requests")
    at = requests(1, seed=1)["scheduled_at"][0]
    assert features.compute_rows([(at, 100)]) == [(100.0,)]
    with pytest.raises(UncomputableRow):
        features.compute_rows([(at, 100), (at, 1000)])
    assert features.compute_rows([(at, 100)]) == [(100.0,)]


def test_the_support_exercises_every_kind_of_column() -> None:
    frame = requests(1000, seed=1)
    assert {field["name"] for field in REQUEST} < set(frame.columns)
    assert frame["tailnum"].null_count()
    assert frame["wind_speed"].null_count()
    assert set(lookups()) == {"planes", "carrier_days"}
    assert {feature["kind"] for feature in FEATURES} == {
        "number",
        "category",
    }
