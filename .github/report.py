"""An evaluation report on its way to a job summary and a pull request.

Runs from a checkout alone (standard library, no install). What a pull request's run left behind is untrusted: `vet` copies only
Markdown that can do nothing but be read, and pictures that can do nothing but be seen. Belongs here: what CI does with a finished
report. Does not: making one (ml_assets/cli/review/report.py).
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

MOST_TEXT, MOST_PICTURE, MOST_PICTURES = 50_000, 500_000, 20
"""Characters and bytes; GitHub refuses a comment of more than 65,536 characters."""
PICTURE = re.compile(r"!\[([a-z0-9 ]{1,60})\]\(\./([a-z0-9_]{1,60}\.(?:svg|png))\)")
ACTIVE = re.compile(r"<\s*(?:\w+:)?(script|foreignobject|iframe|image|a|set|animate\w*)\b|<!|\bon\w+\s*=", re.I)
LOADS = re.compile(r"(?:href\s*=\s*[\"']?|url\(\s*[\"']?|@import\s*)(?![\"'#])", re.I)
PNG = b"\x89PNG\r\n\x1a\n"
BREAK = "\u200b"
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


class Refused(Exception):
    """What was left behind is no report."""


def main(argv: list[str]) -> None:
    """vet FROM TO | publish FOLDER | pull-request"""
    match argv:
        case ["vet", source, target]:
            vet(Path(source), Path(target), note=os.environ.get("NOTE", ""))
        case ["publish", folder]:
            sys.stdout.write(publish(Path(folder)))
        case ["pull-request"]:
            sys.stdout.write("".join(f"{name}={value}\n" for name, value in pull_request().items()))
        case _:
            sys.exit(f"usage: report.py {main.__doc__}")


def vet(source: Path, target: Path, *, note: str = "") -> None:
    """Copy report.md, made harmless, and the pictures that it names from an untrusted folder into a new one."""
    text = _read(source / "report.md", MOST_TEXT * 4).decode("utf-8", errors="replace")[:MOST_TEXT]
    target.mkdir(parents=True)
    kept = {}
    for name in dict.fromkeys(name for line in text.splitlines() for _, name in PICTURE.findall(line)):
        if len(kept) < MOST_PICTURES and (content := _picture(source / name)) is not None:
            kept[name] = content
            (target / name).write_bytes(content)
    lines = [_harmless_line(line, set(kept)) for line in text.splitlines()]
    (target / "report.md").write_text("\n".join([*([f"> {note}", ""] if note else []), *lines, ""]), encoding="utf-8")


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


def _harmless_line(line: str, pictures: set[str]) -> str:
    """The line as text: no HTML, link, reference, mention, fence or entity; a picture only when it was kept."""
    parts, end = [], 0
    for found in PICTURE.finditer(line):
        kept = found[0] if found[2] in pictures else f"({found[1]}: not shown)"
        parts += [_harmless(line[end : found.start()]), kept]
        end = found.end()
    return "".join([*parts, _harmless(line[end:])])


def _harmless(text: str) -> str:
    """Break with a zero-width space what GitHub would act on. It shows the same, in code spans too."""
    text = "".join(c for c in text if c == "\t" or c.isprintable())
    text = re.sub(r"([@<\]&]|#(?=\w)|(?:https?|ftp|xmpp|mailto):|www|GH-)", rf"\1{BREAK}", text, flags=re.I)
    return re.sub(r"``(?=`)|~~(?=~)", rf"\g<0>{BREAK}", text)


def _picture(path: Path) -> bytes | None:
    """The bytes of a small PNG, or of an SVG that neither runs nor loads anything; otherwise None."""
    try:
        content = _read(path, MOST_PICTURE)
    except Refused:
        return None
    if path.suffix == ".png":
        return content if content.startswith(PNG) else None
    drawn = content.decode("utf-8", errors="replace")
    is_svg = drawn.lstrip().startswith(("<svg", "<?xml")) and "<svg" in drawn and "\ufffd" not in drawn and "\0" not in drawn
    return content if is_svg and not ACTIVE.search(drawn) and not LOADS.search(drawn) else None


def _read(path: Path, most: int) -> bytes:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > most:
        raise Refused(f"{path.name} is not there, no plain file, or has more than {most} bytes")
    return path.read_bytes()


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
