"""Pull requests that take minutes to judge: other libraries, and the flights ruined together with their gates."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.ci_runner import ci_run
from tests.support.homes.walked_home import WINDOWS, shop_team, write_team
from tests.support.repository import Team
from tests.support.workflows import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
SPEC = "product.yaml"
RUINED = (
    ("depth: 8", "depth: 2"),
    ("iterations: 100", "iterations: 20"),
    ("learning_rate: 0.1\n", "learning_rate: 0.02\n"),
    ("roc_auc(candidate) > 0.60", "roc_auc(candidate) > 0.50"),
    ('    - {name: fair, veto: "ratio(roc_auc, by: origin) > 0.8"}\n', ""),
    ("max_drop: 0.05", "max_drop: 0.5"),
)
NAMED = {
    "model.depth": "changed",
    "model.iterations": "changed",
    "model.learning_rate": "changed",
    "floor": "weakened",
    "fair": "weakened",
    "monitoring.max_drop": "weakened",
}
TRAILERS = "\n".join(f"Weakens: flights/{name}: because" for name, effect in NAMED.items() if effect == "weakened")


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """The checkout in a repository of its own, above the home that the workflow keeps."""
    ran, folder = ci_run(tmp_path_factory).folder, tmp_path_factory.mktemp("flights")
    subprocess.run(["git", "clone", "--quiet", str(ran / "checkout"), str(folder / "clone")], check=True)
    return Team(folder / "clone" / "ml_assets", folder / "home", product_name="flights")


@pytest.mark.parametrize(("trailers", "code", "outcome"), [("", 4, "WEAKENED"), (TRAILERS, 1, "REJECT")])
def test_the_ruined_flights_do_not_merge_with_or_without_a_reason(
    flights: Team, tmp_path_factory: pytest.TempPathFactory, trailers: str, code: int, outcome: str
) -> None:
    flights.git("switch", "--quiet", "--force-create", "ruined", "origin/HEAD")
    for old, new in RUINED:
        flights.write(SPEC, old, new)
    flights.commit(f"Train faster\n\n{trailers}")
    upstream = ci_run(tmp_path_factory).folder / "home"
    answer = flights.ci("--base", "origin/HEAD", code=flights.root.parent, ML_ASSETS_UPSTREAM=str(upstream))
    assert (answer.code, answer.report["outcome"]) == (code, outcome), answer.stderr
    assert answer.effects == NAMED
    (comparison,) = answer.report["comparisons"]
    assert comparison["outcome"] == "REJECT"
    assert len(comparison["windows"]) == 3


def test_base_is_trained_and_scored_with_the_libraries_that_it_locks(tmp_path: Path) -> None:
    team = shop_team(tmp_path)
    team.git("switch", "--quiet", "main")
    lock = team.root / "requirements.lock"
    shutil.copy(ROOT / "requirements.lock", lock)
    team.commit("Lock the libraries")
    team.git("switch", "--quiet", "--force-create", "change")
    write_team(team)
    text = lock.read_text()
    (polars,) = [line for line in text.splitlines() if line.startswith("polars==")]
    lock.write_text(text.replace(polars, "polars==0.0.1 \\"))
    team.commit("Lock another polars")
    answer = team.ci()
    assert answer.code == 0, answer.stderr
    assert "base: installing the libraries that base locks" in answer.stderr
    (environment,) = [path for path in (team.home / "ci" / "environments").iterdir() if (path / "bin" / "python").exists()]
    version = polars.partition("==")[2].split()[0]
    program = "import importlib.metadata as m; print(m.version('polars'))"
    python = environment / "bin" / "python"
    assert subprocess.run([python, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == version
    assert any("polars" in cause for stale in answer.report["stale"] for cause in stale["causes"]), answer.report["stale"]
    (comparison,) = answer.report["comparisons"]
    assert tuple(comparison["windows"]) == WINDOWS
    assert comparison["judged"]["counts"]["scores_changed"] == 0
