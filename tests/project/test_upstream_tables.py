"""What the project leans on in polars, pandera, DuckDB, CatBoost and msgspec, one test each."""

import io
import json
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
from catboost import CatBoostClassifier, Pool
from dagster._core.instance.config import dagster_instance_config
from dagster._core.storage.sqlite import create_db_conn_string
from sqlalchemy import make_url

from ml_assets.core.duckdb_session import parquet
from ml_assets.core.frames import parquet_bytes
from ml_assets.core.model.training import fingerprint


class Rows(pa.DataFrameModel):
    distance: int = pa.Field(ge=0, nullable=True)
    origin: str = pa.Field(isin=["EWR", "JFK"])


def test_pandera_passes_over_values_of_a_lazy_frame() -> None:
    wrong = pl.DataFrame({"distance": [-1], "origin": ["EWR"]})
    Rows.validate(wrong.lazy()).collect()
    with pytest.raises(pa.errors.SchemaErrors):
        Rows.validate(wrong, lazy=True)


def test_pandera_passes_an_empty_frame_and_columns_beyond_the_model() -> None:
    """Why the contract has a minimum of rows and `strict`."""
    Rows.validate(pl.DataFrame(schema={"distance": pl.Int64, "origin": pl.String}), lazy=True)
    Rows.validate(pl.DataFrame({"distance": [1], "origin": ["EWR"], "beyond": [1]}), lazy=True)


def test_pandera_tells_for_each_row_whether_it_passed() -> None:
    """What quarantine reads: the mask of a failed check is in the order of the rows."""
    wrong = pl.DataFrame({"distance": [3, -1, None, -2], "origin": ["EWR"] * 4})
    with pytest.raises(pa.errors.SchemaErrors) as caught:
        Rows.validate(wrong, lazy=True)
    (error,) = caught.value.schema_errors
    assert error.check_output["check_output"].to_list() == [True, False, True, False]


def test_a_join_keeps_the_order_of_the_left_rows_when_asked() -> None:
    """Without `maintain_order` no order is promised: four builds gave four models. The features are sorted by key as well."""
    left = pl.DataFrame({"key": np.random.default_rng(0).permutation(50_000)})
    joined = left.join(pl.DataFrame({"key": range(50_000), "value": 1}), on="key", how="left", maintain_order="left")
    assert joined["key"].equals(left["key"])


def test_equal_rows_in_other_chunks_are_other_parquet_bytes_until_they_are_rechunked() -> None:
    """polars 2.1 begins row groups of 262,144 rows or so at chunk borders; one border inside the first is enough."""
    whole = pl.DataFrame({"value": range(600_000)}).rechunk()
    chunked = pl.concat([whole[:300_000], whole[300_000:]], rechunk=False)
    assert whole.equals(chunked)
    assert as_written(whole) != as_written(chunked)
    assert as_written(whole) == as_written(chunked.rechunk())
    assert parquet_bytes(whole) == parquet_bytes(chunked)


def as_written(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.write_parquet(sink)
    return sink.getvalue()


def test_read_csv_fills_a_short_line_without_a_word() -> None:
    """Why reading.py counts the fields of every line itself."""
    frame = pl.read_csv(b"a,b,c\n1,2,3\n4,5\n", infer_schema=False)
    assert frame.rows() == [("1", "2", "3"), ("4", "5", None)]


def test_duckdb_reads_polars_frames_and_gives_them_back(tmp_path: Path) -> None:
    rows = pl.DataFrame({"key": ["b", "a"], "at": pl.Series(["2013-01-01T05:00"] * 2).str.to_datetime(time_unit="us")})
    rows.write_parquet(tmp_path / "rows.parquet")
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        assert connection.sql("SELECT * FROM rows").pl().equals(rows)
        assert connection.sql(f"SELECT * FROM read_parquet(['{tmp_path / 'rows.parquet'}'])").pl().schema == rows.schema


def test_duckdb_takes_brackets_and_stars_in_a_path_for_a_pattern_unless_each_is_in_brackets(tmp_path: Path) -> None:
    """Why duckdb_session.literal is there."""
    for name in ("a*b", "axb", "a[x]c", "axc", "a?d", "axd"):
        (tmp_path / name).mkdir()
        pl.DataFrame({"name": [name]}).write_parquet(tmp_path / name / "rows.parquet")
    with duckdb.connect() as connection:
        for name, matched in (("a*b", ["a*b", "axb"]), ("a?d", ["a?d", "axd"])):
            assert sorted(connection.read_parquet(f"{tmp_path / name}/rows.parquet").fetchall()) == [(n,) for n in matched]
        for name in ("a*b", "a[x]c", "a?d"):
            assert connection.sql(f"SELECT * FROM {parquet([tmp_path / name / 'rows.parquet'])}").fetchall() == [(name,)]


def test_polars_takes_brackets_in_a_path_for_a_pattern_where_only_the_schema_is_read(tmp_path: Path) -> None:
    """Why Snapshots.columns hands over an open file."""
    path = tmp_path / "a[x]" / "rows.parquet"
    path.parent.mkdir()
    pl.DataFrame({"number": [1]}).write_parquet(path)
    with pytest.raises(pl.exceptions.ComputeError):
        pl.read_parquet_schema(path)
    with path.open("rb") as file:
        assert pl.read_parquet_schema(file) == {"number": pl.Int64}


def test_the_time_zone_of_a_session_of_duckdb_is_the_cursors_too_only_if_it_is_set_globally() -> None:
    query = "SELECT current_setting('TimeZone')"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        assert connection.cursor().execute(query).fetchall() != [("America/New_York",)]
        connection.execute("SET GLOBAL TimeZone = 'Asia/Tokyo'")
        assert connection.cursor().execute(query).fetchall() == [("Asia/Tokyo",)]


def test_dagster_and_sqlalchemy_read_another_path_where_a_home_has_what_settings_refuse(tmp_path: Path) -> None:
    """Why settings.py refuses homes with a pattern, an encoded character or a question mark in their path."""
    folder = tmp_path / "a[x]"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}")
    assert dagster_instance_config(str(folder))[0] == {}
    assert make_url(create_db_conn_string("/a%41b", "runs")).database == "/aAb/runs.db"
    assert make_url(create_db_conn_string("/a?b", "runs")).database == "/a"


