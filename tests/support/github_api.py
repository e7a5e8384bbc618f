"""GitHub's API on loopback."""

from dataclasses import dataclass, field
from typing import Any

from tests.support.forges import TOKEN, Answer, StandIn


@dataclass
class GitHubStandIn(StandIn):
    """The repository o/r."""

    pulls: list[dict[str, Any]] = field(default_factory=list)
    reviews: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)

    def add_pull(self, number: int, sha: str, *, author: str = "eve", base: str = "main") -> None:
        self.pulls.append({"number": number, "user": {"login": author}, "head": {"sha": sha}, "base": {"ref": base}})

    def add_review(self, number: int, user: str, state: str, sha: str) -> None:
        self.reviews.setdefault(number, []).append({"user": {"login": user}, "state": state, "commit_id": sha})

    def is_known(self, headers: dict[str, str]) -> bool:
        return headers.get("Authorization") == f"Bearer {TOKEN}"

    def next_page(self, path: str, query: dict[str, str], page: int) -> dict[str, str]:
        more = "&".join(f"{name}={value}" for name, value in query.items() if name != "page")
        return {"Link": f'<{self.address}{path}?{more}&page={page}>; rel="next", <{self.address}{path}>; rel="last"'}

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if (method, path) == ("POST", "/graphql"):
            return 200, {"data": {"viewer": {"login": self.known_as}}}
        match method, *path.removeprefix("/repos/o/r").split("/")[1:]:
            case ["GET"] if path == "/repos/o/r":
                return 200, {"default_branch": "main"}
            case ["GET", "pulls"]:
                return 200, [p for p in self.pulls if p["base"]["ref"] == query["base"]]
            case ["GET", "pulls", number, "reviews"]:
                return 200, self.reviews.get(int(number), [])
            case ["GET", "actions", "workflows", "ci.yml" | "ml-assets.yml", "runs"]:
                assert (query["event"], query["status"]) == ("pull_request", "completed")
                return 200, {"workflow_runs": [run for run in self.runs if run["head_sha"] == query["head_sha"]]}
            case ["GET", "contents", *name]:
                assert query["ref"] == "main"
                return self.owners_file("/".join(name))
            case ["GET", "issues", number, "comments"]:
                return 200, self.comments.get(int(number), [])
            case ["POST", "issues", number, "comments"]:
                return (201, self.add_comment(int(number), self.known_as, body["body"])) if body["body"] else _invalid("body")
            case ["PATCH", "issues", "comments", identity]:
                return self._edit(int(identity), body["body"])
            case ["POST", "statuses", sha]:
                return self._status(sha, body)
        return 404, {"message": "Not Found"}

    def _edit(self, identity: int, body: str) -> Answer:
        [comment] = [c for every in self.comments.values() for c in every if c["id"] == identity]
        if comment["user"]["login"] != self.known_as:
            return 403, {"message": "Resource not accessible by integration"}
        if len(body) > 65_536:
            return _invalid("body is too long")
        comment["body"] = body
        return 200, comment

    def _status(self, sha: str, body: dict[str, str]) -> Answer:
        if body["state"] not in ("success", "failure", "pending", "error"):
            return _invalid("state")
        if len(body["description"]) > 140 or any(ord(c) > 0xFFFF for c in body["description"]):
            return _invalid("description")
        self.statuses.setdefault(sha, []).insert(0, body)
        return 201, body


def _invalid(field_name: str) -> Answer:
    return 422, {"message": "Validation Failed", "errors": [{"field": field_name, "code": "invalid"}]}
