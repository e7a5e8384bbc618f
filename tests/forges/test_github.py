"""`ml-assets post github`: who is told what, and whom a comment, a report and an approval must come from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forges import TOKEN, Fault, running
from tests.support.github_api import GitHubStandIn
from tests.support.posted import Change, Posted, change

MARK = "<!-- ml-assets/change "


@pytest.fixture
def forge() -> Iterator[GitHubStandIn]:
    github = GitHubStandIn()
    with running(github):
        yield github


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the tool would have waited."""
    waited: list[float] = []
    monkeypatch.setattr("resources.forges.api.sleep", waited.append)
    return waited


@pytest.fixture
def posted_change(forge: GitHubStandIn, tmp_path: Path) -> Change:
    environ = {
        "GITHUB_API_URL": forge.address,
        "GITHUB_GRAPHQL_URL": f"{forge.address}/graphql",
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_TOKEN": TOKEN,
        "GITHUB_RUN_ID": "77",
        "GITHUB_SERVER_URL": "https://github.example",
    }
    own_change = change(tmp_path, environ)
    forge.add_pull(7, own_change.head)
    return own_change


def post(posted_change: Change, report: Path | None) -> Posted:
    return posted_change.post("github", "--commit", posted_change.head, *(["--report", str(report)] if report else []))


def test_the_report_becomes_one_comment_and_a_status_of_the_head(forge: GitHubStandIn, posted_change: Change) -> None:
    assert post(posted_change, posted_change.report("REJECT")).code == 0
    [comment] = forge.comments[7]
    assert comment["body"].startswith(
        f"{MARK}{posted_change.head} failure -->\n> This change touches what judges it: `product.yaml`.\n\n## ❌ REJECT"
    )
    [status] = forge.statuses[posted_change.head]
    assert status == {
        "state": "failure",
        "context": "ml-assets/change",
        "description": "REJECT: trains: floor: because",
        "target_url": "https://github.example/o/r/actions/runs/77",
    }
    done = post(posted_change, posted_change.report("ACCEPT"))
    assert done.stdout == "7: success: ACCEPT: trains: floor: because\n"
    assert [c["id"] for c in forge.comments[7]] == [comment["id"]]
    assert "ACCEPT" in forge.comments[7][0]["body"]
    assert forge.statuses[posted_change.head][0]["state"] == "success"


def test_a_comment_of_somebody_else_with_the_marker_is_left_alone(forge: GitHubStandIn, posted_change: Change) -> None:
    forged = f"{MARK}{posted_change.head} success -->\nAll is well"
    for author in ("eve", "github-actions", "other-app[bot]"):
        forge.add_comment(7, author, forged)
    assert post(posted_change, posted_change.report()).code == 0
    *others, own = forge.comments[7]
    assert [c["body"] for c in others] == [forged] * 3
    assert own["user"]["login"] == "github-actions[bot]"


def test_an_own_comment_about_something_else_is_left_alone(forge: GitHubStandIn, posted_change: Change) -> None:
    forge.add_comment(7, "github-actions[bot]", f"Coverage\n{MARK}{posted_change.head} success -->\n")
    assert post(posted_change, posted_change.report()).code == 0
    assert len(forge.comments[7]) == 2


def test_the_comment_is_found_on_a_later_page(forge: GitHubStandIn, posted_change: Change) -> None:
    for number in range(250):
        forge.add_comment(7, "ann", f"comment {number}")
    assert post(posted_change, posted_change.report()).code == 0
    assert post(posted_change, posted_change.report("REJECT")).code == 0
    assert [c for c in forge.comments[7] if c["body"].startswith(MARK)] == [forge.comments[7][250]]


