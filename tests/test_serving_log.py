"""The prediction log: whole files of whole records, each counted once, whatever is killed in between."""

import datetime as dt
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import polars as pl
import pytest

from ml_assets.serving import prediction_files as files
from ml_assets.serving import prediction_log, prediction_records
from ml_assets.serving.prediction_files import FAN, PredictionLogError, merge, parts
from ml_assets.serving.prediction_log import REQUEST_BYTES, ROW_BYTES, SENT_ROW_BYTES, PredictionLog
from ml_assets.serving.prediction_record import REPEATED, Predictions, Sent
from ml_assets.serving.prediction_records import count_predictions, find, read
from tests.logged import NOON, THRESHOLD, id_at, log, predicted

if TYPE_CHECKING:
    import pyarrow as pa


def many(folder: Path, count: int, *, writer: str = "w", first: int = 0) -> list[str]:
    """Flushes of one prediction each; the ids."""
    made = [predicted(number) for number in range(first, first + count)]
    for number, each in enumerate(made, start=first):
        log(folder, each, writer=writer, number=number)
    return [each.ids for each in made]


def hour(folder: Path) -> Path:
    (found,) = files.hours(folder)
    return found


def test_records_are_read_as_they_were_made(tmp_path: Path) -> None:
    made = [predicted(number, moment=NOON + dt.timedelta(hours=number % 2)) for number in range(10)]
    kept = PredictionLog(tmp_path)
    for each in made:
        kept.add(each)
    kept.close()
    assert (kept.written, kept.lost, kept.merges_failed) == (10, 0, 0)
    assert [str(each.relative_to(tmp_path)) for each in files.hours(tmp_path)] == ["2026-01-31/12", "2026-01-31/13"]
    expected = sorted(made, key=lambda each: each.ids)
    found = read(tmp_path)
    assert found["id"].to_list() == [each.ids for each in expected]
    for column, name in (("at", "at"), ("score", "scores")):
        assert found[column].to_list() == [value for each in expected for value in getattr(each, name)]
    assert found["decision"].to_list() == [score >= THRESHOLD for score in found["score"]]
    for name in REPEATED:
        assert found[name].to_list() == [getattr(each, name) for each in expected]
    assert found["request"][0] == '{"carrier":"AA","distance":null}'


def test_requests_are_written_together_until_they_fill_a_table_each_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    real = prediction_log.table

    def counted(batches: Sequence[Predictions]) -> "pa.Table":
        made.append(sum(map(len, batches)))
        return real(batches)

    monkeypatch.setattr(prediction_log, "table", counted)
    monkeypatch.setattr(prediction_log, "SLICE_ROWS", 1000)
    monkeypatch.setattr(prediction_log, "SLICE_REQUESTS", 300)
    sizes = [1] * 400 + [999, 0, 1, 1000, 600, 399, 2] + [100] * 4
    numbers = iter(range(sum(sizes)))
    kept = PredictionLog(tmp_path)
    for predictions in [predicted(*islice(numbers, size)) for size in sizes]:
        kept.add(predictions)
    kept.close()
    assert (kept.written, kept.lost, sum(made)) == (sum(sizes), 0, sum(sizes))
    assert [round(score * 3) for score in read(tmp_path)["score"]] == list(range(sum(sizes)))
    assert made == [300, 1099, 1001, 1001, 400]


def test_an_empty_log_has_the_columns_and_counts_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "nothing").schema["at"] == pl.Datetime("us")
    assert not count_predictions(tmp_path / "nothing")
    assert find(tmp_path / "nothing", id_at(NOON)) is None


def test_a_prediction_is_found_in_its_hour_and_no_other_is_read(tmp_path: Path) -> None:
    made = [predicted(7, moment=NOON + dt.timedelta(hours=hours)) for hours in range(3)]
    for each in made:
        log(tmp_path, each)
    broken = log(tmp_path, predicted(8, moment=NOON + dt.timedelta(hours=1)), writer="other")
    broken.write_bytes(b"not Parquet")
    found = find(tmp_path, made[2].ids)
    assert found is not None
    assert (found["at"], found["request"]) == ("2026-01-31T14:00:00.007000", {"carrier": "AA", "distance": 7})
    assert find(tmp_path, id_at(NOON)) is None
    assert find(tmp_path, "2013-02.aaaaaaaa") is None
    with pytest.raises(PredictionLogError, match="cannot be read"):
        find(tmp_path, made[1].ids)


