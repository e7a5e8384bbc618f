"""A second judge that runs nothing of the pull request: what its own run said, it finds out again, or it does not believe it."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tests.support.homes.walked_home import WINDOWS, walked_shop
from tests.support.repository import Answer, Team

SPEC, CONTRACT = "product.yaml", "contract.py"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return walked_shop(tmp_path_factory, tmp_path_factory.mktemp("rederived"))


Tamper = Callable[[Path], object]
SHALLOWER = (SPEC, "depth: 3", "depth: 2")
_own: dict[tuple[tuple[str, str, str], ...], tuple[Answer, str]] = {}


def both(team: Team, *edits: tuple[str, str, str], tamper: Tamper = lambda _: None) -> tuple[Answer, Answer]:
    """What the change's own run says, once for the same edits, and what the second judge says: on main, from a home of its own,
    above the team's."""
    own, commit = _own[edits] if edits in _own else _own.setdefault(edits, judged(team, *edits))
    left = team.home.parent / "left"
    shutil.rmtree(left, ignore_errors=True)
    if (walks := team.home.parent / commit).exists():
        shutil.copytree(walks, left)
    tamper(left)
    second = Team(team.root, team.home.parent / "second", team.product_name)
    derived = second.ci("--head", commit, "--walked", str(left), ML_ASSETS_UPSTREAM=str(team.home))
    assert "Traceback" not in derived.stderr
    return own, derived


def judged(team: Team, *edits: tuple[str, str, str]) -> tuple[Answer, str]:
    """The change's own run, which leaves its walks in a folder of the commit's name; then main is checked out again."""
    team.git("switch", "--quiet", "--force-create", "change", "main")
    for file, old, new in edits:
        team.write(file, old, new)
    team.commit("Change it")
    commit = team.git("rev-parse", "HEAD").strip()
    own = team.ci("--keep-walk", str(team.home.parent / commit))
    report = replace(own, folder=shutil.copytree(own.folder, team.home.parent / f"report of {commit}"))
    team.git("switch", "--quiet", "main")
    return report, commit


@pytest.mark.long
def test_the_second_judge_says_what_the_first_did_without_head_at_work(shop: Team) -> None:
    own, derived = both(shop, SHALLOWER)
    assert (derived.code, derived.report["outcome"]) == (own.code, own.report["outcome"]), derived.stderr
    assert derived.report["head"] == own.report["head"]
    assert derived.effects == own.effects == {"model.depth": "changed"}
    (first,), (second,) = own.report["comparisons"], derived.report["comparisons"]
    assert second["judged"] == first["judged"]
    assert tuple(second["windows"]) == WINDOWS
    assert not any(line.startswith("head:") for line in derived.stderr.splitlines())


@pytest.mark.long
def test_a_ruined_model_and_a_lower_floor_are_found_out_again(shop: Team) -> None:
    ruined = (SPEC, "iterations: 5, learning_rate: 0.3", "iterations: 1, learning_rate: 0.0001")
    own, derived = both(shop, ruined)
    assert (own.code, derived.code) == (1, 1), derived.stdout
    _, lowered = both(shop, ruined, (SPEC, "roc_auc(candidate) > 0.7", "roc_auc(candidate) > 0.1"))
    assert (lowered.code, lowered.report["reasons"][0]) == (4, "shop/floor is weakened and not acknowledged")


@pytest.mark.long
def test_a_change_that_reaches_no_model_needs_no_walk(shop: Team) -> None:
    _, derived = both(shop)
    assert (derived.code, derived.report["outcome"]) == (0, "UNCHANGED")


@pytest.mark.long
def test_no_line_of_heads_contract_is_executed_and_a_code_owner_decides_on_it(shop: Team, tmp_path: Path) -> None:
    trap = tmp_path / "executed"
    hostile = f'TABLES = {{"orders": Orders}}\nopen({str(trap)!r}, "a").write("x")'
    own, derived = both(
        shop, (CONTRACT, 'TABLES = {"orders": Orders}', hostile), (CONTRACT, '"max_quarantined": 0.2', '"max_quarantined": 0.9')
    )
    assert own.code == 4
    assert trap.stat().st_size > 0
    trap.unlink()
    assert not trap.exists()
    assert derived.effects == {"contract": "weakened"}
    (owed,) = derived.report["acknowledged"]
    assert (owed["product"], owed["name"]) == ("shop", "contract")
    assert owed["reason"] == "contract.py has changed, and none of its code is executed here: a code owner decides"


def drop(left: Path) -> None:
    shutil.rmtree(left)


def link(left: Path) -> None:
    (left / "shop").rename(left.parent / "moved")
    (left / "shop").symlink_to(left.parent / "moved")


def link_file(left: Path) -> None:
    (left / "shop" / "scores.parquet").rename(left.parent / "scores.parquet")
    (left / "shop" / "scores.parquet").symlink_to(left.parent / "scores.parquet")


def cut(left: Path) -> None:
    file = left / "shop" / "scores.parquet"
    file.write_bytes(file.read_bytes()[:50])


@pytest.mark.long
@pytest.mark.parametrize("tamper", [drop, link, link_file, cut])
def test_a_walk_that_is_not_there_or_not_plain_is_a_rejection(shop: Team, tamper: Tamper) -> None:
    shutil.rmtree(shop.home.parent / "moved", ignore_errors=True)
    _, derived = both(shop, SHALLOWER, tamper=tamper)
    assert (derived.code, derived.report["outcome"]) == (1, "REJECT"), derived.stdout
    assert "shop: head cannot be " in derived.report["reasons"][0]


@pytest.mark.long
def test_scores_that_were_turned_round_are_judged_as_such(shop: Team) -> None:
    def turn(left: Path) -> None:
        file = left / "shop" / "scores.parquet"
        scores = pl.read_parquet(file)
        scores.with_columns(score=1 - pl.col("score")).write_parquet(file)

    own, derived = both(shop, SHALLOWER, tamper=turn)
    assert (own.code, derived.code) == (0, 1)
    assert any("not_worse: " in reason for reason in derived.report["reasons"])


@pytest.mark.long
def test_commit_and_walk_belong_together(shop: Team) -> None:
    answer = shop.ci("--head", "main")
    assert answer.code == 3
    assert "--head and --walked belong together" in answer.stderr
    unknown = shop.ci("--head", "nowhere", "--walked", os.fspath(shop.home))
    assert unknown.code == 3
    assert "Traceback" not in unknown.stderr