def test_only_an_open_request_with_exactly_this_head_into_the_default_branch_is_told(
    forge: GitHubStandIn, posted_change: Change
) -> None:
    forge.pulls.clear()
    for number in range(150):
        forge.add_pull(number + 10, f"{number:040x}")
    forge.add_pull(8, posted_change.head, base="lenient")
    done = post(posted_change, posted_change.report())
    assert (
        done.stdout == f"{posted_change.head[:12]} is the head of no open request into the default branch; nothing was posted\n"
    )
    assert (forge.comments, forge.statuses) == ({}, {})
    forge.add_pull(9, posted_change.head, author="ann")
    forge.add_pull(300, posted_change.head, author="eve")
    assert post(posted_change, posted_change.report()).code == 0
    assert sorted(forge.comments) == [9, 300]


def test_a_report_of_another_commit_is_refused(forge: GitHubStandIn, posted_change: Change) -> None:
    done = post(posted_change, posted_change.report(head="c" * 40))
    assert done.code == 1
    assert f"the report is of commit {'c' * 40}, and not of {posted_change.head}; nothing was posted" in done.stderr
    assert (forge.comments, forge.statuses) == ({}, {})


@pytest.mark.parametrize("content", ["", "{", '{"outcome": "MERGE"}'])
def test_a_report_that_is_none_is_refused(forge: GitHubStandIn, posted_change: Change, content: str) -> None:
    folder = posted_change.report()
    (folder / "report.json").write_text(content)
    done = post(posted_change, folder)
    assert (done.code, forge.statuses) == (1, {})
    assert "report.json is not a report" in done.stderr


def test_without_a_report_the_status_is_an_error_and_no_comment_says_otherwise(
    forge: GitHubStandIn, posted_change: Change
) -> None:
    for report in (None, posted_change.team.home / "nowhere" / "report.json"):
        assert post(posted_change, report).code == 0
    assert [s["state"] for s in forge.statuses[posted_change.head]] == ["error", "error"]
    assert forge.comments == {}


def test_an_acknowledged_weakening_waits_until_a_code_owner_approves_of_its_head(
    forge: GitHubStandIn, posted_change: Change
) -> None:
    forge.code_owners[".github/CODEOWNERS"] = "* @org/all\n/products/ @Ann @org/ml\n"
    forge.code_owners["CODEOWNERS"] = "* @eve\n"
    assert post(posted_change, posted_change.acknowledged()).code == 0
    assert _now(forge, posted_change) == (
        "pending",
        "trains/floor acknowledged; waits for a code owner's approval: @Ann (@org/ml not counted)",
    )
    forge.add_review(7, "bob", "APPROVED", posted_change.head)
    forge.add_review(7, "ann", "APPROVED", posted_change.base)
    forge.add_review(7, "ann", "COMMENTED", posted_change.head)
    post(posted_change, posted_change.acknowledged())
    assert _now(forge, posted_change)[0] == "pending"
    forge.add_review(7, "ann", "APPROVED", posted_change.head)
    forge.add_review(7, "ann", "COMMENTED", posted_change.head)
    post(posted_change, posted_change.acknowledged())
    assert _now(forge, posted_change) == ("success", "ACCEPT: trains: floor: because; a code owner approved of trains/floor")


@pytest.mark.parametrize("later", ["CHANGES_REQUESTED", "DISMISSED"])
def test_an_approval_that_was_taken_back_does_not_count(forge: GitHubStandIn, posted_change: Change, later: str) -> None:
    forge.code_owners["docs/CODEOWNERS"] = "* @ann"
    forge.add_review(7, "ann", "APPROVED", posted_change.head)
    forge.add_review(7, "ann", later, posted_change.head)
    post(posted_change, posted_change.acknowledged())
    assert _now(forge, posted_change)[0] == "pending"


def test_nobody_approves_of_a_change_of_their_own(forge: GitHubStandIn, posted_change: Change) -> None:
    forge.code_owners["CODEOWNERS"] = "* @eve"
    forge.add_pull(8, posted_change.head, author="mallory")
    for number in (7, 8):
        forge.add_review(number, "eve", "APPROVED", posted_change.head)
    post(posted_change, posted_change.acknowledged())
    assert _now(forge, posted_change)[0] == "pending"


