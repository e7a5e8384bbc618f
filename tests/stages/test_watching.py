"""Verdicts from what is recorded: which partitions they are compared with, and what a person's word or a promotion changes."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.drift.histogram_json import to_json
from ml_assets.core.drift.histograms import count
from ml_assets.core.drift.verdict import DriftVerdict
from ml_assets.core.lineage.manifests import Input, Manifest, Recipe
from ml_assets.services.proofs.plausible import refuse_held
from ml_assets.services.watching.overview import drift_page, watched
from ml_assets.services.watching.summaries import Summaries
from ml_assets.services.watching.verdicts import compared_with, of_data, of_others, of_scores
from ml_assets.spec.product import Product, load
from resources.ledger import acceptances, recalls
from resources.lineage import NotMaterialized, NotProven
from tests.support.homes.shop import SHOP

ROWS = 400
DAYS = [f"2024-03-{day:02}" for day in range(1, 12)]
USUAL, ODD = DAYS[:9], DAYS[9:]


@pytest.fixture(scope="module")
def shop() -> Product:
    return load(SHOP)


def parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def orders(day: str, *, scale: float = 1.0, rows: int = ROWS) -> pl.DataFrame:
    random = np.random.default_rng(int(day[-2:]))
    hour = random.integers(0, 24, rows)
    return pl.DataFrame(
        {
            "id": [f"{day}-{n}" for n in range(rows)],
            "placed_at": pl.Series([f"{day}T{h:02}:00:00" for h in hour]).str.to_datetime("%Y-%m-%dT%H:%M:%S"),
            "city": random.choice(["Bonn", "Köln", "Ulm"], rows),
            "amount": random.gamma(2, 20 * scale, rows),
            "items": random.integers(1, 9, rows),
            "hour": hour,
            "came_back": (random.random(rows) < 0.3).astype(int),
        }
    )


def published(space: Workspace, stage: str, day: str, files: dict[str, bytes], inputs: tuple[Input, ...], facts: Any) -> Manifest:
    snapshot = space.snapshots.write(files)
    digests = {"code": "c" * 64, "config": "f" * 64, "environment": "e" * 64}
    recipe = Recipe(product="shop", stage=stage, partition=day, inputs=inputs, **digests)
    manifest = Manifest(recipe, snapshot.digest, snapshot.digest, facts)
    space.ledger.publish(manifest, run="r")
    return manifest


def day_of(space: Workspace, day: str, frame: pl.DataFrame, *, score: float = 0.3) -> Manifest:
    """A day from its delivery to monitoring; its features."""
    content = parquet(frame)
    landing = Input("landing/shop/orders", day, f"{abs(hash(content)):064x}"[:64])
    raw = published(space, "raw", day, {"orders.parquet": content}, (landing,), {"rows": {"orders": frame.height}})
    files = {"features.parquet": content, "requests.parquet": parquet(frame.drop("hour", "came_back"))}
    facts = {"rows": frame.height, "labelled": frame.height, "lookups": []}
    features = published(space, "features", day, files, (raw.as_input(),), facts)
    scores = np.random.default_rng(int(day[-2:])).beta(2, 2 / score, frame.height)
    watched_facts = {"rows": frame.height, "score_psi": 0.0, "drifted": [], "promised": None, "metrics": None}
    histograms = {"histograms.json": to_json(count(pl.DataFrame({"score": scores})))}
    published(space, "monitoring", day, histograms, (features.as_input(),), watched_facts)
    return features


@pytest.fixture
def space(workspace: Workspace) -> Workspace:
    """Nine usual days, and two on which amounts are in another currency and scores higher."""
    for day in USUAL:
        day_of(workspace, day, orders(day))
    for day in ODD:
        day_of(workspace, day, orders(day, scale=4), score=0.9)
    return workspace


def data(space: Workspace, product: Product, day: str = DAYS[-1]) -> DriftVerdict:
    features = space.ledger.current("shop", "features", day)
    assert features is not None
    return of_data(Summaries.of(space.lineage, product, space.settings), features)[-1]


def scores(space: Workspace, product: Product, day: str = DAYS[-1]) -> DriftVerdict:
    monitoring = space.ledger.current("shop", "monitoring", day)
    assert monitoring is not None
    return of_scores(space.lineage, product, monitoring)[-1]


def test_a_lasting_change_of_data_and_scores_is_an_alarm_and_names_its_references(space: Workspace, shop: Product) -> None:
    assert data(space, shop, USUAL[-1]).state == "stable"
    verdict = data(space, shop)
    assert verdict.state == "alarm"
    assert verdict.lasting == ("amount",)
    assert "median" in verdict.why
    digests = {day: space.ledger.current("shop", "features", day) for day in USUAL}
    assert verdict.references == {day: summary.snapshot for day, summary in digests.items() if summary and day in USUAL[-4:]}
    assert scores(space, shop).state == "alarm"


def test_requests_unlike_the_partitions_are_named_however_many_they_are(space: Workspace, shop: Product) -> None:
    features = space.ledger.current("shop", "features", USUAL[-1])
    assert features is not None
    summaries, hours = Summaries.of(space.lineage, shop, space.settings), ["city", "amount", "items", "hour"]
    usual, odd = (count(orders("2024-03-20", scale=scale, rows=150).select(hours)) for scale in (1.0, 4.0))
    assert of_others(summaries, features, usual, rows=150).state == "stable"
    skewed = of_others(summaries, features, odd, rows=150)
    assert (skewed.state, skewed.exceeds) == ("watch", ("amount",))
    assert "amount" in skewed.why
    assert of_others(summaries, features, {"hour": odd["hour"]}, rows=150).state == "stable", "what is not asked is no skew"
    few = of_others(summaries, features, count(orders("2024-03-20", rows=39).select(hours)), rows=39)
    assert (few.state, few.why) == ("uncalibrated", "39 requests, 40 are needed")


def test_the_summaries_may_be_thrown_away_or_damaged(space: Workspace, shop: Product) -> None:
    before = data(space, shop).values
    files = list((space.settings.cache / "summaries").iterdir())
    assert len(files) == len(DAYS)
    for damage in (Path.unlink, lambda file: file.write_bytes(b'{"about": '), lambda file: file.write_bytes(b"{}")):
        for file in files:
            damage(file)
        assert data(space, shop).values == before


def test_an_accepted_day_is_compared_with_and_other_content_of_it_is_not_accepted(space: Workspace, shop: Product) -> None:
    last = space.ledger.current("shop", "monitoring", DAYS[-1])
    assert last is not None
    before = compared_with(space.lineage, shop, last)
    raw = space.ledger.current("shop", "raw", ODD[0])
    assert raw is not None
    acceptances.accept(space.ledger, raw, by="ana", reason="we sell in pounds now")
    assert compared_with(space.lineage, shop, last) != before, "evidence from before does not stand"
    assert ODD[0] in data(space, shop).references
    day_of(space, ODD[0], orders(ODD[0], scale=4.1))
    assert ODD[0] not in acceptances.accepted(space.ledger, "shop")


def test_a_recalled_day_is_no_reference(space: Workspace, shop: Product) -> None:
    raw = space.ledger.current("shop", "raw", USUAL[-1])
    assert raw is not None
    recalls.record(space.ledger, recalls.of_partition(raw, reason="a test", by="ben"))
    assert USUAL[-1] not in data(space, shop).references


def test_a_held_day_is_refused_by_name_with_what_to_do(space: Workspace, shop: Product) -> None:
    holding = shop.model_copy(update={"plausibility": shop.plausibility.model_copy(update={"hold": ("volume_plausible",)})})
    day_of(space, DAYS[-1], orders(DAYS[-1], rows=2 * ROWS))
    inputs = [summary for day in DAYS if (summary := space.ledger.current("shop", "features", day))]
    with pytest.raises(NotProven, match=r"shop/features 2024-03-11: volume_plausible: 800 rows, usually about 400; held back"):
        refuse_held(space.lineage, holding, space.settings, inputs, run="r")
    refuse_held(space.lineage, holding, space.settings, inputs[:-1], run="r")
    refuse_held(space.lineage, shop, space.settings, inputs, run="r")


def test_the_page_and_the_command_say_what_the_checks_say(space: Workspace, shop: Product, tmp_path: Path) -> None:
    verdict = watched(space.lineage, shop, space.settings)
    assert [partition.partition for partition in verdict] == DAYS
    assert verdict[-1].data.values == data(space, shop).values
    text = drift_page(shop, verdict)
    assert "again in 2024-03-11: amount" in text
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**space.settings.environ(), "ML_ASSETS_PRODUCTS": str(SHOP.parent)}.items():
            patch.setenv(name, value)
        done = CliRunner().invoke(
            cli, ["drift", "shop", "--partition", USUAL[-1], "--html", str(tmp_path / "new" / "drift.html")]
        )
    assert done.exit_code == 0, done.output
    assert "no alarm" not in done.output
    assert done.output.count("5 columns move as they do by nature") == 3
    assert done.output.count("1 column moves as it does by nature") == 3
    assert (tmp_path / "new" / "drift.html").is_file()


def test_a_product_without_features_is_told_so(workspace: Workspace, shop: Product) -> None:
    with pytest.raises(NotMaterialized, match=r"shop has no features yet; `ml-assets run shop` makes them"):
        watched(workspace.lineage, shop, workspace.settings)
