"""A run of the outcomes' job that broke is asked for again by its sensor, after growing waits and not for ever."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from ml_assets.services.automation.repeated_runs import tried_before
from ml_assets.spec.automation import RetriesSpec
from ml_assets.spec.product import Product, load
from sensors.new_outcomes import CAUSE_TAG, _requests
from tests.support.homes.shop import SHOP

DUE = [("2024-03-01", "abc")]
TAGS = {CAUSE_TAG: "2024-03-01:abc", "product": "shop"}


@pytest.fixture
def product() -> Product:
    return load(SHOP).model_copy(update={"retries": RetriesSpec(most=2, wait=60)})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def ended(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    instance.add_run(dg.DagsterRun(job_name="shop_outcomes", tags=TAGS, status=status))


def runs(instance: dg.DagsterInstance, product: Product) -> list[str | None]:
    return [request.run_key for request in _requests(instance, product, DUE)[0]]


def test_a_run_that_broke_is_asked_for_again_after_a_wait_and_not_for_ever(
    instance: dg.DagsterInstance, product: Product
) -> None:
    assert runs(instance, product) == ["2024-03-01:abc"]
    ended(instance, dg.DagsterRunStatus.FAILURE)
    requests, waits = _requests(instance, product, DUE)
    assert requests == []
    assert "broke and is tried again at" in waits[0]
    at = datetime.now(UTC) + timedelta(seconds=61)
    assert (tried_before(instance, product, TAGS, at).count, tried_before(instance, product, TAGS, at).waits) == (1, "")
    ended(instance, dg.DagsterRunStatus.FAILURE)
    assert tried_before(instance, product, TAGS, at).waits, "the second wait is twice as long"
    assert not tried_before(instance, product, TAGS, at + timedelta(seconds=61)).waits
    ended(instance, dg.DagsterRunStatus.FAILURE)
    assert (
        "broke, 3 in all: it is not tried again by itself" in tried_before(instance, product, TAGS, at + timedelta(days=9)).waits
    )


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS])
def test_a_run_that_goes_on_or_ended_well_is_not_asked_for_again(
    instance: dg.DagsterInstance, product: Product, status: dg.DagsterRunStatus
) -> None:
    ended(instance, status)
    assert runs(instance, product) == []


def test_a_run_of_a_broken_one_has_a_key_of_its_own(instance: dg.DagsterInstance, product: Product) -> None:
    ended(instance, dg.DagsterRunStatus.FAILURE)
    hasty = product.model_copy(update={"retries": RetriesSpec(most=2, wait=0)})
    assert runs(instance, hasty) == ["2024-03-01:abc:1"]
