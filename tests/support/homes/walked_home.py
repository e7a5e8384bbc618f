"""The shop in a git repository of its own, and a home whose past windows are retired: what `ml-assets ci` compares models on.

The data are made by the real stages and looked at by the real checks; the windows are charged and let through in the real budget.
"""

import shutil
from pathlib import Path

import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.services.build_snapshots import make_dataset, make_features, make_raw
from ml_assets.services.proofs.data import prove_all
from ml_assets.spec.product import load
from resources.ledger.budget import Budget
from resources.settings import settings
from tests.support.homes.shop import SHOP, csv_bytes, rows
from tests.support.repository import Team, repository
from tests.support.shared import made_once

DAYS = tuple(f"2024-03-{day:02}" for day in range(1, 5))
WINDOWS = DAYS[-2:]
ROWS = 400
RUN = "prepared"


def walked_shop(factory: pytest.TempPathFactory, folder: Path) -> Team:
    """A copy in a new folder of repository and home, which are made once in a session."""
    whole = made_once(factory.getbasetemp(), "walked-shop", lambda place: write_team(shop_team(place)))
    shutil.copytree(whole, folder, dirs_exist_ok=True, symlinks=True)
    return Team(folder / "team", folder / "home", product_name="shop")


def shop_team(folder: Path) -> Team:
    """The repository, whose branch `change` is checked out, beside the home."""
    shutil.copytree(SHOP, folder / "team" / "products" / "shop")
    spec = folder / "team" / "products" / "shop" / "product.yaml"
    text = spec.read_text()
    for old, new in (
        ("  unit: row\n", "  unit: hour\n"),
        ("{alpha: 0.45, looks: 6, ships: 6, exception: nearly every model passes in tests}", "{alpha: 0.1, looks: 1, ships: 1}"),
        ("roc_auc(candidate) > 0.05}", "roc_auc(candidate) > 0.7}\n" + CLAIMS),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    spec.write_text(text)
    return repository(Team(folder / "team", folder / "home", product_name="shop"), "The shop")


CLAIMS = """\
    - {name: not_worse, prove: roc_auc(candidate) - roc_auc(champion) > -0.03}
    - {name: calibrated, veto: brier(candidate) - brier(champion) < 0.02}
    - {name: cities, for_each: [city], veto: roc_auc(candidate) - roc_auc(champion) > -0.1}"""


def write_team(team: Team) -> None:
    """Deliver the days, take them down to features, and use up the windows' budget."""
    product = load(team.product)
    space = Workspace(settings({"ML_ASSETS_HOME": str(team.home), "ML_ASSETS_PRODUCTS": str(team.product.parent)}))
    for day in DAYS:
        folder = team.home / "landing" / "shop" / "orders"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{day}.csv").write_bytes(csv_bytes(rows(day, count=ROWS)))
        snapshots = [make_raw(space.lineage, space.landing, product, day, run=RUN)]
        snapshots += make_dataset(space.lineage, product, day, run=RUN)
        snapshots.append(make_features(space.lineage, space.dbt, product, day, run=RUN))
        for snapshot in snapshots:
            assert all(finding.passed for finding, _ in prove_all(space.lineage, space.dbt, product, snapshot.manifest, run=RUN))
    budget = Budget(space.ledger)
    for day in WINDOWS:
        look = budget.charge(product, tested=[day], comparison=day, gate="gate", run=RUN)
        budget.settle(product, look, "ACCEPT")
    space.ledger.close()