def test_two_servers_write_to_files_of_their_own(tmp_path: Path) -> None:
    logs = [PredictionLog(tmp_path), PredictionLog(tmp_path)]
    for number, each in enumerate(logs):
        each.add(predicted(number))
        each.close()
    assert len(parts(hour(tmp_path))) == 2
    assert count_predictions(tmp_path) == {("r1", "production"): 2}


def test_servers_that_write_and_merge_the_same_hour_lose_nothing(tmp_path: Path) -> None:
    logs = [PredictionLog(tmp_path, flush_seconds=0.0001) for _ in range(2)]
    for number in range(0, 400, 2):
        for which, each in enumerate(logs):
            each.add(predicted(number + which))
        while logs[0].written + logs[1].written < number:
            time.sleep(0.0001)
    for each in logs:
        each.close()
    assert [(each.lost, each.merges_failed) for each in logs] == [(0, 0), (0, 0)]
    assert [round(score * 3) for score in read(tmp_path)["score"]] == list(range(400))


def test_small_files_become_few_large_ones_with_the_same_records(tmp_path: Path) -> None:
    made = many(tmp_path, 2 * FAN + 3)
    before = read(tmp_path)
    merge(hour(tmp_path))
    assert [(part.first, part.last, part.level) for part in parts(hour(tmp_path))] == [(0, 2 * FAN + 2, 1)]
    assert read(tmp_path).equals(before)
    assert before["id"].to_list() == made
    many(tmp_path, FAN, first=len(made))
    merge(hour(tmp_path))
    assert [part.level for part in parts(hour(tmp_path))] == [1, 1]
    merge(hour(tmp_path), is_over=True)
    (whole,) = parts(hour(tmp_path))
    merge(hour(tmp_path), is_over=True)
    assert (parts(hour(tmp_path)), read(tmp_path).height) == ([whole], len(made) + FAN)


def test_files_are_merged_a_few_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "READ_ROWS", 3)
    for number in range(FAN):
        log(tmp_path, predicted(*range(10 * number, 10 * number + 1 + number % 9)), number=number)
    before = read(tmp_path)
    merge(hour(tmp_path))
    assert len(parts(hour(tmp_path))) == 1
    assert read(tmp_path).equals(before)
    assert before.height == sum(1 + number % 9 for number in range(FAN))


def test_the_log_merges_what_it_flushes(tmp_path: Path) -> None:
    kept = PredictionLog(tmp_path, flush_seconds=0.001)
    for number in range(FAN + 8):
        kept.add(predicted(number))
        while kept.written <= number:
            time.sleep(0.001)
    while len(parts(hour(tmp_path))) > FAN:
        time.sleep(0.001)
    kept.close()
    assert len(list(hour(tmp_path).iterdir())) == 1
    assert read(tmp_path).height == FAN + 8


@pytest.mark.parametrize("removed", range(0, FAN + 1, 8))
def test_a_kill_in_a_merge_counts_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: int) -> None:
    many(tmp_path, FAN)
    before, real = read(tmp_path), Path.unlink
    left = [removed]

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".parquet":
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
        real(path, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlink)
        if removed < FAN:
            with pytest.raises(KeyboardInterrupt):
                merge(hour(tmp_path))
    assert len(list(hour(tmp_path).iterdir())) == (FAN + 1 - removed if removed < FAN else FAN)
    assert read(tmp_path).equals(before)
    merge(hour(tmp_path))
    assert len(list(hour(tmp_path).iterdir())) == 1
    assert read(tmp_path).equals(before)


def test_what_is_merged_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path, FAN)
    real = prediction_records.parts

    def and_then_merged(at: Path) -> list[files.Part]:
        found = real(at)
        merge(at)
        return found

    monkeypatch.setattr(prediction_records, "parts", and_then_merged)
    assert count_predictions(tmp_path) == {("r1", "production"): FAN}


