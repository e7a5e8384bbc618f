"""`ml-assets ci`: what a pull request changes is named with what it does, and nothing else is."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from ml_assets.first_party import PACKAGES
from tests.support.repository import Answer, Team, team

JUDGED = ["model", "evaluation", "report", "release", "tracking"]
GATED = [*JUDGED[1:], "realised"]  # a promise is a claim too
ALL = ["features", "outcomes", *JUDGED, "monitoring", "predictions", "realised"]
OTHER_TYPE = [f"contract.{model}.departs_at.greater_than_or_equal_to" for model in ("Request", "Features")]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def trains(tmp_path: Path) -> Team:
    return team(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("dbt/trains_features.sql", "SELECT requests.*", "-- twice as far\nSELECT   requests.*"),
        ("contract.py", "class Trips", "# one trip a row\nclass Trips"),
        ("product.yaml", "title: Late trains", "title:   Late trains   # in words"),
    ],
)
def test_what_means_the_same_changes_nothing(trains: Team, file: str, old: str, new: str) -> None:
    trains.write(file, old, new)
    trains.commit("Say it otherwise")
    answer = trains.ci()
    assert (answer.code, answer.report["outcome"]) == (0, "UNCHANGED")
    assert (answer.effects, answer.stale) == ({}, [])


@pytest.mark.long
@pytest.mark.parametrize(
    ("file", "old", "new", "effects", "stale", "code"),
    [
        ("product.yaml", "depth: 2", "depth: 1", {"model.depth": "changed"}, JUDGED, 0),
        ("product.yaml", "auc(candidate) > 0.6", "auc(candidate) > 0.5", {"floor": "weakened"}, GATED, 4),
        ("product.yaml", "auc(candidate) > 0.6", "auc(candidate) > 0.7", {"floor": "strengthened"}, GATED, 0),
        ("product.yaml", "max_drop: 0.05", "max_drop: 0.5", {"monitoring.max_drop": "weakened"}, ["monitoring"], 4),
        ("dbt/trains_features.sql", "* 2", "* 2000", {"dbt/trains_features.sql": "changed"}, ALL, 0),
        (
            "dbt/schema.yml",
            "    columns:\n      - name: distance\n        data_tests:\n          - not_null: {name: distance_is_known}\n",
            "",
            {"dbt/schema.yml": "changed", "dbt.distance_is_known": "weakened"},
            ALL,
            4,
        ),
        (
            "dbt/schema.yml",
            "[trip]",
            "[trip, line]",
            {"dbt/schema.yml": "changed", "dbt.features_are_unique": "weakened"},
            ALL,
            4,
        ),
        (
            "dbt/schema.yml",
            "name: distance_is",
            "name: distance_was",
            {"dbt/schema.yml": "changed", "dbt.distance_is_known": "changed", "dbt.distance_was_known": "strengthened"},
            ALL,
            0,
        ),
        (
            "dbt/schema.yml",
            "- not_null: {name: distance_is_known}",
            "- not_null: {name: distance_is_known, config: {severity: warn}}",
            {"dbt/schema.yml": "changed", "dbt.distance_is_known": "weakened"},
            ALL,
            4,
        ),
        ("dbt/trains_labels.sql", "> 5", "> 15", {"dbt/trains_labels.sql": "changed"}, ALL, 0),
        (
            "contract.py",
            'isin=["A", "B"])\n    distance: float = pa.Field(ge=0, le=500)\n    d',
            'isin=["B", "A"])\n    distance: float = pa.Field(le=500, ge=0)\n    d',
            {},
            None,
            0,
        ),
        ("contract.py", '"min_rows": 2', '"min_rows": 1', {"contract.trips.Config.min_rows": "weakened"}, None, 4),
        (
            "contract.py",
            '"max_missing": 0.25',
            '"max_missing": 0.2',
            {"contract.trips.delay.max_missing": "strengthened"},
            None,
            0,
        ),
        ("contract.py", "ge=datetime(2013, 1, 1)", "ge=1", dict.fromkeys(OTHER_TYPE, "weakened"), None, 4),
        ("contract.py", "% 2 == 1", "% 2 == 0", {"contract.trips.trip.odd": "weakened"}, None, 4),
        (
            "contract.py",
            "zone: int = pa.Field(ge=1)",
            "zone: int",
            {"contract.stops.zone.greater_than_or_equal_to": "weakened"},
            None,
            4,
        ),
        (
            "contract.py",
            '    code: str = pa.Field(nullable=True, str_matches="^N[0-9]+$")\n',
            "",
            {"contract.trips.code": "weakened"},
            None,
            4,
        ),
    ],
)
def test_a_change_is_named_with_its_effect_and_what_it_makes_stale(
    trains: Team, file: str, old: str, new: str, effects: dict[str, str], stale: list[str] | None, code: int
) -> None:
    trains.write(file, old, new)
    trains.commit("Change one thing")
    answer = trains.ci()
    assert (answer.code, answer.effects) == (code, effects), answer.stdout + answer.stderr
    if stale is not None:
        assert answer.stale == stale


@pytest.mark.long
def test_a_weakening_that_a_trailer_names_with_a_reason_passes_and_no_other(trains: Team) -> None:
    trains.write("product.yaml", "auc(candidate) > 0.6", "auc(candidate) > 0.5")
    trains.write("product.yaml", "max_drop: 0.05", "max_drop: 0.5")
    given = ("trains/floor: never reached before", "trains/monitoring.max_drop: ", "trains/other: why")
    trains.commit("Ask less\n\n" + "\n".join(f"Weakens: {key}" for key in given))
    refused = trains.ci()
    assert refused.code == 4
    assert refused.report["reasons"] == ["trains/monitoring.max_drop is weakened and not acknowledged"]
    assert refused.report["unread"] == ["trains/monitoring.max_drop:", "trains/other: why"]
    assert "Weakens: trains/monitoring.max_drop: why it may ask less" in refused.stdout
    trains.commit("Say so\n\nWeakens: trains/monitoring.max_drop: a winter timetable")
    passed = trains.ci()
    assert (passed.code, passed.report["outcome"]) == (0, "ACCEPT")
    assert [change["reason"] for change in passed.report["acknowledged"]] == ["a winter timetable", "never reached before"]


@pytest.mark.long
def test_the_environment_in_a_teams_work_tree_is_no_part_of_the_change(trains: Team) -> None:
    environment = trains.root / ".venv"
    venv.create(environment, symlinks=True)
    site = environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    for package in (*PACKAGES, "dbt_project"):
        shutil.copytree(ROOT / package, site / package, ignore=shutil.ignore_patterns("__pycache__", "flights"))
    (trains.root / ".gitignore").write_text(".venv/\n")
    trains.write("product.yaml", "depth: 2", "depth: 3")
    trains.commit("Deepen")
    command = [environment / "bin" / "python", "-P", "-m", "ml_assets", "ci"]
    for _ in range(2):  # the first writes a report into the work tree
        done = subprocess.run(command, cwd=trains.root, env=trains.environ, capture_output=True, text=True, check=False)
        answer = Answer(done.returncode, done.stdout, done.stderr, trains.root / "report")
        assert (answer.code, answer.effects, answer.stale) == (0, {"model.depth": "changed"}, JUDGED), done.stdout + done.stderr
        assert not answer.report["is_dirty"]


@pytest.mark.long
def test_a_product_that_is_removed_takes_its_gates_along_and_a_new_one_weakens_nothing(trains: Team) -> None:
    shutil.copytree(trains.product, trains.root / "products" / "trams")
    for path in [*(trains.root / "products" / "trams" / "dbt").iterdir(), trains.root / "products" / "trams" / "product.yaml"]:
        text = path.read_text()
        path.unlink()
        path.with_name(path.name.replace("trains", "trams")).write_text(text.replace("trains", "trams"))
    trains.commit("Add trams")
    assert (trains.ci().code, trains.ci().effects) == (0, {"product": "changed"})
    shutil.rmtree(trains.product)
    trains.commit("Remove trains")
    answer = trains.ci()
    assert (answer.code, answer.report["reasons"]) == (4, ["trains/product is weakened and not acknowledged"])


@pytest.mark.long
def test_a_declaration_that_cannot_be_read_is_rejected_by_file_line_and_key(trains: Team) -> None:
    trains.write("product.yaml", "depth: 2", "dept: 2")
    answer = trains.ci()
    assert (answer.code, answer.report["outcome"], answer.report["is_dirty"]) == (1, "REJECT", True)
    assert "product.yaml:12: model.dept: unknown key; did you mean 'depth'?" in answer.report["problems"][0]


@pytest.mark.long
def test_what_the_tool_cannot_do_is_no_verdict(trains: Team, tmp_path: Path) -> None:
    unknown = trains.ci("--base", "nosuch")
    assert unknown.code == 3
    assert "name the commit to compare with: --base REF" in unknown.stderr
    assert trains.ci("--nosuch").code == 3
    (outside := tmp_path / "outside").mkdir()
    nowhere = trains.ci(cwd=outside)
    assert nowhere.code == 3
    unwritable = trains.ci("--output", "/proc/x")
    assert (unwritable.code, unwritable.stderr) == (3, "error: /proc/x: No such file or directory\n")
    trains.git("checkout", "--quiet", "--orphan", "apart")
    trains.commit("Start again")
    apart = trains.ci()
    assert apart.code == 3
    assert "HEAD and main have no commit in common; in a shallow clone fetch the history" in apart.stderr
    assert "Traceback" not in nowhere.stderr + unknown.stderr + apart.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this checkout with what is not committed yet, as the main branch."""
    target = tmp_path_factory.mktemp("clone") / "ml-assets"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    own = Team(target, target.parent / "home")
    own.git("init", "--quiet", "--initial-branch", "main")
    own.commit("The project")
    own.git("switch", "--quiet", "--create", "change")
    return target


