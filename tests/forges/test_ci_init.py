"""`ml-assets ci init`: what a team's repository of products gets, and that it judges the team's changes."""

import re
import shutil
import subprocess
import sys
import tomllib
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from ml_assets.cli import cli
from ml_assets.core.changes.code_owners import Dialect, owners
from ml_assets.errors import MlAssetsError
from resources.settings import ROOT
from tests.support.forges import TOKEN, Fault, StandIn, running
from tests.support.github_api import GitHubStandIn
from tests.support.gitlab_api import GitLabStandIn
from tests.support.homes.shop import csv_bytes, rows
from tests.support.homes.walked_home import shop_team, write_team
from tests.support.repository import Team, team
from tests.support.workflows import execute, runner_environ

WORKFLOWS = [f".github/workflows/ml-assets{name}.yml" for name in ("", "-approved", "-report")]
WRITTEN = {"github": [*WORKFLOWS, ".github/CODEOWNERS", "ci/ml-assets-home.sh"], "gitlab": [".gitlab-ci.yml", "CODEOWNERS"]}


@pytest.fixture
def own(tmp_path: Path) -> Team:
    """The trains on their main branch, with what pins ml-assets."""
    own_team = team(tmp_path)
    (own_team.root / "requirements.txt").write_text("ml-assets\n")
    own_team.commit("Pin ml-assets")
    own_team.git("switch", "--quiet", "main")
    own_team.git("merge", "--quiet", "change")
    return own_team


def init(own: Team, forge: str, *arguments: str) -> Result:
    with chdir(own.root):
        return CliRunner().invoke(cli, ["ci", "init", forge, "--owner", "@ann", *arguments], env=own.environ)


def steps(own: Team, workflow: str, job: str) -> list[dict[str, Any]]:
    """The steps with a command of a job."""
    text = yaml.safe_load((own.root / workflow).read_text())["jobs"][job]["steps"]
    return [step for step in text if "run" in step and "pip install" not in step["run"]]


@pytest.mark.parametrize("forge", ["github", "gitlab"])
def test_what_is_written_is_said_and_nothing_is_written_twice(own: Team, forge: Dialect) -> None:
    done = init(own, forge)
    summary, by_hand = done.stdout.split("\nBy hand")
    assert sorted(summary.splitlines()) == [f"wrote {path}" for path in sorted(WRITTEN[forge])]
    assert "ml-assets/change" in by_hand
    assert not re.search(r"@[A-Z]+@", "".join((own.root / path).read_text() for path in WRITTEN[forge]) + by_hand)
    assert init(own, forge).stdout.startswith("\nBy hand")
    rules = (own.root / WRITTEN[forge][-2 if forge == "github" else -1]).read_text()
    for path in ("product.yaml", "contract.py", "features.sql", "dbt/trains_features.sql"):
        assert owners(rules, f"products/trains/{path}", forge) == [("@ann",)]
    assert owners(rules, WRITTEN[forge][0], forge) == owners(rules, "requirements.txt", forge) == [("@ann",)]


def test_a_file_that_differs_is_left_alone_unless_forced(own: Team) -> None:
    (own.root / ".gitlab-ci.yml").write_text("mine: true\n")
    refused = init(own, "gitlab")
    assert isinstance(refused.exception, MlAssetsError)
    assert ".gitlab-ci.yml: there is another text already, and nothing was written; `--force`" in str(refused.exception)
    assert not (own.root / "CODEOWNERS").exists()
    assert (own.root / ".gitlab-ci.yml").read_text() == "mine: true\n"
    assert "wrote .gitlab-ci.yml" in init(own, "gitlab", "--force").stdout


def test_owners_are_added_to_the_file_that_the_forge_reads_already(own: Team) -> None:
    (own.root / "CODEOWNERS").write_text("* @bob\n")
    assert "wrote CODEOWNERS" in init(own, "github").stdout
    rules = (own.root / "CODEOWNERS").read_text()
    assert owners(rules, "README.md", "github") == [("@bob",)]
    assert owners(rules, "products/trains/product.yaml", "github") == [("@ann",)]
    assert not (own.root / ".github" / "CODEOWNERS").exists()


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (
            ["--requirements", "other.txt"],
            {},
            "other.txt is not there; pin ml-assets in it, or name another: --requirements FILE",
        ),
        (
            [],
            {"ML_ASSETS_PRODUCTS": "nowhere"},
            "has no products; name their folder: ML_ASSETS_PRODUCTS=products ml-assets ci init",
        ),
        ([], {"ML_ASSETS_PRODUCTS": ""}, "has no products"),
    ],
)
def test_what_the_repository_lacks_is_named(own: Team, arguments: list[str], environ: dict[str, str], words: str) -> None:
    with chdir(own.root):
        done = CliRunner().invoke(cli, ["ci", "init", "github", "--owner", "@ann", *arguments], env=own.environ | environ)
    assert words in str(done.exception)


