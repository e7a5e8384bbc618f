"""Making the snapshots of raw to features for one partition: read what they need, reuse or build, record and publish."""

from collections.abc import Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

from ml_assets.core.digests import sha256
from ml_assets.core.lineage.handles import File
from ml_assets.core.lineage.manifests import Input, Manifest, Output
from ml_assets.core.lineage.reopenings import reopening_asset
from ml_assets.errors import MlAssetsError
from ml_assets.services.proofs.raw_audit import taken
from ml_assets.spec.product import Product
from resources.dbt.build import Dbt
from resources.landing import Landing, NotDelivered
from resources.ledger.ledger import Ledger
from resources.ledger.reopenings import reopened
from resources.lineage import Build, Lineage
from resources.outcome_files import by_asset, outcome_entries
from resources.store.blobs import BlobDamaged
from resources.store.snapshots import Snapshots


class DeliveryGone(MlAssetsError):
    """The bytes that a partition was read from are neither in the landing folder nor in the store."""


def make_raw(lineage: Lineage, landing: Landing, product: Product, partition: str, *, run: str, is_new: bool = True) -> Build:
    """Read what lies in the landing folder. Where nothing does, or with `is_new` False, read again the bytes that were read
    before, which the store keeps."""
    from ml_assets.builders.raw import build

    files = _to_read(lineage, landing, product, "raw", partition, is_new=is_new)
    recipe = lineage.recipe(product, "raw", partition, delivered(product, partition, files))
    return lineage.make(recipe, partial(build, files, product, partition), run=run)


def make_reference(lineage: Lineage, landing: Landing, product: Product, *, run: str, is_new: bool = True) -> Build:
    """The same for the reference tables."""
    from ml_assets.builders.reference import build

    files = _to_read(lineage, landing, product, "reference", "", is_new=is_new)
    recipe = lineage.recipe(product, "reference", "", delivered(product, "", files))
    return lineage.make(recipe, partial(build, files, product, ""), run=run)


def make_dataset(lineage: Lineage, product: Product, partition: str, *, run: str) -> tuple[Build, Build]:
    """Make dataset and quarantine from one audit of raw. Raises ContractBreached, and then publishes neither."""
    from ml_assets.builders import dataset

    raw = lineage.current(product, "raw", partition)
    audit = cache(lambda: taken(lineage, product, raw))
    recipes = {s: lineage.recipe(product, s, partition, [raw.as_input()]) for s in ("dataset", "quarantine")}
    kept = lineage.make(recipes["dataset"], lambda: dataset.build(audit(), product, partition), run=run)
    refused = lineage.make(recipes["quarantine"], lambda: dataset.build_quarantine(audit(), product, partition), run=run)
    return kept, refused


def make_features(lineage: Lineage, dbt: Dbt, product: Product, partition: str, *, run: str) -> Build:
    """The features of the partition."""
    from ml_assets.builders.features import build

    inputs = lineage.reads(product, "features", partition)
    decided = reopening(lineage.ledger, product, partition)
    recipe = lineage.recipe(product, "features", partition, [*(manifest.as_input() for manifest in inputs), *decided])

    def built() -> Output:
        return build([*map(lineage.handle, inputs)], product, partition, dbt, is_reopened=bool(decided))

    return lineage.make(recipe, built, run=run)


def reopening(ledger: Ledger, product: Product, partition: str) -> list[Input]:
    """A person's decision to test this delivery on the last fold again, as what its features are made from; none without one."""
    entry = reopening_digests(ledger, product).get(partition)
    return [Input(reopening_asset(product.name), partition, entry)] if entry else []


def reopening_digests(ledger: Ledger, product: Product) -> dict[str, str]:
    """The hash of the ledger entry of such a decision, by delivery."""
    if not product.partitions.is_static:
        return {}
    return {key: entry.hash for key, entry in reopened(ledger, product.name).items()}


