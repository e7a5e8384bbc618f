"""What a person sees: the Dagster UI in a real browser, on a small real home."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.support import browser
from tests.support.browser import eventually, keep_screenshot, texts
from tests.support.homes.small_home import DAYS, kept_environment, small_home

pytestmark = pytest.mark.long
DATA = {"raw", "reference", "dataset", "quarantine", "features"}
STAGES = DATA | {"model", "evaluation", "report", "release", "tracking", "monitoring", "predictions"}
LOADED = "return arguments[0].complete && arguments[0].naturalWidth > 100"


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    days = small_home(tmp_path_factory, tmp_path_factory.mktemp("days"))
    folder = tmp_path_factory.mktemp("webserver")
    with browser.webserver(kept_environment(days, days.home), folder / "webserver.log") as url:
        yield url


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser.browser(tmp_path_factory.mktemp("profile")) as chrome:
        yield chrome


def test_the_graph_shows_every_stage_of_flights(ui: str, driver: Chrome) -> None:
    driver.get(f"{ui}/locations/ml_assets/asset-groups/flights/")
    eventually(lambda: STAGES | {"staging", "production"} <= texts(driver), what="the graph's nodes")
    assert keep_screenshot(driver, "graph").stat().st_size > 10_000


def test_an_evaluation_shows_its_verdict_and_curves_without_a_click(ui: str, driver: Chrome) -> None:
    driver.get(f"{ui}/assets/flights/evaluation?view=overview")
    roc = eventually(lambda: _plots(driver).get("roc"), what="the ROC curve in the metadata table")
    assert eventually(lambda: driver.execute_script(LOADED, roc), what="the picture of the ROC curve")
    assert {"roc", "precision_recall", "calibration", "score_distribution"} <= _plots(driver).keys()
    assert {"ACCEPT", DAYS[-1]} <= texts(driver)
    assert keep_screenshot(driver, "evaluation").stat().st_size > 10_000


def test_full_plots_of_a_report_open_in_a_dialog(ui: str, driver: Chrome) -> None:
    driver.get(f"{ui}/assets/flights/report?view=overview")
    buttons = eventually(lambda: driver.find_elements(By.XPATH, "//*[text()='[Show Markdown]']"), what="the metadata table")
    shown = len(driver.find_elements(By.CSS_SELECTOR, "img"))
    buttons[-1].click()
    more = eventually(lambda: driver.find_elements(By.CSS_SELECTOR, "img")[shown:], what="the plots in the dialog")
    assert len(more) == 9
    assert all(eventually(lambda picture=picture: driver.execute_script(LOADED, picture), what="a full plot") for picture in more)
    keep_screenshot(driver, "plots")


def test_the_checks_of_an_evaluation_are_green(ui: str, driver: Chrome) -> None:
    driver.get(f"{ui}/assets/flights/evaluation?view=checks")
    eventually(lambda: {"gates_passed", "not_worse", "floor", "Passed"} <= texts(driver), what="the gates")
    keep_screenshot(driver, "checks")


def _plots(driver: Chrome) -> dict[str, WebElement]:
    """The pictures on the page by their names."""
    images = driver.find_elements(By.CSS_SELECTOR, "img[src^='data:image/svg']")
    return {str(image.get_attribute("alt")): image for image in images}
