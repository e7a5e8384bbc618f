"""A table's rows come from files at a URL: one or several a partition, once they are still, and again when they change."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from ml_assets.core.contract.reading import DeliveryError
from ml_assets.services.extraction.delivery_content import ExtractionRefused
from ml_assets.services.extraction.table_source import TableSource
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, csv_bytes, rows, shop
from tests.support.object_store import S3, object_store

FIRST, SECOND, THIRD = DAYS[:3]


def source(homes: list[Home], folder: Path, uri: str, *edits: tuple[str, str]) -> TableSource:
    declared = f"sources: {{orders: {{uri: '{uri}'}}}}\n\nfeatures: "
    homes.append(shop(folder / "home", ("(?m)^features: ", declared), *edits))
    return TableSource(homes[-1].product, "orders", homes[-1].space.landing, homes[-1].space.ledger)


def due(source: TableSource) -> list[str]:
    return [due.partition for due in source.due(datetime(2100, 1, 1, tzinfo=UTC).replace(tzinfo=None))]


def put(file: Path, day: str, *, count: int = 40, seed: int = 0) -> bytes:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content := csv_bytes(rows(day, count=count, seed=seed)))
    return content


def test_several_files_are_one_delivery_and_one_file_is_delivered_as_it_is(homes: list[Home], tmp_path: Path) -> None:
    orders = source(homes, tmp_path, f"{(tmp_path / 'bucket').as_uri()}/{{partition}}/part-*.csv")
    one = put(tmp_path / "bucket" / FIRST / "part-1.csv", FIRST)
    for part in ("1", "2"):
        put(tmp_path / "bucket" / SECOND / f"part-{part}.csv", SECOND, count=20, seed=int(part))
    last = tmp_path / "bucket" / SECOND / "part-2.csv"
    turned = pl.read_csv(last, infer_schema=False)
    turned.select(reversed(turned.columns)).write_csv(last)
    for name in (".part-3.csv", "part-4.csv.tmp", "other.csv"):
        put(tmp_path / "bucket" / SECOND / name, SECOND)
    put(tmp_path / "bucket" / "archive" / "part-1.csv", FIRST)
    assert due(orders) == [FIRST, SECOND]
    assert orders.extract(FIRST).record.rows == 40
    assert orders.landing.file(orders.product, "orders", FIRST).read_bytes() == one
    record = orders.extract(SECOND).record
    parts = [pl.read_csv(tmp_path / "bucket" / SECOND / f"part-{part}.csv", infer_schema=False) for part in ("1", "2")]
    whole = pl.read_csv(orders.landing.file(orders.product, "orders", SECOND), infer_schema=False)
    assert whole.equals(pl.concat(part.select(whole.columns) for part in parts))
    assert [Path(name).name for name in record.files] == ["part-1.csv", "part-2.csv"]
    assert due(orders) == []
    put(tmp_path / "bucket" / SECOND / "part-3.csv", SECOND, count=5, seed=3)
    assert due(orders) == [SECOND]


@pytest.mark.long
def test_files_that_still_change_are_waited_for(homes: list[Home], tmp_path: Path) -> None:
    orders = source(homes, tmp_path, f"{(tmp_path / 'bucket').as_uri()}/{{partition}}.csv")
    put(tmp_path / "bucket" / f"{FIRST}.csv", FIRST)
    now = datetime.now(UTC).replace(tzinfo=None)
    assert [*orders.due(now)] == []
    assert due(orders) == [FIRST]


@pytest.mark.long
def test_files_that_are_no_table_together_are_refused_by_name(homes: list[Home], tmp_path: Path) -> None:
    orders = source(homes, tmp_path, f"{(tmp_path / 'bucket').as_uri()}/{{partition}}/*.csv")
    put(tmp_path / "bucket" / FIRST / "1.csv", FIRST)
    (tmp_path / "bucket" / FIRST / "2.csv").write_text("id,amount\na,1\n")
    with pytest.raises(ExtractionRefused, match=r"2\.csv has other columns than .*1\.csv: came_back \(String\), city"):
        orders.extract(FIRST)
    (tmp_path / "bucket" / FIRST / "2.csv").write_text("")
    with pytest.raises(DeliveryError, match=r"2\.csv: the file has no content"):
        orders.extract(FIRST)
    with pytest.raises(ExtractionRefused, match=f"orders {SECOND}: there is no file at file://"):
        orders.extract(SECOND)


@pytest.mark.long
def test_compressed_parts_are_written_like_the_first(homes: list[Home], tmp_path: Path) -> None:
    uri = f"{(tmp_path / 'bucket').as_uri()}/{{partition}}/*.csv"
    for compression, squeeze in (("gzip", gzip.compress), ("zstd", _zstd)):
        orders = source(homes, tmp_path / compression, uri, (r"format: csv", f"format: csv, compression: {compression}"))
        for part in ("1", "2"):
            content = put(tmp_path / "bucket" / FIRST / f"{part}.csv", FIRST, seed=int(part))
            (tmp_path / "bucket" / FIRST / f"{part}.csv").write_bytes(squeeze(content))
        assert orders.extract(FIRST).record.rows == 80
        run = homes[-1].run(FIRST, only=("raw",), without=[])
        assert run.success, run.errors


@pytest.mark.long
def test_files_in_an_object_store_are_taken_from_there(
    homes: list[Home], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs import S3FileSystem

    with object_store() as store:
        s3: S3 = store
        for name, value in s3.environ.items():
            monkeypatch.setenv(name, value)
        S3FileSystem.clear_instance_cache()
        s3.make_bucket("team")
        orders = source(homes, tmp_path, "s3://team/orders/day={partition}/*.csv")
        assert due(orders) == []
        for part in ("a", "b"):
            S3FileSystem().pipe_file(f"team/orders/day={FIRST}/{part}.csv", csv_bytes(rows(FIRST, count=20, seed=ord(part))))
        assert due(orders) == [FIRST]
        record = orders.extract(FIRST).record
        assert (record.rows, [*record.files]) == (40, [f"team/orders/day={FIRST}/{part}.csv" for part in ("a", "b")])
        assert due(orders) == []
    S3FileSystem.clear_instance_cache()


def _zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))
