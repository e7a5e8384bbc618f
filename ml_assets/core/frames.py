"""Frames as bytes: equal rows in equal order give equal Parquet, and so an equal digest."""

import io

import polars as pl

ROW_GROUP_ROWS = 1 << 20


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """A frame as Parquet. Rows are rechunked first, so that chunk borders cannot show in the bytes."""
    sink = io.BytesIO()
    frame.rechunk().write_parquet(sink, compression="zstd", statistics=True, row_group_size=ROW_GROUP_ROWS)
    return sink.getvalue()
