"""`ml-assets ci` of a product whose outcomes come weeks later in a table of their own: by a home that ran the whole path."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from resources.ledger.ledger import Ledger
from tests.support.homes.apart import LABELS, apart, deliver_returns
from tests.support.homes.path_homes import Home, Run
from tests.support.homes.shop import csv_bytes, rows
from tests.support.repository import Answer, Team, repository

pytestmark = pytest.mark.long
DAYS = FIRST, SECOND, THIRD, FOURTH, FIFTH = tuple(f"2024-03-0{day}" for day in range(1, 6))
ROWS, NONE_CAME, OPEN = 200, THIRD, FIFTH
SPEC = "product.yaml"
EDITS = (
    (r"unit: row", "unit: hour"),
    (r"alpha: .*passes in tests", "alpha: 0.1, looks: 1, ships: 1"),
    (
        r"candidate\) > 0.05}",
        "candidate) > 0.7}\n    - {name: not_worse, prove: roc_auc(candidate) - roc_auc(champion) > -0.2}\nci: {windows: 2}",
    ),
)


@dataclass(frozen=True)
class Late:
    """The team's repository, and what the runs of its home said."""

    team: Team
    home: Home
    runs: dict[str, Run]

    def judge(self, *edits: tuple[str, str, str], message: str = "Change it") -> Answer:
        self.team.git("switch", "--quiet", "--force-create", "change", "main")
        for file, old, new in edits:
            self.team.write(file, old, new)
        self.team.commit(message)
        return self.team.ci("--base", "main")


def matures() -> str:
    """Outcomes of the fourth day are complete since twelve hours, and those of the fifth in twelve."""
    since = datetime.now(UTC) - datetime.fromisoformat(f"{FIFTH}T12:00+00:00")
    return f"{int(since.total_seconds()) // 3600}h"


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Late:
    folder = tmp_path_factory.mktemp("late")
    home = apart(folder / "home", *EDITS, labels=LABELS.replace("30d", matures()))
    known = {day: rows(day, count=ROWS) for day in DAYS}
    for day in DAYS:
        questions = [{name: value for name, value in row.items() if name != "came_back"} for row in known[day]]
        home.deliver(day, {"orders": csv_bytes(questions)})
    for day in (FIRST, SECOND, FOURTH):
        deliver_returns(home, day, came(known[day]))
    deliver_returns(home, OPEN, came(known[OPEN][:80]))
    runs = {day: home.run(day) for day in DAYS}
    shutil.copytree(home.declared, folder / "team" / "products" / "shop")
    team = repository(Team(folder / "team", home.folder, product_name="shop"), "The shop")
    return Late(team, home, runs)


def came(known: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": row["id"], "came_back": row["came_back"], "known_at": "2024-04-01T00:00:00"} for row in known]


def test_only_partitions_whose_outcomes_are_complete_had_a_candidate(late: Late) -> None:
    assert {day: run.errors for day, run in late.runs.items() if not run.success} == {}
    assert [day for day in DAYS if late.home.current("evaluation", day)] == [SECOND, FOURTH]
    outcome = late.runs[OPEN].outcome
    assert outcome
    assert outcome.kind == "no candidate"


def test_a_change_is_compared_on_windows_whose_outcomes_came_and_rebuilds_models_alone(late: Late) -> None:
    before = [entry.hash for entry in Ledger(f"sqlite:///{late.home.folder / 'ledger.db'}").entries()]
    answer = late.judge((SPEC, "learning_rate: 0.3", "learning_rate: 0.2"))
    (comparison,) = answer.report["comparisons"]
    assert tuple(comparison["windows"]) == (SECOND, FOURTH), "a window of which nothing is known takes no place of another"
    assert comparison["effort"]["head"]["built"] == 2, comparison["effort"]
    assert (answer.code, answer.report["outcome"]) == (0, "ACCEPT"), answer.stdout
    rows = {claim["name"]: claim["rows"] for claim in comparison["judged"]["verdict"]["claims"]}
    assert rows["not_worse"] == 2 * ROWS, "each is known"
    assert comparison["production"]["release"] == late.home.serving()
    assert {stage["stage"] for stage in answer.report["stale"]}.isdisjoint({"features", "outcomes", "predictions", "monitoring"})
    assert [entry.hash for entry in Ledger(f"sqlite:///{late.home.folder / 'ledger.db'}").entries()] == before


def test_a_stricter_contract_of_outcomes_is_judged_on_those_that_base_takes(late: Late) -> None:
    answer = late.judge(
        ("contract.py", "    id: str\n    came_back", "    id: str = pa.Field(str_matches=r'.*[0-8]$')\n    came_back")
    )
    (comparison,) = answer.report["comparisons"]
    assert (answer.code, answer.report["outcome"]) == (0, "INCONCLUSIVE"), answer.stdout
    assert answer.report["reasons"] == ["shop: the label of 40 of 400 rows means something else; judged on base's"]
    assert {claim["rows"] for claim in comparison["judged"]["verdict"]["claims"]} == {2 * ROWS}


def test_outcomes_that_head_cannot_read_keep_it_from_merging(late: Late) -> None:
    known_at = "isin=[0, 1])\n    known_at"
    answer = late.judge(("contract.py", known_at, known_at.replace("known_at", "shop: str\n    known_at")))
    assert (answer.code, answer.report["outcome"]) == (1, "REJECT"), answer.stdout
    assert "head cannot be trained and scored: shop 2024-03-02:" in answer.report["reasons"][0]
    assert "returns: column 'shop' is missing; the contract Returns needs " in answer.report["reasons"][0]


def test_a_search_trains_on_the_outcomes_that_came(late: Late) -> None:
    late.team.git("switch", "--quiet", "main")
    command = [sys.executable, "-m", "ml_assets", "tune", "shop", "--trials", "2", "--json", "--no-log"]
    done = subprocess.run(command, cwd=late.team.root, env=late.team.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["searched"], result["held_apart"]) == ([SECOND], [FOURTH])
    assert len(result["trials"]) == 2
