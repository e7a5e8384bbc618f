"""The path from delivery to production with store and landing in an object store, from two machines that share a ledger."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets.cli.shared.context import run_job, run_outcome
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.services.planning.plan import make_plan
from ml_assets.services.verify.home import verify
from ml_assets.spec.product import Product
from resources.settings import settings
from resources.store.remote_blobs import RemoteBlobs
from tests.support.homes.path_homes import blank_pages
from tests.support.homes.shop import DAYS, csv_bytes, rows, shop
from tests.support.object_store import S3, object_store
from tests.support.shared import link_parsed_projects

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]
BUCKET = "team"
BLOB = re.compile("/store/[0-9a-f]{2}/[0-9a-f]{64}")
FIRST, SECOND, THIRD = DAYS[:3]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    from s3fs import S3FileSystem

    with object_store() as store:
        for name, value in store.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DAGSTER_HOME", "")
        S3FileSystem.clear_instance_cache()
        store.make_bucket(BUCKET)
        yield store
    S3FileSystem.clear_instance_cache()


def machine(folder: Path, name: str) -> Workspace:
    """A home with folders of its own, on the store, the deliveries and the ledger of all."""
    home = folder / name
    if not home.exists():
        link_parsed_projects(home)
    environ = {
        "ML_ASSETS_HOME": str(home),
        "ML_ASSETS_PRODUCTS": str(folder / "declared" / "products"),
        "ML_ASSETS_STORE": f"s3://{BUCKET}/store",
        "ML_ASSETS_LANDING": f"s3://{BUCKET}/landing",
        "ML_ASSETS_LEDGER": f"sqlite:///{folder / 'ledger.db'}",
    }
    return Workspace(settings(environ))


def run(space: Workspace, product: Product, day: str) -> str:
    with blank_pages():
        result = run_job(space, product, "path", tags={"dagster/partition": day})
    came = run_outcome(space, result.run_id)
    return came.kind if result.success else f"{came.kind}: {came.reason}"


def test_a_product_lives_in_an_object_store(s3: S3, tmp_path: Path) -> None:
    product = shop(tmp_path / "declared").product
    here = machine(tmp_path, "here")
    for day in (FIRST, SECOND):
        here.landing.put(product, "orders", day, csv_bytes(rows(day)))
    assert not (tmp_path / "here" / "landing").exists()
    assert [run(here, product, day) for day in (FIRST, SECOND)] == ["no candidate", "promoted"]
    of_blobs = [method for method, path in s3.requests if BLOB.search(path)]
    assert of_blobs.count("PUT") > 40
    assert len(of_blobs) - of_blobs.count("PUT") <= 1, "no object is asked for but one, by which a home knows its ledger's store"
    assert verify(here.settings).is_clean

    s3.requests.clear()
    assert run(here, product, SECOND) == "kept"
    assert [path for _, path in s3.requests if "landing" not in path] == [], "the same again asks the store for nothing"

    # A loss that verify names is repaired by the command that it names.
    blobs = here.snapshots.blobs
    assert isinstance(blobs, RemoteBlobs)
    features = here.lineage.current(product, "features", SECOND)
    lost = here.snapshots.open(features.snapshot).members["features.parquet"]
    s3.direct("DELETE", f"/{blobs.locate(lost)}")
    (discrepancy,) = [one for one in verify(here.settings).discrepancies if not one.is_note]
    assert f"ml-assets run shop --partition {SECOND}" in str(discrepancy)
    assert run(here, product, SECOND) == "kept"
    assert verify(here.settings).is_clean

    # Another machine goes on with what this one made, and each knows what the other did.
    there = machine(tmp_path, "there")
    assert make_plan(there.lineage, there.landing, product, cache=there.settings.cache) == []
    there.landing.put(product, "orders", THIRD, csv_bytes(rows(THIRD)))
    assert run(there, product, THIRD) in ("promoted", "withheld")
    assert {item.partition for item in make_plan(here.lineage, here.landing, product, cache=here.settings.cache)} == set()
    assert verify(there.settings).is_clean
    for space in (here, there):
        space.ledger.close()
