"""The prediction log: whole files of whole records, each counted once, whatever is killed in between."""

import datetime as dt
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl
import psutil
import pyarrow.parquet as pq
import pytest

from ml_assets.serving.log import hour_files, reader, writer
from ml_assets.serving.log.hour_files import compact
from ml_assets.serving.log.reader import PredictionLogError, count_predictions, find, read
from ml_assets.serving.log.record import REPEATED, Predictions, Sent
from ml_assets.serving.log.writer import REQUEST_BYTES, ROW_BYTES, SENT_ROW_BYTES, PredictionLog
from tests.support.archives import unpack_archive
from tests.support.logged import NOON, THRESHOLD, id_at, log, predicted

if TYPE_CHECKING:
    import pyarrow as pa


ARCHIVE = Path(__file__).parents[1] / "data" / "prediction_log_of_ranges.tar.gz"
"""A log that was written when a file was named for the flushes that it holds (commit 6e0fe73): an hour of two servers, one of
which was killed after it merged three flushes and before it removed them, and an hour whose server ended."""


def many(folder: Path, count: int, *, first: int = 0) -> list[str]:
    """Flushes of one prediction each; the ids."""
    sizes = [predicted(number) for number in range(first, first + count)]
    for predictions in sizes:
        log(folder, predictions)
    return [predictions.ids for predictions in sizes]


def clock_at(moment: dt.datetime) -> Callable[[], float]:
    return lambda: moment.replace(tzinfo=dt.UTC).timestamp()


def file_counts(folder: Path) -> list[int]:
    """How many files there are of each hour, finished or not."""
    return [len(list(hour.iterdir())) for hour in hour_files.hours(folder)]


def hour(folder: Path) -> Path:
    (hour,) = hour_files.hours(folder)
    return hour


def test_records_are_read_as_they_were_made(tmp_path: Path) -> None:
    sizes = [predicted(number, moment=NOON + dt.timedelta(hours=number % 2)) for number in range(10)]
    kept = PredictionLog(tmp_path)
    for predictions in sizes:
        kept.add(predictions)
    kept.close()
    assert (kept.written, kept.lost, kept.compactions_failed) == (10, 0, 0)
    assert [str(hour.relative_to(tmp_path)) for hour in hour_files.hours(tmp_path)] == ["2026-01-31/12", "2026-01-31/13"]
    expected = sorted(sizes, key=lambda predictions: predictions.ids)
    frame = read(tmp_path)
    assert frame["id"].to_list() == [predictions.ids for predictions in expected]
    for column, name in (("at", "at"), ("score", "scores")):
        assert frame[column].to_list() == [value for predictions in expected for value in getattr(predictions, name)]
    assert frame["decision"].to_list() == [score >= THRESHOLD for score in frame["score"]]
    for name in REPEATED:
        assert frame[name].to_list() == [getattr(predictions, name) for predictions in expected]
    assert frame["request"][0] == '{"carrier":"AA","distance":null}'


def test_requests_are_written_together_until_they_fill_a_table_each_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes_now: list[int] = []
    real, release = writer.table, "written-together"

    def counted(batches: Sequence[Predictions]) -> "pa.Table":
        if batches[0].release == release:  # another test's log may still be writing
            sizes_now.append(sum(map(len, batches)))
        return real(batches)

    monkeypatch.setattr(writer, "table", counted)
    monkeypatch.setattr(writer, "SLICE_ROWS", 1000)
    monkeypatch.setattr(writer, "SLICE_REQUESTS", 300)
    sizes = [1] * 400 + [999, 0, 1, 1000, 600, 399, 2] + [100] * 4
    numbers = iter(range(sum(sizes)))
    kept = PredictionLog(tmp_path, flush_seconds=60)  # on a busy machine a second can pass in between
    for predictions in [predicted(*islice(numbers, size), release=release) for size in sizes]:
        kept.add(predictions)
    kept.close()
    assert (kept.written, kept.lost, sum(sizes_now)) == (sum(sizes), 0, sum(sizes))
    assert [round(score * 3) for score in read(tmp_path)["score"]] == list(range(sum(sizes)))
    assert sizes_now == [300, 1099, 1001, 1001, 400]


def test_an_empty_log_has_the_columns_and_counts_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "nothing").schema["at"] == pl.Datetime("us")
    assert not count_predictions(tmp_path / "nothing")
    assert find(tmp_path / "nothing", id_at(NOON)) is None