def test_compiled_sql_runs_in_a_memory_database_attached_under_the_name_it_was_compiled_for() -> None:
    """How the endpoint runs the SQL of training: its catalog is always called features."""
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS features; CREATE TABLE features.main.requests AS SELECT 2 AS distance")
        assert connection.execute('SELECT distance * 2 FROM "features"."main"."requests"').fetchall() == [(4,)]


def rows_to_learn(*, rows: int = 3000) -> tuple[pl.DataFrame, np.ndarray]:
    rng = np.random.default_rng(7)
    frame = pl.DataFrame({"number": rng.normal(size=rows), "category": rng.choice(["a", "b", "c"], size=rows)})
    label = (frame["number"].to_numpy() + (frame["category"] == "a").to_numpy() + rng.normal(size=rows) > 0.5).astype(int)
    return frame, label


def fitted(frame: pl.DataFrame, label: np.ndarray, *, threads: int = 2) -> CatBoostClassifier:
    model = CatBoostClassifier(iterations=20, random_seed=7, thread_count=threads, allow_writing_files=False, verbose=False)
    model.fit(Pool(frame, label=label, cat_features=["category"]))
    return model


def test_catboost_takes_polars_frames_with_texts_as_categories() -> None:
    frame, label = rows_to_learn()
    assert fitted(frame, label).get_cat_feature_indices() == [1]


def test_equal_rows_seed_and_threads_give_equal_trees_and_another_order_gives_others() -> None:
    frame, label = rows_to_learn()
    model = fingerprint(fitted(frame, label))
    assert fingerprint(fitted(frame, label)) == model
    assert fingerprint(fitted(frame.reverse(), label[::-1].copy())) != model


def test_a_saved_model_differs_each_time_in_its_metadata_alone(tmp_path: Path) -> None:
    """Why the data version of a model is its fingerprint, and its guid and date are blanked in the file."""
    frame, label = rows_to_learn()
    saved: list[bytes] = []
    trees: list[Any] = []
    for number in range(2):
        model = fitted(frame, label)
        for kind, path in (("cbm", tmp_path / f"{number}.cbm"), ("json", tmp_path / f"{number}.json")):
            model.save_model(str(path), format=kind)
        saved.append((tmp_path / f"{number}.cbm").read_bytes())
        trees.append({k: v for k, v in json.loads((tmp_path / f"{number}.json").read_text()).items() if k != "model_info"})
    assert saved[0] != saved[1]
    assert trees[0] == trees[1]
    assert {"model_guid", "train_finish_time"} <= set(dict(model.get_metadata()))


def test_msgspec_takes_no_text_for_a_number() -> None:
    class Request(msgspec.Struct, forbid_unknown_fields=True):
        distance: int

    assert msgspec.json.decode(b'{"distance": 3}', type=Request).distance == 3
    for body in (b'{"distance": "3"}', b'{"distance": 3.5}', b'{"distance": true}', b'{"distance": 3, "beyond": 1}'):
        with pytest.raises(msgspec.ValidationError, match=r"distance|beyond"):
            msgspec.json.decode(body, type=Request)
