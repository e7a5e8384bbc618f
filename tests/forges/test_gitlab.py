"""`ml-assets post gitlab`: the same promises as on GitHub, and all open merge requests from the default branch."""

import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets.services.review import open_requests
from ml_assets.services.review.open_requests import unpack
from tests.support.forges import TOKEN, Fault, StandIn, running
from tests.support.gitlab_api import GitLabStandIn
from tests.support.posted import Change, Posted, change

MARK = "<!-- ml-assets/change "


@pytest.fixture
def forge() -> Iterator[GitLabStandIn]:
    gitlab = GitLabStandIn(known_as="project_9_bot")
    with running(gitlab):
        yield gitlab


@pytest.fixture
def posted_change(forge: GitLabStandIn, tmp_path: Path) -> Change:
    environ = {
        "CI_API_V4_URL": f"{forge.address}/api/v4",
        "CI_PROJECT_ID": "9",
        "GITLAB_TOKEN": TOKEN,
        "CI_JOB_URL": "https://job",
    }
    own_change = change(tmp_path, environ)
    forge.add_request(12, own_change.head)
    return own_change


def post(posted_change: Change, report: Path) -> Posted:
    return posted_change.post("gitlab", "--commit", posted_change.head, "--report", str(report))


def test_the_report_becomes_one_note_and_a_status_of_the_head(forge: GitLabStandIn, posted_change: Change) -> None:
    for number in range(120):
        forge.add_comment(12, "ann", f"note {number}")
    forge.add_comment(12, "eve", f"{MARK}{posted_change.head} success -->\nAll is well")
    assert post(posted_change, posted_change.report("REJECT")).code == 0
    assert post(posted_change, posted_change.report("ACCEPT")).code == 0
    forged, own = forge.comments[12][120:]
    assert forged["body"].endswith("All is well")
    assert own["body"].startswith(
        f"{MARK}{posted_change.head} success -->\n> This change touches what judges it: `product.yaml`.\n"
    )
    assert [(s["name"], s["state"], s["target_url"]) for s in forge.statuses[posted_change.head]] == [
        ("ml-assets/change", "success", "https://job"),
        ("ml-assets/change", "failed", "https://job"),
    ]


def test_an_approval_counts_that_was_given_after_the_head_was_pushed(forge: GitLabStandIn, posted_change: Change) -> None:
    forge.code_owners["CODEOWNERS"] = "[Models]\n/products/ @ann\n"
    forge.approve(12, "ann", "2026-01-01T09:59:59.000Z")
    forge.approve(12, "bob", "2026-01-01T11:00:00.000Z")
    for _ in range(2):
        assert post(posted_change, posted_change.acknowledged()).stdout.startswith(
            "12: pending: trains/floor acknowledged; waits for"
        )
    assert len(forge.statuses[posted_change.head]) == 1
    forge.approvals[12] = [{"user": {"username": "Ann"}}]
    assert post(posted_change, posted_change.acknowledged()).stdout.startswith("12: pending: ")
    forge.approvals.clear()
    forge.approve(12, "Ann", "2026-01-01T12:00:00.000+01:00")
    assert post(posted_change, posted_change.acknowledged()).stdout.startswith("12: success: ")


def test_an_approval_of_the_author_or_of_an_earlier_version_does_not_count(forge: GitLabStandIn, posted_change: Change) -> None:
    forge.code_owners[".gitlab/CODEOWNERS"] = "* @eve @ann"
    forge.approve(12, "eve", "2026-01-01T11:00:00.000Z")
    assert post(posted_change, posted_change.acknowledged()).stdout.startswith("12: pending: ")
    forge.approve(12, "ann", "2026-01-01T11:00:00.000Z")
    forge.versions[12].insert(0, {"head_commit_sha": posted_change.base, "created_at": "2026-01-01T10:30:00.000Z"})
    assert post(posted_change, posted_change.acknowledged()).stdout.startswith("12: pending: ")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"GITLAB_TOKEN": ""}, "GITLAB_TOKEN is not set: a project access token with the scope `api`"),
        ({"GITLAB_TOKEN": "other"}, "401 Bad credentials; GITLAB_TOKEN is not valid here"),
        ({"CI_PROJECT_ID": "10"}, "404 404 Not Found; check CI_PROJECT_ID"),
        ({"CI_API_V4_URL": ""}, "CI_API_V4_URL is not set: a GitLab CI job has it"),
    ],
)
def test_a_setting_that_is_wrong_is_named(posted_change: Change, variables: dict[str, str], words: str) -> None:
    done = posted_change.post("gitlab", "--commit", posted_change.head, **variables)
    assert (done.code, words in done.stderr) == (1, True), done.stderr