def test_a_prediction_is_found_in_its_hour_and_no_other_is_read(tmp_path: Path) -> None:
    sizes = [predicted(7, moment=NOON + dt.timedelta(hours=hours)) for hours in range(3)]
    for predictions in sizes:
        log(tmp_path, predictions)
    broken = log(tmp_path, predicted(8, moment=NOON + dt.timedelta(hours=1)))
    broken.write_bytes(b"not Parquet")
    prediction = find(tmp_path, sizes[2].ids)
    assert prediction is not None
    assert (prediction["at"], prediction["request"]) == ("2026-01-31T14:00:00.007000", {"carrier": "AA", "distance": 7})
    assert find(tmp_path, id_at(NOON)) is None
    assert find(tmp_path, "2013-02.aaaaaaaa") is None
    with pytest.raises(PredictionLogError, match=f"cannot be read: .*{broken}"):
        find(tmp_path, sizes[1].ids)


def test_two_servers_write_to_files_of_their_own(tmp_path: Path) -> None:
    logs = [PredictionLog(tmp_path), PredictionLog(tmp_path)]
    for number, own_log in enumerate(logs):
        own_log.add(predicted(number))
        own_log.close()
    assert len(hour_files.files(hour(tmp_path))) == 2
    assert count_predictions(tmp_path) == {("r1", "production"): 2}


@pytest.mark.long
def test_servers_that_write_while_the_same_hour_is_compacted_lose_nothing(tmp_path: Path) -> None:
    logs = [PredictionLog(tmp_path, flush_seconds=0.0001) for _ in range(2)]
    compacted = 0
    for number in range(0, 200, 2):
        for which, own_log in enumerate(logs):
            own_log.add(predicted(number + which))
        while logs[0].written + logs[1].written < number:
            time.sleep(0.0001)
        if number % 20 == 10:
            compacted += compact(hour(tmp_path))  # unless a log's own process is at it: the hour is long past
    for own_log in logs:
        own_log.close()
    assert compacted
    assert [(log.lost, log.compactions_failed) for log in logs] == [(0, 0), (0, 0)]
    assert [round(score * 3) for score in read(tmp_path)["score"]] == list(range(200))


def test_the_files_of_an_hour_become_one_with_the_same_records(tmp_path: Path) -> None:
    many_predictions = many(tmp_path, 9)
    log(tmp_path, predicted(*range(9, 40)))
    before = read(tmp_path)
    assert compact(hour(tmp_path))
    (whole,) = hour(tmp_path).iterdir()
    assert (whole.stat().st_mode & 0o777, pq.read_metadata(whole).num_rows) == (0o640, 40)
    assert read(tmp_path).equals(before)
    assert before["id"].to_list()[:9] == many_predictions
    assert not compact(hour(tmp_path))
    assert list(hour(tmp_path).iterdir()) == [whole]


def test_a_file_that_comes_after_the_compaction_is_counted_and_compacted_too(tmp_path: Path) -> None:
    many(tmp_path, 5)
    compact(hour(tmp_path))
    log(tmp_path, predicted(5))
    assert count_predictions(tmp_path) == {("r1", "production"): 6}
    assert compact(hour(tmp_path))
    assert (file_counts(tmp_path), read(tmp_path).height) == ([1], 6)


def test_an_hour_with_more_than_fits_becomes_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        log(tmp_path, predicted(number, request=lambda _: {"text": os.urandom(3000).hex()}))
    before = read(tmp_path)
    monkeypatch.setattr(
        hour_files, "MOST_COMPACTED_BYTES", 4 * max(path.stat().st_size for path in hour_files.files(hour(tmp_path)))
    )
    done = sum(iter(lambda: compact(hour(tmp_path)), False))
    assert 2 <= done <= 4
    assert 2 <= len(hour_files.files(hour(tmp_path))) <= 4
    assert all(path.stat().st_size <= hour_files.MOST_COMPACTED_BYTES for path in hour_files.files(hour(tmp_path)))
    assert read(tmp_path).equals(before)


@pytest.mark.long
@pytest.mark.parametrize("removed", [0, 1, 5, 7])
def test_a_kill_between_the_new_file_and_the_last_removal_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: int
) -> None:
    many(tmp_path, 8)
    before, real = read(tmp_path), Path.unlink
    left = [removed]

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(path, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlink)
        with pytest.raises(KeyboardInterrupt):
            compact(hour(tmp_path))
    assert file_counts(tmp_path) == [8 + 1 - removed]
    assert count_predictions(tmp_path) == {("r1", "production"): 8}
    assert read(tmp_path).equals(before)
    assert compact(hour(tmp_path))
    (whole,) = hour(tmp_path).iterdir()
    assert pq.read_metadata(whole).num_rows == 8
    assert read(tmp_path).equals(before)


