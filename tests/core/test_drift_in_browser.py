"""Evidently's page of drift as a browser shows it: what the verdict says, in a frame of any width."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from selenium.webdriver.common.by import By

from ml_assets.core.evaluation.evidently_report import ColumnShift, drift_report
from tests.support.browser import browser, eventually, texts

pytestmark = pytest.mark.long
NARROW = 700
OVERFLOW = "return arguments[0].scrollWidth - arguments[0].clientWidth"


def side(seed: int, shift: float) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame({"amount": random.normal(shift, 1, 200), "hour": random.normal(3, 1, 200)})


def test_evidently_shows_the_verdict_and_can_be_scrolled_where_its_tables_are_wider_than_the_frame(tmp_path: Path) -> None:
    shifts = {"amount": ColumnShift(0.81, 0.02, exceeds=True), "hour": ColumnShift(0.6, 0.7, exceeds=False)}
    numeric, verdict = ["amount", "hour"], "alarm: amount"
    page = drift_report(side(0, 3), side(1, 5), numeric=numeric, categorical=[], title="Drift", verdict=verdict, moved=shifts)
    file = tmp_path / "evidently.html"
    file.write_bytes(page)
    with browser(tmp_path / "profile") as driver:
        driver.set_window_size(NARROW, 1200)
        driver.get(file.as_uri())
        eventually(lambda: "Drift is detected for 50.0% of columns (1 out of 2)." in texts(driver), what="Evidently's summary")
        assert {verdict, "Dataset Drift is detected. Dataset drift detection threshold is 0.45"} <= texts(driver)
        cells = [cell.text for cell in driver.find_elements(By.TAG_NAME, "td")]
        states = {name: cells[cells.index(name) + 4 :][0] for name in numeric}
        assert states == {"amount": "Detected", "hour": "Not Detected"}
        outer = driver.find_element(By.CSS_SELECTOR, ".MuiPaper-root")
        assert driver.execute_script(OVERFLOW, outer) > 0, "too wide for the frame"
        assert outer.value_of_css_property("overflow-x") == "auto"