def archive(**files: str) -> bytes:
    """A zip of files, whose names have `__` for a slash."""
    with zipfile.ZipFile(content := io.BytesIO(), "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)
    return content.getvalue()


@pytest.fixture
def store(forge: GitLabStandIn) -> Iterator[dict[str, bytes]]:
    """The object store that the artifacts lie in, by job. It never gets the token."""
    files: dict[str, bytes] = {}

    class Store(StandIn):
        def answer(self, method: str, path: str, query: dict[str, str], body: object) -> tuple[int, bytes]:
            return 200, files[path.strip("/")]

    storage = Store()
    with running(storage, token_is_needed=False) as forge.store:
        yield files
    assert not any(TOKEN in value for headers in storage.sent for value in headers.values())


@pytest.fixture
def remote(posted_change: Change) -> Change:
    """The clone of a job on the default branch: it knows the merge requests by their refs in the remote alone."""
    posted_change.team.git("update-ref", "refs/merge-requests/12/head", posted_change.head)
    origin = posted_change.team.root.with_name("origin.git")
    posted_change.team.git("clone", "--quiet", "--mirror", ".", str(origin))
    posted_change.team.git("remote", "add", "origin", str(origin))
    return posted_change


@pytest.fixture
def derivations(monkeypatch: pytest.MonkeyPatch, remote: Change) -> list[str]:
    """What `ml-assets ci --head … --walked …` was given, in place of it: it writes the report of an acknowledged weakening."""
    seen: list[str] = []

    def run(command: list[str], **options: object) -> object:
        if "ml_assets" not in command:
            return run_really(command, **options)
        environ, arguments = options["env"], dict(zip(command[4::2], command[5::2], strict=True))
        assert isinstance(environ, dict)
        assert TOKEN not in environ.values()
        seen.append(" ".join(p.name for p in sorted(Path(arguments["--walked"]).iterdir())))
        assert (arguments["--base"], arguments["--head"]) == ("HEAD", remote.head)
        shutil.copytree(remote.acknowledged(), arguments["--output"])
        return open_requests.subprocess.CompletedProcess(command, 0)

    run_really = open_requests.subprocess.run
    monkeypatch.setattr(open_requests.subprocess, "run", run)
    return seen


def test_every_open_merge_request_is_derived_and_posted_once(
    forge: GitLabStandIn, remote: Change, store: dict[str, bytes], derivations: list[str]
) -> None:
    forge.code_owners["CODEOWNERS"] = "* @ann"
    forge.jobs[112] = [{"id": n, "name": name, "artifacts_file": {}} for n, name in ((5, "change"), (6, "change"), (7, "test"))]
    for job in forge.jobs[112]:
        job["artifacts_file"] = {"filename": "artifacts.zip"}
    store["6"] = archive(change__walk__trains__walk_json="{}", change__report_json="{}")
    first = remote.post("gitlab", "--open")
    assert (first.code, derivations) == (0, ["trains"]), first.stderr
    assert first.stdout == "!12: pending: trains/floor acknowledged; waits for a code owner's approval: @ann\n"
    forge.approve(12, "ann", "2026-01-01T11:00:00.000Z")
    assert remote.post("gitlab", "--open").stdout.startswith("!12: success: ")
    third = remote.post("gitlab", "--open")
    assert third.stdout == f"!12: success is posted for {remote.head[:12]} already\n"
    assert len(derivations) == 2
    assert remote.team.git("status", "--porcelain", "--branch") == "## main\n", "nothing of head is checked out"


@pytest.mark.parametrize("pipeline", [None, {"status": "running"}, {"sha": "c" * 40}])
def test_a_pipeline_that_has_not_ended_or_is_of_another_commit_is_waited_for(
    forge: GitLabStandIn, remote: Change, derivations: list[str], pipeline: dict[str, str] | None
) -> None:
    request = forge.merge_requests[0]
    request["head_pipeline"] = pipeline and request["head_pipeline"] | pipeline
    assert "the next run asks again" in remote.post("gitlab", "--open").stdout
    assert (derivations, forge.statuses) == ([], {})


def test_a_run_that_left_no_artifact_is_judged_as_one_that_scored_nothing(
    forge: GitLabStandIn, remote: Change, derivations: list[str]
) -> None:
    assert remote.post("gitlab", "--open").code == 0
    assert derivations == [""]


def test_a_merge_request_that_fails_keeps_none_of_the_others_waiting(
    forge: GitLabStandIn, remote: Change, derivations: list[str]
) -> None:
    forge.merge_requests.insert(0, forge.merge_requests[0] | {"iid": 11, "sha": "d" * 40})
    forge.faults.append(Fault("merge_requests/11", 404, times=99))
    done = remote.post("gitlab", "--open")
    assert (done.code, done.stdout.startswith("!12: pending")) == (1, True)
    assert done.stderr.startswith("!11: error: GitLab: GET ")


def test_a_head_that_moved_since_is_not_judged_by_what_came_after(
    forge: GitLabStandIn, remote: Change, derivations: list[str]
) -> None:
    origin = remote.team.root.with_name("origin.git")
    remote.team.git("--git-dir", str(origin), "update-ref", "refs/merge-requests/12/head", remote.base)
    assert remote.post("gitlab", "--open").stdout.startswith("!12: error: no report")
    assert derivations == []


def test_what_is_left_out_by_a_failing_derivation_is_an_error(
    forge: GitLabStandIn, remote: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_requests, "VERDICTS", ())
    monkeypatch.setattr(open_requests.sys, "executable", "/bin/true")
    assert remote.post("gitlab", "--open").stdout.startswith("!12: error: no report")
    assert forge.statuses[remote.head][0]["state"] == "failed"


def test_a_hostile_archive_writes_nothing_but_a_walk(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("change/walk/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(content := io.BytesIO(), "w") as archive:
        for name in (
            "../a",
            "change/walk/../../b",
            "/c",
            "change/walk/.d",
            "change/walk/e/f/g",
            "change/report.json",
            "change/walk/",
        ):
            archive.writestr(name, "x")
        archive.writestr(link, "/etc/passwd")
        archive.writestr("change/walk/trains/scores.parquet", "x")
        archive.writestr("change/walk/trains", "x")
    unpack(content.getvalue(), tmp_path / "in" / "walk")
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if not p.is_dir()] == [
        "in/walk/trains/scores.parquet"
    ]
    for place, damaged in enumerate((b"", b"PK", content.getvalue()[:-30])):
        unpack(damaged, tmp_path / f"damaged{place}")
        assert not [*(tmp_path / f"damaged{place}").iterdir()]


def test_an_archive_that_would_fill_the_disk_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_requests, "MOST_BYTES", 10)
    unpack(archive(change__walk__trains="x" * 11), tmp_path / "walk")
    assert not [*(tmp_path / "walk").iterdir()]
