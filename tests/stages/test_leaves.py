"""What only informs people can neither stop nor spoil a decision; and labels and features of every type are judged."""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from ml_assets.builders import evaluation as evaluation_builder
from ml_assets.builders import report as report_builder
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.stages import LEAVES
from resources.ledger.budget import Budget
from resources.settings import settings
from tests.support.homes.path_homes import Home, Run
from tests.support.homes.shop import DAYS, Row, deliver, shop

DATA = ("raw", "dataset", "quarantine", "features")
JUDGED = (*DATA, "model", "evaluation")
FIRST, SECOND, THIRD = DAYS[:3]
LABEL = r"came_back: int = pa.Field\(nullable=True, isin=\[0, 1\], "
UPSTREAM = ("raw", "dataset", "quarantine", "features", "model", "evaluation", "release", "report")
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Home]]:
    homes: list[Home] = []
    yield homes
    for home in homes:
        home.close()


@pytest.fixture(scope="module")
def plain(homes: list[Home], tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two days of the shop as it is, the second judged."""
    own_home = shop(tmp_path_factory.mktemp("plain"))
    homes.append(own_home)
    deliver(own_home, FIRST, SECOND)
    judged(own_home)
    return own_home


def judged(own_home: Home, *also: str) -> Run:
    """Two days, the second up to the verdict."""
    first = own_home.run(FIRST, only=DATA)
    assert first.success, first.errors
    run = own_home.run(SECOND, only=(*JUDGED, *also))
    assert run.success, run.errors
    return run


# --- cases


@pytest.mark.long
def test_one_class_window(plain: Home, tmp_path: Path) -> None:
    own_home = plain.copy(tmp_path / "copy")
    deliver(own_home, THIRD, came_back=0)
    run = own_home.run(THIRD, only=(*JUDGED, "release", "report"))
    assert run.success, run.errors
    assert "release" not in run.materialized
    verdict = own_home.get("evaluation", THIRD).facts["verdict"]
    assert verdict["decision"] == "INCONCLUSIVE"
    assert "the test window holds too little to decide: 0 positives" in verdict["reasons"][0]
    assert own_home.get("report", THIRD).partition == THIRD
    own_home.close()


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "yes", "no"),
    [
        pytest.param("bool = pa.Field(nullable=True, ", "true", "false", id="boolean"),
        pytest.param("float = pa.Field(nullable=True, isin=[0.0, 1.0], ", "1.0", "0.0", id="float"),
    ],
)
def test_boolean_and_float_labels_are_judged_as_0_and_1(plain: Home, tmp_path: Path, kind: str, yes: str, no: str) -> None:
    own_home = shop(tmp_path, contract=[(LABEL, f"came_back: {kind}")])
    deliver(own_home, FIRST, SECOND, came_back=lambda _, row: yes if row["came_back"] else no)
    judged(own_home)
    facts, expected = (home.get("evaluation", SECOND).facts for home in (own_home, plain))
    assert facts["metrics"] == expected["metrics"]
    assert facts["verdict"]["decision"] == expected["verdict"]["decision"] == "ACCEPT"
    own_home.close()


@pytest.mark.long
def test_boolean_feature_and_large_numbers(tmp_path: Path) -> None:
    large = 2**53 - 20
    kinds = [(r"items: int = pa.Field\(", "items: bool = pa.Field("), (r"amount: float = pa.Field\(", "amount: int = pa.Field(")]

    def amount(_: int, row: Row) -> int:
        return large + int(row["amount"])

    own_home = shop(tmp_path, contract=kinds)
    deliver(own_home, FIRST, SECOND, items=lambda _, row: "true" if row["items"] > 4 else "false", amount=amount)
    judged(own_home, "report")
    kept = own_home.space.lineage.handle(own_home.get("dataset", SECOND)).frame("orders.parquet")
    assert (kept.schema["items"], kept.schema["amount"]) == (pl.Boolean, pl.Int64)
    assert kept["amount"].max() > 2**53 > kept["amount"].min()  # type: ignore[operator]
    assert len({int(value) - large for value in kept["amount"]}) > 30
    facts = own_home.get("evaluation", SECOND).facts
    assert facts["verdict"]["decision"] == "ACCEPT"
    assert facts["metrics"]["roc_auc"]["candidate"]["value"] is not None
    page = own_home.space.lineage.handle(own_home.get("report", SECOND)).read("report.html").decode()
    assert "current rows" in page
    own_home.close()


@pytest.mark.long
def test_verdict_without_evaluation_uses_up_no_promotion(plain: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_home = plain.copy(tmp_path / "copy")
    own_home.edit("product.yaml", ("ships: 6", "ships: 1"))
    deliver(own_home, THIRD)
    with monkeypatch.context() as patch:
        judge = evaluation_builder.judge_candidate

        def judged_and_lost(*args: object, **kwargs: object) -> object:
            assert judge(*args, **kwargs).verdict.is_accept  # type: ignore[arg-type]
            raise OSError("No space left on device")

        patch.setattr(evaluation_builder, "judge_candidate", judged_and_lost)
        lost = own_home.run(THIRD, only=JUDGED)
    assert list(lost.errors) == ["evaluation"]
    window = Budget(own_home.space.ledger).window(own_home.product, [THIRD])
    assert (len(window.looks), window.ships, window.why_retired) == (1, 0, "")
    assert own_home.run(THIRD, only=JUDGED).success
    assert own_home.get("evaluation", THIRD).facts["verdict"]["decision"] == "ACCEPT"
    window = Budget(own_home.space.ledger).window(own_home.product, [THIRD])
    assert (len(window.looks), window.ships) == (1, 1)
    own_home.close()


# --- leaves


class Gone(Exception):
    """Raised by what draws."""


@pytest.fixture(scope="module")
def left_out(homes: list[Home], tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Run]:
    """The whole path while Evidently and a picture fail and MLflow is away."""
    own_home = shop(tmp_path_factory.mktemp("left_out"))
    deliver(own_home, FIRST, SECOND)
    assert own_home.run(FIRST, only=DATA).success
    own_home.close()
    environ = {**own_home.space.settings.environ(), "ML_ASSETS_MLFLOW": NOWHERE}
    away = Home(own_home.folder, own_home.name)
    vars(away)["space"] = Workspace(settings(environ))

    def fails(*_: object, **__: object) -> bytes:
        raise Gone("nothing <drawn>")

    def no_page(*_: object, left_out: list[str], **__: object) -> bytes:
        raise Gone(f"it would say {left_out}")

    patch = pytest.MonkeyPatch()
    patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    patch.setattr(report_builder, "quality_report", no_page)
    patch.setattr(report_builder, "claims_plot", fails)
    run = away.run(SECOND, leaves=LEAVES)
    patch.undo()
    away.close()
    back = Home(own_home.folder, own_home.name)
    homes.append(back)
    return back, run


def test_what_cannot_be_drawn_is_left_out_by_name_and_the_release_is_promoted(left_out: tuple[Home, Run]) -> None:
    own_home, _run = left_out
    assert own_home.serving() == own_home.get("release", SECOND).facts["release"]
    report = own_home.get("report", SECOND)
    picture = "the claims (Gone: nothing <drawn>)"
    assert report.facts["left_out"] == [picture, f"Evidently's page (Gone: it would say {[picture]})"]
    members = own_home.space.lineage.handle(report).members
    assert {"report.html", "plots/roc.svg", "plots/learning_curve.svg", "plots/feature_importance.svg"} <= members.keys()
    assert "the claims (Gone: nothing &lt;drawn&gt;), Evidently&#x27;s page (Gone: " in members["report.html"].read_text()


def test_while_mlflow_is_away_only_tracking_fails(left_out: tuple[Home, Run]) -> None:
    own_home, run = left_out
    assert list(run.errors) == ["tracking"]
    assert own_home.current("tracking", SECOND) is None
    assert {"release", "report", "endpoint/production"} <= run.computed


@pytest.mark.long
def test_no_manifest_upstream_of_the_endpoint_names_an_mlflow_run(left_out: tuple[Home, Run]) -> None:
    """After MLflow came back: running again makes only tracking, which is linked to its evaluation in the ledger."""
    own_home, _ = left_out
    again = own_home.run(SECOND, leaves=LEAVES)
    assert again.success, again.errors
    assert again.computed - {"endpoint/staging", "endpoint/production"} == {"tracking"}
    tracking = own_home.get("tracking", SECOND)
    mlflow_run = tracking.facts["mlflow_run"]
    assert tracking.facts["version"] == "1"
    assert own_home.get("evaluation", SECOND).id in {source.manifest for source in tracking.recipe.inputs}
    for stage in UPSTREAM:
        manifest = own_home.get(stage, SECOND)
        assert "mlflow" not in json.dumps(manifest.to_dict()), stage
        for member, path in own_home.space.lineage.handle(manifest).members.items():
            assert mlflow_run.encode() not in path.read_bytes(), (stage, member)
