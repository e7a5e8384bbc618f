"""What is about a span of time is read from the files that have such questions, whenever they were asked."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ml_assets.serving.log import question_times
from ml_assets.serving.log.hour_files import compact, hour_folder
from ml_assets.serving.log.question_times import QuestionTimes
from ml_assets.serving.log.reader import PredictionLogError, read, read_about
from tests.support.logged import NOON, log, predicted

MARCH = (dt.datetime(2024, 3, 1), dt.datetime(2024, 4, 1))
MARCH_5 = "2024-03-05T10:00:00"


def log_of(folder: Path, *moments: Any, hour: int = 0, first: int = 0) -> Path:
    """One flush of questions about these moments, asked at an hour long after them."""
    numbers = range(first, first + len(moments))
    asked_at = NOON + dt.timedelta(hours=hour)
    return log(folder, predicted(*numbers, moment=asked_at, request=lambda number: {"at": moments[number - first], "n": number}))


def about(folder: Path, cache: Path, span: tuple[dt.datetime, dt.datetime] = MARCH) -> list[str]:
    return read_about(QuestionTimes(folder / "log", "at", *span, cache))["request"].to_list()


def test_questions_about_a_month_are_those_asked_at_any_time(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log_of(folder, MARCH_5, "2024-05-01T00:00:00")
    log_of(folder, "2024-03-31T23:30:00-02:00", "2024-05-20T00:00:00+02:00", hour=3, first=2)
    log_of(folder, "2025-03-05T10:00:00", hour=5, first=4)
    assert [text[7:26] for text in about(tmp_path, tmp_path)] == ["2024-03-05T10:00:00", "2024-03-31T23:30:00"]
    log_of(folder, "2024-03-07T00:00:00Z", hour=7, first=5)
    assert len(about(tmp_path, tmp_path)) == 3, "a file that came since is known too"
    for cached in (tmp_path / "question-times").iterdir():
        cached.unlink()
    assert len(about(tmp_path, tmp_path)) == 3, "the cache may be emptied"


def test_only_files_that_have_such_questions_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files beyond it are not opened, once it is known what they hold: one that is gone bad is not noticed."""
    march, may = log_of(tmp_path / "log", MARCH_5), log_of(tmp_path / "log", "2024-05-05T10:00:00", hour=4, first=1)
    times = QuestionTimes(tmp_path / "log", "at", *MARCH, tmp_path)
    assert times.chosen([march, may]) == {march}
    may.write_bytes(b"no Parquet")
    assert len(about(tmp_path, tmp_path)) == 1
    march.write_bytes(b"no Parquet")
    with pytest.raises(PredictionLogError, match="cannot be read"):
        about(tmp_path, tmp_path)


@pytest.mark.parametrize("odd", ["soon", None, 5, "20240305"])
def test_a_file_with_a_moment_that_cannot_be_read_is_always_read(tmp_path: Path, odd: Any) -> None:
    log_of(tmp_path / "log", odd, "2025-01-01T00:00:00")
    requests = about(tmp_path, tmp_path)
    assert len(requests) == 1, "the question itself is left to whoever knows its field"


def test_what_a_compaction_joins_is_read_once(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    for first in range(4):
        log_of(folder, MARCH_5, first=first)
    before = about(tmp_path, tmp_path)
    assert compact(hour_folder(folder, read(folder)["id"][0]))
    assert about(tmp_path, tmp_path) == before
    assert len(before) == 4
    kept: Sequence[Path] = list((tmp_path / "question-times").iterdir())
    assert kept[0].read_text().count(".parquet") == 1, "files that are gone are forgotten"
    assert dt.timedelta(days=1) == question_times.MARGIN