@pytest.mark.parametrize("arguments", [["github"], ["github", "--owner", "ann"], ["bitbucket", "--owner", "@ann"]])
def test_a_wrong_call_is_no_verdict(own: Team, arguments: list[str]) -> None:
    with chdir(own.root):
        assert CliRunner().invoke(cli, ["ci", "init", *arguments]).exit_code == 2


def test_every_other_call_of_ci_is_as_it_was() -> None:
    helped = CliRunner().invoke(cli, ["ci", "--help"])
    assert "Usage: cli ci [OPTIONS] [PRODUCTS]..." in helped.stdout
    assert "init github|gitlab" in " ".join(helped.stdout.split())
    assert CliRunner().invoke(cli, ["ci", "--no-such-option"]).exit_code == 3


def test_the_templates_are_data_of_the_package() -> None:
    package = ROOT / "ml_assets"
    globs = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["ml_assets"]
    packed = {path for glob in globs for path in package.glob(glob)}
    assert [path for path in (package / "templates").rglob("*") if path.is_file() and path not in packed] == []


def test_the_workflows_keep_the_rules_and_zizmor_finds_nothing_in_them(own: Team) -> None:
    init(own, "github")
    zizmor = [Path(sys.prefix, "bin", "zizmor"), "--offline", "--pedantic", own.root / ".github"]
    done = subprocess.run(zizmor, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    judged, approved, report = (yaml.safe_load((own.root / path).read_text()) for path in WORKFLOWS)
    assert judged["permissions"] == {"contents": "read"}
    assert approved["permissions"] == report["permissions"] == {}
    assert report[True]["workflow_run"]["workflows"] == [judged["name"], approved["name"]]
    assert "secrets." not in "".join((own.root / path).read_text() for path in WORKFLOWS)
    saves = [s for job in judged["jobs"].values() for s in job["steps"] if "cache/save@" in s.get("uses", "")]
    assert len(saves) == 1
    assert judged["jobs"]["home"]["if"] == "github.event_name == 'push'"
    assert "cache/save" not in (own.root / WORKFLOWS[2]).read_text()


def test_on_gitlab_a_merge_requests_code_gets_no_token_of_ours(own: Team) -> None:
    init(own, "gitlab")
    text = yaml.safe_load((own.root / ".gitlab-ci.yml").read_text())
    assert "TOKEN" not in str(text)
    assert [rule["if"] for rule in text["post"]["rules"]] == [
        '$CI_PIPELINE_SOURCE == "schedule" && $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH'
    ]
    assert text["post"]["script"] == ["ml-assets post gitlab --open"]
    for job in ("test", "change"):
        assert [rule["if"] for rule in text[job]["rules"]] == ['$CI_PIPELINE_SOURCE == "merge_request_event"']


@pytest.mark.long
@pytest.mark.parametrize("is_replayed", [False, True])
def test_the_workflows_of_a_team_judge_its_change_by_the_home_of_main(tmp_path: Path, is_replayed: bool) -> None:
    """The jobs' commands, in order: main's home, or a prepared one; a pull request's run; the run that derives and posts."""
    own = shop(tmp_path, "github")
    environ = runner_environ(tmp_path, ML_ASSETS_PRODUCTS="products")
    if is_replayed:
        own.git("switch", "--quiet", "main")
        for day in ("2024-03-01", "2024-03-02", "2024-03-03"):
            (folder := tmp_path / "upstream" / "landing" / "shop" / "orders").mkdir(parents=True, exist_ok=True)
            (folder / f"{day}.csv").write_bytes(csv_bytes(rows(day, count=400)))
        [bring] = steps(own, WORKFLOWS[0], "home")
        execute(bring, own.root, environ)
        own.git("switch", "--quiet", "less")
    else:
        write_team(replace(own, home=tmp_path / "upstream"))

    [judge] = steps(own, WORKFLOWS[0], "change")
    execute(judge, own.root, environ, {"${{ github.base_ref }}": "main"})
    shutil.move(tmp_path / "change", tmp_path / "untrusted")

    head = trusted_clone(own)
    forge = GitHubStandIn(
        runs=[{"id": 5, "head_sha": head}], code_owners={".github/CODEOWNERS": (own.root / ".github" / "CODEOWNERS").read_text()}
    )
    forge.add_pull(3, head)
    with running(forge) as address:
        values = {"${{ github.token }}": TOKEN, "${{ github.event.workflow_run.head_sha }}": head}
        environ |= {"GITHUB_API_URL": address, "GITHUB_GRAPHQL_URL": f"{address}/graphql"}
        for step in steps(own, WORKFLOWS[2], "report"):
            execute(step, own.root, environ, values)
    assert_waits_for_ann(own, forge, head, 3)


@pytest.mark.long
def test_the_jobs_of_a_team_on_gitlab_judge_its_change(tmp_path: Path) -> None:
    """The script of `change` in a merge request's pipeline, then that of `post` on main, which gets the artifact."""
    own = shop(tmp_path, "gitlab")
    write_team(replace(own, home=tmp_path / "upstream"))
    settings = {"ML_ASSETS_PRODUCTS": "products", "ML_ASSETS_UPSTREAM": str(tmp_path / "upstream")}
    environ = runner_environ(tmp_path, ML_ASSETS_HOME=str(tmp_path / "own"), **settings)
    jobs = yaml.safe_load((own.root / ".gitlab-ci.yml").read_text())
    base = own.git("merge-base", "main", "HEAD").strip()
    execute({"run": "\n".join(jobs["change"]["script"])}, own.root, environ | {"CI_MERGE_REQUEST_DIFF_BASE_SHA": base})
    artifact = shutil.make_archive(str(tmp_path / "artifacts"), "zip", own.root, "change")
    shutil.rmtree(own.root / "change")

    head = trusted_clone(own)
    own.git("--git-dir", str(tmp_path / "origin.git"), "update-ref", "refs/merge-requests/3/head", head)
    forge = GitLabStandIn(code_owners={"CODEOWNERS": (own.root / "CODEOWNERS").read_text()})
    forge.add_request(3, head)
    forge.jobs[103] = [{"id": 5, "name": "change", "artifacts_file": {"filename": "artifacts.zip"}}]
    forge.faults.append(Fault("/jobs/5/artifacts", 200, body=Path(artifact).read_bytes()))
    with running(forge) as address:
        environ |= {"CI_API_V4_URL": f"{address}/api/v4", "CI_PROJECT_ID": "9", "GITLAB_TOKEN": TOKEN}
        execute({"run": "\n".join(jobs["post"]["script"])}, own.root, environ)
    assert_waits_for_ann(own, forge, head, 3)


def shop(folder: Path, forge: str) -> Team:
    """The shop's repository with what `ci init` writes, and a branch that is checked out and acknowledges that it asks less."""
    own = shop_team(folder)
    (own.root / "requirements.txt").write_text("ml-assets\n")
    own.git("switch", "--quiet", "main")
    init(own, forge)
    own.commit("Judge changes")
    own.git("switch", "--quiet", "--create", "less")
    own.write("product.yaml", "roc_auc(candidate) > 0.7", "roc_auc(candidate) > 0.6")
    own.commit("Ask less\n\nWeakens: shop/floor: a new season")
    own.git("update-ref", "refs/remotes/origin/main", "main")
    return own


def trusted_clone(own: Team) -> str:
    """Make the repository that of a job on the main branch, which has a remote; the commit of the change."""
    head = own.git("rev-parse", "less").strip()
    origin = own.root.with_name("origin.git")
    own.git("clone", "--quiet", "--mirror", ".", str(origin))
    own.git("switch", "--quiet", "main")
    own.git("remote", "add", "origin", str(origin))
    return head


def assert_waits_for_ann(own: Team, forge: StandIn, head: str, number: int) -> None:
    assert own.git("branch", "--show-current").strip() == "main"
    assert forge.statuses[head][0]["state"] == "pending", forge.comments
    assert "shop/floor acknowledged; waits for a code owner's approval: @ann" in forge.statuses[head][0]["description"]
    assert "### Acknowledged" in forge.comments[number][0]["body"]
