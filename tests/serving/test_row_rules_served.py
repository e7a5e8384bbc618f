"""A bundle that has rules across fields refuses rows by them, and says to people and programs what they are."""

import json
from pathlib import Path

import pytest

from ml_assets.serving.http.home_page import home_page
from ml_assets.serving.http.openapi import document
from ml_assets.serving.release.bundle import BundleRefused, load
from ml_assets.serving.requests.refusals import BadRequest
from tests.support.serving_store import payload, requests, train

pytestmark = pytest.mark.long
RULE = {
    "name": "windy_flights_are_short",
    "text": "wind_speed <= distance",
    "test": ["<=", ["field", "wind_speed"], ["field", "distance"]],
}
VERSION = {
    **dict.fromkeys(("product", "environment", "release", "by", "reason", "bundle", "instead_of"), "x"),
    "since": "2013-01-01T00:00:00",
    "as_of": "2013-01",
    "features": {"engine": "x"},
    "model": {"engine": "x"},
}


def test_the_rules_of_a_bundle_are_held_to_and_said(tmp_path: Path) -> None:
    train(tmp_path / "r", name="r1", seed=1)
    (tmp_path / "r" / "rules.json").write_text(json.dumps([RULE]))
    bundle = load(tmp_path / "r")
    good = {**payload(requests(1, seed=2))[0], "distance": 100, "wind_speed": 3.5}
    assert len(bundle.requests.decode(json.dumps(good).encode())) == 1
    with pytest.raises(BadRequest) as caught:
        bundle.requests.decode(json.dumps({**good, "wind_speed": 101}).encode())
    assert (caught.value.status, caught.value.reason) == (422, "rule")
    rule = "Each row keeps: wind_speed <= distance (windy_flights_are_short)"
    assert document(bundle.requests, bundle.card)["components"]["schemas"]["Request"]["description"] == rule
    page = home_page(bundle, VERSION, {}).decode()
    assert "windy_flights_are_short" in page
    assert "wind_speed &lt;= distance" in page
    (tmp_path / "r" / "rules.json").write_text("[]")
    assert "windy_flights_are_short" not in home_page(load(tmp_path / "r"), VERSION, {}).decode()


def test_a_bundle_whose_rules_are_not_known_here_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "r", name="r1", seed=1)
    (tmp_path / "r" / "rules.json").write_text(json.dumps([{**RULE, "test": ["sometimes", ["field", "distance"]]}]))
    with pytest.raises(BundleRefused, match="the operation 'sometimes' is not known to this ml-assets"):
        load(tmp_path / "r")
