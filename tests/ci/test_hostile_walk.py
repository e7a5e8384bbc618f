"""A pull request's code may write whatever it likes into its walk: nothing that it writes makes the change accepted."""

import sys
from pathlib import Path

import pytest

from ml_assets.core.changes.comparison import ProductComparison
from ml_assets.first_party import TREE
from ml_assets.services.review.model_comparison import Arena, Question
from ml_assets.services.review.side_process import SideProcess
from ml_assets.spec.product import load
from resources.ledger.ledger import Ledger
from tests.support.homes.walked_home import ROWS, WINDOWS, walked_shop
from tests.support.repository import Team

WRAPPER = """\
import json, os, subprocess, sys
from pathlib import Path
import polars as pl
done = subprocess.run([{python!r}, *sys.argv[1:]])
out = Path(next(a.split("=", 1)[1] for a in sys.argv if a.startswith("--output=")))
if done.returncode == 0 and "walk" in sys.argv:
    walked, rows, scores = json.loads((out / "walk.json").read_text()), *(
        pl.read_parquet(out / f"{{name}}.parquet") for name in ("features", "scores")
    )
    label = pl.col("came_back")
    {hostile}
    (out / "walk.json").write_text(json.dumps(walked))
    rows.write_parquet(out / "features.parquet")
    scores.write_parquet(out / "scores.parquet")
    {after}
sys.exit(done.returncode)
"""
HALF = "rows, scores = rows.head(rows.height // 2), scores.head(rows.height // 2)"
CASES = {
    "scores that are not numbers": (
        "scores = scores.with_columns(score=pl.lit(float('nan')))",
        "",
        "REJECT",
        "head cannot be judged",
    ),
    "only the rows that it likes": (HALF, "", "INCONCLUSIVE", f"head does not score {ROWS:,} rows that base scores"),
    "labels that fit its scores": (
        "rows = rows.with_columns(came_back=(scores['score'] < 0.5).cast(pl.Int64)); "
        "scores = scores.with_columns(score=1 - pl.col('score'))",
        "",
        "REJECT",
        "the label of ",
    ),
    "a model that it calls equal": ("scores = scores.with_columns(score=1 - pl.col('score'))", "", "REJECT", "not_worse: "),
    "a window less": ("walked['windows'] = walked['windows'][:1]", "", "INCONCLUSIVE", "head walked other windows than base"),
    "rows of its own choosing": (
        "rows = pl.concat([rows, rows.with_columns(id=pl.col('id') + ' again')]); scores = pl.concat([scores, scores])",
        "",
        "ACCEPT",
        "every score is equal",
    ),
    "rows twice": ("rows, scores = pl.concat([rows, rows]), pl.concat([scores, scores])", "", "REJECT", "repeats the key id"),
    "no table": ("", "(out / 'scores.parquet').write_bytes(b'PAR1')", "REJECT", "scores.parquet: is not a table"),
    "a link": (
        "",
        "(out / 'walk.json').unlink(); (out / 'walk.json').symlink_to('/etc/passwd')",
        "REJECT",
        "walk.json is missing",
    ),
    "nothing": ("", "(out / 'features.parquet').unlink()", "REJECT", "features.parquet is missing"),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return walked_shop(tmp_path_factory, tmp_path_factory.mktemp("hostile"))


def compared(team: Team, folder: Path, *, hostile: str, after: str) -> ProductComparison:
    """Base's own walk against one that was tampered with as the pull request's code could."""
    wrapper = folder / "wrapper.py"
    wrapper.write_text(WRAPPER.format(python=sys.executable, hostile=hostile or "pass", after=after or "pass"))
    (python := folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} {wrapper} "$@"\n')
    python.chmod(0o755)
    upstream = {"store": (team.home / "store").as_uri(), "ledger": f"sqlite:///{team.home / 'ledger.db'}"}
    products = (team.product.parent,)
    messages: list[str] = []
    arena = Arena(
        base=SideProcess("base", TREE.root, Path(sys.executable), products, team.home / "ci" / "base", upstream),
        head=SideProcess("head", TREE.root, python, products, team.home / "ci" / "head", upstream),
        source=Ledger(upstream["ledger"], is_read_only=True),
        folder=folder / "files",
        say=messages.append,
    )
    arena.folder.mkdir()
    product = load(team.product)
    result = arena.compare(Question(product, product, ()))
    assert not any("Traceback" in line for line in messages if line.startswith("base")), messages
    return result


SHORT = ("scores that are not numbers", "labels that fit its scores", "a model that it calls equal", "a link")


@pytest.mark.parametrize("name", [name if name in SHORT else pytest.param(name, marks=pytest.mark.long) for name in CASES])
def test_a_walk_that_was_tampered_with_is_not_accepted_for_it(shop: Team, tmp_path: Path, name: str) -> None:
    hostile, after, outcome, why = CASES[name]
    result = compared(shop, tmp_path, hostile=hostile, after=after)
    assert result.outcome == outcome, result.reasons
    assert why in " | ".join(result.reasons)
    assert result.windows == WINDOWS