def test_reading_while_others_write_and_merge_counts_each_record_once(tmp_path: Path) -> None:
    log(tmp_path, predicted(0), writer="first")
    counts: list[int] = []
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            counts.append(sum(count_predictions(tmp_path).values()))

    reader = threading.Thread(target=count)
    reader.start()
    for number in range(3):
        many(tmp_path, FAN, first=number * FAN)
        merge(hour(tmp_path), is_over=True)
    stop.set()
    reader.join()
    assert counts == sorted(counts)
    assert sum(count_predictions(tmp_path).values()) == 3 * FAN + 1


def test_a_start_merges_what_a_kill_left_in_the_hours_before(tmp_path: Path) -> None:
    many(tmp_path, 5)
    log(tmp_path, predicted(0, moment=NOON + dt.timedelta(hours=3)))
    before = [len(list(each.iterdir())) for each in files.hours(tmp_path)]
    PredictionLog(tmp_path).close()
    assert before == [5, 1]
    assert [len(list(each.iterdir())) for each in files.hours(tmp_path)] == [1, 1]


def test_a_foreign_file_is_named(tmp_path: Path) -> None:
    path = log(tmp_path, predicted(1)).rename(tmp_path / "2026-01-31" / "12" / "mine.parquet")
    with pytest.raises(PredictionLogError, match=str(path)):
        read(tmp_path)


def test_what_the_disk_refuses_is_counted(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file where the folder should be")
    kept = PredictionLog(tmp_path / "log")
    kept.add(predicted(1, 2))
    kept.close()
    assert (kept.written, kept.lost) == (0, 2)


def test_a_full_disk_loses_records_counts_them_and_goes_on_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    kept = PredictionLog(tmp_path, flush_seconds=0.01)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        kept.add(predicted(1))
        while kept.lost < 1:
            time.sleep(0.01)
    kept.add(predicted(2))
    kept.close()
    assert (kept.written, kept.lost, read(tmp_path).height) == (1, 1, 1)


def test_a_full_queue_loses_records_and_counts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(prediction_log, "put", lambda *_, **__: stuck.wait(20))
    kept = PredictionLog(tmp_path, most_waiting_bytes=8 * (100 + REQUEST_BYTES + ROW_BYTES) - 1)
    for number in range(50):
        kept.add(predicted(number), size=100)
    assert kept.lost == 43
    stuck.set()
    kept.close()
    assert (kept.written, kept.lost) == (7, 43)


def test_rows_of_which_the_text_is_kept_take_less_of_the_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(prediction_log, "put", lambda *_, **__: stuck.wait(20))
    sent = predicted(1, 2)
    sent = msgspec.structs.replace(sent, requests=Sent(b'{"rows":[{"n":1},{"n":2}]}', 2))
    kept = PredictionLog(tmp_path, most_waiting_bytes=8 * (100 + REQUEST_BYTES + 2 * SENT_ROW_BYTES) - 1)
    for _ in range(50):
        kept.add(sent, size=100)
    assert kept.lost == 2 * 43
    stuck.set()
    kept.close()
    assert kept.written == 2 * 7


KILLED = """
import sys, time
from pathlib import Path
from ml_assets.serving.prediction_log import PredictionLog
from tests.logged import predicted
kept = PredictionLog(Path(sys.argv[1]), flush_seconds=0.002)
print("ready", flush=True)
number = 0
while True:
    kept.add(predicted(number))
    print(number, kept.written, flush=True)
    number += 1
    time.sleep(0.0002)
"""


def test_a_kill_leaves_whole_files_and_all_that_was_flushed(tmp_path: Path) -> None:
    for turn in range(3):
        folder = tmp_path / str(turn)
        with subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            told = ["0", "0"]
            while int(told[1]) < 150 + 37 * turn:
                told = child.stdout.readline().split()
            child.kill()
            rest = [line.split() for line in child.stdout.read().splitlines()]
        added, written = map(int, next((each for each in reversed(rest) if len(each) == 2), told))
        found = sorted(round(score * 3) for score in read(folder)["score"])
        assert found == list(range(len(found)))
        assert written <= len(found) <= added + 2
        merge(hour(folder), is_over=True)
        assert sorted(round(score * 3) for score in read(folder)["score"]) == found
