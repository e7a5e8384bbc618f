"""Where the servers of a product are asked: at the addresses that they report, which need not be the one that they listen on."""

from ml_assets.spec.product import Product
from resources.endpoints.replicas import replicas
from resources.ledger.ledger import Ledger


def addresses(ledger: Ledger, product: Product) -> list[str]:
    """The URLs of the servers in production that reported lately; the one that product.yaml declares where none did."""
    reported = [seen.replica.address for seen in replicas(ledger.engine, product.name) if not seen.is_silent]
    return list(dict.fromkeys(reported)) or [f"http://{product.endpoint.host}:{product.endpoint.port}"]
