"""The whole path, small and real: flights by day with five trees, driven through the command line as a user does."""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from click.testing import CliRunner, Result

from ml_assets.cli import cli
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.services.demo_flights import Year
from ml_assets.spec.product import Product, load
from resources.settings import settings
from tests.support.homes.flights_days import own_copy

SPEC = {
    "partitions: {every: month, start: 2013-01, end: 2014-01}": "partitions: {every: day, start: 2013-01-01, end: 2013-01-15}",
    "lookback: 1,": "lookback: 8,",
    "iterations: 100": "iterations: 5",
    "  unit: day": "  unit: hour",
    "minimum: {units: 20, positives: 50, negatives: 50}": "minimum: {units: 5, positives: 2, negatives: 2}",
    "roc_auc(champion) > -0.03}": "roc_auc(champion) > -0.95}",
    "roc_auc(anchor) > -0.035}": "roc_auc(anchor) > -0.95}",
    "> 0.60}": "> 0.05}",
    "brier(champion) < 0.01}": "brier(champion) < 0.9}",
    "< 0.05, family": "< 5, family",
    "by: origin) > 0.8": "by: origin) > 0.01",
    "alpha: 0.05, looks: 2, ships: 1": "alpha: 0.45, looks: 5, ships: 5, exception: few rows in tests",
    "smoke_rows: 200": "smoke_rows: 20",
    "\nevaluation:": "\nlanding: {settle: 0}\nevaluation:",
}
CONTRACT = {'"min_rows": 10_000': '"min_rows": 100', '"min_rows": 1_500': '"min_rows": 20'}


@dataclass(frozen=True)
class Days:
    """A home and a products folder of one's own."""

    home: Path
    products: Path

    @property
    def flights(self) -> Product:
        return load(self.products / "flights")

    @property
    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ML_ASSETS_", "DAGSTER_"))}
        return {**kept, "ML_ASSETS_HOME": str(self.home), "ML_ASSETS_PRODUCTS": str(self.products)}

    def open(self) -> Workspace:
        return Workspace(settings(self.environ))

    def deliver(self, day: str) -> None:
        """Flights and weather of one day, and the reference tables when they are not there."""
        landing, product = self.open().landing, self.flights
        for table, content in reference().items():
            if not landing.file(product, table).exists():
                landing.put(product, table, "", content)
        for table, content in delivery(day).items():
            landing.put(product, table, day, content)

    def ml_assets(self, *args: str) -> subprocess.CompletedProcess[str]:
        """One command in a process of its own."""
        command = [sys.executable, "-m", "ml_assets", *args]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=240, check=False)

    def invoke(self, *args: str) -> Result:
        """One command in this process: most of a quick one is imports."""
        own = {"ML_ASSETS_HOME": str(self.home), "ML_ASSETS_PRODUCTS": str(self.products), "DAGSTER_HOME": ""}
        return CliRunner().invoke(cli, args, env=own)

    def edit(self, old: str, new: str) -> None:
        """Change one place of product.yaml."""
        replace_in(self.products / "flights" / "product.yaml", {old: new})


def days_in(folder: Path) -> Days:
    """The product by day in a new folder, on a port that nobody uses."""
    own_copy(folder / "products", {})
    spec, contract = (folder / "products" / "flights" / name for name in ("product.yaml", "contract.py"))
    replace_in(spec, SPEC | {"port: 8810": f"port: {free_port()}"})
    replace_in(contract, CONTRACT)
    return Days(folder / "home", folder / "products")


@cache
def reference() -> dict[str, bytes]:
    return year().reference()


@cache
def year() -> Year:
    return Year.open()


@cache
def delivery(day: str) -> dict[str, bytes]:
    """The day's rows of each table, as packaged."""
    outcomes = {}
    for table, content in year().month(day[:7]).items():
        header, *lines = content.splitlines()
        kept = [line for line in lines if line.rsplit(b",", 1)[1].startswith(day.encode())]
        outcomes[table] = b"\n".join([header, *kept, b""])
    return outcomes


def replace_in(path: Path, changes: dict[str, str]) -> None:
    content = path.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert content.count(old) == 1, f"{old!r} is {content.count(old)} times in {path}"
        content = content.replace(old, new)
    path.write_text(content, encoding="utf-8")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
