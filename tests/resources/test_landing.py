"""Of what lies in the landing folder, only complete partitions count, and only their bytes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml_assets.spec.product import Product, load
from resources.landing import Landing, NotDelivered
from tests.support import trains

SPEC = trains.SPEC.replace("  reference:", "    signals: {format: parquet, time: at}\n  reference:")


@pytest.fixture
def two_tables(tmp_path: Path) -> Product:
    """The trains, with trips as CSV and signals as Parquet."""
    folder = tmp_path / "trains"
    folder.mkdir()
    (folder / "product.yaml").write_text(SPEC)
    return load(folder)


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path / "landing")


def put(landing: Landing, *names: str) -> None:
    for name in names:
        path = landing.root / "trains" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_a_partition_is_delivered_when_every_table_is_there(landing: Landing, two_tables: Product) -> None:
    assert landing.delivered(two_tables) == []
    put(landing, "trips/2013-02.csv", "trips/2013-01.csv", "trips/2013-04.csv")
    assert landing.delivered(two_tables) == []
    put(landing, "signals/2013-02.parquet", "signals/2013-01.parquet", "signals/2013-03.parquet")
    assert landing.delivered(two_tables) == ["2013-01", "2013-02"]
    assert landing.partition_files(two_tables, "2013-01") == {
        "trips": landing.root / "trains" / "trips" / "2013-01.csv",
        "signals": landing.root / "trains" / "signals" / "2013-01.parquet",
    }


def test_names_with_a_dot_strays_other_formats_and_folders_do_not_count(landing: Landing, two_tables: Product) -> None:
    put(landing, *(f"signals/{name}.parquet" for name in ("2013-01", "2013-02", "2013-03", "2013-1", "2012-12", "x")))
    put(landing, "trips/.2013-01.csv", "trips/2013-02.parquet", "trips/2013-02.csv.part", "trips/2013-03.csv/inside")
    put(landing, "trips/2013-1.csv", "trips/2012-12.csv", "trips/x.csv", "trips/.csv", "2013-01.csv")
    (landing.root / "trains" / "trips" / "2013-01.csv").symlink_to("nowhere")
    assert landing.delivered(two_tables) == []
    assert [*landing.listing(two_tables).stray] == [
        *("signals/2012-12.parquet", "signals/2013-1.parquet", "signals/x.parquet", "trips/2012-12.csv"),
        *("trips/2013-02.parquet", "trips/2013-1.csv", "trips/x.csv"),
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("2013-01.CSV", "the ending is written .csv"),
        ("2013-01.csv.gz", "the name has to end in .csv; a compressed file is declared by `compression:` and named .csv too"),
        ("2013-01.xlsx", "the table is read from .csv files"),
        ("2012-12.csv", "before partitions.start, 2013-01"),
        ("2020-01.csv", "not before partitions.end, 2014-01"),
        ("January.csv", "named for no month: one is named like 2013-01"),
    ],
)
def test_a_file_that_is_no_partition_is_named_with_the_reason(landing: Landing, two_tables: Product, name: str, why: str) -> None:
    put(landing, f"trips/{name}")
    partitions = two_tables.partitions.model_copy(update={"end": "2014-01"})
    product = two_tables.model_copy(update={"partitions": partitions})
    assert landing.listing(product).stray == {f"trips/{name}": why}


def test_a_month_that_lasts_on_is_no_partition_yet(landing: Landing, two_tables: Product) -> None:
    this_month = datetime.now(UTC).strftime("%Y-%m")
    put(landing, f"trips/{this_month}.csv", f"signals/{this_month}.parquet", "trips/2013-01.csv", "signals/2013-01.parquet")
    assert landing.delivered(two_tables) == ["2013-01"]
    assert all(why.startswith("not finished yet: it ends at ") for why in landing.listing(two_tables).stray.values())
    assert len(landing.listing(two_tables).stray) == 2


def test_what_is_not_delivered_is_named(landing: Landing, two_tables: Product) -> None:
    put(landing, "trips/2013-01.csv")
    with pytest.raises(NotDelivered, match=r"^trains: not delivered: [^,]*signals/2013-01\.parquet$"):
        landing.partition_files(two_tables, "2013-01")
    with pytest.raises(NotDelivered, match=r"^trains: not delivered: [^,]*trains/stops\.parquet$"):
        landing.reference_files(two_tables)
    put(landing, "stops.parquet")
    assert landing.reference_files(two_tables) == {"stops": landing.root / "trains" / "stops.parquet"}


def test_what_is_put_is_delivered_and_may_be_put_again(landing: Landing, two_tables: Product) -> None:
    for content in (b"first", b"second"):
        for table, partition in (("trips", "2013-01"), ("signals", "2013-01"), ("stops", "")):
            path = landing.put(two_tables, table, partition, content)
            assert path.read_bytes() == content
    assert landing.delivered(two_tables) == ["2013-01"]
    assert landing.listing(two_tables).stray == {}
    assert len([path for path in landing.root.rglob("*") if path.is_file()]) == 3
