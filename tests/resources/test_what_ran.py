"""What is recorded is what ran: code and declarations that change under a live process are refused, and never mixed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.builders import dataset as dataset_builder
from ml_assets.builders import features as features_builder
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.lineage.stages import STAGES, stage_code
from ml_assets.first_party import PACKAGES, TREE, CodeChanged
from ml_assets.services.build_snapshots import make_dataset, make_raw
from ml_assets.services.proofs import raw_audit
from resources.dagster_resources import resources_of
from sensors import new_data
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, deliver, shop

DAY = DAYS[0]
DATA = ("raw", "dataset", "quarantine", "features")
AMOUNT = r"amount: float = pa.Field\(nullable=True\)"
AT_MOST_50 = "amount: float = pa.Field(nullable=True, le=50)"


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Home]:
    """The shop with one delivered day, of which raw was read."""
    home = shop(tmp_path)
    deliver(home, DAY)
    make_raw(home.space.lineage, home.space.landing, home.product, DAY, run="test")
    yield home
    home.close()


def edit_contract(home: Home) -> None:
    home.edit("contract.py", (AMOUNT, AT_MOST_50), ('max_quarantined": 0.2', 'max_quarantined": 0.99'))


def quarantined(home: Home) -> int:
    return int(home.get("quarantine", DAY).facts["rows"]["orders"])


# --- the declaration


def test_a_contract_that_is_edited_while_a_process_lives_is_refused_until_it_is_loaded_again(own_home: Home) -> None:
    loaded = own_home.product
    make_dataset(own_home.space.lineage, loaded, DAY, run="as declared")
    first = own_home.get("dataset", DAY)
    assert quarantined(own_home) == 0
    edit_contract(own_home)
    with pytest.raises(CodeChanged, match=r"shop: .*contract\.py changed since the product was loaded; restart"):
        make_dataset(own_home.space.lineage, loaded, DAY, run="edited")
    assert own_home.get("dataset", DAY).id == first.id
    made_again, _ = make_dataset(own_home.space.lineage, own_home.product, DAY, run="restarted")
    assert quarantined(own_home) > 10
    assert made_again.manifest.recipe.code == stage_code(own_home.product, STAGES["dataset"]) != first.recipe.code
    frame = own_home.space.lineage.handle(made_again.manifest).frame("orders.parquet")
    assert frame["amount"].max() <= 50  # type: ignore[operator]


def test_the_audit_of_the_checks_is_that_of_the_dataset_once_and_under_the_same_contract_alone(own_home: Home) -> None:
    lineage, loaded, raw = own_home.space.lineage, own_home.product, own_home.get("raw", DAY)
    audit = raw_audit.checked(lineage, loaded, raw)
    assert raw_audit.taken(lineage, loaded, raw) is audit
    assert raw_audit.taken(lineage, loaded, raw) is not audit
    raw_audit.checked(lineage, loaded, raw)
    edit_contract(own_home)
    make_dataset(lineage, own_home.product, DAY, run="edited")
    assert quarantined(own_home) > 0


def test_what_was_loaded_goes_on_meaning_what_it_meant(own_home: Home) -> None:
    loaded = own_home.product
    edit_contract(own_home)
    old, new = (
        str(product.contract.TABLES["orders"].to_schema().columns["amount"].checks) for product in (loaded, own_home.product)
    )
    assert "50" in new
    assert "50" not in old
    assert stage_code(loaded, STAGES["dataset"]) != stage_code(own_home.product, STAGES["dataset"])


@pytest.mark.parametrize("file", ["product.yaml", "dbt/shop_features.sql", "dbt/new.sql"])
def test_every_file_of_a_declaration_is_watched(own_home: Home, file: str) -> None:
    loaded = own_home.product
    with (own_home.declared / file).open("a") as stream:
        stream.write("\n-- a note\n" if file.endswith(".sql") else "\n# a note\n")
    with pytest.raises(CodeChanged, match=rf"{Path(file).name} changed since the product was loaded; restart"):
        make_dataset(own_home.space.lineage, loaded, DAY, run="edited")


def test_a_build_that_runs_when_the_contract_is_edited_is_finished_under_its_old_digest(
    own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, build = own_home.product, dataset_builder.audited

    def edited_meanwhile(*args: object) -> object:
        edit_contract(own_home)
        return build(*args)  # type: ignore[arg-type]

    before = stage_code(loaded, STAGES["dataset"])
    monkeypatch.setattr(dataset_builder, "audited", edited_meanwhile)
    kept, _ = make_dataset(own_home.space.lineage, loaded, DAY, run="long")
    assert kept.manifest.recipe.code == before
    assert quarantined(own_home) == 0


@pytest.mark.long
def test_sql_that_is_edited_during_a_run_is_no_leak(own_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    build = features_builder.build

    def edited_after(*args: Any, **options: Any) -> Output:
        output = build(*args, **options)
        own_home.edit("dbt/shop_features.sql", ("amount, items", "amount * 1000 as amount, items"))
        return output

    monkeypatch.setattr(features_builder, "build", edited_after)
    run = own_home.run(DAY, only=DATA)
    assert run.materialized["features"]
    assert run.checks["no_leakage"], run.descriptions["no_leakage"]
    assert "rows are unmoved" in run.descriptions["no_leakage"]
    features = own_home.space.lineage.handle(own_home.get("features", DAY))
    assert features.frame("features.parquet")["amount"].max() <= 100  # type: ignore[operator]
    assert "1000" not in features.read("features.sql").decode()


# --- the code


TRIED = """
import sys
from pathlib import Path
import ml_assets
from ml_assets.first_party import CodeChanged, refuse_changes
from ml_assets.core.digests import sha256

