"""A model of many daily partitions: each of them is in its manifest by digest, and a change of any single one is seen.

What is upstream is recorded in a real ledger and store without being computed, except for the day that one test changes; the
model is trained by a real Dagster run.
"""

import json
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from ml_assets.cli import cli
from ml_assets.cli.path.plan import STALE
from ml_assets.core.contract.schema import polars_schema
from ml_assets.core.digests import sha256
from ml_assets.core.frames import parquet_bytes
from ml_assets.core.lineage.manifests import Input, Manifest, Output
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.lineage.planning import Cause, CurrentManifest, Item, Planner, Situation
from ml_assets.core.model.features import assemble, model_columns
from ml_assets.definitions import build_defs
from ml_assets.services.claims import features_claims
from ml_assets.services.planning.plan import situation, surroundings
from ml_assets.spec.product import Product, load
from resources.dagster_assets import asset_key
from resources.dagster_resources import resources_of
from resources.ledger import tables as schema
from resources.ledger.ledger import Ledger
from resources.lineage import Lineage
from tests.support.homes.path_homes import QUIET, Home, home
from tests.support.homes.weather_days import TEMPERATURE, days
from tests.support.records import JUDGED

pytestmark = pytest.mark.timeout(900)
LENGTHS = (20, *(pytest.param(length, marks=pytest.mark.long) for length in (110, 365)))
"""Days that the model is trained on: a few; more than the hundred up to which Dagster itself compares data versions; a year."""
START = date(2013, 1, 1)
SMALL = (
    (r"partitions: \{.*\}", f"partitions: {{every: day, start: {START}, end: 2014-01-02}}"),
    (r"iterations: 30", "iterations: 5"),
)
ONE_TEST = """
version: 2
models:
  - name: temperature_features
    columns:
      - name: forecast_id
        data_tests: [{unique: {name: features_are_unique}}]
"""
"""Of the product's dbt tests one is left: there is evidence of each to record for each day."""
TRAINED_ON = "features.parquet"
READ = (TRAINED_ON, "requests.parquet")
"""The members of features that other stages and checks read here."""
TEMPLATE = "2013-07-01"
CHANGED = "2013-01-17"
SEED = 365


@dataclass(frozen=True)
class ManyDays:
    """A home in which everything up to a model of many days, tested on the day after them, is recorded."""

    home: Home
    product: Product
    lineage: Lineage
    trained: tuple[str, ...]
    as_of: str

    @property
    def model(self) -> Manifest:
        return self.home.get("model", self.as_of)

    def make(self, stage: str, partition: str, inputs: Sequence[Input], output: Output) -> tuple[Manifest, bool]:
        """Record this output as the stage's, unless its recipe is known; and whether it was."""
        own_days = self.lineage.make(self.lineage.recipe(self.product, stage, partition, inputs), lambda: output, run="r")
        return own_days.manifest, own_days.reused

    def record(
        self, stage: str, partition: str, files: Mapping[str, bytes], facts: Mapping[str, Any] | None = None
    ) -> tuple[Manifest, bool]:
        """The same, from what the stage reads."""
        read = self.lineage.reads(self.product, stage, partition)
        return self.make(stage, partition, [m.as_input() for m in read], Output(files, facts or {}))


def delivery(key: str, *, temperature: bytes = b"") -> bytes:
    """One real day's weather with another date; with another temperature in its first hour."""
    text = days()[TEMPLATE].replace(f"{TEMPLATE}T".encode(), f"{key}T".encode())
    if temperature:
        header, first, *rows = text.split(b"\n")
        fields = first.split(b",")
        fields[header.split(b",").index(b"temp")] = temperature
        text = b"\n".join([header, b",".join(fields), *rows])
    return text


@pytest.fixture(scope="module", params=LENGTHS)
def many(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManyDays]:
    length, as_of = request.param, str(START + timedelta(days=request.param))
    at = home(tmp_path_factory.mktemp("days"), load(TEMPERATURE))
    at.edit("product.yaml", *SMALL, (r"window: \{.*\}", f"window: {{train: {length}, test: 1, minimum: {length}}}"))
    (at.declared / "dbt" / "schema.yml").write_text(ONE_TEST)
    keys = partitions_of(at.product).keys(str(START), as_of)
    # no head checkpoint: it is written again for each of thousands of entries
    own_days = ManyDays(at, at.product, Lineage(at.space.snapshots, Ledger(at.space.settings.ledger)), keys[:-1], as_of)
    for key in keys:
        _record_day(own_days, key)
    own_days.record("model", as_of, {"model.cbm": b"trees"}, {"rows": 8, "train": list(keys[:-1]), "loss": 0.5})
    own_days.record("evaluation", as_of, {"scores": b"1"}, {**JUDGED, "question": "q", "champion": None})
    own_days.record("report", as_of, {"report.html": b"<html>"})
    own_days.record("tracking", as_of, {"tracking.json": b"{}"})
    yield own_days
    own_days.lineage.ledger.close()
    at.space.ledger.close()


