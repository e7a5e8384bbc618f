"""Notify the production server, if one runs, that its pointer moved."""

from ml_assets.spec.product import Product


def notify_server(product: Product, release: str) -> str:
    """Ask the production server, if one runs, to swap to what its pointer says now."""
    from ml_assets.serving.client import http_client as client

    spec = product.endpoint
    try:
        reply = client.reload(f"http://{spec.host}:{spec.port}")
    except client.EndpointUnreachable:
        return f"no server runs on port {spec.port}; it will read the pointer when it starts"
    if reply["release"] != release:
        return f"the server on port {spec.port} serves {reply['release']}: is it the server of another home?"
    return f"the server on port {spec.port} serves {release}"
