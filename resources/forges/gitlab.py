"""A project on GitLab, by its REST API and the environment of a GitLab CI job."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote

from ml_assets.core.changes.code_owners import Dialect
from ml_assets.core.changes.commit_status import CONTEXT, State, Status
from resources.forges.api import Api, NotFound
from resources.forges.forge import ChangeRequest, marker, required

CODE_OWNERS = ("CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")
STATES: Mapping[State, str] = {"success": "success", "failure": "failed", "pending": "pending", "error": "failed"}
JOB = "change"
"""The job of a merge request's pipeline whose artifact holds what its code scored."""
FINISHED = ("success", "failed", "canceled", "skipped")
MOST_BYTES = 1 << 30
ADVICE = {
    401: "GITLAB_TOKEN is not valid here: a project access token with the scope `api`, in a protected and masked variable",
    403: "the token may not do this: give it the scope `api` and the role Developer",
    404: "check CI_PROJECT_ID and CI_API_V4_URL, and that the token may read the project",
}


@dataclass(frozen=True)
class GitLab:
    """`project`: the number of the project that merge requests go to."""

    api: Api
    project: str
    job_url: str = ""
    dialect: Dialect = "gitlab"

    def requests(self, commit: str) -> Sequence[ChangeRequest]:
        """The open merge requests into the default branch whose head is exactly this commit."""
        return [request for request in self.open_requests() if request.head == commit]

    def open_requests(self) -> Sequence[ChangeRequest]:
        """The open merge requests into the default branch."""
        requests = self.api.pages(f"{self._path}/merge_requests", state="opened", target_branch=self._default_branch)
        return [
            ChangeRequest(int(request["iid"]), str(request["sha"]), str(request["author"]["username"]).lower())
            for request in requests
        ]

    def comment(self, request: ChangeRequest, body: str) -> None:
        """Write this author's note on a merge request, or change it in place."""
        place = f"{self._request(request)}/notes"
        note = self._own_note(request)
        self.api.send("PUT" if note else "POST", f"{place}/{note['id']}" if note else place, {"body": body})

    def judged(self, request: ChangeRequest) -> str | None:
        """The state that this author's note on a merge request gives its head commit; None where it is about none or another."""
        marked = marker((self._own_note(request) or {}).get("body"))
        return marked[1] if marked and marked[0] == request.head else None

    def artifact(self, request: ChangeRequest) -> bytes | None:
        """The archive that the newest job `change` of the head's pipeline left behind, which is hostile. None while the pipeline
        runs; empty where it left none."""
        pipeline = self.api.get(self._request(request)).get("head_pipeline") or {}
        if pipeline.get("sha") != request.head or pipeline.get("status") not in FINISHED:
            return None
        source = f"projects/{int(pipeline['project_id'])}"
        jobs = self.api.pages(f"{source}/pipelines/{int(pipeline['id'])}/jobs")
        left = [int(job["id"]) for job in jobs if job["name"] == JOB and job.get("artifacts_file")]
        return self.api.download(f"{source}/jobs/{max(left)}/artifacts", MOST_BYTES) if left else b""

    def code_owners(self) -> str:
        """The first CODEOWNERS of those that GitLab looks for."""
        for name in CODE_OWNERS:
            try:
                file = self.api.get(f"{self._path}/repository/files/{quote(name, safe='')}", ref=self._default_branch)
            except NotFound:
                continue
            return base64.b64decode(file["content"]).decode("utf-8", "replace")
        return ""

    def approvers(self, request: ChangeRequest) -> set[str]:
        """The logins that approved of the merge request since its head commit was pushed.

        GitLab can leave approvals in place after a push, and doesn't say of which commit they are: only when they were given.
        """
        version: dict[str, Any] = next(self.api.pages(f"{self._request(request)}/versions"), {})
        if version.get("head_commit_sha") != request.head:
            return set()
        pushed = datetime.fromisoformat(version["created_at"])
        given = self.api.get(f"{self._request(request)}/approvals")["approved_by"]
        later = [
            approval["user"] for approval in given if (at := approval.get("approved_at")) and datetime.fromisoformat(at) > pushed
        ]
        return {str(user["username"]).lower() for user in later}

    def post_status(self, commit: str, status: Status) -> None:
        """Set the commit's status `ml-assets/change`, in the pipeline of its merge request where GitLab finds it."""
        state = STATES[status.state]
        if state == "pending" and self._state(commit) == state:
            return  # GitLab answers 400: nothing goes from pending to pending
        body = {"state": state, "name": CONTEXT, "description": status.description}
        self.api.send("POST", f"{self._path}/statuses/{commit}", body | ({"target_url": self.job_url} if self.job_url else {}))

    def _state(self, commit: str) -> str | None:
        statuses = self.api.pages(f"{self._path}/repository/commits/{commit}/statuses", name=CONTEXT)
        return next((str(status["status"]) for status in statuses if status["name"] == CONTEXT), None)

    @property
    def _path(self) -> str:
        return f"projects/{quote(self.project, safe='')}"

    def _request(self, request: ChangeRequest) -> str:
        return f"{self._path}/merge_requests/{request.number}"

    def _own_note(self, request: ChangeRequest) -> dict[str, Any] | None:
        notes = self.api.pages(f"{self._request(request)}/notes")
        return next((note for note in notes if note["author"]["id"] == self._own_number and marker(note["body"])), None)

    @cached_property
    def _own_number(self) -> int:
        return int(self.api.get("user")["id"])

    @cached_property
    def _default_branch(self) -> str:
        return str(self.api.get(self._path)["default_branch"])


def gitlab(environ: Mapping[str, str]) -> GitLab:
    """The project of a GitLab CI job. Raises ForgeRefused where a variable is missing."""
    reason = "a project access token with the scope `api`, in a protected and masked CI/CD variable"
    token = required(environ, "GITLAB_TOKEN", reason)
    root = required(environ, "CI_API_V4_URL", "a GitLab CI job has it: https://gitlab.example.org/api/v4").rstrip("/")
    project = required(environ, "CI_PROJECT_ID", "a GitLab CI job has it: the number of the project")
    return GitLab(Api("GitLab", root, token, {"PRIVATE-TOKEN": token}, ADVICE), project, environ.get("CI_JOB_URL", ""))
