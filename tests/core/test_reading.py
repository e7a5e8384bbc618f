"""A delivered file is read as it was delivered, or refused by name."""

import gzip
import io
from datetime import datetime

import polars as pl
import pyarrow as pa
import pytest
from pydantic import ValidationError

from ml_assets.core.contract.reading import DeliveryError, read_delivery
from ml_assets.spec.delivery import ReferenceSpec, TableSpec

CSV = TableSpec(format="csv", time="t")
PARQUET = ReferenceSpec(format="parquet")


def parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def packed(content: bytes, compression: str) -> bytes:
    return gzip.compress(content, mtime=0) if compression == "gzip" else pa.compress(content, codec=compression, asbytes=True)


def test_a_csv_is_read_as_the_text_that_was_delivered() -> None:
    content = b'\xef\xbb\xbfa,b,c\r\n007,NA,\r\n 1,"x,\r\ny",""\r\n'
    assert read_delivery(content, table=CSV, name="t.csv").rows() == [("007", "NA", ""), (" 1", "x,\r\ny", "")]


def test_a_missing_last_newline_is_no_fault() -> None:
    assert read_delivery(b"a,b\n1,2", table=CSV, name="t.csv").rows() == [("1", "2")]


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        (b"a;b\nx,y;\xc3\xbc\n", {"separator": ";"}),
        (b"a\tb\nx,y\t\xc3\xbc\n", {"separator": "\t"}),
        ('a,b\n"x,y",ü\n'.encode("cp1252"), {"encoding": "cp1252"}),
        ('a,b\n"x,y",ü\n'.encode("utf-16"), {"encoding": "UTF-16"}),
        (gzip.compress('a,b\n"x,y",ü\n'.encode(), mtime=0), {"compression": "gzip"}),
        (packed('a,b\n"x,y",ü\n'.encode(), "zstd"), {"compression": "zstd"}),
        (packed(b"a,b\n", "zstd") + packed('"x,y",ü\n'.encode(), "zstd"), {"compression": "zstd"}),
        ('a,b\r"x,y",ü\r'.encode(), {}),
        ('a,b\r\n"x,y",ü\r\n'.encode(), {}),
    ],
)
def test_a_csv_is_read_as_its_table_declares(content: bytes, declared: dict[str, str]) -> None:
    table = TableSpec.model_validate({"format": "csv", "time": "t", **declared})
    delivery = read_delivery(content, table=table, name="t.csv")
    assert (delivery.columns, delivery.rows()) == (["a", "b"], [("x,y", "ü")])


@pytest.mark.parametrize("header", ["PAR1", "BZh", "BZhours"])
def test_a_header_may_begin_like_another_kind_of_file(header: str) -> None:
    assert read_delivery(f"{header},b\n1,2\n".encode(), table=CSV, name="t.csv").columns == [header, "b"]


