"""Pull requests on a small product: each has its verdict and its exit code, and what it changes is named, and nothing else."""

from dataclasses import dataclass, field

import pytest

from tests.support.homes.walked_home import WINDOWS, walked_shop
from tests.support.repository import Answer, Team

SPEC, CONTRACT = "product.yaml", "contract.py"
SQL, LABELS, REQUESTS = "dbt/shop_features.sql", "dbt/shop_labels.sql", "dbt/shop_requests.sql"
Edit = tuple[str, str, str]
RUINED = (
    (SPEC, "iterations: 5", "iterations: 1"),
    (SPEC, "depth: 3", "depth: 1"),
    (SPEC, "learning_rate: 0.3", "learning_rate: 0.001"),
    (SPEC, "roc_auc(candidate) > 0.7", "roc_auc(candidate) > 0.1"),
    (SPEC, "    - {name: not_worse, prove: roc_auc(candidate) - roc_auc(champion) > -0.03}\n", ""),
    (SPEC, "max_drop: 1", "max_drop: 2"),
)
LEAK = (
    (SQL, "hour(placed_at) as hour\nfrom", "hour(placed_at) as hour, came_back as returned\nfrom"),
    (SQL, "{{ ref('shop_requests') }}", "{{ ref('shop_requests') }} join {{ ref('shop_labels') }} using (id)"),
    (
        CONTRACT,
        "    hour: int = pa.Field(ge=0, le=23)\n",
        "    hour: int = pa.Field(ge=0, le=23)\n    returned: int = pa.Field(nullable=True)\n",
    ),
)


@dataclass(frozen=True)
class Prepared:
    """One pull request: what it edits, and what must come of it. `why` is part of the first reason."""

    edits: tuple[Edit, ...]
    code: int
    outcome: str
    effects: dict[str, str]
    why: str = ""
    message: str = "Change it"
    compares: bool = True
    features: dict[str, str] = field(default_factory=dict)


