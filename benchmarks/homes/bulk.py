"""Many entries at once for a ledger, as its own methods would write them one by one: chained, and indexed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import insert

from ml_assets.core.digests import canonical_json
from ml_assets.core.lineage.attempts import AttemptRecord
from ml_assets.core.lineage.manifests import Input, Manifest
from resources.ledger import tables as schema
from resources.ledger.ledger import GENESIS, Ledger, entry_hash

AT = "2013-01-01T00:00:00.000000+00:00"
_RECIPE = ("product", "stage", "partition", "code", "config", "environment")
_ASSET = ("product", "stage", "partition")
_POINTER = ("product", "environment", "release", "as_of", "is_proven")
_TABLES = ("entries", "manifests", "inputs", "publications", "evidence", "pointers", "attempts", "looks")


@dataclass
class Bulk:
    """Entries for a ledger, after the one with this number and hash; `flush` writes what was added."""

    ledger: Ledger
    seq: int = 0
    previous: str = GENESIS
    seqs: dict[str, int] = field(default_factory=dict)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {name: [] for name in _TABLES})

    def manifest(self, manifest: Manifest) -> None:
        """Record the manifest, with its edges."""
        self._entry("manifest", {"id": manifest.id, "manifest": manifest.to_dict(), "run": "r", "source": None})
        self.seqs[manifest.id] = self.seq
        recipe = manifest.recipe
        row = {name: getattr(recipe, name) for name in _RECIPE} | {"id": manifest.id, "key": recipe.key, "seq": self.seq}
        self.rows["manifests"].append(row | {"data_version": manifest.data_version, "snapshot": manifest.snapshot})
        self.rows["inputs"] += [self._edge(given) for given in recipe.inputs]

    def publish(self, manifest: Manifest) -> None:
        """Record the manifest and make it the current one of its asset and partition."""
        self.manifest(manifest)
        row = {name: getattr(manifest.recipe, name) for name in _ASSET} | {"manifest": manifest.id}
        self._entry("publication", {**row, "run": "r"})
        self.rows["publications"].append({**row, "seq": self.seq})

    def passed(self, manifest: Manifest, claim: str) -> None:
        """Record that a claim about the manifest holds."""
        body = {"subject": manifest.id, "claim": claim, "passed": True, "details": {}, "run": "r"}
        self._entry("evidence", body)
        self.rows["evidence"].append({"seq": self.seq, "subject": manifest.id, "claim": claim, "passed": 1})

    def move(self, kind: str, body: Mapping[str, Any]) -> None:
        """Record the move of an endpoint."""
        self._entry(kind, body)
        self.rows["pointers"].append({"seq": self.seq, **{name: body[name] for name in _POINTER}})

    def look(self, product: str, key: str) -> None:
        """Record a look at the window of one partition, which let its candidate through; the comparison is named like it."""
        body: dict[str, Any] = {"product": product, "window": [key], "comparison": key}
        for kind, more in (("look", {"gate": "g" * 64, "run": "r", "looks": 2, "ships": 1}), ("verdict", {"decision": "ACCEPT"})):
            self._entry(kind, {**body, **more})
            self.rows["looks"].append({"seq": self.seq, "product": product, "window": key, "comparison": key})

    def attempt(self, record: AttemptRecord) -> None:
        """Record the beginning or the end of an attempt."""
        body = msgspec.to_builtins(record)
        self._entry("attempt", body)
        self.rows["attempts"].append({**body, "seq": self.seq, "at": AT})

    def flush(self) -> None:
        """Write what was added since the last time."""
        with self.ledger.engine.begin() as connection:
            connection.exec_driver_sql("BEGIN")
            for name, rows in self.rows.items():
                if rows:
                    connection.execute(insert(schema.metadata.tables[name]), rows)
                    rows.clear()

    def _entry(self, kind: str, body: Mapping[str, Any]) -> None:
        text = canonical_json(body).decode()
        seq, previous = self.seq + 1, self.previous
        chained = entry_hash(seq=seq, at=AT, kind=kind, body=json.loads(text), previous=previous)
        self.rows["entries"].append({"seq": seq, "at": AT, "kind": kind, "previous": previous, "body": text, "hash": chained})
        self.seq, self.previous = seq, chained

    def _edge(self, given: Input) -> dict[str, Any]:
        row = {"asset": given.asset, "partition": given.partition, "data_version": given.data_version}
        return {**row, "consumer": self.seq, "producer": self.seqs[given.manifest] if given.manifest else None}