@pytest.mark.parametrize(
    "declared", [{"separator": "§"}, {"separator": '"'}, {"separator": ";;"}, {"encoding": "hex"}, {"encoding": "u-8"}]
)
def test_what_no_file_can_be_read_by_is_refused_in_the_declaration(declared: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        TableSpec.model_validate({"format": "csv", "time": "t", **declared})


def test_a_text_may_be_long() -> None:
    content = b'a,b\n1,"' + b"x" * 200_000 + b'"\n'
    assert read_delivery(content, table=CSV, name="t.csv")["b"].str.len_chars().to_list() == [200_000]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_compressed_file_that_was_cut_short_or_is_none_is_refused(compression: str) -> None:
    table = TableSpec.model_validate({"format": "csv", "time": "t", "compression": compression})
    for content, message in (
        (packed(b"a,b\n1,2\n", compression)[:-9], f"the {compression} file is damaged or was cut short"),
        (b"a,b\n1,2\n", "it is not compressed"),
    ):
        with pytest.raises(DeliveryError, match=message):
            read_delivery(content, table=table, name="t.csv")


def test_parquet_keeps_its_types() -> None:
    frame = pl.DataFrame({"a": [1, None], "b": [datetime(2013, 1, 1)] * 2})
    assert read_delivery(parquet(frame), table=PARQUET, name="t.parquet").equals(frame)


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", "empty", "no content"),
        (b"\n\n", "empty", "no content"),
        (b"\xef\xbb\xbf\n", "empty", "no content"),
        (b"\n\na,b\n1,2\n", "header", "the first line is empty: it has to name the columns"),
        (b"# made by hand\na,b\n1,2\n3,4\n", "ragged", "the first line has 1 fields and every row 2: it has to name the columns"),
        ("a,b\n1,2\n".encode("utf-16-be"), "encoding", "add `encoding: utf-16-be`"),
        ("a,b\n1,2\n".encode("utf-16-le"), "encoding", "add `encoding: utf-16-le`"),
        ("a,b\n1,2\n".encode("utf-32"), "encoding", "add `encoding: utf-32`"),
        (b"a,b\n", "empty", "2 columns and no rows"),
        (b"a,b\n1,2\n3", "truncated", r"the last row \(1\) has 1 of 2 fields"),
        (b'a,b\n1,2\n3,"x', "truncated", "never ends in row 1"),
        (b'a,b\n1,"2"\n3', "truncated", "the last row"),
        (b"a,b\n1\n3,4\n", "ragged", "row 0 has 1"),
        (b"a,b\n1,2\n\n3,4\n", "ragged", "row 1 has 1"),
        (b"a,b\n1,2,3\n", "ragged", "row 0 has 3"),
        (b'a,b\n1,"2"x\n', "unreadable", "broken in row 0"),
        (b"a,a\n1,2\n", "header", "twice: a"),
        (b"a,\n1,2\n", "header", "has no name"),
        (
            b"a,b\n1,\xff\n",
            "encoding",
            r"byte 6 \(0xff, in line 2\) is not UTF-8 text; with `encoding: cp1252` it would read '1,ÿ'",
        ),
        (b"a;b\n1;2\n", "header", 'the separator seems to be ";": add `separator: ";"`'),
        (b"a\tb\n1\t2\n", "header", r'add `separator: "\\t"`'),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "encoding", "compressed with gzip: add `compression: gzip`"),
        (packed(b"a,b\n1,2\n", "zstd"), "encoding", "compressed with zstd: add `compression: zstd`"),
        ("a,b\n1,2\n".encode("utf-16"), "encoding", "add `encoding: utf-16`"),
        (b"PAR1\x00 and so on", "encoding", "it is a Parquet file: declare `format: parquet`"),
        (b"a,b\n1,\x00\n", "unreadable", "NUL"),
        (b"PK\x03\x04\x14\x00\x08", "encoding", "a zip archive or an Excel workbook"),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused_by_name(content: bytes, code: str, message: str) -> None:
    with pytest.raises(DeliveryError, match=f"trips.csv: .*{message}") as caught:
        read_delivery(content, table=CSV, name="trips.csv")
    assert caught.value.code == code


def test_a_compressed_file_is_told_whatever_the_encoding_that_is_declared() -> None:
    table = TableSpec(format="csv", time="t", encoding="latin-1")
    with pytest.raises(DeliveryError, match="compressed with gzip: add `compression: gzip`"):
        read_delivery(packed(b"a,b\n1,2\n", "gzip"), table=table, name="t.csv")


@pytest.mark.parametrize("cut", [5, 40, -1, -6])
def test_a_parquet_file_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(DeliveryError, match="cut short") as caught:
        read_delivery(parquet(pl.DataFrame({"a": range(99)}))[:cut], table=PARQUET, name="t.parquet")
    assert caught.value.code == "truncated"


def test_a_damaged_parquet_file_and_another_kind_of_file_are_unreadable() -> None:
    whole = parquet(pl.DataFrame({"a": range(999)}))
    for content in (whole[:4] + b"\xff" * (len(whole) - 8) + whole[-4:], b"a,b\n1,2\n"):
        with pytest.raises(DeliveryError) as caught:
            read_delivery(content, table=PARQUET, name="t.parquet")
        assert caught.value.code == "unreadable"


def test_a_parquet_file_without_rows_is_empty() -> None:
    with pytest.raises(DeliveryError, match="no rows"):
        read_delivery(parquet(pl.DataFrame({"a": []})), table=PARQUET, name="t.parquet")
