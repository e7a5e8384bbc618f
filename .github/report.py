"""An evaluation's plots, published for the job summary. Runs from a checkout alone (standard library, no install)."""

import os
import re
import subprocess
import sys
from pathlib import Path

PICTURE = re.compile(r"!\[([a-z0-9 ]{1,60})\]\(\./([a-z0-9_]{1,60}\.(?:svg|png))\)")


def main(argv: list[str]) -> None:
    """publish FOLDER"""
    match argv:
        case ["publish", folder]:
            sys.stdout.write(publish(Path(folder)))
        case _:
            sys.exit(f"usage: report.py {main.__doc__}")


def publish(folder: Path) -> str:
    """The report with its pictures published through CML, or named alone where that cannot be done."""
    text = (folder / "report.md").read_text(encoding="utf-8")
    server = os.environ.get("REPORT_PICTURES", "")

    def shown(picture: re.Match[str]) -> str:
        address = None if server == "none" else _published(folder / picture[2], server)
        return f"![{picture[1]}]({address})" if address else f"({picture[1]}: {picture[2]} in the run's artifact)"

    return PICTURE.sub(shown, text)


def _published(path: Path, server: str) -> str | None:
    repository = f"{os.environ['GITHUB_SERVER_URL']}/{os.environ['GITHUB_REPOSITORY']}"
    command = ["cml", "asset", "publish", f"--repo={repository}", *([f"--url={server}"] if server else []), str(path)]
    try:
        address = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"::warning::{path.name} was not published: {type(error).__name__}\n")
        return None
    return address if re.fullmatch(r"https?://[\w.:-]+/[\w./?=&%+~-]*", address) else None


if __name__ == "__main__":
    main(sys.argv[1:])
