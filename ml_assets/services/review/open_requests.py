"""Every open merge request, judged and posted by a run on the default branch, which alone holds the token."""

import io
import lzma
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ml_assets.core.changes.review import Review
from ml_assets.errors import MlAssetsError
from ml_assets.services.review.forge_posts import post
from ml_assets.services.review.report_folder import JSON, read
from resources.forges.forge import ChangeRequest
from resources.forges.gitlab import GitLab
from resources.git_trees import Repository

DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, FileExistsError, NotADirectoryError, RuntimeError)
"""The errors of unpacking an archive that is none, cut off, encrypted, packed in an unknown way, or has a name twice."""
WALK = "change/walk"
MEMBER = re.compile(rf"{WALK}(/[a-z0-9_][a-z0-9_.]{{0,99}}){{1,2}}")
"""Where the job's artifact holds what head's code scored."""
FINAL = ("success", "failure")
VERDICTS = (0, 1, 4, 5)
"""Exit codes of `ml-assets ci` that come with a report."""
MOST_BYTES = 4 << 30


@dataclass(frozen=True)
class RequestOutcome:
    """The outcome of a merge request, in words."""

    words: str
    is_failure: bool = False


def post_open(forge: GitLab, repository: Repository, roots: Sequence[Path]) -> Iterator[RequestOutcome]:
    """Judge and post every open merge request that has something new to say. One that fails keeps none of the others waiting."""
    for request in forge.open_requests():
        try:
            yield RequestOutcome(f"!{request.number}: {_posted(forge, repository, request, roots)}")
        except MlAssetsError as error:
            yield RequestOutcome(f"!{request.number}: error: {error}", is_failure=True)


def _posted(forge: GitLab, repository: Repository, request: ChangeRequest, roots: Sequence[Path]) -> str:
    if (known := forge.judged(request)) in FINAL:
        return f"{known} is posted for {request.head[:12]} already"
    artifact = forge.artifact(request)
    if artifact is None:
        return f"the pipeline of {request.head[:12]} has not ended, or was for another commit; the next run asks again"
    status, _ = post(forge, repository, derived(repository, request, artifact), request.head, roots)
    return f"{status.state}: {status.description}"


def derived(repository: Repository, request: ChangeRequest, artifact: bytes) -> Review | None:
    """The review of a merge request's head by the code that runs here. Nothing of head is checked out or run. None where
    `ml-assets ci` fails, whose message is on stderr then."""
    if repository.fetch(f"refs/merge-requests/{request.number}/head") != request.head:
        return None
    with tempfile.TemporaryDirectory() as place:
        unpack(artifact, Path(place) / "walk")
        command = [sys.executable, "-m", "ml_assets", "ci", "--base", "HEAD", "--head", request.head]
        command += ["--walked", f"{place}/walk", "--output", f"{place}/derived"]
        environ = {name: value for name, value in os.environ.items() if "TOKEN" not in name}
        done = subprocess.run(command, cwd=repository.root, env=environ, stdout=subprocess.DEVNULL, check=False)
        return read(Path(place) / "derived" / JSON) if done.returncode in VERDICTS else None


def unpack(artifact: bytes, folder: Path) -> None:
    """Write the plain files of a walk out of a hostile archive. Of one that is damaged or too large some or all are missing,
    as if head's code had written none."""
    folder.mkdir(parents=True)
    with suppress(*DAMAGED), zipfile.ZipFile(io.BytesIO(artifact)) as archive:
        members = [member for member in archive.infolist() if _is_plain(member)]
        if sum(member.file_size for member in members) > MOST_BYTES:
            return
        for member in members:
            file = folder / PurePosixPath(member.filename).relative_to(WALK)
            file.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, file.open("xb") as target:
                shutil.copyfileobj(source, target)


def _is_plain(member: zipfile.ZipInfo) -> bool:
    return MEMBER.fullmatch(member.filename) is not None and not stat.S_ISLNK(member.external_attr >> 16)
