"""`ml-assets post`: what was derived about a change, as comment and status on the forge that it is proposed on."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_assets.cli.shared.group import Group
from resources.settings import settings

if TYPE_CHECKING:
    from ml_assets.core.changes.commit_status import Status
    from resources.forges.forge import ChangeRequest, Forge


def _of_one_commit(function: Callable[..., None]) -> Callable[..., None]:
    """The options that name the commit and its report."""
    report = click.option(
        "--report", "-r", type=click.Path(path_type=Path), help="The report.json that `ml-assets ci` derived, or its folder."
    )
    return report(click.option("--commit", metavar="SHA", help="The commit that ran: the head of the pull request.")(function))


@click.group(cls=Group)
def command() -> None:
    """Post the report of a change: one comment, kept up to date, and the commit status `ml-assets/change`.

    It needs a token that writes, so it belongs into a job that runs nothing of the change and derives the report itself:
    `ml-assets ci --head SHA --walked DIRECTORY`. Where a weakening is acknowledged the status waits for a code owner's approval.
    Without --report, or where the file is not there, the status says that there is no report.
    """


@command.command("github")
@_of_one_commit
def github_command(commit: str | None, report: Path | None) -> None:
    """Post to the pull requests of a GitHub repository, in a job of GitHub Actions.

    Reads GITHUB_TOKEN, GITHUB_REPOSITORY, GITHUB_API_URL and GITHUB_GRAPHQL_URL.
    """
    from resources.forges.github import github

    _post_one(github(os.environ), commit, report)


@command.command("gitlab")
@_of_one_commit
@click.option("--open", "is_open", is_flag=True, help="Derive and post the reports of all open merge requests.")
def gitlab_command(commit: str | None, report: Path | None, is_open: bool) -> None:
    """Post to the merge requests of a GitLab project, in a job of GitLab CI on the default branch.

    Reads GITLAB_TOKEN (a project access token with the scope `api`), CI_PROJECT_ID and CI_API_V4_URL.
    """
    from ml_assets.services.review.open_requests import post_open
    from resources.forges.gitlab import gitlab
    from resources.git_trees import Repository

    if not is_open:
        _post_one(gitlab(os.environ), commit, report)
        return
    if commit or report:
        raise click.UsageError("--open derives each report itself; leave out --commit and --report")
    failures = 0
    for outcome in post_open(gitlab(os.environ), Repository.around(Path.cwd()), settings().products):
        click.echo(outcome.words, err=outcome.is_failure)
        failures += outcome.is_failure
    sys.exit(min(failures, 1))


def _post_one(forge: "Forge", commit: str | None, report: Path | None) -> None:
    from ml_assets.services.review import report_folder
    from ml_assets.services.review.forge_posts import post
    from resources.git_trees import Repository

    if commit is None or not _is_commit(commit):
        raise click.UsageError("--commit takes the 40 digits of the commit that ran")
    file = report / report_folder.JSON if report and report.is_dir() else report
    review = report_folder.read(file) if file and file.exists() else None
    _say(*post(forge, Repository.around(Path.cwd()), review, commit, settings().products), commit)


def _is_commit(text: str) -> bool:
    return len(text) == 40 and not set(text) - set("0123456789abcdef")


def _say(status: "Status", requests: "Sequence[ChangeRequest]", commit: str) -> None:
    if not requests:
        click.echo(f"{commit[:12]} is the head of no open request into the default branch; nothing was posted")
        return
    click.echo(f"{', '.join(str(request.number) for request in requests)}: {status.state}: {status.description}")
