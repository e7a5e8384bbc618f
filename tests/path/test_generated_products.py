"""Ordinary shapes of tables, each generated from a seed, from their deliveries to a prediction that a client gets."""

import json
import os
import sys
import urllib.request
from pathlib import Path

import pytest

from ml_assets.serving.client.server_process import ServerProcess
from tests.support.generated_products import SHAPES, Shape
from tests.support.homes.path_homes import Home, blank_pages

SEED = int(os.environ.get("GENERATED_SEED", "7"))


def prediction(home: Home, shape: Shape) -> float:
    """What a client gets for one of the requests that the release keeps."""
    environ = {"ML_ASSETS_HOME": str(home.folder), "ML_ASSETS_PRODUCTS": str(home.declared.parent)}
    release = home.space.ledger.pointer(shape.name, "production")
    assert release is not None
    golden = json.loads(home.space.snapshots.read(release.body.bundle, "golden.json"))
    command = [sys.executable, "-m", "ml_assets", "serve", shape.name]
    with ServerProcess(command, environ=environ) as server:
        body = json.dumps({"rows": golden["requests"][:2]}).encode()
        with urllib.request.urlopen(f"{server.base_url}/predict", body, timeout=30) as answer:
            predictions = json.loads(answer.read())["predictions"]
    values = [row["probability" if shape.task == "binary" else "value"] for row in predictions]
    assert values == pytest.approx(golden["scores"][:2])
    return float(values[0])


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_generated_product_goes_from_its_deliveries_to_a_served_prediction(shape: Shape, tmp_path: Path) -> None:
    home, keys = shape.home(tmp_path, SEED)
    runs = {}
    with blank_pages():
        for key in keys:
            runs[key] = home.run(key)
    for key, run in runs.items():
        failed = {claim: run.descriptions[claim] for claim in run.failed_checks - run.warnings}
        assert run.success, (key, run.errors, failed)
    tested = keys[shape.tested]
    assert home.current("release", tested) is not None, (runs[tested].outcome, runs[tested].log)
    assert home.serving() == home.get("release", tested).facts["release"]
    assert isinstance(prediction(home, shape), float)
    home.close()
