"""The GitHub workflows: what they may do, and their own `run:` lines, executed in order on a copy of the checkout.

Real: bash, make, the path, the report, drawing, the HTTP requests (to a loopback server that answers as GitHub's API does).
Doubled: `cml`, by a script in tests/doubles that takes the arguments that the real one takes. Not tried: the actions.
"""

import json
import re
import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ml_assets.cli.review.draw import ReportRefused
from ml_assets.cli.review.draw import command as draw
from tests.support.ci_runner import RECURSES, ci_run
from tests.support.dagster_double import webserver_double
from tests.support.homes.small_home import DAYS, small_home
from tests.support.workflows import ROOT, SHA, WORKFLOWS, Api, execute, pull, run_lines, runner_environ, steps

SCRIPT = ROOT / ".github" / "report.py"
MOST_MINUTES = {"long": 350, "deploy": 350}
"""Of a job; GitHub ends one after six hours."""
pytestmark = pytest.mark.timeout(900)


def test_every_judge_that_a_pull_request_may_change_is_a_path_of_this_checkout() -> None:
    paths = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    judges = runpy.run_path(str(SCRIPT))["JUDGES"]
    assert [judge for judge in judges if not any(path.startswith(judge) or path.endswith(f"/{judge}") for path in paths)] == []


@pytest.fixture
def api() -> Iterator[tuple[type[Api], str]]:
    handler = type("OwnApi", (Api,), {"pulls": [pull(7)], "files": [], "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


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


def test_the_report_becomes_one_comment_on_the_pull_request(tmp_path: Path, api: tuple[type[Api], str]) -> None:
    handler, address = api
    handler.files = [{"filename": f"docs/{n}.md"} for n in range(150)] + [{"filename": "ml_assets/products/flights/product.yaml"}]
    left_behind(tmp_path, REPORT)
    body = commented(tmp_path, address, branch="fix")
    assert body["target"] == "pr/7"
    text = body["body"]
    assert text.startswith("> This pull request changes what judges it: `product.yaml`.\n\n## ❌ REJECT: `aaaaaaaaaaaa` against")
    assert "| ❌ | floor: prove `roc_auc(candidate) > 0.6` | 0.5500, at most 0.5800: disproven |" in text
    assert "```mermaid\nxychart-beta" in text
    assert handler.asked[0] == ("/repos/o/r/pulls", {"state": ["open"], "head": ["fork:fix"]}, "Bearer token")


def commented(folder: Path, address: str, *, branch: str, sha: str = SHA) -> dict[str, Any]:
    """Execute the commands of report.yml on what lies in `untrusted`; the comment, or nothing."""
    environ = runner_environ(folder, GITHUB_API_URL=address)
    event = "github.event.workflow_run"
    values = {
        "${{ github.token }}": "token",
        f"${{{{ {event}.head_repository.owner.login }}}}": "fork",
        f"${{{{ {event}.head_branch }}}}": branch,
        f"${{{{ {event}.head_sha }}}}": sha,
    }
    for step in run_lines("report"):
        if step["run"] == "make install":  # this checkout's environment is there
            continue
        if step.get("if") == "steps.pull-request.outputs.number" and not values["${{ steps.pull-request.outputs.number }}"]:
            continue
        execute(step, ROOT, environ, values)
        if step.get("id") == "pull-request":
            told = dict(line.split("=", 1) for line in Path(environ["GITHUB_OUTPUT"]).read_text().splitlines())
            values |= {f"${{{{ steps.pull-request.outputs.{name} }}}}": value for name, value in told.items()}
    sent = folder / "sent" / "comment.json"
    return json.loads(sent.read_text()) if sent.exists() else {}


@pytest.mark.parametrize(
    "branch", ["$(touch owned)", "`touch owned`", "a;touch owned", "x&head=o:main", "${{ secrets.X }}", "-e", "ü"]
)
def test_a_branch_name_is_data_all_the_way(branch: str, tmp_path: Path, api: tuple[type[Api], str]) -> None:
    handler, address = api
    handler.pulls = [pull(3, branch=branch), pull(9, owner="o", branch="main")]
    left_behind(tmp_path, REPORT)
    assert commented(tmp_path, address, branch=branch)["target"] == "pr/3"
    assert not (ROOT / "owned").exists()


def test_without_a_pull_request_at_exactly_the_commit_that_ran_nothing_is_said(
    tmp_path: Path, api: tuple[type[Api], str]
) -> None:
    handler, address = api
    handler.pulls = [pull(7, sha="b" * 40)]
    left_behind(tmp_path, REPORT)
    assert commented(tmp_path, address, branch="fix") == {}


HOSTILE = """\
# Fine | title
@maintainers please merge, fixes #1, see o/r#2 GH-3 and https://evil.example or www.evil.example or mail@evil.example
<img src="https://evil.example/track.png"><script>alert(1)</script><!-- hidden
[key](../../.git/config) ![key](../.git/config) ![env](/proc/self/environ) ![remote](https://evil.example/x.svg) [a]: ./roc.svg
- ```mermaid
click A "https://evil.example"
&#64;everyone &lt;b&gt; \u202egnp.exe $$x$$
![](https://cml.dev/watermark.png#0 "CML watermark evaluation")
"""
_ESTIMATE = {"value": 0.55, "low": 0.5, "high": 0.6}
_ESTIMATES = {"candidate": _ESTIMATE, "champion": _ESTIMATE, "difference": _ESTIMATE}
_CLAIM = {
    "name": "floor",
    "kind": "prove",
    "text": "roc_auc(candidate) > 0.6",
    "outcome": "FAIL",
    "message": "0.5500, at most 0.5800: disproven",
    "sign": ">",
    "limit": 0.6,
    "units": 30,
}
_VERDICT = {"decision": "REJECT", "reasons": ["floor: disproven"], "claims": [_CLAIM], "unit": "day", "units": 30, "level": 0.01}
_JUDGED = {
    "product": "flights",
    "verdict": {**_VERDICT, "alpha": 0.05},
    "metrics": {"roc_auc": _ESTIMATES},
    "metric": "roc_auc",
    "slices": [{"column": "carrier", "level": level, "rows": 9, "estimates": _ESTIMATES} for level in ("AA", "UA")],
    "counts": {"both": 100, "base_only": 2},
}
_CHECK = {"stage": "features", "partition": "2013-04", "claim": "no_leakage", "description": "it moved"}
REPORT: dict[str, Any] = {
    "version": 2,
    "base": "b" * 40,
    "head": "a" * 40,
    "is_dirty": False,
    "outcome": "REJECT",
    "reasons": ["flights: floor: disproven"],
    "changes": [{"product": "flights", "name": "model.depth", "effect": "changed", "old": 8, "new": "2", "reason": "why"}],
    "comparisons": [
        {
            "product": "flights",
            "outcome": "REJECT",
            "reasons": ["floor"],
            "windows": ["2013-04"],
            "judged": _JUDGED,
            "by_head": {**_VERDICT, "alpha": 0.05, "claims": []},
            "production": {"release": "2013-03.abc", "windows": ["2013-04"], "judged": _JUDGED, "note": "a note"},
            "moved": [{"feature": "distance", "effect": "changed", "share": 0.5}],
            "failed": [_CHECK],
            "failed_before": [_CHECK],
            "pictures": ["flights.roc.svg"],
            "refused": {"flights": [1, 2]},
            "effort": {"head": {"built": 1, "reused": 2, "seconds": 3.0}},
        }
    ],
    "stale": [{"product": "flights", "stage": "model", "causes": ["code: x"], "partitions": 1, "seconds": 2.0}],
    "serving": {"flights": "2013-03.abc"},
    "acknowledged": [{"product": "flights", "name": "floor", "reason": "because"}],
    "unread": ["flights/x"],
    "problems": ["a problem"],
}
"""A report.json with something in every field."""


def left_behind(folder: Path, report: Any) -> None:
    """What a run may upload."""
    (source := folder / "untrusted").mkdir()
    (source / "report.json").write_text(json.dumps(report))
    (source / "report.md").write_text(HOSTILE)
    (source / "run.sh").write_text("touch owned")


def with_text(value: Any, text: str, place: str = "") -> Iterator[tuple[str, Any]]:
    """The report with one of its strings, or a name of its mappings, replaced by a text: each in turn, and where."""
    if isinstance(value, str):
        yield place, text
    elif isinstance(value, dict):
        for key, below in value.items():
            yield f"{place}.{key} (name)", {**{k: v for k, v in value.items() if k != key}, text: below}
            yield from ((at, {**value, key: changed}) for at, changed in with_text(below, text, f"{place}.{key}"))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            for at, changed in with_text(below, text, f"{place}[{index}]"):
                yield at, [*value[:index], changed, *value[index + 1 :]]


def test_no_text_of_a_hostile_report_can_do_anything_but_be_read(tmp_path: Path) -> None:
    drawn = 0
    weakened = {**REPORT, "outcome": "WEAKENED", "changes": [{**REPORT["changes"][0], "effect": "weakened"}], "acknowledged": []}
    for place, report in (*with_text(REPORT, HOSTILE), *with_text(weakened, HOSTILE)):
        (file := tmp_path / "report.json").write_text(json.dumps(report))
        done = CliRunner().invoke(draw, [str(file)])
        if isinstance(done.exception, ReportRefused):
            continue
        assert done.exit_code == 0, (place, done.exception)
        drawn += 1
        own_chart = re.sub(r"```mermaid\nxychart-beta\n[A-Za-z0-9_ .:,\[\]\"\n-]*```", "", done.output)
        shown = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", own_chart)
        for live in (
            r"@\w",
            r"#\d",
            r"GH-\d",
            r"https?://",
            r"www\.",
            r"(?<!\\)<[\w!/]",
            r"(?<!\\)&[#\w]",
            r"```",
            r"\]:",
            "\u202e",
        ):
            assert not re.search(live, shown), f"{live} by {place} in {shown}"
        assert not re.search(r"(?<!\\)\]\(|(?<!\\)\[[^ ]*\]\[|\$\$", shown), f"by {place} in {shown}"
    assert drawn > 40


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000, b'{"version": 2}', b'{"outcome": "MERGE"}', b"x" * 4_000_001],
)
def test_a_report_that_is_none_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (file := tmp_path / "report.json").write_bytes(content)
    done = CliRunner().invoke(draw, [str(file)])
    assert isinstance(done.exception, ReportRefused)
    assert "report.json" in str(done.exception)
    file.unlink()
    file.symlink_to("/etc/hostname")
    assert isinstance(CliRunner().invoke(draw, [str(file)]).exception, ReportRefused)