def test_a_reader_between_any_two_steps_of_a_compaction_counts_each_record_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(tmp_path, 6)
    counts: list[int] = []

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            counts.append(sum(count_predictions(tmp_path).values()))
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patched:
        for name in ("mkdir", "fsync", "chmod", "replace", "unlink", "rmdir"):
            patched.setattr(os, name, counting(getattr(os, name)))
        assert compact(hour(tmp_path))
    assert len(counts) > 10
    assert set(counts) == {6}


def test_what_is_compacted_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path, 6)
    real = reader.files

    def and_then_compacted(at: Path) -> list[Path]:
        paths = real(at)
        compact(at)
        return paths

    monkeypatch.setattr(reader, "files", and_then_compacted)
    assert count_predictions(tmp_path) == {("r1", "production"): 6}


def test_what_is_compacted_while_the_folder_is_listed_is_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path, 6)
    at, real, is_first = hour(tmp_path), Path.glob, [True]

    def glob(folder: Path, pattern: str) -> list[Path]:
        paths = list(real(folder, pattern))
        if folder == at and is_first[0]:
            is_first[0] = False
            compact(at)
            return [path for path in paths if path.exists()]  # the system had come past where the new file is then
        return paths

    monkeypatch.setattr(Path, "glob", glob)
    assert count_predictions(tmp_path) == {("r1", "production"): 6}


@pytest.mark.long
def test_reading_while_others_write_and_compact_counts_each_record_once(tmp_path: Path) -> None:
    log(tmp_path, predicted(0))
    counts: list[int] = []
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            counts.append(sum(count_predictions(tmp_path).values()))

    counting = threading.Thread(target=count)
    counting.start()
    for number in range(8):
        many(tmp_path, 12, first=number * 12)
        compact(hour(tmp_path))
    stop.set()
    counting.join()
    assert counts == sorted(counts)
    assert len(set(counts)) > 3
    assert sum(count_predictions(tmp_path).values()) == 8 * 12 + 1


@pytest.mark.long
def test_a_start_compacts_the_hours_that_have_passed_and_no_other(tmp_path: Path) -> None:
    for hours, count in ((0, 5), (2, 2), (3, 2)):
        for number in range(count):
            log(tmp_path, predicted(number, moment=NOON + dt.timedelta(hours=hours)))
    before = read(tmp_path)
    kept = PredictionLog(tmp_path, flush_seconds=0.001, clock=clock_at(NOON + dt.timedelta(hours=3, seconds=59)))
    while file_counts(tmp_path)[0] > 1:
        time.sleep(0.001)
    time.sleep(0.05)
    kept.close()
    assert file_counts(tmp_path) == [1, 2, 2]
    kept = PredictionLog(tmp_path, flush_seconds=0.001, clock=clock_at(NOON + dt.timedelta(hours=3, seconds=60)))
    while file_counts(tmp_path)[1] > 1:
        time.sleep(0.001)
    time.sleep(0.05)
    kept.close()
    assert file_counts(tmp_path) == [1, 1, 2]
    assert read(tmp_path).equals(before)


def test_an_hour_is_compacted_by_the_log_that_wrote_it_once_it_has_passed(tmp_path: Path) -> None:
    now = [clock_at(NOON + dt.timedelta(minutes=30))()]
    kept = PredictionLog(tmp_path, flush_seconds=0.001, clock=lambda: now[0])
    for number in range(6):
        kept.add(predicted(number))
        while kept.written <= number:
            time.sleep(0.001)
    assert file_counts(tmp_path) == [6]
    now[0] += 3600
    while file_counts(tmp_path) != [1]:
        time.sleep(0.001)
    kept.close()
    assert (kept.lost, kept.compactions_failed, read(tmp_path).height) == (0, 0, 6)


def test_what_cannot_be_compacted_stays_is_told_and_counted_and_stops_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    many(tmp_path, 2)
    broken = log(tmp_path, predicted(2))
    broken.write_bytes(b"not Parquet")
    for number in range(3, 6):
        log(tmp_path, predicted(number, moment=NOON + dt.timedelta(hours=1)))
    kept = PredictionLog(tmp_path, flush_seconds=0.001)
    while not kept.compactions_failed:
        time.sleep(0.001)
    kept.add(predicted(6))
    kept.close()
    assert (kept.compactions_failed, kept.written, kept.lost) == (1, 1, 0)
    assert file_counts(tmp_path) == [4, 1]
    assert f"{broken.parent} cannot be compacted: " in (stderr := capfd.readouterr().err)
    assert str(broken) in stderr
    broken.unlink()
    assert count_predictions(tmp_path) == {("r1", "production"): 6}