def _record_day(many: ManyDays, key: str) -> None:
    """Deliver a day, and record what its rows become: a dataset that features can be computed from, and features."""
    content = delivery(key)
    many.home.deliver(key, {"weather": content})
    given = Input("landing/temperature/weather", key, sha256(content))
    many.make("raw", key, [given], Output({"delivered/weather.csv": content}))
    many.record("dataset", key, {"weather.parquet": parquet_bytes(_weather(key))})
    many.record("quarantine", key, {"of": key.encode()})
    output = _features(many.product, key)
    features, _ = many.record("features", key, {name: output.files[name] for name in READ}, output.facts)
    for claim in features_claims(many.product):
        many.lineage.ledger.add_evidence(subject=features.id, claim=claim, passed=True, details={}, run="r")


def _weather(key: str) -> pl.DataFrame:
    """The delivered rows as the contract types them."""
    types = polars_schema(load(TEMPERATURE).contract.TABLES["weather"])
    rows = pl.read_csv(delivery(key), null_values=["NA"], infer_schema=False)
    stamp = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
    return rows.with_columns(stamp).select(pl.col(name).cast(dtype) for name, dtype in types.items())


def _features(product: Product, key: str) -> Output:
    """Three rows, warmer by the day."""
    start, number = datetime.fromisoformat(key), partitions_of(product).ordinal(key)
    airports = product.contract.ORIGINS
    keyed = pl.DataFrame({"forecast_id": [f"{origin} {key}" for origin in airports]})
    requests = keyed.with_columns(pl.lit(start).alias("day_begins_at"), pl.Series("origin", airports))
    labels = keyed.with_columns(pl.Series("mean_temp", [number % 90 + n for n in range(3)], dtype=pl.Float64))
    known = [name for name in model_columns(product) if name not in ("origin", "day_of_year")]
    columns = [pl.lit(number % 90 / 2).alias(name) for name in known]
    features = requests.with_columns(pl.col("day_begins_at").dt.ordinal_day().cast(pl.Int64).alias("day_of_year"), *columns)
    return assemble(product=product, requests=requests, labels=labels, features=features, lookups={}, sql="select 1")


def test_the_manifest_of_a_model_names_the_digest_of_each_of_its_days(many: ManyDays) -> None:
    features = {key: many.home.get("features", key) for key in many.trained}
    given = {i.partition: i for i in many.model.recipe.inputs}
    assert len(many.model.recipe.inputs) == len(given) == len(many.trained)
    assert given == {
        key: Input("temperature/features", key, manifest.data_version, manifest.id) for key, manifest in features.items()
    }
    assert len({i.data_version for i in given.values()}) == len(many.trained)
    assert len({i.manifest for i in given.values()}) == len(many.trained)


def test_the_index_of_the_ledger_holds_each_of_its_edges(many: ManyDays) -> None:
    inputs, manifests = schema.inputs.c, schema.manifests.c
    query = select(inputs.partition, inputs.data_version, inputs.producer, manifests.id)
    query = query.join(schema.manifests, manifests.seq == inputs.producer)
    model = select(manifests.seq).where(manifests.id == many.model.id).scalar_subquery()
    with many.lineage.ledger.engine.connect() as connection:
        edges = connection.execute(query.where(inputs.consumer == model)).all()
    assert len(edges) == len(many.trained)
    assert {(e.partition, e.data_version, e.id) for e in edges} == {
        (i.partition, i.data_version, i.manifest) for i in many.model.recipe.inputs
    }


def test_another_snapshot_of_a_day_asks_for_another_model(many: ManyDays) -> None:
    assert_another_snapshot_asks_for_another_model(many, some_days(many))


@pytest.mark.long
def test_another_snapshot_of_any_day_asks_for_another_model(many: ManyDays) -> None:
    assert_another_snapshot_asks_for_another_model(many, many.trained)


