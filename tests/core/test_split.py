"""The division of a static table by its keys: stable, disjoint, and by nothing but the key."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core.model import split
from ml_assets.spec.partitions import SplitSpec
from ml_assets.spec.product import Product, load
from tests.support.homes.loans import LOANS

TERMS = {"salt": "loans", "train": 0.5, "folds": 4}
GOLDEN = [0, 0, 0, 0, 1, 3, 0, 0, 4, 0, 0, 0]
GOLDEN_TEXT = 2


@pytest.fixture(scope="module")
def product() -> Product:
    return load(LOANS)


def frame(first: int, count: int) -> pl.DataFrame:
    return pl.DataFrame({"loan_id": range(first, first + count), "is_late": [number % 2 for number in range(count)]})


def grouped(product: Product, **changed: object) -> Product:
    spec = SplitSpec.model_validate({**product.split.model_dump(), **changed})
    features = product.features.model_copy(update={"key": ("customer", "loan_id")})
    return product.model_copy(update={"split": spec, "features": features})


def test_a_key_keeps_its_part_for_ever() -> None:
    """Golden values: another hash would let a candidate be tested on rows that the champion was trained on."""
    assert [split.part_of([number], **TERMS) for number in range(1, 13)] == GOLDEN  # type: ignore[arg-type]
    assert split.part_of(["ü", None, 1.5], **TERMS) == GOLDEN_TEXT  # type: ignore[arg-type]


def test_the_shares_are_those_that_are_declared() -> None:
    counts = pl.Series([split.part_of([number], salt="x", train=0.6, folds=4) for number in range(20_000)]).value_counts()
    shares = {part: count / 20_000 for part, count in counts.iter_rows()}
    assert shares[0] == pytest.approx(0.6, abs=0.02)
    assert [shares[fold] for fold in (1, 2, 3, 4)] == pytest.approx([0.1] * 4, abs=0.01)


def test_another_salt_is_another_division() -> None:
    parts = [[split.part_of([n], salt=salt, train=0.5, folds=4) for n in range(2000)] for salt in ("a", "b")]
    same = sum(a == b for a, b in zip(*parts, strict=True)) / 2000
    assert same == pytest.approx(0.5**2 + 4 * 0.125**2, abs=0.05)


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_a_whole_number_has_one_part_whatever_its_type(number: int) -> None:
    parts = {split.part_of([value], **TERMS) for value in (number, float(number), str(number))}  # type: ignore[arg-type]
    assert len(parts) == 1


@given(first=st.integers(1, 500), count=st.integers(1, 300), delivery=st.integers(1, 4))
def test_no_row_is_both_trained_and_tested_on_and_used_folds_join_training(
    product: Product, first: int, count: int, delivery: int
) -> None:
    rows, key = frame(first, count), f"{delivery:04}"
    trained, tested = (part(rows, product, partition=key) for part in (split.trained_on, split.tested_on))
    assert not set(trained["loan_id"]) & set(tested["loan_id"])
    later = split.trained_on(rows, product, partition=f"{delivery + 1:04}")
    assert set(later["loan_id"]) == set(trained["loan_id"]) | set(tested["loan_id"])


def test_a_key_has_one_part_in_every_delivery(product: Product) -> None:
    one, other = frame(1, 400), frame(200, 400).reverse()
    parts = [dict(zip(frame["loan_id"], split.parts(frame, product), strict=True)) for frame in (one, other)]
    shared = parts[0].keys() & parts[1].keys()
    assert len(shared) == 201
    assert all(parts[0][key] == parts[1][key] for key in shared)


def test_the_rows_of_a_group_stay_together(product: Product) -> None:
    rows = pl.DataFrame({"customer": [number // 5 for number in range(500)], "loan_id": range(500), "is_late": [0] * 500})
    by_group = rows.with_columns(split.parts(rows, grouped(product, group="customer")))
    assert by_group.group_by("customer").agg(pl.col("part").n_unique())["part"].max() == 1
    alone = rows.with_columns(split.parts(rows, grouped(product, group="")))
    assert alone.group_by("customer").agg(pl.col("part").n_unique())["part"].max() > 1  # type: ignore[operator]


def test_labels_are_watched_on_rows_that_the_release_never_saw(product: Product) -> None:
    """From the release's own fold to the delivery's: what is still to be tested on is not looked at before."""
    rows = frame(1, 600)
    watched = split.unseen_labels(rows, product, partition="0003", release="0002")
    parts = split.parts(rows, product)
    assert set(parts.filter(watched["is_late"].is_not_null())) == {2, 3}
    assert watched.height == rows.height


def test_what_decides_the_division_has_a_digest(product: Product) -> None:
    digests = {split.split_digest(grouped(product, **changed)) for changed in ({}, {"train": 0.4}, {"folds": 9}, {"salt": "b"})}
    assert len(digests) == 4
    trained = split.trained_on(frame(1, 600), product, partition="0003")
    assert split.trained_parts(trained, product)["split"]["parts"] == [0, 1, 2]
