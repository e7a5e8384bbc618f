"""The pictures of docs/operations.md, of a small product whose days end differently: `python -m tests.support.run_pictures`.
Others, to be looked at, go to build/screenshots.

A day without a candidate, one that is promoted, one that is withheld, a delivery that is refused, a run that is killed. The
pictures: Dagster's list of runs, the pages of the last three, the status page, and the message that Slack would show.
"""

import html
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.slack_message import slack_message
from ml_assets.services.automation.attempts import settle
from ml_assets.services.automation.dead_runs import end_dead_runs
from ml_assets.services.automation.product_notices import causes
from resources.dagster_instance import open_instance
from resources.ledger import attempts
from resources.settings import ROOT, settings
from tests.support.browser import SCREENSHOTS, browser, eventually, webserver
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, deliver, shop
from tests.support.shared import share_parsed_projects

IMAGES = ROOT / "docs" / "images"
FIRST, SECOND, THIRD, FOURTH = DAYS
FIFTH = "2024-03-05"
WIDTH = 1280
MARK = re.compile(r"^\W+ ")
"""The coloured mark of a header, which fonts of a server may lack."""
FRAME = """<!doctype html><meta charset="utf-8"><style>
body {{ font: 15px/1.46 "DejaVu Sans", sans-serif; color: #1d1c1d; background: #fff; margin: 0;
  padding: 16px 24px; width: 720px; }}
article {{ border-left: 4px solid #ddd; padding: 2px 0 2px 14px; margin: 0 0 18px; }}
h3 {{ font-size: 17px; margin: 0 0 6px; }} p {{ margin: 4px 0; }}
code {{ background: #f6f6f6; border: 1px solid #ddd; border-radius: 3px; color: #c01343; padding: 1px 4px; font-size: 12.5px; }}
.fields {{ display: grid; grid-template-columns: 1fr 1fr; gap: 6px 20px; }} .context {{ font-size: 12.5px; color: #616061; }}
</style>{messages}"""
"""A page in the look of Slack: how a message is laid out is Slack's to say, what it says is ours."""


def main() -> None:
    """Run the days, and draw."""
    with tempfile.TemporaryDirectory() as scratch:
        share_parsed_projects(Path(scratch) / "parsed-projects")
        home = shop(Path(scratch) / "home", (r"\nevaluation:", "\nlanding: {settle: 0}\nretries: {most: 0}\nevaluation:"))
        environ = {**os.environ, "ML_ASSETS_HOME": str(home.folder), "ML_ASSETS_PRODUCTS": str(home.declared.parent)}
        space = Workspace(settings(environ))
        environ["DAGSTER_HOME"] = str(space.settings.dagster_home)
        runs = run_days(home, space, environ)
        page = Path(scratch) / "status.html"
        _ml_assets(environ, "status", "shop", "--html", str(page))
        notices = causes(space.lineage, space.landing, space.settings, home.product)
        slack = Path(scratch) / "slack.html"
        slack.write_text(FRAME.format(messages="".join(slack_as_html(slack_message([notice])) for notice in notices)))
        with webserver(environ, Path(scratch) / "web.log") as url, browser(Path(scratch) / "browser") as driver:
            _take(driver, page.as_uri(), "status")
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            _take(driver, slack.as_uri(), "slack", width=780, folder=SCREENSHOTS)
            _take(driver, f"{url}/runs", "runs", width=1700, waits_for="shop_path", height=760)
            for name, run in runs.items():
                page_of_run = f"{url}/runs/{run}"
                _take(driver, page_of_run, f"run-{name}", waits_for="shop_path", height=760, folder=SCREENSHOTS)
        space.ledger.close()


def run_days(home: Home, space: Workspace, environ: Mapping[str, str]) -> dict[str, str]:
    """Take the days down the path; the runs of those that were not promoted, by what came of them."""
    deliver(home, FIRST, SECOND)
    _ml_assets(environ, "run", "shop", "--from", FIRST, "--to", SECOND)
    home.edit("product.yaml", (r"roc_auc\(candidate\) > 0.05", "roc_auc(candidate) > 0.97"))
    deliver(home, THIRD)
    _ml_assets(environ, "run", "shop", "--partition", THIRD)
    deliver(home, FOURTH, amount="free")
    _ml_assets(environ, "run", "shop", "--partition", FOURTH)
    deliver(home, FIFTH)
    _killed(space, environ)
    with open_instance(space.settings) as instance:
        end_dead_runs(space.ledger, instance, home.product)
        settle(space.lineage, instance, home.product)
    newest = attempts.newest(space.ledger, "shop")
    return {"withheld": newest[THIRD].record.run, "refused": newest[FOURTH].record.run, "broken": newest[FIFTH].record.run}


def slack_as_html(message: Mapping[str, Any]) -> str:
    """A message's blocks as HTML."""
    return f"<article>{''.join(map(_block, message['blocks']))}</article>"


def _block(block: Mapping[str, Any]) -> str:
    if block["type"] == "header":
        return f"<h3>{MARK.sub('● ', _text(block['text']))}</h3>"
    if block["type"] == "context":
        return f"<p class='context'>{' '.join(map(_text, block['elements']))}</p>"
    fields = "".join(f"<div>{_text(field)}</div>" for field in block.get("fields", ()))
    return f"<div class='fields'>{fields}</div>" if fields else f"<p>{_text(block['text'])}</p>"


def _text(part: Mapping[str, str]) -> str:
    if part["type"] == "plain_text":
        return html.escape(part["text"]).replace("\n", "<br>")
    text = re.sub(r"<([^|>]+)\|([^>]+)>", r"<a href='\1'>\2</a>", part["text"])
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", re.sub(r"\*([^*]+)\*", r"<b>\1</b>", text)).replace("\n", "<br>")


def _ml_assets(environ: Mapping[str, str], *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "ml_assets", *arguments], env=environ, check=False, stdout=subprocess.DEVNULL)


def _killed(space: Workspace, environ: Mapping[str, str]) -> None:
    """Run a day, and SIGKILL its process once it has begun to read."""
    process = subprocess.Popen([sys.executable, "-m", "ml_assets", "run", "shop", "--partition", FIFTH], env=environ)
    eventually(lambda: attempts.newest(space.ledger, "shop", [FIFTH]), what="the run of the fifth day", seconds=300)
    process.send_signal(signal.SIGKILL)
    process.wait()


def _take(
    driver: Chrome, url: str, name: str, *, width: int = WIDTH, height: int = 0, waits_for: str = "", folder: Path = IMAGES
) -> None:
    driver.set_window_size(width, height or 800)
    driver.get(url)
    if waits_for:
        eventually(lambda: waits_for in driver.find_element(By.TAG_NAME, "body").text, what=f"{waits_for} on {url}", seconds=90)
        time.sleep(4)  # the rest of a page is drawn bit by bit
    else:
        driver.set_window_size(width, int(driver.execute_script("return document.documentElement.scrollHeight")) + 160)
    assert driver.save_screenshot(str(folder / f"{name}.png"))


if __name__ == "__main__":
    main()
