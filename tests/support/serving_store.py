"""A small store of release bundles for the serving tests; run as a script it is the child that serves from it."""

import argparse
import datetime as dt
import http.client
import json
import sys
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl

from ml_assets.core.digests import digest_file, digest_json
from ml_assets.core.model.scoring import load_model, score_frame
from ml_assets.serving.release.bundle_files import BundleFiles
from ml_assets.spec.tasks import Task
from resources.endpoints import pointer as pointers
from resources.endpoints.pointer import Pointer, Shadow
from resources.settings import settings

CLASSES = ["early", "on time", "late"]
CARRIERS = ["AA", "B6", "DL", "UA"]
REQUEST = [
    {"name": "scheduled_at", "type": "timestamp", "nullable": False},
    {"name": "carrier", "type": "string", "nullable": False, "isin": CARRIERS},
    {"name": "tailnum", "type": "string", "nullable": True},
    {"name": "distance", "type": "integer", "nullable": False, "ge": 1, "le": 6000},
    {"name": "wind_speed", "type": "number", "nullable": True, "ge": 0},
    {"name": "is_holiday", "type": "boolean", "nullable": False},
]
FEATURES = [
    {"name": "carrier", "kind": "category"},
    {"name": "hour", "kind": "number"},
    {"name": "distance", "kind": "number"},
    {"name": "wind_speed", "kind": "number"},
    {"name": "is_holiday", "kind": "number"},
    {"name": "plane_age", "kind": "number"},
    {"name": "late_rate", "kind": "number"},
    {"name": "tail_kind", "kind": "category"},
]
SQL = """
with requests as (select * from "features"."main"."flights_requests"),
late_rates as (
    select r.flight_id, sum(d.late) as late, sum(d.flights) as flights
    from requests as r
    inner join "features"."main"."carrier_days" as d
        on d.carrier = r.carrier
        and d.day < cast(r.scheduled_at as date) and d.day >= cast(r.scheduled_at as date) - interval 7 day
    group by r.flight_id
)
select
    r.flight_id, r.scheduled_at, r.carrier, hour(r.scheduled_at) as hour, r.distance, r.wind_speed, r.is_holiday,
    2013 - p.year as plane_age, t.late / nullif(t.flights, 0) as late_rate,
    coalesce(substr(r.tailnum, 1, 1), 'unknown') as tail_kind
from requests as r
left join "features"."main"."planes" as p on p.tailnum = r.tailnum
left join late_rates as t on t.flight_id = r.flight_id
"""


def requests(count: int, *, seed: int) -> pl.DataFrame:
    """Random requests; the key is the row's number."""
    rng = np.random.default_rng(seed)
    start = dt.datetime(2013, 1, 3)
    return pl.DataFrame(
        {
            "flight_id": [f"f{number}" for number in range(count)],
            "scheduled_at": [start + dt.timedelta(minutes=int(m)) for m in rng.integers(0, 40_000, count)],
            "carrier": rng.choice(CARRIERS, count),
            "tailnum": [None if n % 7 == 0 else f"N{n % 40}" for n in rng.integers(0, 900, count)],
            "distance": rng.integers(90, 3000, count),
            "wind_speed": [None if w < 0.5 else float(w) for w in rng.gamma(2.0, 4.0, count)],
            "is_holiday": rng.random(count) < 0.1,
        },
        schema_overrides={"scheduled_at": pl.Datetime("us"), "tailnum": pl.String, "wind_speed": pl.Float64},
    )


