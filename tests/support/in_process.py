"""The endpoint's application without a server: requests are handed to it as ASGI messages."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from ml_assets.serving.http.app import App, create_app
from ml_assets.serving.log.writer import PredictionLog
from ml_assets.serving.release.switch import Endpoint
from ml_assets.serving.requests.parser import Limits
from resources.endpoints import pointer as pointers
from tests.support.serving_store import Store


def app_of(store: Store, log: PredictionLog, *, limits: Limits | None = None, **more: Any) -> App:
    endpoint = Endpoint(
        product="flights",
        environment="production",
        pointer=lambda: pointers.read(store.pointer),
        open_bundle=store.open_bundle,
        limits=limits or Limits(),
    )
    return create_app(endpoint=endpoint, log=log, limits=limits, **more)


Answered = tuple[int, Any, dict[bytes, bytes]]


async def ask(
    app: App, body: bytes, *, path: str = "/predict", method: str = "POST", client: str = "a", key: str = "", encoding: str = ""
) -> Answered:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
    headers += [(b"content-encoding", encoding.encode())] if encoding else []
    await app({"type": "http", "path": path, "method": method, "headers": headers, "client": (client, 1)}, receive, send)
    head, content = sent
    return head["status"], json.loads(content["body"]) if path != "/metrics" else content["body"].decode(), dict(head["headers"])


def within(app: App, work: Callable[[], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        await app.state.start()
        return await work()

    return asyncio.run(run())