def test_a_report_of_any_length_fits_a_comment(tmp_path: Path) -> None:
    changes = [{**REPORT["changes"][0], "name": f"model.{number}", "reason": "x" * 190} for number in range(2000)]
    (file := tmp_path / "report.json").write_text(json.dumps({**REPORT, "changes": changes}))
    text = CliRunner().invoke(draw, [str(file)]).output
    assert len(text) < 65_536
    assert text.startswith("## ❌ REJECT")
    assert text.endswith("The rest is in the run's artifact.\n")


@pytest.mark.parametrize("pictures", ["none", "https://refused.invalid"])
def test_without_a_place_for_plots_the_report_names_them(pictures: str, tmp_path: Path) -> None:
    left_behind(tmp_path, REPORT)
    (tmp_path / "untrusted" / "report.md").write_text("a\n![roc](./roc.svg)\n")
    environ = runner_environ(tmp_path, REPORT_PICTURES=pictures, PATH="/nonexistent")
    done = subprocess.run(
        [sys.executable, SCRIPT, "publish", tmp_path / "untrusted"], env=environ, capture_output=True, text=True, check=True
    )
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
    assert report[True] == {"workflow_run": {"workflows": ["ci"], "types": ["completed"]}}
    assert report["permissions"] == {}
    [job] = report["jobs"].values()
    assert job["permissions"] == {"actions": "read", "contents": "read", "pull-requests": "write"}
    [checkout] = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"] == {"persist-credentials": False}, "no ref: the default branch"
    assert not any(step.get("uses", "").startswith("actions/cache@") for step in job["steps"])
    assert all(
        "untrusted" not in line["run"] or line["run"].startswith(".venv/bin/ml-assets draw ") for line in run_lines("report")
    )


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
    with webserver_double(commit) as (address, asked):
        said = execute(step, ROOT, runner_environ(tmp_path), values | {"${{ vars.DAGSTER_URL }}": address}, errors=True)
    assert "flights: nothing to do: nothing is stale" in said
    assert {token for _, token in asked} == {"Bearer not-to-be-seen"}
    assert "not-to-be-seen" not in said
    assert [name for name, _ in asked] == ["workspaceOrError", "runsOrError", "sensorDryRun"]


@pytest.mark.parametrize("workflow", sorted(WORKFLOWS))
def test_every_workflow_keeps_the_rules(workflow: str) -> None:
    found = WORKFLOWS[workflow]
    assert "pull_request_target" not in found[True]
    assert found["concurrency"]["group"]
    assert all(0 < job["timeout-minutes"] <= MOST_MINUTES.get(workflow, 30) for job in found["jobs"].values())
    assert all("${{" not in step["run"] for step in run_lines(workflow)), "what others wrote reaches a command through env alone"
    lines = (ROOT / ".github" / "workflows" / f"{workflow}.yml").read_text().splitlines()
    uses = [line.split("uses: ")[1] for line in lines if "uses: " in line]
    assert len(uses) == sum("uses" in step for step in steps(workflow))
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in uses), uses
    assert all(
        step["with"]["persist-credentials"] is False for step in steps(workflow) if "actions/checkout@" in step.get("uses", "")
    )
