"""The requirement of `promote:` in product.yaml on a release, in addition to its evidence: that it comes from a clean, merged
commit."""

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.source import not_merged
from ml_assets.services.stale_evaluations import made_by_other_code
from ml_assets.spec.product import Product
from resources.lineage import Lineage


def withheld_by_commit(lineage: Lineage, product: Product, release: Manifest) -> list[str]:
    """The reason why the product keeps this release out of production: the commit that it was made at, and what to do; none if it
    doesn't.

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
