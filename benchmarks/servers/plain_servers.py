"""What one would write without the project: a FastAPI endpoint, or plain ASGI with msgspec, around the same CatBoost model.

`--work finished`: the request brings the features, computed by whoever asks; the server only scores.
`--work same`: the request is the endpoint's, and the features are computed by the bundle's SQL on DuckDB, as they were trained.
Neither logs, names a release, watches drift or refuses more than its schema does.
"""

import argparse
from pathlib import Path
from typing import Any

import msgspec


def scorer(folder: Path, work: str, threads: int) -> Any:
    """A function from the rows of a request (objects) to scores."""
    from ml_assets.serving.plain.catboost_scorer import CatBoostScorer
    from ml_assets.serving.plain.duckdb_features import DuckDbFeatures
    from ml_assets.serving.release.bundle import load

    bundle = load(folder, is_compiled=False)
    features, plain = bundle.engines.features, bundle.engines.scorer
    assert isinstance(features, DuckDbFeatures)
    assert isinstance(plain, CatBoostScorer)
    names = [feature["name"] for feature in bundle.card.features]
    fields = [(field.name, field.type) for field in bundle.requests.fields]
    times = [position for position, (_, kind) in enumerate(fields) if kind == "timestamp"]

    def finished(rows: list[dict[str, Any]]) -> list[float]:
        table = [[row[name] for name in names] for row in rows]
        scores: list[float] = plain.model.predict_proba(table, thread_count=threads)[:, 1].tolist()
        return scores

    def same(rows: list[dict[str, Any]]) -> list[float]:
        import datetime as dt

        values = [[row[name] for name, _ in fields] for row in rows]
        for row in values:
            for position in times:
                row[position] = dt.datetime.fromisoformat(row[position])
        table = features.compute_rows([tuple(row) for row in values])
        scores: list[float] = plain.model.predict_proba([list(row) for row in table], thread_count=threads)[:, 1].tolist()
        return scores

    return finished if work == "finished" else same


def fastapi(folder: Path, work: str, threads: int) -> Any:
    """The usual endpoint: a pydantic model of the body, a plain function, which FastAPI runs in its threads."""
    from fastapi import FastAPI
    from pydantic import BaseModel, create_model

    score = scorer(folder, work, threads)
    row = create_model("Row", **_fields(folder, work))
    body = create_model("Body", __base__=BaseModel, rows=(list[row], ...))  # type: ignore[valid-type]
    app = FastAPI()

    # one model and one DuckDB connection: an async handler, so that no two requests use them at once
    @app.post("/predict")
    async def predict(request: body) -> dict[str, Any]:  # type: ignore[valid-type]
        return {"predictions": score([row.model_dump() for row in request.rows])}  # type: ignore[attr-defined]

    @app.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    return app


def plain(folder: Path, work: str, threads: int) -> Any:
    """No framework: msgspec decodes into a struct, CatBoost scores, msgspec encodes."""
    score = scorer(folder, work, threads)
    row = msgspec.defstruct("Row", [(name, kind) for name, (kind, _) in _fields(folder, work).items()])
    body_type: Any = msgspec.defstruct("Body", [("rows", list[row])])  # type: ignore[valid-type]
    decode = msgspec.json.Decoder(body_type).decode

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        content, more = b"", True
        while more:
            message = await receive()
            content, more = content + message.get("body", b""), message.get("more_body", False)
        scores = score([msgspec.structs.asdict(row) for row in decode(content).rows]) if content else []
        body = msgspec.json.encode({"predictions": scores})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def _fields(folder: Path, work: str) -> dict[str, Any]:
    card = msgspec.json.decode((folder / "bundle.json").read_bytes())
    if work == "finished":
        return {f["name"]: ((str if f["kind"] == "category" else float | None), ...) for f in card["features"]}
    kinds = {"string": str, "integer": int, "number": float, "timestamp": str, "boolean": bool}
    fields = msgspec.json.decode((folder / "request.json").read_bytes())
    return {f["name"]: ((kinds[f["type"]] | None if f["nullable"] else kinds[f["type"]]), ...) for f in fields}


def main() -> None:
    """Serve on the port with uvicorn, one worker, httptools and uvloop."""
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["fastapi", "plain"])
    parser.add_argument("--work", choices=["finished", "same"], required=True)
    parser.add_argument("--threads", type=int, default=-1, help="of CatBoost; -1, its default, is one for each core")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    app = {"fastapi": fastapi, "plain": plain}[arguments.kind](arguments.bundle, arguments.work, arguments.threads)
    config = uvicorn.Config(app, host="127.0.0.1", port=arguments.port, access_log=False, log_level="warning", http="httptools")
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
