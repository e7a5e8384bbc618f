"""Dagster's resources: each is shown with its configuration and without a secret, and any of them can be replaced."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap, ResourceSnap
from dagster._serdes import serialize_value

from ml_assets.definitions import build_defs
from resources.dagster_resources import resources_of
from resources.landing import Landing
from resources.ledger.ledger import Ledger
from resources.settings import settings
from tests.support.homes.path_homes import QUIET, Home
from tests.support.homes.shop import DAYS, deliver, shop

URL = "postgresql+psycopg://ann:hunter2@db/ledger"


def materialized(home: Home, resources: dict[str, Any], stage: str) -> bool:
    """Whether one asset of the first day can be made with these resources."""
    definitions = build_defs({"shop": home.product}, resources)
    job = dg.define_asset_job("one", selection=dg.AssetSelection.assets(dg.AssetKey(["shop", stage])).without_checks())
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job])).resolve_job_def("one")
        return done.execute_in_process(instance=instance, partition_key=DAYS[0], raise_on_error=False, run_config=QUIET).success


def described(home: Home, environ: dict[str, str]) -> tuple[dict[str, ResourceSnap], str]:
    """What Dagster's pages are told of each resource; and all that they are told of everything, as text."""
    current = settings({"ML_ASSETS_HOME": str(home.folder), **environ})
    definitions = build_defs({"shop": home.product}, resources_of(current))
    snap = RepositorySnap.from_def(definitions.get_repository_def())
    return {resource.name: resource for resource in snap.resources or ()}, serialize_value(snap)


def test_an_asset_uses_the_resource_that_replaces_another(tmp_path: Path) -> None:
    home = shop(tmp_path / "home")
    elsewhere = Landing(tmp_path / "elsewhere")
    resources = resources_of(home.space.settings)
    deliver(home, DAYS[0])
    (tmp_path / "home" / "landing").rename(elsewhere.root)
    assert not materialized(home, resources, "raw")
    assert materialized(home, {**resources, "landing": elsewhere}, "raw")
    home.close()


def test_a_replaced_resource_is_used_by_those_that_are_made_of_it(tmp_path: Path) -> None:
    home, ledger = shop(tmp_path / "home"), Ledger(f"sqlite:///{tmp_path / 'other.db'}")
    deliver(home, DAYS[0])
    assert materialized(home, resources_of(home.space.settings, ledger=ledger), "raw")
    assert ledger.current("shop", "raw", DAYS[0]) is not None
    assert home.current("raw", DAYS[0]) is None
    ledger.close()
    home.close()


def test_dagster_is_told_what_each_asset_uses_and_how_it_is_configured(tmp_path: Path) -> None:
    resources, _ = described(shop(tmp_path), {"ML_ASSETS_STORE": "s3://bucket/store"})
    assert resources["snapshots"].configured_values["url"] == '"s3://bucket/store"'
    assert resources["landing"].configured_values == {"folder": f'"{tmp_path / "landing"}"'}
    assert set(resources["lineage"].nested_resources) == {"snapshots", "ledger"}
    users = {name: {"/".join(key.path[1:]) for key in resource.asset_keys_using} for name, resource in resources.items()}
    assert users["landing"] == {"raw", "features"}
    assert users["tracking"] == {"tracking"}
    assert users["endpoints"] == {"endpoint/staging", "endpoint/production"}
    assert resources["landing"].sensors_using == ["notices", "shop_new_data", "shop_stale"]


@pytest.mark.parametrize(
    ("variable", "url", "resource"),
    [
        ("ML_ASSETS_LEDGER", URL, "ledger"),
        ("ML_ASSETS_LEDGER", "postgresql+psycopg://db/ledger?password=hunter2", "ledger"),
        ("ML_ASSETS_MLFLOW", "https://ann:hunter2@mlflow", "tracking"),
        ("ML_ASSETS_STORE", "ftp://ann:hunter2@host/store", "snapshots"),
    ],
)
def test_of_a_url_with_a_password_dagster_is_told_the_variable_alone(
    tmp_path: Path, variable: str, url: str, resource: str
) -> None:
    resources, everything = described(shop(tmp_path), {variable: url})
    shown = resources[resource].configured_values["url"]
    assert getattr(shown, "name", None) == variable
    assert "hunter2" not in everything


def test_the_variable_is_read_when_a_run_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, url = shop(tmp_path / "home"), f"sqlite:///{tmp_path / 'own.db'}?timeout=30"
    deliver(home, DAYS[0])
    resources = resources_of(replace(home.space.settings, ledger=url))
    with pytest.raises(dg.DagsterInvalidConfigError, match='"ML_ASSETS_LEDGER" which is not set'):
        materialized(home, resources, "raw")
    monkeypatch.setenv("ML_ASSETS_LEDGER", url)
    assert materialized(home, resources, "raw")
    own = Ledger(url)
    assert own.current("shop", "raw", DAYS[0]) is not None
    own.close()


def test_the_keys_of_endpoints_are_in_no_resource(tmp_path: Path) -> None:
    _, everything = described(shop(tmp_path), {"ML_ASSETS_KEY": "hunter2", "ML_ASSETS_KEYS": "hunter3"})
    assert "hunter" not in everything
