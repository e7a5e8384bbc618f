"""The reference of the serving benchmark: an ASGI application that says hello, under the same uvicorn as the endpoint."""

import argparse
from typing import Any

from ml_assets.serving.http.listen_address import ListenAddress
from ml_assets.serving.http.server import run


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Read the request, say hello; no framework, for the endpoint has none."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await receive()
    body = b'{"hello":"world"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve on the port."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    arguments: Any = parser.parse_args()
    run(hello, ListenAddress("127.0.0.1", arguments.port))


if __name__ == "__main__":
    main()
