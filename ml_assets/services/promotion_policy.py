"""What is asked of a release besides its evidence: that nobody froze its product, and by `promote:` in product.yaml, that it
comes from a clean, merged commit."""

from datetime import UTC, datetime

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.source import not_merged
from ml_assets.services.stale_evaluations import made_by_other_code
from ml_assets.spec.product import Product
from resources.ledger import triggers
from resources.lineage import Lineage


def held_back(lineage: Lineage, product: Product, release: Manifest) -> list[str]:
    """Why the product keeps a release out of production although it is proven, and what to do; none if it does not."""
    frozen = triggers.frozen(lineage.ledger, product.name, datetime.now(UTC))
    return [*([frozen] if frozen else []), *withheld_by_commit(lineage, product, release)]


def withheld_by_commit(lineage: Lineage, product: Product, release: Manifest) -> list[str]:
    """Why the product keeps this release out of production: the commit that it was made at, and what to do; none if it doesn't.

    A release whose recorded source isn't clean and merged is let through where this process runs from a clean, merged commit that
    would make the very same: equal recipes are reused, so committing, merging or squashing the changes makes no other release.
    """
    if product.promote is None or not (recorded := not_merged(lineage.ledger.source(release.id))):
        return []
    is_same = made_by_other_code(lineage, product, release) is None
    if is_same and not not_merged(lineage.sources(product.name)):
        return []
    return [
        f"withheld by promote.commit: clean, because {' and '.join(recorded)}; commit and merge it, then from the default branch "
        f"`ml-assets run {product.name} --partition {release.partition}`"
    ]
