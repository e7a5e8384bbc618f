"""A change of the trains with its report, posted by the command line to a forge that stands in."""

import json
import os
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.errors import MlAssetsError
from tests.support.repository import Team, team

ACKNOWLEDGED = [{"product": "trains", "name": "floor", "reason": "meant"}]
WEAKENED = {"product": "trains", "name": "floor", "effect": "weakened", "old": 0.6, "new": 0.5}


@dataclass(frozen=True)
class Posted:
    """What the command printed."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Change:
    """A branch with one commit on the main branch; `environ` says where the forge is."""

    team: Team
    environ: dict[str, str]

    @property
    def head(self) -> str:
        return self.team.git("rev-parse", "change").strip()

    @property
    def base(self) -> str:
        return self.team.git("rev-parse", "main").strip()

    def report(self, outcome: str = "ACCEPT", **more: Any) -> Path:
        """A folder with a report.json, as the trusted side derives it."""
        content = {
            "base": self.base,
            "head": self.head,
            "is_dirty": False,
            "outcome": outcome,
            "reasons": ["trains: floor: because"],
        }
        folder = self.team.home / "derived"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps(content | more))
        return folder

    def acknowledged(self) -> Path:
        """The report of a weakening that a commit's trailer acknowledges."""
        return self.report(changes=[WEAKENED], acknowledged=ACKNOWLEDGED)

    def post(self, *arguments: str, **variables: str) -> Posted:
        """`ml-assets post` in the repository, in this process; never anything but a foreseen error, and never the token."""
        environ = self.team.environ | self.environ | variables
        with chdir(self.team.root):
            done = CliRunner().invoke(cli, ["post", *arguments], env=environ)
        assert done.exception is None or isinstance(done.exception, MlAssetsError | SystemExit), done.exc_info
        error = f"error: {done.exception}\n" if isinstance(done.exception, MlAssetsError) else ""
        posted = Posted(done.exit_code, done.stdout, done.stderr + error)
        secrets = [value for name, value in environ.items() if name.endswith("_TOKEN") and value.strip()]
        assert not any(secret.strip() in posted.stdout + posted.stderr for secret in secrets)
        return posted


def change(folder: Path, environ: dict[str, str]) -> Change:
    """The change, committed on the branch `change`; main is what lies in the work tree."""
    own_team = team(folder)
    own_team.write("product.yaml", "> 0.6", "> 0.5")
    own_team.commit("Ask less\n\nWeakens: trains/floor: meant")
    own_team.git("switch", "--quiet", "main")
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return Change(own_team, kept | environ)
