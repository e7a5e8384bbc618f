"""Head and base on the same rows: what is compared, by whose gates, from what, and what keeps it from a verdict."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import msgspec
import polars as pl
import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.changes.head_against_base import NotComparable, SideRows, judged
from ml_assets.core.changes.review import Review
from ml_assets.core.changes.walk_protocol import ReplacedGates, Walked, WalkWindow
from ml_assets.core.release.records import MoveRecord
from ml_assets.services.build_snapshots import make_raw
from ml_assets.services.review.protocol_files import read_walk, write_walk
from ml_assets.services.review.trial_windows import retired_windows
from ml_assets.services.review.walk import Walker, walk
from ml_assets.spec.product import load
from resources.ledger import recalls
from resources.ledger.ledger import Ledger
from resources.settings import settings
from tests.support.homes.shop import csv_bytes, rows
from tests.support.homes.walked_home import DAYS, ROWS, WINDOWS, walked_shop
from tests.support.repository import Answer, Team

SPEC = "product.yaml"
MOST = "    amount: float = pa.Field(nullable=True, le=90)\n    items: int = pa.Field(nullable=True)\n    came"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return walked_shop(tmp_path_factory, tmp_path_factory.mktemp("compared"))


def judge(
    team: Team, *edits: tuple[str, str, str], message: str = "Change it", start: str = "main", base: str = "main"
) -> Answer:
    team.git("switch", "--quiet", "--force-create", "change", start)
    for file, old, new in edits:
        team.write(file, old, new)
    team.commit(message)
    return team.ci("--base", base)


@pytest.mark.long
def test_one_parameter_rebuilds_nothing_but_the_models_and_the_report_is_whole(shop: Team) -> None:
    answer = judge(shop, (SPEC, "learning_rate: 0.3", "learning_rate: 0.2"))
    (comparison,) = answer.report["comparisons"]
    head, models = comparison["effort"]["head"], len(WINDOWS)
    assert (head["built"], tuple(comparison["windows"])) == (models, WINDOWS), answer.stdout
    assert head["reused"] > models
    assert comparison["production"]["note"] == "no release serves"
    jsonschema.validate(answer.report, msgspec.json.schema(Review))
    cases = ElementTree.parse(answer.folder / "junit.xml").getroot().findall("testsuite/testcase")
    assert {"floor: prove roc_auc(candidate) > 0.7", "shop/model.learning_rate: changed"} <= {c.get("name") for c in cases}
    assert {f"shop.{name}.svg" for name in ("claims", "roc", "slices")} <= set(comparison["pictures"])
    assert all((answer.folder / name).read_bytes().startswith(b"<svg") for name in comparison["pictures"])
    made_again = {stage["stage"]: stage["partitions"] for stage in answer.report["stale"]}
    assert "features" not in made_again


@pytest.mark.long
def test_nothing_of_the_home_that_is_read_changes(shop: Team) -> None:
    before = Ledger(f"sqlite:///{shop.home / 'ledger.db'}").entries()
    assert judge(shop, (SPEC, "depth: 3", "depth: 2")).code == 0
    after = Ledger(f"sqlite:///{shop.home / 'ledger.db'}").entries()
    assert [entry.hash for entry in after] == [entry.hash for entry in before]
    assert shop.git("worktree", "list").count("\n") == 1


@pytest.mark.long
def test_an_acknowledged_claim_is_judged_by_heads_text_and_every_other_by_bases(shop: Team) -> None:
    edits = (
        (SPEC, "roc_auc(candidate) > 0.7", "roc_auc(candidate) > 0.6"),
        (SPEC, "champion) > -0.03", "champion) > -0.9"),
        (SPEC, "iterations: 5", "iterations: 1"),
    )
    refused = judge(shop, *edits, message="Ask less\n\nWeakens: shop/floor: a new season")
    assert (refused.code, refused.report["reasons"][0]) == (4, "shop/not_worse is weakened and not acknowledged")
    (comparison,) = refused.report["comparisons"]
    limits = {claim["name"]: claim["limit"] for claim in comparison["judged"]["verdict"]["claims"]}
    assert (limits["floor"], limits["not_worse"]) == (0.6, -0.03)
    own = {claim["name"]: claim["limit"] for claim in comparison["by_head"]["claims"]}
    assert (own["floor"], own["not_worse"]) == (0.6, -0.9)
    assert comparison["outcome"] == "REJECT"


@pytest.mark.long
def test_an_undecided_change_passes_or_fails_as_base_declares(shop: Team) -> None:
    undecided = (SPEC, "> -0.03}", "> 0.0}")
    stricter = judge(shop, undecided)
    assert (stricter.code, stricter.effects) == (0, {"not_worse": "strengthened"})
    shop.git("branch", "--force", "strict", "main")
    shop.git("switch", "--quiet", "strict")
    shop.write(*undecided)
    path = shop.product / SPEC
    path.write_text(path.read_text() + "\nci: {windows: 2, on_inconclusive: fail}\n")
    shop.commit("Merge nothing in doubt")
    shop.git("switch", "--quiet", "--force-create", "change")
    shop.write(SPEC, "learning_rate: 0.3", "learning_rate: 0.29")
    shop.commit("Learn a little slower")
    failed = shop.ci("--base", "strict")
    assert (failed.code, failed.report["outcome"]) == (5, "INCONCLUSIVE"), failed.stdout
    loose = (SPEC, "windows: 2", "windows: 1"), (SPEC, "inconclusive: fail", "inconclusive: pass")
    loosened = judge(shop, *loose, start="strict", base="strict")
    assert (loosened.code, loosened.effects) == (4, {"ci.windows": "weakened", "ci.on_inconclusive": "weakened"})


@pytest.mark.long
def test_data_that_nobody_delivered_leave_the_models_to_promotion(shop: Team, tmp_path: Path) -> None:
    judge(shop, (SPEC, "depth: 3", "depth: 2"))
    empty = Team(shop.root, tmp_path / "empty", product_name="shop").ci()
    assert (empty.code, empty.report["outcome"]) == (0, "INCONCLUSIVE")
    assert "there is no data to compare the models on" in empty.report["reasons"][0]
    skipped = shop.ci("--without-models")
    assert (skipped.code, skipped.report["reasons"]) == (
        0,
        ["shop: the models were not compared; after the merge, promotion decides"],
    )


@pytest.mark.long
@pytest.mark.parametrize("ledger", [b"no database", b""])
def test_a_ledger_that_cannot_be_read_is_named_without_a_traceback(shop: Team, tmp_path: Path, ledger: bytes) -> None:
    judge(shop, (SPEC, "depth: 3", "depth: 2"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "ledger.db").write_bytes(ledger)
    answer = shop.ci(ML_ASSETS_UPSTREAM=str(tmp_path / "broken"))
    assert (answer.code, answer.report["outcome"]) == (0, "INCONCLUSIVE"), answer.stderr
    assert "broken/ledger.db cannot be read: " in answer.report["reasons"][0]
    assert "Traceback" not in answer.stderr


def test_only_windows_that_no_candidate_can_be_asked_about_are_scored(shop: Team, tmp_path: Path) -> None:
    shutil.copy(shop.home / "ledger.db", tmp_path / "ledger.db")
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    shop.git("switch", "--quiet", "main")
    product = load(shop.product)
    assert retired_windows(ledger, product) == list(WINDOWS)
    one = product.model_copy(update={"ci": product.ci.model_copy(update={"windows": 1})})
    assert retired_windows(ledger, one) == [WINDOWS[-1]]
    more_looks = product.gates.budget.model_copy(update={"looks": 2, "ships": 2})
    raised = product.model_copy(update={"gates": product.gates.model_copy(update={"budget": more_looks})})
    assert retired_windows(ledger, raised) == list(WINDOWS), "a window that was asked about is given no further looks"
    two_days = product.model_copy(update={"window": product.window.model_copy(update={"test": 2})})
    assert retired_windows(ledger, two_days) == [WINDOWS[-1]], "a longer window refunds nothing: its rows were asked about"


def test_what_is_recalled_is_neither_walked_nor_taken_over(shop: Team, tmp_path: Path) -> None:
    shutil.copytree(shop.home, tmp_path / "read", ignore=shutil.ignore_patterns("ci", "report", "cache"))
    shop.git("switch", "--quiet", "main")
    product = load(shop.product)
    environ = {**shop.environ, "ML_ASSETS_HOME": str(tmp_path / "own"), "ML_ASSETS_UPSTREAM": str(tmp_path / "read")}
    ledger = Ledger(f"sqlite:///{tmp_path / 'read' / 'ledger.db'}")
    first, last = (ledger.current("shop", "raw", day) for day in (DAYS[0], DAYS[-1]))
    features = ledger.current("shop", "features", DAYS[0])
    assert first is not None
    assert last is not None
    assert features is not None

    def trained() -> list[str]:
        space = Workspace(settings(environ))
        assert space.lineage.upstream is not None
        walker = Walker(space.lineage, space.lineage.upstream, space.dbt, product)
        return [manifest.partition for manifest in walker.inputs("model", DAYS[-1])]

    assert trained() == list(DAYS[:-1])
    for raw in (first, last):
        recalls.record(ledger, recalls.of_partition(raw, reason="it was doubled", by="ann"))
    assert trained() == list(DAYS[1:-1])
    assert retired_windows(ledger, product) == list(WINDOWS[:-1])
    with pytest.raises(ZeroDivisionError):
        Workspace(settings(environ | {"ML_ASSETS_HOME": str(tmp_path / "other")})).lineage.make(
            features.recipe, lambda: 1 // 0, run="r"
        )


def test_a_partition_is_scored_when_every_window_that_holds_it_is_retired(shop: Team, tmp_path: Path) -> None:
    shutil.copytree(shop.home, tmp_path / "home", ignore=shutil.ignore_patterns("ci", "report", "cache"))
    shop.git("switch", "--quiet", "main")
    product = load(shop.product)
    two_days = product.model_copy(update={"window": product.window.model_copy(update={"test": 2})})
    space = Workspace(settings({**shop.environ, "ML_ASSETS_HOME": str(tmp_path / "home")}))
    for day in ("2024-03-05", "2024-03-06"):
        (tmp_path / "home" / "landing" / "shop" / "orders" / f"{day}.csv").write_bytes(csv_bytes(rows(day)))
        make_raw(space.lineage, space.landing, product, day, run="delivered")
    # 2024-03-05 is in the window of 2024-03-06 too, which can be asked
    assert retired_windows(space.ledger, two_days) == ["2024-03-04"]
    served = {"product": "shop", "environment": "production", "bundle": "b", "release": "r", "manifest": "m"}
    move = MoveRecord(**served, as_of="2024-03-07", previous=None, by="ann", reason="", is_proven=True)
    space.ledger.move_pointer("promotion", move, expected=None)
    assert retired_windows(space.ledger, two_days) == ["2024-03-03", "2024-03-05"]
    assert retired_windows(space.ledger, product) == ["2024-03-04", "2024-03-05", "2024-03-06"]
    space.ledger.close()


@pytest.mark.long
def test_a_home_upstream_lends_what_it_made_and_is_not_written(shop: Team, tmp_path: Path) -> None:
    judge(shop, (SPEC, "depth: 3", "depth: 2"))
    upstream = tmp_path / "upstream"
    shutil.copytree(shop.home, upstream, ignore=shutil.ignore_patterns("ci", "report", "cache", "*-wal", "*-shm"))
    for path in sorted(upstream.rglob("*"), reverse=True):
        path.chmod(0o555 if path.is_dir() else 0o444)
    upstream.chmod(0o555)
    content = {path.name for path in upstream.rglob("*") if path.is_file()}
    kept = {path: path.read_bytes() for path in upstream.rglob("*") if path.is_file()}
    answer = Team(shop.root, tmp_path / "own", product_name="shop").ci(ML_ASSETS_UPSTREAM=str(upstream))
    upstream.chmod(0o755)
    (comparison,) = answer.report["comparisons"]
    assert comparison["effort"]["head"]["built"] == len(WINDOWS), answer.stderr
    assert {path: path.read_bytes() for path in upstream.rglob("*") if path.is_file() and path.name in content} == kept


def side(shop: Team, *, scores: list[float], keys: list[str] | None = None, labels: Sequence[int | None] = ()) -> SideRows:
    """A walk of one window with these scores."""
    count = len(scores)
    rows = pl.DataFrame(
        {
            "id": keys or [str(number) for number in range(count)],
            "placed_at": pl.Series([f"2024-03-04 {number % 24:02}:00:00" for number in range(count)]).str.to_datetime(),
            "city": ["Bonn"] * count,
            "came_back": [*labels] or [number % 2 for number in range(count)],
        }
    )
    window = WalkWindow(partition=DAYS[-1], tested=(DAYS[-1],), trained=DAYS[:-1], model="m")
    walked = Walked(product="shop", windows=(window,))
    return SideRows(walked, rows, pl.Series([DAYS[-1]] * count), pl.Series(scores, dtype=pl.Float64))


def test_rows_are_joined_by_key_and_what_only_one_side_has_is_counted(shop: Team) -> None:
    shop.git("switch", "--quiet", "main")
    product = load(shop.product)
    base = side(shop, scores=[0.2, 0.8] * 60, labels=[*[n % 2 for n in range(118)], None, None])
    head = side(shop, scores=[0.8, 0.2] * 60, keys=[str(n) for n in range(10, 130)], labels=[1, *[n % 2 for n in range(1, 120)]])
    comparison_result = judged(base, head, product, ReplacedGates())
    assert msgspec.structs.asdict(comparison_result.counts) == {
        "both": 108,
        "base_only": 10,
        "head_only": 10,
        "labels_changed": 1,
        "scores_changed": 108,
    }
    assert comparison_result.metrics["roc_auc"]["candidate"].value == 0.0
    assert comparison_result.metrics["roc_auc"]["champion"].value == 1.0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("walk.json", b"{"),
        ("walk.json", b'{"protocol": 9, "product": "shop", "windows": []}'),
        ("walk.json", b'{"protocol": 1, "product": "shop", "windows": "all"}'),
        ("scores.parquet", b"PAR1 no table PAR1"),
        ("features.parquet", b""),
    ],
)
def test_a_walk_that_is_not_what_the_protocol_says_is_refused(shop: Team, tmp_path: Path, name: str, content: bytes) -> None:
    write_walk(tmp_path, side(shop, scores=[0.1, 0.9]))
    assert read_walk(tmp_path).scores.to_list() == [0.1, 0.9]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NotComparable, match=name):
        read_walk(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(NotComparable, match=f"{name} is missing"):
        read_walk(tmp_path)
    (tmp_path / name).symlink_to("/etc/passwd")
    with pytest.raises(NotComparable, match=f"{name} is missing"):
        read_walk(tmp_path)


def test_scores_that_are_none_and_keys_of_another_type_are_refused(shop: Team) -> None:
    shop.git("switch", "--quiet", "main")
    product = load(shop.product)
    base = side(shop, scores=[0.2, 0.8] * 60)
    for bad in (float("nan"), float("inf"), -0.1):
        with pytest.raises(Exception, match="candidate"):
            judged(base, side(shop, scores=[bad, 0.8] * 60), product, ReplacedGates())
    numbers = side(shop, scores=[0.2, 0.8] * 60)
    numbers = SideRows(numbers.walked, numbers.rows.with_columns(pl.col("id").cast(pl.Int64)), numbers.windows, numbers.scores)
    with pytest.raises(NotComparable, match=r"the key is of another type: id \(String in base, Int64 in head\)"):
        judged(base, numbers, product, ReplacedGates())
    twice = side(shop, scores=[0.2, 0.8] * 60, keys=["1"] * 120)
    with pytest.raises(NotComparable, match="a window of head repeats the key id"):
        judged(base, twice, product, ReplacedGates())
    with pytest.raises(NotComparable, match="these gates cannot be read"):
        judged(base, base, product, ReplacedGates(claims=({"name": "x", "prove": "nonsense"},)))


@pytest.mark.long
def test_walk_and_judge_say_what_they_lack(shop: Team) -> None:
    def answer_of(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "ml_assets", *arguments], capture_output=True, text=True, env=shop.environ, check=False
        )
        return done.returncode, done.stderr

    code, text = answer_of("walk", "shop", "--protocol", "1", "--window", DAYS[-1], "--output", str(shop.home / "x"))
    assert code == 2
    assert "ML_ASSETS_UPSTREAM names no home" in text
    code, text = answer_of("walk", "shop", "--protocol", "2", "--window", DAYS[-1], "--output", str(shop.home / "x"))
    assert (code, "2 is not in the range" in text) == (2, True)
    (empty := shop.home / "nothing").mkdir(exist_ok=True)
    code, text = answer_of("judge", "shop", "--protocol", "1", f"--base={empty}", f"--head={empty}", f"--output={empty / 'x'}")
    assert (code, text) == (1, "error: walk.json is missing\n")
    assert json.dumps(text).count("Traceback") == 0


@pytest.mark.long
def test_windows_whose_labels_nobody_knows_yet_leave_the_models_to_promotion(shop: Team) -> None:
    shop.git("branch", "--force", "late", "main")
    shop.git("switch", "--quiet", "late")
    shop.write(
        "dbt/shop_labels.sql",
        "select id, came_back",
        f"select id, case when placed_at < '{WINDOWS[0]}' then came_back end as came_back",
    )
    shop.commit("Know labels late")
    answer = judge(shop, (SPEC, "depth: 3", "depth: 2"), start="late", base="late")
    assert (answer.code, answer.report["outcome"]) == (0, "INCONCLUSIVE"), answer.stdout
    assert f"no row of {', '.join(WINDOWS)} has a known label" in answer.report["reasons"][0]


@pytest.mark.long
def test_a_contract_is_tried_on_the_newest_partitions_too_though_none_of_them_is_scored(shop: Team) -> None:
    answer = judge(
        shop,
        ("contract.py", "    amount: float = pa.Field(nullable=True)\n    items: int = pa.Field(nullable=True)\n    came", MOST),
    )
    (comparison,) = answer.report["comparisons"]
    dear = sum(row["amount"] > 90 for day in DAYS[-3:] for row in rows(day, count=ROWS))
    assert comparison["refused"]["orders"] == [0, dear], answer.stderr
    assert "| rows refused by the contract | base | head |" in answer.stdout
    assert tuple(comparison["windows"]) == WINDOWS


@pytest.mark.long
def test_a_newest_delivery_whose_bytes_are_lost_is_a_failed_check_and_keeps_no_window_from_a_verdict(
    shop: Team, tmp_path: Path
) -> None:
    shop.git("switch", "--quiet", "main")
    shutil.copytree(shop.home, tmp_path / "read", ignore=shutil.ignore_patterns("ci", "report", "cache"))
    shutil.copytree(shop.product, tmp_path / "products" / "shop")
    contract = tmp_path / "products" / "shop" / "contract.py"
    contract.write_text(contract.read_text().replace("items: int = pa.Field(nullable=True)", "items: int = pa.Field(ge=0)"))
    environ = {**shop.environ, "ML_ASSETS_HOME": str(tmp_path / "own"), "ML_ASSETS_UPSTREAM": str(tmp_path / "read")}
    space = Workspace(settings(environ))
    assert space.lineage.upstream is not None
    raw = space.lineage.upstream.current("shop", "raw", DAYS[-1])
    assert raw is not None
    for digest in (raw.snapshot, *space.snapshots.open(raw.snapshot).members.values()):
        (tmp_path / "read" / "store" / digest[:2] / digest).unlink()
    walker = Walker(space.lineage, space.lineage.upstream, space.dbt, load(contract.parent))
    walked = walk(walker, WINDOWS[:1]).walked
    assert [window.partition for window in walked.windows] == [WINDOWS[0]]
    (failed,) = [check for check in walked.checks if check.is_failure]
    assert (failed.stage, failed.partition, "is missing" in failed.description) == ("dataset", DAYS[-1], True)
