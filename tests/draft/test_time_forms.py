"""Times as programs and people write them: `ml-assets new` reads them, or says which column it could not read."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from ml_assets.core.draft.draft import Draft
from ml_assets.core.draft.drafting import drafted
from ml_assets.core.draft.request import DraftRefused, DraftRequest
from ml_assets.services.new_product.sources import read_sources

TIMES = [datetime(2024, 1, 1) + timedelta(hours=4 * n, minutes=n % 60) for n in range(400)]
READ = {
    "%d.%m.%Y %H:%M": "German", "%d.%m.%y %H:%M": "German, two digits", "%m/%d/%Y %I:%M %p": "American", "%m/%d/%y": "short",
    "%m/%d/%Y, %I:%M:%S %p": "of a browser", "%d/%m/%Y %H:%M:%S": "British", "%b %d, %Y": "words", "%d %B %Y": "long words",
    "%d-%b-%y": "Oracle", "%d%b%Y:%H:%M:%S": "SAS", "%a, %d %b %Y %H:%M:%S GMT": "of e-mail", "%Y%m%d": "digits",
    "%Y%m%d%H%M%S": "all digits", "%Y/%m/%d %H:%M": "Japanese", "%Y.%m.%d": "Hungarian", "%Y-%m-%d %I:%M %p": "mixed",
    "%Y-%m-%dT%H:%M:%SZ": "iso", "%Y-%m-%d %H:%M:%S.250": "with fractions",
}  # fmt: skip


def draft_of(folder: Path, times: list[str] | list[int], **options: object) -> Draft:
    rows = range(len(times))
    pl.DataFrame({"when": times, "x": [n % 7 for n in rows], "bad": [n % 3 % 2 for n in rows]}).write_csv(folder / "rows.csv")
    source = read_sources([str(folder / "rows.csv")], query=None)
    return drafted(source.frame, source.spec, DraftRequest(name="rows", label="bad", **options), table="rows")  # type: ignore[arg-type]


@pytest.mark.parametrize("form", READ)
def test_a_time_is_read_however_it_is_written(form: str, tmp_path: Path) -> None:
    draft = draft_of(tmp_path, [time.strftime(form) for time in TIMES])
    assert draft.roles.time is not None
    days = [time.date() for time in draft.roles.time.values.to_list()]
    assert days == [time.date() for time in TIMES]
    assert draft.history.every == "week"


UNREAD: dict[str, tuple[Callable[[datetime], str | int], str]] = {
    "weeks": (
        lambda time: time.strftime("%G-W%V"),
        "when seems to hold times in a form that is not known here, such as '2024-W01'",
    ),
    "a comma": (lambda time: time.strftime("%Y-%m-%d %H:%M:%S,250"), "when seems to hold times in a form that is not known here"),
    "nanoseconds": (lambda time: f"{time.isoformat()}.123456789", "when holds times finer than microseconds, such as"),
    "seconds": (lambda time: int(time.timestamp()), "when may count s since 1970; if so: --time when --time-format epoch_s"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_column_that_seems_to_hold_times_is_named_where_no_time_was_read(name: str, tmp_path: Path) -> None:
    written, note = UNREAD[name]
    draft = draft_of(tmp_path, [written(time) for time in TIMES])  # type: ignore[arg-type]
    assert draft.roles.time is None
    assert any(said.startswith(note) for said in draft.notes), draft.notes
    assert draft_of(tmp_path, [written(time) for time in TIMES], every="delivery").notes == ()  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%d-%m-%Y %H:%M", "%d/%m/%y"])
def test_day_and_month_that_cannot_be_told_apart_are_asked_for(form: str, tmp_path: Path) -> None:
    with pytest.raises(DraftRefused, match="may be day/month or month/day, and every value reads as both; say which"):
        draft_of(tmp_path, [datetime(2024, 1 + n % 12, 1 + n % 11).strftime(form) for n in range(400)])


def test_a_code_that_reads_as_a_date_two_ways_is_no_hindrance_where_another_column_is_the_time(tmp_path: Path) -> None:
    codes = [f"{1 + n % 12:02}-{1 + n % 11:02}-{n % 9:02}" for n in range(400)]
    rows = {"when": TIMES, "size": codes, "bad": [n % 3 % 2 for n in range(400)]}
    for form in ("%Y-%m-%dT%H:%M", "%Y%m%d"):
        pl.DataFrame(rows).with_columns(pl.col("when").dt.strftime(form)).write_csv(tmp_path / "rows.csv")
        source = read_sources([str(tmp_path / "rows.csv")], query=None)
        draft = drafted(source.frame, source.spec, DraftRequest(name="rows", label="bad"), table="rows")
        assert draft.roles.time is not None
        assert draft.roles.time.name == "when"
        assert draft.columns["size"].kind == "text"