PREPARED = {
    "a better model": Prepared(
        ((SPEC, "iterations: 5", "iterations: 40"),), 0, "ACCEPT", {"model.iterations": "changed"}, "shop: every claim holds"
    ),
    "a worse model": Prepared(
        ((SPEC, "depth: 3", "depth: 1"), (SPEC, "iterations: 5", "iterations: 1")),
        1,
        "REJECT",
        {"model.iterations": "changed", "model.depth": "changed"},
        "shop: not_worse: ",
    ),
    "a ruined model whose gates go along": Prepared(
        RUINED,
        4,
        "WEAKENED",
        {
            "model.iterations": "changed",
            "model.learning_rate": "changed",
            "model.depth": "changed",
            "floor": "weakened",
            "not_worse": "weakened",
            "monitoring.max_drop": "weakened",
        },
        "shop/monitoring.max_drop is weakened and not acknowledged",
    ),
    "a leaked column": Prepared(
        LEAK,
        1,
        "REJECT",
        {SQL: "changed", "contract.Features.returned": "changed"},
        "shop: no_leakage fails in features 2024-03-03",
        features={"returned": "added"},
    ),
    "a loosened gate": Prepared(
        ((SPEC, "roc_auc(candidate) > 0.7", "roc_auc(candidate) > 0.6"),),
        4,
        "WEAKENED",
        {"floor": "weakened"},
        "shop/floor is weakened",
        compares=False,
    ),
    "a deleted slice": Prepared(
        ((SPEC, "    - {name: cities, for_each: [city], veto: roc_auc(candidate) - roc_auc(champion) > -0.1}\n", ""),),
        4,
        "WEAKENED",
        {"cities": "weakened"},
        "shop/cities is weakened",
        compares=False,
    ),
    "a proof that becomes a veto": Prepared(
        ((SPEC, "name: not_worse, prove", "name: not_worse, veto"),),
        4,
        "WEAKENED",
        {"not_worse": "weakened"},
        "shop/not_worse is weakened",
        compares=False,
    ),
    "a renamed column": Prepared(
        (
            (CONTRACT, "    came_back: int", "    returned: int"),
            (LABELS, "came_back\nfrom", "returned as came_back\nfrom"),
        ),
        4,
        "WEAKENED",
        {"contract.orders.came_back": "weakened", "contract.orders.returned": "strengthened", LABELS: "changed"},
        "is not published; orders: column 'returned' is missing",
    ),
    "a loosened contract": Prepared(
        ((CONTRACT, '"max_quarantined": 0.2', '"max_quarantined": 0.9'),),
        4,
        "WEAKENED",
        {"contract.orders.Config.max_quarantined": "weakened"},
        "shop/contract.orders.Config.max_quarantined is weakened",
    ),
    "a broken dbt model": Prepared(
        ((SQL, "hour(placed_at) as hour", "hour(placed) as hour"),),
        1,
        "REJECT",
        {SQL: "changed"},
        "shop: head cannot be trained and scored: ",
    ),
    "a slower model": Prepared(
        ((SPEC, "iterations: 5", "iterations: 60"), (SPEC, "depth: 3", "depth: 5")),
        0,
        "ACCEPT",
        {"model.iterations": "changed", "model.depth": "changed"},
        "shop: every claim holds",
    ),
    "a refactoring that means the same": Prepared(
        (
            (SQL, "select id,", "-- in the order of the contract\nselect   id,"),
            (CONTRACT, "class Orders", "# one row an order\nclass Orders"),
        ),
        0,
        "UNCHANGED",
        {},
        "nothing that decides",
        compares=False,
    ),
    "a refactoring that only the data show to mean the same": Prepared(
        ((SQL, "hour(placed_at) as hour", "date_part('hour', placed_at) as hour"),),
        0,
        "ACCEPT",
        {SQL: "changed"},
        "shop: every score is equal",
    ),
    "documentation": Prepared((), 0, "UNCHANGED", {}, "nothing that decides", compares=False),
    "a changed label": Prepared(
        ((LABELS, "came_back\nfrom", "case when items > 4 then came_back else 0 end as came_back\nfrom"),),
        1,
        "REJECT",
        {LABELS: "changed"},
        "shop: the label of ",
    ),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return walked_shop(tmp_path_factory, tmp_path_factory.mktemp("prepared"))


def judged(team: Team, *edits: Edit, message: str = "Change it") -> Answer:
    """What `ml-assets ci` says of these edits, in one commit on a branch of their own."""
    team.git("switch", "--quiet", "--force-create", "change", "main")
    for file, old, new in edits:
        team.write(file, old, new)
    (team.root / "README.md").write_text(f"{edits}\n")
    team.commit(message)
    return team.ci()


LONG = {
    "a refactoring that only the data show to mean the same", "a slower model", "a broken dbt model", "a renamed column",
    "a worse model", "a changed label", "a leaked column",
}  # fmt: skip
"""Those of which a relative is judged in every run."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.long) if name in LONG else name for name in PREPARED])
def test_a_prepared_pull_request_gets_its_verdict_and_nothing_else_is_named(shop: Team, name: str) -> None:
    prepared = PREPARED[name]
    answer = judged(shop, *prepared.edits, message=prepared.message)
    report = answer.report
    reasons = " | ".join(report["reasons"])
    assert (answer.code, report["outcome"]) == (prepared.code, prepared.outcome), answer.stdout + answer.stderr
    assert answer.effects == prepared.effects
    assert prepared.why in reasons
    compared = [comparison for comparison in report["comparisons"] if comparison["judged"]]
    assert all(tuple(comparison["windows"]) == WINDOWS for comparison in compared)
    assert {move["feature"]: move["effect"] for c in compared for move in c["moved"]} == prepared.features
    assert bool(compared) <= prepared.compares
    assert "Traceback" not in answer.stderr
