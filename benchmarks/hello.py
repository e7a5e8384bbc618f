"""The reference of the serving benchmark: an ASGI application that says hello, under the same uvicorn as the endpoint."""

import argparse
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ml_assets.serving.server import run


async def hello(_: Request) -> JSONResponse:
    """What `GET /readyz` and every other route answer."""
    return JSONResponse({"hello": "world"})


def main() -> None:
    """Serve on a free port."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready-file", type=Path)
    asked: Any = parser.parse_args()
    app = Starlette(routes=[Route("/{path:path}", hello, methods=["GET", "POST"])])
    run(app, host="127.0.0.1", port=asked.port, ready_file=asked.ready_file)


if __name__ == "__main__":
    main()
