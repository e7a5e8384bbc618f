"""Three small months of flights with gates that so few rows can pass, for commands that try gates; one home per session."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from ml_assets.cli import cli
from tests.support.homes.flights_days import flights
from tests.support.homes.flights_months import MONTHS, month, with_data, year
from tests.support.homes.path_homes import Home, home

GATES = {
    "unit": "day",
    "minimum": {"units": 10, "positives": 20, "negatives": 20},
    "budget": {"alpha": 0.05, "looks": 1},
    "claims": [
        {"name": "not_worse", "prove": "roc_auc(candidate) - roc_auc(champion) > -0.1"},
        {"name": "not_worse_anchor", "prove": "roc_auc(candidate) - roc_auc(anchor) > -0.1"},
        {"name": "floor", "prove": "roc_auc(candidate) > 0.52"},
        {
            "name": "slices",
            "for_each": ["carrier", "origin"],
            "veto": "log_loss(candidate) - log_loss(champion) < 0.1",
        },
    ],
}
"""What three thousand rows of a month can show."""
MODEL = {"iterations": 5, "learning_rate": 0.5, "depth": 4, "seed": 7, "threads": 2}
STAGES = ["raw", "reference", "dataset", "quarantine", "features", "model", "evaluation", "release"]


@cache
def _made(base: Path) -> Home:
    own_home, _ = with_data(base, base / "gates-home")
    file = own_home.declared / "product.yaml"
    file.write_text(_with(_with(file.read_text(), "gates", GATES), "model", MODEL))
    _run(own_home, month)
    return own_home


def whole_months(folder: Path) -> Home:
    """The product as it is, on all rows of the three months: takes a minute or two."""
    own_home = home(folder, flights())
    _run(own_home, year().month)
    return own_home


def _run(own_home: Home, delivery: Callable[[str], dict[str, bytes]]) -> None:
    own_home.deliver("", year().reference())
    for key in MONTHS:
        own_home.deliver(key, delivery(key))
        run = own_home.run(key, only=STAGES)
        assert not run.errors, run.errors
        if own_home.current("release", key) and own_home.serving() is None:
            own_home.serve(key)


def _with(text: str, section: str, content: object) -> str:
    """The file with another content in one section at its top level."""
    before, _, rest = text.partition(f"\n{section}:\n")
    lines = rest.splitlines()
    end = next(number for number, line in enumerate(lines) if line and not line.startswith((" ", "#")))
    return "\n".join([before, yaml.safe_dump({section: content}, sort_keys=False), *lines[end:], ""])


@pytest.fixture(scope="session")
def gates_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Import this fixture where it is used. Look at it only: tests share it."""
    return _made(tmp_path_factory.getbasetemp())


def invoke(at: Home, *args: str) -> Result:
    """A command of `ml-assets gates` on the home, in this process."""
    return invoke_command(at, "gates", *args)


def invoke_command(at: Home, *args: str) -> Result:
    """A command of `ml-assets` on the home, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_ASSETS_HOME", str(at.folder))
        patch.setenv("ML_ASSETS_PRODUCTS", str(at.declared.parent))
        return CliRunner().invoke(cli, args)


def policy(folder: Path, **changes: object) -> Path:
    """A policy file with these gates, changed."""
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump({"gates": {**GATES, **changes}}, sort_keys=False))
    return file
