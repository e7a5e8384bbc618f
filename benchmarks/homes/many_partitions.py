"""A home in which 10,000 partitions are as they would be made now: the flights by the day, every candidate accepted.

Delivered files, snapshots, manifests, evidence and moves are written as the project writes them, only many at a time and
not synced; their content is a few bytes each.
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.homes.bulk import Bulk
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.digests import canonical_json, sha256
from ml_assets.core.lineage import stages
from ml_assets.core.lineage.manifests import Input, Manifest, Recipe
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.spec.product import Product, load
from ml_assets.spec.product_files import SPEC_FILE
from resources.dbt.project import test_names
from resources.ledger.following import newest as newest_entry
from resources.settings import ROOT, settings

NAME = "flights"
START = "1990-01-01"
CHUNK = 500
VERDICT: Mapping[str, Any] = {"decision": "ACCEPT", "reasons": [], "claims": [], "units": 30, "rows": 8}
"""A verdict as far as it is read of one that let its candidate through."""


def by_day(folder: Path, name: str = NAME) -> Product:
    """The flights product below the folder, with partitions by day; under another name, with dbt models of its own."""
    declared = folder / name
    shutil.copytree(ROOT / "ml_assets" / "products" / NAME, declared, ignore=shutil.ignore_patterns("__pycache__"))
    text = (declared / SPEC_FILE).read_text().replace(f"name: {NAME}\n", f"name: {name}\n", 1)
    text, count = re.subn(r"(?m)^partitions: .*$", f"partitions: {{every: day, start: {START}}}", text)
    if count != 1:
        raise AssertionError(f"{SPEC_FILE} declares its partitions {count} times")
    (declared / SPEC_FILE).write_text(text)
    if name != NAME:
        _own_models(declared, name)
    return load(declared)


def _own_models(declared: Path, name: str) -> None:
    """The dbt models of the flights, named after the product."""
    (declared / "dbt").mkdir()
    models = ROOT / "dbt_project" / "models" / NAME
    of_product = re.compile(rf"\b{NAME}_({'|'.join(path.stem.removeprefix(f'{NAME}_') for path in models.glob('*.sql'))})\b")
    for path in models.iterdir():
        own = of_product.sub(rf"{name}_\1", path.name)
        (declared / "dbt" / own).write_text(of_product.sub(rf"{name}_\1", path.read_text()))


def space_of(home: Path, product: Product) -> Workspace:
    """The workspace of a home with this product."""
    return Workspace(settings({"ML_ASSETS_HOME": str(home), "ML_ASSETS_PRODUCTS": str(product.folder.parent)}))


def fill(space: Workspace, product: Product, partitions: int) -> int:
    """Deliver and make the partitions, after what the ledger has of other products; how many manifests they have."""
    calendar = partitions_of(product)
    keys = calendar.keys(START, calendar.shift(START, partitions - 1))
    newest = newest_entry(space.ledger)
    path = _Path(space, product, Bulk(space.ledger, newest.seq, newest.hash) if newest else Bulk(space.ledger))
    path.reference()
    for number, key in enumerate(keys, 1):
        path.take(key)
        if number % CHUNK == 0 or number == partitions:
            path.bulk.flush()
    space.ledger.close()
    return len(path.bulk.seqs)


@dataclass
class _Path:
    """Takes partitions down the path one by one, in order."""

    space: Workspace
    product: Product
    bulk: Bulk
    current: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    recipes: dict[str, Recipe] = field(default_factory=dict)
    champion: Manifest | None = None

    def __post_init__(self) -> None:
        named = {stage: self.space.lineage.recipe(self.product, stage, "", ()) for stage in stages.STAGES}
        self.recipes = {stage: replace(recipe, details={}) for stage, recipe in named.items()}
        self.dbt_tests = test_names(self.product)

    def reference(self) -> None:
        self._make("reference", "", self._deliver("", tuple(self.product.delivery.reference)))

    def take(self, key: str) -> None:
        """One partition, from its delivery to monitoring."""
        answering = [self.champion.as_input()] if self.champion else []
        self._make("raw", key, self._deliver(key, tuple(self.product.delivery.tables)))
        for stage in ("dataset", "quarantine", "features"):
            self._make(stage, key, list(self._read(stage, key)))
        self._prove("features", key, *self.dbt_tests, "no_leakage")
        trained = list(self._read("model", key))
        if len(trained) >= self.product.window.minimum:
            self._make("model", key, trained)
            judged = self._make("evaluation", key, [*self._read("evaluation", key), *answering])
            self.bulk.look(self.product.name, key)
            self._prove("evaluation", key, "tested_on_unseen", "gates_passed")
            features = [source for source in judged.recipe.inputs if source.asset == f"{self.product.name}/features"]
            self._make("report", key, [*self._read("report", key), *features])
            release = self._release(key)
            self._make("tracking", key, [*self._read("tracking", key), release.as_input()])
        if answering:
            for stage in ("monitoring", "predictions"):
                self._make(stage, key, [*self._read(stage, key), *answering])

    def _release(self, key: str) -> Manifest:
        release, before = self._make("release", key, list(self._read("release", key))), self.champion
        named = {"release": release.snapshot, "name": release.facts["release"], "manifest": release.id, "as_of": key}
        move = {
            **named,
            "product": self.product.name,
            "previous": before and before.snapshot,
            "by": "b",
            "reason": "ACCEPT",
            "is_proven": True,
        }
        self.bulk.move("staging", {**move, "environment": "staging"})
        self.bulk.move("promotion", {**move, "environment": "production"})
        self.champion = release
        return release

    def _read(self, stage: str, key: str) -> Iterator[Input]:
        wanted = stages.reads(self.product, stage, key, self.current.__contains__)
        yield from (self.current[asset].as_input() for asset in (*wanted.available, *wanted.required))

    def _deliver(self, key: str, tables: tuple[str, ...]) -> list[Input]:
        inputs = []
        for table in tables:
            file, content = self.space.landing.file(self.product, table, key), f"{table} {key}\n".encode()
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            inputs.append(Input(f"landing/{self.product.name}/{table}", key, sha256(content)))
        return inputs

    def _make(self, stage: str, key: str, inputs: list[Input]) -> Manifest:
        member = ("verdict.json", canonical_json(VERDICT)) if stage == "evaluation" else ("part", f"{stage} {key}\n".encode())
        digest = self._blob(canonical_json({"members": {member[0]: self._blob(member[1])}}))
        facts = {"release": f"{key}.{digest[:8]}"} if stage == "release" else self._facts(stage, key, inputs)
        manifest = Manifest(replace(self.recipes[stage], partition=key, inputs=tuple(inputs)), digest, digest, facts)
        self.bulk.publish(manifest)
        self.current[stage, key] = manifest
        return manifest

    def _facts(self, stage: str, key: str, inputs: list[Input]) -> Mapping[str, Any]:
        """What is read of a manifest without its snapshot."""
        if stage == "evaluation":
            (model,) = (source for source in inputs if source.asset == f"{self.product.name}/model")
            return {
                "verdict": VERDICT,
                "candidate": model.data_version,
                "tested": [key],
                "look": {"number": 1, "comparison": key},
            }
        tables = dict.fromkeys(self.product.delivery.tables, 8)
        return {"raw": {"rows": tables}, "quarantine": {"rows": tables, "reasons": {}}}.get(stage, {})

    def _blob(self, content: bytes) -> str:
        digest = sha256(content)
        path = Path(self.space.settings.store.removeprefix("file://")) / digest[:2] / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return digest

    def _prove(self, stage: str, key: str, *claims: str) -> None:
        for claim in claims:
            self.bulk.passed(self.current[stage, key], claim)