def assert_another_snapshot_asks_for_another_model(many: ManyDays, changed: Sequence[str]) -> None:
    lineage, product, key = many.lineage, many.product, many.model.recipe.key
    read = [m.as_input() for m in lineage.reads(product, "model", many.as_of)]
    assert lineage.recipe(product, "model", many.as_of, read).key == key
    keys = {key}
    for at, before in enumerate(read):
        if before.partition not in changed:
            continue
        with _changed(many, before.partition) as other:
            now = lineage.current(product, "features", before.partition).as_input()
            assert now == other.as_input() != before
            recipe = lineage.recipe(product, "model", many.as_of, [*read[:at], now, *read[at + 1 :]])
            keys.add(recipe.key)
            assert lineage.ledger.by_key(recipe.key) is None
    assert len(keys) == 1 + len(changed)


def test_a_model_is_made_again_for_a_changed_day_and_reused_when_its_content_is_back(many: ManyDays) -> None:
    model = many.model
    for key in some_days(many):
        before = many.home.get("features", key)
        with _changed(many, key) as other:
            manifest, is_reused = many.record("model", many.as_of, {"model.cbm": f"trees without {key}".encode()})
            assert not is_reused
            assert difference(model, manifest) == {key: (before.data_version, other.data_version)}
        assert many.record("model", many.as_of, {"model.cbm": b"not built"}) == (model, True)


@contextmanager
def _changed(many: ManyDays, key: str) -> Iterator[Manifest]:
    """While this lasts other features stand for the day, made from another delivery."""
    before = many.home.get("features", key)
    inputs = [replace(i, data_version=sha256(i.data_version.encode()), manifest=None) for i in before.recipe.inputs]
    other, _ = many.make("features", key, inputs, Output({"features.parquet": f"other {key}".encode()}))
    assert other != before
    yield other
    many.lineage.ledger.publish(before, run="r")


def difference(model: Manifest, other: Manifest) -> dict[str, tuple[str, str]]:
    """The days whose digests differ."""
    then, now = ({i.partition: i.data_version for i in m.recipe.inputs} for m in (model, other))
    assert then.keys() == now.keys()
    return {key: (then[key], now[key]) for key in then if then[key] != now[key]}


def some_days(many: ManyDays) -> list[str]:
    """The first, the last, and some between them."""
    return [many.trained[0], *random.Random(SEED).sample(many.trained[1:-1], 3), many.trained[-1]]


@pytest.fixture(scope="module")
def settled(many: ManyDays) -> Situation:
    """What a plan looks at, from the real ledger, store and landing folder."""
    space = many.home.space
    around = surroundings(space.lineage, space.landing, many.product, cache=space.settings.cache)
    own_situation = situation(space.ledger, many.product, around)
    assert Planner(many.product, own_situation).plan() == []
    return own_situation


def causes(items: list[Item], stage: str) -> set[Cause]:
    return {cause for item in items if item.stage == stage for cause in item.causes}


def test_a_day_delivered_again_with_other_content_is_the_one_root_cause_of_the_plan(many: ManyDays, settled: Situation) -> None:
    assert_a_delivery_is_the_one_root_cause(many, settled, some_days(many))


@pytest.mark.long
def test_any_day_delivered_again_with_other_content_is_the_one_root_cause_of_the_plan(many: ManyDays, settled: Situation) -> None:
    assert_a_delivery_is_the_one_root_cause(many, settled, many.trained)


def assert_a_delivery_is_the_one_root_cause(many: ManyDays, settled: Situation, keys: Sequence[str]) -> None:
    for key in keys:
        items = Planner(many.product, replace(settled, delivered={**settled.delivered, key: {"weather": "other"}})).plan()
        assert {cause for item in items for cause in item.causes} == {Cause("delivered", "weather", key)}
        assert causes(items, "model") == causes(items, "evaluation") == causes(items, "raw")
        assert [item.partition for item in items if item.stage in ("raw", "model")] == [key, many.as_of]


def test_another_snapshot_of_a_day_alone_is_the_one_root_cause_of_the_model(many: ManyDays, settled: Situation) -> None:
    assert_a_snapshot_is_the_one_root_cause(many, settled, some_days(many))


@pytest.mark.long
def test_another_snapshot_of_any_day_alone_is_the_one_root_cause_of_the_model(many: ManyDays, settled: Situation) -> None:
    assert_a_snapshot_is_the_one_root_cause(many, settled, many.trained)


def assert_a_snapshot_is_the_one_root_cause(many: ManyDays, settled: Situation, keys: Sequence[str]) -> None:
    for key in keys:
        newest = settled.current["features", key]
        other = CurrentManifest(newest.definition, "other", newest.inputs)
        items = Planner(many.product, replace(settled, current={**settled.current, ("features", key): other})).plan()
        assert causes(items, "model") == causes(items, "evaluation") == {Cause("input", "features", key)}
        assert {item.stage for item in items} == {"model", "evaluation", "report", "tracking"}


