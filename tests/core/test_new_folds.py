"""New rows of a static table open folds that no model and no test window has seen."""

import io
from pathlib import Path

import polars as pl
import pytest

from ml_assets.core.frames import parquet_bytes
from ml_assets.core.lineage.facts import FeaturesFacts
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Manifest, Output, Recipe
from ml_assets.core.lineage.reads import earlier_deliveries, keys
from ml_assets.core.lineage.stages import reads
from ml_assets.core.model import split
from ml_assets.core.model.new_folds import with_folds
from ml_assets.spec.partitions import SplitSpec
from ml_assets.spec.product import Product, load
from tests.support.homes.loans import LOANS

FOLDS = 2


@pytest.fixture(scope="module")
def product() -> Product:
    return load(LOANS).model_copy(update={"split": SplitSpec(train=0.5, folds=FOLDS, new_fold=20)})


class Deliveries:
    """Features of one delivery after another, each of the loans from `first` to before `end`."""

    def __init__(self, product: Product, folder: Path) -> None:
        self.product, self.folder = product, folder
        self.handles: list[Handle] = []

    def add(self, first: int, end: int, *, unlabelled: int = 0, is_reopened: bool = False) -> pl.DataFrame:
        """Its rows with their parts; the last `unlabelled` of them have no outcome yet."""
        number = len(self.handles) + 1
        labels = [None if loan >= end - unlabelled else loan % 2 for loan in range(first, end)]
        rows = pl.DataFrame({"loan_id": range(first, end), "is_late": pl.Series(labels, dtype=pl.Int64)})
        output = Output({"features.parquet": parquet_bytes(rows)}, {"rows": rows.height, "labelled": 0, "lookups": []})
        if number > FOLDS:
            earlier = self.handles[-1:] if number > FOLDS + 1 else self.handles
            output = with_folds(output, earlier, self.product, f"{number:04}", is_reopened=is_reopened)
        members = {}
        for name, content in output.files.items():
            members[name] = self.folder / f"{number}-{name}"
            members[name].write_bytes(content)
        recipe = Recipe("loans", "features", f"{number:04}", "", "", "")
        self.handles.append(Handle(Manifest(recipe, "", "", output.facts), members))
        return split.rows_of(self.handles[-1], self.product)

    def of(self, rows: pl.DataFrame, number: int) -> tuple[set[int], set[int]]:
        """The keys that are trained on, and those that are tested on."""
        partition = f"{number:04}"
        return tuple(  # type: ignore[return-value]
            set(part(rows, self.product, partition=partition)["loan_id"]) for part in (split.trained_on, split.tested_on)
        )

    @property
    def fold(self) -> tuple[int, int, int | None]:
        """Of the last delivery: the keys of its fold, those that wait for one, and the fold that is reopened."""
        fold = FeaturesFacts.of(self.handles[-1].manifest).fold
        assert fold is not None
        assert fold.needed == 20
        return fold.units, fold.waiting, fold.reopened


@pytest.fixture
def deliveries(product: Product, tmp_path: Path) -> Deliveries:
    return Deliveries(product, tmp_path)


def test_new_keys_wait_until_they_make_a_fold_and_no_key_is_tested_on_twice(deliveries: Deliveries) -> None:
    tested: set[int] = set()
    trained: list[set[int]] = []
    opened: list[bool] = []
    seen: set[int] = set()
    for number, (first, end) in enumerate([(1, 400), (20, 420), (40, 440), (60, 460), (60, 460), (80, 520)], start=1):
        rows = deliveries.add(first, end)
        trained_now, tested_now = deliveries.of(rows, number)
        assert not tested_now & (tested | trained_now), number
        assert all(not tested_now & before for before in trained), number
        if number > FOLDS:
            units, waiting, _ = deliveries.fold
            assert len(tested_now) == units
            assert (waiting >= 20) == bool(tested_now)
            assert tested_now.isdisjoint(seen)
        trained.append(trained_now)
        opened.append(bool(tested_now))
        tested |= tested_now
        seen |= tested_now | trained_now
    assert opened[:FOLDS] == [True] * FOLDS
    assert opened[-1], "sixty new keys open a fold"
    assert not all(opened), "and twenty do not"


