"""Notify the servers of a product in production that it moved, so that they need not wait for their next look at the ledger."""

from concurrent.futures import ThreadPoolExecutor

from ml_assets.services.replicas.addresses import addresses
from ml_assets.spec.product import Product
from resources.ledger.following import identity_of
from resources.ledger.ledger import Ledger


def notify_server(ledger: Ledger, product: Product, release: str) -> str:
    """Have every server that is known swap to what the ledger says now; return their answers in words. Those that cannot be asked
    follow the ledger by themselves."""
    urls, own = addresses(ledger, product), identity_of(ledger)
    with ThreadPoolExecutor(max_workers=len(urls)) as pool:
        return "; ".join(pool.map(lambda url: _notified(url, own, release), urls))


def _notified(url: str, own: str | None, release: str) -> str:
    from ml_assets.serving.client import http_client as client

    try:
        if stranger := client.stranger(client.release(url), own):
            return f"the server at {url} {stranger}"
        reply = client.reload(url)
    except client.EndpointUnreachable:
        return f"no server runs at {url}; it will follow the ledger when it starts"
    except client.EndpointRefused as error:
        return f"the server at {url} doesn't serve {release}: {error}"
    return f"the server at {url} serves {reply['release']}"