def test_ml_assets_plan_names_the_day_that_was_delivered_again(many: ManyDays) -> None:
    for key in some_days(many)[::2]:
        many.home.deliver(key, {"weather": delivery(key, temperature=b"66.6")})
        code, plan = counted(many)
        assert code == STALE
        assert set(plan["causes"]) == {f"weather {key} redelivered with other content"}
        assert {row["partition"] for row in plan["run"] if row["stage"] == "model"} == {many.as_of}
        many.home.deliver(key, {"weather": delivery(key)})
    assert counted(many) == (0, {"run": [], "causes": {}, "gates": []})


def counted(many: ManyDays) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of the real command."""
    done = CliRunner().invoke(cli, ["plan", "temperature", "--json"], env=many.home.space.settings.environ())
    plan: dict[str, Any] = json.loads(done.stdout)["temperature"]
    return done.exit_code, plan


@pytest.mark.long
def test_dagster_trains_again_when_one_old_day_changes_and_only_then(many: ManyDays, tmp_path: Path) -> None:
    """More than a hundred partitions upstream: from there on Dagster itself compares no data versions. The days that look back on
    the changed one are rebuilt first."""
    many.lineage.ledger.close()
    at = Home(shutil.copytree(many.home.folder, tmp_path / "home"), "temperature")
    at.edit("product.yaml", ("iterations: 5", "iterations: 6"))
    place = many.trained.index(CHANGED)
    affected = many.trained[place : place + at.product.features.lookback + 1]
    before = {key: at.get("features", key).data_version for key in affected}
    with dg.DagsterInstance.ephemeral() as instance:
        first = materialized(at, instance, many.as_of, "model")["model"]
        again = materialized(at, instance, many.as_of, "model")["model"]
        assert (is_reused(first), is_reused(again)) == (False, True)
        assert told_inputs(first) == {(key, at.get("features", key).data_version[:10]) for key in many.trained}
        at.deliver(CHANGED, {"weather": delivery(CHANGED, temperature=b"66.6")})
        day = materialized(at, instance, CHANGED, "raw", "dataset", "quarantine", "features")
        assert not any(is_reused(event) for event in day.values())
        changed = materialized(at, instance, many.as_of, "features", "model", is_checked=False)["model"]
    assert not is_reused(changed)
    then, now = (at.space.ledger.manifest(digest(event, "manifest")) for event in (first, changed))
    assert then is not None
    assert now is not None
    assert len(now.recipe.inputs) == len(many.trained)
    assert at.get("features", CHANGED).data_version == digest(day["features"], "data_version")
    assert difference(then, now) == {key: (before[key], at.get("features", key).data_version) for key in affected}
    assert len(told_inputs(changed) - told_inputs(first)) == len(affected)


def materialized(
    at: Home, instance: dg.DagsterInstance, partition: str, *stages: str, is_checked: bool = True
) -> dict[str, dg.AssetMaterialization]:
    """Run these stages with their checks, or without where recorded features would not pass them; the event of each."""
    product = at.product
    selection: dg.AssetSelection = dg.AssetSelection.assets(*(asset_key(product, stage) for stage in stages))
    job = dg.define_asset_job("some", selection=selection if is_checked else selection.without_checks())
    own = build_defs({product.name: product}, resources_of(at.space.settings))
    definitions = dg.Definitions.merge(own, dg.Definitions(jobs=[job]))
    done = definitions.resolve_job_def("some").execute_in_process(instance=instance, partition_key=partition, run_config=QUIET)
    return {event.asset_key.path[-1]: event.materialization for event in done.get_asset_materialization_events()}


def value(event: dg.AssetMaterialization, name: str) -> Any:
    return event.metadata[name].value


def digest(event: dg.AssetMaterialization, name: str) -> str:
    """A digest that the event shows, in halves."""
    return "".join(str(value(event, name)).replace("`", "").split())


def is_reused(event: dg.AssetMaterialization) -> bool:
    return bool(value(event, "reused"))


def told_inputs(event: dg.AssetMaterialization) -> set[tuple[Any, Any]]:
    """Partition and the beginning of the digest, of each input that the event tells."""
    rows = event.metadata["inputs"]
    assert isinstance(rows, dg.TableMetadataValue)
    recorded = {(row.data["partition"], row.data["data_version"]) for row in rows.records}
    assert len(recorded) == len(rows.records)
    return recorded