root = Path(ml_assets.__file__).parent.parent
assert str(root) == sys.argv[1], root
assert "ml_assets.core.metrics.drift" not in sys.modules
digests = root / "ml_assets/core/digests.py"
digests.write_bytes(digests.read_bytes())
refuse_changes()
import ml_assets.core.metrics.intervals

drift = root / "ml_assets/core/metrics/drift.py"
text = drift.read_bytes()
drift.write_bytes(text + b"\\nBINS = 20\\n")
for attempt in range(2):
    try:
        import ml_assets.core.metrics.drift
    except CodeChanged as error:
        print("import:", error)
try:
    refuse_changes()
except CodeChanged as error:
    print("build:", error)
drift.write_bytes(text)
refuse_changes()
import ml_assets.core.metrics.drift

digests.unlink()
try:
    refuse_changes()
except CodeChanged as error:
    print("gone:", error)
assert sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""


def test_a_module_that_changed_before_it_was_imported_is_refused_by_name_and_what_runs_goes_on(tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(TREE.root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    environ = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", TRIED, str(tmp_path)], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    skipped = done.stdout.splitlines()
    drift = "the code changed since this process started: ml_assets.core.metrics.drift. Restart it: in Dagster reload the code"
    assert [line.partition(": ")[0] for line in skipped] == ["import", "import", "build", "gone"]
    assert all(drift in line for line in skipped[:3])
    assert "ml_assets.core.digests" in skipped[3]


# --- Dagster's page


def tick(home: Home, sensor: dg.SensorDefinition) -> str:
    instance, resources = dg.DagsterInstance.ephemeral(), resources_of(home.space.settings)
    with dg.build_sensor_context(instance=instance, resources=resources) as context:
        result = sensor(context)
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or ""


def test_the_sensor_says_when_its_code_server_has_to_be_reloaded(own_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = new_data.build(own_home.product)
    assert "reload" not in tick(own_home, sensor)
    edit_contract(own_home)
    assert "contract.py changed since the product was loaded; restart: in Dagster reload the code location" in tick(
        own_home, sensor
    )
    assert "reload" not in tick(own_home, new_data.build(own_home.product))
    monkeypatch.setitem(TREE.texts, "ml_assets.core.metrics.drift", b"BINS = 20")  # type: ignore[arg-type]
    monkeypatch.setitem(TREE.marks, "ml_assets.core.metrics.drift", (0, 0, 0))  # type: ignore[arg-type]
    skipped = tick(own_home, new_data.build(own_home.product))
    assert "the code changed since this process started: ml_assets.core.metrics.drift. Restart it" in skipped
