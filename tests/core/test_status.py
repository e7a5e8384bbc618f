"""A review becomes a commit status that lets nothing merge that it should not."""

import subprocess

import msgspec
import pytest

from ml_assets.core.changes.commit_status import ForgeApprovals, status_of
from ml_assets.core.changes.pull_request_comment import JUDGES, judges_note
from ml_assets.core.changes.review import Acknowledgement, Outcome, Review
from resources.settings import ROOT

SHA = "a" * 40
ELSEWHERE = {".gitlab-ci.yml", "CODEOWNERS", "requirements.txt", "uv.lock"}
"""Judges that are in other repositories than this one."""


def review(outcome: Outcome, *reasons: str, **more: object) -> Review:
    return msgspec.convert(
        {"base": "b" * 40, "head": SHA, "is_dirty": False, "outcome": outcome, "reasons": reasons, **more}, Review
    )


@pytest.mark.parametrize(
    ("outcome", "policy", "state"),
    [
        ("UNCHANGED", "pass", "success"),
        ("ACCEPT", "pass", "success"),
        ("INCONCLUSIVE", "pass", "success"),
        ("INCONCLUSIVE", "fail", "failure"),
        ("REJECT", "pass", "failure"),
        ("WEAKENED", "pass", "failure"),
    ],
)
def test_the_state_follows_the_exit_code(outcome: Outcome, policy: str, state: str) -> None:
    status = status_of(review(outcome, "trains: floor: disproven", on_inconclusive=policy))
    assert (status.state, status.description) == (state, f"{outcome}: trains: floor: disproven")


def test_without_a_report_the_status_is_an_error() -> None:
    assert status_of(None).state == "error"


@pytest.mark.parametrize("text", ["x" * 500, "\U0001f600" * 200, "a\nb\x00\u202e" * 60])
def test_a_description_is_one_line_that_github_takes(text: str) -> None:
    description = status_of(review("REJECT", text)).description
    assert len(description) <= 140
    assert description.isprintable()
    assert max(map(ord, description)) < 0x10000
    assert description.startswith("REJECT: ")


def acknowledged(*names: str, outcome: Outcome = "ACCEPT") -> Review:
    given = [Acknowledgement(*name.split("/"), "meant") for name in names]
    return msgspec.structs.replace(review(outcome, "trains: fine"), acknowledged=tuple(given))


def approvals(rules: str, *approvers: str) -> ForgeApprovals:
    return ForgeApprovals(
        frozenset(approvers), rules, {"trains": "products/trains/product.yaml", "buses": "products/buses/product.yaml"}, "github"
    )


@pytest.mark.parametrize(
    ("given", "waits"),
    [
        (approvals("* @Ann"), "@Ann"),
        (approvals("* @ann @org/team", "bob"), "@ann (@org/team not counted)"),
        (approvals("* @org/team ann@example.org", "ann"), "(@org/team, ann@example.org not counted)"),
        (approvals(""), "products/trains/product.yaml has none in CODEOWNERS"),
        (approvals("/docs/ @ann", "ann"), "products/trains/product.yaml has none in CODEOWNERS"),
        (ForgeApprovals(frozenset({"ann"}), "* @ann", {}, "github"), "trains has none in CODEOWNERS"),
        (None, "no approvals were read"),
    ],
)
def test_an_acknowledged_weakening_waits_for_a_code_owner(given: ForgeApprovals | None, waits: str) -> None:
    status = status_of(acknowledged("trains/floor"), given)
    assert status.state == "pending"
    assert status.description == f"trains/floor acknowledged; waits for a code owner's approval: {waits}"


def test_a_code_owner_of_every_product_must_approve() -> None:
    rules = "/products/trains/ @ann\n/products/buses/ @bob\n"
    both = acknowledged("trains/floor", "buses/floor")
    assert status_of(both, approvals(rules, "ann")).description.endswith(": @bob")
    status = status_of(both, approvals(rules, "ann", "bob"))
    assert (status.state, status.description) == (
        "success",
        "ACCEPT: trains: fine; a code owner approved of trains/floor, buses/floor",
    )


def test_no_approval_makes_a_failure_a_success() -> None:
    assert status_of(acknowledged("trains/floor", outcome="REJECT"), approvals("* @ann", "ann")).state == "failure"


def test_who_is_waited_for_is_named_however_much_is_acknowledged() -> None:
    description = status_of(acknowledged(*(f"trains/claim{n}" for n in range(50))), approvals("* @ann")).description
    assert len(description) <= 140
    assert description.endswith("waits for a code owner's approval: @ann")


def test_what_judges_a_change_is_named_by_path() -> None:
    touched = ["docs/a.md", ".github/CODEOWNERS", "products/trains/product.yaml", "my_checks/a.py", "subproduct.yaml"]
    assert judges_note(touched) == "This change touches what judges it: `.github/`, `CODEOWNERS`, `product.yaml`."
    assert judges_note(touched[:1]) == ""


def test_every_judge_is_a_path_of_this_checkout() -> None:
    paths = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {judge for judge in JUDGES if not any(judges_note([path]).count(f"`{judge}`") for path in paths)} == ELSEWHERE