def payload(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows as a client sends them."""
    rows = frame.drop("flight_id").to_dicts()
    return [{**row, "scheduled_at": row["scheduled_at"].isoformat()} for row in rows]


def lookups() -> dict[str, pl.DataFrame]:
    """planes and carrier_days."""
    days = [(c, dt.date(2013, 1, 1) + dt.timedelta(days=d)) for c in CARRIERS for d in range(30)]
    planes = {"tailnum": [f"N{n}" for n in range(30)], "year": [1985 + n % 27 for n in range(30)]}
    counts = {"late": [(n * 7) % 11 for n in range(len(days))], "flights": [11 + n % 5 for n in range(len(days))]}
    return {
        "planes": pl.DataFrame(planes),
        "carrier_days": pl.DataFrame(days, schema=["carrier", "day"], orient="row").with_columns(
            **{k: pl.Series(v) for k, v in counts.items()}
        ),
    }


def offline_features(frame: pl.DataFrame, sql: str = SQL) -> pl.DataFrame:
    """features.sql over the requests in one plain query, in the order of the key's number."""
    connection = duckdb.connect()
    connection.execute("ATTACH ':memory:' AS features")
    for name, table in {**lookups(), "flights_requests": frame}.items():
        connection.register("arriving", table.to_arrow())
        connection.execute(f"CREATE TABLE features.main.{name} AS SELECT * FROM arriving")
    computed = pl.DataFrame(connection.sql(sql).to_arrow_table())
    return frame.select("flight_id").join(computed, on="flight_id", how="left", maintain_order="left")


@dataclass(frozen=True)
class Store:
    """Bundles by digest in a folder, and the pointer of production."""

    home: Path

    @property
    def pointer(self) -> Path:
        return settings({"ML_ASSETS_HOME": str(self.home)}).pointer("flights", "production")

    @property
    def log(self) -> Path:
        return self.home / "predictions" / "flights"

    @property
    def shadow_log(self) -> Path:
        return self.home / "shadow" / "flights"

    def open_bundle(self, digest: str) -> BundleFiles:
        listing = json.loads((self.home / "bundles" / f"{digest}.json").read_text())
        return BundleFiles(self.home / "bundles" / digest, listing)

    def add(self, folder: Path) -> str:
        members = {p.relative_to(folder).as_posix(): digest_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}
        digest = digest_json(members)
        target = self.home / "bundles" / digest
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            folder.rename(target)
        (target.parent / f"{digest}.json").write_text(json.dumps(members))
        return digest

    def point(self, release: str, digest: str, *, shadow: tuple[str, str] | None = None, share: float = 0.0) -> None:
        """Let a release answer, and another (name, digest) score in its shadow, or answer a share of the requests."""
        about = {"as_of": "2013-01", "since": "2013-02-01T00:00:00", "by": "test", "reason": "a test"}
        beside = Shadow(release=shadow[0], bundle=shadow[1], share=share, **about) if shadow else None
        pointers.write(self.pointer, Pointer(release=release, bundle=digest, shadow=beside, **about))

    @cached_property
    def argv(self) -> list[str]:
        return [sys.executable, __file__, "--home", str(self.home)]


@dataclass(frozen=True)
class Release:
    """One trained release: where its members were added, and its offline scores."""

    name: str
    digest: str
    task: Task
    model: bytes
    sql: str = SQL

    def scores(self, frame: pl.DataFrame) -> list[Any]:
        """Offline: one plain query and the evaluation's scoring function; of several classes a list of their scores a row."""
        scores: list[Any] = score_frame(load_model(self.model, self.task), offline_features(frame, self.sql), FEATURES).tolist()
        return scores


def train(folder: Path, *, name: str, seed: int, task: Task = "binary", sql: str = SQL) -> Release:
    """Fit five trees on the features of `sql` and write the members of a bundle to `folder`."""
    from catboost import CatBoostClassifier, CatBoostRegressor, Pool

    folder.mkdir(parents=True)
    frame = requests(800, seed=seed)
    table = offline_features(frame, sql)
    rng = np.random.default_rng(seed)
    signal = table["late_rate"].fill_null(0.4).to_numpy() * 4 + table["hour"].to_numpy() / 12 + rng.normal(size=800)
    kind, label = (CatBoostClassifier, signal > np.median(signal)) if task == "binary" else (CatBoostRegressor, signal)
    label = np.asarray(label, dtype=float)
    several = {}
    if task == "multiclass":
        kind, label = CatBoostClassifier, np.digitize(signal, np.quantile(signal, [0.4, 0.8])).astype(float)
        several = {"loss_function": "MultiClass", "classes_count": len(CLASSES)}
    fixed = {"thread_count": 1, "verbose": False, "allow_writing_files": False, "one_hot_max_size": 10}
    model = kind(iterations=5, depth=4, random_seed=seed, **fixed, **several)
    names = [feature["name"] for feature in FEATURES]
    pool_frame = table.select(names).with_columns(pl.col("hour", "is_holiday").cast(pl.Float64))
    categories = [feature["name"] for feature in FEATURES if feature["kind"] == "category"]
    model.fit(Pool(pool_frame, label=label, cat_features=categories))
    model.save_model(str(folder / "model.cbm"))
    release = Release(name, "", task, (folder / "model.cbm").read_bytes(), sql)
    _write_members(folder, release)
    return release


def store_of_one(home: Path) -> Store:
    """A store whose one release, r1, serves."""
    store = Store(home)
    train(home / "r", name="r1", seed=1)
    store.point("r1", store.add(home / "r"))
    return store


def _write_members(folder: Path, release: Release) -> None:
    golden = requests(25, seed=99)
    card = {
        "product": "flights",
        "task": release.task,
        "release": release.name,
        "features": FEATURES,
        "key": ["flight_id"],
        "time": "scheduled_at",
        "requests_relation": "flights_requests",
        "threshold": 0.5 if release.task == "binary" else None,
        **({"classes": CLASSES} if release.task == "multiclass" else {}),
    }
    contents = {"bundle": card, "request": REQUEST, "profile": {}, "manifest": {}, "evidence": {}}
    contents["golden"] = {"requests": payload(golden), "scores": release.scores(golden)}
    for member, content in contents.items():
        (folder / f"{member}.json").write_text(json.dumps(content))
    (folder / "features.sql").write_text(release.sql)
    (folder / "lookups").mkdir()
    for relation, table in lookups().items():
        table.write_parquet(folder / "lookups" / f"{relation}.parquet")


def post(base_url: str, body: bytes, *, path: str = "/predict") -> tuple[int, Any]:
    with closing(http.client.HTTPConnection(base_url.removeprefix("http://"), timeout=30)) as connection:
        connection.request("POST", path, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def get(base_url: str, path: str) -> str:
    with urllib.request.urlopen(base_url + path, timeout=10) as response:
        return str(response.read().decode())


def main() -> None:
    """Serve production of a test store."""
    from ml_assets.serving.http.app import create_app
    from ml_assets.serving.http.listen_address import ListenAddress
    from ml_assets.serving.http.server import run
    from ml_assets.serving.http.worker_processes import fork_workers
    from ml_assets.serving.log.writer import PredictionLog
    from ml_assets.serving.release.switch import Endpoint
    from ml_assets.serving.release.trial_process import TrialProcess

    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument("--client-seconds", type=float, default=10.0)
    parser.add_argument("--drain-seconds", type=float, default=0.05)
    given = parser.parse_args()
    store = Store(given.home)
    place = ListenAddress("127.0.0.1", given.port, given.ready_file)
    place, peers = fork_workers(given.workers, place) if given.workers > 1 else (place, None)
    is_compiled = settings().compiled
    trial = TrialProcess(is_compiled=is_compiled)
    endpoint = Endpoint(
        product="flights",
        environment="production",
        pointer=lambda: pointers.read(store.pointer),
        open_bundle=store.open_bundle,
        trial=trial,
        is_compiled=is_compiled,
    )
    app = create_app(
        endpoint=endpoint,
        log=PredictionLog(store.log, flush_seconds=0.1),
        shadow_log=PredictionLog(store.shadow_log, flush_seconds=0.1),
        peers=peers,
    )
    run(
        app,
        place,
        drain=endpoint.drain,
        drain_seconds=given.drain_seconds,
        client_seconds=given.client_seconds,
    )


if __name__ == "__main__":
    main()