def test_too_few_new_keys_wait_and_count_for_the_next_fold(deliveries: Deliveries) -> None:
    for bounds in ((1, 400), (1, 400)):
        deliveries.add(*bounds)
    rows = deliveries.add(1, 420)
    assert deliveries.fold[0] == 0
    first_waiting = deliveries.fold[1]
    assert 0 < first_waiting < 20
    waiting = set(rows.filter(pl.col(split.PART).is_null())["loan_id"])
    assert len(waiting) == first_waiting
    assert not waiting & (deliveries.of(rows, 3)[0] | deliveries.of(rows, 3)[1])
    rows = deliveries.add(1, 460)
    assert waiting <= deliveries.of(rows, 4)[1]
    rows = deliveries.add(1, 460)
    assert waiting <= deliveries.of(rows, 5)[0], "a fold that was tested on is trained on from then on"


def test_keys_without_an_outcome_open_no_fold(deliveries: Deliveries) -> None:
    for bounds in ((1, 400), (1, 400)):
        deliveries.add(*bounds)
    deliveries.add(1, 500, unlabelled=100)
    assert deliveries.fold == (0, 0, None)
    deliveries.add(1, 500)
    assert deliveries.fold[0] >= 20


def test_a_reopened_fold_is_the_last_one_and_is_not_trained_on(deliveries: Deliveries) -> None:
    for bounds in ((1, 400), (1, 400)):
        deliveries.add(*bounds)
    last = deliveries.of(split.rows_of(deliveries.handles[-1], deliveries.product), 2)[1]
    rows = deliveries.add(1, 400, is_reopened=True)
    assert deliveries.fold == (len(last), 0, 2)
    trained, tested = deliveries.of(rows, 3)
    assert tested == last
    assert not trained & tested


def test_new_rows_are_tested_on_where_a_fold_was_reopened_in_vain(deliveries: Deliveries) -> None:
    for bounds in ((1, 400), (1, 400)):
        deliveries.add(*bounds)
    deliveries.add(1, 500, is_reopened=True)
    assert deliveries.fold[2] is None
    assert deliveries.fold[0] == deliveries.fold[1]


def test_a_fold_is_as_large_as_a_reserve_fold_unless_declared(product: Product, tmp_path: Path) -> None:
    spec = SplitSpec(train=0.5, folds=FOLDS)
    deliveries = Deliveries(product.model_copy(update={"split": spec}), tmp_path)
    for bounds in ((1, 401), (1, 401), (1, 401)):
        deliveries.add(*bounds)
    assert FeaturesFacts.of(deliveries.handles[-1].manifest).fold.needed == 100  # type: ignore[union-attr]


def test_a_group_stays_together_in_a_new_fold(product: Product, tmp_path: Path) -> None:
    spec = SplitSpec(train=0.5, folds=FOLDS, group="customer", new_fold=3)
    features = product.features.model_copy(update={"key": ("customer", "loan_id")})
    grouped = product.model_copy(update={"split": spec, "features": features})

    def output(end: int) -> Output:
        rows = pl.DataFrame({"customer": [n // 5 for n in range(end)], "loan_id": range(end), "is_late": [0] * end})
        return Output({"features.parquet": parquet_bytes(rows)}, {})

    before = tmp_path / "before.parquet"
    before.write_bytes(output(200).files["features.parquet"])
    earlier = Handle(Manifest(Recipe("loans", "features", "0002", "", "", ""), "", ""), {"features.parquet": before})
    built = with_folds(output(300), [earlier], grouped, "0003")
    table = pl.read_parquet(io.BytesIO(built.files[split.FOLDS]))
    assert table.columns == ["customer", split.PART]
    assert table["customer"].is_unique().all()
    assert table.filter(pl.col(split.PART) == 3)["customer"].min() >= 40  # type: ignore[operator]
    assert built.facts["fold"]["units"] >= 3


def test_what_a_delivery_reads_of_those_before_it(product: Product) -> None:
    def read(partition: str, *missing: str) -> list[str]:
        declared = reads(product, "features", partition, lambda asset: asset[1] not in missing)
        return [key for stage, key in declared.available if stage == "features"]

    assert read("0001") == []
    assert read("0002") == []
    assert read("0003") == ["0001", "0002"], "the first delivery after the reserve folds knows the keys of all before it"
    assert read("0005") == ["0004"], "and each later one takes them from the newest"
    assert read("0005", "0004") == ["0003"]
    assert read("0004", "0003") == ["0001", "0002"]
    assert keys(product, "0003", earlier_deliveries(product)) == ["0001", "0002"]
