"""Plans of a home, as the command makes them."""

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.planning import Item
from ml_assets.services.planning.plan import make_plan
from ml_assets.spec.product import Product


def planned(space: Workspace, product: Product) -> list[Item]:
    return make_plan(space.lineage, space.landing, product, cache=space.settings.cache)
