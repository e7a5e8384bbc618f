"""The pictures of docs/your-own-data.md: `python -m tests.support.tutorial_pictures`."""

import tempfile
from importlib.util import find_spec
from pathlib import Path

from click.testing import CliRunner

from ml_assets.cli import cli
from resources.settings import ROOT
from tests.support.browser import browser

WIDTH, MARGIN = 1280, 200


def packaged(package: str, *parts: str) -> Path:
    """A file of an installed package."""
    spec = find_spec(package)
    assert spec
    assert spec.origin
    return Path(spec.origin).parent.joinpath(*parts)


def drafted_profile(folder: Path) -> Path:
    """The profile page of the weather of Seattle."""
    environ = {"ML_ASSETS_HOME": str(folder / "home"), "ML_ASSETS_PRODUCTS": str(folder / "products")}
    source = packaged("vega_datasets", "_data", "seattle-weather.csv")
    arguments = ["new", "sunny", str(source), "--label", "weather", "--positive", "sun"]
    done = CliRunner().invoke(cli, arguments, env=environ, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder / "home" / "history" / "sunny" / "profile.html"


def main() -> None:
    """Draw them."""
    with tempfile.TemporaryDirectory() as scratch, browser(Path(scratch) / "browser") as driver:
        driver.set_window_size(WIDTH, MARGIN)
        driver.get(drafted_profile(Path(scratch)).as_uri())
        height = int(driver.execute_script("return document.documentElement.scrollHeight"))
        driver.set_window_size(WIDTH, height + MARGIN - 190)
        assert driver.save_screenshot(str(ROOT / "docs" / "images" / "profile.png"))


if __name__ == "__main__":
    main()