def make_outcomes(
    lineage: Lineage, landing: Landing, product: Product, partition: str, *, run: str, is_new: bool = True
) -> Build:
    """The partition's features with the outcomes that lie in the landing folder. Where none do, or with `is_new` False, those
    that were read before, which the store keeps."""
    from ml_assets.builders.outcomes import Arrived, build

    features = lineage.current(product, "features", partition)
    current = lineage.ledger.current(product.name, "outcomes", partition)
    entries = outcome_entries(landing, product).get(partition, {}) if is_new or current is None else {}
    files = {name: File(Path(entry.path), Path(entry.path).read_bytes()) for name, entry in entries.items()}
    if not files and current is not None:
        files = kept_outcomes(lineage.snapshots, current)
    digests = by_asset(product, {name: sha256(file.content) for name, file in files.items()})
    inputs = [features.as_input(), *(Input(asset, partition, digest) for asset, digest in digests.items())]
    recipe = lineage.recipe(product, "outcomes", partition, inputs)
    return lineage.make(recipe, lambda: build(Arrived(lineage.handle(features), files), product, partition), run=run)


def kept_outcomes(snapshots: Snapshots, outcomes: Manifest) -> dict[str, File]:
    """The delivered files that an outcomes snapshot keeps, by name, each held against its digest."""
    names = [Path(name) for name in snapshots.open(outcomes.snapshot).members if name.startswith("delivered/")]
    return {path.name: File(path, snapshots.read(outcomes.snapshot, path.as_posix())) for path in names}


def delivered(product: Product, partition: str, files: Mapping[str, File]) -> tuple[Input, ...]:
    """Delivered files as inputs, by the digest of their bytes."""
    return tuple(Input(f"landing/{product.name}/{t}", partition, sha256(file.content)) for t, file in files.items())


def _to_read(
    lineage: Lineage, landing: Landing, product: Product, stage: str, partition: str, *, is_new: bool
) -> dict[str, File]:
    current = lineage.ledger.current(product.name, stage, partition)
    if current is None:
        return _landed(landing, product, stage, partition)
    if is_new:
        with suppress(NotDelivered):
            return _landed(landing, product, stage, partition)
    return _kept(lineage.snapshots, landing, product, current)


def _landed(landing: Landing, product: Product, stage: str, partition: str) -> dict[str, File]:
    """The delivered files. Raises NotDelivered."""
    paths = landing.reference_files(product) if stage == "reference" else landing.partition_files(product, partition)
    return {table: File(path, path.read_bytes()) for table, path in paths.items()}


def kept_files(snapshots: Snapshots, manifest: Manifest) -> dict[str, File]:
    """The delivered files that a raw or reference snapshot keeps, each held against its digest."""
    names = [Path(name) for name in snapshots.open(manifest.snapshot).members if name.startswith("delivered/")]
    return {path.stem: File(path, snapshots.read(manifest.snapshot, path.as_posix())) for path in names}


def _kept(snapshots: Snapshots, landing: Landing, product: Product, current: Manifest) -> dict[str, File]:
    """The files that were read before; where the store lost one, that of the landing folder if it still has the same bytes."""
    try:
        return kept_files(snapshots, current)
    except BlobDamaged as error:
        return _from_landing(landing, product, current, error)


def _from_landing(landing: Landing, product: Product, current: Manifest, error: BlobDamaged) -> dict[str, File]:
    stage, partition = current.recipe.stage, current.partition
    try:
        files = _landed(landing, product, stage, partition)
    except NotDelivered:
        files = {}
    recorded = {source.asset: source.data_version for source in current.recipe.inputs}
    if {source.asset: source.data_version for source in delivered(product, partition, files)} != recorded:
        what = f"{product.name}/{stage} {partition}".strip()
        raise DeliveryGone(
            f"{what} has to be read again, but its delivered bytes are gone: {error}; deliver it again: "
            f"`ml-assets deliver {product.name} TABLE FILE{f' --partition {partition}' if partition else ''}`"
        ) from error
    return files
