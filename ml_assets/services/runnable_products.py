"""Products whose whole declaration can run: the contract is executed and held against product.yaml and the dbt models.

What passed is noted in the cache under the digest of all that decides it, so that a command pays for it once.
"""

from collections.abc import Iterable
from pathlib import Path

from ml_assets.core.digests import digest_json, sha256
from ml_assets.core.lineage.stages import STAGES, closure, environment
from ml_assets.spec.product import Product, ProductError, load_each
from resources.dbt.project import DbtProjectError, test_names
from resources.store.blobs import write_atomically

_CHECKED = "ml_assets.services.runnable_products:problems"


def checked(product: Product, cache: Path) -> Product:
    """The product, if it can run. Raises ProductError with everything that keeps it from running."""
    content = {str(path): sha256(text) for path, text in product.files.content.items()}
    decides = {"files": content, "code": closure(_CHECKED).digest, "environment": environment(STAGES["dataset"])}
    note = cache / "declarations" / product.name
    digest = digest_json(decides).encode()
    if note.is_file() and note.read_bytes() == digest:
        return product
    if product_problems := problems(product):
        raise ProductError(*product_problems)
    write_atomically(note, digest)
    return product


def problems(product: Product) -> list[str]:
    """Everything that keeps the product from running."""
    from ml_assets.core.declared.problems import declaration_problems

    if declared := declaration_problems(product):
        return declared
    try:
        test_names(product)
    except DbtProjectError as error:
        return [str(error)]
    return []


def checked_products(roots: Iterable[Path], cache: Path) -> tuple[dict[str, Product], list[str]]:
    """The products below the roots that can run, by name, and what keeps the others from it."""
    loaded, refused = load_each(roots)
    products: dict[str, Product] = {}
    for name, product in loaded.items():
        try:
            products[name] = checked(product, cache)
        except ProductError as error:
            refused += error.problems
    return products, refused
