"""Every model is scored on the features that its own bundle computes: its SQL and its lookups, from the same requests."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from ml_assets.core.lineage.handles import Handle
from ml_assets.core.model.scoring import load_model, score_frame
from ml_assets.core.release.offline_bundle import NotComputable, own_features
from ml_assets.services.release_status import overrule
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, deliver, shop

DATA = ("raw", "dataset", "quarantine", "features")
RELEASED = ("release", "endpoint/staging", "endpoint/production")
PATH = (*DATA, "model", "evaluation", *RELEASED)
FIRST, SECOND, THIRD = DAYS[:3]
CITIES = "select city, avg(amount) as typical from {{ source('dataset', 'orders') }} group by city"
FEATURES = """\
select r.id, r.placed_at, r.city, r.amount, r.items, hour(r.placed_at) as hour, c.typical
from {{ ref('shop_requests') }} as r left join {{ ref('shop_cities') }} as c on c.city = r.city
"""
ITEMS = r"    items: int = pa.Field\(nullable=True\)\n"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Two days of the shop with a lookup, the usual price by city of the day; the release of the second serves."""
    typical = ("    hour: int = ", "    typical: float = pa.Field(nullable=True)\n    hour: int = ")
    own_home = shop(
        tmp_path_factory.mktemp("old"), contract=[typical], dbt={"shop_cities.sql": CITIES, "shop_features.sql": FEATURES}
    )
    deliver(own_home, FIRST, SECOND, THIRD)
    assert own_home.run(FIRST, only=DATA).success
    run = own_home.run(SECOND, only=PATH)
    assert run.success, run.errors
    assert own_home.serving() == own_home.get("release", SECOND).facts["release"]
    yield own_home
    own_home.close()


@pytest.fixture
def copy(old: Home, tmp_path: Path) -> Iterator[Home]:
    own_home = old.copy(tmp_path / "copy")
    yield own_home
    own_home.close()


def served(own_home: Home) -> Handle:
    return own_home.space.lineage.handle(own_home.get("release", SECOND))


def test_a_bundles_own_features_are_those_that_were_stored_for_it(old: Home) -> None:
    release, stored = served(old), old.space.lineage.handle(old.get("features", SECOND))
    features, requests = stored.frame("features.parquet"), stored.frame("requests.parquet")
    own = own_features(release, requests, is_cast=False)
    assert own.height > 30
    assert own["typical"].n_unique() == 3
    assert own.equals(features.select(own.columns))
    shuffled = requests.sample(fraction=1, shuffle=True, seed=1)
    again = own_features(release, shuffled, is_cast=False)
    assert again["id"].to_list() == shuffled["id"].to_list()
    assert again.sort("id").equals(own.sort("id"))


def test_the_champion_is_scored_with_the_lookups_that_it_ships(copy: Home) -> None:
    run = copy.run(THIRD, only=(*DATA, "model", "evaluation"))
    assert run.success, run.errors
    release, stored = served(copy), copy.space.lineage.handle(copy.get("features", THIRD))
    features, shipped = stored.frame("features.parquet"), release.frame("lookups/shop_cities.parquet")
    with_its_own = features.drop("typical").join(shipped, on="city", how="left", maintain_order="left")
    about = release.json("bundle.json")["features"]
    model = load_model(release.members["model.cbm"], task="binary")
    expected, others = (score_frame(model, features, about).tolist() for features in (with_its_own, features))
    scores = copy.space.lineage.handle(copy.get("evaluation", THIRD)).frame("scores.parquet")
    assert features.select("id").join(scores, on="id", how="left", maintain_order="left")["champion"].to_list() == expected
    assert not with_its_own["typical"].equals(features["typical"])
    assert expected != others, "today's lookups would give other scores"


@pytest.mark.long
def test_a_feature_column_that_the_sql_drops_does_not_stop_the_champion_from_being_scored(copy: Home) -> None:
    copy.edit("dbt/shop_features.sql", (r"r\.items, ", ""))
    copy.edit("contract.py", (rf"{ITEMS}    typical", "    typical"))
    run = copy.run(THIRD, only=PATH)
    assert run.success, run.errors
    facts = copy.get("evaluation", THIRD).facts
    assert facts["champion"]["release"] == served(copy).manifest.facts["release"]
    assert {"candidate", "champion"} <= facts["metrics"]["roc_auc"].keys()
    names = [features["name"] for features in copy.space.lineage.handle(copy.get("model", THIRD)).json("model.json")["features"]]
    assert names == ["city", "amount", "typical", "hour"]
    assert copy.serving() == copy.get("release", THIRD).facts["release"]


@pytest.mark.long
def test_a_champion_whose_request_column_is_gone_leaves_the_verdict_to_a_person(copy: Home) -> None:
    copy.edit("dbt/shop_features.sql", (r"r\.items, ", ""))
    copy.edit("dbt/shop_requests.sql", (", items", ""))
    copy.edit("contract.py", (rf"{ITEMS}    typical", "    typical"), (rf"{ITEMS}\n    class Config", "\n    class Config"))
    before = copy.serving()
    run = copy.run(THIRD, only=PATH)
    assert run.materialized.keys() & set(RELEASED) == set(), run.materialized
    assert run.errors == {}
    verdict = copy.get("evaluation", THIRD).facts["verdict"]
    reason = f"release {before} takes requests with items, which today's requests do not have"
    assert (verdict["decision"], verdict["reasons"]) == ("INCONCLUSIVE", [reason])
    assert not verdict["is_first"]
    assert copy.serving() == before
    overrule(copy.space.lineage, copy.product, THIRD, by="ada", reason="items are not asked any more", via="cli")
    assert copy.run(THIRD, only=RELEASED).success
    assert copy.serving() == copy.get("release", THIRD).facts["release"] != before


def test_requests_that_lack_a_column_or_fail_in_the_sql_name_the_release(old: Home) -> None:
    release, stored = served(old), old.space.lineage.handle(old.get("features", SECOND))
    requests, name = stored.frame("requests.parquet"), served(old).manifest.facts["release"]
    with pytest.raises(NotComputable, match=f"release {name} takes requests with city, which"):
        own_features(release, requests.drop("city"))
    with pytest.raises(NotComputable, match=f"release {name}: its features.sql fails on today's requests"):
        own_features(release, requests.with_columns(amount=pl.lit("many")))
    with pytest.raises(NotComputable, match="rows for 41 requests"):
        own_features(release, pl.concat([requests, requests[:1]]))
