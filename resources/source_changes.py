"""Whether code or declaration changed since this process read them: then it can make nothing more, until it is restarted."""

from ml_assets.first_party import SHOWN, CodeChanged, refuse_changes
from ml_assets.spec.product import Product


def changed_since_start(product: Product) -> str:
    """Return a sentence that says what changed and what to do about it; empty if nothing did."""
    try:
        refuse_changes()
    except CodeChanged as error:
        return str(error)
    changed = product.files.changed()
    named = ", ".join(str(path) for path in changed[:SHOWN])
    if not named:
        return ""
    return (
        f"{product.name}: {named} changed since the product was loaded; restart: in Dagster reload the code location, "
        f"on the command line run the command again"
    )
