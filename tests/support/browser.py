"""Debian's Chromium, headless, and the Dagster webserver it looks at."""

import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from resources.settings import ROOT
from tests.support.command_line import free_port

SCREENSHOTS = ROOT / "build" / "screenshots"
INSTALL = "apt-get install --no-install-recommends chromium chromium-driver"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--window-size=1500,2000",
)  # fmt: skip
Found = TypeVar("Found")


@contextmanager
def browser(profile: Path) -> Iterator[Chrome]:
    """A browser with a new profile; an AssertionError with the command to install it where there is none."""
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in programs.items() if path is None]
    assert not missing, f"not installed: {', '.join(missing)}. Install with: {INSTALL}"
    options = Options()
    options.binary_location = str(programs["chromium"])
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = Chrome(options=options, service=Service(str(programs["chromedriver"])))
    try:
        yield driver
    finally:
        driver.quit()


def keep_screenshot(driver: Chrome, name: str) -> Path:
    """The page as it is, under build/screenshots."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    assert driver.save_screenshot(str(path))
    return path


def texts(driver: Chrome) -> set[str]:
    """The lines of text that the page shows."""
    return {line.strip() for line in driver.find_element(By.TAG_NAME, "body").text.splitlines()}


def eventually(look: Callable[[], Found | None], *, what: str, seconds: float = 30) -> Found:
    """What `look` finds, once it does; pages are drawn while one looks, so errors of the driver are not the end."""
    until = time.monotonic() + seconds
    while True:
        try:
            element = look()
        except (WebDriverException, urllib.error.URLError, ConnectionError):
            element = None
        if element:
            return element
        assert time.monotonic() < until, f"{what}: not found in {seconds} s"
        time.sleep(0.2)


@contextmanager
def webserver(environ: Mapping[str, str], log: Path, host: str = "127.0.0.1") -> Iterator[str]:
    """Dagster's webserver on the home that the environment names; its URL."""
    port = free_port()
    argv = [sys.executable, "-m", "dagster_webserver", "-w", str(ROOT / "workspace.yaml"), "-h", host, "-p", str(port)]
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as file:
        process = subprocess.Popen(argv, env=dict(environ), stdout=file, stderr=file)
    try:
        eventually(lambda: responds(f"{url}/server_info"), what=f"the webserver ({log})", seconds=60)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def responds(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=5) as response:
        return bool(response.status == 200)