def _now(forge: GitHubStandIn, posted_change: Change) -> tuple[str, str]:
    status = forge.statuses[posted_change.head][0]
    return status["state"], status["description"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("", 401, body={"message": "Bad credentials"}), "401 Bad credentials; GITHUB_TOKEN is not valid here"),
        (Fault("POST .*/statuses", 403), "POST repos/o/r/statuses/{head}: 403 a fault; the token may not do this: give the job"),
        (Fault("/repos/o/r$", 404), "GET repos/o/r: 404 a fault; check GITHUB_REPOSITORY"),
        (Fault("POST .*/comments", 422), "422 a fault; nothing more was posted"),
        (Fault("POST .*/comments", 502, body=b"<html>"), "502 Bad Gateway; the forge fails; run the job again"),
        (Fault("", 301, {"Location": "http://127.0.0.1:9/"}), "301 a fault; nothing more was posted"),
        (Fault("", 200, body=b"<html>"), "does not answer as its API does; is that the address of the API?"),
        (Fault("/pulls$", 200, body={}), "does not answer as its API does; is that the address of the API?"),
        (Fault("", 403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9999999999"}), "too many requests for this token"),
        (Fault("", 429), "too many requests for this token; run the job again in an hour"),
        (Fault("", 400, body={"message": f"the token {TOKEN}\nis odd"}), "the token *** is odd; nothing more was posted"),
    ],
)
def test_a_refusal_names_the_culprit_and_the_next_step(
    forge: GitHubStandIn, posted_change: Change, fault: Fault, words: str
) -> None:
    forge.faults.append(fault)
    done = post(posted_change, posted_change.report())
    assert done.code == 1
    assert done.stderr.startswith("error: GitHub")
    assert words.format(head=posted_change.head) in done.stderr


def test_a_next_page_elsewhere_never_gets_the_token(forge: GitHubStandIn, posted_change: Change) -> None:
    elsewhere = GitHubStandIn()
    with running(elsewhere) as address:
        forge.faults.append(Fault("/pulls$", 200, {"Link": f'<{address}/repos/o/r/pulls?page=2>; rel="next"'}, []))
        done = post(posted_change, posted_change.report())
    assert (done.code, elsewhere.requested) == (1, [])
    assert "the next page is said to be at" in done.stderr


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"GITHUB_TOKEN": ""}, "GITHUB_TOKEN is not set: give the step"),
        ({"GITHUB_REPOSITORY": ""}, "GITHUB_REPOSITORY is not set: a GitHub Actions job has it"),
        ({"GITHUB_API_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9 does not answer: ConnectionError"),
        ({"GITHUB_TOKEN": "a\nsecret"}, "does not answer: InvalidHeader"),
    ],
)
def test_a_setting_that_is_wrong_is_named(
    posted_change: Change, variables: dict[str, str], words: str, waits: list[float]
) -> None:
    done = posted_change.post("github", "--commit", posted_change.head, "--report", str(posted_change.report()), **variables)
    assert (done.code, words in done.stderr) == (1, True), done.stderr
    assert waits == ([1, 2, 4] if ":9" in words else [])


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ([Fault("GET .*/comments", 502, times=2)], [1, 2]),
        ([Fault("GET", 429, {"Retry-After": "3"})], [3]),
        ([Fault("POST .*/statuses", 403, {"Retry-After": "60"})], [60]),
        ([Fault("GET", 403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "0"})], [0]),
    ],
)
def test_a_failure_that_passes_is_waited_for(
    forge: GitHubStandIn, posted_change: Change, waits: list[float], faults: list[Fault], expected: list[float]
) -> None:
    forge.faults.extend(faults)
    assert post(posted_change, posted_change.report()).code == 0
    assert waits == expected
    assert (len(forge.comments[7]), len(forge.statuses[posted_change.head])) == (1, 1)


@pytest.mark.parametrize("commit", ["main", "a" * 39, "../" + "a" * 37])
def test_the_commit_is_a_commit(posted_change: Change, commit: str) -> None:
    done = posted_change.post("github", "--commit", commit)
    assert done.code == 2
    assert "--commit takes the 40 digits of the commit that ran" in done.stderr
