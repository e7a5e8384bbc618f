"""The large home of the benchmark is one that the project could have written, only smaller here, and its plan sees a change."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import plan
from benchmarks.child import ChildFailed
from benchmarks.homes import many_partitions
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage import stages
from ml_assets.services.planning.ledger_reads import current_manifests
from ml_assets.spec.product import Product
from resources.ledger import tables as schema
from resources.ledger.ledger import Ledger, write
from tests.support.plans import planned
from tests.support.records import broken

DAYS = 20


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Product:
    return many_partitions.by_day(tmp_path_factory.mktemp("products"))


@pytest.fixture
def space(tmp_path: Path, product: Product) -> Iterator[Workspace]:
    space = many_partitions.space_of(tmp_path / "home", product)
    assert many_partitions.fill(space, product, DAYS) == 1 + 4 * DAYS + 5 * (DAYS - 1) + 2 * (DAYS - 2)
    yield space
    space.ledger.close()


def rows(ledger: Ledger) -> dict[str, list[tuple[object, ...]]]:
    with ledger.engine.connect() as connection:
        tables = schema.metadata.sorted_tables
        return {table.name: sorted(map(tuple, connection.execute(table.select())), key=repr) for table in tables}


def test_its_chain_is_whole_and_its_index_is_what_appending_gives(space: Workspace, tmp_path: Path) -> None:
    assert broken(space.ledger) == []
    single = Ledger(f"sqlite:///{tmp_path}/single.db")
    with single.engine.begin() as connection:
        connection.exec_driver_sql("BEGIN")
        for entry in space.ledger.entries():
            write(connection, entry)
    assert rows(space.ledger) == rows(single)
    single.close()


def test_every_snapshot_is_whole_and_every_stage_stands_for_its_recipe(space: Workspace, product: Product) -> None:
    for stage in stages.STAGES:
        keys = space.ledger.partitions(product.name, stage)
        for manifest in (space.lineage.current(product, stage, key) for key in keys):
            assert space.snapshots.is_intact(manifest.snapshot)
            now = space.lineage.recipe(product, stage, manifest.partition, manifest.recipe.inputs)
            assert now.key == manifest.recipe.key
    assert planned(space, product) == []


def test_a_second_product_follows_in_the_same_ledger_and_neither_plan_reads_the_other(tmp_path: Path) -> None:
    flights, line = (many_partitions.by_day(tmp_path / "products", name) for name in ("flights", "line02"))
    space = many_partitions.space_of(tmp_path / "home", flights)
    many_partitions.fill(space, flights, 3)
    with space.ledger.engine.connect() as connection:
        alone = current_manifests(connection, flights, ())
    many_partitions.fill(space, line, 3)
    assert broken(space.ledger) == []
    with space.ledger.engine.connect() as connection:
        assert current_manifests(connection, flights, ()) == alone
        assert current_manifests(connection, line, ()).accepted == alone.accepted
    assert planned(space, flights) == planned(space, line) == []
    space.ledger.close()


@pytest.mark.long
def test_the_measured_command_says_nothing_to_do_and_sees_a_changed_delivery(space: Workspace, product: Product) -> None:
    spent = plan.sees_a_change(space, product)
    assert spent.cpu > 0


@pytest.mark.long
def test_a_plan_that_says_otherwise_is_no_measurement(space: Workspace, product: Product) -> None:
    space.landing.put(product, "weather", many_partitions.START, b"other")
    with pytest.raises(ChildFailed, match="exit code 2"):
        plan.nothing_to_do(space)


def test_a_recorded_change_is_seen_and_names_what_it_began_with(space: Workspace, product: Product) -> None:
    last = space.lineage.current(product, "raw", space.landing.delivered(product)[-1])
    space.ledger.publish(last.__class__(last.recipe, "0" * 64, "0" * 64), run="r")
    causes = {(item.stage, cause.kind) for item in planned(space, product) for cause in item.causes}
    assert ("raw", "lost") in causes
    assert ("dataset", "lost") in causes


def test_both_homes_are_told() -> None:
    spent = {"cpu": [1.0, 3.0, 2.0], "wall": [1.0, 3.0, 2.0], "peak_mb": [50.0, 70.0, 60.0]}
    small = {"plan": spent, "first": spent, "dvc": None, "dvc_stages": 0, "reference": 0.8, "ratio": 2.5}
    large = {"plan": spent, "first": spent, "partitions": 10_000, "manifests": 80_000, "ratio": 1.0}
    text = plan.text({"months": 4, "small": small, "large": large})
    for part in ("2.00 (1.00 to 3.00)", "CPU 2.50, at most 1", "10000 partitions", "0.8 s as noted once"):
        assert part in text
    assert "dvc status, 28 stages" in plan.text({"months": 4, "small": {**small, "dvc": spent, "dvc_stages": 28}, "large": large})
