"""Bringing inputs up to date: what is stale under today's code, configuration and libraries is rebuilt before it is used.

Only raw to features are ever rebuilt, never an evaluation or a release, so no look at a test window is charged.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.planning import PATH, Asset, Item
from ml_assets.core.lineage.reads import labelled_apart
from ml_assets.core.lineage.stages import DATA, reads, test_keys, train_keys
from ml_assets.errors import MlAssetsError
from ml_assets.services.build_snapshots import make_dataset, make_features, make_outcomes, make_raw, make_reference
from ml_assets.services.evidence import Finding
from ml_assets.services.planning.plan import stale_before, tell
from ml_assets.services.proofs.data import prove_all
from ml_assets.spec.product import Product
from resources.dbt.build import Dbt
from resources.landing import Landing
from resources.ledger.ledger import Ledger
from resources.lineage import Build, Lineage

SHOWN = 4
RECENT = 5
"""Builds of a stage whose recorded times an estimate is made of."""


class InputStale(MlAssetsError):
    """Something that a stage reads would come out differently now, and was not or cannot be brought up to date."""


@dataclass(frozen=True)
class RebuildListener:
    """Callbacks of a rebuild: for words, for each snapshot, and for each check's finding (and whether that was reused)."""

    say: Callable[[str], None]
    built: Callable[[Build], None]
    checked: Callable[[Manifest, Finding, bool], None]


def bring_up_to_date(
    lineage: Lineage,
    landing: Landing,
    dbt: Dbt,
    product: Product,
    partition: str,
    *,
    is_trained: bool,
    run: str,
    listener: RebuildListener,
) -> list[Item]:
    """Rebuild what is stale of all that the features of the partition read and, with `is_trained`, of the features that its
    candidate is trained and tested on. What was rebuilt, in order. Raises InputStale, which names the partition."""
    needed = _needed(product, partition, is_trained=is_trained)
    items = [item for item in stale_before(lineage, product, DATA[-1]) if (item.stage, item.partition) in needed]
    if not items:
        return []
    _announce(lineage.ledger, product, items, listener)
    done: set[Asset] = set()
    for number, item in enumerate(items, 1):
        if (item.stage, item.partition) in done:
            continue
        why = "; ".join(dict.fromkeys(tell(lineage.ledger, product, cause) for cause in item.causes))
        listener.say(f"rebuilding {number} of {len(items)}: {item.stage} {item.partition} ({why})")
        for snapshot in _rebuilt(lineage, landing, dbt, product, item, run=run):
            done.add((snapshot.manifest.recipe.stage, snapshot.manifest.partition))
            listener.built(snapshot)
            for finding, is_known in prove_all(lineage, dbt, product, snapshot.manifest, run=run):
                listener.checked(snapshot.manifest, finding, is_known)
    return items


def stale_of_path(lineage: Lineage, product: Product, partition: str, *, until: str = PATH[-1]) -> tuple[list[Item], list[Item]]:
    """The stale snapshots of the partition's path up to a stage, and of all that it reads, which a run of it rebuilds; and the
    other stale ones, which such a run leaves alone. Deliveries that were not read yet and which release serves are left aside."""
    needed = _needed(product, partition, is_trained=True)
    stale = stale_before(lineage, product, until)
    included = [item for item in stale if item.partition == partition or (item.stage, item.partition) in needed]
    return included, [item for item in stale if item not in included]


def refuse_stale(lineage: Lineage, product: Product, stage: str, partition: str) -> None:
    """Raise InputStale if anything that the stage reads for the partition is stale: for selections that do not rebuild it."""
    needed = set(_read_by(product, stage, partition))
    before = [stage_and_partition for stage_and_partition in needed if stage_and_partition[0] != stage]
    until = max((name for name, _ in before), key=_place, default="")
    if not until:
        return
    items = [item for item in stale_before(lineage, product, until) if (item.stage, item.partition) in needed]
    if items:
        named = ", ".join(f"{item.stage} {item.partition}".strip() for item in items[:SHOWN])
        more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
        why = "; ".join(dict.fromkeys(tell(lineage.ledger, product, cause) for item in items for cause in item.causes))
        raise InputStale(
            f"{product.name}/{stage} {partition} reads what is stale: {named}{more} ({why}); "
            f"`ml-assets run {product.name} --partition {partition}` rebuilds it first"
        )


def estimated_seconds(ledger: Ledger, product: Product, items: Sequence[Item]) -> float | None:
    """The cost of these in CPU seconds, by the recorded times of the newest builds of their stages; None without any."""
    stages = {item.stage for item in items}
    typical = {stage: median(times) for stage in stages if (times := ledger.build_seconds(product.name, stage, newest=RECENT))}
    return sum(typical.get(item.stage, 0.0) for item in items) if typical else None


def estimated_cost(ledger: Ledger, product: Product, items: Sequence[Item]) -> str:
    """The estimate in words."""
    seconds = estimated_seconds(ledger, product, items)
    return f"about {seconds:.0f} CPU seconds by recorded times" if seconds is not None else "an unknown time: none is recorded"


def _announce(ledger: Ledger, product: Product, items: Sequence[Item], listener: RebuildListener) -> None:
    partitions = sorted({item.partition for item in items} - {""})
    listener.say(f"{len(items)} stale snapshots of {len(partitions)} partitions are rebuilt first")
    if len(items) > product.rebuild.most:
        cost = estimated_cost(ledger, product, items)
        listener.say(f"that is more than rebuild.most ({product.rebuild.most}): {len(items)} snapshots, {cost}")


def _rebuilt(lineage: Lineage, landing: Landing, dbt: Dbt, product: Product, item: Item, *, run: str) -> Sequence[Build]:
    try:
        match item.stage:
            case "reference":
                return [make_reference(lineage, landing, product, run=run, is_new=False)]
            case "raw":
                return [make_raw(lineage, landing, product, item.partition, run=run, is_new=False)]
            case "dataset" | "quarantine":
                return make_dataset(lineage, product, item.partition, run=run)
            case "features":
                return [make_features(lineage, dbt, product, item.partition, run=run)]
            case "outcomes":
                return [make_outcomes(lineage, landing, product, item.partition, run=run, is_new=False)]
    except MlAssetsError as error:
        what = f"{product.name}/{item.stage} {item.partition}".strip()
        raise InputStale(f"{what} is stale and cannot be rebuilt: {error}") from error
    raise AssertionError(item.stage)


def _read_by(product: Product, stage: str, partition: str) -> Iterator[Asset]:
    """All that a stage reads for a partition, down to what was delivered."""
    declared = reads(product, stage, partition)
    for asset in (*declared.required, *declared.available):
        yield asset
        yield from _read_by(product, *asset)
    if stage == "dataset":
        yield ("quarantine", partition)


def _needed(product: Product, partition: str, *, is_trained: bool) -> set[Asset]:
    """All that the features of the partition read and, with `is_trained`, the features that its candidate is trained and tested
    on, with what those read."""
    needed = set(_read_by_features(product, partition))
    if is_trained:
        apart = labelled_apart(product)
        for key in {*train_keys(product, partition), *test_keys(product, partition)} - {partition}:
            needed |= {("features", key), *_read_by_features(product, key), *([("outcomes", key)] if apart else [])}
    return needed


def _read_by_features(product: Product, partition: str) -> Iterator[Asset]:
    yield from _read_by(product, "features", partition)


def _place(stage: str) -> int:
    return (*DATA, "model", "evaluation", "release", "predictions").index(stage)
