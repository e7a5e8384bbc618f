"""The reach of a recall, and what follows from it: where to roll back to, and which partitions to run again without it."""

from collections.abc import Collection
from dataclasses import dataclass

from ml_assets.core.lineage.facts import ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.stages import test_keys, train_keys
from ml_assets.core.release.identity import By
from ml_assets.core.release.promotion import back
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product
from resources.endpoints.moves import as_move
from resources.ledger import recalls
from resources.ledger.ledger import Ledger
from resources.ledger.recalls import Recall

ENVIRONMENTS = ("production", "staging")
JUDGED = ("features", "model", "evaluation", "release")


class NothingToRecall(MlAssetsError):
    """Neither a partition that was read nor a release has this name."""


@dataclass(frozen=True)
class PlannedRollback:
    """An environment in which a bad release serves, and what to go back to (None: no clean release ever served)."""

    environment: str
    now: str
    to: str | None


@dataclass(frozen=True)
class Again:
    """Partitions to run again, in order; or why none can make a clean candidate."""

    partitions: tuple[str, ...]
    blocked: str | None = None


@dataclass(frozen=True)
class Consequences:
    """`touched`: everything ever made from it, by stage, as partitions; `releases`: names, of every such release."""

    recall: Recall
    touched: dict[str, list[str]]
    releases: list[str]
    rollbacks: list[PlannedRollback]
    again: Again


def find(ledger: Ledger, product: Product, what: str, *, reason: str, by: By) -> Recall:
    """The recall of a partition, as it was read last, or of a release by its name or the beginning of its digest."""
    raw = ledger.current(product.name, "raw", what)
    if raw is not None:
        return recalls.of_partition(raw, reason=reason, by=by)
    named = [m for m in [ledger.release_named(what)] if m is not None]
    matches = named or (ledger.by_prefix(what) if len(what) >= 6 else [])
    releases = {m.snapshot: m for m in matches if m.recipe.stage == "release" and m.recipe.product == product.name}
    if len(releases) != 1:
        problem = "several releases" if releases else "neither a partition that was read nor a release"
        raise NothingToRecall(f"{product.name}: {what!r} names {problem}; `ml-assets status {product.name}` lists both")
    return recalls.of_release(next(iter(releases.values())), reason=reason, by=by)


def consequences(ledger: Ledger, product: Product, recall: Recall) -> Consequences:
    """Return what the recall, recorded or not, touches now and what it requires."""
    descendants = recalls.descendants(ledger, recall)
    bad = {*recalls.derived(ledger, product.name), *(manifest.id for manifest in descendants)}
    gone = set(recalls.recalled_partitions(ledger, product.name))
    if recall.what == "partition" and _is_current(ledger, product, recall):
        gone.add(recall.partition)
    return Consequences(
        recall=recall,
        touched=_by_stage(descendants),
        releases=list(dict.fromkeys(ReleaseFacts.of(m).release for m in descendants if m.recipe.stage == "release")),
        rollbacks=[r for name in ENVIRONMENTS if (r := _rollback(ledger, product, name, bad))],
        again=_again(ledger, product, bad, gone, recall),
    )


def _is_current(ledger: Ledger, product: Product, recall: Recall) -> bool:
    raw = ledger.current(product.name, "raw", recall.partition)
    return raw is not None and recalls.of_partition(raw, reason="", by="").is_about(recall)


def _by_stage(manifests: Collection[Manifest]) -> dict[str, list[str]]:
    partitions_by_stage: dict[str, set[str]] = {}
    for manifest in manifests:
        partitions_by_stage.setdefault(manifest.recipe.stage, set()).add(manifest.partition)
    return {stage: sorted(partitions) for stage, partitions in partitions_by_stage.items()}


def _rollback(ledger: Ledger, product: Product, environment: str, bad: Collection[str]) -> PlannedRollback | None:
    entries = ledger.moves(product.name, environment)
    if not entries or entries[-1].body.manifest not in bad:
        return None
    barred = {entry.body.bundle for entry in entries if entry.body.manifest in bad}
    target = back([as_move(entry) for entry in entries], recalled=barred)
    return PlannedRollback(environment, entries[-1].body.release, target.release if target else None)


def _again(ledger: Ledger, product: Product, bad: Collection[str], gone: Collection[str], recall: Recall) -> Again:
    """The newest partition that was not recalled, and before it those whose features, which it reads, looked back at what
    was."""

    def is_bad(stage: str, key: str) -> bool:
        manifest = ledger.current(product.name, stage, key)
        return manifest is not None and manifest.id in bad

    known = [key for key in ledger.partitions(product.name, "raw") if key not in gone]
    if not known:
        return Again((), "no other partition was read; deliver one")
    newest = known[-1]
    tested = test_keys(product, newest)
    if barred := sorted(set(tested) & set(gone)):
        return Again((), f"{newest}, the newest, is judged on {', '.join(barred)} too; deliver it again, or a later partition")
    release = ledger.current(product.name, "release", newest)
    if release is not None and release.snapshot == recall.release:
        return Again((), f"{newest}, the newest, would make the same release; change data, code or configuration")
    read = {*train_keys(product, newest), *tested} - {newest}
    earlier = [key for key in known if key in read and is_bad("features", key)]
    is_due = earlier or any(is_bad(stage, newest) for stage in JUDGED)
    return Again((*earlier, newest) if is_due else ())
