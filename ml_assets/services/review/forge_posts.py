"""Post what was derived about a change: the comment of its pull request, and the status of its commit."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_assets.core.changes.commit_status import ForgeApprovals, Status, status_of
from ml_assets.core.changes.pull_request_comment import comment, judges_note
from ml_assets.core.changes.review import Review
from ml_assets.services.review.report_folder import ReportRefused
from ml_assets.spec.product_files import SPEC_FILE
from resources.forges.forge import ChangeRequest, Forge, marked
from resources.git_trees import Repository


def post(
    forge: Forge, repository: Repository, review: Review | None, commit: str, roots: Sequence[Path]
) -> tuple[Status, Sequence[ChangeRequest]]:
    """Comment on every open request whose head is the commit, and set the commit's status. The status, and the requests.

    Without a review the status is an error, and a comment stays as it is. Where no request has this head any more nothing is
    posted. `roots` are the folders of products. Raises ReportRefused for a review of another commit, and ForgeRefused.
    """
    if review is not None and review.head != commit:
        raise ReportRefused(f"the report is of commit {review.head}, and not of {commit}; nothing was posted")
    requests = forge.requests(commit)
    status = status_of(review, _approvals(forge, repository, review, requests, roots))
    if not requests:
        return status, requests
    forge.post_status(commit, status)
    if review is not None:
        note = judges_note(repository.changed_paths(review.base, review.head))
        for request in requests:
            forge.comment(request, marked(comment(review, note), commit, status.state))
    return status, requests


def _approvals(
    forge: Forge, repository: Repository, review: Review | None, requests: Sequence[ChangeRequest], roots: Sequence[Path]
) -> ForgeApprovals | None:
    """The approvers, requested only if something is acknowledged. An author of one of the requests doesn't count."""
    if review is None or not review.acknowledged:
        return None
    approvers = {name for request in requests for name in forge.approvers(request)} - {request.author for request in requests}
    return ForgeApprovals(frozenset(approvers), forge.code_owners(), _paths(repository, roots), forge.dialect)


def _paths(repository: Repository, roots: Sequence[Path]) -> Mapping[str, str]:
    """The path in the repository of each product's product.yaml, by the folder's name, which is the product's."""
    files = [file for root in roots for file in sorted(root.glob(f"*/{SPEC_FILE}")) if repository.holds(root)]
    return {file.parent.name: file.relative_to(repository.root).as_posix() for file in files}
