"""The GitHub workflows: what they may do, and their own `run:` lines, executed in order on a copy of the checkout.

Real: bash, make, the path, the report, posting, the HTTP requests (to a loopback server that answers as GitHub's API does).
Doubled: `cml` and `gh`, by scripts in tests/doubles that take the arguments that the real ones take. Not tried: the actions.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ci_runner import RECURSES, ci_run
from tests.support.dagster_double import webserver_double
from tests.support.forges import TOKEN, running
from tests.support.github_api import GitHubStandIn
from tests.support.homes.small_home import DAYS, small_home
from tests.support.posted import Change, change
from tests.support.workflows import ROOT, WORKFLOWS, execute, run_lines, runner_environ, steps

SCRIPT = ROOT / ".github" / "report.py"
MOST_MINUTES = {"long": 350, "deploy": 350}
"""Of a job; GitHub ends one after six hours."""
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the report of the small home's last day, as ci.yml has it written. To be looked at only."""
    days, folder = small_home(tmp_path_factory, tmp_path_factory.mktemp("days")), tmp_path_factory.mktemp("reported")
    done = days.ml_assets("report", "flights", "--partition", DAYS[-1], "--output", str(folder / "report"))
    assert done.returncode == 0, done.stderr
    (folder / ".github").symlink_to(SCRIPT.parent)
    return folder


def test_the_tests_run_in_a_job_of_their_own() -> None:
    assert [s["run"] for s in WORKFLOWS["ci"]["jobs"]["test"]["steps"] if "run" in s] == [RECURSES]
    assert RECURSES not in [step["run"] for step in WORKFLOWS["ci"]["jobs"]["path"]["steps"] if "run" in step]


