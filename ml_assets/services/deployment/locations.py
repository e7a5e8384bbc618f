"""The code locations of a deployment: the products in them, and the commits that they report."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ml_assets.core.lineage.source import Commit, Source, as_source, commits, source_text
from resources.http.dagster_webserver import Webserver, WebserverRefused

SUFFIX = "_stale"
"""Of the sensors of sensors/stale.py, whose metadata name the source."""
REFUSED = "refused_products"
"""The sensor of a location that leaves out products that cannot run; its metadata say why."""
UNNAMED = f'["its sensor {REFUSED} says what"]'
"""Of a location of earlier code, whose sensor has no metadata."""
LONGEST = 600
QUERY = """
query {
  workspaceOrError {
    ... on PythonError { message }
    ... on Workspace {
      locationEntries {
        name
        loadStatus
        locationOrLoadError {
          __typename
          ... on PythonError { message causes { message } }
          ... on RepositoryLocation {
            repositories {
              name
              sensors {
                name
                targets { pipelineName }
                metadataEntries { label ... on JsonMetadataEntry { jsonString } }
              }
            }
          }
        }
      }
    }
  }
}
"""
Contains = Callable[[str, str], bool]
"""Whether the second commit contains the first."""


@dataclass(frozen=True)
class DeployedProduct:
    """A product of a code location: where its sensor of stale paths is, the job that this launches, and its source."""

    location: str
    repository: str
    product: str
    sensor: str
    job: str
    source: Source

    @property
    def words(self) -> str:
        """Its commits in a few words, as its runs are tagged."""
        return source_text(self.source)


@dataclass(frozen=True)
class Location:
    """A code location as the webserver has it loaded: its products, and why it has none, or not all (`problem`)."""

    name: str
    problem: str
    products: Sequence[DeployedProduct] = ()

    def behind(self, commit: str, contains: Contains) -> str:
        """The reason why the location does not run the commit as it is, or one that contains it; empty if it does."""
        if self.problem:
            return f"location {self.name} {self.problem}"
        reported = [report for product in self.products for report in commits(product.source)]
        matching = [report for report in reported if report["commit"] == commit or contains(commit, report["commit"])]
        if not matching:
            names = " and ".join(dict.fromkeys(report["commit"] for report in reported)) or "no commit"
            return f"location {self.name} reports {names}, not {commit}{'' if reported else _UNKNOWN}"
        return "".join(self._dirty(report) for report in matching if report["is_dirty"])

    def _dirty(self, reported: Commit) -> str:
        return f"location {self.name} runs commit {reported['commit']} with uncommitted changes"


_UNKNOWN = "; where it is loaded from no git checkout, set ML_ASSETS_COMMIT there"


def locations(webserver: Webserver, only: Sequence[str]) -> list[Location]:
    """The locations that have products or failed to load; of these names, if any. Raises WebserverRefused for an unknown name."""
    workspace = webserver.ask(QUERY)
    if "locationEntries" not in workspace:
        raise WebserverRefused(f"{webserver.url}: {workspace.get('message')}")
    entries = {entry["name"]: entry for entry in workspace["locationEntries"]}
    if unknown := [name for name in only if name not in entries]:
        raise WebserverRefused(f"{webserver.url} has no location {', '.join(unknown)}; it has {', '.join(entries) or 'none'}")
    selected = [_location(entry) for name, entry in entries.items() if name in (only or entries)]
    return [location for location in selected if location.problem or location.products]


def _location(entry: Any) -> Location:
    loaded = entry["locationOrLoadError"]
    if entry["loadStatus"] != "LOADED" or loaded is None:
        return Location(entry["name"], "is loading")
    if loaded["__typename"] != "RepositoryLocation":
        first = [loaded, *loaded["causes"]][-1]["message"].strip()
        return Location(entry["name"], f"failed to load: {first[:LONGEST]}")
    pairs = [(repository, sensor) for repository in loaded["repositories"] for sensor in repository["sensors"]]
    products = [_product(entry["name"], repository["name"], sensor) for repository, sensor in pairs]
    named = [_reported(sensor).get("problems", UNNAMED) for _, sensor in pairs if sensor["name"] == REFUSED]
    refused = [why for problems in named for why in json.loads(problems)]
    problem = f"leaves out what cannot run: {'; '.join(refused)[:LONGEST]}" if refused else ""
    return Location(entry["name"], problem, [product for product in products if product])


def _reported(sensor: Any) -> dict[str, str]:
    return {entry["label"]: entry["jsonString"] for entry in sensor["metadataEntries"] if "jsonString" in entry}


def _product(location: str, repository: str, sensor: Any) -> DeployedProduct | None:
    reported = _reported(sensor)
    if not sensor["name"].endswith(SUFFIX) or "source" not in reported:
        return None
    name, job = sensor["name"].removesuffix(SUFFIX), sensor["targets"][0]["pipelineName"]
    source = as_source(json.loads(reported["source"]) or None)
    return DeployedProduct(location, repository, name, sensor["name"], job, source)
