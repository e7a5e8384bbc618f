"""Candidates that could not be trained: why, and on which rows. Until one of these changes there is nothing to do.

The ledger keeps it as a refusal of the model; nothing but plans and triggers reads it back.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from ml_assets.core.digests import digest_json
from ml_assets.core.lineage.manifests import Manifest, Recipe
from ml_assets.core.lineage.planning import CurrentManifest, Definition
from ml_assets.core.lineage.reads import labelled_stage
from ml_assets.core.lineage.stages import STAGES, environment_digest, stage_code, stage_config, test_keys, train_keys
from ml_assets.spec.product import Product
from resources.ledger import tables as schema
from resources.ledger.append_once import append_once
from resources.ledger.ledger import Ledger, entries_where
from resources.lineage import Lineage


class ReadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The code and the inputs that a candidate would have been made with: `features` are data versions by partition, of the
    training window and of the test window."""

    code: str
    config: str
    environment: str
    features: Mapping[str, str]


class UntrainedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The refusal of a candidate. `read` is None in refusals of other things."""

    product: str
    stage: str = ""
    partition: str = ""
    reasons: tuple[str, ...] = ()
    read: ReadRecord | None = None


@dataclass(frozen=True)
class Untrained:
    """The newest refusal of the candidate as of a partition, in an entry of the ledger. `labelled`: the stage of what it would
    have been trained on."""

    entry: int
    reason: str
    read: ReadRecord
    labelled: str = "features"

    @property
    def as_planned(self) -> CurrentManifest:
        """As a plan compares it with what a candidate would be made from now."""
        definition = Definition(self.read.code, self.read.config, self.read.environment)
        return CurrentManifest(definition, "", {(self.labelled, key): version for key, version in self.read.features.items()})


def untrained(connection: Connection, product: Product) -> dict[str, Untrained]:
    """The newest refusal of each candidate, by partition."""
    newest: dict[str, Untrained] = {}
    for entry in entries_where(connection, schema.entries.c.kind == "refusal"):
        if entry.body.get("product") != product.name or entry.body.get("stage") != "model" or "read" not in entry.body:
            continue
        record = msgspec.convert(entry.body, UntrainedRecord)
        if record.read is not None:
            newest[record.partition] = Untrained(entry.seq, "; ".join(record.reasons), record.read, labelled_stage(product))
    return newest


def refuse(lineage: Lineage, recipe: Recipe, features: Mapping[str, str], reason: str, *, run: str) -> None:
    """Record that this candidate could not be trained, unless that is what the ledger says already."""
    read = ReadRecord(code=recipe.code, config=recipe.config, environment=recipe.environment, features=features)
    body = UntrainedRecord(product=recipe.product, stage="model", partition=recipe.partition, reasons=(reason,), read=read)

    def is_newest(connection: Connection) -> bool:
        bodies = (entry.body for entry in reversed(entries_where(connection, schema.entries.c.kind == "refusal")))
        own = ((b.get("read"), b.get("reasons")) for b in bodies if (b.get("product"), b.get("partition")) == asset)
        return next(own, None) == (msgspec.to_builtins(read), [reason])

    asset = (recipe.product, recipe.partition)
    append_once(lineage.ledger, "refusal", {**msgspec.to_builtins(body), "run": run}, is_recorded=is_newest)


def tested_features(ledger: Ledger, product: Product, partition: str) -> list[Manifest]:
    """The features of the test window that are there, in order."""
    manifests = (ledger.current(product.name, labelled_stage(product), key) for key in test_keys(product, partition))
    return [manifest for manifest in manifests if manifest is not None]


def is_as_refused(ledger: Ledger, product: Product, refused: Untrained, partition: str) -> bool:
    """Whether a candidate as of the partition would be made from what the refused one would have been made from, by the same."""
    stage = STAGES["model"]
    declared = (stage_code(product, stage), digest_json(stage_config(product, stage)), environment_digest(stage))
    if declared != (refused.read.code, refused.read.config, refused.read.environment):
        return False
    keys = {*train_keys(product, partition), *test_keys(product, partition)}
    now = {key: m.data_version for key in keys if (m := ledger.current(product.name, labelled_stage(product), key)) is not None}
    return now == dict(refused.read.features)


def outcomes_awaited(product: Product, tested: list[Manifest]) -> str:
    """The reason why a candidate waits for outcomes: none of its whole test window is known. Empty if it does not."""
    if not tested or any(manifest.facts.get("labelled") != 0 for manifest in tested):  # older code may not have counted
        return ""
    window = ", ".join(manifest.partition for manifest in tested)
    label = product.features.label
    return f"no {label} of the test window {window} is known yet: training waits for a delivery of it that brings them"
