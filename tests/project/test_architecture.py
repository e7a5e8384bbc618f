"""docs/architecture.md describes the code that there is: its paths, its names, and the layers of the import contract."""

import re
import tomllib
from itertools import product as pairs
from pathlib import PurePath
from typing import Any

import pytest

from resources.settings import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text()
CODE = re.findall(r"`([^`\n]+)`", TEXT)
TOPS = ("ml_assets", "resources", "checks", "sensors", "tests")
PATHS = sorted({name for name in CODE if name.split("/")[0] in TOPS and "<" not in name and " " not in name})
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
BOX = re.compile(r'(\w+)(?:\["([^"<]+)[^"]*"\])?')


def layers(contract: dict[str, Any]) -> list[list[str]]:
    """The layers of a contract from import-linter, from the top: the modules or folders in each."""
    return [[part.strip() for part in layer.split("|")] for layer in contract["layers"]]


def arrows() -> list[tuple[str, str]]:
    """The arrows of the picture, between modules."""
    [picture] = re.findall(r"^```mermaid\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    modules = {name: ".".join(PurePath(path).with_suffix("").parts) for name, path in BOX.findall(picture) if path}
    sides = [[BOX.findall(side) for side in line.split("-->")] for line in picture.splitlines() if "-->" in line]
    return [(modules[a], modules[b]) for left, right in sides for (a, _), (b, _) in pairs(left, right)]


@pytest.mark.parametrize("path", PATHS)
def test_what_is_named_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_package_is_described() -> None:
    packages = {f"ml_assets/{init.parent.name}" for init in (ROOT / "ml_assets").glob("*/__init__.py")}
    assert packages | {"resources", "checks", "sensors"} <= set(CODE)


def test_the_arrows_of_the_picture_go_down_the_import_contract() -> None:
    [contract] = [contract for contract in CONTRACTS if contract["name"] == "imports go one way"]
    rank = {module: place for place, layer in enumerate(layers(contract)) for module in layer}
    assert len(arrows()) >= len(rank) - 1
    assert all(rank[above] < rank[below] for above, below in arrows() if {above, below} <= set(rank))
    assert {module for arrow in arrows() for module in arrow} <= set(rank)


@pytest.mark.parametrize("package", ["core", "serving"])
def test_the_layers_inside_of_a_package_are_those_of_its_contract(package: str) -> None:
    [contract] = [contract for contract in CONTRACTS if contract.get("containers") == [f"ml_assets.{package}"]]
    kept = [[name for name in layer if (ROOT / "ml_assets" / package / name).is_dir()] for layer in layers(contract)]
    [line] = re.findall(rf"^- `ml_assets/{package}`: (.*?)\.\n", TEXT, re.MULTILINE | re.DOTALL)
    assert [re.findall(r"`(\w+)`", layer) for layer in line.split(";")] == [layer for layer in kept if layer]
