"""What `ml-assets new` does not draft, and says with the next command; and that it writes over nothing."""

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from ml_assets.cli import cli
from ml_assets.errors import MlAssetsError
from ml_assets.services.new_product import drafting
from tests.support.drafted_tables import tables


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of churn."""
    return tables(3)[0].file(tmp_path_factory.mktemp("source"))


def new(folder: Path, *arguments: str) -> Result:
    environ = {"ML_ASSETS_HOME": str(folder / "home"), "ML_ASSETS_PRODUCTS": str(folder / "products")}
    return CliRunner().invoke(cli, ["new", *arguments], env=environ)


def refusal(folder: Path, *arguments: str) -> str:
    """The message of a refusal, after which nothing was written."""
    done = new(folder, *arguments)
    assert isinstance(done.exception, MlAssetsError), done.output
    assert not (folder / "products").is_dir() or not [*(folder / "products").iterdir()]
    assert not (folder / "home" / "history").exists()
    return str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label", "churnd"], "--label churnd: there is no such column; did you mean 'churned'?"),
        (["--label", "churned", "--time", "seats"], "--time seats: it holds no moments"),
        (["--label", "churned", "--key", "plan"], "rows repeat it; add a column to it, or leave --key out"),
        (["--label", "churned", "--key", "spent"], "--key spent: spent has missing values"),
        (["--label", "churned", "--task", "regression"], "it is text (no, yes), and a regression needs numbers"),
        (["--label", "churned", "--positive", "perhaps"], "--positive perhaps: churned has no such value; it has no, yes"),
        (["--label", "plan", "--task", "binary"], "say which value is the yes, and all others are the no: --positive 'pro'"),
        (["--label", "seats", "--task", "binary"], "--task binary: seats has"),
        (["--label", "churned", "--task", "multiclass"], "--task multiclass: churned has 2 values (no, yes); allowed: 3 to 20"),
        (["--label", "spent", "--task", "multiclass"], "--task multiclass: spent holds"),
        (["--label", "churned", "--after", "sets"], "--after sets: there is no such column; did you mean 'seats'?"),
        (["--label", "churned", "--query", "select 1"], "--query asks one database"),
        (["--label", "churned", "--group", "churned"], "--group churned: that is --label already"),
        (["--label", "churned", "--after", "at"], "--after at: that is the time already"),
        (["--label", "churned", "--after", "plan", "--known", "plan"], "--after plan: another option needs it"),
        (["--label", "churned", "--time-format", "%d %q"], "--time-format: '%d %q' is not a format of a date or time"),
        (["--label", "churned", "--every", "year"], "1 whole delivery in a row by year; at least 4 are needed"),
    ],
)
def test_what_cannot_be_drafted_as_asked_is_refused_by_name(
    arguments: list[str], message: str, source: Path, tmp_path: Path
) -> None:
    assert message in refusal(tmp_path, "shop", str(source), *arguments)


def test_a_name_that_no_product_can_have_is_refused(source: Path, tmp_path: Path) -> None:
    assert "'My shop' is not a name of a product" in refusal(tmp_path, "My shop", str(source), "--label", "churned")


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "there is no such file or folder" in refusal(tmp_path, "shop", str(tmp_path / "none.csv"), "--label", "a")


def test_files_with_other_columns_are_refused_by_name(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.csv").write_bytes(source.read_bytes())
    pl.read_csv(source).drop("seats").write_csv(folder / "b.csv")
    assert "b.csv has other columns than" in refusal(tmp_path, "shop", str(folder), "--label", "churned")


def test_a_day_that_may_be_a_month_is_asked_about(tmp_path: Path) -> None:
    days = [f"{1 + n % 12:02}/{1 + n // 12 % 12:02}/2023" for n in range(300)]
    pl.DataFrame({"day": days, "a": [n % 7 for n in range(300)], "y": [n % 3 for n in range(300)]}).write_csv(tmp_path / "t.csv")
    message = refusal(tmp_path, "shop", str(tmp_path / "t.csv"), "--label", "y")
    assert "may be day/month or month/day" in message
    assert "--time-format '%d/%m/%Y'" in message


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["day", "A", "a", "y"], "columns 'A', 'a' differ only in capital letters"),
        (["day", 'a "b"', "y"], "has a quote or a line break in its name"),
    ],
)
def test_names_that_no_contract_can_have_are_refused(names: list[str], message: str, tmp_path: Path) -> None:
    days = [f"2024-0{1 + n // 28}-{1 + n % 28:02}" for n in range(200)]
    frame = pl.DataFrame({name: days if name == "day" else [n % (3 + len(name)) for n in range(200)] for name in names})
    frame.write_parquet(tmp_path / "t.parquet")
    assert message in refusal(tmp_path, "shop", str(tmp_path / "t.parquet"), "--label", "y")


def test_a_product_is_never_written_over(source: Path, tmp_path: Path) -> None:
    mine = tmp_path / "products" / "shop" / "product.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    done = new(tmp_path, "shop", str(source), "--label", "churned")
    assert "is there already, and nothing is written over" in str(done.exception)
    assert mine.read_text() == "mine"


def test_a_draft_that_breaks_off_leaves_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(drafting, "_publish", full)
    done = new(tmp_path, "shop", str(source), "--label", "churned")
    assert isinstance(done.exception, OSError)
    assert not (tmp_path / "home" / "history" / "shop").exists()
    assert [*(tmp_path / "products").iterdir()] == []


def test_a_history_is_never_written_over(source: Path, tmp_path: Path) -> None:
    (tmp_path / "home" / "history" / "shop").mkdir(parents=True)
    done = new(tmp_path, "shop", str(source), "--label", "churned")
    assert "history/shop is there already" in str(done.exception)
    assert not (tmp_path / "products" / "shop").exists()
