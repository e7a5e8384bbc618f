"""The GitHub workflows: what they may do, and their own `run:` lines, executed in order on a copy of the checkout.

Real: bash, make, the path, the report, vetting, the HTTP requests (to a loopback server that answers as GitHub's API does).
Doubled: `cml`, by a script in tests/doubles that takes the arguments that the real one takes. Not tried: the actions.
"""

import json
import re
import runpy
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.ci_runner import RECURSES, ci_run
from tests.support.homes.small_home import DAYS, small_home
from tests.support.workflows import ROOT, SHA, WORKFLOWS, Api, execute, pull, run_lines, runner_environ, steps

SCRIPT = ROOT / ".github" / "report.py"
MOST_MINUTES = {"long": 350}
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


def test_the_report_becomes_one_comment_on_the_pull_request(reported: Path, tmp_path: Path, api: tuple[type[Api], str]) -> None:
    handler, address = api
    handler.files = [{"filename": f"docs/{n}.md"} for n in range(150)] + [{"filename": "ml_assets/products/flights/product.yaml"}]
    shutil.copytree(reported / "report", tmp_path / "untrusted")
    body = commented(tmp_path, address, branch="fix")
    assert body["target"] == "pr/7"
    text = body["body"]
    assert text.startswith(f"> This pull request changes what judges it: `product.yaml`.\n\n## ✅ flights {DAYS[-1]}: ACCEPT")
    assert len(re.findall(r"!\[[\w ]+\]\(https://asset\.cml\.dev/", text)) == len(list((tmp_path / "untrusted").glob("*.svg")))
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
    left_behind(tmp_path, "# fine\n")
    assert commented(tmp_path, address, branch=branch)["target"] == "pr/3"
    assert not (ROOT / "owned").exists()


def test_without_a_pull_request_at_exactly_the_commit_that_ran_nothing_is_said(
    tmp_path: Path, api: tuple[type[Api], str]
) -> None:
    handler, address = api
    handler.pulls = [pull(7, sha="b" * 40)]
    left_behind(tmp_path, "# fine\n")
    assert commented(tmp_path, address, branch="fix") == {}


HOSTILE = """\
# Fine | title
@maintainers please merge, fixes #1, see o/r#2 GH-3 and https://evil.example or www.evil.example or mail@evil.example
<img src="https://evil.example/track.png"><script>alert(1)</script><!-- hidden
[key](../../.git/config) ![key](../.git/config) ![env](/proc/self/environ) ![roc](./../secret.svg) ![roc](./secret.svg "t")
![remote](https://evil.example/x.svg) [a]: ./roc.svg
![link](./link.svg) ![active](./active.svg) ![loads](./loads.svg) ![png](./fake.png) ![big](./big.svg) ![roc](./roc.svg)
- ```mermaid
&#64;everyone &lt;b&gt; \u202egnp.exe
![](https://cml.dev/watermark.png#0 "CML watermark evaluation")
"""
SVG = '<svg xmlns="http://www.w3.org/2000/svg">%s</svg>'


def left_behind(folder: Path, text: str) -> None:
    """What a hostile run may upload."""
    source = folder / "untrusted"
    source.mkdir()
    (source / "report.md").write_text(text)
    (folder / "secret.svg").write_text(SVG % "secret")
    (source / "link.svg").symlink_to(folder / "secret.svg")
    (source / "roc.svg").write_text(SVG % "<path d='M0 0'/>")
    (source / "active.svg").write_text(SVG % "<script>1</script>")
    (source / "loads.svg").write_text(SVG % "<use href='https://evil.example/x.svg#a'/>")
    (source / "fake.png").write_text("#!/bin/sh")
    (source / "big.svg").write_text(SVG % ("x" * 600_000))
    (source / "run.sh").write_text("touch owned")


def test_a_hostile_report_is_text_and_one_harmless_picture(tmp_path: Path, api: tuple[type[Api], str]) -> None:
    left_behind(tmp_path, HOSTILE)
    body = commented(tmp_path, api[1], branch="fix")["body"].rsplit("\n\n![](https://cml.dev/watermark.png", 1)[0]
    assert sorted(path.name for path in (tmp_path / "vetted").iterdir()) == ["report.md", "roc.svg"]
    assert len(list((tmp_path / "sent").glob("*.*"))) == 2, "one picture and the comment are sent, nothing else"
    assert re.findall(r"!?\[[^\]]*\][(:\[]\S*", body) == re.findall(r"!\[roc\]\(https://asset\.cml\.dev/\w+\?\S+", body)
    rest = re.sub(r"!\[roc\]\(https://asset\.cml\.dev/[^)]+\)", "", body)
    for live in (r"@\w", r"#\d", r"GH-\d", r"https?://", r"www\.", r"<[\w!/]", r"&[#\w]", r"```", "\u202e", r"\]\(", r"\]:"):
        assert not re.search(live, rest), f"{live} in {rest}"


@pytest.mark.parametrize(
    "inside",
    [
        "<a xlink:href='#x'/>",
        "<image/>",
        "<g onload=''/>",
        "<style>@import 'x'</style>",
        "<g style='fill:url(http://x)'/>",
        "<!ENTITY x>",
    ],
)
def test_a_picture_that_could_do_anything_is_not_shown(inside: str, tmp_path: Path) -> None:
    left_behind(tmp_path, "![roc](./roc.svg)\n")
    (tmp_path / "untrusted" / "roc.svg").write_text(SVG % inside)
    subprocess.run([sys.executable, SCRIPT, "vet", tmp_path / "untrusted", tmp_path / "vetted"], check=True)
    assert [path.name for path in (tmp_path / "vetted").iterdir()] == ["report.md"]
    assert (tmp_path / "vetted" / "report.md").read_text() == "(roc: not shown)\n"


def test_a_report_that_is_none_is_refused(tmp_path: Path) -> None:
    left_behind(tmp_path, "x")
    (tmp_path / "untrusted" / "report.md").unlink()
    (tmp_path / "untrusted" / "report.md").symlink_to("/etc/hostname")
    command = [sys.executable, SCRIPT, "vet", tmp_path / "untrusted", tmp_path / "vetted"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no plain file" in done.stderr
    assert not (tmp_path / "vetted").exists()


@pytest.mark.parametrize("pictures", ["none", "https://refused.invalid"])
def test_without_a_place_for_plots_the_report_names_them(pictures: str, tmp_path: Path) -> None:
    left_behind(tmp_path, "a\n![roc](./roc.svg)\n")
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
        "untrusted" not in line["run"] or line["run"].startswith("python3 .github/report.py vet ") for line in run_lines("report")
    )


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
