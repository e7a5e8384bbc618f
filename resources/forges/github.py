"""A repository on GitHub, by its REST API and the environment of a GitHub Actions job."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ml_assets.core.changes.code_owners import Dialect
from ml_assets.core.changes.commit_status import CONTEXT, Status
from resources.forges.api import Api, NotFound
from resources.forges.forge import ChangeRequest, ForgeRefused, marker, required

CODE_OWNERS = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
DECIDING = ("APPROVED", "CHANGES_REQUESTED", "DISMISSED")
"""The states of a review that replace what the same person said before; a comment does not."""
ADVICE = {
    401: "GITHUB_TOKEN is not valid here: give the step `GITHUB_TOKEN: ${{ github.token }}`",
    403: "the token may not do this: give the job `pull-requests: write`, `statuses: write` and `contents: read`",
    404: "check GITHUB_REPOSITORY and GITHUB_API_URL, and that the token may read the repository",
}


@dataclass(frozen=True)
class GitHub:
    """`repository`: owner/name. `graphql`: the address of the GraphQL API, which alone says whose a job's token is."""

    api: Api
    repository: str
    graphql: Api
    job_url: str = ""
    dialect: Dialect = "github"

    def requests(self, commit: str) -> Sequence[ChangeRequest]:
        """The open pull requests into the default branch whose head is exactly this commit."""
        pulls = self.api.pages(f"{self._path}/pulls", state="open", base=self._default_branch)
        return [ChangeRequest(int(pull["number"]), commit, _login(pull)) for pull in pulls if pull["head"]["sha"] == commit]

    def comment(self, request: ChangeRequest, body: str) -> None:
        """Write this author's comment on a pull request, or change it in place."""
        place = f"{self._path}/issues/{request.number}/comments"
        for comment in self.api.pages(place):
            if _login(comment) in self._own_names and marker(comment["body"]):
                self.api.send("PATCH", f"{self._path}/issues/comments/{comment['id']}", {"body": body})
                return
        self.api.send("POST", place, {"body": body})

    def code_owners(self) -> str:
        """The first CODEOWNERS of those that GitHub looks for."""
        for name in CODE_OWNERS:
            try:
                file = self.api.get(f"{self._path}/contents/{name}", ref=self._default_branch)
            except NotFound:
                continue
            return base64.b64decode(file["content"]).decode("utf-8", "replace")
        return ""

    def approvers(self, request: ChangeRequest) -> set[str]:
        """The logins whose last decision about the pull request is an approval of its head commit."""
        last: dict[str, Any] = {}
        for review in self.api.pages(f"{self._path}/pulls/{request.number}/reviews"):
            if review["state"] in DECIDING:
                last[_login(review)] = review
        return {
            name for name, review in last.items() if review["state"] == "APPROVED" and review["commit_id"] == request.head
        } - {""}

    def post_status(self, commit: str, status: Status) -> None:
        """Set the commit's status `ml-assets/change`, with a link to the job."""
        body = {"state": status.state, "context": CONTEXT, "description": status.description}
        self.api.send("POST", f"{self._path}/statuses/{commit}", body | ({"target_url": self.job_url} if self.job_url else {}))

    @property
    def _path(self) -> str:
        return f"repos/{self.repository}"

    @cached_property
    def _default_branch(self) -> str:
        return str(self.api.get(self._path)["default_branch"])

    @cached_property
    def _own_names(self) -> frozenset[str]:
        """The login of the token's owner, which for an app ends with [bot]: no person's login can."""
        data = self.graphql.send("POST", "graphql", {"query": "query { viewer { login } }"}).get("data") or {}
        login = str((data.get("viewer") or {}).get("login") or "").lower()
        if not login:
            raise ForgeRefused("GitHub does not say whose GITHUB_TOKEN is, so no comment can be recognised as its own")
        return frozenset({login, f"{login}[bot]"})


def github(environ: Mapping[str, str]) -> GitHub:
    """The repository of a GitHub Actions job. Raises ForgeRefused where a variable is missing."""
    token = required(environ, "GITHUB_TOKEN", "give the step `GITHUB_TOKEN: ${{ github.token }}`")
    repository = required(environ, "GITHUB_REPOSITORY", "a GitHub Actions job has it: owner/name")
    root = environ.get("GITHUB_API_URL", "").rstrip("/") or "https://api.github.com"
    graphql = environ.get("GITHUB_GRAPHQL_URL", "").rstrip("/") or f"{root}/graphql"
    header = {"Accept": "application/vnd.github+json", "Authorization": f"Bearer {token}", "X-GitHub-Api-Version": "2022-11-28"}
    run = environ.get("GITHUB_RUN_ID")
    server = environ.get("GITHUB_SERVER_URL", "https://github.com")
    return GitHub(
        Api("GitHub", root, token, header, ADVICE),
        repository,
        Api("GitHub", graphql.removesuffix("/graphql"), token, header, ADVICE),
        job_url=f"{server}/{repository}/actions/runs/{run}" if run else "",
    )


def _login(entry: Mapping[str, Any]) -> str:
    """The login of an author, in lower case; empty for a deleted account."""
    return str((entry.get("user") or {}).get("login", "")).lower()
