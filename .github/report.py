"""What CI does with a finished report: its plots published for the job summary, and the pull request that a run belongs to.

Runs from a checkout alone (standard library, no install). Does not belong here: making a report, or drawing one that a pull
request's run left behind (`ml-assets draw`).
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

PICTURE = re.compile(r"!\[([a-z0-9 ]{1,60})\]\(\./([a-z0-9_]{1,60}\.(?:svg|png))\)")
JUDGES = (
    ".github/",
    "Makefile",
    "checks/",
    "ml_assets/builders/evaluation.py",
    "ml_assets/builders/release.py",
    "ml_assets/core/",
    "ml_assets/services/claims.py",
    "ml_assets/services/comparisons.py",
    "ml_assets/services/evidence.py",
    "ml_assets/services/latency_evidence.py",
    "ml_assets/services/proofs/",
    "ml_assets/services/release_status.py",
    "ml_assets/spec/",
    "ml_assets/stages/endpoint.py",
    "ml_assets/stages/evaluation.py",
    "ml_assets/stages/release.py",
    "resources/endpoints/",
    "resources/ledger/",
    "resources/lineage.py",
    "product.yaml",
)
"""Paths, by start or end, whose change can move the verdict itself."""


def main(argv: list[str]) -> None:
    """publish FOLDER | pull-request"""
    match argv:
        case ["publish", folder]:
            sys.stdout.write(publish(Path(folder)))
        case ["pull-request"]:
            sys.stdout.write("".join(f"{name}={value}\n" for name, value in pull_request().items()))
        case _:
            sys.exit(f"usage: report.py {main.__doc__}")


def publish(folder: Path) -> str:
    """The report with its pictures published through CML, or named alone where that cannot be done."""
    text = (folder / "report.md").read_text(encoding="utf-8")
    server = os.environ.get("REPORT_PICTURES", "")

    def shown(found: re.Match[str]) -> str:
        address = None if server == "none" else _published(folder / found[2], server)
        return f"![{found[1]}]({address})" if address else f"({found[1]}: {found[2]} in the run's artifact)"

    return PICTURE.sub(shown, text)


def pull_request() -> dict[str, str]:
    """The open pull request whose head is exactly the commit that ran, asked of GitHub; and which judges it changes."""
    environ = os.environ
    head = f"{environ['HEAD_OWNER']}:{environ['HEAD_BRANCH']}"
    found = [p for p in _get("pulls", state="open", head=head) if p["head"]["sha"] == environ["HEAD_SHA"]]
    if len(found) != 1:
        return {"number": "", "note": ""}
    number = int(found[0]["number"])
    touched = sorted({judge for page in _pages(f"pulls/{number}/files") for judge in _judges(page)})
    told = f"This pull request changes what judges it: {', '.join(f'`{judge}`' for judge in touched)}." if touched else ""
    return {"number": str(number), "note": told}


def _published(path: Path, server: str) -> str | None:
    repository = f"{os.environ['GITHUB_SERVER_URL']}/{os.environ['GITHUB_REPOSITORY']}"
    command = ["cml", "asset", "publish", f"--repo={repository}", *([f"--url={server}"] if server else []), str(path)]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"::warning::{path.name} was not published: {type(error).__name__}\n")
        return None
    return told if re.fullmatch(r"https?://[\w.:-]+/[\w./?=&%+~-]*", told) else None


def _judges(files: list[dict[str, Any]]) -> Iterator[str]:
    for file in files:
        names = [file["filename"], file.get("previous_filename", "")]
        yield from (judge for judge in JUDGES for name in names if name.startswith(judge) or name.endswith(f"/{judge}"))


def _pages(path: str) -> Iterator[list[dict[str, Any]]]:
    for page in range(1, 31):
        files = _get(path, per_page="100", page=str(page))
        yield files
        if len(files) < 100:
            return


def _get(path: str, **query: str) -> list[dict[str, Any]]:
    environ = os.environ
    address = f"{environ['GITHUB_API_URL']}/repos/{environ['GITHUB_REPOSITORY']}/{path}?{urlencode(query)}"
    headers = {"Accept": "application/vnd.github+json", "Authorization": f"Bearer {environ['GITHUB_TOKEN']}"}
    with urlopen(Request(address, headers=headers), timeout=30) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
