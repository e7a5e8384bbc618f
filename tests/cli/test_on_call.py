"""`ml-assets status`: one screen for a person on call."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.core.notices import Notice
from ml_assets.services.automation.on_call import OnCall
from tests.support.homes.path_homes import Home, blank_pages
from tests.support.homes.shop import DAYS, deliver, shop

FIRST, SECOND, THIRD, _ = DAYS


def ml_assets(home: Home, *arguments: str) -> str:
    environ = {"ML_ASSETS_HOME": str(home.folder), "ML_ASSETS_PRODUCTS": str(home.declared.parent), "DAGSTER_HOME": ""}
    with blank_pages():
        return CliRunner().invoke(cli, arguments, env=environ).output


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two good days, of which the second has a release, and one that is refused."""
    home = shop(tmp_path_factory.mktemp("status"))
    deliver(home, FIRST, SECOND)
    deliver(home, THIRD, amount="free")
    ml_assets(home, "run", "shop", "--from", FIRST, "--to", THIRD)
    return home


def test_it_says_what_serves_and_why_what_is_wrong_and_what_to_do(home: Home) -> None:
    release = home.get("release", SECOND).facts["release"]
    lines = ml_assets(home, "status", "shop").splitlines()
    facts = {line[:10].strip(): line[11:] for line in lines[2:] if line[10:11] == " "}
    assert lines[0] == "shop: Will the customer send this order back?"
    assert facts["serves"].startswith(f"release {release} in production since ")
    assert f"ACCEPT as of {SECOND}" in facts["serves"]
    assert facts["newest"].startswith(f"{THIRD}: refused: ")
    assert facts["trouble"].startswith(f"[error] shop {THIRD}: the delivery is refused, and nothing of it is used: ")
    assert facts["next"]
    assert [line for line in lines if line.startswith(SECOND) and release in line]
    now = json.loads(ml_assets(home, "status", "shop", "--json"))["now"]
    assert [notice["event"] for notice in now["troubles"]] == ["data_refused"]
    assert any(f"--partition {THIRD}" in command for command in now["commands"])


def test_it_says_of_an_empty_home_that_nothing_was_read(tmp_path: Path) -> None:
    lines = ml_assets(shop(tmp_path), "status", "shop").splitlines()
    assert lines[2:6] == [
        "serves     no release serves in production",
        "newest     no partition was read yet",
        "trouble    none",
        "stale      nothing",
    ]


def test_the_page_shows_the_same_and_every_partition(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "build" / "status.html"
    printed = ml_assets(home, "status", "shop", "--html", str(file))
    html, release = file.read_text(), home.get("release", SECOND).facts["release"]
    assert f"production: {release}" in printed
    assert f"release {release} in production since " in html
    assert f"shop {THIRD}: the delivery is refused, and nothing of it is used: " in html
    assert all(f"<td>{day}</td>" in html for day in (FIRST, SECOND, THIRD))
    assert f"<td>{release} (promoted)</td>" in html
    assert 'aria-label="roc_auc on unseen rows"' in html
    assert f"{SECOND}: candidate 0." in html


def test_trouble_is_told_as_json_too() -> None:
    at = "2024-03-02T00:00:00+00:00"
    about: dict[str, str] = {"product": "shop", "partition": "2024-03-02", "title": "it broke", "why": "so", "serves": ""}
    notice = Notice(id="a" * 24, event="broken", severity="error", command="", link="", at=at, **about)  # type: ignore[arg-type]
    screen = OnCall("", "", "", "", [notice], "", [])
    assert json.loads(json.dumps(screen.to_dict()))["troubles"][0]["title"] == "it broke"
