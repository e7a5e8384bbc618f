"""GitLab's API on loopback."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.support.forges import TOKEN, Answer, StandIn


@dataclass
class GitLabStandIn(StandIn):
    """Project 9, on a GitLab whose object store has another address."""

    merge_requests: list[dict[str, Any]] = field(default_factory=list)
    approvals: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    versions: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    jobs: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    store: str = ""

    def add_request(self, number: int, sha: str, *, author: str = "eve", pushed: str = "2026-01-01T10:00:00.000Z") -> None:
        pipeline = {"id": 100 + number, "project_id": 9, "sha": sha, "status": "success"}
        request = {"iid": number, "sha": sha, "author": {"username": author}, "target_branch": "main", "head_pipeline": pipeline}
        self.merge_requests.append(request)
        self.versions.setdefault(number, []).insert(0, {"head_commit_sha": sha, "created_at": pushed})

    def approve(self, number: int, user: str, at: str | None) -> None:
        given = {"user": {"username": user}} | ({"approved_at": at} if at else {})
        self.approvals.setdefault(number, []).append(given)

    def is_known(self, headers: dict[str, str]) -> bool:
        return headers.get("PRIVATE-TOKEN") == TOKEN

    def next_page(self, path: str, query: dict[str, str], page: int) -> dict[str, str]:
        return {"X-Next-Page": str(page)}

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        match method, *path.removeprefix("/api/v4/projects/9").split("/")[1:]:
            case ["GET", "api", "v4", "user"]:
                return 200, {"id": len(self.known_as), "username": self.known_as}
            case ["GET"] if path == "/api/v4/projects/9":
                return 200, {"default_branch": "main"}
            case ["GET", "merge_requests"]:
                return 200, [m for m in self.merge_requests if m["target_branch"] == query["target_branch"]]
            case ["GET", "merge_requests", number]:
                return 200, next(m for m in self.merge_requests if m["iid"] == int(number))
            case ["GET", "merge_requests", number, "notes"]:
                return 200, self.comments.get(int(number), [])
            case ["POST", "merge_requests", number, "notes"]:
                return 201, self.add_comment(int(number), self.known_as, body["body"])
            case ["PUT", "merge_requests", number, "notes", identity]:
                [note] = [n for n in self.comments[int(number)] if n["id"] == int(identity)]
                return (
                    (403, {"message": "403 Forbidden"}) if note["author"]["username"] != self.known_as else _changed(note, body)
                )
            case ["GET", "merge_requests", number, "versions"]:
                return 200, self.versions[int(number)]
            case ["GET", "merge_requests", number, "approvals"]:
                return 200, {"approved_by": self.approvals.get(int(number), [])}
            case ["GET", "repository", "files", name]:
                assert query["ref"] == "main"
                return self.owners_file(unquote(name))
            case ["GET", "repository", "commits", sha, "statuses"]:
                return 200, self.statuses.get(sha, [])
            case ["POST", "statuses", sha]:
                return self._status(sha, body)
            case ["GET", "pipelines", number, "jobs"]:
                return 200, self.jobs.get(int(number), [])
            case ["GET", "jobs", number, "artifacts"]:
                return 302, f"{self.store}/{number}"
        return 404, {"message": "404 Not Found"}

    def _status(self, sha: str, body: dict[str, str]) -> Answer:
        if body["state"] not in ("success", "failed", "pending", "running", "canceled"):
            return 400, {"error": "state does not have a valid value"}
        now = next((s["status"] for s in self.statuses.get(sha, [])), None)
        if now == body["state"] == "pending":
            return 400, {"message": "Cannot transition status via :enqueue from :pending"}
        self.statuses.setdefault(sha, []).insert(0, {**body, "status": body["state"]})
        return 201, body


def _changed(note: dict[str, Any], body: dict[str, str]) -> Answer:
    note.update(body)
    return 200, note