def test_each_folder_with_long_tests_is_a_part_of_the_nightly_run() -> None:
    printed = subprocess.run(["make", "--dry-run", "long"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    [parts] = re.findall(r"for part in (.+?);", printed)
    assert WORKFLOWS["long"]["jobs"]["long"]["strategy"]["matrix"]["part"] == parts.split()


@pytest.mark.long
def test_the_commands_of_ci_leave_a_summary_of_the_change_and_of_the_evaluation(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    ran = ci_run(tmp_path_factory).folder
    summary = (ran / "summary.md").read_text()
    assert summary.startswith("## ✅ UNCHANGED: ")
    assert "\n## ✅ flights 2013-04: ACCEPT\n" in summary
    assert_shows_metrics_and_published_plots(summary, ran / "sent")


def test_the_job_summary_shows_verdict_metrics_and_published_plots(reported: Path, tmp_path: Path) -> None:
    (publish,) = [step for step in run_lines("ci") if "report.py publish" in step["run"]]
    execute(publish, reported, runner_environ(tmp_path))
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith(f"## ✅ flights {DAYS[-1]}: ACCEPT\n")
    assert_shows_metrics_and_published_plots(summary, tmp_path / "sent")


def assert_shows_metrics_and_published_plots(summary: str, sent: Path) -> None:
    assert "against the champion" in summary
    assert "| `roc_auc` (higher is better) |" in summary
    shown = re.findall(r"!\[([\w ]+)\]\(https://asset\.cml\.dev/(\w+)\?[^)]+\)", summary)
    assert {"roc", "calibration", "confusion matrix"} <= {name for name, _ in shown}
    assert all((sent / f"{digest}.svg").read_bytes().startswith(b"<svg") for _, digest in shown)
    assert "](./" not in summary


@pytest.mark.parametrize("pictures", ["none", "https://refused.invalid"])
def test_without_a_place_for_plots_the_report_names_them(pictures: str, tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text("a\n![roc](./roc.svg)\n")
    environ = runner_environ(tmp_path, REPORT_PICTURES=pictures, PATH="/nonexistent")
    done = subprocess.run([sys.executable, SCRIPT, "publish", tmp_path], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "a\n(roc: roc.svg in the run's artifact)\n"


def test_a_pull_requests_code_has_no_secret_and_may_write_nothing() -> None:
    ci = WORKFLOWS["ci"]
    assert set(ci[True]) == {"pull_request", "push"}
    assert ci["permissions"] == {"contents": "read"}
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert "secrets" not in text
    assert "github.token" not in text
    assert "GITHUB_TOKEN" not in text
    assert not any("permissions" in job for job in ci["jobs"].values())


def test_the_workflow_that_may_write_runs_nothing_of_the_pull_request() -> None:
    report = WORKFLOWS["report"]
    assert report[True] == {"workflow_run": {"workflows": ["ci", "approved"], "types": ["completed"]}}
    assert report["permissions"] == {}
    [job] = report["jobs"].values()
    assert job["permissions"] == {"actions": "read", "contents": "read", "pull-requests": "write", "statuses": "write"}
    [checkout] = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"] == {"persist-credentials": False, "fetch-depth": 0}, "no ref: the default branch"
    assert not any(step.get("uses", "").startswith("actions/cache@") for step in job["steps"])
    lines = [step["run"] for step in job["steps"] if "run" in step]
    assert not any(word in line for line in lines for word in ("checkout", "switch", "worktree", "pip"))
    assert [line for line in lines if "HEAD_SHA" in line and "ml-assets" not in line and "gh api" not in line] == [
        'git fetch --quiet --no-tags origin "$HEAD_SHA"'
    ]


def test_a_review_lets_the_report_look_again_and_runs_nothing() -> None:
    approved = WORKFLOWS["approved"]
    assert approved[True] == {"pull_request_review": {"types": ["submitted", "dismissed"]}}
    assert approved["permissions"] == {}
    assert [[step["run"] for step in job["steps"]] for job in approved["jobs"].values()] == [["true"]]


@pytest.fixture
def posted(tmp_path: Path) -> Iterator[tuple[GitHubStandIn, Change, dict[str, str]]]:
    """A pull request, and the environment of a runner of report.yml, which has derived nothing yet."""
    forge = GitHubStandIn()
    with running(forge) as address:
        posted_change = change(tmp_path, {})
        forge.add_pull(7, posted_change.head)
        environ = runner_environ(tmp_path, GITHUB_API_URL=address, GITHUB_GRAPHQL_URL=f"{address}/graphql")
        (posted_change.team.root / ".venv").mkdir()
        (posted_change.team.root / ".venv" / "bin").symlink_to(Path(sys.prefix, "bin"))
        yield forge, posted_change, environ | posted_change.team.environ | {"PATH": environ["PATH"]}


def step(name: str) -> dict[str, Any]:
    [step] = [run_line for run_line in run_lines("report") if run_line["name"].startswith(name)]
    return step


def values(posted_change: Change) -> dict[str, str]:
    return {"${{ github.token }}": TOKEN, "${{ github.event.workflow_run.head_sha }}": posted_change.head}


def test_the_report_is_posted_of_the_newest_run_for_that_commit(
    posted: tuple[GitHubStandIn, Change, dict[str, str]], tmp_path: Path
) -> None:
    forge, posted_change, environ = posted
    forge.runs = [
        {"id": 5, "head_sha": posted_change.base},
        {"id": 9, "head_sha": posted_change.head},
        {"id": 4, "head_sha": posted_change.head},
    ]
    execute(step("Find the newest run"), posted_change.team.root, environ, values(posted_change))
    assert (tmp_path / "output.txt").read_text() == "id=9\n"
    shutil.copytree(posted_change.acknowledged(), tmp_path / "derived")
    execute(step("Post it"), posted_change.team.root, environ, values(posted_change))
    assert forge.comments[7][0]["body"].startswith(f"<!-- ml-assets/change {posted_change.head} pending -->\n")
    assert forge.statuses[posted_change.head][0]["state"] == "pending"
    shutil.rmtree(tmp_path / "derived")
    execute(step("Post it"), posted_change.team.root, environ, values(posted_change))
    assert forge.statuses[posted_change.head][0]["state"] == "error"


def test_a_review_before_the_run_has_ended_posts_nothing(posted: tuple[GitHubStandIn, Change, dict[str, str]]) -> None:
    _, posted_change, environ = posted
    with pytest.raises(AssertionError, match="no run of ci has ended for"):
        execute(step("Find the newest run"), posted_change.team.root, environ, values(posted_change))
    assert step("Post it")["if"] == "${{ !cancelled() && steps.run.outcome == 'success' }}"


def test_zizmor_finds_nothing_in_the_workflows() -> None:
    zizmor = [Path(sys.prefix, "bin", "zizmor"), "--offline", "--pedantic", "--config", ROOT / ".github" / "zizmor.yml"]
    done = subprocess.run([*zizmor, ROOT / ".github"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_deployment_follows_a_green_ci_of_the_default_branch_and_a_persons_consent() -> None:
    workflow = WORKFLOWS["deploy"]
    assert workflow[True] == {"workflow_run": {"workflows": ["ci"], "types": ["completed"]}}
    assert workflow["permissions"] == {}
    [job] = workflow["jobs"].values()
    assert job["permissions"] == {"contents": "read"}
    assert job["environment"] == "production"
    run = "github.event.workflow_run"
    needed = {
        f"{run}.event == 'push'",
        f"{run}.conclusion == 'success'",
        f"{run}.head_branch == github.event.repository.default_branch",
        "vars.DAGSTER_URL",
    }
    assert set(job["if"].split(" && ")) == needed
    assert "cancel-in-progress" not in workflow["concurrency"], "a commit whose checks end late would end a newer one's"
    assert f"${{{{ {run}.event }}}}" in workflow["concurrency"]["group"], "a pull request's run takes no waiting commit's place"
    [checkout] = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"]["ref"] == f"${{{{ {run}.head_sha }}}}"
    assert checkout["with"]["fetch-depth"] == 0, "or it knows no newer commit that the deployment may be at"
    assert not any(step.get("uses", "").startswith("actions/cache@") for step in job["steps"])


def test_the_deployment_is_asked_about_the_commit_with_a_token_that_is_never_shown(tmp_path: Path) -> None:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    values = {
        "${{ github.event.workflow_run.head_sha }}": commit,
        "${{ secrets.DAGSTER_TOKEN }}": "not-to-be-seen",
    }
    (step,) = [step for step in run_lines("deploy") if step["run"] != "make install"]
    with webserver_double(commit) as (address, queries):
        output = execute(step, ROOT, runner_environ(tmp_path), values | {"${{ vars.DAGSTER_URL }}": address}, errors=True)
    assert "flights: nothing to do: nothing is stale" in output
    assert {token for _, token in queries} == {"Bearer not-to-be-seen"}
    assert "not-to-be-seen" not in output
    assert [name for name, _ in queries] == ["workspaceOrError", "runsOrError", "sensorDryRun"]


@pytest.mark.parametrize("workflow", sorted(WORKFLOWS))
def test_every_workflow_keeps_the_rules(workflow: str) -> None:
    workflow_ = WORKFLOWS[workflow]
    assert "pull_request_target" not in workflow_[True]
    assert workflow_["concurrency"]["group"]
    assert all(0 < job["timeout-minutes"] <= MOST_MINUTES.get(workflow, 30) for job in workflow_["jobs"].values())
    assert all("${{" not in step["run"] for step in run_lines(workflow)), "what others wrote reaches a command through env alone"
    text = (ROOT / ".github" / "workflows" / f"{workflow}.yml").read_text()
    uses = re.findall(r"^[ -]+uses: (.+)$", text, re.MULTILINE)
    assert len(uses) == sum("uses" in step for step in steps(workflow))
    assert all(re.fullmatch(r"[\w-]+(/[\w-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in uses), uses
    assert all(
        step["with"]["persist-credentials"] is False for step in steps(workflow) if "actions/checkout@" in step.get("uses", "")
    )
