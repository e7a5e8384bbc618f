"""Requests to the object store: what a run of the path, the same run again and other commands ask an S3 API over HTTP (moto).

Each command is a process of its own, on the shop of the tests; every request goes through a proxy that counts it. A run is
refused as a measurement if it doesn't succeed, and the same run again if it asks for anything.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from benchmarks.child import ROOT, spend
from benchmarks.tables import table
from resources.store.served_logs import FOLDER
from tests.support.homes.shop import SHOP, csv_bytes, rows
from tests.support.object_store import S3, object_store

DAYS = ("2024-03-01", "2024-03-02", "2024-03-03")
BUCKET = "bench"
LOGS = "of served logs"
KINDS = ("PUT", "GET", "HEAD", "LIST", LOGS)


class NotReused(Exception):
    """A run of what is current asked the store."""


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """Three days, then the last again; on another machine, `status` and the last day; `verify`."""
    with tempfile.TemporaryDirectory(prefix="ml-assets-bench-") as folder, object_store() as store:
        store.make_bucket(BUCKET)
        here, there = (_machine(Path(folder), name, store) for name in ("here", "there"))
        by_run = {f"run of {day}": _requests(store, here, "run", "shop", "--partition", day) for day in DAYS}
        again = _requests(store, here, "run", "shop", "--partition", DAYS[-1])
        by_run["the same again"] = again
        by_run["plan"] = _requests(store, here, "plan", "shop", "--json")
        by_run["plan on another machine, the first"] = _requests(store, there, "plan", "shop", "--json")
        by_run["the last day on another machine"] = _requests(store, there, "run", "shop", "--partition", DAYS[-1])
        by_run["verify"] = _requests(store, here, "verify")
        objects = len(store.direct("GET", f"/{BUCKET}?list-type=2").split(b"<Key>")) - 1
    if again:
        raise NotReused(f"the same run again asked the store: {again}")
    return {"asked": by_run, "objects": objects}


def _machine(folder: Path, name: str, store: S3) -> dict[str, str]:
    """The variables of a machine: a folder of its own, the store, the deliveries' folder and the ledger of both."""
    products = folder / "products"
    if not products.exists():
        shutil.copytree(SHOP, products / "shop")
        landing = folder / "landing" / "shop" / "orders"
        landing.mkdir(parents=True)
        for day in DAYS:
            (landing / f"{day}.csv").write_bytes(csv_bytes(rows(day)))
    return {
        **{variable: value for variable, value in store.environ.items() if value},
        "ML_ASSETS_HOME": str(folder / name),
        "ML_ASSETS_PRODUCTS": str(products),
        "ML_ASSETS_LANDING": str(folder / "landing"),
        "ML_ASSETS_LEDGER": f"sqlite:///{folder / 'ledger.db'}",
        "ML_ASSETS_STORE": f"s3://{BUCKET}/store",
        "DAGSTER_HOME": "",
        "PATH": os.environ["PATH"],
    }


def _requests(store: S3, environ: Mapping[str, str], *arguments: str) -> dict[str, int]:
    """The requests of one command, by what they do; those for what servers logged together."""
    store.requests.clear()
    spend([sys.executable, "-m", "ml_assets", *arguments], environ=environ, cwd=ROOT)
    logs = [one for one in store.requests if f"store/{FOLDER}" in unquote(one[1])]
    store.requests[:] = [one for one in store.requests if one not in logs]
    return store.counts() | ({LOGS: len(logs)} if logs else {})


def text(results: Mapping[str, Any]) -> str:
    """The table."""
    lines = [[name, *(counts.get(kind, 0) for kind in KINDS)] for name, counts in results["asked"].items()]
    return "\n\n".join([table(["requests to the store", *KINDS], lines), f"{results['objects']} objects in the store at the end"])
