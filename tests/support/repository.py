"""The trains in a git repository of their own, as a team keeps them: a main branch, and a branch with a change."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import trains

FEATURES = """\
SELECT requests.*, requests.distance * 2 AS twice
FROM {{ ref('trains_requests') }} AS requests
"""
LABELS = "SELECT trip, delay > 5 AS is_late FROM {{ source('dataset', 'trips') }}\n"
REQUESTS = "SELECT trip, line, distance FROM {{ source('dataset', 'trips') }}\n"
TESTS = """\
version: 2
models:
  - name: trains_features
    data_tests:
      - unique_together: {name: features_are_unique, arguments: {columns: [trip]}}
    columns:
      - name: distance
        data_tests:
          - not_null: {name: distance_is_known}
"""
SOURCES = "sources: [{name: dataset, tables: [{name: trips}]}]\n"
DBT = {
    "schema.yml": TESTS,
    "sources.yml": SOURCES,
    "trains_features.sql": FEATURES,
    "trains_labels.sql": LABELS,
    "trains_requests.sql": REQUESTS,
}


@dataclass(frozen=True)
class Team:
    """`root`: the repository; its products are in `products/`."""

    root: Path
    home: Path
    product_name: str = "trains"

    @property
    def product(self) -> Path:
        return self.root / "products" / self.product_name

    def git(self, *arguments: str) -> str:
        """Run git with an author of its own."""
        names = {f"GIT_{who}_{what}": "ann@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        command = ["git", "-C", str(self.root), *arguments]
        return subprocess.run(command, env={**os.environ, **names}, capture_output=True, text=True, check=True).stdout

    def write(self, name: str, old: str, new: str) -> None:
        """Edit one place of a file of the product."""
        path = self.product / name
        text = path.read_text()
        assert text.count(old) == 1, (name, old, text)
        path.write_text(text.replace(old, new))

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    @property
    def environ(self) -> dict[str, str]:
        """The settings of the team's home and products."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ML_ASSETS_", "DAGSTER_"))}
        return kept | {"ML_ASSETS_HOME": str(self.home), "ML_ASSETS_PRODUCTS": str(self.root / "products")}

    def ci(self, *arguments: str, code: Path | None = None, cwd: Path | None = None, **variables: str) -> "Answer":
        """`ml-assets ci` in the repository, by the code of this checkout or of another one."""
        environ = self.environ | variables
        program = f"import sys; sys.path.insert(0, {str(code)!r})\nfrom ml_assets.cli import main\nmain()"
        start = ["-c", program] if code else ["-m", "ml_assets"]
        command = [sys.executable, *start, "ci", "--output", str(self.home / "report"), *arguments]
        done = subprocess.run(command, cwd=cwd or self.root, env=environ, capture_output=True, text=True, check=False)
        return Answer(done.returncode, done.stdout, done.stderr, self.home / "report")


@dataclass(frozen=True)
class Answer:
    """What the command printed, and the report that it wrote."""

    code: int
    stdout: str
    stderr: str
    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        assert (self.folder / "report.json").exists(), self.stderr
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return report

    @property
    def effects(self) -> dict[str, str]:
        return {change["name"]: change["effect"] for change in self.report["changes"]}

    @property
    def stale(self) -> list[str]:
        return [stage["stage"] for stage in self.report["stale"]]


def team(folder: Path) -> Team:
    """A main branch with the product, and a branch `change` that is checked out."""
    own_team = Team(folder / "team", folder / "home")
    (own_team.product / "dbt").mkdir(parents=True)
    (own_team.product / "product.yaml").write_text(trains.SPEC)
    (own_team.product / "contract.py").write_text(trains.CONTRACT)
    for name, sql in DBT.items():
        (own_team.product / "dbt" / name).write_text(sql)
    return repository(own_team, "The trains")


def repository(own_team: Team, message: str) -> Team:
    """A main branch with what lies in the folder, and a branch `change` that is checked out."""
    own_team.git("init", "--quiet", "--initial-branch", "main")
    own_team.commit(message)
    own_team.git("switch", "--quiet", "--create", "change")
    return own_team
