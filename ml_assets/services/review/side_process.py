"""One side of a comparison as processes of its own: its code, its products, its libraries, its home."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from resources.settings import variable

KEPT_LINES = 20
"""The last lines that are kept of what a process says."""
INSTALLED = Path(sysconfig.get_path("purelib"))
"""Where ml-assets lies if it is installed: every environment has its own, whose libraries a path to this one would replace."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Ended:
    """The exit code of a process, and its last lines."""

    code: int
    lines: tuple[str, ...]

    @property
    def problem(self) -> str:
        """The error that it told, with the indented lines that say what is wrong; or else its last line."""
        places = [place for place, line in enumerate(self.lines) if line.startswith(("error: ", "Error: "))]
        if not places:
            return (self.lines or (f"exit code {self.code}",))[-1]
        error, *more = self.lines[places[-1] :]
        details = [line.lstrip(" -") for line in takewhile(lambda line: line.startswith(" "), more)]
        return "; ".join([error.partition(": ")[2], *details])


@dataclass(frozen=True)
class SideProcess:
    """`code` is the folder that the project's packages lie in; `python` has the libraries; results go to `home`, and what was
    delivered and made before is read from the store and ledger of `upstream`, by URL."""

    name: str
    code: Path
    python: Path
    products: tuple[Path, ...]
    home: Path
    upstream: Mapping[str, str]

    def run(self, *arguments: str, say: Say) -> Ended:
        """Run `ml-assets` with these arguments to its end; `say` hears each line that it prints, with the side's name."""
        # -P: neither the folder that a review is started in nor a script's own may shadow the project's packages
        command = [str(self.python), "-P", "-m", "ml_assets", *arguments]
        lines: list[str] = []
        with subprocess.Popen(
            command, env=self._environ(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            for line in map(str.rstrip, process.stdout):
                if line:
                    say(f"{self.name}: {line}")
                    lines = [*lines[-KEPT_LINES:], line]
        return Ended(process.returncode, tuple(lines))

    def _environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ML_ASSETS_", "DAGSTER_"))}
        own = {"home": str(self.home), "products": os.pathsep.join(map(str, self.products))}
        own |= {f"upstream_{part}": url for part, url in self.upstream.items()}
        search_path = {} if self.code == INSTALLED else {"PYTHONPATH": str(self.code)}
        return kept | {variable(name): value for name, value in own.items()} | search_path


def this_python() -> Path:
    """The interpreter of this process."""
    return Path(sys.executable)