@pytest.mark.long
def test_code_that_judges_is_named_and_code_that_only_moved_is_not(checkout: Path, tmp_path: Path) -> None:
    own = Team(checkout, tmp_path / "home")

    def flights() -> tuple[int, dict[str, str], list[str]]:
        answer = Team(checkout / "ml_assets", tmp_path / "home").ci(code=checkout, cwd=checkout)
        return answer.code, answer.effects, answer.stale

    own.git("mv", "ml_assets/core/gates/levels.py", "ml_assets/core/gates/error_levels.py")
    for path in checkout.rglob("*.py"):
        if "core.gates.levels" in (text := path.read_text()):
            path.write_text(text.replace("core.gates.levels", "core.gates.error_levels"))
    own.commit("Name the module for what it holds")
    assert flights() == (0, {}, [])
    text = (checkout / "ml_assets/core/gates/verdict.py").read_text()
    changed = text.replace('return "REJECT", reasons', 'return "INCONCLUSIVE", reasons')
    assert changed != text
    (checkout / "ml_assets/core/gates/verdict.py").write_text(changed)
    own.commit("Reject less")
    code, effects, stale = flights()
    assert (code, effects) == (4, {"judging code": "weakened"})
    assert {"evaluation", "release"} <= set(stale)
    assert "model" not in stale
