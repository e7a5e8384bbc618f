"""The fold that a delivery of a static table is tested on, or why there is none; and a person's decision to reopen the last."""

from ml_assets.core.lineage.facts import FeaturesFacts, FoldFacts
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.lineage.reads import is_beyond_folds
from ml_assets.core.lineage.reopenings import ReopeningRecord
from ml_assets.core.release.identity import By
from ml_assets.errors import MlAssetsError
from ml_assets.services.people.permission import require
from ml_assets.spec.product import Product
from resources.ledger import reopenings
from resources.ledger.ledger import Ledger
from resources.ledger.records import Record


class NothingToReopen(MlAssetsError):
    """The delivery needs no fold reopened, or cannot have one."""


def fold_of(ledger: Ledger, product: Product, partition: str) -> FoldFacts | None:
    """The fold of a delivery after those that the reserve folds are for; None of any other, and before its features are made."""
    if not is_beyond_folds(product, partition):
        return None
    features = ledger.current(product.name, "features", partition)
    return FeaturesFacts.of(features).fold if features is not None else None


def no_fold(ledger: Ledger, product: Product, partition: str) -> str:
    """The reason why a delivery opens no fold, and what would help, as a clause; empty if it does, or it is not known yet."""
    fold = fold_of(ledger, product, partition)
    return "" if fold is None or fold.units else no_fold_left(product, fold, partition)


def no_fold_left(product: Product, fold: FoldFacts | None = None, partition: str = "") -> str:
    """The reason why a delivery of a static table is not trained on, and what would help, as a clause."""
    folds, unit = product.split.folds, "rows" if product.gates.unit == "row" else f"{product.gates.unit}s"
    counted = f"; a new fold opens with {fold.needed} new {unit} whose outcome is known, {fold.waiting} are there" if fold else ""
    delivery = partition or "DELIVERY"
    return (
        f"no reserve fold is left: each of the {folds} was the test window of a delivery, and only unseen rows can judge a "
        f"candidate; {product.name} needs new rows, or a person{counted}; "
        f"`ml-assets reopen {product.name} --partition {delivery}` tests on the last fold again, for a person to decide"
    )


def reopen(ledger: Ledger, product: Product, partition: str, *, by: By, reason: str) -> Record[ReopeningRecord]:
    """Record that a person lets the candidate as of a delivery be tested on the last fold again. Raises NothingToReopen, and
    DecisionRefused without a name or a reason."""
    partitions_of(product).require(partition)
    if not product.partitions.is_static:
        raise NothingToReopen(
            f"{product.name} is partitioned by {product.partitions.every}: its windows are slices of time, which no one reopens; "
            f"`ml-assets override {product.name}` is about the verdict on one"
        )
    if not is_beyond_folds(product, partition):
        raise NothingToReopen(
            f"{product.name} {partition} has a reserve fold of its own: it is one of the first {product.split.folds} deliveries"
        )
    newest = max(ledger.partitions(product.name, "features"), default="")
    if partition != newest:
        last = f"the newest with features is {newest}" if newest else "none has features yet"
        raise NothingToReopen(
            f"{product.name} {partition}: only the newest delivery can be tested on the last fold again; {last}: "
            f"`ml-assets run {product.name} --partition {newest or partition}`"
        )
    require(ledger, product, "reopen", by)
    if known := reopenings.reopened(ledger, product.name).get(partition):
        return known
    fold = fold_of(ledger, product, partition)
    if fold is not None and fold.units:
        raise NothingToReopen(
            f"{product.name} {partition} is tested on a fold of {fold.units} keys that no model has seen: it needs no other"
        )
    return reopenings.reopen(ledger, product.name, partition, by=by, reason=reason)