@pytest.mark.long
def test_a_log_that_ends_ends_its_compaction_and_the_next_one_goes_on(tmp_path: Path) -> None:
    many(tmp_path, 300)
    before = read(tmp_path)
    kept = PredictionLog(tmp_path, flush_seconds=0.001)
    while not (running := [process for process in psutil.Process().children() if hour_files.__name__ in process.cmdline()]):
        time.sleep(0.001)
    running[0].suspend()  # so that it has not ended by itself
    kept.add(predicted(300))
    kept.close()
    assert not any(process.is_running() for process in running)
    assert (kept.written, kept.lost, kept.compactions_failed) == (1, 0, 0)
    assert read(tmp_path).head(300).equals(before)
    kept = PredictionLog(tmp_path, flush_seconds=0.001)
    while file_counts(tmp_path) != [1]:
        time.sleep(0.01)
    kept.close()
    assert read(tmp_path).head(300).equals(before)


def test_a_compaction_that_cannot_be_started_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path, 2)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    kept = PredictionLog(tmp_path, flush_seconds=0.001)
    while not kept.compactions_failed:
        time.sleep(0.001)
    kept.close()
    assert file_counts(tmp_path) == [2]


def test_a_compaction_is_left_to_the_process_that_is_at_it(tmp_path: Path) -> None:
    many(tmp_path, 3)
    other = os.open(hour(tmp_path).parent, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    assert not compact(hour(tmp_path))
    os.close(other)
    assert compact(hour(tmp_path))


def test_a_log_that_was_written_with_other_names_is_read_and_compacted(tmp_path: Path) -> None:
    unpack_archive(ARCHIVE, tmp_path)
    assert file_counts(tmp_path) == [9, 1]
    before = read(tmp_path)
    assert [round(score * 3) for score in before["score"]] == list(range(16))
    assert count_predictions(tmp_path) == {("r1", "production"): 12, ("r2", "production"): 4}
    record = find(tmp_path, before["id"][1])
    assert record is not None
    assert record["request"] == {"carrier": "AA", "distance": 1}
    log(tmp_path, predicted(16, moment=NOON + dt.timedelta(hours=1)))
    for hour in hour_files.hours(tmp_path):
        assert compact(hour)
    assert file_counts(tmp_path) == [1, 1]
    assert read(tmp_path).head(16).equals(before)
    assert count_predictions(tmp_path) == {("r1", "production"): 13, ("r2", "production"): 4}


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
    monkeypatch.setattr(writer, "put", lambda *_, **__: stuck.wait(20))
    kept = PredictionLog(tmp_path, most_waiting_bytes=8 * (100 + REQUEST_BYTES + ROW_BYTES) - 1)
    for number in range(50):
        kept.add(predicted(number), size=100)
    assert kept.lost == 43
    stuck.set()
    kept.close()
    assert (kept.written, kept.lost) == (7, 43)


def test_rows_of_which_the_text_is_kept_take_less_of_the_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(writer, "put", lambda *_, **__: stuck.wait(20))
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
from ml_assets.serving.log.writer import PredictionLog
from tests.support.logged import predicted
kept = PredictionLog(Path(sys.argv[1]), flush_seconds=0.002)
print("ready", flush=True)
number = 0
while True:
    kept.add(predicted(number))
    print(number, kept.written, flush=True)
    number += 1
    time.sleep(0.0002)
"""


@pytest.mark.long
def test_a_kill_leaves_whole_files_and_all_that_was_flushed(tmp_path: Path) -> None:
    for turn in range(3):
        folder = tmp_path / str(turn)
        with subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            messages = ["0", "0"]
            while int(messages[1]) < 150 + 37 * turn:
                messages = child.stdout.readline().split()
            child.kill()
            rest = [line.split() for line in child.stdout.read().splitlines()]
        added, written = map(int, next((words for words in reversed(rest) if len(words) == 2), messages))
        numbers = sorted(round(score * 3) for score in read(folder)["score"])
        assert numbers == list(range(len(numbers)))
        assert written <= len(numbers) <= added + 2
        assert compact(hour(folder))
        assert sorted(round(score * 3) for score in read(folder)["score"]) == numbers
